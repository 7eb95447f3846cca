"""Steps of coding sessions to turns of their logs: once each, in order, with all that follows from it armed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carryover.core.chain import linked
from carryover.core.event import Action
from carryover.core.job import subject_of
from carryover.core.session import to_json
from carryover.core.step import Flavor, Spend, Step, draft_of, step_of, uid
from carryover.core.text import clean, estimate_tokens
from carryover.store import events, marks, queue, sessions, spends, turns
from carryover.store.sessions import Head
from carryover.store.store import Tx

DIGEST = "digest"  # the kind of the job that makes a session's digest
_INDEX = "index"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of one session: its steps in their order, and its spends; its list shows `metadata` of it."""

    agent: Flavor
    session: str
    steps: Sequence[Step]
    user: str | None = None
    metadata: dict[str, Any] | None = None
    spends: Sequence[Spend] = ()


def append(
    tx: Tx,
    agent: Flavor,
    session: str,
    steps: Sequence[Step],
    *,
    user: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> int:
    """The steps are turns of the session's log, except those that it holds already; how many were new."""
    return append_all(tx, [Found(agent, session, steps, user, metadata)]).total()


def append_all(tx: Tx, found: Sequence[Found], *, indexed: bool = True) -> Counter[tuple[Flavor, str]]:
    """As `append`, for many (agent, session) at once. Their digests are due, and with `indexed` their indexing.

    So are the digests of other sessions with copies of these steps or spends: which of them counts may have changed.
    """
    spends.put(tx, [(one.agent, one.session, spend) for one in found for spend in one.spends])
    heads = sessions.find(tx, list({(one.agent, one.session): None for one in found}))
    before = set(heads)
    rows: list[dict[str, Any]] = []
    marked: list[dict[str, Any]] = []
    counts: Counter[tuple[Flavor, str]] = Counter()
    written: dict[tuple[str, str], set[bytes]] = {}
    for one in found:
        key = (one.agent, one.session)
        head = heads.get(key)
        new = _unseen(tx, one, written.setdefault(key, set()), fresh=key not in before)
        if head is None and not new:
            continue  # nothing was said in it yet
        head = head or _fresh(tx, one)
        placed = [{**_row(tx, one, seq, step), "key": head.key} for seq, step in enumerate(new, head.version + 1)]
        made = linked(placed, head.chain)
        rows += made
        marked += [
            {"uid": bytes.fromhex(step.uid), "agent": one.agent, "session": one.session, "seq": row["seq"]}
            for step, row in zip(new, made, strict=True)
        ]
        heads[key] = _grown(tx, head, made, one.metadata)
        counts[key] += len(made)
    touched = {key: heads[key] for key in counts}
    turns.add(tx, rows)
    marks.add(tx, marked)
    sessions.put(tx, touched.values())
    spent = {spends.key_of(spend) for one in found for spend in one.spends}
    _arm(tx, touched, marks.holders(tx, [row["uid"] for row in marked], sorted(spent)), indexed=indexed)
    happened: list[tuple[Action, str, str, str | None, dict[str, Any]]] = [
        ("ingest", *key, touched[key].user, {"turns": new}) for key, new in counts.items() if new
    ]
    if happened:
        events.add(tx, happened)
    return counts


def of_session(tx: Tx, agent: str, session: str) -> Iterator[tuple[int, Step]]:
    """The steps of a session with their turns' numbers, in the order in which they were logged."""
    last = 0
    while page := turns.after(tx, agent, session, last, _PAGE):
        for turn in page:
            step = step_of(turn)
            if step is not None:
                yield turn.seq, step
        last = page[-1].seq


def _fresh(tx: Tx, one: Found) -> Head:
    times = tx.now, tx.now, tx.now
    return Head(one.agent, one.session, one.user, 0, 0, *times, None, None, None, "{}", key=tx.new_key())


def due(tx: Tx, keys: Iterable[tuple[str, str]]) -> None:
    """The digests of these (agent, session) are to be made anew."""
    queue.arm(tx, [(DIGEST, subject_of(*key), tx.now) for key in sorted(set(keys))], push=False)


def _arm(tx: Tx, touched: Collection[tuple[str, str]], sharers: Iterable[tuple[str, str]], *, indexed: bool) -> None:
    # What a session only spent makes no digest: nothing was said in it.
    due(tx, {*touched, *sessions.find(tx, sorted(set(sharers).difference(touched)), lock=False)})
    if indexed:
        queue.arm(tx, [(_INDEX, subject_of(*key), tx.now) for key in touched], push=False)


def _unseen(tx: Tx, one: Found, written: set[bytes], *, fresh: bool) -> list[Step]:
    """Those of the steps that the session does not hold, each once; they are noted in `written`."""
    keys = [bytes.fromhex(step.uid) for step in one.steps]
    known: set[bytes] = set() if fresh else marks.held(tx, one.agent, one.session, list(dict.fromkeys(keys)))
    new: list[Step] = []
    for key, step in zip(keys, one.steps, strict=True):
        if key not in known and key not in written:
            written.add(key)
            new.append(step)
    return new


def _row(tx: Tx, one: Found, seq: int, step: Step) -> dict[str, Any]:
    draft = draft_of(step)
    body = to_json(step.text)
    name, call_id = _label(step.name), _label(step.call_id)
    metadata = str(draft.metadata)
    return {
        "agent": one.agent,
        "session": one.session,
        "seq": seq,
        # Made of what it is, so that a log that is read again somewhere else has the same turns.
        "id": f"t_{uid(one.agent, one.session, step.uid)[:26]}",
        "role": draft.role,
        "kind": draft.kind,
        "name": name,
        "call_id": call_id,
        "created_at": tx.now if step.at is None else step.at,
        "received_at": tx.now,
        "tokens": estimate_tokens(step.text),
        "metadata": metadata,
        "idempotency_key": None,
        "digest": "",  # only those with an idempotency key are compared by it
        "body": body,
    }


def _label(text: str | None) -> str | None:
    """A name or an id as any database can hold it."""
    return None if text is None else clean(text)[:512]


def _grown(tx: Tx, head: Head, rows: Sequence[dict[str, Any]], metadata: dict[str, Any] | None) -> Head:
    known = json.loads(head.metadata)
    said = {**known, **(metadata or {})}
    times = [row["created_at"] for row in rows]
    return replace(
        head,
        version=head.version + len(rows),
        tokens=head.tokens + sum(row["tokens"] for row in rows),
        chain=rows[-1]["chain"] if rows else head.chain,
        updated_at=max([*times, *([head.updated_at] if head.version else [])], default=tx.now),
        created_at=min([head.created_at, *times]),
        metadata=head.metadata if said == known else json.dumps(said, ensure_ascii=False, separators=(",", ":")),
    )
