"""Coding sessions: the logs of coding agents are read, kept, digested, and compared; what recurs is told and measured.

Reading order: `adapters` (a flavor each), `logs` (all of them, swept and archived), `digests` (one session),
`patterns` (what recurs), `rollout` (what agents are told of it), `verbs` (what can be asked).
"""
