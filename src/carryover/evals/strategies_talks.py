"""Conversations to replay: turns in their order, and where in them a model was asked.

Of published conversations, of coding agents' logs, of your own log, or made up; nothing is written anywhere.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import exp, log
from pathlib import Path
from typing import Any

from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.discover import files_in, given_places
from carryover.coding.logs.reading import beginning, opened, read
from carryover.core.clock import Time
from carryover.core.errors import CarryoverError, Invalid
from carryover.core.paging import PAGE
from carryover.core.scope import Scope
from carryover.core.session import Draft, Kind, Role, Session, Turn, to_json
from carryover.core.step import Step, draft_of, step_of
from carryover.core.text import estimate_tokens, plain
from carryover.evals.labelled import Conversation, beam, locomo, longmemeval
from carryover.log import read as reading
from carryover.store.store import Store

PUBLISHED = {"locomo": locomo, "beam": beam, "longmemeval": longmemeval}
CODING, OWN, MADE_UP = "coding", "your log", "made up"
SESSIONS = 200  # of your own log, unless more are asked for
Holders = tuple[tuple[int, ...], ...]  # for each name the turns that hold it
_FEWEST = 2  # requests: of one there is no view before
# What a coding agent's records say beside the conversation: no model was shown it, or it stood for turns.
_ASIDE = ("note", "outcome", "failure", "compaction")
_NAMED = re.compile(r"[A-Za-z_][\w./-]{7,79}")
_TELLING = re.compile(r"[\d_/.]|[a-z][A-Z]")  # a path, a number, or a name in a program


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation. The model was asked when the log had as many turns as each of `asks` says.

    `evidence` are the turns that hold the answers of labelled questions, each asked at the end. `taken_up` says for a
    request, by its place in `asks`, which earlier turns hold each name, path or number that the model then used.
    """

    dataset: str
    name: str
    turns: tuple[Turn, ...]
    asks: tuple[int, ...]
    evidence: tuple[frozenset[int], ...] = ()
    taken_up: dict[int, Holders] | None = None


def found(folder: Path, most: int | None = None) -> Iterator[Talk]:
    """The labelled conversations in the folder, or else the coding agents' sessions; of each set at most so many.

    Raises Invalid where there are none of either.
    """
    labelled = [name for name in PUBLISHED if (folder / name).is_dir()]
    sets = [published(folder, name) for name in labelled] or [coding(folder)]
    some = False
    for talks in sets:
        for talk in islice(talks, most):
            some = True
            yield talk
    if not some:
        raise Invalid(
            f"{folder} holds neither {', '.join(PUBLISHED)} nor sessions of coding agents; name another folder",
            field="folder",
        )


def published(folder: Path, name: str) -> Iterator[Talk]:
    """The labelled conversations of a set, all sessions of one as one conversation."""
    return (_labelled(name, one) for one in PUBLISHED[name](folder / name))


def coding(folder: Path) -> Iterator[Talk]:
    """The sessions of coding agents whose logs lie below the folder; of several copies the longest."""
    found: dict[tuple[str, str], list[Step]] = {}
    for path, _ in files_in(given_places([folder])):
        for flavor, session, steps in _steps(Path(path)):
            if len(steps) > len(found.get((flavor, session), ())):
                found[flavor, session] = steps
    for (flavor, session), steps in sorted(found.items()):
        talk = _coded(CODING, f"{flavor}/{session}", steps)
        if len(talk.asks) >= _FEWEST:
            yield talk


def own(store: Store, scope: Scope, most: int = SESSIONS) -> Iterator[Talk]:
    """The sessions of your own log, those that changed last first; it is only read."""
    left = most
    for head in _heads(store, scope):
        if not left:
            return
        turns = tuple(reading.every(store, scope, head.agent_id, head.session_id, head.version))
        name = f"{head.agent_id}/{head.session_id}"
        steps = [step for turn in turns if (step := step_of(turn)) is not None]
        talk = _coded(OWN, name, steps) if steps else Talk(OWN, name, turns, asked_at(turns))
        if len(talk.asks) >= _FEWEST:
            left -= 1
            yield talk


def made_up(seed: int = 0, turns: int = 300, talks: int = 1, outputs: tuple[int, int] = (200, 2500)) -> Iterator[Talk]:
    """Conversations with up to four tool calls a turn, and one request for each turn; the same seed makes the same."""
    for number in range(talks):
        draw = random.Random(f"{seed}/{number}")
        made, asks = _Turns(), list[int]()
        for _ in range(turns):
            made.at += 20_000
            made.add("user", "message", draw.randint(20, 120))
            asks.append(len(made.turns))
            for call in range(draw.randint(0, 4)):
                id = f"call-{len(made.turns)}-{call}"
                made.add("assistant", "tool_call", draw.randint(30, 80), name="search", call_id=id)
                size = int(exp(draw.uniform(log(outputs[0]), log(outputs[1]))))  # many are small, and some are large
                made.add("tool", "tool_result", size, name="search", call_id=id)
            made.add("assistant", "message", draw.randint(80, 350))
        yield Talk(MADE_UP, f"{seed}/{number}", tuple(made.turns), tuple(asks))


