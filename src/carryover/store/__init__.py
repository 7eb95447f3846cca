"""Everything that is kept: all SQL lives here, and every statement names its tenant.

Read `tables` (every table, once), `dialect` (what differs between databases) with `sqlite`, then `store`
(open, read, write; the transaction `Tx`) and `commit` (many appends, one commit). Each noun has a file of
functions whose first argument is the transaction: `sessions`, `turns`, `events`, `snapshots`, `chunks`,
`vectors`, `queue`, `usages`, `keys`. `erasure` removes a session from all of them.
"""
