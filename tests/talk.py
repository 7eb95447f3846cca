"""What tests of memory and recall share: talking to a store, and remembering without an extractor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from carryover.core.chunk import Chunk
from carryover.core.ids import new_id
from carryover.core.ports import Extractor
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft, Source
from carryover.core.snapshot import Finding, Snapshot
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.log.append import Limits, append, open_log
from carryover.memory.choice import Extractors
from carryover.memory.consolidate import consolidation
from carryover.store import chunks, sessions, snapshots
from carryover.store.sessions import Head
from carryover.store.snapshots import Link
from carryover.store.store import Store, Tx

LIMITS = Limits()


def say(
    store: Store,
    scope: Scope,
    session: str,
    lines: Sequence[str | Draft],
    *,
    agent: str = "ada",
    user: str | None = None,
) -> int:
    """The lines are logged, user and assistant in turn; the session's version."""
    drafts = tuple(
        line if isinstance(line, Draft) else Draft("assistant" if n % 2 else "user", line)
        for n, line in enumerate(lines)
    )
    return append(open_log(store, LIMITS), scope, Append(session, drafts, agent, user), LIMITS).version


def worker(store: Store, extractor: Extractor, cap: Cap | None = None) -> Worker:
    return Worker(store, {"consolidate": consolidation(Extractors(extractor))}, lambda _: cap or Cap())


def consolidate(store: Store, scope: Scope, session: str, extractor: Extractor, *, agent: str = "ada") -> None:
    """The session is closed, and what is due is done."""
    lifecycle.close(store, scope, agent, session)
    worker(store, extractor).drain(tenant=scope.tenant)


def begun(tx: Tx, keys: Iterable[tuple[str, str]]) -> None:
    """The (agent, session) pairs are sessions, without a turn where they were none before."""
    wanted = sorted(set(keys))
    there = sessions.find(tx, wanted)
    new = [
        Head(*key, None, 0, 0, tx.now, tx.now, tx.now, None, None, None, "{}", tx.new_key())
        for key in wanted
        if key not in there
    ]
    sessions.put(tx, new)


def add_chunks(tx: Tx, new: Sequence[Chunk]) -> list[Chunk]:
    """The chunks can be found, whether their sessions were there or not."""
    begun(tx, [(chunk.agent_id, chunk.session_id) for chunk in new])
    return chunks.add(tx, new)


def note(text: str, kind: Any = "fact", *, session: str = "s1", at: int = 1, **more: Any) -> Finding:
    """A finding that stands on the first turn of its session."""
    given: Mapping[str, Any] = {
        "id": new_id("f"),
        "status": "open" if kind == "task" else "active",
        "learned_at": at,
        "sources": (Source(session, 1, 1, text[:40]),),
        "by": "test",
        "agent_id": "ada",
        "session_id": session,
        "salience": 0.5,
    }
    return Finding(kind=kind, text=text, **{**given, **more})


def remember(
    store: Store,
    scope: Scope,
    session: str,
    findings: Sequence[Finding],
    *,
    summary: str = "",
    through: int = 1,
    agent: str = "ada",
    user: str | None = None,
    links: Sequence[Link] = (),
) -> Snapshot:
    """The findings are the session's next snapshot."""
    with store.write(scope) as tx:
        last = snapshots.latest(tx, agent, session)
        made = Snapshot(
            session_id=session,
            agent_id=agent,
            version=last.version + 1 if last else 1,
            through=through,
            created_at=tx.now,
            by="test",
            summary=summary,
            findings=tuple(findings),
        )
        begun(tx, [(agent, session), *((agent, s.session_id) for finding in findings for s in finding.sources)])
        snapshots.add(tx, made, user=user, links_made=links)
    return made
