"""LangGraph and LangChain: what a model sees of a graph's messages, and a log of them.

A graph's state stays whole: a view is what one call of the model is given, and its messages are the state's own
objects wherever the strategy leaves them as they are. `langgraph_store` is the store for what graphs remember.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT
from carryover.core.session import Appended, Draft, Role
from carryover.core.strategy import Strategy
from carryover.core.text import canonical_json
from carryover.integrations import shown
from carryover.integrations.shown import Fate, Stored
from carryover.memories import Memory
from carryover.strategies.formats import catalog

try:
    from langchain_core.messages import (
        AIMessage,
        BaseMessage,
        HumanMessage,
        InvalidToolCall,
        SystemMessage,
        ToolCall,
        ToolMessage,
        convert_to_messages,
        messages_from_dict,
    )
    from langchain_core.runnables import RunnableConfig
except ImportError as cause:
    raise ImportError("langchain-core is not installed; run: pip install 'carryover-memory[langgraph]'") from cause

Given = Strategy | Mapping[str, Any]

_LABEL = "langchain"
_THREADS = 256
_CALLS = ("tool_use", "tool_call", "function_call", "invalid_tool_call")
_ARGUMENTS = ("input", "args", "arguments")
_ROLES: dict[str, Role] = {"user": "user", "human": "user", "system": "system", "developer": "system"}


def view(messages: Sequence[BaseMessage], strategy: Given) -> list[BaseMessage]:
    """The messages as the strategy shows them to a model; the same beginning from call to call until it cuts.

    Results stand right behind the message that asked for them. Messages have no times, so silence sets nothing off;
    summaries are made of logs only (see `load_view`).
    """
    return _arranged(shown.viewed(messages, shown.strategy_of(strategy), _said, _copied))


def view_messages(strategy: Given) -> Callable[[Any], dict[str, list[BaseMessage]]]:
    """A `pre_model_hook` (or a node) that gives the model a view of the state's messages as `llm_input_messages`.

        agent = create_react_agent(model, tools, pre_model_hook=view_messages({"mode": "compact"}))

    Raises Invalid for a strategy that cannot be.
    """
    settled = shown.strategy_of(strategy)

    def hook(state: Any) -> dict[str, list[BaseMessage]]:
        return {"llm_input_messages": view(_messages(state), settled)}

    return hook


def log_node(
    memory: Memory, *, agent: str = DEFAULT, user: str | None = None
) -> Callable[[Any, RunnableConfig], dict[str, Any]]:
    """A node (or `post_model_hook`) after which the log has all messages of the state; the thread is the session."""
    logged: OrderedDict[str, set[str | None]] = OrderedDict()  # of the last threads, so that they are not sent again

    def node(state: Any, config: RunnableConfig) -> dict[str, Any]:
        thread = config.get("configurable", {}).get("thread_id")
        if thread is None:
            raise Invalid("the graph runs without a thread; give it config={'configurable': {'thread_id': ...}}")
        known = logged.pop(str(thread), set[str | None]())
        drafts = [draft for draft in _drafts(_messages(state)) if draft.idempotency_key not in known]
        shown.append(memory, (agent, str(thread), user), drafts)
        logged[str(thread)] = known | {draft.idempotency_key for draft in drafts}
        while len(logged) > _THREADS:
            logged.popitem(last=False)
        return {}

    return node


def log_messages(
    memory: Memory, session_id: str, messages: Sequence[BaseMessage], *, agent: str = DEFAULT, user: str | None = None
) -> Appended | None:
    """All messages are in the session's log, each once, however often it is given; None where none was given.

    A message is known by its id and what it says; of those without an id the first, the second and so on that say the
    same are told apart. Raises Invalid, NotFound or TooLarge.
    """
    return shown.append(memory, (agent, session_id, user), _drafts(messages))


def load_messages(memory: Memory, session_id: str, *, agent: str = DEFAULT) -> list[BaseMessage]:
    """All messages of the session as they were logged; what others logged there in messages like them."""
    return _loaded(shown.logged(memory, agent, session_id, _LABEL))


def load_view(
    memory: Memory, session_id: str, *, agent: str = DEFAULT, strategy: Mapping[str, Any] | None = None
) -> list[BaseMessage]:
    """What a model should see of the session: the strategy in force there, with these fields on top of it.

    Summaries and what other sessions settled are part of it. Raises NotFound or Invalid.
    """
    return _loaded(shown.shown(memory, agent, session_id, _LABEL, strategy))


def _messages(state: Any) -> list[BaseMessage]:
    held = cast("Any", state["messages"] if isinstance(state, Mapping) else state.messages)
    return list(held)


def _drafts(messages: Sequence[BaseMessage]) -> list[Draft]:
    drafts: list[Draft] = []
    seen: dict[str, int] = {}
    for message in messages:
        stored: dict[str, Any] = {"type": message.type, "data": message.model_dump(mode="json", fallback=repr)}
        said = canonical_json(stored)
        seen[said] = seen.get(said, 0) + 1
        drafts += shown.stamped(_LABEL, shown.key_of(_LABEL, said, str(seen[said])), stored, _said(message))
    return drafts


def _loaded(entries: Sequence[Stored | Draft]) -> list[BaseMessage]:
    made: list[BaseMessage] = []
    others: list[Draft] = []
    for entry in [*entries, None]:
        if isinstance(entry, Draft):
            others.append(entry)
            continue
        made += convert_to_messages(catalog.native_of("openai-chat", others))
        others = []
        if entry is not None and any(entry.fates):
            message = messages_from_dict([entry.message])[0]
            made.append(message if all(fate is True for fate in entry.fates) else _copied(message, entry.fates))
    return made


def _arranged(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The same messages, with the results of each one's calls right behind it."""
    results: dict[str, list[tuple[int, ToolMessage]]] = {}
    for n, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            results.setdefault(message.tool_call_id, []).append((n, message))
    last = next((message for message in reversed(messages) if not isinstance(message, ToolMessage)), None)
    made: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            continue
        if not isinstance(message, AIMessage):
            made.append(message)
            continue
        answers = [own.pop(0) if (own := results.get(call["id"] or "")) else None for call in _calls(message)]
        if None in answers and message is not last:
            # The conversation went on without these results: no model is shown their calls.
            rest = [True] if _rest(message) else []
            fates = [*rest, *(answer is not None for answer in answers)]
            made += [_copied(message, fates)] if any(fates) else []
        else:
            made.append(message)
        found = [answer for answer in answers if answer is not None]
        made += [result for _, result in sorted(found, key=lambda answer: answer[0])]
    return made


