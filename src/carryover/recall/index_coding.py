"""The digest of a coding session as search finds it: on one page, and another one once it has changed."""

from __future__ import annotations

from datetime import UTC, datetime

from carryover.core.chunk import Chunk
from carryover.core.page import page
from carryover.core.step import FLAVORS, uid
from carryover.recall.words import terms
from carryover.store import chunks, digests
from carryover.store.sessions import Head
from carryover.store.store import Tx


def changed(tx: Tx, head: Head) -> tuple[Chunk, ...] | None:
    """What should be indexed of the session's digest; None where that is what is indexed."""
    if head.agent not in FLAVORS:
        return None
    wanted = tuple(chunks.worded(tx, _chunks(tx, head)))
    known = chunks.of_session(tx, head.agent, head.session, findings_only=True)
    said = [(chunk.text, chunk.terms) for chunk in known if chunk.kind == "digest"]
    return None if said == [(chunk.text, chunk.terms) for chunk in wanted] else wanted


def _chunks(tx: Tx, head: Head) -> tuple[Chunk, ...]:
    digest = digests.get(tx, head.agent, head.session)
    if digest is None:
        return ()
    text = page(digest)
    at = digest.ended_at or head.updated_at
    day = datetime.fromtimestamp(at / 1000, UTC)
    # It stands where what decided the outcome was said: around that, ranking looks for more.
    place = next((source.first for source in digest.because if source.first <= head.version), head.version)
    return (
        Chunk(
            n=0,
            kind="digest",
            ref=f"d_{uid(head.agent, head.session)[:26]}",
            agent_id=head.agent,
            session_id=head.session,
            user_id=head.user,
            first=place,
            last=place,
            part=0,
            role="assistant",
            name=None,
            text=text,
            created_at=at,
            terms=" ".join(terms(f"{day.day} {day:%B} {day.year} {text}")),
        ),
    )
