"""Coding sessions written by hand, a line a step: their course, their digest, and their turns in a store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from carryover.coding.digests.course import Act, Course, Facts, act_of, course_of
from carryover.coding.digests.digest import Work, digest_of, supplied
from carryover.coding.tools import call_text, canonical
from carryover.core.digest import Digest, Signal
from carryover.core.step import About, Flavor, Spend, Step, StepStatus, uid

START = 1_770_000_000_000
MINUTE = 60_000


@dataclass
class Log:
    """A session as its log tells it; every step is a second after the one before, at its own place in the file."""

    flavor: Flavor = "claude-code"
    steps: list[Step] = field(default_factory=list[Step])
    at: int = START
    cwd: str = "/work/shop"

    def add(self, kind: Any, text: str, **more: Any) -> Log:
        self.at += 1_000
        n = len(self.steps)
        known = {"at": self.at, "start": n * 100, "length": 100, **more}
        self.steps.append(Step(uid(kind, text, str(n)), kind, text, **known))
        return self

    def prompt(self, text: str, **more: Any) -> Log:
        return self.add("prompt", text, **more)

    def text(self, text: str, **more: Any) -> Log:
        return self.add("text", text, **more)

    def call(self, name: str, input: dict[str, Any], **more: Any) -> Log:
        """A call that nothing has come back from."""
        tool = canonical(name)
        id = more.pop("id", f"c{len(self.steps)}")
        return self.add("call", call_text(name, tool, input), call_id=id, tool=tool, name=name, input=input, **more)

    def back(self, text: str = "", status: StepStatus = "ok", code: int | None = None, **more: Any) -> Log:
        """What came back from the last call."""
        last = next(step for step in reversed(self.steps) if step.kind == "call")
        known = {"call_id": last.call_id, "tool": last.tool, "name": last.name, **more}
        return self.add("result", text, status=status, exit_code=code, **known)

    def run(self, command: str, text: str = "", code: int = 0, *, status: StepStatus | None = None) -> Log:
        """A command that exits with this code; Claude Code tells codes of failures only."""
        said = f"Exit code {code}\n{text}" if code else text
        return self.call("Bash", {"command": command}).back(said, status or ("error" if code else "ok"), code or None)

    def edit(self, path: str, old: str = "a", new: str = "b", text: str = "ok", status: StepStatus = "ok") -> Log:
        given = {"file_path": f"{self.cwd}/{path}", "old_string": old, "new_string": new}
        return self.call("Edit", given).back(text, status)

    def read(self, path: str, text: str = "1 x", status: StepStatus = "ok", **span: Any) -> Log:
        return self.call("Read", {"file_path": f"{self.cwd}/{path}", **span}).back(text, status)

    def later(self, ms: int) -> Log:
        self.at += ms
        return self

    def acts(self) -> list[Act]:
        made = (act_of(seq, step) for seq, step in enumerate(self.steps, 1))
        return [act for act in made if act is not None]

    def facts(self, **more: Any) -> Facts:
        about = About(cwd=self.cwd, kind=more.pop("kind", "main"))
        known: dict[str, Any] = {
            "abouts": (about,),
            "supplies": supplied(self.flavor),
            "steps": len(self.steps),
            "replayed": len(more.pop("copies", ())),
            "source_hash": "hash",
            **more,
        }
        return Facts(self.flavor, "s1", self.flavor, **known)

    def course(self, replayed: Iterable[int] = (), **more: Any) -> Course:
        return course_of(self.facts(**more), self.acts(), frozenset(replayed))

    def digest(self, replayed: Iterable[int] = (), **more: Any) -> Digest:
        copies = frozenset(replayed)
        return digest_of(Work(self.facts(copies=copies, **more), tuple(self.acts()), copies, self.at))

    def signals(self, kind: str, **more: Any) -> list[Signal]:
        return [signal for signal in self.digest(**more).signals if signal.kind == kind]


def spend(input: int, output: int = 1, **more: Any) -> Spend:
    return Spend(uid(str(input), str(output)), input=input, output=output, **more)
