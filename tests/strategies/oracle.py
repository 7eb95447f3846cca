"""What the laws go by: an account of a log and of its view that is slow, plain, and made without the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.session import Turn
from carryover.core.strategy import MODES, Item, Mode
from carryover.strategies.groups import outline_of
from carryover.strategies.plan import Plan, plan
from carryover.strategies.render import agreed, items_of
from strategies.logs import Case, cases, live_seqs, sketched


def every_mode(
    examples: int = 30, modes: Sequence[Mode] = MODES, **drawn: Any
) -> Callable[[Callable[[Case], None]], Callable[..., None]]:
    """The law is tried on random cases of each mode."""

    def decorated(law: Callable[[Case], None]) -> Callable[..., None]:
        @pytest.mark.parametrize("mode", modes)
        @settings(max_examples=examples)
        @given(data=st.data())
        def test(mode: Mode, data: st.DataObject) -> None:
            law(data.draw(cases((mode,), **drawn)))

        return test

    return decorated


@dataclass(frozen=True)
class Told:
    """A log as people read it: what was not taken back, which result answers which call, and what was never answered.

    Everything goes by places in the log.
    """

    turns: Sequence[Turn]

    @cached_property
    def live(self) -> list[Turn]:
        seqs = set(live_seqs(self.turns))
        return [turn for turn in self.turns if turn.seq in seqs]

    @cached_property
    def users(self) -> list[int]:
        """The users' messages."""
        return [turn.seq for turn in self.live if turn.role == "user" and turn.kind == "message"]

    @cached_property
    def leading(self) -> list[int]:
        """The system turns that the log begins with."""
        first = next((n for n, turn in enumerate(self.live) if turn.role != "system"), len(self.live))
        return [turn.seq for turn in self.live[:first]]

    @cached_property
    def pairs(self) -> dict[int, int]:
        """Calls and their results: a result answers the call with its id that has none yet.

        Where several wait under one id, any of them may be the one: then it is the one that the pipeline takes.
        """
        found: dict[int, int] = {}
        outline = outline_of(sketched(self.turns))
        taken = {outline.seqs[result]: outline.seqs[call] for result, call in outline.asked.items()}
        for n, turn in enumerate(self.live):
            if turn.kind == "tool_result":
                asked = (one for one in self.live[:n] if one.kind == "tool_call")
                waiting = [one.seq for one in asked if one.call_id == turn.call_id and one.seq not in found]
                if waiting:
                    call = waiting[0] if len(waiting) == 1 else taken[turn.seq]
                    assert call in waiting
                    found[call] = turn.seq
        return found

    @cached_property
    def tools(self) -> dict[int, str | None]:
        """The tool of each call and of each result that answers one."""
        calls = {turn.seq: turn.name for turn in self.live if turn.kind == "tool_call"}
        return calls | {result: calls[call] for call, result in self.pairs.items()}

    @cached_property
    def orphans(self) -> set[int]:
        answers = set(self.pairs.values())
        return {turn.seq for turn in self.live if turn.kind == "tool_result" and turn.seq not in answers}

    @cached_property
    def open(self) -> set[int]:
        """Calls that may still be answered: no user's message came after them."""
        last = self.users[-1] if self.users else 0
        return {
            one.seq for one in self.live if one.kind == "tool_call" and one.seq not in self.pairs and one.seq > last
        }

    @cached_property
    def dead(self) -> set[int]:
        """Calls that nobody will answer any more."""
        calls = {turn.seq for turn in self.live if turn.kind == "tool_call"}
        return calls - set(self.pairs) - self.open

    @cached_property
    def lost(self) -> set[int]:
        """Reasoning that led to nothing that is left."""
        found: set[int] = set()
        for n in reversed(range(len(self.live))):
            if self.live[n].kind == "reasoning":
                rest = [one for one in self.live[n + 1 :] if one.seq not in self.dead and one.seq not in found]
                if n + 1 < len(self.live) and (not rest or rest[0].role != "assistant"):
                    found.add(self.live[n].seq)
        return found

    @cached_property
    def bulk(self) -> list[Turn]:
        """The log without what no model can be shown."""
        hidden = self.dead | self.orphans | self.lost
        return [turn for turn in self.live if turn.seq not in hidden]

    @cached_property
    def late(self) -> set[int]:
        """Results before which a user spoke again, and their calls."""
        pairs = [pair for pair in self.pairs.items() if any(pair[0] < user < pair[1] for user in self.users)]
        return {seq for pair in pairs for seq in pair}

    @cached_property
    def rounds(self) -> list[int]:
        """The first calls of each round: calls that are made before all of those before them are answered."""
        found: list[int] = []
        waits = 0  # up to where the newest round waits for results
        for turn in self.live:
            if turn.kind == "tool_call":
                if turn.seq > waits:
                    found.append(turn.seq)
                end = next((user for user in self.users if user > turn.seq), len(self.turns))
                waits = max(waits, self.pairs.get(turn.seq, end))
        return found

    def tail(self, turns: int) -> int:
        """Where so many last turns of users begin, or as many as there are."""
        kept = self.users[-turns:] if turns else []
        return kept[0] if kept else 0 if turns else len(self.turns) + 1


@dataclass(frozen=True)
class Looked:
    """What the pipeline makes of a case."""

    case: Case
    upto: int | None = None

    @cached_property
    def turns(self) -> list[Turn]:
        return self.case.turns[: self.upto]

    @cached_property
    def told(self) -> Told:
        return Told(self.turns)

    @cached_property
    def plan(self) -> Plan:
        made = plan(self.case.sketches[: self.upto], self.case.strategy, self.case.summaries)
        return agreed(made, items_of(made, {turn.seq: turn for turn in self.turns}, self.case.strategy))

    @cached_property
    def items(self) -> list[Item]:
        return items_of(self.plan, {turn.seq: turn for turn in self.turns}, self.case.strategy)

    @cached_property
    def shown(self) -> dict[int, Item]:
        """The items of turns."""
        return {item.seq: item for item in self.items if item.seq is not None}

    @cached_property
    def taken_back(self) -> bool:
        """Whether turns were taken back since something was cut or cleared last."""
        moved = self.plan.moves[-1].at if self.plan.moves else len(self.turns)
        return any(turn.kind == "retraction" and turn.seq > moved for turn in self.turns)

    @cached_property
    def reason(self) -> dict[int, str]:
        """Why each turn is shown, or is not."""
        operations = [operation for operation in self.plan.operations if operation.op != "insert"]
        return {seq: one.reason for one in operations for seq in range(one.first, one.last + 1)}


def steps(law: Callable[[Looked, Looked], None]) -> Callable[[Case], None]:
    """A law of what happens to a view when its log has one turn more."""

    @wraps(law)
    def checked(case: Case) -> None:
        before = Looked(case, 0)
        for seq in range(1, len(case.turns) + 1):
            after = Looked(case, seq)
            law(before, after)
            before = after

    return checked
