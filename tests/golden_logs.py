"""Small logs of every flavor, with what is read of them: `tests/coding/adapters/golden/<flavor>/<name>/`.

A folder holds one log, `log.jsonl` or `log.json` (or the file that `expected.json` names under `log`), and what stands
beside it. A new one is written by `python tests/golden_logs.py <folder>`, and then read with care by a person.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Adapter, Part, Reading
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.reading import beginning, opened, read
from carryover.core.step import About, Spend, Step

GOLDEN = Path(__file__).parent / "coding" / "adapters" / "golden"


@dataclass(frozen=True)
class Golden:
    """A log, and what should be read of it."""

    folder: Path

    @property
    def adapter(self) -> Adapter:
        found = adapter_for(beginning(self.log, 64 << 10), self.log)
        assert found is not None, f"no adapter is for {self.log}"
        return found

    @property
    def expected(self) -> dict[str, Any]:
        return json.loads((self.folder / "expected.json").read_text("utf-8"))

    @property
    def log(self) -> Path:
        if (self.folder / "expected.json").exists() and (named := self.expected.get("log")):
            return self.folder / named
        return next(path for path in sorted(self.folder.rglob("*")) if path.name.startswith(("log.", "agent-")))

    def __str__(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"


def goldens(*forms: str) -> list[Golden]:
    """All of them, of flavors whose logs have one of these forms."""
    found = [Golden(path.parent) for path in sorted(GOLDEN.glob("*/*/expected.json"))]
    return [one for one in found if not forms or one.adapter.form in forms]


def read_whole(adapter: Adapter, path: Path) -> tuple[Reading, int]:
    with opened(adapter, path) as file:
        return read(adapter, path, file)


def read_at(adapter: Adapter, path: Path, borders: Iterable[int]) -> dict[str, Any]:
    """What is read if the reading is broken off at each of these offsets, and taken up from what is on disk."""
    steps: dict[str, list[Step]] = {}
    spends: dict[str, list[Spend]] = {}
    known: dict[str, About] = {}
    state: dict[str, Any] = {}
    start = unknown = malformed = 0
    for border in [*borders, None]:
        with opened(adapter, path) as file:
            parts = {session: Part(about) for session, about in known.items()}
            reading, start = read(adapter, path, file, start=start, state=state, parts=parts, until=border)
        state = json.loads(json.dumps(reading.state))
        malformed += reading.malformed
        unknown += sum(count for (_, _, known), count in reading.formats.items() if not known)
        for session, part in reading.parts.items():
            steps.setdefault(session, []).extend(part.steps)
            spends.setdefault(session, []).extend(part.spends)
            known[session] = part.about
    sessions = {session: shown(Part(known[session], steps[session], spends[session])) for session in steps}
    return {"sessions": sessions, "unknown": unknown, "malformed": malformed}


def outcome(reading: Reading) -> dict[str, Any]:
    """What was read, as JSON says it."""
    return {
        "sessions": {session: shown(part) for session, part in reading.parts.items()},
        "unknown": sum(count for (_, _, known), count in reading.formats.items() if not known),
        "malformed": reading.malformed,
    }


def shown(part: Part) -> dict[str, Any]:
    return {
        "about": {name: value for name, value in asdict(part.about).items() if value not in (None, [])},
        "spends": {key: _set(spend) for key, spend in spent(part.spends).items()},
        "steps": [_set(step) for step in part.steps],
    }


def spent(spends: Iterable[Spend]) -> dict[str, Spend]:
    """What each call of a model consumed: of several records of one call the most of each number."""
    most: dict[str, Spend] = {}
    for one in spends:
        was = most.get(one.key, one)
        numbers = ("input", "cache_read", "cache_write", "output", "reasoning")
        values = {name: max(getattr(was, name), getattr(one, name)) for name in numbers}
        most[one.key] = Spend(one.key, was.at, was.model, **values, cost=one.cost, window=one.window)
    return most


def _set(value: Step | Spend) -> dict[str, Any]:
    """What is set in it, without where it stood."""
    empty = type(value)(*["" for name in ("uid", "kind", "text") if hasattr(value, name)] or [""])  # type: ignore[arg-type]
    kept = {name: said for name, said in asdict(value).items() if name not in ("start", "length")}
    return json.loads(json.dumps({name: said for name, said in kept.items() if said != getattr(empty, name)}))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        golden = Golden(Path(name).absolute())
        said = {"log": golden.log.relative_to(golden.folder).as_posix()}
        said |= outcome(read_whole(golden.adapter, golden.log)[0])
        text = json.dumps(said, ensure_ascii=False, indent=1)
        (golden.folder / "expected.json").write_text(text + "\n", "utf-8")
