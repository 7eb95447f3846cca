"""Every table, once. Times are UTC milliseconds; JSON is text, so that what came in goes out byte for byte.

The tenant leads every key and index: a request touches the rows of one tenant, and a cluster can shard by it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, Table, Text

metadata = sa.MetaData()

# Rows that lie in the order of their key: one page to write where SQLite would write a table's and an index's.
CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


def _where(only: str, on_sqlite: str | None = None) -> dict[str, Any]:
    """The index holds only these rows; a query finds it where it says the same in the same words."""
    return {"sqlite_where": sa.text(on_sqlite or only), "postgresql_where": sa.text(only)}


sessions = Table(
    "sessions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("user", Text),
    Column("version", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("active_until", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("ttl_s", BigInteger),
    Column("expires_at", BigInteger),
    Column("metadata", Text, nullable=False),
    Column("key", LargeBinary),  # the id of the data key that seals what is kept of it; null: nothing is sealed
    Column("chain", LargeBinary),  # that of its last turn
    **CLUSTERED,
)
Index("sessions_by_update", sessions.c.tenant, sessions.c.agent, sessions.c.updated_at, sessions.c.session)
Index("sessions_by_user", sessions.c.tenant, sessions.c.user)

# Inserted, never updated (a trigger holds it); deleted only by erasure.
turns = Table(
    "turns",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text),
    Column("call_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("metadata", Text),
    Column("idempotency_key", Text),
    Column("digest", Text, nullable=False),
    Column("salt", LargeBinary),  # keeps the chain from telling what an erased turn said
    Column("chain", LargeBinary),  # over this turn and all before it; null for what older programs wrote
    **CLUSTERED,
)
Index(
    "turns_by_key",
    turns.c.tenant,
    turns.c.agent,
    turns.c.session,
    turns.c.idempotency_key,
    unique=True,
    sqlite_where=turns.c.idempotency_key.is_not(None),
)

# The content of a turn, apart from it: a body may later be compressed or moved while its turn stays as it is.
bodies = Table(
    "bodies",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    **CLUSTERED,
)

# Ids grow in commit order within an agent and are never used twice, so a reader can resume after one.
events = Table(
    "events",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("user", Text),
    Column("detail", Text, nullable=False),
    **CLUSTERED,
)
Index("events_by_action", events.c.tenant, events.c.agent, events.c.action, events.c.id)

snapshots = Table(
    "snapshots",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("user", Text),
    Column("through", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("themes", Text, nullable=False, server_default="[]"),
    Column("extractor", Text, nullable=False, server_default=""),  # which version of it; `by` is its name alone
)
Index("snapshots_by_user", snapshots.c.tenant, snapshots.c.user, snapshots.c.created_at)

# A row is one state of a finding: it belongs to the snapshots `since` <= version < `until` (null: still).
# Only `until` is ever written later, so a snapshot reads the same for ever.
findings = Table(
    "findings",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger),
    Column("agent", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("user", Text),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("salience", Float, nullable=False),
    Column("pinned", Boolean, nullable=False),
    Column("learned_at", BigInteger, nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_to", BigInteger),
    Column("by", Text, nullable=False),
    Column("superseded_by", Text),
    Column("reason", Text),
)
Index("findings_by_session", findings.c.tenant, findings.c.agent, findings.c.session, findings.c.since)
Index("findings_by_user", *(findings.c[n] for n in ("tenant", "user", "until", "agent")))
Index("findings_now", *(findings.c[n] for n in ("tenant", "agent", "session")), **_where("until IS NULL"))
Index("findings_pinned", *(findings.c[n] for n in ("tenant", "user", "learned_at")), **_where("pinned", "pinned = 1"))

# What a finding stands on: turns `first`..`last`, in one of which the quote stands verbatim.
sources = Table(
    "sources",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("finding", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("agent", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("quote", Text, nullable=False),
    Column("since", BigInteger, nullable=False),  # the first snapshot that cites it
)
Index("sources_by_turn", sources.c.tenant, sources.c.agent, sources.c.session, sources.c.first)

# A later session closed or replaced a finding of an earlier one, whose own snapshots stay as they are.
links = Table(
    "links",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("finding", Text, primary_key=True),
    Column("agent", Text, primary_key=True),  # the agent and session that closed it
    Column("session", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("superseded_by", Text),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)
Index("links_by_session", links.c.tenant, links.c.agent, links.c.session)

# Whether a finding, in the state that was checked, stands in its turns (`holds` null: their content is gone).
verdicts = Table(
    "verdicts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("finding", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("checker", BigInteger, nullable=False),
    Column("checked_at", BigInteger, nullable=False),
    Column("holds", Boolean),
    Column("detail", Text, nullable=False),  # what does not hold, as JSON
)
Index("verdicts_by_session", verdicts.c.tenant, verdicts.c.agent, verdicts.c.session)

# How a state of a finding is told as of now (`text`, "" for nothing); one without a row is told in full.
tiers = Table(
    "tiers",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "finding")),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in ("agent", "session", "tier", "text", "period")),
    *(Column(name, Text) for name in ("user", "twin")),  # `twin` is the finding that says the same
    *(Column(name, BigInteger, nullable=False) for name in ("at", "freed")),  # `freed` counts bytes of text
)
Index("tiers_by_session", tiers.c.tenant, tiers.c.agent, tiers.c.session, tiers.c.tier)
Index("tiers_told", *(tiers.c[n] for n in ("tenant", "user", "tier", "agent")), **_where("text <> ''"))

# `n` numbers a chunk in the text and vector indexes; the database hands it out.
chunks = Table(
    "chunks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("agent", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("user", Text),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text),
    Column("text", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("terms", Text, nullable=False),  # exactly what the text index was given, so that it can be taken back
)
Index("chunks_by_session", chunks.c.tenant, chunks.c.agent, chunks.c.session, chunks.c.first)
Index("chunks_by_ref", chunks.c.tenant, chunks.c.ref)

# How far the text index has come in each session, and up to which snapshot its findings are indexed.
watermarks = Table(
    "watermarks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("snapshot", BigInteger, nullable=False),
    **CLUSTERED,
)

# `space` names the model, version and precision: vectors of two spaces are never compared.
vectors = Table(
    "vectors",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("space", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("vector", LargeBinary, nullable=False),
    Column("added", BigInteger, nullable=False),  # the generation that brought it, which leads to its code
)

# Which space answers a tenant's searches, which is being filled, and which is on its way out (`spaces.py`).
spaces = Table(
    "spaces",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "space")),
    Column("state", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("since", "through")),
    **CLUSTERED,
)
_SERVING: dict[str, Any] = dict.fromkeys(("sqlite_where", "postgresql_where"), spaces.c.state == "serving")
Index("spaces_serving", spaces.c.tenant, unique=True, **_SERVING)

# One bit for each number of a vector, with what a search filters by: all that a copy in memory needs, a tenth of
# the vectors' size and in the order in which copies read on.
codes = Table(
    "codes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("space", Text, primary_key=True),
    Column("added", BigInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("code", LargeBinary, nullable=False),
    Column("agent", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("user", Text),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    **CLUSTERED,
)

# Which vectors the last removals took, so that a copy drops these without comparing itself with the table.
removals = Table(
    "removals",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    **CLUSTERED,
)

# One row a tenant and name: numbers that are handed out, and generations that caches compare.
counters = Table(
    "counters",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    **CLUSTERED,
)

jobs = Table(
    "jobs",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("due", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("lease", Text),
    Column("leased_until", BigInteger),
    Column("dead_at", BigInteger),
    Column("waiting", Boolean, nullable=False),  # for a daily cap to be renewed
    Column("reason", Text),
    **CLUSTERED,
)
# The one index that no tenant leads: a worker looks whose jobs are due, and then claims them tenant by tenant.
Index("jobs_by_due", jobs.c.due)
Index("jobs_by_tenant", jobs.c.tenant, jobs.c.due)

# A reservation (`settled` false) holds its estimate against the caps until the job ends.
usages = Table(
    "usages",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("saved", Boolean, nullable=False),  # false: the call was paid for, but nothing came of it
    Column("kind", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("cache_read", BigInteger, nullable=False),
    Column("cache_write", BigInteger, nullable=False),
    Column("money", BigInteger, nullable=False),  # billionths of a US dollar
    Column("turns_covered", BigInteger, nullable=False),
    Column("tokens_saved", BigInteger, nullable=False),
)
Index("usages_by_time", usages.c.tenant, usages.c.at)

# Only a hash of a key is kept; `id` is its public beginning.
keys = Table(
    "keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("rights", Text, nullable=False),
    Column("agent", Text),
    Column("user", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("rate", Text),  # of requests, as in `rate_limit`; null: the tenant's alone counts
)

# How each extractor stands with the tenant; `detail` is how it compared with the one that was promoted.
extractors = Table(
    "extractors",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("state", "against", "reason", "detail")),
    Column("since", BigInteger, nullable=False),
    Column("score", Float),
    **CLUSTERED,
)

# Keys that all processes of one installation share, made by whichever needs one first; and how far a move into this
# database has come (`move.py`).
secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    **CLUSTERED,
)
