"""Measuring ourselves, on conversations with known answers and on the user's own log: what `carryover eval` runs.

Reading order: `labelled` (published formats), `metrics` and `bootstrap` (pure), `asking` (one question), `faithful`
(what was kept, and whether it was said), `recall` and `own` (the two runs), `report` and `compare` (what came of
them), `draw` and `page` (the report to look at).
"""
