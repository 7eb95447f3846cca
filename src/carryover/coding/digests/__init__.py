"""One session, told on one page: `digest` makes it, from `course` (its steps, each call with what became of it).

`review` says what the calls amount to, `outcome` how it ended, `signals` what went wrong or well in it; `shell`,
`testing`, `fingerprint`, `lexicon` and `quotes` read commands, tests, errors, prompts and evidence.
"""