def asked_at(turns: Iterable[Turn]) -> tuple[int, ...]:
    """How many turns the log had each time before the model said or called something."""
    asks: list[int] = []
    before: Role = "system"
    for n, turn in enumerate(turns):
        if turn.kind == "retraction":
            continue
        if turn.role == "assistant" and before != "assistant" and n:
            asks.append(n)
        before = turn.role
    return tuple(asks)


class _Turns:
    """Turns in the making, their places dense from 1 and their times never before the last one's."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.at: Time = 0

    def add(self, role: Role, kind: Kind, tokens: int, content: Any = "", **more: Any) -> None:
        seq = len(self.turns) + 1
        self.turns.append(Turn(seq, f"t{seq}", role, to_json(content), kind, self.at, tokens, self.at, **more))


def _labelled(dataset: str, conversation: Conversation) -> Talk:
    """All sessions one after the other; of two people who talk, the one who began is answered by a model."""
    made, places = _Turns(), dict[tuple[str, int], int]()
    drafts = [draft for drafts in conversation.sessions.values() for draft in drafts]
    alone = all(draft.role == "user" for draft in drafts)
    first = drafts[0].name if drafts else None
    for session, said in conversation.sessions.items():
        for n, draft in enumerate(said, 1):
            made.at = max(made.at, draft.created_at or 0)
            made.add(_speaks(draft, first if alone else None), "message", _tokens(draft), draft.content)
            places[session, n] = len(made.turns)
    evidence = tuple(frozenset(places[place] for place in asked.gold) for asked in conversation.questions)
    return Talk(dataset, conversation.name, tuple(made.turns), asked_at(made.turns), evidence)


def _speaks(draft: Draft, first: str | None) -> Role:
    return draft.role if first is None or draft.name == first else "assistant"


def _tokens(draft: Draft) -> int:
    return estimate_tokens(plain(draft.content))


def _steps(path: Path) -> Iterator[tuple[str, str, list[Step]]]:
    """What a file holds of each session; a file that cannot be read, or is no log, holds nothing."""
    try:
        head = beginning(path, 64 << 10)
        adapter = adapter_for(head, path) if head else None
        if adapter is None:
            return
        with opened(adapter, path) as file:
            parts = read(adapter, path, file)[0].parts
    except (OSError, CarryoverError):
        return
    for session, part in parts.items():
        yield adapter.flavor, session, part.steps


def _coded(dataset: str, name: str, steps: Sequence[Step]) -> Talk:
    """The conversation with the model as the steps tell it, without what the agent's program says to itself.

    A result counts as large as it was: of most, the log itself keeps an excerpt, and the archive the rest.
    """
    made, texts = _Turns(), list[str]()
    for step in steps:
        if step.kind in _ASIDE or step.branch != "main":
            continue
        made.at = max(made.at, step.at or 0)
        draft = draft_of(step)
        said = f"{step.text}\n{plain([{'input': dict(step.input)}])}" if step.input else step.text
        tokens = max(estimate_tokens(said), (step.size + 3) // 4)
        made.add(draft.role, draft.kind, tokens, draft.content, name=step.name, call_id=step.call_id)
        texts.append(said)
    asks = asked_at(made.turns)
    return Talk(dataset, name, tuple(made.turns), asks, taken_up=_taken_up(made.turns, texts, asks))


def _taken_up(
    turns: Sequence[Turn], texts: Sequence[str], asks: Sequence[int]
) -> dict[int, tuple[tuple[int, ...], ...]]:
    """For each request the earlier turns that hold the names, paths and numbers that the model then used."""
    holding: dict[str, list[int]] = {}
    used: dict[int, Holders] = {}
    seen = 0
    for place, (ask, until) in enumerate(zip(asks, (*asks[1:], len(turns)), strict=False)):
        for turn in turns[seen:ask]:
            for word in _names(texts[turn.seq - 1]):
                holding.setdefault(word, []).append(turn.seq)
        seen = ask
        said = {word for turn in turns[ask:until] if turn.role == "assistant" for word in _names(texts[turn.seq - 1])}
        used[place] = tuple(tuple(holding[word]) for word in sorted(said & holding.keys()))
    return used


def _names(text: str) -> set[str]:
    return {word for word in _NAMED.findall(text) if _TELLING.search(word)}


def _heads(store: Store, scope: Scope) -> Iterator[Session]:
    cursor: str | None = None
    while True:
        page, cursor = reading.listed(store, scope, None, limit=PAGE, cursor=cursor)
        yield from page
        if cursor is None:
            return
