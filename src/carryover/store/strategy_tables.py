"""The tables of strategies: how sessions are to be seen, what stands for their turns, and what runs of agents did."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from carryover.store.coding_tables import metadata
from carryover.store.tables import CLUSTERED

# What was set for a conversation, or for an agent (where `session` is empty). `fields` holds only what was set: what
# is not in it is inherited.
strategies = Table(
    "strategies",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session")),
    Column("fields", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    **CLUSTERED,
)

# Texts that stand for the turns 1 to `last` in views; `recipe` is how they are made, `version` that of the log when
# they were. One that is `wanted` has its recipe for a text, one that is `failed` or `skipped` has none.
summaries = Table(
    "summaries",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session", "recipe")),
    Column("last", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in ("id", "status", "text", "by")),
    Column("user", Text),
    Column("base", Text),
    *(Column(name, BigInteger, nullable=False) for name in ("depth", "tokens", "version", "attempts", "created_at")),
    **CLUSTERED,
)
Index("summaries_by_user", summaries.c.tenant, summaries.c.user, summaries.c.created_at)

# How far the views of a session were cut under a strategy, and what of it was counted. It only grows.
views = Table(
    "views",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session", "strategy")),
    *(Column(name, BigInteger, nullable=False) for name in ("moves", "cut", "cleared", "updated_at")),
    **CLUSTERED,
)

# All that happened in a run of an agent, in order: calls and their outputs as they were, whatever a view made of them.
agent_run_events = Table(
    "agent_run_events",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session", "run")),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("seq", BigInteger),
    Column("payload", Text, nullable=False),
    **CLUSTERED,
)
Index(
    "agent_run_events_by_time",
    agent_run_events.c.tenant,
    agent_run_events.c.agent,
    agent_run_events.c.session,
    agent_run_events.c.at,
    agent_run_events.c.run,
    agent_run_events.c.n,
)
