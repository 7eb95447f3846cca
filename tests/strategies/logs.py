"""Random logs, strategies and summaries, for laws that hold for all of them.

A log is drawn as a list of things that happen, each of them one choice out of `EVENTS`, plain ones first, so that a
failing example shrinks to few and plain ones; `written` tells what they leave in the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

from hypothesis import strategies as st

from carryover.core.session import Json, Kind, Role, Turn, to_json
from carryover.core.strategy import MODES, PLACEHOLDER, Mode, Sketch, Strategy, Summary
from carryover.core.text import content_tokens, estimate_tokens
from carryover.strategies.plan import plan

SECOND = 1_000
SILENCE = 3_600 * SECOND
TOOLS = ("look", "write", "shell")


class Event(NamedTuple):
    """Something that happens in a conversation; `size` picks a text, `native` writes it as items of OpenAI's."""

    what: str
    size: int = 0
    native: bool = False


TEXTS = (
    "hi",
    "Please look at the ledger once more, and tell me what is wrong with it. " * 3,
    "報告書を確認してください。" * 8,
    "🧑‍🚀 ünïcödé \u202eabc\u202c e\u0301",
    "half of a pair: \ud83d, \udc00",
    "",
)
OUTPUTS = (
    "ok",
    "found 12 files; the third one is the one that was asked for\n" * 6,
    "",
    "行" * 120,
    "line of a long listing \ud83d\n" * 300,
    'quoted "json": {"a": [1, 2.50, null]} ' * 30,
)
ARGUMENTS = ('{"path": "a"}', '{"text": "' + "lorem ipsum " * 40 + '"}', "{}", "not json at all", '{"日": "本🧑"}')

_PLAIN = ("user", "assistant", "round", "call", "result", "reasoning", "system")
_ODD = ("newest_result", "orphan", "again", "same_id", "parallel", "approval", "picture", "custom", "silence")
_TAKEN_BACK = ("pop", "pop_three", "clear", "half", "first")
EVENTS: tuple[Event, ...] = (
    *(Event(what) for what in _PLAIN),
    *(Event(what, size) for what, size in product(("user", "assistant", "round"), (0, 1, 1, 2, 3, 4, 5))),
    *(Event(what, size) for what, size in product(("call", "result"), (0, 1, 3, 4))),
    *(Event(what, 1) for what in _ODD),
    *(Event(what, size, True) for what, size in product(("user", "round"), (0, 1, 4))),
    *(Event(what, size, True) for what, size in product((*_PLAIN, *_ODD), (0, 1))),
    *(Event(what) for what in _TAKEN_BACK),
)
KEEPING: tuple[Event, ...] = tuple(event for event in EVENTS if event.what not in _TAKEN_BACK)


