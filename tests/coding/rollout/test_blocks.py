"""The block in a file: what stands around it is never touched, whatever it is, and taking it out gives it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.coding.patterns.telling import block_of, line_of
from carryover.coding.rollout import blocks
from carryover.core.errors import Conflict, Invalid

LINES = block_of(["- Read a file before you edit it.", "- Run `make test` once."])
OTHER = block_of(["- Something else."])
BEGIN, END = "<!-- carryover:begin v1 hash=00 -->", "<!-- carryover:end -->"

# Bytes of any kind, with what is hard about files in it more often than chance would have it.
pieces = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"# A\n", b"b", b"\xef\xbb\xbf", b"\xff", "ü 你".encode(), b"```\n", b"<!-- a -->", b" "]
)
contents = st.one_of(
    st.lists(pieces, max_size=12).map(b"".join),
    st.binary(max_size=60).filter(
        lambda content: b"\x00" not in content and content[:2] not in (b"\xff\xfe", b"\xfe\xff")
    ),
)
told = st.lists(st.text(max_size=30), min_size=1)


def lines_of(texts: list[str]) -> list[str]:
    return block_of(["- Always.", *filter(None, map(line_of, texts))])


def outside(content: bytes) -> bytes:
    block = blocks.found(content, "f")
    assert block is not None
    return content[: block.start] + content[block.end :]


@given(contents, told)
def test_putting_in_and_taking_out_is_nothing(content: bytes, texts: list[str]) -> None:
    written = blocks.put(content, lines_of(texts), "f")
    assert written.startswith(content)
    assert blocks.taken_out(written, "f") == content


@given(contents, st.lists(told, min_size=1, max_size=5))
def test_a_history_of_blocks_leaves_what_is_outside(content: bytes, history: list[list[str]]) -> None:
    written = blocks.put(content, lines_of(history[0]), "f")
    around = outside(written)
    for texts in history:
        written = blocks.put(written, lines_of(texts), "f")
        assert outside(written) == around
        assert blocks.put(written, lines_of(texts), "f") == written
        block = blocks.found(written, "f")
        assert block is not None
        assert block.intact
        assert list(block.lines) == lines_of(texts)
    assert blocks.taken_out(written, "f") == content


@given(contents, contents, told)
def test_what_is_written_around_a_block_stays_and_runs_into_nothing(
    before: bytes, after: bytes, texts: list[str]
) -> None:
    written = blocks.put(before, lines_of(texts), "f") + after
    left = blocks.taken_out(blocks.put(written, OTHER, "f"), "f")
    assert left is not None
    assert left.startswith(before)
    assert left.endswith(after)
    between = left[len(before) : len(left) - len(after)] if after else left[len(before) :]
    assert between in (b"", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n")


def test_a_new_file_is_gone_again_and_an_empty_one_is_not() -> None:
    made = blocks.put(None, LINES, "f")
    assert made.startswith(b"<!-- carryover:begin v1 hash=")
    assert made.endswith(b"<!-- carryover:end -->\n")
    assert blocks.taken_out(made, "f") is None
    assert blocks.taken_out(made + b"Mine.\n", "f") == b"Mine.\n"
    assert blocks.taken_out(blocks.put(b"", LINES, "f"), "f") == b""
    skill = blocks.put(None, LINES, "f", head="---\nname: a\n---\n\n")
    assert skill.startswith(b"---\nname: a\n---\n\n<!-- carryover:begin")
    assert blocks.taken_out(skill, "f", head="---\nname: a\n---\n\n") is None
    assert blocks.taken_out(skill, "f", head="---\nname: b\n---\n\n") == b"---\nname: a\n---\n\n"
    assert blocks.taken_out(b"no block\n", "f") == b"no block\n"


@pytest.mark.parametrize(
    ("content", "newline"), [(b"a\r\nb\r\n", b"\r\n"), (b"a\nb\n", b"\n"), (b"a\r\nb\r\nc\nd\n", b"\n"), (b"", b"\n")]
)
def test_lines_end_as_most_of_the_file_does(content: bytes, newline: bytes) -> None:
    written = blocks.put(content, LINES, "f")[len(content) :]
    assert written.count(b"\n") == written.count(newline)
    assert (b"\r" in written) == (newline == b"\r\n")


def test_a_file_whose_line_ends_were_changed_still_holds_its_block() -> None:
    windows = blocks.put(b"a\n", LINES, "f").replace(b"\n", b"\r\n")
    block = blocks.found(windows, "f")
    assert block is not None
    assert block.intact
    assert blocks.put(windows, LINES, "f") == windows
    assert blocks.taken_out(windows, "f") == b"a\r\n"
    marked = b"\xef\xbb\xbf" + blocks.put(None, LINES, "f")
    assert blocks.taken_out(marked, "f") == b"\xef\xbb\xbf"


def test_what_was_changed_inside_is_noticed() -> None:
    written = blocks.put(b"a\n", LINES, "f")
    for was, now in ((b"before", b"after"), (b"- Run", b"- Mine\n- Run"), (b"\n- Run `make test` once.", b"")):
        block = blocks.found(written.replace(was, now), "f")
        assert block is not None
        assert not block.intact
    trimmed = blocks.found(written.replace(b"edit it.\n", b"edit it.  \n"), "f")
    assert trimmed is not None
    assert trimmed.intact  # blanks at the end of a line are no change


@pytest.mark.parametrize(
    "content",
    [
        f"{BEGIN}\n",
        f"{END}\n",
        f"{END}\n{BEGIN}\n",
        f"{BEGIN}\n{BEGIN}\n{END}\n",
        f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n",
        f"{BEGIN}\n{BEGIN}\n{END}\n{END}\n",
        f"  {BEGIN}\n{END}\n",
        f"{BEGIN}\nx {END}\n{END} y\n",
        f"{BEGIN.replace('v1', 'v')}\n{END}\n",
        f"{BEGIN.replace('begin', 'BEGIN')}\n{END}\n",
        f"{BEGIN} and more\n{END}\n",
        f"{BEGIN}",
    ],
)
def test_broken_markers_are_refused(content: str) -> None:
    for put in (
        lambda: blocks.put(content.encode(), LINES, "AGENTS.md"),
        lambda: blocks.taken_out(content.encode(), "f"),
    ):
        with pytest.raises(Conflict, match="no one block; delete the lines with `carryover:begin`"):
            put()


def test_a_newer_block_and_what_is_no_text_are_refused() -> None:
    with pytest.raises(Conflict, match="of a newer carryover \\(v2\\); upgrade"):
        blocks.put(f"{BEGIN.replace('v1', 'v2')}\n{END}\n".encode(), LINES, "f")
    for content in ("# Titel".encode("utf-16"), b"a\x00b"):
        with pytest.raises(Invalid, match="no UTF-8 text; save it"):
            blocks.put(content, LINES, "f")


def test_markers_that_are_spoken_of_are_none() -> None:
    content = f"Between `{BEGIN}` and `{END}` carryover writes.\n".encode()
    assert blocks.found(content, "f") is None
    assert blocks.taken_out(blocks.put(content, LINES, "f"), "f") == content
