"""Copies of turns in other sessions, swept into the store in either order: each is counted where it was first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.logs import discover
from carryover.coding.logs.sweep import sweep
from carryover.core.scope import Scope
from carryover.store import marks, origins, spends
from carryover.store.store import Store
from grok_folders import FORK, SESSION, USAGE, answered, called, chunk, completed
from rollouts import CHILD, OTHER, THREAD, forked, meta, tokens, turn, typed

either_order = pytest.mark.parametrize("first", [0, 1], ids=["original first", "copy first"])


def swept(store: Store, scope: Scope, folder: Path, files: list[tuple[str, bytes]]) -> None:
    for name, data in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        done = sweep(store, scope, list(discover.files_in(discover.given_places([folder]))))
        assert (done.failed, done.unrecognised) == ([], [])


@either_order
def test_a_forked_rollout(store: Store, scope: Scope, tmp_path: Path, first: int) -> None:
    own = turn(OTHER, 31) + typed("fix it", 31) + tokens((300, 0, 20), (120, 0, 11), 32)
    copy = meta(CHILD, 30, forked_from_id=THREAD) + meta(THREAD, 30) + forked(30) + own
    files = [(f"rollout-1-{THREAD}.jsonl", meta() + forked(1)), (f"rollout-2-{CHILD}.jsonl", copy)]
    swept(store, scope, tmp_path / "logs", files[::-1] if first else files)
    with store.read(scope) as tx:
        assert [(one.input, one.output) for one in spends.of_session(tx, "codex", THREAD)] == [(100, 5), (80, 4)]
        assert [(one.input, one.output) for one in spends.of_session(tx, "codex", CHILD)] == [(120, 11)]
        assert marks.replayed(tx, "codex", THREAD) == set()
        assert len(marks.replayed(tx, "codex", CHILD)) == 4
        ((_, about),) = origins.abouts(tx, "codex", CHILD)
    assert (about.kind, about.parent) == ("fork", THREAD)


@either_order
def test_a_forked_session_of_grok(store: Store, scope: Scope, tmp_path: Path, first: int) -> None:
    def updates(session: str, later: int, *own: dict[str, Any]) -> bytes:
        rows = [
            chunk("user_message", 1, "fix it", prompt=None, _meta={"promptIndex": 0}),
            called(2, "call-1-0", "run_terminal_cmd", {"command": "make"}),
            answered(3, "call-1-0", "ok"),
            completed(4, USAGE),
        ]
        stamped = [row | {"timestamp": row["timestamp"] + later} for row in rows] + [*own]
        for row in stamped:
            row["params"]["sessionId"] = session
        return b"".join(json.dumps(row).encode() + b"\n" for row in stamped)

    own = (chunk("agent_message", 50, "done"), completed(51, USAGE, prompt="another"))
    files = [(f"{SESSION}/updates.jsonl", updates(SESSION, 0)), (f"{FORK}/updates.jsonl", updates(FORK, 900, *own))]
    swept(store, scope, tmp_path / "logs", files[::-1] if first else files)
    with store.read(scope) as tx:
        costs = [[one.cost for one in spends.of_session(tx, "grok", session)] for session in (SESSION, FORK)]
        copies = [len(marks.replayed(tx, "grok", session)) for session in (SESSION, FORK)]
    assert costs == [[2_500_000_000], [2_500_000_000]]
    assert copies == [0, 3]


def test_the_files_of_a_grok_folder_are_one_session(store: Store, scope: Scope, tmp_path: Path, shared: Path) -> None:
    folder = shared / "corpus/grok/derived"
    if not folder.is_dir():
        pytest.skip(f"no logs at {folder}")
    done = sweep(store, scope, list(discover.files_in(discover.given_places([folder]))))
    assert (done.failed, done.unrecognised, done.drift) == ([], [], [])
    assert len(done.flavors["grok"].sessions) == 6
