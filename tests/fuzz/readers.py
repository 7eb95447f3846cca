"""Targets: the adapters of coding logs, whole readings of logs, the archive, and what digests make of what was read."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from carryover.coding.adapters import claude, grok_updates
from carryover.coding.adapters.base import Adapter, Part, Reading
from carryover.coding.adapters.catalog import ADAPTERS, adapter_for
from carryover.coding.digests.course import Facts, act_of
from carryover.coding.digests.digest import Work, digest_of
from carryover.coding.lines import bare, decoded
from carryover.coding.logs import archive, thin
from carryover.coding.logs.reading import beginning, read
from carryover.core.budget import TIERS
from carryover.core.ids import is_id
from carryover.core.page import page
from carryover.core.session import to_json
from carryover.core.step import draft_of
from carryover.store.archive import Piece, Tail
from fuzz.target import Target
from golden_logs import GOLDEN, outcome, shown

ROOT = Path(__file__).parents[2]
STATE_BYTES = 64 << 10
_WINDOW, _LINE, _LINES = 6_000, 3_000, 6  # bytes of a seed, of one of its lines, and how many lines
_PATHS = {
    "opencode": Path("/nowhere/storage/part/msg_1/prt_1.json"),
    "cursor": Path("/nowhere/.cursor/chats/0cc175b9c0f1b6a831c399e269772661/one/store.db"),
}
_WORDS = (b'"type":"progress"', b'"sessionId":"s"', b'"timestamp":"2026-01-01T00:00:00Z"', b'"uuid":', b"tool_use_id")


def name_of(adapter: Any) -> str:
    return adapter.__name__.rpartition(".")[2]


def path_of(adapter: Adapter) -> Path:
    return _PATHS.get(adapter.flavor, Path("/nowhere/log.jsonl"))


@cache
def logs() -> dict[str, list[bytes]]:
    """Beginnings of real logs, by the adapter that each is for."""
    found: dict[str, list[bytes]] = {name_of(adapter): [] for adapter in ADAPTERS}
    shared = Path(os.environ.get("CARRYOVER_SHARED", ROOT.parent / "shared")) / "corpus"
    files = [path for folder in (GOLDEN, shared) if folder.is_dir() for path in sorted(folder.rglob("*"))]
    for path in files:
        if not path.is_file() or path.suffix not in (".jsonl", ".json", ".log", ".txt") or path.name == "expected.json":
            continue
        head = beginning(path, 64 << 10)
        adapter = adapter_for(head, path)
        if adapter is not None and adapter.form != "rows":
            found[name_of(adapter)] += windows(head) if adapter.form == "lines" else [head[: 4 * _WINDOW]]
    for name in ("opencode", "cursor_store"):
        found[name] = rows()
    return found


def windows(head: bytes) -> list[bytes]:
    """Runs of short lines out of the log."""
    lines = [line for line in head.split(b"\n") if 0 < len(line) <= _LINE]
    runs = [b"\n".join(lines[at : at + _LINES]) + b"\n" for at in range(0, min(len(lines), 60), _LINES)]
    return [run[:_WINDOW] for run in runs]


def rows() -> list[bytes]:
    """Rows as the adapters of databases give them, of every table that they know."""
    said = [json.loads(path.read_bytes()) for path in sorted(GOLDEN.glob("opencode/*/expected.json"))]
    steps = [step for one in said for session in one["sessions"].values() for step in session["steps"]][:12]
    data = [{"type": "text", "text": "hello"}, {"role": "user", "time": {"created": 1}}, {"type": "tool"}, *steps]
    tables = ("session", "message", "part", "meta", "blobs")
    return [
        json.dumps(
            {"table": table, "id": "x1", "session_id": "s1", "message_id": "m1", "data": one, "value": "7b7d",
             "message": one, "time_created": 1}
        ).encode()
        + b"\n"
        for table in tables
        for one in data
    ]  # fmt: skip


def seeds(adapter: Adapter) -> Sequence[bytes]:
    return logs()[name_of(adapter)] or [b'{"type":"user","message":{"role":"user","content":"hi"}}\n']


def record(adapter: Adapter, data: bytes) -> None:
    """Each line through the adapter itself: a record is read or refused with ValueError, and all can be stored."""
    reading = Reading(path_of(adapter))
    adapter.claims(data[: 64 << 10], reading.path)
    lines = [data] if adapter.form == "document" else data.split(b"\n")
    for number, line in enumerate(lines):
        reading.start, reading.length = 100 * number, len(line)
        before = {session: len(part.steps) for session, part in reading.parts.items()}
        try:
            adapter.read(reading, bare(line))
        except ValueError:
            reading.malformed += 1
            now = {session: len(part.steps) for session, part in reading.parts.items()}
            assert now == before, "a record that was refused left steps behind"
    adapter.finish(reading)
    can_be_stored(adapter.flavor, reading, 100 * len(lines) + len(data))


def log(adapter: Adapter, data: bytes) -> None:
    """The log read at once, and in two parts: the same comes of it, wherever the border is."""
    reading, end = read(adapter, path_of(adapter), io.BytesIO(data))
    assert 0 <= end <= len(data)
    can_be_stored(adapter.flavor, reading, len(data))
    if adapter.form == "document":
        again, _ = read(adapter, path_of(adapter), io.BytesIO(data))
        assert outcome(again) == outcome(reading)
        return
    border = int.from_bytes(hashlib.blake2b(data, digest_size=4).digest()) % (len(data) + 1)
    expected = told(adapter, reading)
    parts = in_parts(adapter, data, border, until=True)
    assert told(adapter, *parts) == expected, f"a reading that stops at {border} differs"
    if grows_at(data, border):
        parts = in_parts(adapter, data, border, until=False)
        assert told(adapter, *parts) == expected, f"a log that grew at {border} differs"


def in_parts(adapter: Adapter, data: bytes, border: int, *, until: bool) -> tuple[Reading, ...]:
    """What two readings make of the log: the first stops at the border, or finds no more than was there then."""
    path = path_of(adapter)
    whole, part = io.BytesIO(data), io.BytesIO(data if until else data[:border])
    first, start = read(adapter, path, part, until=border if until else None)
    assert start <= len(part.getvalue())
    state = json.loads(json.dumps(first.state))
    parts = {session: Part(part.about) for session, part in first.parts.items()}
    second, end = read(adapter, path, whole, start=start, state=state, parts=parts)
    assert end >= start
    return first, second


def grows_at(data: bytes, border: int) -> bool:
    """Whether a log that ends here can be told from one that goes on: it ends within a record, or at its end."""
    line = data[data.rfind(b"\n", 0, border) + 1 : border]
    end = data.find(b"\n", border)
    rest = data[border : len(data) if end < 0 else end]
    if not bare(rest) or not bare(line).startswith(b"{"):
        return True
    try:
        decoded(bare(line))
    except ValueError:
        return True
    return False


def told(adapter: Adapter, *readings: Reading) -> dict[str, Any]:
    """What the readings of one log told together."""
    parts: dict[str, Part] = {}
    for reading in readings:
        for session, part in reading.parts.items():
            known = parts.setdefault(session, Part())
            known.about = part.about
            known.steps += part.steps
            known.spends += part.spends
    shapes = {session: shown(part) for session, part in parts.items()}
    if adapter is grok_updates:
        for shape in shapes.values():
            shape["steps"] = in_one_piece(shape["steps"])
    return shapes | {"malformed": sum(reading.malformed for reading in readings)}


def in_one_piece(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps with what is said in pieces as one: how far it had come is a step of its own wherever reading stops."""
    made: list[dict[str, Any]] = []
    for step in steps:
        if step["kind"] in ("text", "thinking", "prompt"):
            step = {"kind": step["kind"], "text": step.get("text", "")}
            if made and made[-1]["kind"] == step["kind"] and set(made[-1]) == {"kind", "text"}:
                step["text"] = made.pop()["text"] + step["text"]
        made.append(step)
    return made


