"""Logs of coding agents read into a store, and all that the store then knows of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from carryover.coding.digests.digest import KIND, digesting
from carryover.coding.logs import archive, discover
from carryover.coding.logs.sweep import Swept, sweep
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.store import archive as vault
from carryover.store import cursors, digests, marks, origins, sessions, spends, steps
from carryover.store.cursors import Stamp
from carryover.store.store import Store

HERE = Scope()
File = tuple[str, Stamp]


def files_in(*paths: Path) -> list[File]:
    return list(discover.files_in(discover.given_places(list(paths))))


def read_in(store: Store, files: Sequence[File]) -> Swept:
    """The files are logged and archived, and their sessions have digests."""
    done = sweep(store, HERE, files)
    Worker(store, {KIND: digesting()}, lambda _: Cap()).drain([KIND], tenant=HERE.tenant)
    return done


def known(store: Store) -> dict[str, Any]:
    """Of each session its steps, spends, copies, what lists show of it, and its digest as it is stored."""
    found: dict[str, Any] = {}
    with store.read(HERE) as tx:
        told = {(one.agent_id, one.session_id): digests.encode(one) for one in digests.every(tx)}
        for head in sessions.listed(tx, None, limit=10_000):
            key = head.agent, head.session
            found["/".join(key)] = {
                "steps": [(seq, step) for seq, step in steps.of_session(tx, *key)],
                "spends": spends.of_session(tx, *key),
                "copies": marks.replayed(tx, *key),
                "source": origins.source_hash(tx, *key),
                "shown": json.loads(head.metadata),
                "digest": told.pop(key, None),
            }
    assert told == {}, "digests of sessions that are not there"
    return found


def archived(store: Store) -> dict[str, tuple[bytes, list[tuple[int, int, int, str]]]]:
    """Of each log the bytes that the archive gives back, and how it was cut into pieces."""
    with store.read(HERE) as tx:
        return {
            path: (
                b"".join(archive.restore(tx, path)),
                [(piece.n, piece.start, piece.length, piece.hash) for piece in vault.kept(tx, path)],
            )
            for path in cursors.stamps(tx)
        }


def whatever_the_order(found: dict[str, Any]) -> dict[str, Any]:
    """The same without what says in which order a session's several logs were read: the numbers of turns, and of a
    record that several logs have, where it stands and what only some of them say. What pointed to a turn points to the
    step itself.
    """
    made: dict[str, Any] = {}
    for session, told in found.items():
        uids = {seq: step.uid for seq, step in told["steps"]}
        made[session] = {
            **told,
            "steps": sorted(repr(replace(step, start=0, length=0, model=None)) for _, step in told["steps"]),
            "copies": sorted(uids[seq] for seq in told["copies"]),
            "digest": json.dumps(_pointed(json.loads(told["digest"]), uids), sort_keys=True),
        }
    return made


def _pointed(value: Any, uids: dict[int, str]) -> Any:
    if isinstance(value, list):
        return [_pointed(one, uids) for one in value]
    if not isinstance(value, dict):
        return value
    turn = "quote" in value and "first" in value
    return {
        name: uids[one] if turn and name in ("first", "last") else _pointed(one, uids) for name, one in value.items()
    }