# A message as turns: what it says besides its calls, then each call


def _said(message: BaseMessage) -> list[Draft]:
    if isinstance(message, ToolMessage):
        return [Draft("tool", _content(message), "tool_result", message.name, message.tool_call_id)]
    if not isinstance(message, AIMessage):
        return [Draft(_role(message), _content(message), name=message.name)]
    calls = [
        Draft("assistant", _arguments(call["args"]), "tool_call", call["name"], call["id"]) for call in _calls(message)
    ]
    rest = _rest(message)
    if calls and not rest:
        return calls
    return [Draft("assistant", rest or "", name=message.name), *calls]


def _role(message: BaseMessage) -> Role:
    if isinstance(message, (HumanMessage, SystemMessage)):
        return "user" if isinstance(message, HumanMessage) else "system"
    return _ROLES.get(str(getattr(message, "role", "")), "assistant")  # a ChatMessage says its own


def _content(message: BaseMessage) -> str | list[Any]:
    return cast("str | list[Any]", cast("Any", message).content)


def _rest(message: AIMessage) -> str | list[Any]:
    content = _content(message)
    return content if isinstance(content, str) else [block for block in content if not _is_call(block)]


def _calls(message: AIMessage) -> list[ToolCall | InvalidToolCall]:
    return [*message.tool_calls, *message.invalid_tool_calls]


def _is_call(block: Any) -> bool:
    return isinstance(block, dict) and cast("dict[str, Any]", block).get("type") in _CALLS


def _arguments(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)


# Copies


def _copied(message: BaseMessage, fates: Sequence[Fate]) -> BaseMessage:
    """A copy with placeholders for the results and arguments that have one, and without what is not shown."""
    if not isinstance(message, AIMessage):
        text = next((fate for fate in fates if isinstance(fate, str)), None)
        return message if text is None else message.model_copy(update={"content": text})
    calls = _calls(message)
    became = dict(zip((call["id"] for call in calls), fates[len(fates) - len(calls) :], strict=True))
    speaks = len(fates) == len(calls) or fates[0] is not False
    content = _content(message)
    if isinstance(content, list):
        blocks = [_block(block, became) if _is_call(block) else (block if speaks else None) for block in content]
        content = [block for block in blocks if block is not None]
    elif not speaks:
        content = ""
    changed: dict[str, Any] = {
        "content": content,
        "tool_calls": [_call(call, became) for call in message.tool_calls if became[call["id"]]],
        "invalid_tool_calls": [_call(call, became) for call in message.invalid_tool_calls if became[call["id"]]],
    }
    if raw := message.additional_kwargs.get("tool_calls"):
        kept = [_raw(call, became) for call in cast("list[dict[str, Any]]", raw) if became.get(call.get("id"), True)]
        changed["additional_kwargs"] = {**message.additional_kwargs, "tool_calls": kept}
    return message.model_copy(update=changed)


def _call(call: Any, became: Mapping[str | None, Fate]) -> Any:
    text = became[call["id"]]
    if not isinstance(text, str):
        return call
    return {**call, "args": json.loads(text) if isinstance(call["args"], dict) else text}


def _raw(call: Mapping[str, Any], became: Mapping[str | None, Fate]) -> Mapping[str, Any]:
    """A call as OpenAI's chat completions have it."""
    text = became.get(call.get("id"), True)
    return {**call, "function": {**call["function"], "arguments": text}} if isinstance(text, str) else call


def _block(block: dict[str, Any], became: Mapping[str | None, Fate]) -> dict[str, Any] | None:
    """A call among the blocks of a content; None where it is not shown."""
    fate = became.get(block.get("call_id") or block.get("id"), True)
    if not isinstance(fate, str):
        return block if fate else None
    held = next((name for name in _ARGUMENTS if name in block), "args")
    return {**block, held: fate if isinstance(block.get(held), str) else json.loads(fate)}
