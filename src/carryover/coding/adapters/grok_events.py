"""Grok Build's `events.jsonl`: how calls and turns ended, and what was permitted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carryover.coding.adapters import grok
from carryover.coding.adapters.base import Form, Part, Reading, first_text, table
from carryover.coding.adapters.messages import message, moment, remember
from carryover.coding.lines import bare, decoded
from carryover.coding.tools import canonical
from carryover.core.clock import Time
from carryover.core.step import Flavor, StepKind, Supply

flavor: Flavor = grok.flavor
supplies: frozenset[Supply] = grok.supplies
places: tuple[str, ...] = grok.places
form: Form = "lines"
files: tuple[str, ...] = ("events.jsonl",)

_QUIET = (
    "first_token",
    "goal_",
    "laziness_",
    "loop_",
    "mcp_",
    "permission_",
    "phase_",
    "session_",
    "todo_gate_",
    "tool_started",
    "turn_started",
)
_READ = ("tool_completed", "turn_ended", "interjected")
_FAILED = ("mcp_server_failed", "mcp_transport_error", "mcp_tool_registration_failed", "mcp_transport_decode_error")


def claims(head: bytes, path: Path) -> bool:
    """A line that has a `ts`, and one of the types."""
    first = head.split(b"\n", 1)[0]
    try:
        record = table(decoded(bare(first)))
    except ValueError:
        return False
    kind = first_text(record.get("type"))
    return isinstance(record.get("ts"), str) and (kind.startswith(_QUIET) or kind in _READ)


def read(reading: Reading, line: bytes) -> None:
    """One event became an outcome, an interrupt, a failure or a note, or only tells when something was."""
    event = table(decoded(line))
    kind = first_text(event.get("type"))
    if not kind:
        raise ValueError("no event")
    session = grok.session_of(reading, first_text(event.get("session_id")))
    part, at = reading.of(session), moment(event.get("ts"))
    part.about.saw(at)
    remember(part.about.models, event.get("model_id"))
    if kind == "tool_completed":
        _completed(reading, part, event, at)
    elif kind == "turn_ended":
        _ended(reading, part, event, at)
    elif kind == "interjected":
        _add(reading, part, "note", "", at, via="interjected", source=event.get("source"))
    elif kind in _FAILED:
        text = first_text(event.get("error_message"), event.get("error"))
        _add(reading, part, "failure", text or kind, at, via=kind, server=event.get("server_name"))
    elif kind == "permission_resolved" and event.get("decision") not in ("allow", None):
        decision = str(event["decision"])
        _add(reading, part, "note", "", at, via=kind, decision=decision, tool=event.get("tool_name"))
    reading.saw(first_text(event.get("schema_version")), kind, known=kind in _READ or kind.startswith(_QUIET))


def finish(reading: Reading) -> None:
    """Events tell nothing by their end."""


def _completed(reading: Reading, part: Part, event: Mapping[str, Any], at: Time | None) -> None:
    if event.get("source") == "workspace":  # the same call, seen from further away
        return
    name, call_id = first_text(event.get("tool_name")), first_text(event.get("tool_call_id"))
    outcome = first_text(event.get("outcome"))
    part.add(
        message(
            reading,
            "outcome",
            ["grok", call_id, str(at)],
            "" if outcome == "success" else outcome,
            at,
            call_id=call_id or None,
            tool=canonical(name),
            name=name or None,
            status=grok.OUTCOMES.get(outcome, "unknown"),
            detail={"outcome": outcome, "ms": event.get("duration_ms")},
        )
    )


def _ended(reading: Reading, part: Part, event: Mapping[str, Any], at: Time | None) -> None:
    outcome, category = first_text(event.get("outcome")), first_text(event.get("cancellation_category"))
    if outcome == "cancelled":
        _add(reading, part, "interrupt", category or outcome, at, category=category)
    elif outcome == "error" and not grok.beside(reading.path, "updates.jsonl"):
        _add(reading, part, "failure", outcome, at, via="turn")


def _add(reading: Reading, part: Part, kind: StepKind, text: str, at: Time | None, **detail: Any) -> None:
    known = {name: value for name, value in detail.items() if value not in (None, "")}
    # Nothing else in an event is its own: a session has it at that moment, once.
    identity = ["grok", reading.state["session"], str(at), str(sorted(known.items()))]
    part.add(message(reading, kind, identity, text, at, detail=known or None))
