"""The HTTP client: every verb of the embedded `Carryover`, with the same names, values and errors.

Read `wire` (requests and responses, no I/O), then `client` and its twin `aclient` (one line per verb).
"""
