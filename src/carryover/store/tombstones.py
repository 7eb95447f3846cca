"""What stands where a turn was erased: its place, its role and the leaf of its chain, and not a word of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from carryover.core.chain import leaf
from carryover.core.session import ERASED
from carryover.store import counters, hot, rekeying, sessions, turns
from carryover.store.sessions import Head
from carryover.store.store import Tx
from carryover.store.tables import bodies
from carryover.store.tables import turns as rows

_PAGE = 500
_NAMES = tuple(column.name for column in rows.c)
_ADD = sa.insert(rows)


def bury(tx: Tx, head: Head, seqs: Collection[int]) -> None:
    """These turns of the session are erased where they stand; all that was made of them was erased before.

    Their idempotency keys stay, so that what is sent again late does not come back. A session that is sealed is sealed
    anew, with another key: whoever calls drops the one that it had.
    """
    doomed, after, tokens = set(seqs), 0, 0
    while found := turns.linked(tx, head.agent, head.session, after, _PAGE):
        after = found[-1].seq
        gone = [link for link in found if link.seq in doomed and link.row["kind"] != ERASED]
        for link in gone:
            tokens += link.row["tokens"]
            _delete(tx, head, link.seq)
        if gone:
            hot.write(tx.conn, _ADD, [_tombstone(tx, head, link.row) for link in gone])
    # Later than it was: what is kept of a session in memory is kept for one that changed just then.
    changed = max(tx.now, head.updated_at + 1)
    new = replace(head, tokens=max(head.tokens - tokens, 0), updated_at=changed)
    sessions.put(tx, [new])
    counters.bump(tx, turns.TOMBSTONES)
    if head.key is not None:
        rekeying.rekey(tx, head.agent, head.session)


def _tombstone(tx: Tx, head: Head, row: dict[str, Any]) -> dict[str, Any]:
    left = None if row["body"] is None or row["chain"] is None else leaf(row["salt"], row)
    said = dict.fromkeys(("name", "call_id", "metadata", "salt")) | {"tokens": 0, "kind": ERASED}
    said["digest"] = "" if left is None else left.hex()
    whole = {"tenant": tx.tenant, "agent": head.agent, "session": head.session, **row, **said}
    return {name: whole[name] for name in _NAMES}


def _delete(tx: Tx, head: Head, seq: int) -> None:
    for table in (bodies, rows):
        here = table.c.tenant == tx.tenant, table.c.agent == head.agent, table.c.session == head.session
        tx.conn.execute(table.delete().where(*here, table.c.seq == seq))
