"""Digests: one row a session, read back as it was made, by whoever may see the session."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from carryover.core.digest import DIGEST_VERSION, Digest, FileUse, Signal, ToolUse
from carryover.core.digest import Tests as RunsOfTests
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Source
from carryover.core.step import About, Spend, Step, uid
from carryover.store import cursors, digests, origins, steps
from carryover.store.coding_tables import digests as rows
from carryover.store.cursors import Cursor, Stamp
from carryover.store.store import Store

FULL = Digest(
    "codex",
    "s1",
    "codex",
    DIGEST_VERSION,
    "b2",
    repo="github.com/acme/shop",
    versions=("0.1",),
    started_at=1_000,
    ended_at=9_000,
    goal="Größe \u2028 der Tür",
    outcome="verified",
    confidence=0.9,
    because=(Source("s1", 3, 3, "ok"),),
    tools={"shell": ToolUse(4, 1, 0), "edit": ToolUse(2)},
    files=(FileUse("src/a.py", 1, 2),),
    tests=RunsOfTests(2, 1, "red green"),
    tokens=Spend("", input=5, output=7, cost=12),
    signals=(Signal("tool_error", "shell: x", "said", 2, 4, sources=(Source("s1", 2, 2, "boom"),)),),
    unknown=("cost",),
)


def put(store: Store, scope: Scope, *made: Digest, user: str | None = None) -> None:
    with store.write(scope) as tx:
        for digest in made:
            digests.put(tx, digest, user)


def keys(found: list[Digest]) -> list[str]:
    return [digest.session_id for digest in found]


def test_a_digest_reads_back_as_it_was_put_and_a_new_one_takes_its_place(store: Store, scope: Scope) -> None:
    put(store, scope, FULL)
    with store.read(scope) as tx:
        assert digests.get(tx, "codex", "s1") == FULL
        assert digests.get(tx, "codex", "s2") is None
        assert digests.size(tx) == len(digests.encode(FULL).encode())
    put(store, scope, replace(FULL, outcome="errored", ended_at=None))
    with store.read(scope) as tx:
        assert [one.outcome for one in digests.every(tx)] == ["errored"]
        assert digests.listed(tx, outcome="verified", limit=9) == []


def test_members_of_later_versions_are_passed_over_and_missing_ones_keep_their_defaults(
    store: Store, scope: Scope
) -> None:
    put(store, scope, FULL)
    body = json.loads(digests.encode(FULL)) | {"mood": "fine"}
    body["signals"][0]["weight"] = 3
    del body["confidence"]
    with store.write(scope) as tx:
        tx.conn.execute(rows.update().where(rows.c.tenant == tx.tenant).values(body=json.dumps(body)))
    with store.read(scope) as tx:
        assert digests.get(tx, "codex", "s1") == replace(FULL, confidence=0.0)


def test_equal_digests_are_equal_bytes_whatever_the_order_of_their_parts() -> None:
    turned = replace(FULL, tools=dict(reversed(FULL.tools.items())))
    assert digests.encode(turned) == digests.encode(FULL)


def test_a_list_is_newest_first_filtered_and_goes_on_behind_a_place(store: Store, scope: Scope) -> None:
    ends = {"a": 10, "b": 30, "c": 20, "d": None, "e": 20}
    put(store, scope, *(replace(FULL, session_id=name, ended_at=at) for name, at in ends.items()))
    put(store, scope, replace(FULL, session_id="x", flavor="grok", agent_id="grok", repo="other", ended_at=99))
    with store.read(scope) as tx:
        assert keys(digests.listed(tx, limit=9)) == ["x", "b", "e", "c", "a", "d"]
        first = digests.listed(tx, repo=FULL.repo, limit=2)
        assert keys(first) == ["b", "e"]
        rest = digests.listed(tx, repo=FULL.repo, limit=9, before=digests.place(first[-1]))
        assert keys(rest) == ["c", "a", "d"]
        assert keys(digests.listed(tx, since=20, until=30, limit=9)) == ["e", "c"]
        assert keys(digests.listed(tx, flavor="grok", outcome="verified", limit=9)) == ["x"]
        assert [one.session_id for one in digests.every(tx)] == ["a", "b", "c", "d", "e", "x"]


def test_all_are_read_in_order_across_pages(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_PAGE", 2)
    put(store, scope, *(replace(FULL, session_id=f"s{n}") for n in (3, 1, 4, 2)))
    with store.read(scope) as tx:
        assert [one.session_id for one in digests.every(tx)] == ["s1", "s2", "s3", "s4"]


def test_a_narrowed_scope_sees_only_its_own(store: Store, scope: Scope) -> None:
    put(store, scope, FULL, user="eve")
    put(store, scope, replace(FULL, session_id="s2"), user="bob")
    put(store, scope, replace(FULL, session_id="s3", agent_id="grok"))
    for narrowed, seen in (
        (Scope("acme", user="eve"), ["s1"]),
        (Scope("acme", agent="grok"), ["s3"]),
        (Scope("acme", agent="grok", user="eve"), []),
        (Scope("other"), []),
    ):
        with store.read(narrowed) as tx:
            assert keys(digests.listed(tx, limit=9)) == seen
            assert keys(list(digests.every(tx))) == seen
            assert (digests.get(tx, "codex", "s1") is not None) == ("s1" in seen)


def ingest(store: Store, scope: Scope, session: str, content: str, *texts: str) -> None:
    """A log with this content was read, and these steps were in it."""
    path = f"/logs/{session}"
    made = [Step(uid(session, text), "prompt", text) for text in texts]
    with store.write(scope) as tx:
        steps.append(tx, "codex", session, made)
        origins.put(tx, [("codex", session, path, About())])
        cursors.put(tx, [Cursor(path, "codex", Stamp(1, 2, 3, 4), 3, "p", content)])


def test_stale_are_those_without_a_digest_of_this_version_and_of_these_logs(store: Store, scope: Scope) -> None:
    for session in ("right", "older", "other", "missing"):
        ingest(store, scope, session, session, "Hello.")
    ingest(store, scope, "empty", "nothing was said")
    with store.write(scope) as tx:
        hashes = {one: origins.source_hash(tx, "codex", one) for one in ("right", "older", "other")}
        for session, version, source_hash in (
            ("right", DIGEST_VERSION, hashes["right"]),
            ("older", DIGEST_VERSION - 1, hashes["older"]),
            ("other", DIGEST_VERSION, "something else"),
        ):
            made = replace(FULL, session_id=session, version=version, source_hash=source_hash)
            digests.put(tx, made, at=tx.now - 1)
    with store.read(scope) as tx:
        assert digests.stale(tx) == [("codex", "missing"), ("codex", "older"), ("codex", "other")]
    with store.read(EVERY_TENANT) as tx:
        assert digests.overdue(tx, 2) == [("acme", "codex/missing"), ("acme", "codex/older")]
        assert len(digests.overdue(tx, 100)) == 3
    with store.read(Scope("other")) as tx:
        assert digests.stale(tx) == []


def test_the_tables_of_two_tenants_are_apart(store: Store, scope: Scope) -> None:
    put(store, scope, FULL)
    put(store, Scope("other"), replace(FULL, goal="theirs"))
    with store.read(scope) as tx:
        assert [one.goal for one in digests.every(tx)] == [FULL.goal]
        assert tx.conn.execute(sa.select(sa.func.count()).where(rows.c.tenant == tx.tenant)).scalar_one() == 1


def test_it_is_told_which_sessions_have_one(store: Store, scope: Scope) -> None:
    put(store, scope, FULL, replace(FULL, agent_id="grok"))
    put(store, Scope("rival"), replace(FULL, session_id="s2"))
    with store.read(scope) as tx:
        assert digests.made(tx, [("codex", "s1"), ("claude-code", "s1"), ("codex", "s2")]) == {("codex", "s1")}
        assert digests.made(tx, []) == set()
