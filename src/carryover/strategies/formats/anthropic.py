"""Messages of Anthropic's Messages API.

A message is cut where calls, results and thinking begin and end, so that each is a turn; every part is a message of
its own, and the first one has all that the whole had besides its content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal

from carryover.core.session import Draft, Role
from carryover.strategies.formats import pieces as reading
from carryover.strategies.formats.pairs import arranged, led_on
from carryover.strategies.formats.parts import drafts_of_parts, joined_parts
from carryover.strategies.formats.pieces import (
    Native,
    Part,
    Piece,
    arguments_of,
    data_of,
    is_remote,
    legal,
    listed,
    members,
    text_of,
)

FORMAT = "anthropic"
BEGINNING = "(the conversation so far)"

_THOUGHTS = ("thinking", "redacted_thinking")
_OWN_KIND = ("tool_use", "tool_result", *_THOUGHTS)
_MEDIA = ("image/jpeg", "image/png", "image/gif", "image/webp")
_LONGEST_ID = 60  # of 64, with room for what tells two calls of one id apart
_LONGEST_NAME = 64
_LOOK_BACK = 20  # blocks before a breakpoint in which the provider looks for what it has cached
_MOST_MARKS = 4  # breakpoints of the cache that a request may have
_MARKS = 3  # of them that messages may keep: one is the system head's


def drafts(messages: Sequence[Mapping[str, Any]]) -> list[Draft]:
    """A draft for each call, result and thought of the messages, and one for all that stands between two of them."""
    return [draft for message in messages for draft in drafts_of_parts(FORMAT, _cut(dict(message)), _piece)]


def joined(contents: Sequence[tuple[Native, Mapping[str, Any]]]) -> list[Native]:
    """The messages that drafts with these contents and metadata were made of."""
    return joined_parts(contents, _with_content)


def _with_content(message: Native, more: Native) -> Native:
    return message | {"content": [*listed(message.get("content")), *listed(more.get("content"))]}


def _cut(message: Native) -> list[Native]:
    """The message in its parts; only one if there is nothing to part."""
    content = message.get("content")
    if not isinstance(content, list):
        return [message]
    runs: list[list[Any]] = []
    for own, group in groupby(listed(content), lambda block: _kind(block) in _OWN_KIND):
        blocks = list(group)
        runs += [[block] for block in blocks] if own else [blocks]
    if len(runs) < 2:
        return [message]
    return [
        message | {"content": blocks} if n == 0 else {"role": message.get("role"), "content": blocks}
        for n, blocks in enumerate(runs)
    ]


def _kind(block: Any) -> str:
    return text_of(members(block).get("type")) or ""


def pieces(message: Native) -> list[Piece]:
    """What a message says."""
    return [_piece(native) for native in _cut(message)]


def _piece(native: Native) -> Piece:
    """What a message says that cannot be parted further."""
    content = native.get("content")
    blocks = listed(content)
    block = members(blocks[0]) if isinstance(content, list) and len(blocks) == 1 else {}
    kind = _kind(block)
    if kind == "tool_use" and text_of(block.get("id")):
        return replace(reading.call(block), native=native)
    if kind == "tool_result" and text_of(block.get("tool_use_id")):
        return replace(reading.result(block), native=native)
    if kind in _THOUGHTS:
        return Piece("reasoning", "assistant", native=native)
    roles: dict[str, Role] = {"user": "user", "system": "system"}
    message = reading.message(roles.get(text_of(native.get("role")) or "", "assistant"), content, native=native)
    if any(map(reading.embedded, blocks)):
        return replace(message, abroad=tuple(reading.spoken(message.role, content)))
    return message


def wire_id(piece: Piece) -> str:
    return legal(piece.call_id or f"call_{piece.seq or 0}", longest=_LONGEST_ID)


def composed(pieces: Sequence[Piece], *, whole: bool) -> list[Native]:
    """The messages that say it, user and assistant by turns; whole conversations begin with a user's.

    What the system says at the beginning of those is left out: it is no message (see `system`).
    """
    made: list[Native] = []
    told = [piece for piece in (_after_head(pieces) if whole else pieces) if _content(piece)]
    for piece in arranged(led_on(told) if whole else told):
        role, content = "assistant" if piece.role == "assistant" else "user", _content(piece)
        if not made and role == "assistant" and whole:
            made.append({"role": "user", "content": BEGINNING})
        if made and made[-1]["role"] == role:
            made[-1] = {"role": role, "content": [*_blocks(made[-1]["content"]), *_blocks(content)]}
        else:
            made.append({"role": role, "content": content})
    return _marked_at_most(made, _MARKS)


def system(pieces: Sequence[Piece]) -> list[Native]:
    """What the conversation's system head says, as blocks of text."""
    head = pieces[: len(pieces) - len(_after_head(pieces))]
    blocks = [block for piece in head for block in _blocks(_content(replace(piece, role="assistant")))]
    texts = [block for block in blocks if _kind(block) == "text"]
    return listed(_marked_at_most([{"content": texts}], 1)[0]["content"])


