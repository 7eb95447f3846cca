"""What clients asked and what they were told, in the order in which it happened, as JSON lines.

An operation is two lines: one before it is sent, one when its answer is there. Each is one write to a file, so a
process that is killed leaves what it had done. Times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["append", "read", "list", "snapshots", "context", "erase"]
Outcome = Literal["ok", "failed", "unknown"]
Shown = tuple[int, str, str]  # a turn as it was read: seq, id, text


@dataclass
class Op:
    """One operation of one client; without an answer its outcome is unknown."""

    id: str
    process: str
    kind: Kind
    session: str
    began: int  # ns
    turns: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # key and text of what is appended
    expected: int | None = None
    ended: int | None = None
    outcome: Outcome = "unknown"
    reason: str = ""
    conflict: int | None = None  # the version that a refusal named
    places: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    version: int | None = None
    saved: bool | None = None
    rows: list[Shown] = field(default_factory=list[Shown])
    versions: dict[str, int] = field(default_factory=dict[str, int])  # of a list
    snapshots: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])  # version and `through`
    told: list[str] = field(default_factory=list[str])  # marks of turns in a context
    mark: int | None = None  # of a read: how many turns it asked for; of an append: what a scenario noted with it


class Recorder:
    """The record of one process, or of one thread of it."""

    def __init__(self, folder: Path, process: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.process = process
        self._file = os.open(folder / f"{process}.jsonl", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._number = 0

    def began(self, kind: Kind, session: str = "", **asked: Any) -> str:
        """The operation is about to be sent; its id."""
        self._number += 1
        id = f"{self.process}.{self._number}"
        self._write(id=id, process=self.process, kind=kind, session=session, began=time.monotonic_ns(), **asked)
        return id

    def ended(self, id: str, outcome: Outcome, **told: Any) -> None:
        self._write(id=id, ended=time.monotonic_ns(), outcome=outcome, **told)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, **members: Any) -> None:
        os.write(self._file, (json.dumps(members) + "\n").encode())


def read(*files: Path) -> list[Op]:
    """The operations of these records in the order in which they began; a last line that was cut off is none."""
    found: dict[str, Op] = {}
    for file in files:
        if not file.exists():  # its process was killed before it began
            continue
        for line in file.read_text("utf-8").split("\n")[:-1]:
            members = {name: _tupled(value) for name, value in json.loads(line).items()}
            if "kind" in members:
                found[members["id"]] = Op(**members)
            else:
                vars(found[members["id"]]).update(members)
    return sorted(found.values(), key=lambda op: op.began)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _tupled(value: Any) -> Any:
    return [tuple(one) if isinstance(one, list) else one for one in value] if isinstance(value, list) else value
