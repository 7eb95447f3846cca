"""Memory: what a session's turns amount to, with the turns to prove it.

The offline extractor reads in this order: `words`, `core.sentences` (speech out of a turn), `dates`, `cue`,
`cues`, `claims` and `wants` (the patterns), `subject` (what a statement is about), `speech` (texts that read alone),
`staged` (what is not in earnest), `judge` (one sentence), `exchange` (proposals and answers), `closing` (tasks that
were done), `updates` (what is set right), `rules`. The one with a model: `prompts`,
`proposals` (what is checked of its answer), `extract`. For both: `ground` (quotes and atoms), `merge` (the next
snapshot), `choice` (which of them a tenant's memory is made with), `consolidate` (the job), `again` (a session read
anew), `questions`, `score` and `promote` (whether another extractor tells as much) and `history` (versions,
differences, and why).
"""
