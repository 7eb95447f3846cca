"""Bytes of logs to packed pieces and back.

How a log is cut is decided by its bytes alone: whoever reads it at once or a line at a time, here or there, cuts the
same pieces, so equal runs of bytes are kept once, and a log that grows changes its last piece only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

import zstandard

from carryover.core.budget import Tier
from carryover.core.errors import DataLoss, NotFound
from carryover.core.step import uid
from carryover.store import archive
from carryover.store.archive import Kept, Piece, Segment, Tail
from carryover.store.store import Tx

SHORTEST, LONGEST = 512 << 10, 1 << 20  # bytes of a piece; only the last may be shorter
LONGEST_PLAIN = 64 << 20  # bytes that a packed piece may come to, for who does not know what it is
LEVEL, TIGHT = 3, 9  # of packing: of what is read, and of what is packed again because room is scarce

# What was taken of pieces in these tiers (`coding/logs/retention.py` takes it).
TAKEN: dict[Tier, str] = {
    "progress": "without records of progress",
    "duplicates": "without what records say twice",
    "outputs": "with long outputs cut",
    "gone": "dropped",
}


# How records of all flavors look, without anybody's words (`benchmarks/dictionary.py` trains it): small logs pack a
# third better. Its number stands in what it packed; another one needs another number, and this one stays.
DICTIONARY_ID = 1
DICTIONARY = Path(__file__).parent.parent / "data" / f"records-{DICTIONARY_ID}.zdict"


def packer(level: int = LEVEL) -> zstandard.ZstdCompressor:
    """What packs pieces; one thread may use it at a time."""
    return zstandard.ZstdCompressor(level=level, dict_data=_dictionary())


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(DICTIONARY.read_bytes(), dict_type=zstandard.DICT_TYPE_FULLDICT)


def cut(file: IO[bytes], tail: Tail, upto: int) -> Iterator[Piece]:
    """The pieces of the log from its last one on, anew, up to the byte `upto`; two of them are held at a time.

    A piece ends behind the first line end at or after 512 KiB, at 1 MiB at the latest, or at `upto`. Raises OSError
    where the log has become shorter than that.
    """
    packs = packer()
    n, start, held = tail.n, tail.start, b""
    file.seek(start)
    while start < upto:
        wanted = min(LONGEST, upto - start)
        held += file.read(wanted - len(held)) if len(held) < wanted else b""
        if len(held) < wanted:
            raise OSError(f"the log ends at byte {start + len(held)}, before {upto}; read it again")
        border = held.find(b"\n", SHORTEST - 1) + 1 or len(held)
        plain, held = held[:border], held[border:]
        yield Piece(n, start, segment(plain, packs))
        n, start = n + 1, start + len(plain)


def content(before: str, pieces: Sequence[Piece]) -> str:
    """A hash of all bytes of the log, whatever steps they were read in.

    `before` is that of the log as it was ("" for none), whose last piece is the first of these. It is a chain over the
    pieces before the last one, and the last one's own hash, which its growth replaces.
    """
    chain, _, last = before.partition(".")
    for n, piece in enumerate(pieces):
        chain = uid(chain, last) if n else chain
        last = piece.segment.hash
    return f"{chain}.{last}" if last else ""


def segment(plain: bytes, packs: zstandard.ZstdCompressor) -> Segment:
    """The bytes as a segment."""
    return Segment(hash_of(plain), len(plain), packs.compress(plain))


def hash_of(plain: bytes) -> str:
    return hashlib.blake2b(plain, digest_size=32).hexdigest()


def restore(tx: Tx, path: str, generation: int | None = None, *, partial: bool = False) -> Iterator[bytes]:
    """The log's bytes as they were read, of its newest generation where none is named; a piece at a time.

    With `partial`, what is left of it where something was taken. Raises NotFound for a log that is not archived,
    DataLoss, before the first byte, for one that something was taken of, and for a damaged piece.
    """
    found = archive.kept(tx, path, generation)
    if not found:
        raise NotFound(f"no log {path!r} is archived; see `carryover report` for the sessions there are")
    if not partial and (missing := lost(found)):
        raise DataLoss(
            f"{path!r} cannot be restored byte for byte: {missing}; ask for what is left of it (--partial)", path=path
        )
    return (unpacked(tx, piece) for piece in found if piece.hash)


def lost(found: Iterable[Kept]) -> str:
    """What was taken of these pieces of one log; "" where they are whole."""
    pieces = list(found)
    taken = [piece for piece in pieces if not piece.is_whole]
    size = sum(piece.length for piece in taken)
    counts = [(sum(piece.tier == tier for piece in taken), what) for tier, what in TAKEN.items()]
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"of its {len(pieces)} pieces {told} ({size} bytes before that)" if taken else ""


def unpack(body: bytes) -> bytes | None:
    """What packed bytes say; None for bytes that were not packed here."""
    if not body.startswith(zstandard.FRAME_HEADER):
        return None
    try:
        return zstandard.ZstdDecompressor(dict_data=_dictionary()).decompress(body, max_output_size=LONGEST_PLAIN)
    except zstandard.ZstdError:
        return None


def unpacked(tx: Tx, piece: Kept) -> bytes:
    """The plain bytes of what is left of the piece. Raises DataLoss where they are not what they were."""
    body = archive.body(tx, piece.hash)
    try:
        plain = b"" if body is None else zstandard.ZstdDecompressor(dict_data=_dictionary()).decompress(body)
    except zstandard.ZstdError:
        plain = b""
    if hash_of(plain) != piece.hash:
        raise DataLoss(
            f"piece {piece.n} of {piece.path!r} is damaged; restore the database from a backup", path=piece.path
        )
    return plain
