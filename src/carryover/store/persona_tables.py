"""The tables of personas. What says something of a user is sealed: rows name whose it is, when, and nothing more."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from carryover.store.strategy_tables import metadata
from carryover.store.tables import CLUSTERED

# What users said of how they want to be served, each with the turn that it was said in.
preferences = Table(
    "preferences",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "id")),
    *(Column(name, Text, nullable=False) for name in ("user", "agent", "session")),
    *(Column(name, BigInteger, nullable=False) for name in ("seq", "said_at")),
    Column("sealed", LargeBinary, nullable=False),
)
Index("preferences_by_user", preferences.c.tenant, preferences.c.user, preferences.c.said_at)
Index("preferences_by_session", preferences.c.tenant, preferences.c.agent, preferences.c.session)

# A row for each user of whom anything is known; `version` grows with whatever changes what is told of them.
profiles = Table(
    "profiles",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "user")),
    *(Column(name, BigInteger, nullable=False) for name in ("version", "edited", "updated_at")),
    Column("edits", LargeBinary),
    **CLUSTERED,
)

# Codes, where no Redis keeps them: each good for the profile's version that it was made from, until it expires.
persona_codes = Table(
    "persona_codes",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "user")),
    *(Column(name, BigInteger, nullable=False) for name in ("version", "expires_at")),
    Column("sealed", LargeBinary, nullable=False),
    **CLUSTERED,
)
Index("persona_codes_by_expiry", persona_codes.c.tenant, persona_codes.c.expires_at)

# The versions of a tenant's codebook, each whole.
codebooks = Table(
    "codebooks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in ("space", "strategy", "why")),
    Column("created_at", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

# How far preferences were noticed in each session, and when that was last.
noticed = Table(
    "noticed",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session")),
    *(Column(name, BigInteger, nullable=False) for name in ("through", "at")),
    **CLUSTERED,
)

# The persona that a session was opened with: it stays what the session's model is told until the session ends.
personas_shown = Table(
    "personas_shown",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "agent", "session")),
    Column("user", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("version", "edited", "shown_at")),
    Column("sealed", LargeBinary, nullable=False),
    **CLUSTERED,
)
Index("personas_shown_by_user", personas_shown.c.tenant, personas_shown.c.user)
