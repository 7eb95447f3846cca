"""Turns and the items of providers' wires: how each is read into drafts, and written from what a view shows.

Reading order: `catalog`, `pieces` (what an item says in nobody's dialect), `pairs` (calls with their results), then a
file for each wire: `generic` (our own JSON), `responses`, `completions`, `anthropic`.
"""
