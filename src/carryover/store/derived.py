"""Whether what was derived from logs still belongs to something: each row to its session, its turns, its finding.

A law says what may not be, as one condition over a table. What breaks one that is `loose` is dropped by a repair: it
says nothing that is not made again, or that nobody could ask for. The others are told with a way to get back what is
missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from carryover.store.coding_tables import cursors, digests, evidence, marks, origins
from carryover.store.persona_tables import noticed, persona_codes, preferences, profiles
from carryover.store.store import Tx
from carryover.store.strategy_tables import summaries, views
from carryover.store.tables import (
    chunks,
    findings,
    links,
    sessions,
    snapshots,
    sources,
    tiers,
    turns,
    verdicts,
    watermarks,
)

SHOWN = 20  # faults of one kind that are told one by one
_RESTORE = "; restore the session from a backup, or forget it"


@dataclass(frozen=True, slots=True)
class Law:
    """No row of the table may be `wrong`; `said` names such a row by its members."""

    check: str
    table: sa.Table
    wrong: sa.ColumnElement[bool]
    said: str
    loose: bool = False


def same(a: sa.FromClause, b: sa.FromClause, *, seq: bool = False) -> sa.ColumnElement[bool]:
    """Rows of the two are of one session, or with `seq` of one turn."""
    names = ("tenant", "agent", "session", *(("seq",) if seq else ()))
    return sa.and_(*(a.c[name] == b.c[name] for name in names))


def name_of(row: Any) -> str:
    return f"session {row.session!r} of agent {row.agent!r} of tenant {row.tenant!r}"


def faults(tx: Tx) -> Iterator[tuple[Law, str]]:
    """In `EVERY_TENANT`, every row that breaks a law, in words."""
    for law in (*LAWS, *OF_INDEX):
        wanted = sa.select(law.table).where(law.table.c.tenant.is_not(None), law.wrong).limit(SHOWN)
        for row in tx.conn.execute(wanted).mappings():
            yield law, law.said.format(**{name: repr(value) for name, value in row.items()})


def clear(tx: Tx) -> None:
    """In `EVERY_TENANT`, nothing loose is left."""
    for law in (*LAWS, *OF_INDEX):
        if law.loose:
            tx.conn.execute(law.table.delete().where(law.table.c.tenant.is_not(None), law.wrong))


def _lacks_session(table: sa.Table, last: str | None = None) -> sa.ColumnElement[bool]:
    """The row's session is not there, or with `last` not so long."""
    there = [same(sessions, table), *([] if last is None else [sessions.c.version >= table.c[last]])]
    return ~sa.exists().where(*there)


def _lacks_finding(table: sa.Table, column: str = "finding", *, state: bool = False) -> sa.ColumnElement[bool]:
    """The row's finding is not there, or with `state` not in this state."""
    there = [findings.c.tenant == table.c.tenant, findings.c.id == table.c[column]]
    return ~sa.exists().where(*there, *([findings.c.since == table.c.since] if state else []))


def _of_no_snapshot() -> sa.ColumnElement[bool]:
    """A state of a finding that begins or ends behind the newest snapshot of its session."""
    last = sa.func.coalesce(findings.c.until, findings.c.since)
    return ~sa.exists().where(same(snapshots, findings), snapshots.c.version >= last)


def _unread() -> sa.ColumnElement[bool]:
    """A source in turns of its finding's own session that the snapshot which cites it had not read."""
    own = sa.exists().where(
        findings.c.tenant == sources.c.tenant,
        findings.c.id == sources.c.finding,
        findings.c.agent == sources.c.agent,
        findings.c.session == sources.c.session,
    )
    return sa.exists().where(
        same(snapshots, sources),
        snapshots.c.version == sources.c.since,
        snapshots.c.through < sources.c.last,
        own,
    )


def _shrinks() -> sa.ColumnElement[bool]:
    """A snapshot that covers fewer turns than one before it."""
    earlier = snapshots.alias("earlier")
    return sa.exists().where(
        same(earlier, snapshots), earlier.c.version < snapshots.c.version, earlier.c.through > snapshots.c.through
    )


