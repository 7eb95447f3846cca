"""Everything that is kept: all SQL lives here, and every statement names its tenant.

Read `tables` (every table, once), `dialect` (what differs between databases) with `sqlite`, then `store`
(open, read, write; the transaction `Tx`), `migrate`, `commit` (many appends, one commit) and `hot` (the statements
of the append path). Each noun has a file of functions whose first argument is the transaction: `sessions`, `turns`,
`events`, `snapshots`, `reach` (what a context may tell of), `chunks`, `vectors` with `matrix` (vectors in memory),
`queue`, `usages`, `keys`, `counters`; `parts` cuts long lists. `erasure` removes a session from all of them, and
`check` says whether they agree.
"""
