"""Editing JSON that a person keeps: what is not touched stays as it is, byte for byte.

A text is read into nodes that know where they stand; something is put in or cut out there, in the manner of what
stands around it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_INDENT = re.compile(r"(?:\A|\n)([ \t]*)\Z")


@dataclass(slots=True)
class Node:
    """A value from `start` to `end`. Children of an object start at their names; `value` is where theirs starts."""

    start: int
    end: int
    value: int
    data: Any
    name: str = ""
    children: list[Node] = field(default_factory=list["Node"])

    def child(self, name: str) -> Node | None:
        """The member of that name; of several the last one, which is the one that counts."""
        return next((one for one in reversed(self.children) if one.name == name), None)


def parsed(text: str) -> Node:
    """The text as a tree. Raises ValueError for what is no JSON, or is nested too deeply to be read."""
    try:
        json.loads(text)
        return _node(text, _skip(text, 0))
    except RecursionError as cause:
        raise ValueError("nested too deeply") from cause


def added(text: str, container: Node, value: Any, name: str | None = None) -> str:
    """`value` is the last child of the container: of an object under `name`."""
    opening = container.value + 1
    first = container.children[0].start if container.children else container.end - 1
    newline = "\r\n" if "\r\n" in text else "\n"
    if container.children and "\n" not in text[opening:first]:
        return _put(text, container.children[-1].end, f", {_said(value, name, None)}")
    unit = _unit(text)
    if container.children:
        indent = _indent(text, first)
        piece = _said(value, name, unit).replace("\n", newline + indent)
        return _put(text, container.children[-1].end, f",{newline}{indent}{piece}")
    around = _line_indent(text, container.start)
    indent = around + unit
    piece = _said(value, name, unit).replace("\n", newline + indent)
    return f"{text[:opening]}{newline}{indent}{piece}{newline}{around}{text[container.end - 1 :]}"


def cut(text: str, container: Node, at: int) -> str:
    """The text without the child at that place, and without the comma that parted it from the others."""
    children = container.children
    if len(children) == 1:
        return text[: container.value + 1] + text[container.end - 1 :]
    if at:
        return text[: children[at - 1].end] + text[children[at].end :]
    return text[: children[0].start] + text[children[1].start :]


def _node(text: str, at: int) -> Node:
    kind = text[at]
    if kind not in "{[":
        data, end = _DECODER.raw_decode(text, at)
        return Node(at, end, at, data)
    children: list[Node] = []
    inner = _skip(text, at + 1)
    while text[inner] not in "}]":
        start, name = inner, ""
        if kind == "{":
            name, inner = _DECODER.raw_decode(text, inner)
            inner = _skip(text, _skip(text, inner) + 1)  # over the colon
        child = _node(text, inner)
        child.start, child.name = start, name
        children.append(child)
        inner = _skip(text, child.end)
        inner = _skip(text, inner + 1) if text[inner] == "," else inner
    data = {one.name: one.data for one in children} if kind == "{" else [one.data for one in children]
    return Node(at, inner + 1, at, data, "", children)


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _put(text: str, at: int, piece: str) -> str:
    return text[:at] + piece + text[at:]


def _said(value: Any, name: str | None, unit: str | None) -> str:
    said = json.dumps(value, indent=unit, ensure_ascii=False)
    return said if name is None else f"{json.dumps(name)}: {said}"


def _unit(text: str) -> str:
    """One step of the text's own indentation; two blanks where it has none."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "  "


def _indent(text: str, at: int) -> str:
    found = _INDENT.search(text[:at])
    return found[1] if found else ""


def _line_indent(text: str, at: int) -> str:
    """With what the line begins that this stands in."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]
