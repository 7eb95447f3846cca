"""What an item says in nobody's dialect: what the readers of the wires give, and their writers take."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from carryover.core.session import Kind, Role
from carryover.core.text import clean, digest, plain

Native = dict[str, Any]

_CALLS = ("tool_use", "tool_call", "function_call", "mcp_tool_use")
_RESULTS = ("tool_result", "function_call_output", "mcp_tool_result")
_HOSTED = ("server_tool_use", "compaction", "container_upload", "tool_reference")  # only their provider can read them
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning", "reasoning_text")
_IMAGES = ("image", "input_image", "image_url", "computer_screenshot")
_FILES = ("document", "input_file", "file")
_AUDIO = ("audio", "input_audio")
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,([A-Za-z0-9+/=_-]+)")
_LABEL = 512  # characters of a name or id that the log takes


@dataclass(frozen=True, slots=True)
class Part:
    """A text, or an image or file that lies at `url` (perhaps a `data:` URL), with its name as `text`."""

    kind: Literal["text", "image", "file", "audio"]
    text: str = ""
    url: str = ""

    @property
    def note(self) -> str:
        """What stands for it where a wire has no place for such a thing."""
        if self.kind == "text":
            return self.text
        return f"[{self.kind}: {self.text}]" if self.text else f"[{self.kind}]"


@dataclass(frozen=True, slots=True)
class Piece:
    """A message, a call (its arguments as text), a result (`parts` are the output) or reasoning.

    `native` is the item of the wire that it came from. `abroad` is what other wires are told, where that is not what
    the piece itself says.
    """

    kind: Kind
    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    call_id: str | None = None
    arguments: str = ""
    failed: bool = False
    seq: int | None = None
    native: Native | None = None
    abroad: tuple[Piece, ...] | None = None

    @property
    def text(self) -> str:
        """All of it as one text; images and files are noted."""
        return "\n".join(part.note for part in self.parts)


def message(role: Role, content: Any, native: Native | None = None) -> Piece:
    return Piece("message", role, parts_of(content), native=native)


def says(piece: Piece) -> bool:
    """Whether OpenAI's wires are to be told it: all but messages of the assistant's that say nothing there."""
    return piece.kind != "message" or piece.native is not None or piece.role != "assistant" or bool(piece.parts)


def members(value: Any) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value as a list of parts: a list as it is, one thing as a list of it, nothing as none."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [] if value is None else [value]


def text_of(value: Any) -> str | None:
    """The value if it is a string that says something."""
    return value if isinstance(value, str) and value else None


def parts_of(content: Any) -> tuple[Part, ...]:
    """What content says, in whatever dialect its parts are."""
    return tuple(part for entry in listed(content) for part in _parts(entry))


def _parts(entry: Any) -> Iterator[Part]:
    if not isinstance(entry, dict):
        if said := plain(entry):
            yield Part("text", said)
        return
    part = members(cast("Any", entry))
    kind = part.get("type")
    if kind in _RESULTS:
        yield from parts_of(part.get("content", part.get("output")))
    elif kind in _THOUGHTS or kind in _HOSTED or str(kind).endswith("_tool_result"):
        return
    elif kind in _IMAGES or kind in _FILES:
        yield from _attached("image" if kind in _IMAGES else "file", part)
    elif kind in _AUDIO:
        yield Part("audio")
    elif said := part.get("refusal") if kind == "refusal" else plain(part):
        yield Part("text", str(said))


def _attached(kind: Literal["image", "file"], part: dict[str, Any]) -> Iterator[Part]:
    """An image or a file, of which each dialect says in its own way where it lies."""
    source = members(part.get("source")) or members(part.get("file")) or part
    name = next((str(own[key]) for own in (part, source) for key in ("title", "filename") if text_of(own.get(key))), "")
    if source.get("type") == "text":
        yield Part("text", str(source.get("data", "")))
    elif source.get("type") == "content":
        yield from parts_of(source.get("content"))
    else:
        yield Part(kind, name, _url(source))


def _url(source: dict[str, Any]) -> str:
    """Where it lies; an empty text where only its provider knows."""
    if data := text_of(source.get("data", source.get("file_data"))):
        media = str(source.get("media_type", "application/pdf"))
        return data if data.startswith("data:") else f"data:{media};base64,{data}"
    for key in ("image_url", "file_url", "url", "image"):
        found = source.get(key)
        if url := text_of(members(found).get("url", found)):
            return url
    return ""


def data_of(part: Part) -> tuple[str, str] | None:
    """The media type and the base64 text of what a `data:` URL holds."""
    found = _DATA.fullmatch(part.url)
    if found is None:
        return None
    try:
        base64.b64decode(found[2], validate=True)
    except ValueError:
        return None
    return found[1].lower(), found[2]


def is_remote(part: Part) -> bool:
    """Whether it lies where any provider can fetch it."""
    return part.url.startswith(("https://", "http://"))


def spoken(role: Role, content: Any) -> list[Piece]:
    """What a message says: its calls and results by themselves, and all between two of them as a message."""
    made: list[Piece] = []
    said: list[Any] = []
    for part in listed(content):
        found = embedded(part)
        if found is None:
            said.append(part)
            continue
        made += [*([message(role, said)] if said else []), found]
        said = []
    return [*made, message(role, said)] if said or not made else made


def embedded(part: Any) -> Piece | None:
    """The call or the result that a part of a message is, in any dialect."""
    found = members(part)
    if found.get("type") in _CALLS:
        return call(found)
    if found.get("type") in _RESULTS:
        return result(found)
    return None


def call(part: Mapping[str, Any], name: str | None = None, call_id: str | None = None) -> Piece:
    """The call that a part describes; a name and an id that are known go before its own."""
    inner = members(part.get("function")) or part
    given: Any = next((inner[key] for key in ("arguments", "input") if key in inner), None)
    if given is None:
        given = {} if "type" in part or inner is not part else part
    return Piece(
        "tool_call",
        "assistant",
        name=name or text_of(inner.get("name")),
        call_id=call_id or text_of(part.get("call_id")) or text_of(part.get("id")),
        arguments=clean(given if isinstance(given, str) else said_in_json(given)),
    )


def result(part: Mapping[str, Any]) -> Piece:
    """The result that a part describes."""
    ids = (text_of(part.get(key)) for key in ("tool_use_id", "tool_call_id", "call_id"))
    return Piece(
        "tool_result",
        "tool",
        parts_of(part.get("content", part.get("output"))),
        name=text_of(part.get("name")),
        call_id=next((found for found in ids if found), None),
        failed=part.get("is_error") is True,
    )


def said_in_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def arguments_of(piece: Piece) -> dict[str, Any]:
    """The arguments as the JSON object that they have to be; what is none becomes its member `input`."""
    text = piece.arguments
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return {"input": text}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"input": value}


def arguments_text(piece: Piece) -> str:
    """The same as JSON text, as it was given where it can stay."""
    found = arguments_of(piece)
    try:
        return piece.arguments if json.loads(piece.arguments, parse_float=_finite) == found else said_in_json(found)
    except (ValueError, RecursionError):
        return said_in_json(found)


def _finite(told: str) -> float | str:
    """The number; one that no float holds stays a text, because JSON has no infinity."""
    return value if math.isfinite(value := float(told)) else told


def _no_constant(name: str) -> None:
    raise ValueError(name)


def label(value: Any) -> str | None:
    """A name or id as the log takes it; what it does not take is told apart by its hash."""
    text = text_of(value)
    if text is None or (len(text) <= _LABEL and text.isprintable()):
        return text
    return digest(text)


def legal(text: str, *, longest: int) -> str:
    """An id or name of letters, digits, `_` and `-`: as it is where it is one, else with a hash that tells it apart."""
    if len(text) <= longest and re.fullmatch(r"[A-Za-z0-9_-]+", text):
        return text
    mark = digest(text)[-8:]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', text)[: longest - len(mark) - 1]}_{mark}"
