"""Random conversations, of which each piece came from another provider or from plain HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import strategies as st

from carryover.core.session import Draft
from carryover.core.strategy import Format, Item
from carryover.strategies.formats import catalog, generic

Native = dict[str, Any]
Scene = tuple[Format, list[Any]]  # items of that wire, or drafts of plain HTTP's where it is generic

PIXEL = "data:image/png;base64,iVBORw0KGgo="
TEXTS = ("hello", "", "  \n", "報告書 \U0001f9d1\u200d\U0001f680 é", "tell me </system>", "x" * 300)
IDS = ("a", "b", "call:1", "functions.look:0", "toolu_01", "行", "i" * 70, "a_2")
ARGUMENTS = ('{"path": "a"}', "{}", "", "no json", "[1]", '{"日":1.50,"b":{"c":null}}', '"text"', "NaN")
OBJECTS = ('{"path": "a"}', "{}", '{"日": 1.50}')
OUTPUTS = ("ok", "", "行" * 20, "a\nb")


def text(part: str, kind: str = "text") -> Native:
    return {"type": kind, "text": part}


def responses_message(role: str, said: str, own: str = "1") -> Native:
    if role == "assistant":
        part = {"type": "output_text", "text": said, "annotations": []}
        return {"id": f"msg_{own}", "type": "message", "status": "completed", "role": role, "content": [part]}
    return {"role": role, "content": said}


HOSTED: dict[Format, list[Native]] = {
    "openai": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "SEALED"},
        {"type": "mcp_call", "id": "mcp_1", "name": "look", "server_label": "s", "arguments": "{}", "output": "seen"},
        {"type": "item_reference", "id": "msg_9"},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "SEALED"},
        {"type": "tool_search_call", "arguments": {}, "execution": "server", "call_id": None},
    ],
    "anthropic": [
        {
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "SEALED"}},
                {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
                text("found it"),
            ],
        },
        {"role": "assistant", "content": [text("marked") | {"cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [text("marked") | {"cache_control": {"type": "ephemeral"}}]},
    ],
    "openai-chat": [
        {"role": "assistant", "content": None, "refusal": "I cannot"},
        {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
    ],
    "generic": [],
}


@st.composite
def messages(draw: st.DrawFn, format: Format) -> list[Any]:
    said = draw(st.sampled_from(TEXTS))
    role = draw(st.sampled_from(("user", "user", "assistant", "system")))
    pictured = role == "user" and draw(st.booleans())
    if format == "generic":
        picture = draw(st.sampled_from(({"type": "image_url", "image_url": PIXEL}, {"type": "image", "url": "x:y"})))
        return [Draft(role, [text(said), picture] if pictured else said)]
    if format == "openai":
        picture = {"type": "input_image", "image_url": PIXEL, "detail": "auto"}
        parts = [text(said, "input_text"), picture]
        return [{"role": role, "content": parts} if pictured else responses_message(role, said)]
    if format == "openai-chat":
        parts = [text(said), {"type": "image_url", "image_url": {"url": PIXEL}}]
        return [{"role": role, "content": parts if pictured else said}]
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    blocks = [text(said), *([{"type": "image", "source": source}] if pictured else [])]
    return [{"role": role, "content": blocks if pictured or draw(st.booleans()) else said}]


@st.composite
def rounds(draw: st.DrawFn, format: Format) -> list[Any]:
    """Calls, perhaps with thoughts and words, and their results: some missing, in any order, or of nobody's call."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3))
    arguments = [draw(st.sampled_from(OBJECTS)) for _ in ids]
    said = draw(st.sampled_from(("", "let me look")))
    thought = draw(st.booleans())
    answers = draw(st.permutations(ids))[: draw(st.sampled_from((len(ids), len(ids), 0, 1)))]
    orphan = draw(st.sampled_from(((), (), ("nobody",))))
    outputs = [(own, draw(st.sampled_from(OUTPUTS))) for own in (*answers, *orphan)]
    asked = list(zip(ids, arguments, strict=True))
    made = {"openai": _responses, "openai-chat": _chat, "anthropic": _anthropic}.get(format)
    if made is None:
        return _plain(draw, asked, outputs)
    return made(asked, outputs, said, thought)


def _plain(draw: st.DrawFn, asked: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]) -> list[Any]:
    def place(own: str) -> str | None:
        return None if own == "b" else own  # who logs no ids says nothing of what belongs to what

    calls = [
        Draft(
            "assistant",
            draw(st.sampled_from(ARGUMENTS)),
            "tool_call",
            draw(st.sampled_from(("look", None))),
            place(own),
        )
        for own, _ in asked
    ]
    return calls + [Draft("tool", output, "tool_result", None, place(own)) for own, output in outputs]


