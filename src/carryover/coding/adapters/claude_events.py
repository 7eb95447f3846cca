"""What happens around the conversation of a Claude Code session: compactions, failures, queued prompts, context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from carryover.coding.adapters.base import first_text, table
from carryover.coding.adapters.claude_records import time_of
from carryover.coding.adapters.claude_texts import by_a_person, spoken, words
from carryover.coding.adapters.claude_told import CUSTOM, GENERATED, Told
from carryover.core.step import LONGEST, uid

Said = Mapping[str, Any]

# Records that are known and tell nothing of what happened.
QUIET = words("""
    agent-name agent-setting atis-latch bridge-session file-history-delta file-history-snapshot frame-link last-prompt
    mode permission-mode progress relocated result started tag worktree-state
""")
_QUIET_SYSTEM = words("away_summary bridge_status init session_start status stop_hook_summary turn_duration")
_FAILURES = ("api_error", "error", "api_refusal", "model_refusal_fallback")
_COMPACTIONS = ("compact_boundary", "microcompact_boundary")
# Attachments that put a text before the model of which one may want to know that it was there.
_SHOWN = words("""
    dynamic_skill file hook_additional_context hook_blocking_error hook_non_blocking_error hook_stopped_continuation
    invoked_skills nested_memory relevant_memories
""")
_QUIET_ATTACHMENTS = words("""
    agent_listing_delta agent_mention already_read_file async_hook_response auto_mode auto_mode_exit
    batching_reminder_sent budget_usd command_permissions compact_file_reference critical_system_reminder date_change
    deferred_tools_delta diagnostics directory edited_text_file hook_cancelled hook_success mcp_instructions_delta
    mcp_resource opened_file_in_ide output_style plan_file_reference plan_mode plan_mode_exit plan_mode_reentry
    read_truncation_notice selected_lines_in_ide silent_turn_reminder skill_listing task_reminder task_status
    todo_reminder token_usage total_tokens_reminder ultra_effort_enter ultra_effort_exit
