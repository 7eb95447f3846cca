"""The log: turns go in, stay as they are, and come out in order.

Read `append` (drafts to turns, many requests in one commit), `read` (session, turns, window, lists),
`lifecycle` (close, hold, time to live, delete) and `stream` (what happened).
"""
