"""One file through its adapter: whole lines, the last one, large ones, packed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard

from carryover.coding.adapters import claude
from carryover.coding.adapters.base import Reading
from carryover.coding.lines import LARGEST, decoded, glued, whole_lines
from carryover.coding.logs import reading as reading_of_logs
from carryover.coding.logs.reading import beginning, opened, read


def said(text: str) -> bytes:
    record = {"type": "user", "uuid": text[:8], "sessionId": "s", "message": {"role": "user", "content": text}}
    return json.dumps(record).encode()


def read_file(path: Path, start: int = 0, until: int | None = None) -> tuple[Reading, int]:
    with opened(claude, path) as file:
        return read(claude, path, file, start=start, until=until)


def texts(reading: Reading) -> list[str]:
    return [step.text for part in reading.parts.values() for step in part.steps]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "s.jsonl"


def test_a_last_line_without_its_end_is_read_once_when_it_is_whole(log: Path) -> None:
    log.write_bytes(said("one") + b"\n" + said("two"))
    reading, end = read_file(log)
    assert (texts(reading), end) == (["one", "two"], log.stat().st_size)
    with log.open("ab") as file:
        file.write(b"\n" + said("three") + b"\n")
    reading, _ = read_file(log, end)
    assert (texts(reading), reading.malformed) == (["three"], 0)


def test_a_last_line_that_is_torn_waits(log: Path) -> None:
    whole = said("two")
    for cut in (1, 30, len(whole) - 1):
        log.write_bytes(said("one") + b"\n" + whole[:cut])
        reading, end = read_file(log)
        assert (texts(reading), end, reading.malformed) == (["one"], len(said("one")) + 1, 0)


def test_a_reading_stops_where_it_should_and_always_gets_on(log: Path) -> None:
    log.write_bytes(b"".join(said(text) + b"\n" for text in ("one", "two", "three")))
    length = len(said("one")) + 1
    reading, end = read_file(log, until=1)
    assert (texts(reading), end) == (["one"], length)
    reading, end = read_file(log, until=length + 1)
    assert (texts(reading), end) == (["one", "two"], 2 * length)


def test_a_line_that_is_too_large_is_counted_and_its_session_says_so(log: Path) -> None:
    large = said("x" * (LARGEST + 5))
    log.write_bytes(said("one") + b"\n" + large + b"\n" + said("two") + b"\n")
    reading, end = read_file(log)
    assert end == log.stat().st_size
    assert texts(reading) == ["one", f"a record of {len(large) + 1} bytes, kept in the archive only", "two"]
    assert reading.formats["", "user", True] == 3
    step = reading.parts["s"].steps[1]
    assert log.read_bytes()[step.start : step.start + step.length] == large + b"\n"


def test_a_large_line_in_a_copy_has_the_same_identity(log: Path) -> None:
    large = said("x" * (LARGEST + 5))
    log.write_bytes(large + b"\n" + large.replace(b'"sessionId": "s"', b'"sessionId": "t"') + b"\n")
    reading, _ = read_file(log)
    assert [step.uid for step in reading.parts["s"].steps] == [step.uid for step in reading.parts["t"].steps]


def test_a_large_line_without_its_end_waits(log: Path) -> None:
    log.write_bytes(said("one") + b"\n" + said("x" * (LARGEST + 5)))
    reading, end = read_file(log)
    assert (texts(reading), end) == (["one"], len(said("one")) + 1)


def test_a_packed_log_is_read_as_if_it_were_not(tmp_path: Path) -> None:
    plain = b"".join(said(text) + b"\n" for text in ("one", "two"))
    packed = tmp_path / "s.jsonl.zst"
    packed.write_bytes(zstandard.compress(plain))
    reading, end = read_file(packed)
    assert (texts(reading), end) == (["one", "two"], len(plain))
    assert beginning(packed, 10) == plain[:10]
    assert texts(read_file(packed, len(said("one")) + 1)[0]) == ["two"]


def test_a_packed_log_that_unpacks_to_no_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes can come to more than the disk holds."""
    monkeypatch.setattr(reading_of_logs, "LARGEST_UNPACKED", 8 << 20)
    bomb = tmp_path / "s.jsonl.zst"
    bomb.write_bytes(zstandard.compress(bytes(64 << 20)))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(OSError, match="it unpacks to more than"):
        read_file(bomb)
    assert beginning(bomb, 10) == bytes(10)


def test_lines_of_nothing_are_passed_over(log: Path) -> None:
    log.write_bytes(b"\n\r\n\x00\x00\n\xef\xbb\xbf" + said("one") + b"\r\n\n")
    reading, end = read_file(log)
    assert (texts(reading), reading.malformed, end) == (["one"], 0, log.stat().st_size)


def test_glued_records_are_taken_apart() -> None:
    assert glued(b'{"a": 1}{"b": 2} \x00{"c": "}{"}') == [b'{"a": 1}', b'{"b": 2}', b'{"c": "}{"}']
    assert glued(b'{"a": 1}') == []
    assert glued(b'{"a": 1}{"b"') == []
    assert len(glued(b"{} " * 100_000)) == 100_000


def test_numbers_and_letters_that_nothing_can_store_are_mended() -> None:
    assert decoded(b'{"a": 1e999, "b": "\\ud83d", "c": [NaN]}') == {"a": None, "b": "\ufffd", "c": [None]}


def test_whole_lines_say_where_they_stand(log: Path) -> None:
    log.write_bytes(b"a\nbc\n\ntorn")
    with log.open("rb") as file:
        assert [(line.start, line.length, line.text) for line in whole_lines(file)] == [
            (0, 2, b"a"),
            (2, 3, b"bc"),
            (5, 1, b""),
        ]
