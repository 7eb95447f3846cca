"""Which columns hold what was said in sessions, and rows of them as they are kept and as they read.

What is kept of a session is sealed with the session's key, each text in its own place: a row is opened as the row that
it is, and nowhere else. A row whose key was dropped is erased, and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from carryover.store import tables
from carryover.store.coding_tables import digests, evidence, origins
from carryover.store.marked import MARK
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.strategy_tables import agent_run_events, summaries

Key = tuple[str, str]  # agent, session


@dataclass(frozen=True, slots=True)
class Covered:
    """The columns of a table that are sealed, and those that say which row it is; a move changes none of them."""

    columns: tuple[str, ...]
    row: tuple[str, ...]


# Every row of these tables names the `agent` and the `session` whose words it holds.
SEALED: dict[sa.Table, Covered] = {
    tables.snapshots: Covered(("summary", "themes"), ("agent", "session", "version")),
    tables.findings: Covered(("text", "subject", "reason"), ("id", "since")),
    tables.sources: Covered(("quote",), ("finding", "n")),
    tables.links: Covered(("reason",), ("finding", "agent", "session")),
    tables.verdicts: Covered(("state", "detail"), ("finding",)),
    tables.tiers: Covered(("text",), ("finding", "since")),
    tables.chunks: Covered(("text",), ("agent", "session", "ref", "part")),
    summaries: Covered(("text",), ("agent", "session", "recipe", "last")),
    agent_run_events: Covered(("payload",), ("agent", "session", "run", "n")),
    digests: Covered(("body",), ("agent", "session")),
    evidence: Covered(("quote",), ("pattern", "n")),
    origins: Covered(("about",), ("agent", "session")),  # the path is another one once the log is erased
}


def keys(tx: Tx, named: Iterable[Key]) -> dict[Key, bytes | None]:
    """The ids of the keys of those of the sessions that exist; None for one that is not sealed."""
    by_agent: dict[str, set[str]] = {}
    for agent, session in named:
        by_agent.setdefault(agent, set()).add(session)
    found: dict[Key, bytes | None] = {}
    own = tables.sessions.c
    for agent, mine in by_agent.items():
        for part in parts(sorted(mine)):
            here = own.tenant == tx.tenant, own.agent == agent, own.session.in_(part)
            for session, key in tx.conn.execute(sa.select(own.session, own.key).where(*here)):
                found[agent, session] = None if key is None else bytes(key)
    return found


def closed(tx: Tx, table: sa.Table, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they are kept, each sealed with its session's key.

    Where sessions are sealed, a row of a session that is gone is left out: nothing of it is kept any more.
    """
    if not rows or tx.sealing is None:
        return [close(tx, table, row, None) for row in rows]
    known = keys(tx, {(row["agent"], row["session"]) for row in rows})
    there = ((row, (row["agent"], row["session"])) for row in rows)
    return [close(tx, table, row, known[key]) for row, key in there if key in known]


def owner(tx: Tx) -> bytes | None:
    """The id of the tenant's own key, for what is of no session yet; None where nothing is sealed."""
    if tx.sealing is None or not tx.seals:
        return None
    return tx.sealing.own(tx.tenant)


def close(tx: Tx, table: sa.Table, row: Mapping[str, Any], key: bytes | None) -> dict[str, Any]:
    """The row as it is kept, sealed with the key of this id."""
    said = ((name, row[name]) for name in SEALED[table].columns)
    return {**row, **{name: tx.closed(key, place(table, name, row), text) for name, text in said if text}}


def opened(tx: Tx, table: sa.Table, rows: Iterable[Any], *names: str) -> Iterator[tuple[Any, Sequence[Any]]]:
    """Each of the rows with its sealed columns (or those of these names) as they read; the keyring is asked once.

    Rows whose key was dropped are left out.
    """
    covered = SEALED[table]
    columns = names or covered.columns
    found = [(row, [getattr(row, name) for name in columns]) for row in rows]
    if not any(kept and kept[0] == MARK for _, values in found for kept in values):
        return iter(found)
    heads = [f"{table.name}/{name}/" for name in columns]
    asked: list[tuple[str, str]] = []
    for row, values in found:
        which = _which(getattr(row, part) for part in covered.row)
        asked += [(head + which, kept) for head, kept in zip(heads, values, strict=True) if kept]
    return _readable(found, iter(tx.opened_all(asked)))


def reseal(tx: Tx, agent: str, session: str, key: bytes | None) -> None:
    """All that is kept of the session in these tables is sealed with the key of this id, or with none.

    The session's row is not: it has to name the key in the same transaction.
    """
    for table, covered in SEALED.items():
        here = table.c.tenant == tx.tenant, table.c.agent == agent, table.c.session == session
        own = [column.name for column in table.primary_key]
        anew = table.update().where(*(table.c[name] == sa.bindparam(f"the_{name}") for name in own))
        found = opened(tx, table, tx.conn.execute(sa.select(table).where(*here)).all())
        rows: list[dict[str, Any]] = []
        for row, texts in found:
            said = dict(zip(covered.columns, texts, strict=True))
            kept = close(tx, table, {**row._mapping, **said}, key)
            rows.append({f"the_{name}": kept[name] for name in own} | {name: kept[name] for name in said})
        if rows:
            tx.conn.execute(anew, rows)


def _readable(found: Sequence[tuple[Any, list[Any]]], texts: Iterator[str | None]) -> Iterator[tuple[Any, list[Any]]]:
    for row, values in found:
        there = [next(texts) if kept else kept for kept in values]
        if there.count(None) == values.count(None):  # else one was erased
            yield row, there


def place(table: sa.Table, name: str, row: Mapping[str, Any]) -> str:
    """What a text is bound to when it is sealed: its column, and its row."""
    return f"{table.name}/{name}/{_which(row[part] for part in SEALED[table].row)}"


def _which(named: Iterable[Any]) -> str:
    return "/".join(map(str, named))
