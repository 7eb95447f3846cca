"""Measuring ourselves on conversations with known answers: what `carryover eval` runs.

`labelled` reads the published formats, `metrics` holds the pure measures, `recall` logs, indexes, searches, reports.
"""
