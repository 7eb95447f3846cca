"""Canaries: a word of its own in every place that can hold text, and everything that can still be read of them.

Who erases something finds none of its words in any file, in any row, or in what opens with the keys that are left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from carryover.coding.logs.archive import packer, segment, unpack
from carryover.core.canary import Canaries
from carryover.core.digest import DIGEST_VERSION, Digest
from carryover.core.job import Job
from carryover.core.pattern import Evidence, Pattern
from carryover.core.persona import Edits
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Append, Draft, Source
from carryover.core.snapshot import Finding, Snapshot, Theme
from carryover.core.step import About, Spend, uid
from carryover.core.strategy import Strategy, Summary
from carryover.core.tier import Step
from carryover.core.usage import Usage
from carryover.core.verdict import Verdict
from carryover.runtime import Carryover
from carryover.store import (
    archive,
    chunks,
    cursors,
    digests,
    holds,
    keys,
    marks,
    origins,
    patterns,
    profiles,
    queue,
    runs,
    sealed,
    snapshots,
    spends,
    strategies,
    summaries,
    tiers,
    turns,
    usages,
    vectors,
    verdicts,
    views,
)
from carryover.store.cursors import Cursor, Stamp
from carryover.store.persona_tables import codebooks, persona_codes, personas_shown
from carryover.store.persona_tables import preferences as preference_rows
from carryover.store.persona_tables import profiles as profile_rows
from carryover.store.snapshots import Link
from carryover.store.store import Store, Tx
from carryover.store.trust_tables import metadata
from noticeable import notice
from preferring import prefer

Of = Literal["turns", "session", "user", "agent", "id"]
SPACE = "fake:2"
_BASE, _MARK = 9, 15  # letters of a word that say whether it goes, and whose it is
_ALPHABET = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrtv")
RECIPE = Strategy(mode="summarize")


@dataclass(frozen=True)
class Canary:
    """A word, the place that it was put in, and with what it goes; `sealed`: where the database seals, it is so."""

    word: str
    place: str
    of: Of
    sealed: bool

    @property
    def mark(self) -> str:
        """What it has in common with the others of its owner that go with the same, sealed or not: it begins so."""
        return self.word[:_MARK]


class Owner:
    """Somebody with one session, and canaries of their own; `doomed` is what the erasure to come takes of them."""

    def __init__(self, run: str, name: str, doomed: Collection[Of]) -> None:
        self.run, self.name, self.doomed = run, name, doomed
        self.canaries: dict[str, Canary] = {}
        self.agent, self.session, self.user = (
            self.put(one, "id", sealed=False) for one in ("agent", "session", "user")
        )

    def put(self, place: str, of: Of, *, sealed: bool = True) -> str:
        """The word of this place."""
        if place not in self.canaries:
            base = _base(self.run, doomed=of in self.doomed, sealed=sealed)
            word = base + _letters(f"{self.run} {self.name} {of}", 6) + _letters(place, 6)
            self.canaries[place] = Canary(word, place, of, sealed)
        return self.canaries[place].word

    def marks(self, *, sealed: bool | None = None) -> list[str]:
        """What the canaries begin with that the erasure takes."""
        found = (one for one in self.canaries.values() if one.of in self.doomed and sealed in (None, one.sealed))
        return sorted({one.mark for one in found})


def doomed(run: str, *, sealed: bool) -> str:
    """What all canaries of the run begin with that erasures take."""
    return _base(run, doomed=True, sealed=sealed)


def _base(run: str, *, doomed: bool, sealed: bool) -> str:
    return _letters(f"{run} {doomed} {sealed}", _BASE)


def _letters(said: str, n: int) -> str:
    """Letters alone: no stemmer takes anything of them, and nobody takes them for a secret."""
    return hashlib.sha256(said.encode()).hexdigest()[:n].translate(_ALPHABET)


def plant(memory: Carryover, owner: Owner, *, at: int | None = None, coding: bool = True) -> None:
    """A canary of the owner in every column that can hold one; `at` is when the turns were said."""
    _talk(memory, owner, at)
    notice(memory)
    memory.engine.worker.drain()
    _derived(memory, owner)
    if coding:
        _coding(memory, owner)
    _of_user(memory, owner)
    _of_agent(memory, owner)
    memory.search_memory(owner.canaries["turn"].word)
    memory.context(owner.session, agent=owner.agent, user=owner.user)
    assert memory.profiles.persona(owner.user, session_id=owner.session, agent=owner.agent).text


def _talk(memory: Carryover, owner: Owner, at: int | None) -> None:
    of, named = "turns", owner.put
    call = named("call id", of, sealed=False)
    drafts = (
        Draft(
            "user",
            f"We decided to use {named('turn', of)} for the ledger.",
            metadata={"note": named("turn metadata", of)},
            idempotency_key=named("idempotency key", "session", sealed=False),
        ),
        Draft("assistant", [{"type": "text", "text": named("part", of)}], name=named("speaker", of, sealed=False)),
        Draft("assistant", json.dumps({"query": named("tool call", of)}), "tool_call", "look_up", call),
        Draft("tool", named("tool result", of), "tool_result", call_id=call),
        Draft("user", f"From now on, please always sign as {named('noticed', of)}."),
    )
    said = tuple(Draft(**{name: getattr(one, name) for name in Draft.__slots__} | {"created_at": at}) for one in drafts)
    about = {"title": named("session metadata", "session")}
    memory.append(Append(owner.session, said, owner.agent, owner.user, metadata=about))
    assert memory.consolidate(owner.session, agent=owner.agent) is not None


def _derived(memory: Carryover, owner: Owner) -> None:
    """What models would say, where rules say little."""
    of, named, agent, session = "turns", owner.put, owner.agent, owner.session
    quote = Source(session, 1, 1, named("quote", of))
    found = Finding(
        f"f-{owner.session}", "fact", named("finding", of), "active", 1, (quote,), "rules", agent, session,
        subject=named("subject", of),
    )  # fmt: skip
    done = Finding(
        f"g-{owner.session}", "fact", "it was done", "done", 1, (quote,), "rules", agent, session,
        reason=named("reason", of),
    )  # fmt: skip
    made = Snapshot(
        session, agent, 2, 5, 1, "rules", named("snapshot", of), (found, done), themes=(Theme(named("theme", of), 2),)
    )
    summary = Summary("", agent, session, 1, RECIPE.recipe, named("summary", of), 4, "rules", 0, user_id=owner.user)
    with memory.engine.store.write(memory.scope) as tx:
        link = Link(f"elsewhere-{owner.name}", "done", None, named("link", of))
        snapshots.add(tx, made, user=owner.user, links_made=[link])
        tiers.put(tx, [Step(found.id, 2, agent, session, "compressed", named("tier", of), 1, 9)], user=owner.user)
        verdicts.put(tx, [(found, Verdict("fails", 1, 1, (named("verdict", of),)))])
        summaries.put(tx, summary, version=5, attempts=1)
        runs.add(
            tx, agent, session, named("run", of, sealed=False), 1, [("model_request", 1, {"x": named("event", of)})]
        )
        strategies.put(tx, agent, session, {"summary_prefix": named("strategy", "session", sealed=False)})
        views.tell(tx, agent, session, named("view", of, sealed=False), moves=1, cut=1, cleared=1)
        vectors.add(tx, SPACE, [(chunks.of_session(tx, agent, session)[0].n, [1.0, 0.0])])
        usages.record(tx, Job(tx.tenant, "consolidate", f"{agent}/{session}", 0, 1), Usage("fake", 1, 5))
    _failed(memory, f"{agent}/{session}", named("failure", of, sealed=False))


def _failed(memory: Carryover, subject: str, reason: str) -> None:
    """A job of the subject that gave up, for this reason."""
    with memory.engine.store.write(memory.scope) as tx:
        queue.arm(tx, [("planted", subject, tx.now)])
        job = queue.claim(tx, ["planted"], lease_ms=1000, subject=subject)
        assert job is not None
        queue.fail(tx, job, reason, due=None)


def _coding(memory: Carryover, owner: Owner) -> None:
    """A log of the session as agents leave them, and what was made of it."""
    of, named, agent, session = "session", owner.put, owner.agent, owner.session
    path = f"/logs/{named('path', of, sealed=False)}/{session}.jsonl"
    plain = f"a line of {named('log', of)}\n".encode() * 20
    part = segment(plain, packer())
    state = f'{{"title":"{named("log title", of)}"}}'
    about = About(title=named("title", of), first_at=1)
    repo = named("repo", of, sealed=False)
    shown = Evidence(agent, session, 1, 1, named("evidence", of), repo)
    with memory.engine.store.write(memory.scope) as tx:
        cursors.put(tx, [Cursor(path, "codex", Stamp(1, 2, 3, 4), len(plain), "p", part.hash, state)])
        archive.put(tx, path, 0, [archive.Piece(0, 0, part)])
        origins.put(tx, [(agent, session, path, about)])
        marks.add(tx, [{"uid": bytes.fromhex(uid(session)), "agent": agent, "session": session, "seq": 1}])
        spends.put(tx, [(agent, session, Spend(uid("call", session), 1, named("model", of, sealed=False), 1))])
        digests.put(
            tx, Digest(agent, session, "codex", DIGEST_VERSION, "h", repo=repo, title=named("digest", of)), owner.user
        )
        patterns.put(tx, Pattern(uid(session), 1, "candidate", "loop", "k", "t", "l", evidence=(shown,)))


def _of_user(memory: Carryover, owner: Owner) -> None:
    """What is known of the user beside the session."""
    named, user = owner.put, owner.user
    prefer(memory, user, named("preference", "turns"), agent=owner.agent, session=owner.session)
    vault = memory.engine.vault
    with memory.engine.store.write(memory.scope) as tx:
        # Not by its verb, which is audited: what was done to whom stays in the audit log.
        profiles.edit(tx, vault, user, Edits({}, (), (), (f"I like {named('edit', 'user')}",)), None)
        keys.create(tx, label=named("key label", "user", sealed=False), user=user)
        hold = holds.place(tx, agent=None, session=None, user=user, reason=named("hold", "user", sealed=False))
        holds.release(tx, hold.id)
    _failed(memory, f"planted//{user}", named("failure of user", "user", sealed=False))


def _of_agent(memory: Carryover, owner: Owner) -> None:
    """What is set for the agent beside the session."""
    named, agent = owner.put, owner.agent
    with memory.engine.store.write(memory.scope) as tx:
        strategies.put(tx, agent, "", {"summary_prefix": named("strategy of agent", "agent", sealed=False)})
        hold = holds.place(
            tx, agent=agent, session=None, user=None, reason=named("hold of agent", "agent", sealed=False)
        )
        holds.release(tx, hold.id)
    _failed(memory, f"{agent}/", named("failure of agent", "agent", sealed=False))


def columns_with(store: Store, words: Iterable[str]) -> set[str]:
    """The columns that hold any of the words."""
    canaries, held = Canaries(words), set[str]()
    with store.read(EVERY_TENANT) as tx:
        for table in metadata.sorted_tables:
            rows = tx.conn.execute(sa.select(table)).all()
            for column in table.c:
                if isinstance(column.type, (sa.Text, sa.LargeBinary)):
                    texts = (_bytes(getattr(row, column.name)) for row in rows)
                    if any(_says(canaries, text) for text in texts):
                        held.add(f"{table.name}.{column.name}")
    return held


def _bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)


def _says(canaries: Canaries, text: bytes) -> bool:
    return any(True for _ in canaries.found("", text)) or any(True for _ in canaries.found("", unpack(text) or b""))


def opened(memory: Carryover) -> Iterator[tuple[str, bytes]]:
    """All that opens with the keys that there are, each with the column that it stands in."""
    with memory.engine.store.read(Scope(memory.scope.tenant)) as tx:
        yield from _of_sessions(tx)
        yield from _of_vault(tx)


def _of_sessions(tx: Tx) -> Iterator[tuple[str, bytes]]:
    for table, covered in sealed.SEALED.items():
        rows = tx.conn.execute(sa.select(table).where(table.c.tenant == tx.tenant)).all()
        for _, texts in sealed.opened(tx, table, rows):
            yield from ((f"{table.name}.{n}", _bytes(t)) for n, t in zip(covered.columns, texts, strict=True))
    rows = metadata.tables["sessions"]
    for agent, session, kept in tx.conn.execute(sa.select(rows.c.agent, rows.c.session, rows.c.metadata)).all():
        yield "sessions.metadata", _bytes(tx.opened(f"sessions/{agent}/{session}", kept))
        for link in turns.linked(tx, agent, session, 0, 1000):
            yield "bodies.body", _bytes(link.row["body"])
            yield "turns.metadata", _bytes(link.row["metadata"])


def _of_vault(tx: Tx) -> Iterator[tuple[str, bytes]]:
    """What the keys of users and of the tenant open."""
    assert tx.sealing is not None
    vault = tx.sealing.vault
    segments = metadata.tables["segments"]
    for hash in tx.conn.execute(sa.select(segments.c.hash).where(segments.c.tenant == tx.tenant)).scalars().all():
        yield "segments.body", unpack(archive.body(tx, hash) or b"") or b""
    logs = metadata.tables["cursors"]
    for path in tx.conn.execute(sa.select(logs.c.path).where(logs.c.tenant == tx.tenant)).scalars().all():
        cursor = cursors.get(tx, path)
        yield "cursors.state", _bytes(None if cursor is None else cursor.state)
    places = {
        preference_rows: ("sealed", lambda row: f"preferences/{row.id}"),
        profile_rows: ("edits", lambda row: "profiles"),
        persona_codes: ("sealed", lambda row: "persona_codes"),
        personas_shown: ("sealed", lambda row: f"personas_shown/{row.agent}/{row.session}"),
        codebooks: ("sealed", lambda row: f"codebooks/{row.version}"),
    }
    for table, (name, place) in places.items():
        for row in tx.conn.execute(sa.select(table).where(table.c.tenant == tx.tenant)).all():
            kept, user = getattr(row, name), row.user if "user" in table.c else ""
            if kept:
                yield f"{table.name}.{name}", vault.open(tx.tenant, user, place(row), bytes(kept)) or b""
