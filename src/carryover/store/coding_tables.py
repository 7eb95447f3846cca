"""The tables of coding sessions: where their logs were read to, what they hold, and what recurs in them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, LargeBinary, Table, Text

from carryover.store.tables import CLUSTERED, metadata

# How far the log at `path` was read. `content` is the hash of what was read of it; `state` is what its adapter has to
# know to read on. One that was `erased` is never read again.
cursors = Table(
    "cursors",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "path")),
    *(Column(name, Text, nullable=False) for name in ("flavor", "prefix", "content", "state")),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("device", "inode", "size", "mtime", "offset", "generation", "malformed", "read_at")
    ),
    Column("erased", Boolean, nullable=False),
    **CLUSTERED,
)

# In which logs a session was found, and what each says about it.
origins = Table(
    "origins",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session", "path")),
    Column("first_at", BigInteger),
    Column("about", Text, nullable=False),
    **CLUSTERED,
)
Index("origins_by_path", origins.c.tenant, origins.c.path)

# Which sessions hold a copy of a step: the earliest of them owns it.
marks = Table(
    "marks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("uid", LargeBinary, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("agent", "session")),
    Column("seq", BigInteger, nullable=False),
    **CLUSTERED,
)
Index("marks_by_session", marks.c.tenant, marks.c.agent, marks.c.session, marks.c.seq)

# What one call of a model consumed, as far as a session's records tell; the most of each number counts.
spends = Table(
    "spends",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("agent", "session")),
    Column("at", BigInteger),
    Column("model", Text),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("input", "cache_read", "cache_write", "output", "reasoning")
    ),
    *(Column(name, BigInteger) for name in ("cost", "window")),
    **CLUSTERED,
)
Index("spends_by_session", spends.c.tenant, spends.c.agent, spends.c.session)

# How often each type of record was seen, by the version that wrote it; `known` says whether its adapter reads it.
formats = Table(
    "formats",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "flavor", "version", "type")),
    Column("known", Boolean, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("records", "since")),
    **CLUSTERED,
)

# Bytes of logs, by the hash of what they were before they were packed.
segments = Table(
    "segments",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "hash")),
    *(Column(name, BigInteger, nullable=False) for name in ("size", "packed", "at")),
    Column("body", LargeBinary, nullable=False),
)

# Of which segments a log is made, in order: the n-th stands at `start` and has `length` bytes. `hash` names what is
# kept of it ("" once nothing is), `whole` what it was; `tier` says how much was thinned out.
pieces = Table(
    "pieces",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "path")),
    *(Column(name, BigInteger, primary_key=True, autoincrement=False) for name in ("generation", "n")),
    *(Column(name, BigInteger, nullable=False) for name in ("start", "length")),
    *(Column(name, Text, nullable=False) for name in ("hash", "whole", "tier")),
    **CLUSTERED,
)
Index("pieces_by_hash", pieces.c.tenant, pieces.c.hash)

digests = Table(
    "digests",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session")),
    Column("user", Text),
    *(Column(name, Text, nullable=False) for name in ("flavor", "kind", "repo", "outcome", "source_hash")),
    Column("version", BigInteger, nullable=False),
    *(Column(name, BigInteger) for name in ("started_at", "ended_at")),
    Column("made_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
Index("digests_by_time", digests.c.tenant, digests.c.ended_at)
Index("digests_by_repo", digests.c.tenant, digests.c.repo, digests.c.ended_at)

# Each decision about a pattern is a row; the highest version is how it stands.
patterns = Table(
    "patterns",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "id")),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in ("state", "by", "reason", "body")),
    Column("at", BigInteger, nullable=False),
    **CLUSTERED,
)
evidence = Table(
    "evidence",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "pattern")),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in ("agent", "session", "repo", "quote")),
    *(Column(name, BigInteger, nullable=False) for name in ("first", "last")),
    **CLUSTERED,
)
Index("evidence_by_session", evidence.c.tenant, evidence.c.agent, evidence.c.session)

# Where a pattern was written for agents to read; `block` is the hash of what was written.
exposures = Table(
    "exposures",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "pattern", "path")),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger),
    Column("version", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("repo", "flavor", "block", "detail")),
    **CLUSTERED,
)
effects = Table(
    "effects",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "pattern")),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("verdict", "body")),
    *(Column(name, Float, nullable=False) for name in ("estimate", "low", "high")),
    **CLUSTERED,
)
