"""A record of a Codex rollout on its way to steps: which session and turn it is in, and what was said before it.

Rollouts say most things twice, once for the model and once for the screen, in either order. And they are copied with
new times when a thread is forked, or spawns another. So what is said has its identity from its turn and its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from carryover.coding.adapters.base import Part, Reading
from carryover.coding.adapters.messages import moment, remember
from carryover.core.clock import Time
from carryover.core.step import LONGEST, Step, StepKind, Tool, excerpt, uid

UNIQUE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_TWINS, _CALLS = 64, 256  # how many sayings and calls are remembered until their other half comes
_SAID = 1_024  # how many sayings are told from their equals
_SAME = 60  # characters by which two sayings are one, where one of them was cut or wrapped at its end


@dataclass(slots=True)
class Record:
    """One record: where it stands, when it was written, and the part of its session."""

    reading: Reading
    part: Part
    at: Time | None = None
    state: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def scope(self) -> str:
        """Within what a thing is told from its equals: the turn where its id is one of a kind, else the moment."""
        return self.state["scope"]

    def identity(self, *said: str) -> str:
        """The identity of what is said here: equal in every copy of its turn, different each time it is said."""
        n = nth(self.state.setdefault("counts", {}), self.scope, *said)
        return uid("codex", self.scope, *said, str(n))

    def add(self, kind: StepKind, text: str, **more: Any) -> None:
        """A step of this record; its identity is made of its kind, its call and its text."""
        known = self.identity(kind, more.get("call_id") or "", text)
        if kind in ("text", "thinking", "call"):
            more.setdefault("model", self.state.get("model"))
        size = more.pop("size", None) or len(text.encode("utf-8", "replace"))
        shown = text if len(text) <= LONGEST else excerpt(text, LONGEST - 4_000, 3_000)
        if kind in ("result", "outcome"):
            shown = excerpt(text)
        start, length = self.reading.start, self.reading.length
        self.part.add(Step(known, kind, shown, self.at, size=size, start=start, length=length, **more))

    def answers_as(self, model: str) -> None:
        """From this record on, that model answers."""
        if model:
            self.state["model"] = model
            remember(self.part.about.models, model)

    def told(self, kind: StepKind, source: str, text: str = "") -> bool:
        """Whether another source has said this already; else it is remembered as said by this one."""
        words = " ".join(text.split())
        key, beginning = uid(words)[:16], words[:_SAME]
        twins: list[list[Any]] = self.state.setdefault("twins", [])
        alike = None
        for twin in twins:
            if twin[0] == kind and source not in twin[3]:
                if twin[1] == key:
                    twin[3].append(source)
                    return True
                if alike is None and twin[2] == beginning and len(beginning) == _SAME:
                    alike = twin
        if alike is not None:
            alike[3].append(source)
            return True
        twins.append([kind, key, beginning, [source]])
        del twins[:-_TWINS]
        return False

    def forget(self, *kinds: StepKind) -> None:
        """What was said of these kinds is over: what is said from now on is new."""
        self.state["twins"] = [twin for twin in self.state.get("twins", ()) if twin[0] not in kinds]

    def calls(self, call_id: str, name: str, tool: Tool) -> None:
        """A call waits for its result."""
        waiting: dict[str, list[str]] = self.state.setdefault("calls", {})
        waiting[call_id] = [name, tool]
        while len(waiting) > _CALLS:
            del waiting[next(iter(waiting))]

    def answered(self, call_id: str) -> tuple[str | None, Tool | None]:
        """The name and the tool of the call whose result this is."""
        name, tool = self.state.get("calls", {}).pop(call_id, (None, None))
        return name, tool

    def waiting(self, name: str) -> str | None:
        """The call of that name that has waited longest, for results that do not say whose they are."""
        return next((id for id, call in self.state.get("calls", {}).items() if not name or call[0] == name), None)


def begun(reading: Reading, record: Mapping[str, Any], session: str) -> Record:
    """The record, with what is known of the session so far."""
    state = reading.state
    at = moment(record.get("timestamp", record.get("created_at")))
    state["records"] = state.get("records", 0) + 1
    made = Record(reading, reading.of(session), at, state)
    made.part.about.saw(at)
    state["scope"] = state.get("turn") or (str(at) if at is not None else f"{session} {state['records']}")
    return made


def turn_began(record: Record, turn: Any) -> None:
    """From this record on, all is said within that turn; an id that other sessions may use as well tells nothing."""
    if isinstance(turn, str) and UNIQUE.search(turn):
        record.state.update(turn=turn, scope=turn)


def nth(counts: dict[str, int], *said: str) -> int:
    """How often that was said by now; what was said long ago is forgotten."""
    key = uid(*said)[:12]
    counts[key] = n = counts.pop(key, 0) + 1
    if len(counts) > _SAID:
        del counts[next(iter(counts))]
    return n
