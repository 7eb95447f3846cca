"""Everything that is kept: all SQL lives here, and every statement names its tenant.

Read `tables` (every table, once), `dialect` (what differs between databases) with `sqlite` and `postgres` (and its
`_connection`, `_schema`, `_facts`, `_channel`), then `store` (open, read, write, transact; the transaction `Tx`),
`faults` (a driver's errors in our words), `migrate`, `commit` (many appends, one commit) and `hot` (the statements of
the append path). Each noun has a file of functions whose first argument is the transaction: `sessions`, `turns`,
`events`, `snapshots`, `reach` (what a context may tell of), `chunks` with `hashed` (words of the text
index), `vectors` with `matrix`, `codes`, `copies` and `near` (vectors in memory) and `pgvector`, `spaces` (which of
their spaces answers), `queue` with
`backlog`, `usages`, `extractors`, `keys`, `secrets`, `counters`; `parts` cuts long lists. `erasure` removes a
session from all of them, `check` says whether they agree, `damage` with
`listing` mends what search stands on, and `move` takes them to another database. Beside the
database: `redis` with `seal` (what it holds is encrypted), `cache`, and `news` (what wakes other processes) with
`redis_channel`.
"""