""")
_QUEUED, _TAKEN = 16, 16  # how many are remembered
_AT_ONCE_MS = 1_000  # a prompt that waited less was not typed while something ran


def system(told: Told, said: Said) -> None:
    subtype = first_text(said.get("subtype"), said.get("level"), "?")
    content = first_text(said.get("content"))
    if subtype in _COMPACTIONS:
        _compaction(told, said, subtype, content)
    elif subtype in _FAILURES:
        _failure(told, said, subtype, content)
    elif subtype == "local_command":
        kind, text, detail = spoken(content)
        if text:
            told.step(kind, text, detail=detail)
    elif subtype == "informational" and content:
        told.step("note", content)
    _stopped(told, said)
    known = {*_COMPACTIONS, *_FAILURES, *_QUIET_SYSTEM, "local_command", "informational"}
    told.reading.saw(told.record.version, f"system/{subtype}", known=subtype in known)


def attachment(told: Told, said: Said) -> None:
    attached = table(said.get("attachment"))
    type = first_text(attached.get("type"), "?")
    if type == "queued_command":
        _queued_command(told, attached)
    elif type in _SHOWN and (text := _text(attached)):
        path = first_text(attached.get("path"), attached.get("filename"), attached.get("hookName"))
        told.step("note", text, detail={"via": type} | ({"path": path} if path else {}))
    known = type == "queued_command" or type in _SHOWN or type in _QUIET_ATTACHMENTS
    told.reading.saw(told.record.version, f"attachment/{type}", known=known)


def queue_operation(told: Told, said: Said) -> None:
    """What was typed while something ran. It becomes a step when it is given to the model, with the time of typing.

    Taken out by `dequeue` it follows as a record of its own, after `remove` it does so in newer versions only.
    """
    queue: list[list[Any]] = told.reading.state.setdefault("queue", [])
    operation, text = first_text(said.get("operation"), "?"), _text(said)
    if operation == "enqueue" and text:
        queue.append([text[:LONGEST], told.at, told.session, told.reading.start, told.reading.length])
        del queue[:-_QUEUED]
    elif operation == "dequeue" and queue:
        typed, at, *_ = queue.pop(0)
        if told.at is not None and at is not None and told.at - at >= _AT_ONCE_MS:
            told.reading.state["due"] = uid(typed)
    elif operation == "remove" and queue:
        places = [place for place, one in enumerate(queue) if one[0] == text] or [0]
        typed, at, session, start, length = queue.pop(places[0])
        told.know("taken", uid(typed), 1, _TAKEN)
        kind, shown, detail = spoken(typed)
        identity = uid("queued", session, str(at), typed)
        detail = {"via": "queued", **(detail or {})}
        told.step(kind, shown, uid=identity, at=at, start=start, length=length, detail=detail)
    elif operation == "popAll":
        queue.clear()
    known = operation in ("enqueue", "dequeue", "remove", "popAll")
    told.reading.saw(told.record.version, f"queue-operation/{operation}", known=known)


def title(told: Told, said: Said) -> None:
    type = told.record.type
    if type == "summary":
        told.summed_up(first_text(said.get("summary")), first_text(said.get("leafUuid")))
    elif type == "ai-title":
        told.titled(first_text(said.get("aiTitle"), said.get("title")), GENERATED, told.session)
    else:
        told.titled(first_text(said.get("customTitle"), said.get("title")), CUSTOM, told.session)
    told.reading.saw(told.record.version, type or "?")


def pull_request(told: Told, said: Said) -> None:
    url = first_text(said.get("prUrl"), said.get("url"))
    if url:
        told.step("note", f"pull request: {url}", detail={"pr": url})
    told.reading.saw(told.record.version, "pr-link")


EVENTS: dict[str, Callable[[Told, Said], None]] = {
    "system": system,
    "attachment": attachment,
    "queue-operation": queue_operation,
    "summary": title,
    "ai-title": title,
    "custom-title": title,
    "pr-link": pull_request,
}


def _compaction(told: Told, said: Said, subtype: str, content: str) -> None:
    facts = table(said.get("compactMetadata")) or table(said.get("microcompactMetadata"))
    detail = {name: facts[name] for name in ("trigger", "preTokens", "postTokens", "tokensSaved") if name in facts}
    if subtype == "microcompact_boundary":
        detail["micro"] = True
    told.step("compaction", content or "Conversation compacted", detail=detail or None)


def _failure(told: Told, said: Said, subtype: str, content: str) -> None:
    error = table(said.get("error"))
    inner = table(error.get("error"))
    reason = table(inner.get("error")) or inner or error
    message = first_text(
        content, reason.get("message"), error.get("formatted"), said.get("apiRefusalExplanation"), said.get("error")
    )
    facts = {
        "status": error.get("status"),
        "type": reason.get("type"),
        "attempt": said.get("retryAttempt"),
        "of": said.get("maxRetries"),
        "why": None if subtype == "api_error" else subtype,
    }
    detail = {name: value for name, value in facts.items() if isinstance(value, int | str)}
    told.step("failure", message or subtype, detail=detail or None)


def _stopped(told: Told, said: Said) -> None:
    """A hook let the agent not go on, or failed."""
    errors = said.get("hookErrors")
    reasons = [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []  # pyright: ignore[reportUnknownVariableType]
    if reasons or said.get("preventedContinuation") is True:
        text = first_text(said.get("stopReason"), "\n".join(reasons), "a hook stopped the session")
        told.step("note", text, detail={"via": "hook", "stopped": said.get("preventedContinuation") is True})


def _queued_command(told: Told, attached: Said) -> None:
    text = _text({"content": attached.get("prompt")})
    if not text:
        return
    state = told.reading.state
    if state.get("taken", {}).pop(uid(text), None) is not None:
        return
    queue: list[list[Any]] = state.get("queue", [])
    at = time_of(attached.get("timestamp"))
    for place, (typed, typed_at, *_) in enumerate(queue):
        if typed == text:
            at = typed_at
            del queue[place]
            break
    kind, shown, detail = spoken(text)
    mode, origin = attached.get("commandMode"), attached.get("origin")
    person = by_a_person(origin if isinstance(origin, dict) else None, None)  # pyright: ignore[reportUnknownArgumentType]
    if kind == "prompt" and (person is False or mode == "task-notification" or attached.get("isMeta") is True):
        kind = "note"
    told.step(kind, shown, at=at or told.at, detail={"via": "queued", **(detail or {})})


def _text(said: Said) -> str:
    """The text of what was attached or queued, in whichever of its shapes."""
    for name in ("content", "text", "stderr", "blockingError", "stdout", "message", "skills", "memories"):
        value = said.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, dict) and (text := _text(value)):  # pyright: ignore[reportUnknownArgumentType]
            return text
        if isinstance(value, list):
            texts = [_text(each if isinstance(each, dict) else {"text": each}) for each in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if joined := "\n".join(text for text in texts if text):
                return joined
    return ""
