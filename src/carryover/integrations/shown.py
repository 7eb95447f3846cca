"""Messages that are other libraries' objects: as a strategy shows them, and as turns of a log.

A message is one turn or several: what it says, and each of its calls or results. What a strategy leaves as it is
stays the object that it was; of the others each library's file makes copies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from carryover.core.errors import NotFound
from carryover.core.session import Append, Appended, Draft, Turn, to_json
from carryover.core.strategy import Sketch, Strategy
from carryover.core.text import content_tokens, digest
from carryover.memories import Memory
from carryover.strategies.plan import plan
from carryover.strategies.resolve import resolve

Message = TypeVar("Message")
Fate = str | bool  # of a turn: shown or not, or the text that stands for its output or its arguments
Said = Callable[[Message], list[Draft]]  # the turns of a message
Copied = Callable[[Message, Sequence[Fate]], Message]  # a message of whose turns not all are shown as they are

_PAGE = 500
_BATCH = 5_000  # turns of one append


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was logged, and what becomes of its turns."""

    message: dict[str, Any]
    fates: list[Fate]


def strategy_of(given: Strategy | Mapping[str, Any]) -> Strategy:
    """The strategy itself, or the one that the fields describe. Raises Invalid for fields that cannot be."""
    return given if isinstance(given, Strategy) else resolve(given, {}, {})[0]


def viewed(
    messages: Sequence[Message], strategy: Strategy, said: Said[Message], copied: Copied[Message]
) -> list[Message]:
    """The messages as the strategy shows them: each as the object that it is, as a copy, or not at all."""
    turns = [said(message) for message in messages]
    fates = _fates(turns, strategy)
    made: list[Message] = []
    for message, own in zip(messages, turns, strict=True):
        became = [next(fates) for _ in own]
        if all(fate is True for fate in became):
            made.append(message)
        elif any(became):
            made.append(copied(message, became))
    return made


def _fates(messages: Sequence[Sequence[Draft]], strategy: Strategy) -> Iterator[Fate]:
    sketches: list[Sketch] = []
    for drafts in messages:
        for draft in drafts:
            tokens = content_tokens(json.loads(to_json(draft.content)))
            at = draft.created_at or 0
            sketches.append(Sketch(len(sketches) + 1, draft.role, draft.kind, tokens, at, draft.name, draft.call_id))
    made = plan(sketches, strategy)
    shown: dict[int, Fate] = {
        seq: made.placeholders[seq] if action == "replace" else True for seq, action in made.shown()
    }
    return (shown.get(sketch.seq, False) for sketch in sketches)


def stamped(label: str, key: str, message: Any, drafts: Sequence[Draft]) -> list[Draft]:
    """The turns of a message with all of it in the metadata of the first, so that it can be had again as it was.

    Logged once under the `key`, however often it is appended.
    """
    made: list[Draft] = []
    for n, draft in enumerate(drafts):
        place: dict[str, Any] = {"key": key, "part": [n, len(drafts)]} | ({} if n else {"message": message})
        made.append(replace(draft, metadata={label: place}, idempotency_key=f"{key}:{n}"))
    return made


def key_of(*parts: str) -> str:
    """An idempotency key for a message that these texts tell from all others of its session."""
    return digest(*parts)


def append(memory: Memory, whose: tuple[str, str, str | None], drafts: Sequence[Draft]) -> Appended | None:
    """The drafts are in the log of the (agent, session, user), each of them once; None where none were given."""
    agent, session, user = whose
    done: Appended | None = None
    for first in range(0, len(drafts), _BATCH):
        done = memory.append(Append(session, tuple(drafts[first : first + _BATCH]), agent, user))
    return done


def logged(memory: Memory, agent: str, session: str, label: str) -> list[Stored | Draft]:
    """All messages of the log as they were appended, and what others appended, but for what was taken back.

    Nothing is there of a session that does not exist.
    """
    turns = _turns(memory, agent, session)
    gone = {seq for turn in turns.values() for seq in _taken_back(turn)}
    return _joined(turns, [(turn, True) for turn in turns.values() if turn.seq not in gone], label)


def shown(
    memory: Memory, agent: str, session: str, label: str, strategy: Mapping[str, Any] | None
) -> list[Stored | Draft]:
    """What the strategy in force, with these fields on top of it, shows of the log; summaries and such are drafts."""
    items: Sequence[dict[str, Any]] = memory.strategies.view(session, agent=agent, strategy=strategy).items
    turns = _turns(memory, agent, session)
    shown: list[tuple[Turn | Draft, Fate]] = []
    for item in items:
        native = {"format": item["format"]} if "format" in item else None
        names = item.get("name"), item.get("call_id")
        draft = Draft(item["role"], item["content"], item["kind"], *names, metadata=native)
        turn = turns.get(item.get("seq", 0))
        if turn is None or _place(turn, label) is None:
            shown.append((draft, True))
        else:
            shown.append((turn, _text(item) if item.get("replaced") else True))
    return _joined(turns, shown, label)


def _text(item: Mapping[str, Any]) -> str:
    return item["content"] if isinstance(item["content"], str) else json.dumps(item["content"])


def _joined(turns: Mapping[int, Turn], shown: Iterable[tuple[Turn | Draft, Fate]], label: str) -> list[Stored | Draft]:
    """The turns as the messages that they were parts of; those of others as drafts."""
    made: list[Stored | Draft] = []
    messages = {place["key"]: place["message"] for turn in turns.values() if (place := _place(turn, label, 0))}
    begun: dict[str, Stored] = {}
    for turn, fate in shown:
        place = _place(turn, label) if isinstance(turn, Turn) else None
        if isinstance(turn, Draft) or place is None:
            made.append(turn if isinstance(turn, Draft) else _draft(turn))
            continue
        key, (part, of) = place["key"], place["part"]
        if key not in begun:
            begun[key] = Stored(messages[key], [False] * of)
            made.append(begun[key])
        begun[key].fates[part] = fate
    return made


def _draft(turn: Turn) -> Draft:
    return Draft(turn.role, turn.body, turn.kind, turn.name, turn.call_id, metadata=turn.metadata)


def _place(turn: Turn, label: str, part: int | None = None) -> dict[str, Any] | None:
    """Which part of which message of this library the turn is; None where it is none, or not the part asked for."""
    if turn.metadata is None or label not in turn.metadata:
        return None
    place = json.loads(turn.metadata).get(label)
    return place if part is None or (place and place["part"][0] == part) else None


def _taken_back(turn: Turn) -> list[int]:
    """The turns that a retraction takes back, and itself."""
    if turn.kind != "retraction":
        return []
    first, last = turn.retracts or (1, 0)
    return [*range(first, last + 1), turn.seq]


def _turns(memory: Memory, agent: str, session: str) -> dict[int, Turn]:
    """All turns of the log, in their order; none of a session that does not exist."""
    found: dict[int, Turn] = {}
    after = 0
    try:
        while page := memory.turns(session, agent=agent, after=after, limit=_PAGE)[1]:
            found |= {turn.seq: turn for turn in page}
            after = page[-1].seq
            if len(page) < _PAGE:
                break
    except NotFound:
        return {}
    return found
