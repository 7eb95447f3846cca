"""Whatever a record says, an adapter reads it, counts it, or calls it malformed: nothing else comes of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.coding.adapters import (
    codex,
    copilot,
    cursor,
    cursor_store,
    gemini,
    gemini_log,
    grok_chat,
    grok_events,
    grok_rest,
    grok_signals,
    grok_summary,
    grok_updates,
    jsonl,
    opencode,
    opencode_files,
)
from carryover.coding.adapters.base import Adapter, Reading
from carryover.core.ids import is_id
from carryover.core.session import to_json
from carryover.core.step import draft_of
from golden_logs import goldens

READERS: list[Adapter] = [copilot, cursor, cursor_store, gemini, gemini_log, jsonl, opencode, opencode_files]
READERS += [codex, grok_chat, grok_events, grok_rest, grok_signals, grok_summary, grok_updates]
FLAVORS = {adapter.flavor for adapter in READERS}
STATE_BYTES = 64 << 10
PATHS = {
    "opencode": Path("/nowhere/storage/part/msg_1/prt_1.json"),
    "cursor": Path("/nowhere/.cursor/chats/0cc175b9c0f1b6a831c399e269772661/one/store.db"),
}

every_reader = pytest.mark.parametrize("adapter", READERS, ids=lambda adapter: adapter.__name__.rpartition(".")[2])
some = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORDS = ["user", "assistant", "2026-01-01T00:00:00Z", "error", "completed", "\ud83d"]
texts = st.text(max_size=12) | st.sampled_from(WORDS)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def records() -> list[Any]:
    """The records of all small logs of these flavors, and rows as databases have them."""
    found: list[Any] = []
    for golden in goldens("lines"):
        if golden.folder.parent.name in FLAVORS:
            found += [json.loads(line) for line in golden.log.read_bytes().splitlines()]
    for golden in goldens("document"):
        if golden.folder.parent.name in FLAVORS:
            found.append(json.loads(golden.log.read_bytes()))
    for table in ("session", "message", "part", "meta", "blobs"):
        for one in list(found[:40]):
            found.append({"table": table, "id": "x1", "session_id": "s1", "data": one, "value": "7b7d", "message": one})
    return found


RECORDS = records()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Where something stands in the record: what holds it, and under which name or number."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, held in inner for place in [(value, key), *places(held)]]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A record with some of what stands in it taken out, or something else in its place."""
    record = copy.deepcopy(draw(st.sampled_from(RECORDS)))
    for _ in range(draw(st.integers(0, 4))):
        there = places(record)
        if not there:
            break
        holder, key = draw(st.sampled_from(there))
        if draw(st.booleans()):
            holder[key] = draw(values)
        elif isinstance(holder, dict):
            del holder[key]
    return record


def read(adapter: Adapter, lines: list[bytes]) -> Reading:
    reading = Reading(PATHS.get(adapter.flavor, Path("/nowhere/log.jsonl")))
    for number, line in enumerate(lines):
        reading.start, reading.length = 100 * number, len(line)
        try:
            adapter.read(reading, line)
        except ValueError:
            reading.malformed += 1
    adapter.finish(reading)
    return reading


def kept_to(reading: Reading) -> None:
    """All of it can be stored, and read on from."""
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
            assert step.kind not in ("call", "result") or step.call_id
        for spend in part.spends:
            assert spend.reasoning <= spend.output
            numbers = (spend.input, spend.cache_read, spend.cache_write, spend.output, spend.reasoning)
            assert all(isinstance(number, int) and number >= 0 for number in numbers)
            assert spend.cost is None or spend.cost > 0


@every_reader
@some
@given(lines=st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes(adapter: Adapter, lines: list[bytes]) -> None:
    kept_to(read(adapter, lines))
    adapter.claims(b"\n".join(lines), Path("/nowhere/storage/part/log.json"))


@every_reader
@some
@given(found=st.lists(values, max_size=4))
def test_any_json(adapter: Adapter, found: list[Any]) -> None:
    kept_to(read(adapter, [json.dumps(one).encode() for one in found]))


@every_reader
@some
@given(found=st.lists(mutated(), min_size=1, max_size=6))
def test_records_in_which_something_else_stands(adapter: Adapter, found: list[Any]) -> None:
    lines = [json.dumps(one).encode() for one in found]
    reading = read(adapter, lines)
    kept_to(reading)
    adapter.claims(lines[0] + b"\n", Path("/nowhere/storage/part/msg_1/log.json"))
    assert sum(reading.formats.values()) + reading.malformed >= len(lines)


@every_reader
def test_the_state_stays_small_however_long_a_log_is(adapter: Adapter) -> None:
    lines = "\n".join(json.dumps(record) for record in RECORDS if isinstance(record, dict))
    again = "\n".join(lines.replace("call_t", f"call_{n}t").replace("toolu_", f"toolu_{n}") for n in range(60))
    kept_to(read(adapter, again.encode().splitlines()))