def can_be_stored(flavor: str, reading: Reading, size: int) -> None:
    """All of it can be kept, and read on from; nothing points outside of the log."""
    state = json.dumps(reading.state)
    assert len(state) < STATE_BYTES
    assert json.loads(state) == reading.state
    for session, part in reading.parts.items():
        assert is_id(session)
        assert part.about.parent is None or is_id(part.about.parent)
        for step in part.steps:
            draft = draft_of(step)
            to_json(draft.content, "content").encode("utf-8", "surrogatepass")
            assert len(step.uid) == 32
            # Exports of Claude Code's logs leave ids out, and a call without one is told all the same.
            assert step.kind not in ("call", "result") or step.call_id or flavor == "claude-code"
            assert 0 <= step.start <= size
        for spend in part.spends:
            numbers = (spend.input, spend.cache_read, spend.cache_write, spend.output, spend.reasoning, spend.cost or 0)
            assert all(isinstance(number, int) and 0 <= number < 2**62 for number in numbers)


def digested(data: bytes) -> None:
    """What a digest makes of whatever was read, and its page."""
    reading, _ = read(claude, path_of(claude), io.BytesIO(data))
    for session, part in reading.parts.items():
        acts = [act for seq, step in enumerate(part.steps, 1) if (act := act_of(seq, step)) is not None]
        facts = Facts(
            "claude-code", session, "claude-code", abouts=(part.about,), spends=tuple(part.spends),
            supplies=claude.supplies, steps=len(part.steps),
        )  # fmt: skip
        work = Work(facts, tuple(acts), frozenset(), 1_790_000_000_000)
        made = digest_of(work)
        assert digest_of(work) == made
        page(made).encode()