_SESSION = "session {session} of agent {agent} of tenant {tenant}"
LAWS = (
    Law(
        "findings",
        sources,
        sa.or_(sources.c.first < 1, sources.c.last < sources.c.first, _lacks_session(sources, "last")),
        "finding {finding} cites turns {first} to {last} of " + _SESSION + ", which are not there" + _RESTORE,
    ),
    Law(
        "findings",
        sources,
        _unread(),
        "finding {finding} cites turns up to {last} of " + _SESSION + ", which snapshot {since} had not read"
        "; run `carryover consolidate --again --force`",
    ),
    Law("findings", sources, _lacks_finding(sources), "a source of finding {finding}, which is not there", loose=True),
    Law(
        "findings",
        findings,
        ~sa.exists().where(sources.c.tenant == findings.c.tenant, sources.c.finding == findings.c.id),
        "finding {id} of " + _SESSION + " has no source" + _RESTORE,
    ),
    Law(
        "findings",
        findings,
        _of_no_snapshot(),
        "finding {id} belongs to snapshot {since} of " + _SESSION + ", which is not there" + _RESTORE,
    ),
    Law(
        "snapshots",
        snapshots,
        _lacks_session(snapshots, "through"),
        "snapshot {version} of " + _SESSION + " covers turn {through}, which is not there" + _RESTORE,
    ),
    Law(
        "snapshots",
        snapshots,
        _shrinks(),
        "snapshot {version} of " + _SESSION + " covers fewer turns than one before it" + _RESTORE,
    ),
    Law("links", links, _lacks_finding(links), "finding {finding} is closed, and is not there", loose=True),
    Law("links", links, _lacks_session(links), "finding {finding} is closed by " + _SESSION + ", which is gone", True),
    Law(
        "links",
        links,
        sa.and_(links.c.superseded_by.is_not(None), _lacks_finding(links, "superseded_by")),
        "finding {finding} is replaced by {superseded_by}, which is not there",
        loose=True,
    ),
    Law("verdicts", verdicts, _lacks_finding(verdicts), "a verdict on finding {finding}, which is not there", True),
    Law("tiers", tiers, _lacks_finding(tiers, state=True), "a tier of finding {finding}, which is not there", True),
    Law(
        "tiers",
        tiers,
        sa.and_(tiers.c.twin.is_not(None), _lacks_finding(tiers, "twin")),
        "finding {finding} is told by {twin}, which is not there",
        loose=True,
    ),
    Law(
        "summaries",
        summaries,
        _lacks_session(summaries, "last"),
        "a summary of " + _SESSION + " stands for turn {last}, which is not there",
        loose=True,
    ),
    Law("views", views, _lacks_session(views), "views of " + _SESSION + " are told of, which is not there", True),
    Law(
        "digests",
        digests,
        _lacks_session(digests, "version"),
        "the digest of " + _SESSION + " is of version {version}, which is not there",
        loose=True,
    ),
    Law(
        "patterns",
        evidence,
        sa.or_(evidence.c.first < 1, evidence.c.last < evidence.c.first, _lacks_session(evidence, "last")),
        "pattern {pattern} cites turns {first} to {last} of " + _SESSION + ", which are not there",
        loose=True,
    ),
    Law(
        "ingest",
        marks,
        ~sa.exists().where(same(turns, marks, seq=True)),
        "a step is said to be turn {seq} of " + _SESSION + ", which is not there",
        loose=True,
    ),
    Law(
        "ingest",
        origins,
        ~sa.exists().where(cursors.c.tenant == origins.c.tenant, cursors.c.path == origins.c.path),
        _SESSION + " is said to be in a log that was never read; run `carryover ingest`",
    ),
    Law(
        "profiles",
        preferences,
        _lacks_session(preferences, "seq"),
        "preference {id} of user {user} was said in turn {seq} of " + _SESSION + ", which is not there" + _RESTORE,
    ),
    Law(
        "profiles",
        noticed,
        _lacks_session(noticed, "through"),
        _SESSION + " is said to be read for preferences up to turn {through}, which is not there",
        loose=True,
    ),
    Law(
        "profiles",
        persona_codes,
        ~sa.exists().where(profiles.c.tenant == persona_codes.c.tenant, profiles.c.user == persona_codes.c.user),
        "a code of user {user} of tenant {tenant}, who has no profile",
        loose=True,
    ),
)
# The session of what breaks one of these is to be indexed again, see `damage.torn`.
OF_INDEX = (
    Law(
        "index",
        chunks,
        _lacks_session(chunks, "last"),
        "chunk {n} is of turn {last} of " + _SESSION + ", which is not there",
        loose=True,
    ),
    Law(
        "index",
        chunks,
        sa.and_(chunks.c.kind.not_in(("turn", "digest")), _lacks_finding(chunks, "ref")),
        "chunk {n} is of finding {ref}, which is not there",
        loose=True,
    ),
    Law("index", watermarks, _lacks_session(watermarks, "through"), _SESSION + " is indexed beyond its log", True),
)
