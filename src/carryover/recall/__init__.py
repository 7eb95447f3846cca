"""Finding again: search over turns and findings, and the context that the next session is given.

`index` makes what is said findable (`words`: text to terms; `index_coding`: digests) and `embed` gives it vectors, by
jobs behind the log; `reindex` mends what was damaged. `search` answers a query: `lexical` finds by words, `dense` by
meaning, `when` reads the dates in it, `fuse` ranks what was found. `context` renders what a new session is told, out of
what `context_known` gathers, and `context_coding` of a repository, with the pieces of `context_text`; `context_kept`
keeps what was told.
"""
