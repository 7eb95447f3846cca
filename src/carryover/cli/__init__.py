"""The command line: results on standard output, notes and progress on standard error, exit 0, 1 or 2.

Read `main` (the table of verbs, loaded when they are used; errors), `memory` (what a verb acts on), `show` (what a
person or a program gets to see) and `options`; then a file for each family of verbs: `log`, `recall`, `forget`,
`transfer` (with `archive` and `drafts`, the formats), `operate`, `keys`, `db`, `doctor`, `evaluate`, `model`, `demo`
(`demo_server`, `demo_data`) and `demo_cluster` (`demo_nodes`, `demo_load`).
"""