def _after_head(pieces: Sequence[Piece]) -> Sequence[Piece]:
    head = next((n for n, piece in enumerate(pieces) if piece.role != "system"), len(pieces))
    return pieces[head:]


def _content(piece: Piece) -> str | list[Any]:
    """What stands in the message; nothing where the wire has no place for it."""
    if piece.role == "system":
        return [{"type": "text", "text": f"<system>\n{piece.text}\n</system>"}] if piece.text.strip() else []
    if piece.native is not None:
        return _own(piece, piece.native.get("content"))
    if piece.kind == "tool_call":
        name = legal(piece.name or "tool", longest=_LONGEST_NAME)
        return [{"type": "tool_use", "id": piece.call_id, "name": name, "input": arguments_of(piece)}]
    blocks = [_block(part, piece.role) for part in piece.parts if part.kind != "text" or part.text.strip()]
    if piece.kind == "tool_result":
        block: Native = {"type": "tool_result", "tool_use_id": piece.call_id, "content": _shortly(blocks)}
        return [block | {"is_error": True} if piece.failed else block]
    return _shortly(blocks)


def _own(piece: Piece, content: Any) -> str | list[Any]:
    """The content as it came, but under the id that its call has here, and without what says nothing."""
    if isinstance(content, str):
        return content if content.strip() else []
    if piece.kind in ("tool_call", "tool_result"):
        block, key = members(listed(content)[0]), "id" if piece.kind == "tool_call" else "tool_use_id"
        if block[key] != piece.call_id:
            block = block | {key: piece.call_id}
        said = block.get("content")
        if piece.kind == "tool_result" and isinstance(said, list) and any(map(_is_blank, listed(said))):
            block = block | {"content": [part for part in listed(said) if not _is_blank(part)]}
        return [block]
    return [block for block in listed(content) if isinstance(block, dict) and not _is_blank(block)]


def _is_blank(block: Any) -> bool:
    """Whether the wire refuses it because it says nothing: a text without text, a thought without its signature."""
    kind = _kind(block)
    if kind == "thinking":
        return not isinstance(members(block).get("signature"), str)
    return kind == "text" and not str(members(block).get("text") or "").strip()


def _shortly(blocks: list[Native]) -> str | list[Any]:
    """One text as a string, as people write it; all else as blocks."""
    return str(blocks[0]["text"]) if len(blocks) == 1 and blocks[0]["type"] == "text" else blocks


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else listed(content)


