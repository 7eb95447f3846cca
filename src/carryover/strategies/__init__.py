"""What a model sees of a long conversation: cheap, within its window, stable for its cache; the log stays as it is.

Reading order: `groups` (what belongs together), `course` (when what is cut), `plan` (operations), `render` (items),
`formats` (the wires of providers), `view` (all of it over the store), `summarize` (texts that stand for turns),
`inject` (what other sessions settled), `resolve` (whose setting counts), `verbs`.
"""
