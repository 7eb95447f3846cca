"""What an adapter is, and what it fills while it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from carryover.core.ids import is_id
from carryover.core.step import About, Flavor, Spend, Step, Supply, uid

# lines: one record a line, appended. document: one JSON text, rewritten as a whole. rows: a database of the agent's
# own, whose rows the adapter reads as lines.
Form = Literal["lines", "document", "rows"]


@dataclass(slots=True)
class Part:
    """What a file holds of one session."""

    about: About = field(default_factory=About)
    steps: list[Step] = field(default_factory=list[Step])
    spends: list[Spend] = field(default_factory=list[Spend])

    def add(self, step: Step) -> None:
        self.about.saw(step.at)
        self.steps.append(step)


@dataclass(slots=True)
class Reading:
    """What has been read of one file since it was begun.

    `path` is where it lies, for its name and for what stands beside it; `state` is what the adapter has to know to
    read on later, and must be what JSON can say. `formats` counts records by the version that wrote them, their type,
    and whether the adapter knows it: what it does not know it only counts, and the archive keeps.
    """

    path: Path
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    formats: Counter[tuple[str, str, bool]] = field(default_factory=Counter[tuple[str, str, bool]])
    malformed: int = 0
    start: int = 0  # where the record that is being read stands in its file
    length: int = 0

    def of(self, session: str) -> Part:
        """What the file holds of that session, by the flavor's own id (`session_id` makes it one of ours)."""
        part = self.parts.get(session)
        if part is None:
            part = self.parts.setdefault(session_id(session), Part())
        return part

    def saw(self, version: str | None, type: str, *, known: bool = True) -> None:
        """A record of this type was there."""
        self.formats[version or "", type, known] += 1


class Adapter(Protocol):
    """Reads the logs of one flavor.

    `supplies` is what its records can tell at all. `places` are the folders below the home folder where its sessions
    lie, or an environment variable and what is below it (`$CODEX_HOME/sessions`); `files` matches the names of logs
    in there. An adapter opens nothing but the file that it is given, and files beside it that belong to the session.
    """

    flavor: Flavor
    form: Form
    supplies: frozenset[Supply]
    places: tuple[str, ...]
    files: tuple[str, ...]

    def claims(self, head: bytes, path: Path) -> bool:
        """Whether a file that begins with these bytes (at most 64 KiB) is a log of this flavor: content decides."""
        ...

    def read(self, reading: Reading, line: bytes) -> None:
        """One record (`lines`, `rows`) or the whole of the file (`document`) was read into `reading`.

        `reading.start` and `reading.length` say where it stands. Raises ValueError for bytes that are no record of
        any kind: they are counted as malformed, or tried as several records without a line end between them.
        """
        ...

    def finish(self, reading: Reading) -> None:
        """Nothing more is in the file for now: what only its end tells was put into `reading`."""
        ...


class RowsAdapter(Adapter, Protocol):
    """Reads a database of the agent's own."""

    def rows(self, path: Path) -> Iterator[bytes]:
        """Its rows, each as one line of JSON, in an order that stays the same."""
        ...


def session_id(native: str) -> str:
    """The flavor's id as one of ours: itself where it can be, else made of what of it can be and its hash."""
    if is_id(native):
        return native
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in native)[:80].strip("-")
    return f"{kept or 'session'}-{uid(native)[:12]}"


def first_text(*values: Any) -> str:
    """The first of these that is text and not empty."""
    for value in values:  # a generator takes twice as long, and every record is asked this
        if isinstance(value, str) and value:
            return value
    return ""


def table(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one where something else stands."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]
