"""What happened in a coding session, one step at a time, in words that all flavors share.

A step becomes a turn of the session's log: what was said is the turn's content, what else is known of it stands in
the turn's metadata, and `step_of` reads it back. The bytes that it was read from stay in the archive.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from carryover.core.clock import Time
from carryover.core.session import Draft, Json, Role, Turn, to_json
from carryover.core.session import Kind as TurnKind

Flavor = Literal["claude-code", "codex", "grok", "gemini-cli", "opencode", "copilot-cli", "cursor", "jsonl"]
FLAVORS: tuple[Flavor, ...] = get_args(Flavor)

# prompt: what a person typed. note: what the harness put before the model, or says of itself. outcome: what another
# record says of a call whose result stands elsewhere. failure: the provider or the network, not a tool.
StepKind = Literal[
    "prompt", "text", "thinking", "call", "result", "outcome", "interrupt", "compaction", "failure", "note"
]
Tool = Literal["shell", "read", "edit", "write", "search", "web", "agent", "plan", "mcp", "other"]
StepStatus = Literal["ok", "error", "rejected", "cancelled", "unknown"]
Branch = Literal["main", "sidechain", "abandoned"]

# What a flavor's records can tell; a digest says "unknown" of what its flavor cannot supply.
Supply = Literal["times", "errors", "tokens", "cost", "tree", "models", "versions", "branches"]

_ROLES: dict[StepKind, tuple[Role, TurnKind]] = {
    "prompt": ("user", "message"),
    "text": ("assistant", "message"),
    "thinking": ("assistant", "reasoning"),
    "call": ("assistant", "tool_call"),
    "result": ("tool", "tool_result"),
    "outcome": ("system", "message"),
    "interrupt": ("user", "message"),
    "compaction": ("system", "message"),
    "failure": ("system", "message"),
    "note": ("system", "message"),
}
_USUAL: dict[tuple[Role, TurnKind], StepKind] = {
    ("user", "message"): "prompt",
    ("assistant", "message"): "text",
    ("assistant", "reasoning"): "thinking",
    ("assistant", "tool_call"): "call",
    ("tool", "tool_result"): "result",
    ("system", "message"): "note",
}
_MARK = '{"step":'
HEAD, TAIL = 500, 200  # characters of a result that its turn keeps; more would not fit into a row of SQLite at once
LONGEST = 64_000  # characters of what was said that its turn keeps


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened.

    `uid` is the record's own identity, the same in every copy of it (`uid`). `at` is None where the record has no
    time. `tool` is the tool in words of all flavors, `name` what the flavor calls it; `input` are a call's arguments,
    long strings cut (`shortened`). `size` counts the bytes of the whole content. `start` and `length` say where in
    its file the record stands.
    """

    uid: str
    kind: StepKind
    text: str
    at: Time | None = None
    call_id: str | None = None
    tool: Tool | None = None
    name: str | None = None
    input: Mapping[str, Any] | None = None
    status: StepStatus | None = None
    exit_code: int | None = None
    size: int = 0
    branch: Branch = "main"
    model: str | None = None
    detail: Mapping[str, Any] | None = None
    start: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Spend:
    """What one call of a model consumed, in tokens; several records of one call share the `key`, and the most counts.

    `input` is without what the cache gave (`cache_read`) or took (`cache_write`); `output` includes `reasoning`.
    `cost` is in billionths of a US dollar, None where the flavor does not say.
    """

    key: str
    at: Time | None = None
    model: str | None = None
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    cost: int | None = None
    window: int | None = None  # tokens that the model can see


@dataclass(slots=True)
class About:
    """What the records of one file say of their session; unset is unknown."""

    cwd: str | None = None
    branch: str | None = None
    remote: str | None = None
    title: str | None = None
    parent: str | None = None  # the session id of the one that spawned or was copied into it
    kind: Literal["main", "subagent", "fork", "headless"] | None = None
    entry: str | None = None  # through what it was used: cli, vscode, exec
    versions: list[str] = field(default_factory=list[str])
    models: list[str] = field(default_factory=list[str])
    first_at: Time | None = None
    last_at: Time | None = None

    def saw(self, at: Time | None) -> None:
        """A record of the session has this time."""
        if at is not None:
            self.first_at = at if self.first_at is None or at < self.first_at else self.first_at
            self.last_at = at if self.last_at is None or at > self.last_at else self.last_at


def uid(*parts: str | bytes) -> str:
    """An identity made of these, 32 hex digits; equal parts make an equal one, on every machine."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        made.update(len(data).to_bytes(8, "big") + data)
    return made.hexdigest()


def excerpt(text: str, head: int = HEAD, tail: int = TAIL) -> str:
    """The beginning and the end of a text; what is left out between them is counted where it was."""
    if len(text) <= head + tail:
        return text
    return f"{text[:head]}\n[… {len(text) - head - tail} characters …]\n{text[-tail:] if tail else ''}"


def shortened(value: Any, most: int = HEAD) -> Any:
    """Arguments of a call with every long string cut; a cut one ends in the hash of the whole, so equals stay equal."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]}[… {len(value)} characters, {uid(value)[:12]}]"
    if isinstance(value, Mapping):
        return {str(key): shortened(inner, most) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [shortened(inner, most) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def draft_of(step: Step) -> Draft:
    """The step as a turn's draft; `step_of` reads it back from the turn."""
    role, kind = _ROLES[step.kind]
    # Only what is set, and what the turn does not say itself: this is a third of what is stored of most steps.
    said = {
        "uid": step.uid,
        "kind": None if _USUAL[role, kind] == step.kind else step.kind,
        "tool": step.tool,
        "input": step.input,
        "status": step.status,
        "exit": step.exit_code,
        "size": step.size or None,
        "branch": None if step.branch == "main" else step.branch,
        "model": step.model,
        "detail": step.detail,
        "timeless": True if step.at is None else None,
        "raw": [step.start, step.length],
    }
    known = {name: value for name, value in said.items() if value is not None}
    return Draft(
        role,
        step.text,
        kind,
        name=step.name,
        call_id=step.call_id,
        created_at=step.at,
        metadata=Json(f"{_MARK}{to_json(known, 'metadata')}}}"),
    )


def step_of(turn: Turn) -> Step | None:
    """The step that became this turn; None for a turn that was none."""
    if turn.metadata is None or not turn.metadata.startswith(_MARK):
        return None
    said = json.loads(turn.metadata)["step"]
    start, length = said.get("raw", (0, 0))
    return Step(
        said["uid"],
        said.get("kind") or _USUAL[turn.role, turn.kind],
        turn.text,
        None if said.get("timeless") else turn.created_at,
        turn.call_id,
        said.get("tool"),
        turn.name,
        said.get("input"),
        said.get("status"),
        said.get("exit"),
        said.get("size", 0),
        said.get("branch", "main"),
        said.get("model"),
        said.get("detail"),
        start,
        length,
    )


def is_told(role: Role, kind: TurnKind, metadata: str | None) -> bool:
    """Whether search should find such a turn: of steps only what was said, and what failed."""
    if metadata is None or not metadata.startswith(_MARK):
        return True
    said = json.loads(metadata)["step"]
    happened = said.get("kind") or _USUAL[role, kind]
    return happened in ("prompt", "text") or (happened == "result" and said.get("status") == "error")
