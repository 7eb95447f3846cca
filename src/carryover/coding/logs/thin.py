"""Less of a log, a line at a time: every record stays where it is, and says what was taken of it.

What is taken is a table: which records of a flavor tell of progress only, which members repeat what stands elsewhere,
and where outputs of tools are. A line that is no record stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from carryover.coding.logs.archive import hash_of
from carryover.core.budget import TIERS, Tier
from carryover.core.step import uid

_Path = tuple[str, ...]  # members to go down by; `*` is each item of a list
_Change = Callable[[bytes], bytes]

# Records that are taken but for their short members, by how they are known.
_PROGRESS: dict[str, tuple[bytes, ...]] = {"claude-code": (b'"type":"progress"', b'"type": "progress"')}
_DUPLICATES: dict[str, tuple[_Path, ...]] = {
    "claude-code": (("toolUseResult",),),
    "codex": (("payload", "replacement_history"),),
    "grok": (("params", "update", "rawOutput", "output"),),
}
_OUTPUTS: dict[str, tuple[_Path, ...]] = {
    "claude-code": (("message", "content", "*", "content"),),
    "codex": (("payload", "output"), ("payload", "aggregated_output"), ("payload", "stdout"), ("payload", "result")),
    "grok": (("params", "update", "content"), ("params", "update", "rawOutput"), ("tool_result",)),
    "copilot-cli": (("data", "result"),),
}
_SHORT = 160  # bytes of a member that is not worth taking
_LONG, _HEAD, _TAIL = 4_000, 1_500, 500  # characters of an output that is cut, and of what is left of it


def takes(flavor: str, tier: Tier) -> bool:
    """Whether this tier takes anything of the flavor's records that the tier before it leaves."""
    return flavor in {"progress": _PROGRESS, "duplicates": _DUPLICATES, "outputs": _OUTPUTS}.get(tier, {})


def thinned(plain: bytes, flavor: str, tier: Tier) -> bytes:
    """The lines with all taken that the tier and those before it take; as many lines as before."""
    depth = TIERS.index(tier)
    changes: list[tuple[_Path, _Change]] = []
    if depth >= TIERS.index("duplicates"):
        changes += [(path, _taken) for path in _DUPLICATES.get(flavor, ())]
    if depth >= TIERS.index("outputs"):
        changes += [(path, _cut) for path in _OUTPUTS.get(flavor, ())]
    signs = _PROGRESS.get(flavor, ()) if depth >= TIERS.index("progress") else ()
    return b"\n".join(_line(line, signs, changes) for line in plain.split(b"\n"))


def _line(line: bytes, signs: tuple[bytes, ...], changes: list[tuple[_Path, _Change]]) -> bytes:
    if len(line) <= _SHORT:
        return line
    try:
        if any(sign in line for sign in signs) and _type(line) == "progress":
            return _bare(line)
        for path, change in changes:
            line = _changed(line, path, change)
    except (ValueError, RecursionError):
        pass  # no record, or none that is built like this: it stays
    return line


def _type(line: bytes) -> object:
    return msgspec.json.decode(msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get("type", b"null"))


def _bare(line: bytes) -> bytes:
    members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: msgspec.Raw(_taken(bytes(raw))) for name, raw in members.items()})


def _changed(raw: bytes, path: _Path, change: _Change) -> bytes:
    """The JSON text with what stands at the path changed, and all else byte for byte as it was."""
    if not path:
        return change(raw)
    if path[0] == "*":
        if raw[:1] != b"[":
            return raw
        items = [bytes(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
        new = [_changed(item, path[1:], change) for item in items]
        return raw if new == items else msgspec.json.encode([msgspec.Raw(item) for item in new])
    if raw[:1] != b"{":
        return raw
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    if path[0] not in members:
        return raw
    before = bytes(members[path[0]])
    after = _changed(before, path[1:], change)
    if after == before:
        return raw
    members[path[0]] = msgspec.Raw(after)
    return msgspec.json.encode(members)


def _taken(raw: bytes) -> bytes:
    if len(raw) <= _SHORT:
        return raw
    return msgspec.json.encode({"taken": len(raw), "hash": hash_of(raw)[:32]})


def _cut(raw: bytes) -> bytes:
    if len(raw) <= _LONG:
        return raw
    value = msgspec.json.decode(raw)
    after = _shortened(value)
    return raw if after == value else msgspec.json.encode(after)


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONG:
        return f"{value[:_HEAD]}\n[… {len(value) - _HEAD - _TAIL} characters taken, {uid(value)} …]\n{value[-_TAIL:]}"
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
