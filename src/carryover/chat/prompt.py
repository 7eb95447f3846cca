"""What the model is sent: the head, and the view of the session in the words of its wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from carryover.core.chat import ChatRequest, Compaction, Prompt, ToolSpec, ViewFigures
from carryover.core.session import to_json
from carryover.core.strategy import Item, View
from carryover.core.text import canonical_json, count_tokens
from carryover.runtime import Carryover
from carryover.strategies.formats import catalog

_MARGIN = 1.3  # of a view's tokens, which are estimates, for what is held against a cap


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the conversation, in the order of how often it changes: with the program, with the user, with
    the session.

    `as_of` is the moment as of which the context was read, where there is one.
    """

    instructions: str
    persona: str
    context: str
    as_of: int | None


def head_of(memory: Carryover, request: ChatRequest, persona: str, as_of: int | None) -> Head:
    """The head with the context as it was then: read as of one moment, it has the same bytes for ever after, but for
    what was erased since."""
    context = ""
    if request.context and as_of is not None:
        context = memory.context(request.session_id, agent=request.agent_id, as_of=as_of).markdown
    return Head(request.instructions.strip(), persona.strip(), context.strip(), as_of)


def view_of(memory: Carryover, request: ChatRequest) -> View:
    """What the model is to see of the session now."""
    return memory.strategies.view(request.session_id, agent=request.agent_id, strategy=request.strategy)


def prompt_of(head: Head, view: View, tools: Sequence[ToolSpec], request: ChatRequest, *, may_call: bool) -> Prompt:
    """The request to the model. What the log's own system turns say stands behind the instructions.

    The cache is asked for behind what all sessions share, behind what those of the user share, and behind the head.
    """
    items = [_item(item) for item in view.items]
    shared = (head.instructions, *(block["text"] for block in catalog.system_of(items)))
    shared = tuple(block for block in shared if block)
    own = tuple(block for block in (head.persona, head.context) if block)
    # System turns of the log may be the session's alone.
    ends = {1 if head.instructions else len(shared), len(shared) + bool(head.persona), len(shared) + len(own)}
    return Prompt(
        system=(*shared, *own),
        messages=catalog.written("anthropic", items),
        tools=tuple(tools),
        max_tokens=request.max_tokens,
        may_call=may_call,
        points=tuple(sorted(end - 1 for end in ends if end)),
    )


def tokens_in(prompt: Prompt, view: View) -> int:
    """More tokens than the prompt is likely to have, for what is held against a cap."""
    head = sum(map(count_tokens, prompt.system))
    tools = sum(count_tokens(tool.description + canonical_json(tool.parameters)) for tool in prompt.tools)
    return head + tools + int(view.tokens_after * _MARGIN) + 500


def figures_of(view: View) -> ViewFigures:
    turns: Counter[str] = Counter()
    for operation in view.operations:
        turns[operation.op] += 1 if operation.op == "insert" else operation.last - operation.first + 1
    return ViewFigures(
        view.tokens_before, view.tokens_after, view.prefix_tokens_shared, view.trigger, dict(sorted(turns.items()))
    )


def shown_of(view: View) -> dict[str, Any]:
    """The view as a run keeps it: how it was made, not what it says."""
    replaced = [item["call_id"] for item in view.items if item.get("replaced") and item.get("call_id")]
    return {
        "hash": view.hash,
        "mode": view.strategy.mode,
        "version": view.version,
        "cut_seq": view.cut_seq,
        "cleared_seq": view.cleared_seq,
        "over_budget": view.over_budget,
        "replaced": list(dict.fromkeys(replaced)),
    }


def compaction_of(view: View, before: dict[str, Any] | None) -> Compaction | None:
    """What the strategy cut and cleared since the view that a run kept before; None where it did nothing new."""
    same = before is not None and before["hash"] == view.hash
    cut, cleared = (before["cut_seq"], before["cleared_seq"]) if before is not None and same else (1, 1)
    if view.cut_seq <= cut and view.cleared_seq <= cleared:
        return None
    names = {
        item["call_id"]: item.get("name") for item in view.items if item["kind"] == "tool_call" and "call_id" in item
    }
    new = [item for item in view.items if item.get("replaced") and item["seq"] >= cleared]
    call_ids = [item["call_id"] for item in new if item.get("call_id")]
    omitted = (operation for operation in view.operations if operation.op == "omit" and operation.last >= cut)
    return Compaction(
        trigger=view.trigger,
        tokens_before=view.tokens_before,
        tokens_after=view.tokens_after,
        cut_seq=view.cut_seq,
        cleared_seq=view.cleared_seq,
        outputs=sum(item["kind"] == "tool_result" for item in new),
        inputs=sum(item["kind"] == "tool_call" for item in new),
        omitted=sum(operation.last - max(operation.first, cut) + 1 for operation in omitted),
        call_ids=tuple(dict.fromkeys(call_ids)),
        tools=tuple(sorted({str(names.get(id) or "tool") for id in call_ids})),
    )


def _item(told: dict[str, Any]) -> Item:
    """An item out of its generic form."""
    return Item(
        role=told["role"],
        kind=told["kind"],
        body=to_json(told["content"]),
        tokens=0,
        seq=told.get("seq"),
        name=told.get("name"),
        call_id=told.get("call_id"),
        format=told.get("format"),
        replaced=told.get("replaced", False),
        about=told.get("about"),
    )