def _responses(asked: Any, outputs: Any, said: str, thought: bool) -> list[Any]:
    own = asked[0][0]
    made: list[Native] = [{"type": "reasoning", "id": own, "summary": [text("PRIVATE", "summary_text")]}] * thought
    made += [responses_message("assistant", said, own)] if said else []
    shells = [own for own, _ in asked if own == "toolu_01"]
    for own, given in asked:
        call = {"type": "function_call", "call_id": own, "name": "look", "arguments": given}
        shell = {"type": "shell_call", "call_id": own, "action": {"commands": ["ls"]}}
        made.append(shell if own in shells else call)
    for own, output in outputs:
        result: Native = {"type": "function_call_output", "call_id": own, "output": output}
        chunk = {"stdout": output, "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
        made.append({"type": "shell_call_output", "call_id": own, "output": [chunk]} if own in shells else result)
    return made


def _chat(asked: Any, outputs: Any, said: str, thought: bool) -> list[Any]:
    if thought and not said:
        function = {"name": "look", "arguments": asked[0][1]}
        call = {"role": "assistant", "content": None, "function_call": function}
        return [call, *({"role": "function", "name": "look", "content": output} for _, output in outputs[:1])]
    calls: list[Native] = [
        {"id": own, "type": "custom", "custom": {"name": "look", "input": "free text"}}
        if own == "toolu_01"
        else {"id": own, "type": "function", "function": {"name": "look", "arguments": given}}
        for own, given in asked
    ]
    made: list[Native] = [{"role": "assistant", "content": said or None, "tool_calls": calls}]
    return made + [{"role": "tool", "tool_call_id": own, "content": output} for own, output in outputs]


def _anthropic(asked: Any, outputs: Any, said: str, thought: bool) -> list[Any]:
    blocks: list[Native] = [{"type": "thinking", "thinking": "PRIVATE", "signature": "sig"}] * thought
    blocks += [text(said)] if said else []
    blocks += [{"type": "tool_use", "id": own, "name": "look", "input": {"path": given}} for own, given in asked]
    results = [{"type": "tool_result", "tool_use_id": own, "content": output} for own, output in outputs]
    return [{"role": "assistant", "content": blocks}, *([{"role": "user", "content": results}] if results else [])]


@st.composite
def scenes(draw: st.DrawFn, formats: Sequence[Format]) -> Scene:
    format = draw(st.sampled_from(formats))
    hosted = st.sampled_from(HOSTED[format]).map(lambda item: [item]) if HOSTED[format] else st.nothing()
    lone = st.just([Draft("assistant", "PRIVATE", "reasoning")]) if format == "generic" else st.nothing()
    return format, draw(st.one_of(messages(format), rounds(format), messages(format), rounds(format), hosted, lone))


ALL: tuple[Format, ...] = ("generic", "openai", "openai-chat", "anthropic")


def conversations(formats: Sequence[Format] = ALL) -> st.SearchStrategy[list[Item]]:
    """Conversations in these wires, as the items of a view that shows them whole."""
    return st.lists(scenes(formats), max_size=12).map(items_of)


def items_of(told: Sequence[Scene]) -> list[Item]:
    seqs = count(1)
    made: list[Item] = []
    for format, entries in told:
        drafts = entries if format == "generic" else catalog.drafts_of(format, entries)
        own = None if format == "generic" else format
        made += [replace(generic.item_of(draft, own), seq=next(seqs)) for draft in drafts]
    return made


@st.composite
def tidy(draw: st.DrawFn, format: Format) -> list[Native]:
    """A conversation as its provider has it: by turns, every call answered right away, every id its own."""
    made: list[Native] = []
    for turn in range(draw(st.integers(1, 4))):
        made.append({"role": "user", "content": draw(st.sampled_from(("hello", "報告書")))})
        for step in range(draw(st.integers(0, 3))):
            asked = [(f"{turn}_{step}_{n}", draw(st.sampled_from(OBJECTS))) for n in range(draw(st.integers(1, 3)))]
            outputs = [(own, draw(st.sampled_from(OUTPUTS[:1] + OUTPUTS[2:]))) for own, _ in asked]
            said, thought = draw(st.sampled_from(("", "let me look"))), draw(st.booleans())
            made += {"openai": _responses, "openai-chat": _chat, "anthropic": _anthropic}[format](
                asked[:1] if format == "openai-chat" and thought and not said else asked, outputs, said, thought
            )
        final: dict[Format, Native] = {
            "openai": responses_message("assistant", "done", str(turn)),
            "anthropic": {"content": [text("done") | {"citations": None}], "role": "assistant"},
        }
        made.append(final.get(format, {"role": "assistant", "content": "done", "refusal": None}))
    return made
