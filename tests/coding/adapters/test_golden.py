"""What every adapter keeps to, on the small logs below `golden/`: they are found, not listed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from carryover.coding.adapters.catalog import ADAPTERS, adapter_for
from carryover.coding.logs.reading import beginning
from carryover.core.session import Turn, to_json
from carryover.core.step import FLAVORS, draft_of, step_of
from golden_logs import GOLDEN, Golden, goldens, outcome, read_at, read_whole

every_golden = pytest.mark.parametrize("golden", goldens(), ids=str)
every_growing = pytest.mark.parametrize("golden", goldens("lines"), ids=str)
every_document = pytest.mark.parametrize("golden", goldens("document"), ids=str)


def borders(log: Path) -> list[int]:
    """Where its lines end."""
    data = log.read_bytes()
    return [at + 1 for at, byte in enumerate(data) if byte == 0x0A]


def copied(golden: Golden, to: Path) -> Path:
    """The log, to be changed, where the same stands beside it and the folders above it have the same names."""
    to = to / golden.folder.name
    shutil.copytree(golden.folder, to)
    return to / golden.log.relative_to(golden.folder)


def test_all_goldens_are_read() -> None:
    folders = [path for path in GOLDEN.glob("*/*") if path.is_dir()]
    assert {path.parent.name for path in folders} <= set(FLAVORS)
    assert sorted(folders) == sorted(golden.folder for golden in goldens())
    assert {golden.adapter.flavor for golden in goldens()} == {path.parent.name for path in folders}


@every_golden
def test_the_steps_are_the_expected_ones(golden: Golden) -> None:
    expected = golden.expected
    reading, end = read_whole(golden.adapter, golden.log)
    assert outcome(reading) == {name: expected[name] for name in ("sessions", "unknown", "malformed")}
    if golden.adapter.form != "rows":
        assert end == golden.log.stat().st_size


@every_golden
def test_its_flavor_claims_it(golden: Golden) -> None:
    adapter = adapter_for(beginning(golden.log, 64 << 10), golden.log)
    assert adapter is not None
    assert adapter.flavor == golden.folder.parent.name


@every_golden
def test_every_result_has_its_call(golden: Golden) -> None:
    reading, _ = read_whole(golden.adapter, golden.log)
    for part in reading.parts.values():
        called = {step.call_id for step in part.steps if step.kind == "call"}
        answered = [step.call_id for step in part.steps if step.kind == "result"]
        assert [call for call in answered if call not in called] == golden.expected.get("answered_elsewhere", [])


@every_golden
def test_a_step_becomes_a_turn_and_is_read_back(golden: Golden) -> None:
    reading, _ = read_whole(golden.adapter, golden.log)
    for part in reading.parts.values():
        for step in part.steps:
            draft = draft_of(step)
            body = to_json(draft.content, "content")
            body.encode("utf-8")
            named = {"name": draft.name, "call_id": draft.call_id, "metadata": draft.metadata}
            turn = Turn(1, "t", draft.role, body, draft.kind, 0, 1, draft.created_at or 0, **named)
            assert step_of(turn) == step


@every_growing
def test_reading_on_from_any_line_border_gives_the_same(golden: Golden) -> None:
    at_once = outcome(read_whole(golden.adapter, golden.log)[0])
    found = borders(golden.log)
    for border in found:
        assert read_at(golden.adapter, golden.log, [border]) == at_once
    assert read_at(golden.adapter, golden.log, found) == at_once


@every_growing
def test_a_torn_line_waits_and_is_read_when_it_is_whole(golden: Golden, tmp_path: Path) -> None:
    log = copied(golden, tmp_path)
    data = log.read_bytes().rstrip(b"\r\n")
    last = data.rfind(b"\n") + 1
    before = read_at(golden.adapter, golden.log, [last])
    for cut in (last + 1, (last + len(data)) // 2, len(data) - 1):
        log.write_bytes(data[:cut])
        reading, end = read_whole(golden.adapter, log)
        assert end == last
        assert reading.malformed <= before["malformed"]
        log.write_bytes(data + b"\n")
        assert read_at(golden.adapter, log, [end]) == before


@every_document
def test_a_torn_document_waits(golden: Golden, tmp_path: Path) -> None:
    log = copied(golden, tmp_path)
    data = log.read_bytes().rstrip()
    for cut in (1, len(data) // 2, len(data) - 1):
        log.write_bytes(data[:cut])
        reading, end = read_whole(golden.adapter, log)
        assert (end, reading.malformed, reading.parts) == (0, 1, {})


@every_growing
def test_what_is_not_known_is_counted_and_nothing_else_changes(golden: Golden, tmp_path: Path) -> None:
    log = copied(golden, tmp_path)
    data = log.read_bytes()
    first = data.find(b"\n") + 1
    strange = json.dumps({"type": "never-heard-of", "payload": {"type": "never-heard-of"}}).encode() + b"\n"
    log.write_bytes(data[:first] + strange + data[first:])
    was, now = outcome(read_whole(golden.adapter, golden.log)[0]), outcome(read_whole(golden.adapter, log)[0])
    assert now["unknown"] + now["malformed"] == was["unknown"] + was["malformed"] + 1
    assert list(now["sessions"]) == list(was["sessions"])
    for session, part in was["sessions"].items():
        assert _texts(now["sessions"][session]) == _texts(part)


@every_growing
def test_a_line_that_is_no_record_is_counted_and_nothing_else_changes(golden: Golden, tmp_path: Path) -> None:
    log = copied(golden, tmp_path)
    data = log.read_bytes()
    first = data.find(b"\n") + 1
    log.write_bytes(data[:first] + b'{"type": "cut o\n' + b"\x00" * 100 + b"\n" + data[first:])
    was, now = outcome(read_whole(golden.adapter, golden.log)[0]), outcome(read_whole(golden.adapter, log)[0])
    assert now["malformed"] == was["malformed"] + 1
    assert {session: _texts(part) for session, part in now["sessions"].items()} == {
        session: _texts(part) for session, part in was["sessions"].items()
    }


def test_logs_are_read_alike_in_any_order() -> None:
    there = {str(golden): outcome(read_whole(golden.adapter, golden.log)[0]) for golden in goldens()}
    back = {str(golden): outcome(read_whole(golden.adapter, golden.log)[0]) for golden in reversed(goldens())}
    assert there == back


def test_nothing_claims_what_is_no_log() -> None:
    for head in (b"", b"\n\n", b"\x00" * 100, b"# Notes\n", b'{"name": "carryover"}', b"[1, 2]\n", b"\xff\xfe{}\n"):
        for name in ("log.jsonl", "package.json"):
            assert adapter_for(head, Path(name)) is None, head


def test_every_adapter_says_where_its_logs_are_and_what_they_tell() -> None:
    for adapter in ADAPTERS:
        assert adapter.flavor in FLAVORS
        assert adapter.files or not adapter.places
        assert adapter.supplies or adapter.flavor in ("cursor", "jsonl")


def _texts(part: dict[str, list[dict[str, object]]]) -> list[tuple[object, object]]:
    return [(step["kind"], step.get("text")) for step in part["steps"]]
