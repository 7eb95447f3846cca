"""The one block in a file of instructions that is carryover's, in bytes: found, written, taken out, nothing else moved.

    <!-- carryover:begin v1 hash=3f0c… gap=1 -->
    …
    <!-- carryover:end -->

`hash` is that of the lines between, so that what somebody changed in there is noticed. `gap` counts the line ends that
were put before the block to set it apart, and `made` says that the file was not there before: taking the block out
gives back what was there, byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from carryover.core.errors import Conflict, Invalid
from carryover.core.text import digest

VERSION = 1
_BOM = b"\xef\xbb\xbf"
_BEGIN = re.compile(
    rb"^(?:\xef\xbb\xbf)?(<!-- carryover:begin v(\d{1,6})((?: [a-z]+(?:=[0-9a-f]+)?)*) -->(\r?\n))", re.MULTILINE
)
_SAID = re.compile(r"([a-z]+)(?:=([0-9a-f]+))?")
_END = re.compile(rb"^<!-- carryover:end -->(?=\r?\n|\Z)", re.MULTILINE)
_ANY = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*<!--[ \t]*carryover:(?:begin|end)\b", re.MULTILINE | re.IGNORECASE)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Block:
    """Where the block stands in its file, from its first marker to the end of its last one, and what it says."""

    start: int
    end: int
    lines: tuple[str, ...]
    newline: bytes
    gap: int
    made: bool
    intact: bool  # it says what carryover wrote


def found(content: bytes, name: str) -> Block | None:
    """The block in the file, None where there is none.

    Raises Conflict for markers that are broken or stand more than once, Invalid for what is no text.
    """
    if b"\x00" in content or content.startswith(_UTF16):
        raise Invalid(f"{name} is no UTF-8 text; save it as UTF-8, or leave it out", field="path")
    markers = _ANY.findall(content)
    if not markers:
        return None
    begins, ends = list(_BEGIN.finditer(content)), list(_END.finditer(content))
    if len(markers) != 2 or len(begins) != 1 or len(ends) != 1 or ends[0].start() < begins[0].end():
        raise Conflict(
            f"{name} holds {len(markers)} markers of carryover that are no one block; delete the lines with "
            "`carryover:begin` and `carryover:end` and what is carryover's between them, and retry"
        )
    begin, end = begins[0], ends[0]
    if int(begin[2]) > VERSION:
        raise Conflict(f"{name} holds a block of a newer carryover (v{int(begin[2])}); upgrade carryover, and retry")
    said = {word[1]: word[2] for word in _SAID.finditer(begin[3].decode())}
    text = content[begin.end() : end.start()].decode("utf-8", "replace").replace("\r\n", "\n")
    lines = text.removesuffix("\n").split("\n") if text else []
    gap = min(int(said["gap"]), 2) if said.get("gap", "").isdigit() else 0
    return Block(
        begin.start(1), end.end(), tuple(lines), begin[4], gap, "made" in said, said.get("hash") == hash_of(lines)
    )


def put(content: bytes | None, lines: list[str], name: str, *, head: str = "") -> bytes:
    """The file with these lines as its block: in the place of the one that it holds, else at its end.

    Of a file that is not there, `head` is what stands before the block. Raises Conflict or Invalid as `found` does.
    """
    block = None if content is None else found(content, name)
    if block is not None and content is not None:
        if block.intact and list(block.lines) == lines:
            return content
        made = _block(lines, block.newline, block.gap, block.made)
        return content[: block.start] + made + content[block.end :]
    before = head.encode() if content is None else content
    newline = _newline(before)
    gap = _gap(before) if content is not None else 0
    return before + newline * gap + _block(lines, newline, gap, content is None) + newline


def taken_out(content: bytes, name: str, *, head: str = "") -> bytes | None:
    """The file without its block, None where it was made for the block and nothing else is in it.

    Raises Conflict or Invalid as `found` does.
    """
    block = found(content, name)
    if block is None:
        return content
    before, after = content[: block.start], content[block.end :]
    after = after.removeprefix(b"\r\n") if after.startswith(b"\r\n") else after.removeprefix(b"\n")
    for _ in range(block.gap):
        shorter = before.removesuffix(block.newline)
        # What follows must not run into the line before.
        before = before if after and not shorter.endswith(b"\n") else shorter
    left = before + after
    return None if block.made and left in (b"", head.encode()) else left


def hash_of(lines: list[str] | tuple[str, ...]) -> str:
    """The hash of lines, whatever they end in."""
    return digest(*(line.rstrip() for line in lines)).removeprefix("b2:")[:16]


def _block(lines: list[str], newline: bytes, gap: int, made: bool) -> bytes:
    said = f"hash={hash_of(lines)}" + (f" gap={gap}" if gap else "") + (" made" if made else "")
    rows = [f"<!-- carryover:begin v{VERSION} {said} -->", *lines, "<!-- carryover:end -->"]
    return newline.join(row.encode() for row in rows)


def _newline(content: bytes) -> bytes:
    """What most lines of the file end in."""
    windows = content.count(b"\r\n")
    return b"\r\n" if windows > content.count(b"\n") - windows else b"\n"


def _gap(content: bytes) -> int:
    """How many line ends set a block apart from what stands before it."""
    if not content or content == _BOM:
        return 1 if content else 0
    return 1 if content.endswith(b"\n") else 2
