"""Claude Code: a file a session, a line for each part of a message, linked by `parentUuid`.

What other records repeat makes no steps: `toolUseResult` says again what the result says, `progress` what a sub-agent
wrote into its own file. Of a message that came in parts every part repeats what the call consumed so far.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Form, Reading, first_text, table
from carryover.coding.adapters.claude_events import EVENTS, QUIET
from carryover.coding.adapters.claude_records import (
    Block,
    Message,
    agent_result,
    arguments,
    message_of,
    record_of,
)
from carryover.coding.adapters.claude_texts import by_a_person, ending, spoken
from carryover.coding.adapters.claude_told import Told, told
from carryover.coding.adapters.messages import MOST_TOKENS
from carryover.coding.lines import bare, decoded, glued
from carryover.coding.tools import call_text, canonical
from carryover.core.step import Flavor, Spend, Supply, excerpt, shortened, uid

flavor: Flavor = "claude-code"
form: Form = "lines"
supplies: frozenset[Supply] = frozenset({"times", "errors", "tokens", "tree", "models", "versions", "branches"})
places: tuple[str, ...] = ("$CLAUDE_CONFIG_DIR/projects", "~/.claude/projects", "~/.config/claude/projects")
files: tuple[str, ...] = ("*.jsonl",)

_SYNTHETIC = "<synthetic>"  # the model of what the harness says in the model's name
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
_THINKING = ("thinking", "redacted_thinking")
_UNIQUE = re.compile(r"msg_(?:bdrk_|vrtx_)?[0-9A-Za-z]{20,}")
_LONGEST_KEY = 200
_OPEN, _TURNS = 256, 64  # how many are remembered
_CLAIMED = frozenset({*EVENTS, *QUIET}) - {"system", "result", "started", "status", "tag"}
_IDS = ("sessionId", "leafUuid", "messageId")


def claims(head: bytes, path: Path) -> bool:
    """Whether one of the first lines is a record of Claude Code."""
    for line in head.split(b"\n", 50)[:50]:
        text = bare(line)
        try:
            said = decoded(text)
        except ValueError:  # glued, torn, or cut off by the end of the head
            if (pieces := glued(text)) and claims(b"\n".join(pieces), path):
                return True
            start = text[:4_096]
            if not pieces and start.startswith(b"{") and b'"sessionId"' in start and b'"parentUuid"' in start:
                return b'"parts"' not in start
            continue
        if isinstance(said, dict) and (mine := _claimed(said)) is not None:  # pyright: ignore[reportUnknownArgumentType]
            return mine
    return False


def read(reading: Reading, line: bytes) -> None:
    """One record was read into `reading`."""
    record = record_of(line)
    type = record.type
    if type in ("user", "assistant") or (type is None and bytes(record.message)):
        one = told(reading, record, line)
        message = message_of(record.message)
        one.linked()
        if (type or message.role) == "assistant":
            _assistant(one, message)
        else:
            _user(one, message)
        reading.saw(record.version, type or "message")
    elif type in EVENTS:
        EVENTS[type](told(reading, record, line), table(decoded(line)))
    else:
        inner = None if record.data is None else record.data.type
        known = type in QUIET
        reading.saw(record.version, f"{type}/{inner}" if inner and known else type or "?", known=known)


def finish(reading: Reading) -> None:
    """What stands beside a sub-agent's file says what it was called for."""
    if not reading.path.name.startswith("agent-"):
        return
    untitled = [part.about for part in reading.parts.values() if part.about.kind == "subagent" and not part.about.title]
    if untitled:
        beside = reading.path.with_suffix(".meta.json")
        try:
            said = table(json.loads(beside.read_bytes()))
        except (OSError, ValueError):
            return
        for about in untitled:
            about.title = first_text(said.get("description"), said.get("name"), said.get("agentType")) or None


def _claimed(said: Mapping[str, Any]) -> bool | None:
    """Whether that is a record of Claude Code; None where it may be, and others write such ones, too."""
    type, message = said.get("type"), said.get("message")
    if type in ("user", "assistant") and isinstance(message, dict):
        return "parts" not in message
    if type is None:  # what some tools export: only what was said and consumed
        return True if "sessionId" in said and isinstance(message, dict) and "role" in message else None
    if isinstance(type, str) and type in _CLAIMED and any(name in said for name in _IDS):
        return True
    return None


def _assistant(one: Told, message: Message) -> None:
    model = None if message.model in (None, "", _SYNTHETIC) else message.model
    content = [Block("text", message.content)] if isinstance(message.content, str) else message.content or []
    failed = one.record.is_api_error_message is True
    spoke = "failure" if failed else "note" if message.model == _SYNTHETIC else "text"
    for index, block in enumerate(content):
        if block.type == "text":
            if block.text and block.text.strip():
                one.step(spoke, block.text, index, size=_size(block.text), model=model)
        elif block.type in _THINKING:
            if block.thinking:
                one.step("thinking", block.thinking, index, size=_size(block.thinking), model=model)
        elif block.type in _CALLS:
            _call(one, block, index, model)
        elif block.tool_use_id is not None:  # of a tool that ran where the model runs
            _result(one, block, index)
        else:
            one.reading.saw(one.record.version, f"assistant#{block.type}", known=block.type in ("image", "fallback"))
    if model is not None and model not in (models := one.part().about.models):
        models.append(model)
    if message.usage is not None and message.model != _SYNTHETIC:
        _spend(one, message, model)