def _block(part: Part, role: Role) -> Native:
    """The part as a block; where the wire cannot hold it, a note that it was there."""
    data = data_of(part)
    text: Native = {"type": "text", "text": part.note}
    if role == "assistant" or part.kind not in ("image", "file"):
        return text
    if data is not None and part.kind == "image" and data[0] in _MEDIA:
        return {"type": "image", "source": {"type": "base64", "media_type": data[0], "data": data[1]}}
    named: Native = {"title": part.text} if part.text and part.kind == "file" else {}
    if data is not None and part.kind == "file" and data[0] == "application/pdf":
        source = {"type": "base64", "media_type": data[0], "data": data[1]}
        return {"type": "document", "source": source} | named
    if is_remote(part):
        kind = "image" if part.kind == "image" else "document"
        return {"type": kind, "source": {"type": "url", "url": part.url}} | named
    return text


def replaced(message: Mapping[str, Any], what: Literal["input", "output"], text: str) -> Native | None:
    """The message with a placeholder in its one call or result; None where it is no such message."""
    blocks = listed(message.get("content"))
    block = members(blocks[0]) if len(blocks) == 1 else {}
    if what == "input" and _kind(block) == "tool_use":
        return {**message, "content": [block | {"input": {"input": text}}]}
    if what == "output" and _kind(block) == "tool_result":
        return {**message, "content": [block | {"content": text}]}
    return None


def _marked_at_most(messages: list[Native], most: int) -> list[Native]:
    """The messages with no more than the last few of the cache breakpoints that their blocks came with."""
    left = most
    made: list[Native] = []
    for message in reversed(messages):
        content = message["content"]
        marked = [n for n, block in enumerate(listed(content)) if members(block).get("cache_control")]
        over = set(marked[: max(0, len(marked) - left)])
        left -= len(marked) - len(over)
        if over:
            content = [unmarked(block) if n in over else block for n, block in enumerate(content)]
        made.append(message | {"content": content} if over else message)
    return made[::-1]


def unmarked(block: Native) -> Native:
    """The block without a cache breakpoint."""
    return {key: value for key, value in block.items() if key != "cache_control"}


def with_breakpoints(
    system: Sequence[Mapping[str, Any]],
    messages: Sequence[Mapping[str, Any]],
    *,
    shared: int = 0,
    ttl: str | None = None,
) -> tuple[list[Native], list[Native]]:
    """Copies of a head and its messages with at most four cache breakpoints, and none of those they came with.

    They stand at the end of the head, and of its first `shared` blocks if others begin with these too; before the
    newest of the user's turns; where the request before this one ended if the provider would not look back so far; and
    at the end. `ttl` is how long the provider keeps what it caches (`5m`, its own default, or `1h`). Leave the tools
    without one: they come before the head, whose breakpoint covers them.
    """
    mark: Native = {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})
    head = [unmarked(dict(block)) for block in system]
    told = [
        {**message, "content": [unmarked(dict(block)) for block in _blocks(message["content"])]} for message in messages
    ]
    blocks: list[Native] = [block for message in told for block in message["content"]]
    ends: list[int] = []  # how many blocks there are up to the end of each message
    for message in told:
        ends.append((ends[-1] if ends else 0) + len(message["content"]))
    turn = _newest_turn(told, ends)
    marked = [head[-1:], blocks]
    if 0 < shared < len(head):
        marked.append(head[shared - 1 : shared])
    if len(blocks) - turn > _LOOK_BACK and len(ends) > 2:
        marked.append(blocks[: ends[-3]])
    if len(marked) < _MOST_MARKS:
        marked.append(blocks[:turn])
    for before in marked:
        if (last := next((block for block in reversed(before) if _takes_mark(block)), None)) is not None:
            last["cache_control"] = mark
    return head, told


def _newest_turn(messages: Sequence[Native], ends: Sequence[int]) -> int:
    """How many blocks there are before what the user said last."""
    for n in reversed(range(len(messages))):
        content = listed(messages[n]["content"])
        said = next((at for at, block in enumerate(content) if _kind(block) != "tool_result"), None)
        if messages[n]["role"] == "user" and said is not None:
            return ends[n] - len(content) + said
    return 0


def _takes_mark(block: Native) -> bool:
    return _kind(block) not in _THOUGHTS and not _is_blank(block)
