"""Logs are cut by their bytes alone, and come back byte for byte."""

from __future__ import annotations

import io
import itertools
import random
from typing import IO, cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from carryover.coding.logs import archive
from carryover.core.errors import DataLoss, NotFound
from carryover.core.scope import Scope
from carryover.store import archive as vault
from carryover.store.archive import START, Piece, Segment, Tail
from carryover.store.coding_tables import segments
from carryover.store.store import Store
from coding import claude_logs as logs

T = Scope("t")
LOGS = st.lists(st.one_of(st.binary(max_size=90), st.just(b"\n"), st.just(b"x" * 300)), max_size=40).map(b"".join)


def small() -> pytest.MonkeyPatch:
    """Pieces of 64 to 256 bytes, so that a test has many."""
    patch = pytest.MonkeyPatch()
    patch.setattr(archive, "SHORTEST", 64)
    patch.setattr(archive, "LONGEST", 256)
    return patch


def cut(plain: bytes, tail: Tail = START, upto: int | None = None) -> list[Piece]:
    return list(archive.cut(io.BytesIO(plain), tail, len(plain) if upto is None else upto))


def store_log(store: Store, plain: bytes, path: str = "/a") -> None:
    with store.write(T) as tx:
        vault.put(tx, path, 0, cut(plain))


@given(LOGS, st.lists(st.integers(0, 4000), max_size=8))
def test_however_a_log_was_read_it_has_the_same_pieces_and_the_same_content(plain: bytes, stops: list[int]) -> None:
    patch = small()
    try:
        whole = cut(plain)
        known: dict[int, Piece] = {}
        content, tail = "", START
        for stop in sorted({min(stop, len(plain)) for stop in stops} | {len(plain)}):
            step = cut(plain, tail, stop)
            known |= {piece.n: piece for piece in step}
            content = archive.content(content, step)
            tail = step[-1].tail if step else tail
        assert [known[n] for n in sorted(known)] == whole
        assert content == archive.content("", whole)
    finally:
        patch.undo()


@given(LOGS)
def test_pieces_follow_each_other_and_end_at_line_ends(plain: bytes) -> None:
    patch = small()
    try:
        pieces = cut(plain)
        spans = [(piece.start, piece.segment.size) for piece in pieces]
        assert [start for start, _ in spans] == [0, *itertools.accumulate(size for _, size in spans)][: len(spans)]
        assert sum(size for _, size in spans) == len(plain)
        for start, size in spans[:-1]:
            piece = plain[start : start + size]
            assert size == 256 or (64 <= size < 256 and piece.endswith(b"\n") and b"\n" not in piece[63:-1])
    finally:
        patch.undo()


@given(LOGS, LOGS)
def test_other_bytes_have_another_content(one: bytes, other: bytes) -> None:
    assert (archive.content("", cut(one)) == archive.content("", cut(other))) == (one == other)


class Counted(io.BytesIO):
    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.bytes_read += len(found)
        return found


def test_one_more_line_costs_the_last_piece_however_long_the_log_is() -> None:
    line = b'{"a":"' + b"b" * 993 + b'"}\n'
    plain = line * 20_000
    last = cut(plain)[-1]
    file = Counted(plain + line)
    new = list(archive.cut(cast("IO[bytes]", file), last.tail, len(plain) + len(line)))
    assert file.bytes_read <= archive.LONGEST
    assert new[0].n == last.n
    assert len(new) <= 2


def test_a_log_that_became_shorter_is_no_log_to_cut() -> None:
    with pytest.raises(OSError, match="ends at byte 5, before 6"):
        cut(b"12345", upto=6)


def test_a_log_comes_back_byte_for_byte_a_piece_at_a_time(store: Store) -> None:
    rng = random.Random(1)
    lines = [rng.randbytes(rng.randint(0, 3000)) + b"\n" for _ in range(1500)]
    plain = b"".join([*lines, rng.randbytes(3 << 20), b"\n", *lines, b"a torn line"])
    store_log(store, plain)
    with store.read(T) as tx:
        blocks = list(archive.restore(tx, "/a"))
        assert b"".join(blocks) == plain
        assert max(map(len, blocks)) <= archive.LONGEST
        with pytest.raises(NotFound, match="no log '/b'"):
            archive.restore(tx, "/b")


def test_what_was_taken_is_named_before_the_first_byte(store: Store) -> None:
    patch = small()
    store_log(store, b"".join(b"%090d\n" % n for n in range(10)))
    patch.undo()
    with store.write(T) as tx:
        first, second, *_ = vault.kept(tx, "/a")
        less = archive.segment(b"less\n", archive.packer())
        vault.add(tx, [less])
        assert vault.replace(tx, first, less.hash, "outputs")
        assert vault.replace(tx, second, "", "gone")
        vault.release(tx, [first.hash, second.hash])
    with store.read(T) as tx:
        with pytest.raises(DataLoss, match="of its 10 pieces 1 with long outputs cut, 1 dropped") as caught:
            archive.restore(tx, "/a")
        assert caught.value.facts == {"path": "/a"}
        assert b"".join(archive.restore(tx, "/a", partial=True)).startswith(b"less\n" + b"%090d\n" % 2)


@pytest.mark.parametrize("body", [b"", b"no zstd", archive.packer().compress(b"other bytes")])
def test_a_damaged_piece_is_no_piece(store: Store, body: bytes) -> None:
    store_log(store, b"a line\n")
    with store.write(T) as tx:
        tx.conn.execute(segments.update().where(segments.c.tenant == "t").values(body=body))
    with store.read(T) as tx, pytest.raises(DataLoss, match="piece 0 of '/a' is damaged"):
        list(archive.restore(tx, "/a"))


def test_a_small_log_packs_better_for_the_dictionary_and_what_was_packed_without_it_is_read(store: Store) -> None:
    log = "".join(logs.session(rounds=1)).encode()
    plain, known = zstandard.ZstdCompressor(level=archive.LEVEL).compress(log), archive.packer().compress(log)
    assert len(known) < len(plain) * 0.9
    assert zstandard.get_frame_parameters(known).dict_id == archive.DICTIONARY_ID
    for body in (plain, known):
        with store.write(T) as tx:
            vault.put(tx, "/a", 0, [Piece(0, 0, Segment(archive.hash_of(log), len(log), body))])
            assert b"".join(archive.restore(tx, "/a")) == log
            vault.erase(tx, ["/a"])
