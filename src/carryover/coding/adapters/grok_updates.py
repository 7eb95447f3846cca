"""Grok Build's `updates.jsonl`: all that happened in a session, in words of the Agent Client Protocol and xAI's own.

Lines are only appended. A message may come in pieces, with other updates between them; ids of events begin anew with
each process. A fork's copies keep what `_meta` says, but neither the session's id nor the time of writing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from carryover.coding.adapters import grok
from carryover.coding.adapters.base import Form, Reading, first_text, table
from carryover.coding.adapters.grok_calls import called, task_completed
from carryover.coding.adapters.grok_update import CHUNKS, Update, chunk, flush
from carryover.coding.adapters.grok_usage import turn_spends
from carryover.coding.adapters.messages import entries, moment, plain, remember
from carryover.coding.lines import decoded
from carryover.core.clock import Time
from carryover.core.step import Flavor, Supply

flavor: Flavor = grok.flavor
supplies: frozenset[Supply] = grok.supplies
places: tuple[str, ...] = grok.places
form: Form = "lines"
files: tuple[str, ...] = ("updates.jsonl",)

_METHOD = re.compile(rb'"method"\s*:\s*"(?:_?x\.ai/)?session[/_](?:update|notification)"')
_RECOVERED = ("succeeded", "recovered", "cleared", "ok")


def claims(head: bytes, path: Path) -> bool:
    """The envelope of an update, of the protocol or of xAI's own."""
    return b'"sessionUpdate"' in head and _METHOD.search(head) is not None


def read(reading: Reading, line: bytes) -> None:
    """One update became steps and spends; a piece of a message waits for what follows it."""
    record = table(decoded(line))
    params = table(record.get("params"))
    said = table(params.get("update"))
    kind = first_text(said.get("sessionUpdate"))
    if not kind:
        if "method" not in record:
            raise ValueError("no update")
        reading.saw(None, first_text(record["method"]) or "?", known=False)
        return
    part = reading.of(grok.session_of(reading, first_text(params.get("sessionId"))))
    meta = table(params.get("_meta"))
    at = moment(meta.get("agentTimestampMs"))
    at = moment(record.get("timestamp")) if at is None else at
    update = Update(reading, part, said, meta, at, _identity(reading, meta, at))
    part.about.saw(at)
    if kind in CHUNKS:
        chunk(update)
    elif kind in _READ:
        _READ[kind](update)
    reading.saw(None, kind, known=kind in CHUNKS or kind in _READ or kind in _QUIET)


def finish(reading: Reading) -> None:
    """A message of which nothing more has come yet is a step as far as it goes."""
    flush(reading)


def _identity(reading: Reading, meta: Mapping[str, Any], at: Time | None) -> str:
    """By what an update is known: its event and its moment, its prompt and its moment, or its place in its session."""
    known = first_text(meta.get("eventId"), meta.get("promptId"))
    return f"{known} {at}" if known else f"{reading.state['session']} {at} {reading.start}"


def _turn_completed(update: Update) -> None:
    said, reason = update.said, first_text(update.said.get("stop_reason"), update.said.get("stopReason"))
    prompt = first_text(said.get("prompt_id"), update.meta.get("promptId")) or update.identity
    told = update.state.setdefault("turns", [])
    flush(update.reading)
    if prompt in told:
        update.note("turn_retold", prompt=prompt, reason=reason)
    told.append(prompt)
    del told[:-16]
    usage = table(said.get("usage"))
    if update.state.get("spawned"):
        # The turn of the one that spawned it counts this as well.
        if usage:
            update.note("usage", usage=dict(usage))
    else:
        for spend in turn_spends(prompt, usage, update.at, update.state.get("model")):
            remember(update.part.about.models, spend.model)
            update.part.spends.append(spend)
    text = first_text(said.get("agent_result"))
    meta = table(said.get("_meta"))
    if reason == "cancelled" and not grok.beside(update.reading.path, "events.jsonl"):
        category = first_text(meta.get("cancellationCategory"), update.meta.get("cancellationCategory"))
        update.add("interrupt", text or "cancelled", detail={"category": category} if category else None)
    elif reason == "interrupted":
        update.note("turn_broken_off", text)
    elif reason == "error" and update.state.get("failed") != text:
        update.add("failure", text or "error", detail={"via": first_text(said.get("error_kind")) or "turn"})
    update.state["failed"] = None