def events(most: int = 40, among: Sequence[Event] = EVENTS) -> st.SearchStrategy[list[Event]]:
    """What happens in a conversation, in long ones as often as in short ones."""
    one = st.sampled_from(among)
    return st.one_of(st.lists(one, max_size=8), st.lists(one, min_size=most // 2, max_size=most))


def logs(most: int = 40, *, retractions: bool = True) -> st.SearchStrategy[list[Turn]]:
    """Logs of conversations in which so many things happen at most."""
    return events(most, EVENTS if retractions else KEEPING).map(written)


def long_turn(calls: int = 200, before: int = 3) -> list[Turn]:
    """A log with one turn of very many calls, which come after a few turns of talk."""
    talk = [Event("user", 1), Event("assistant", 1)] * before
    return written([*talk, Event("user"), *(Event("round", 1) for _ in range(calls)), Event("assistant")])


def written(happened: Iterable[Event]) -> list[Turn]:
    """The log that all this leaves."""
    writer = _Writer()
    for event in happened:
        writer.take(event)
    return writer.turns


@dataclass(frozen=True, slots=True)
class _Call:
    id: str
    tool: str
    kind: str = "function"


class _Writer:
    """A log in the making; calls without a result are answered in any order, or never."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.waiting: list[_Call] = []
        self.answered: list[_Call] = []
        self._now = 0
        self._calls = 0

    def take(self, event: Event) -> None:
        what, size, native = event
        if what in ("user", "assistant", "system"):
            self._message(what, TEXTS[size], native)
        elif what == "picture":
            self._picture(native)
        elif what == "reasoning":
            self._reasoning(native)
        elif what == "call":
            self._call(size, native)
        elif what == "round":
            self._round(size, native)
        elif what == "parallel":
            for _ in range(3):
                self._call(size, native)
        elif what == "same_id":
            self._call(size, native, id="same")
        elif what == "approval":
            self._approval(size, native)
        elif what == "custom":
            self._custom(size)
        elif what == "silence":
            self._now += SILENCE
        elif what in ("pop", "pop_three", "clear", "half", "first"):
            self._take_back(what)
        else:
            self._result(what, size, native)

    def _round(self, size: int, native: bool) -> None:
        """Reasoning, two calls at once, and their results the other way round."""
        if size % 2:
            self._reasoning(native)
        self._call(size, native)
        self._call(0, native)
        self._result("newest_result", 0, native)
        self._result("newest_result", size, native)

    def _message(self, role: Role, text: str, native: bool) -> None:
        if not native:
            self._add(role, "message", text)
        elif role == "assistant":
            part = {"type": "output_text", "text": text, "annotations": []}
            said = {"type": "message", "id": f"msg_{self._next}", "role": role, "status": "completed"}
            self._native(role, "message", {**said, "content": [part]})
        else:
            self._native(role, "message", {"role": role, "content": text})

    def _picture(self, native: bool) -> None:
        parts = [{"type": "input_image", "image_url": "data:image/png;base64," + "A" * 400, "detail": "auto"}]
        if native:
            self._native("user", "message", {"type": "message", "role": "user", "content": parts})
        else:
            self._add("user", "message", [{"type": "text", "text": "what is this?"}, *parts])

    def _reasoning(self, native: bool) -> None:
        if native:
            told = [{"type": "summary_text", "text": "weighing it"}]
            item = {"type": "reasoning", "id": f"rs_{self._next}", "summary": told, "encrypted_content": "gAAA"}
            self._native("assistant", "reasoning", item)
        else:
            self._add("assistant", "reasoning", "it must be one of two files")

    def _call(self, size: int, native: bool, id: str | None = None) -> None:
        self._calls += 1
        tool = TOOLS[self._calls % len(TOOLS)]
        call = _Call(id or f"call_{self._calls}", tool)
        arguments = ARGUMENTS[size % len(ARGUMENTS)]
        self.waiting.append(call)
        if native:
            item = {"type": "function_call", "id": f"fc_{self._next}", "call_id": call.id, "name": tool}
            item |= {"arguments": "{}" if size == 3 else arguments, "status": "completed"}
            self._native("assistant", "tool_call", item, tool, call.id)
        elif size == 1:
            part = {"input": json.loads(arguments)}
            self._add("assistant", "tool_call", [part], tool, call.id)
        else:
            self._add("assistant", "tool_call", arguments, tool, call.id)

    def _custom(self, size: int) -> None:
        """A call of a kind of its own, whose arguments are a plain text."""
        call = _Call(f"custom_{self._next}", "patch", "custom")
        self.waiting.append(call)
        item = {"type": "custom_tool_call", "call_id": call.id, "name": call.tool, "input": TEXTS[size]}
        self._native("assistant", "tool_call", item, call.tool, call.id)

    def _approval(self, size: int, native: bool) -> None:
        self._calls += 1
        call, arguments = _Call(f"apr_{self._calls}", "delete", "approval"), ARGUMENTS[size]
        self.waiting.append(call)
        if native:
            item = {"type": "mcp_approval_request", "id": call.id, "server_label": "disk", "name": call.tool}
            self._native("assistant", "tool_call", {**item, "arguments": arguments}, call.tool, call.id)
        else:
            self._add("assistant", "tool_call", arguments, call.tool, call.id)

    def _result(self, what: str, size: int, native: bool) -> None:
        if what == "orphan":
            call = _Call(f"nobody_{self._next}", "look")
        elif what == "again" and self.answered:
            call = self.answered[-1]
        elif self.waiting:
            call = self.waiting.pop(-1 if what == "newest_result" else 0)
            self.answered.append(call)
        else:
            return
        output = OUTPUTS[size]
        if native and call.kind == "approval":
            item = {"type": "mcp_approval_response", "approval_request_id": call.id, "approve": True, "reason": output}
            self._native("tool", "tool_result", item, None, call.id)
        elif native or call.kind == "custom":
            kind = "custom_tool_call_output" if call.kind == "custom" else "function_call_output"
            item = {"type": kind, "call_id": call.id, "output": output}
            self._native("tool", "tool_result", item, None, call.id)
        else:
            told: Any = [{"type": "text", "text": output}] if size == 3 else output
            self._add("tool", "tool_result", told, call.tool if size == 1 else None, call.id)

    def _take_back(self, what: str) -> None:
        live = live_seqs(self.turns)
        if not live:
            return
        last = self.turns[-1].seq
        calls = [turn.seq for turn in self.turns if turn.seq in live and turn.kind in ("tool_call", "tool_result")]
        if what == "pop":
            first = last = live[-1]
        elif what == "pop_three":
            first = live[-3:][0]
        elif what == "clear":
            first = 1
        elif what == "half":
            first = last = (calls or live)[-1]
        else:
            first, last = live[0], live[:2][-1]
        self._add("system", "retraction", [{"type": "retraction", "first": first, "last": last}])

    @property
    def _next(self) -> int:
        return len(self.turns) + 1

    def _native(
        self, role: Role, kind: Kind, item: dict[str, Any], name: str | None = None, call_id: str | None = None
    ) -> None:
        self._add(role, kind, [item], name, call_id, Json('{"format":"openai"}'))

    def _add(
        self,
        role: Role,
        kind: Kind,
        content: Any,
        name: str | None = None,
        call_id: str | None = None,
        metadata: Json | None = None,
    ) -> None:
        self._now += SECOND
        body, tokens = to_json(content), content_tokens(content)
        seq = self._next
        turn = Turn(seq, f"t{seq}", role, body, kind, self._now, tokens, self._now, name, call_id, metadata)
        self.turns.append(turn)


def live_seqs(turns: Iterable[Turn | Sketch]) -> list[int]:
    """The turns that no later one takes back, and that are no retractions themselves."""
    live: list[int] = []
    for turn in turns:
        if turn.retracts is not None:
            first, last = turn.retracts
            live = [seq for seq in live if not first <= seq <= last]
        elif turn.kind != "retraction":
            live.append(turn.seq)
    return live


_SOMETIMES: dict[str, st.SearchStrategy[Any]] = {
    "token_soft_budget": st.sampled_from((None, None, 60, 300)),
    "token_keep_pct": st.sampled_from((0.5, 0.0, 0.3, 0.9, 1.0)),
    "reserve_tokens": st.sampled_from((0, 0, 20)),
    "keep_last_calls": st.sampled_from((20, None, 1, 2, 0)),
    "cache_ttl_s": st.sampled_from((300, 30 * 86_400)),
    "memory_injection": st.sampled_from((False, False, True)),
    "injection_max_tokens": st.sampled_from((400, 20)),
}
_CLEARING: dict[str, st.SearchStrategy[Any]] = {
    "compact_trigger_turns": st.sampled_from((1, 2, 4, 20)),
    "compact_trigger_calls": st.sampled_from((60, None, 1, 3)),
    "compact_exclude_tools": st.sampled_from(((), (), ("look",), ("look", "write"))),
    "compact_include_tools": st.sampled_from(((), (), ("look",), ("write", "delete"))),
    "clear_tool_inputs": st.booleans(),
    "clear_at_least_tokens": st.sampled_from((0, 1, 60, 2_000)),
    "placeholder": st.sampled_from((PLACEHOLDER, "[cleared {name}]", "…", PLACEHOLDER * 4)),
}
_SUMMARIZING: dict[str, st.SearchStrategy[Any]] = {
    "summary_prefix": st.sampled_from(("[summary] prior context", "…")),
    "summary_max_tokens": st.sampled_from((5, 30, 600)),
}


@st.composite
def strategies(draw: st.DrawFn, modes: Sequence[Mode] = MODES) -> Strategy:
    """Strategies that may be set, with marks so low that short logs reach them."""
    mode = draw(st.sampled_from(modes))
    knobs: dict[str, Any] = {"mode": mode, "token_budget": draw(st.sampled_from((None, 100, 30, 400, 2_000, 1)))}
    for name, values in _SOMETIMES.items():
        knobs[name] = draw(values)
    if mode == "compact":
        knobs |= {name: draw(values) for name, values in _CLEARING.items()}
        knobs["compact_keep"] = draw(st.integers(0, min(3, knobs["compact_trigger_turns"])))
    elif mode != "none":
        most = draw(st.sampled_from((2, 1, 4, 6, None)))
        knobs["max_user_turns"] = most
        knobs["keep_last_turns"] = draw(st.one_of(st.none(), st.integers(0, most or 6)))
    if mode == "summarize":
        knobs |= {name: draw(values) for name, values in _SUMMARIZING.items()}
    return Strategy(**knobs)


def sketched(turns: Iterable[Turn]) -> list[Sketch]:
    """The turns without their content."""
    return [
        Sketch(turn.seq, turn.role, turn.kind, turn.tokens, turn.received_at, turn.name, turn.call_id, turn.retracts)
        for turn in turns
    ]


def summary_of(strategy: Strategy, last: int, created_at: int, text: str = "what was said") -> Summary:
    """A summary of the turns 1 to `last` as the strategy wants it."""
    tokens = min(estimate_tokens(text), strategy.summary_max_tokens)
    id = f"sum_{last}_{created_at}"
    return Summary(id, "agent", "session", last, strategy.recipe, text, tokens, "rules", created_at)


@st.composite
def ready(draw: st.DrawFn, turns: Sequence[Turn], strategy: Strategy) -> list[Summary]:
    """Summaries that are ready: those that views asked for when the log was shorter, and perhaps another strategy's."""
    if strategy.mode != "summarize" or not turns:
        return []
    sketches, made = sketched(turns), list[Summary]()
    for seq in sorted(draw(st.lists(st.integers(1, len(turns)), max_size=3, unique=True))):
        wanted = plan(sketches, strategy, made, upto=seq).wanted
        if wanted is not None:
            made.append(summary_of(strategy, wanted, turns[seq - 1].received_at))
    live = set(live_seqs(turns))
    said = [turn for turn in turns if turn.seq in live and turn.role != "system"]
    ends = [turn.seq - 1 for turn in said[1:] if turn.role == "user"]
    if ends and draw(st.sampled_from((False, False, True))):
        last = draw(st.sampled_from(ends))
        stray = replace(summary_of(strategy, last, turns[-1].received_at), id="stray")
        made.append(draw(st.sampled_from((stray, replace(stray, recipe="another"), replace(stray, created_at=0)))))
    return made


@dataclass(frozen=True)
class Case:
    """A log, a strategy for it, and the summaries that are ready."""

    turns: list[Turn]
    strategy: Strategy
    summaries: list[Summary]

    @property
    def sketches(self) -> list[Sketch]:
        return sketched(self.turns)


@st.composite
def cases(draw: st.DrawFn, modes: Sequence[Mode] = MODES, *, most: int = 40, retractions: bool = True) -> Case:
    """Logs with a strategy, and summaries where it wants them."""
    strategy = draw(strategies(modes))
    turns = draw(logs(most, retractions=retractions))
    return Case(turns, strategy, draw(ready(turns, strategy)))
