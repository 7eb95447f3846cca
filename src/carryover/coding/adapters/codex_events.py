"""The event messages of a Codex rollout: what the screen was told, and what the harness says of calls and turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from carryover.coding.adapters.base import first_text, table
from carryover.coding.adapters.codex_items import compacted, said, searched, thought
from carryover.coding.adapters.codex_prompt import IMAGE, interrupted, note, user_said
from carryover.coding.adapters.codex_record import Record, turn_began
from carryover.coding.adapters.codex_tokens import token_count, turn_usage
from carryover.coding.tools import canonical
from carryover.core.step import StepStatus

Event = Mapping[str, Any]


def read_event(record: Record, event: Event) -> bool:
    """The event became steps, or a spend; False for one of a type that is not known."""
    kind = first_text(event.get("type"))
    read = _READ.get(kind)
    if read is not None:
        read(record, event)
        return True
    return kind.startswith(_QUIET)


def _started(record: Record, event: Event) -> None:
    turn_began(record, event.get("turn_id"))
    record.state["prompts"] = 0
    record.state["window"] = event.get("model_context_window") or record.state.get("window")


def _ended(record: Record, event: Event) -> None:
    record.state["prompts"] = None


def _user(record: Record, event: Event) -> None:
    text = first_text(event.get("message"), event.get("text"))
    if not text.strip() and (event.get("images") or event.get("local_images")):
        text = IMAGE
    if event.get("kind") not in (None, "plain"):
        note(record, text, "context")
    else:
        user_said(record, [text], "event")


def _patched(record: Record, event: Event) -> None:
    changes = table(event.get("changes"))
    ok = event.get("success") is not False
    text = first_text(event.get("stderr" if not ok else "stdout"), event.get("stdout"))
    _outcome(record, event, "apply_patch", text, ok, files=list(changes) or None)


def _mcp(record: Record, event: Event) -> None:
    call, result = table(event.get("invocation")), table(event.get("result"))
    name = f"mcp__{first_text(call.get('server'))}__{first_text(call.get('tool'))}"
    answer = table(result.get("Ok"))
    ok = "Err" not in result and answer.get("isError", answer.get("is_error")) is not True
    _outcome(record, event, name, first_text(result.get("Err")), ok)


def _executed(record: Record, event: Event) -> None:
    if event.get("source") != "user_shell":
        code = event.get("exit_code")
        _outcome(record, event, "exec_command", "", code == 0, exit_code=code if isinstance(code, int) else None)


def _dynamic(record: Record, event: Event) -> None:
    name = first_text(event.get("tool"), event.get("name")) or "unknown"
    _outcome(record, event, name, first_text(event.get("error")), event.get("success") is not False)


def _outcome(
    record: Record,
    event: Event,
    name: str,
    text: str,
    ok: bool,
    *,
    exit_code: int | None = None,
    files: list[str] | None = None,
) -> None:
    status: StepStatus = "ok" if ok else "rejected" if "rejected by user" in text[:200] else "error"
    if event.get("status") == "declined":
        status = "rejected"
    call_id = first_text(event.get("call_id"), event.get("callId")) or None
    detail = {"files": files} if files else None
    tool = canonical(name)
    record.add(
        "outcome", text, call_id=call_id, tool=tool, name=name, status=status, exit_code=exit_code, detail=detail
    )


def _failed(record: Record, event: Event) -> None:
    inner = table(event.get("error"))
    text = first_text(event.get("message"), inner.get("message"), event.get("error"), event.get("text"))
    record.add("failure", text or "error", detail={"via": first_text(inner.get("kind"), event.get("type"))})


def _aborted(record: Record, event: Event) -> None:
    turn_began(record, event.get("turn_id"))
    record.state["prompts"] = None
    interrupted(record, "event", first_text(event.get("reason")))


def _compacted(record: Record, event: Event) -> None:
    compacted(record, "event")


def _rolled_back(record: Record, event: Event) -> None:
    turns = event.get("num_turns")
    back = -turns if isinstance(turns, int) else -1
    note(record, f"went back {-back} turns", "rolled_back", rewind_to=back)


def _spawned(record: Record, event: Event) -> None:
    child = first_text(event.get("new_thread_id"), event.get("agent_thread_id"), event.get("receiver_thread_id"))
    via = first_text(event.get("type")).removesuffix("_end")
    note(record, first_text(event.get("prompt")), via, child=child, call=event.get("call_id"), kind=event.get("kind"))


def _completed(record: Record, event: Event) -> None:
    item = table(event.get("item"))
    if item.get("type") == "Plan":
        note(record, first_text(item.get("text")), "plan")


def _titled(record: Record, event: Event) -> None:
    record.part.about.title = first_text(event.get("thread_name")) or record.part.about.title


def _settings(record: Record, event: Event) -> None:
    record.answers_as(first_text(table(event.get("thread_settings")).get("model")))


def _noted(record: Record, event: Event) -> None:
    review = table(event.get("review_output"))
    goal = table(event.get("goal"))
    text = first_text(
        event.get("message"), review.get("overall_explanation"), goal.get("objective"), event.get("user_facing_hint")
    )
    note(record, text, first_text(event.get("type")), status=first_text(goal.get("status")))


_READ: dict[str, Callable[[Record, Event], None]] = {
    "user_message": _user,
    "agent_message": lambda record, event: said(record, "event", first_text(event.get("message"))),
    "agent_reasoning": lambda record, event: thought(record, "event", first_text(event.get("text"))),
    "agent_reasoning_raw_content": lambda record, event: thought(record, "raw", first_text(event.get("text"))),
    "token_count": token_count,
    "turn.completed": turn_usage,
    "patch_apply_end": _patched,
    "mcp_tool_call_end": _mcp,
    "exec_command_end": _executed,
    "dynamic_tool_call_response": _dynamic,
    "web_search_end": lambda record, event: searched(record, "event", event),
    "error": _failed,
    "stream_error": _failed,
    "turn_aborted": _aborted,
    "context_compacted": _compacted,
    "thread_rolled_back": _rolled_back,
    "collab_agent_spawn_end": _spawned,
    "collab_agent_interaction_end": _spawned,
    "collab_close_end": _spawned,
    "sub_agent_activity": _spawned,
    "item_completed": _completed,
    "thread_name_updated": _titled,
    "thread_settings_applied": _settings,
    "thread_goal_updated": _noted,
    "entered_review_mode": _noted,
    "exited_review_mode": _noted,
    "undo_completed": _noted,
    "warning": _noted,
    "task_started": _started,
    "turn_started": _started,
    "task_complete": _ended,
    "turn_complete": _ended,
}
# Known, and no step: another record says the same, or they only say that something goes on.
_QUIET = (
    "image_generation_",
    "view_image_tool_call",
    "dynamic_tool_call_request",
    "collab_",
    "guardian_",
    "exec_",
    "mcp_",
    "item_started",
    "agent_message_delta",
    "agent_reasoning_",
    "session_configured",
    "background_event",
    "plan_update",
    "turn_diff",
    "codex/event/raw_item",
    "account/",
    "skills_",
    "hook_",
)