def _call(one: Told, block: Block, index: int, model: str | None) -> None:
    name = block.name or "?"
    tool, given = canonical(name), arguments(block.input)
    text = call_text(name, tool, given)
    call = block.id
    if call is None:  # logs that were edited for publication lack ids; a result follows its call
        call = f"call-{uid(one.line, str(index))[:12]}"
        one.know("nameless", call, 1, _OPEN)
    one.know("open", call, name, _OPEN)
    one.step(
        "call",
        text,
        index,
        call_id=call,
        tool=tool,
        name=name,
        input=shortened(given),
        size=len(bytes(block.input)),
        model=model,
    )


def _spend(one: Told, message: Message, model: str | None) -> None:
    usage = message.usage
    if usage is None:
        return
    said = (
        usage.input_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
    )
    numbers = [number if number is not None and 0 <= number <= MOST_TOKENS else 0 for number in said]
    key = _call_of_the_model(one, message)
    state = one.reading.state
    if any(numbers) and state.get("spend") != [one.session, key, *numbers]:
        state["spend"] = [one.session, key, *numbers]
        one.part().spends.append(Spend(key, one.at, model, *numbers))


def _call_of_the_model(one: Told, message: Message) -> str:
    """The provider's own ids are unique, and in some copies all that is left; other ids are so with the request's."""
    if message.id is not None and _UNIQUE.fullmatch(message.id):
        return message.id
    key = " ".join(filter(None, (message.id, one.record.request_id))) or one.record.uuid or uid("spend", one.line)
    return key if len(key) <= _LONGEST_KEY else uid(key)


def _user(one: Told, message: Message) -> None:
    content = [Block("text", message.content)] if isinstance(message.content, str) else message.content or []
    typed: list[str] = []
    first = 0
    for index, block in enumerate(content):
        if block.type == "tool_result":
            _result(one, block, index)
            continue
        if block.type == "text":
            text = block.text or ""
        elif block.type in ("image", "document"):
            text = f"[{block.type}]"
        else:
            one.reading.saw(one.record.version, f"user#{block.type}", known=False)
            continue
        if not text.strip():
            continue
        kind, text, detail = _spoken(one, text)
        if kind != "prompt":
            one.step(kind, text, index, detail=detail, size=_size(text))
        elif detail is not None:
            _prompt(one, text, index, detail)
        else:
            first = first if typed else index
            typed.append(text)
    if typed:  # text and pictures that a person gave together are one prompt
        _prompt(one, "\n".join(typed), first, {})


def _spoken(one: Told, text: str) -> tuple[Any, str, Mapping[str, Any] | None]:
    """Prompt, note or interrupt: what the record says of itself, or else what its text does."""
    record = one.record
    if record.is_compact_summary is True:
        return "note", text, {"via": "compaction"}
    kind, text, detail = spoken(text)
    person = by_a_person(record.origin, record.prompt_source)
    agent = person is None and (one.own or one.branch == "sidechain")
    if kind == "prompt" and (record.is_meta is True or person is False or agent):
        return "note", text, {"via": "agent"} if agent and record.is_meta is not True else None
    return kind, text, detail


def _prompt(one: Told, text: str, index: int, detail: Mapping[str, Any]) -> None:
    """What a person typed. One that follows where an earlier one did takes the place of that and all behind it."""
    record, state = one.record, one.reading.state
    more: dict[str, Any] = dict(detail)
    if record.prompt_source == "queued" or (state.get("due") is not None and state.get("due") == uid(text)):
        more.setdefault("via", "queued")
    elif record.plan_content:
        more.setdefault("via", "plan")  # a plan that was approved is told to a model that has not seen it
    state.pop("due", None)
    if record.parent_uuid is not None and one.branch == "main":
        earlier = state.get("turns", {}).get(record.parent_uuid)
        if earlier not in (None, one.uid(index)):
            more["instead_of"] = earlier
        one.know("turns", record.parent_uuid, one.uid(index), _TURNS)
    one.step("prompt", text, index, size=_size(text), detail=more or None)


def _result(one: Told, block: Block, index: int) -> None:
    record, state = one.record, one.reading.state
    call = block.tool_use_id or record.source_tool_use
    nameless = state.get("nameless")
    if block.tool_use_id is None and nameless:
        call = next(iter(nameless))
        del nameless[call]
    name = state.get("open", {}).pop(call, None)
    whole = _result_text(block)
    status, code, text, said = ending(whole, block.is_error is True, record.tool_denial_kind is not None)
    tool = None if name is None else canonical(name)
    detail = agent_result(record.tool_use_result) if tool == "agent" else None
    if said is not None:
        detail = {**(detail or {}), "said": said}
    one.step(
        "result",
        excerpt(text),
        index,
        call_id=call,
        tool=tool,
        name=name,
        status=status,
        exit_code=code,
        size=_size(whole),
        detail=detail,
    )


def _result_text(block: Block) -> str:
    content = block.content
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(piece.text if piece.text is not None else f"[{piece.type or '?'}]" for piece in content)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
