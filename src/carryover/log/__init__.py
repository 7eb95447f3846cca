"""The log: turns go in, stay as they are, and come out in order.

Read `append` (drafts to turns, many requests in one commit), `read` (session, turns, window, lists),
`lifecycle` (close, hold, time to live, delete), `forget` (erasures and their receipts), `legal` (holds) and `stream`
(what happened). `erasing` is what can be asked of erasures and holds.
"""
