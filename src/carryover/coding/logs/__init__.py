"""Logs as files and as bytes: found, read, archived within a budget, given back.

`sweep` goes through all of them (`discover` finds them, `reading` takes one through its adapter), `archive` cuts and
packs their bytes, `retention` keeps to the budget (`thin` takes less of a log first), `spool` is what hooks hand in.
"""