def _retry(update: Update) -> None:
    said = {**table(update.said.get("retryState")), **update.said}
    sort = first_text(said.get("type"))
    text = first_text(said.get("message"), said.get("reason"), said.get("error"), said.get("error_type"))
    update.state["failed"] = text
    if sort not in _RECOVERED:
        detail = {"via": sort or "retry", "attempt": said.get("attempt", said.get("attempts"))}
        update.add("failure", text or "retry", detail={k: v for k, v in detail.items() if v is not None})


def _compacted(update: Update) -> None:
    """A compaction is told of twice, in either order: that it was done, and where what was there before is kept."""
    done = update.state.get("compacted")
    if done is not None and done != update.kind:
        update.state["compacted"] = None
        return
    update.state["compacted"] = update.kind
    said = update.said
    detail = {"before": said.get("tokens_before"), "after": said.get("tokens_after")}
    text = first_text(said.get("summary_preview")) or "context compacted"
    update.add("compaction", text, detail={k: v for k, v in detail.items() if v is not None} or None)


def _called(update: Update) -> None:
    update.state["compacted"] = None
    called(update)


def _failed(update: Update) -> None:
    text = first_text(update.said.get("error"), update.said.get("reason"))
    update.add("failure", text or update.kind, detail={"via": update.kind})


def _hook(update: Update) -> None:
    """Hooks run all the time: only what one of them says, or that one failed, is told."""
    for run in entries(update.said.get("runs")) or [update.said]:
        status = run.get("status")
        ended = first_text(table(status).get("status"), status)
        text = plain(run.get("output")) or first_text(table(status).get("error"), table(status).get("message"))
        if text or ended not in ("", "success", "completed", "skipped"):
            name = first_text(run.get("name"), run.get("hookName"))
            update.note("hook", text, name=name, event=update.said.get("event_name"), status=ended)


def _spawned(update: Update) -> None:
    said = update.said
    update.note(
        update.kind,
        first_text(said.get("description"), said.get("error"), said.get("output")),
        child=first_text(said.get("child_session_id"), said.get("subagent_id")),
        type=said.get("subagent_type"),
        status=said.get("status"),
    )


def _model_changed(update: Update) -> None:
    model = first_text(update.said.get("model_id"), update.said.get("modelId"))
    update.answers_as(model)
    update.note("model_changed", model)


def _titled(update: Update) -> None:
    title = first_text(update.said.get("session_summary"), update.said.get("title"))
    update.part.about.title = title or update.part.about.title


def _noted(update: Update) -> None:
    said = {name: value for name, value in update.said.items() if name not in ("sessionUpdate", "_meta")}
    text = first_text(said.get("summary"), said.get("description"), said.get("command"), said.get("message"))
    update.note(update.kind, text, **{name: value for name, value in said.items() if _short(value)})


def _rewound(update: Update) -> None:
    """What was said from that prompt on counts no more."""
    to = update.said.get("target_prompt_index")
    update.note("rewind", f"went back to before prompt {to}", rewind_to=to)


def _short(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= 200)


def _plan(update: Update) -> None:
    listed = entries(update.said.get("entries"))
    update.note("plan", "\n".join(f"{first_text(one.get('status'))}: {plain(one.get('content'))}" for one in listed))


_READ: dict[str, Callable[[Update], None]] = {
    "tool_call": _called,
    "tool_call_update": _called,
    "task_completed": task_completed,
    "turn_completed": _turn_completed,
    "retry_state": _retry,
    "auto_compact_completed": _compacted,
    "compaction_checkpoint": _compacted,
    "auto_compact_failed": _failed,
    "hook_execution": _hook,
    "subagent_spawned": _spawned,
    "subagent_finished": _spawned,
    "model_changed": _model_changed,
    "session_summary_generated": _titled,
    "plan": _plan,
    "rewind_marker": _rewound,
    "session_recap": _noted,
    "task_backgrounded": _noted,
    "image_dropped": _noted,
    "diff_review": _noted,
    "auto_compact_cancelled": _noted,
    "scheduled_task_created": _noted,
    "scheduled_task_fired": _noted,
}
_QUIET = (
    "available_commands_update",
    "current_mode_update",
    "config_option_update",
    "session_info_update",
    "auto_compact_started",
    "auto_continue_completed",
    "image_compressed",
    "last_turn_summary",
    "memory_flush_started",
    "memory_flush_completed",
    "memory_session_saved",
    "pending_interaction",
    "permission_mode_changed",
    "subagent_progress",
    "usage_update",
)
