"""GitHub Copilot CLI: a session's events, a line each.

What Visual Studio's Copilot leaves are traces without what was asked or answered: they are no logs of this flavor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Form, Part, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import (
    REFUSED,
    arguments,
    awaited,
    call,
    entries,
    first_record,
    message,
    moment,
    number,
    plain,
    record_of,
    remember,
    result,
    wait_for,
)
from carryover.core.clock import Time
from carryover.core.step import Branch, Flavor, Spend, StepKind, StepStatus, Supply, uid

flavor: Flavor = "copilot-cli"
form: Form = "lines"
supplies: frozenset[Supply] = frozenset({"times", "errors", "tokens", "tree", "models", "versions", "branches"})
places: tuple[str, ...] = (
    "$COPILOT_HOME/session-state",
    "~/.copilot/session-state",
    "~/.copilot/history-session-state",
)
files: tuple[str, ...] = ("*.jsonl",)

_ROOMS = ("session", "user", "assistant", "tool", "subagent", "hook", "system", "abort", "skill", "permission")
_EXIT = re.compile(r"exit(?:ed with exit)? code:? (-?\d+)>?\s*\Z")
_DENIED = ("denied", "rejected")
# Known, and nothing of it is a step: the same is said elsewhere, or it is only shown.
_SILENT = (
    "assistant.turn_start",
    "assistant.turn_end",
    "assistant.intent",
    "hook.start",
    "hook.end",
    "session.usage_checkpoint",
    "session.usage_info",
    "session.auto_mode_resolved",
    "session.compaction_start",
    "session.idle",
    "session.mode_changed",
    "pending_messages.modified",
    "permission.requested",
    "tool.execution_progress",
    "tool.execution_partial_result",
)


@dataclass(frozen=True, slots=True)
class _Event:
    session: str
    id: str
    type: str
    at: Time | None
    data: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, ...]:
        return ("copilot", self.id, "" if self.at is None else str(self.at))

    @property
    def called(self) -> tuple[str, ...]:
        return ("copilot", self.session)

    @property
    def branch(self) -> Branch:
        return "sidechain" if self.data.get("parentToolCallId") or self.data.get("parentAgentTaskId") else "main"


def claims(head: bytes, path: Path) -> bool:
    """Whether its first event is one of Copilot CLI."""
    first = first_record(head)
    room = first_text(first.get("type")).partition(".")[0]
    return room in _ROOMS and isinstance(first.get("data"), dict) and "id" in first and "timestamp" in first


def read(reading: Reading, line: bytes) -> None:
    """An event was read."""
    record = record_of(line)
    type, data = first_text(record.get("type")), table(record.get("data"))
    if type == "session.start":
        reading.state["session"] = session_id(first_text(data.get("sessionId"), _named(reading.path)))
        reading.state["version"] = first_text(data.get("copilotVersion"))
    session = str(reading.state.get("session") or session_id(_named(reading.path)))
    at = moment(record.get("timestamp"))
    event = _Event(session, first_text(record.get("id"), str(reading.start)), type, at, data)
    part = reading.of(session)
    part.about.saw(at)
    teller = _TELLERS.get(type)
    known = teller is not None or type in _SILENT
    reading.saw(str(reading.state.get("version") or ""), type or "?", known=known)
    if teller is not None:
        teller(reading, part, event)


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def _named(path: Path) -> str:
    return path.parent.name if path.stem == "events" else path.stem


def _say(reading: Reading, part: Part, event: _Event, kind: StepKind, text: str, **more: Any) -> None:
    part.add(message(reading, kind, event.identity, text, event.at, branch=event.branch, **more))


def _started(reading: Reading, part: Part, event: _Event) -> None:
    about, context = part.about, table(event.data.get("context"))
    remember(about.versions, event.data.get("copilotVersion"))
    remember(about.models, event.data.get("selectedModel"))
    reading.state["model"] = first_text(event.data.get("selectedModel"), reading.state.get("model"))
    about.cwd = about.cwd or first_text(context.get("cwd"), context.get("gitRoot")) or None
    about.branch = about.branch or first_text(context.get("branch")) or None
    if (repository := first_text(context.get("repository"))) and about.remote is None:
        host = first_text(context.get("repositoryHost"), "github.com")
        about.remote = repository if ":" in repository else f"https://{host}/{repository}"


def _titled(reading: Reading, part: Part, event: _Event) -> None:
    part.about.title = first_text(event.data.get("title"), part.about.title) or None


def _model(reading: Reading, part: Part, event: _Event) -> None:
    reading.state["model"] = first_text(event.data.get("newModel"))
    remember(part.about.models, event.data.get("newModel"))


def _user(reading: Reading, part: Part, event: _Event) -> None:
    text = plain(event.data.get("content"))
    typed = first_text(event.data.get("source"), "user") == "user" and event.branch == "main"
    attached = [first_text(one.get("path"), one.get("displayName")) for one in entries(event.data.get("attachments"))]
    detail = {"attachments": attached} if attached else None
    _say(reading, part, event, "prompt" if typed else "note", text, detail=detail)


def _assistant(reading: Reading, part: Part, event: _Event) -> None:
    model = first_text(event.data.get("model"), reading.state.get("model")) or None
    remember(part.about.models, model)
    if thought := plain(event.data.get("reasoningText")):
        _say(reading, part, event, "thinking", thought, model=model)
    if text := plain(event.data.get("content")):
        _say(reading, part, event, "text", text, model=model)
    for request in entries(event.data.get("toolRequests")):
        _call(reading, part, event, first_text(request.get("name"), "?"), request)


def _thought(reading: Reading, part: Part, event: _Event) -> None:
    _say(reading, part, event, "thinking", plain(event.data.get("content")))


def _execution(reading: Reading, part: Part, event: _Event) -> None:
    server, tool = event.data.get("mcpServerName"), event.data.get("mcpToolName")
    name = f"mcp__{server}__{tool}" if server and tool else first_text(event.data.get("toolName"), "?")
    _call(reading, part, event, name, event.data)


def _call(reading: Reading, part: Part, event: _Event, name: str, said: Mapping[str, Any]) -> None:
    """A call is told when it is asked for and when it starts, in either order: the first time it is logged."""
    call_id = first_text(said.get("toolCallId"), event.id)
    if call_id in awaited(reading):
        return
    wait_for(reading, call_id, name)
    input = arguments(said.get("arguments"))
    part.add(call(reading, event.called, call_id, name, input, event.at, branch=event.branch))


def _complete(reading: Reading, part: Part, event: _Event) -> None:
    call_id = first_text(event.data.get("toolCallId"), event.id)
    name = awaited(reading).get(call_id)
    error = table(event.data.get("error"))
    said = event.data.get("result")
    text = plain(said) or first_text(error.get("message"), event.data.get("error"))
    success = event.data.get("success")
    status: StepStatus = "ok" if success is True else "error" if success is False else "unknown"
    code = _EXIT.search(text)
    if code is not None and int(code[1]):
        status = "error"
    if status == "error" and (first_text(error.get("code")) in _DENIED or REFUSED.search(text)):
        status = "rejected"
    exit_code = None if code is None else int(code[1])
    more = {"exit_code": exit_code, "branch": event.branch}
    part.add(result(reading, event.called, call_id, name, text, status, event.at, **more))


def _subagent(reading: Reading, part: Part, event: _Event) -> None:
    done = event.type.partition(".")[2]
    name = first_text(event.data.get("agentDisplayName"), event.data.get("agentName"))
    text = f"agent {name} {done}: {first_text(event.data.get('error'), event.data.get('agentDescription'))}".rstrip(
        ": "
    )
    if done in ("selected", "started"):
        _say(reading, part, event, "note", text)
        return
    status: StepStatus = "error" if done == "failed" else "ok"
    more = {"call_id": first_text(event.data.get("toolCallId")) or None, "status": status}
    _say(reading, part, event, "outcome", text, **more)


def _permission(reading: Reading, part: Part, event: _Event) -> None:
    how = first_text(table(event.data.get("result")).get("kind"), event.data.get("result"), event.data.get("decision"))
    if how.startswith(_DENIED):
        call_id = first_text(event.data.get("toolCallId")) or None
        _say(reading, part, event, "outcome", f"permission: {how}", call_id=call_id, status="rejected")


def _error(reading: Reading, part: Part, event: _Event) -> None:
    kind = first_text(event.data.get("errorType"), "error")
    detail = {"status": event.data.get("statusCode")}
    _say(reading, part, event, "failure", f"{kind}: {first_text(event.data.get('message'))}", detail=detail)


def _compaction(reading: Reading, part: Part, event: _Event) -> None:
    if event.data.get("success") is False:
        _say(reading, part, event, "failure", f"compaction failed: {first_text(event.data.get('error'))}")
        return
    text = first_text(event.data.get("summaryContent"), event.data.get("reason"), "context truncated")
    numbers = {name: value for name, value in event.data.items() if isinstance(value, int)}
    _say(reading, part, event, "compaction", text, detail=numbers)


def _abort(reading: Reading, part: Part, event: _Event) -> None:
    _say(reading, part, event, "interrupt", first_text(event.data.get("reason"), "aborted"))


def _note(reading: Reading, part: Part, event: _Event) -> None:
    text = first_text(event.data.get("message"), event.data.get("content"), event.data.get("summary"))
    if text:
        _say(reading, part, event, "note", text, detail={"type": event.type})


def _shutdown(reading: Reading, part: Part, event: _Event) -> None:
    """What its models consumed since it was started or resumed. Its costs are requests and credits, no money."""
    metrics = table(event.data.get("modelMetrics"))
    only = next(iter(metrics)) if len(metrics) == 1 else None
    for model, said in metrics.items():
        remember(part.about.models, model)
        usage = table(table(said).get("usage"))
        if not usage and model == only:
            usage = _totals(table(event.data.get("tokenDetails")))
        if not usage:
            continue
        read, write = number(usage.get("cacheReadTokens")), number(usage.get("cacheWriteTokens"))
        asked, reasoning = number(usage.get("inputTokens")), number(usage.get("reasoningTokens"))
        spend = Spend(
            uid(*event.identity, model),
            event.at,
            model,
            # The input includes what the cache gave and took, unless it is less than that.
            asked - read - write if asked >= read + write else asked,
            read,
            write,
            max(number(usage.get("outputTokens")), reasoning),
            reasoning,
        )
        part.spends.append(spend)


def _totals(details: Mapping[str, Any]) -> Mapping[str, Any]:
    names = {
        "inputTokens": "input",
        "outputTokens": "output",
        "cacheReadTokens": "cache_read",
        "cacheWriteTokens": "cache_write",
        "reasoningTokens": "reasoning",
    }
    return {ours: table(details.get(theirs)).get("tokenCount") for ours, theirs in names.items() if details}


_TELLERS: dict[str, Callable[[Reading, Part, _Event], None]] = {
    "session.start": _started,
    "session.resume": _started,
    "session.context_changed": _started,
    "session.title_changed": _titled,
    "session.model_change": _model,
    "session.info": _note,
    "session.warning": _note,
    "session.error": _error,
    "session.truncation": _compaction,
    "session.compaction_complete": _compaction,
    "session.snapshot_rewind": _note,
    "session.handoff": _note,
    "session.task_complete": _note,
    "session.shutdown": _shutdown,
    "system.message": _note,
    "system.notification": _note,
    "skill.invoked": _note,
    "user.message": _user,
    "assistant.message": _assistant,
    "assistant.reasoning": _thought,
    "tool.user_requested": _execution,
    "tool.execution_start": _execution,
    "tool.execution_complete": _complete,
    "subagent.selected": _subagent,
    "subagent.started": _subagent,
    "subagent.completed": _subagent,
    "subagent.failed": _subagent,
    "permission.completed": _permission,
    "abort": _abort,
}
