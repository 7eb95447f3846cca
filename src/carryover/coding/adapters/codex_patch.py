"""The patches of Codex: which files they touch, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from carryover.core.step import shortened

_PATCH = re.compile(r"^\*\*\* Begin Patch\s*$(.*?)(?:^\*\*\* End Patch|\Z)", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.*?)\s*$", re.MULTILINE)
_MOVED = re.compile(r"\A\n?\*\*\* Move to: (.*?)\s*$", re.MULTILINE)
_HUNK = re.compile(r"^@@.*$", re.MULTILINE)
_MOST = 1_000  # characters of either side of a hunk


def patch_in(text: str) -> str | None:
    """The patch in a call's input or in a shell command that pipes one to `apply_patch`; None where there is none."""
    found = _PATCH.search(text)
    return None if found is None else found[0]


def edits_of(patch: str) -> Mapping[str, Any]:
    """A patch in the words of other flavors' edits: the files, and of each hunk what it takes and what it puts."""
    marks = list(_FILE.finditer(patch))
    files: list[str] = []
    edits: list[dict[str, str]] = []
    for n, mark in enumerate(marks):
        body = patch[mark.end() : marks[n + 1].start() if n + 1 < len(marks) else len(patch)]
        body = body.partition("\n*** End Patch")[0]
        kind, path = mark[1].lower(), mark[2]
        files.append(path)
        if (moved := _MOVED.match(body)) is not None:
            files.append(moved[1])
            body = body[moved.end() :]
        for hunk in _HUNK.split(body) if kind == "update" else [body]:
            old, new = _sides(hunk)
            if old or new or kind == "delete":
                edit = {"file_path": path, "kind": kind, "old_string": old, "new_string": new}
                edits.append({name: value for name, value in edit.items() if value})
    files = list(dict.fromkeys(files))
    return shortened({"file_path": files[0], "files": files, "edits": edits}, _MOST) if files else {}


def _sides(hunk: str) -> tuple[str, str]:
    lines = hunk.split("\n")
    return (
        "\n".join(line[1:] for line in lines if line[:1] == "-"),
        "\n".join(line[1:] for line in lines if line[:1] == "+"),
    )
