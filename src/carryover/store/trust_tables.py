"""The tables of what can be checked: erasures and their receipts, legal holds, and the audit log.

This file says all that `tables.py` and its siblings begin: whoever needs the whole schema reads `metadata` here.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from carryover.store.persona_tables import metadata
from carryover.store.tables import CLUSTERED

# `request` and `receipt` are JSON; `keys` are ids of data keys that are yet to be dropped, end to end.
erasures = Table(
    "erasures",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "id")),
    *(Column(name, Text, nullable=False) for name in ("state", "request", "receipt")),
    Column("keys", LargeBinary, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("begun_at", "changed_at")),
    **CLUSTERED,
)
Index("erasures_by_state", erasures.c.tenant, erasures.c.state, erasures.c.begun_at)

# What may not be erased: a session, all of an agent, all of a user (those that are null do not narrow it).
holds = Table(
    "holds",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "id")),
    *(Column(name, Text) for name in ("agent", "session", "user")),
    *(Column(name, Text, nullable=False) for name in ("reason", "placed_by")),
    Column("placed_at", BigInteger, nullable=False),
    Column("released_by", Text),
    Column("released_at", BigInteger),
    **CLUSTERED,
)

# Idempotency keys of erased sessions, as hashes with a secret: nobody uses them again before `until`.
repeats = Table(
    "repeats",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "hash")),
    Column("until", BigInteger, nullable=False),
    **CLUSTERED,
)

# Who did what that needs a right beyond reading and writing; `chain` makes a line that was changed or taken out show.
audit = Table(
    "audit",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("who", "via", "action", "subject", "outcome", "detail")),
    Column("request_id", Text),
    Column("chain", LargeBinary, nullable=False),
    **CLUSTERED,
)
Index("audit_by_time", audit.c.tenant, audit.c.at)
