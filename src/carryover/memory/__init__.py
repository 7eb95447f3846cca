"""Memory: what a session's turns amount to, with the turns to prove it.

The offline extractor reads in this order: `words`, `sentences` (speech out of a turn), `dates`, `cues` (the
patterns), `subject` (what a statement is about), `speech` (texts that read alone), `judge` (one sentence),
`exchange` (proposals and answers), `closing` (tasks that were done), `rules`. The one with a model: `prompts`,
`proposals` (what is checked of its answer), `extract`. For both: `ground` (quotes and atoms), `merge` (the next
snapshot), `consolidate` (the job) and `history` (versions, differences, and why).
"""