def archived(data: bytes) -> None:
    """The log cut and packed at once and in two parts: the same pieces, and every byte comes back."""
    before = archive.SHORTEST, archive.LONGEST
    archive.SHORTEST, archive.LONGEST = 300, 700
    try:
        file = io.BytesIO(data)
        whole = list(archive.cut(file, archive_start(), len(data)))
        assert b"".join(unpacked(piece) for piece in whole) == data
        border = len(data) // 3
        first = list(archive.cut(file, archive_start(), border))
        last = first[-1] if first else None
        tail = archive_start() if last is None else Tail(last.n, last.start)
        rest = list(archive.cut(file, tail, len(data)))
        assert [one.segment.hash for one in [*first[:-1], *rest]] == [one.segment.hash for one in whole]
        assert archive.content(archive.content("", first), rest) == archive.content("", whole) or not first
    finally:
        archive.SHORTEST, archive.LONGEST = before


def archive_start() -> Tail:
    from carryover.store.archive import START

    return START


def unpacked(piece: Piece) -> bytes:
    import zstandard

    plain = zstandard.ZstdDecompressor(dict_data=archive._dictionary()).decompress(piece.segment.body)
    assert archive.hash_of(plain) == piece.segment.hash
    return plain


def thinned(data: bytes) -> None:
    """Every tier leaves as many lines, and thinning twice is thinning once."""
    for flavor in ("claude-code", "codex", "grok", "copilot-cli", "gemini-cli"):
        for tier in TIERS[1:-1]:
            if thin.takes(flavor, tier):
                less = thin.thinned(data, flavor, tier)
                assert less.count(b"\n") == data.count(b"\n")
                assert thin.thinned(less, flavor, tier) == less


def recognized(data: bytes) -> None:
    """Whose a log is, whatever it is called."""
    for path in (Path("/x/log.jsonl"), Path("/x/.codex/sessions/rollout-1.jsonl"), Path("/x/chats/session-1.json")):
        adapter_for(data[: 64 << 10], path)


def every() -> list[bytes]:
    return [seed for found in logs().values() for seed in found]


def targets() -> list[Target]:
    made: list[Target] = []
    for adapter in ADAPTERS:
        name, of = name_of(adapter), partial(seeds, adapter)
        made.append(Target(f"record/{name}", partial(record, adapter), of, (), _WORDS, guided=True, share=2.0))
        made.append(Target(f"log/{name}", partial(log, adapter), of, (), _WORDS, share=1.5))
    more: list[tuple[str, Callable[[bytes], None], float]] = [
        ("digest", digested, 2.0),
        ("archive", archived, 1.0),
        ("thin", thinned, 1.0),
        ("recognition", recognized, 1.0),
    ]
    made += [Target(name, run, every, (), _WORDS, share=share) for name, run, share in more]
    return made
