"""The ways by which a model is told what is remembered, and what of that binds it.

`DOORS` is all of them. Each puts into `Told` what it shows: as `binding` where it stands as ours, the system's or the
user's word, as `data` elsewhere, and as a fault what is not delimited, acts, or does not say whose it is.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mcp import Client

from carryover.chat import prompt, tools
from carryover.coding.patterns.telling import Budget, chosen
from carryover.core.chat import ChatRequest, ToolCall
from carryover.core.chunk import Query
from carryover.core.headings import APPROVED, CLOSING, DECISIONS, HEADINGS, OPENING, TASKS, WISHES
from carryover.core.session import Draft
from carryover.core.snapshot import Finding
from carryover.core.voice import is_marked
from carryover.core.wire import encode
from carryover.guard.inert import defused, inert
from carryover.guard.visible import visible
from carryover.integrations import langgraph, openai_agents, prepared, pydantic_ai
from carryover.integrations import mcp as tools_of_mcp
from carryover.integrations.messages import Conversation
from carryover.memory.rules import Rules
from carryover.runtime import Carryover
from carryover.store import cited, patterns
from coded import REPO
from guard.worlds import AGENT, USER, said_in, say

WORDS = "quokka payments answers"
BINDING = (WISHES, TASKS, DECISIONS, APPROVED)
SETTLED = ("What the user wants:", "Decisions:", "Open tasks:")
INJECT = {"memory_injection": True}
SUMMARIZE = {"mode": "summarize", "summarizer_model": "rules", "max_user_turns": 2, "keep_last_turns": 1}
_SAYS_WHO = re.compile(
    r"\((?:assistant|tool output|web page|program)\b|(?:tool output|web page|program|assistant|user)[^\"]{0,60}: \""
    r"|: \"|^- Tool output: |\(assistant\)$|^- (?:\d{1,2} \w{3} \d{4}|\(\w+\))"
)


@dataclass
class Told:
    """What models are told: `binding` as ours or the user's word, `data` as what was found, by where it stands."""

    binding: list[tuple[str, str]] = field(default_factory=list)
    data: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    renderings: int = 0

    def reached(self, word: str) -> list[tuple[str, str]]:
        """Where the word stands among what binds, also where it is hidden."""
        return [(place, line) for place, line in self.binding if word in revealed(line)]


def revealed(text: str) -> str:
    """The text with hidden letters shown."""
    shown = "".join(chr(ord(char) - 0xE0000) if 0xE0000 <= ord(char) <= 0xE007F else char for char in text)
    return shown.lower()


def told_after(memory: Carryover, doors: Iterable[str] | None = None) -> Told:
    """Everything that a new session of the same user is told, by every way out (or by these)."""
    for session in said_in(memory):
        memory.consolidate(session, agent=AGENT)
    memory.engine.worker.drain(("notice",), tenant=memory.scope.tenant)
    told = Told()
    say(memory, "next", Draft("user", "Good morning."))
    for name in DOORS if doors is None else doors:
        DOORS[name](told, memory)
    return told


def context(told: Told, memory: Carryover) -> None:
    for session, asked in (("next", {}), ("next", {"query": WORDS}), ("new", {"max_tokens": 2_000})):
        found = memory.context(session, agent=AGENT, user=USER, **asked)
        _markdown(told, found.markdown)
        _findings(told, memory, found.findings)


def snapshot(told: Told, memory: Carryover) -> None:
    for session in said_in(memory):
        if versions := [one.version for one in memory.snapshots(session, agent=AGENT)]:
            found = memory.snapshot(session, max(versions), agent=AGENT)
            _findings(told, memory, found.findings)
            place = told.binding if found.by == Rules.name else told.data  # rules take it out of what the user said
            place.append(("snapshot: summary", found.summary))
            told.binding += [("snapshot: theme", theme.text) for theme in found.themes]


def search(told: Told, memory: Carryover) -> None:
    for hit in memory.search(Query(WORDS, 10, user_id=USER)).results:
        said = json.dumps(encode(hit), ensure_ascii=False)
        told.renderings += 1
        told.data.append(("hit", said))
        if inert(hit.text) != hit.text or hit.voice is None:
            told.faults.append(f"a hit is not inert, or nobody's: {said[:200]}")


def persona(told: Told, memory: Carryover) -> None:
    found = memory.profiles.persona(USER, session_id="next", agent=AGENT)
    _binds(told, "persona", found.text, found.tail)


def coding_context(told: Told, memory: Carryover) -> None:
    _markdown(told, memory.get_context("new", agent="codex", user=USER, repo=REPO))


def instruction_files(told: Told, memory: Carryover) -> None:
    with memory.engine.store.read(memory.scope) as tx:
        block = chosen(patterns.listed(tx), (), Budget())[0]
    _binds(told, "block", *(row.line for row in block))


def hooks(told: Told, memory: Carryover) -> None:
    with TemporaryDirectory() as home:
        prepared.prepare(memory.engine.store, memory.scope, Path(home), user=USER)
        for file in sorted(Path(home).rglob("*.md")):
            _markdown(told, file.read_text())


def view(told: Told, memory: Carryover) -> None:
    for session in ("next", *said_in(memory)):
        strategy = SUMMARIZE if session != "next" else INJECT
        seen = memory.strategies.view(session, agent=AGENT, strategy=strategy)
        _items(told, seen.items)


def requests(told: Told, memory: Carryover) -> None:
    """What is sent to a provider, with the persona, by the arguments of its own library."""
    for provider in ("anthropic", "openai-chat", "openai"):
        asked = Conversation(memory, "next", provider, agent=AGENT, user=USER, strategy=INJECT)
        sent = asked.request("You help.", persona=True)
        own = [block["text"] for block in sent.get("system", ())] + [sent.get("instructions", "")]
        _binds(told, f"request: {provider}", *own)
        _messages(told, [*sent.get("messages", ()), *sent.get("input", ())])


def chat(told: Told, memory: Carryover) -> None:
    request = ChatRequest("next", "Hello", agent_id=AGENT, instructions="You help.")
    of_user = memory.profiles.persona(USER, session_id="next", agent=AGENT).text
    head = prompt.head_of(memory, request, of_user, memory.engine.store.clock.now())
    sent = prompt.prompt_of(head, prompt.view_of(memory, request), (), request, may_call=False)
    _binds(told, "system", *(block for block in sent.system if block != head.context))
    _markdown(told, f"{head.context}\n" if head.context else "")
    _messages(told, sent.messages)


def chat_tools(told: Told, memory: Carryover) -> None:
    every = tools.chosen(list(tools.TOOLS))
    asked = ToolCall("c1", "search_memory", json.dumps({"query": WORDS}))
    found = tools.run(every, tools.Here(memory, AGENT, "next", USER), asked)
    told.renderings += 1
    for line in found.split("\n")[1:]:
        told.data.append(("tool", line))
        if not re.match(r'- \S+, session \S+,( turn \d+,)? \w+ by \w+: "([^"\\]|\\.)*"\Z', line) or inert(line) != line:
            told.faults.append(f"a line of the tool acts, or says not who: {line[:300]!r}")
    for session in said_in(memory):
        reading = ToolCall("c2", "read_turns", json.dumps({"first": 1, "last": 99}))
        read = tools.run(every, tools.Here(memory, AGENT, session, USER), reading)
        seqs = [str(turn.seq) for turn in memory.turns(session, agent=AGENT)[1]]
        heads = [head.split()[1].strip(",") for head in re.findall(r"^\[turn .*", read, re.MULTILINE)]
        told.renderings += 1
        told.data.append(("turns read", read))
        if heads != seqs[: len(heads)] or visible(read) != read:  # it may have been cut
            told.faults.append(f"turns that were never said are read: {heads}")


def mcp_tools(told: Told, memory: Carryover) -> None:
    asyncio.run(_mcp(told, memory))


async def _mcp(told: Told, memory: Carryover) -> None:
    async with Client(tools_of_mcp.server(lambda _: memory)) as client:
        asked = {"session_id": "new", "agent": AGENT, "user": USER}
        _markdown(told, (await client.call_tool("get_context", asked)).content[0].text)
        asked = {"session_id": "next", "user": USER}
        _binds(told, "mcp: persona", (await client.call_tool("get_persona", asked)).content[0].text)
        found = (await client.call_tool("search_memory", {"query": WORDS, "k": 10, "user": USER})).structured_content
        made = [hit["id"] for hit in found["results"] if hit["kind"] not in ("turn", "digest")]
        answers = [*found["results"], *[(await client.call_tool("why", {"id": id})).structured_content for id in made]]
    for answer in answers:
        told.renderings += 1
        acts = [text for text in _texts(answer) if visible(text) != text or defused(text) != text]
        if acts or answer.get("voice", "") is None or found["note"] != tools_of_mcp.NOTE:
            told.faults.append(f"an answer acts, or says not who: {acts} {answer}"[:300])


def langgraph_view(told: Told, memory: Carryover) -> None:
    seen = langgraph.load_view(memory, "next", agent=AGENT, strategy=INJECT)
    _messages(told, [{"role": _ROLES[one.type], "content": one.content} for one in seen])


def pydantic_view(told: Told, memory: Carryover) -> None:
    seen = pydantic_ai.load_view(memory, "next", agent=AGENT, strategy=INJECT)
    parts = [part for message in seen for part in message.parts]
    roles = {"system-prompt": "system", "user-prompt": "user"}
    _messages(told, [{"role": roles.get(part.part_kind, "assistant"), "content": part.content} for part in parts])
    _binds(told, "pydantic: instructions", *filter(None, (getattr(one, "instructions", "") for one in seen)))


def agents_session(told: Told, memory: Carryover) -> None:
    session = openai_agents.CarryoverSession("next", memory=memory, agent=AGENT, user=USER, strategy=INJECT)
    _messages(told, asyncio.run(session.get_items()))


_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
DOORS: dict[str, Callable[[Told, Carryover], None]] = {
    "context, as Markdown and as JSON": context,
    "snapshot": snapshot,
    "search": search,
    "persona": persona,
    "context of a coding agent": coding_context,
    "lines for instruction files": instruction_files,
    "notes that hooks tell": hooks,
    "view, with summaries and other sessions": view,
    "requests to three providers": requests,
    "request of the chat": chat,
    "tools of the chat": chat_tools,
    "tools of MCP": mcp_tools,
    "LangGraph": langgraph_view,
    "Pydantic AI": pydantic_view,
    "OpenAI Agents SDK": agents_session,
}


def _binds(told: Told, place: str, *texts: str) -> None:
    told.renderings += 1
    told.binding += [(place, line) for text in texts for line in text.splitlines()]


def _markdown(told: Told, markdown: str) -> None:
    told.renderings += 1
    if not markdown:
        return
    lines = markdown.rstrip("\n").split("\n")
    if lines[0] != OPENING or lines[-1] != CLOSING or visible(markdown) != markdown:
        told.faults.append(f"a context is not delimited: {markdown[:300]!r}")
    heading = ""
    for line in lines[1:-1]:
        if line in HEADINGS:
            heading = line
            told.binding.append(("heading", line))
            continue
        bad = not line.startswith("- ") or inert(line) != line or "<memory" in line or "</memory" in line
        if bad or ("quokka" in line and heading not in BINDING and not _SAYS_WHO.search(line)):
            told.faults.append(f"a line under {heading!r} acts, or says not who: {line[:300]!r}")
        (told.binding if heading in BINDING else told.data).append((heading, line))


def _findings(told: Told, memory: Carryover, found: Iterable[Finding]) -> None:
    """Of findings as JSON, which say nothing of voices, all that is no marked fact binds or may be taken for it."""
    findings = list(found)
    with memory.engine.store.read(memory.scope) as tx:
        voices = cited.voices(tx, findings)
    for one in findings:
        told.renderings += 1
        if visible(one.text) != one.text or defused(one.text, labels=True) != one.text:
            told.faults.append(f"a finding acts: {one.text[:300]!r}")
        binds = one.pinned or one.kind in ("decision", "task")
        if (
            not binds
            and "quokka" in revealed(one.text)
            and not is_marked(one.text)
            and voices.get(one.id) != "assistant"
        ):
            told.faults.append(f"a finding says not whose it is: {one.text[:300]!r}")
        (told.binding if binds else told.data).append((f"finding: {one.kind}", one.text))


def _messages(told: Told, messages: Iterable[Any]) -> None:
    """Messages of a view: what the system says binds, and what stands for other sessions is delimited."""
    shown = [(one.get("role", ""), text) for one in messages for text in _content(one)]
    _binds(told, "message of the system", *(text for role, text in shown if role in ("system", "developer")))
    _settled(told, [text for role, text in shown if role == "user" and "<memory" in text])
    told.data += [(f"message: {role}", text) for role, text in shown if role not in ("system", "developer")]


def _items(told: Told, items: Iterable[Any]) -> None:
    every = list(items)
    _settled(told, [str(one["content"]) for one in every if one.get("about") == "memory"])
    _binds(told, "item of the system", *(str(one["content"]) for one in every if one.get("role") == "system"))
    for one in every:
        if str(one.get("about", "")).startswith("summary") and one["role"] == "assistant":
            _sections(told, "summary", str(one["content"]).split("\n"))


def _settled(told: Told, texts: list[str]) -> None:
    for text in texts:
        if text.count("<memory") != 1 or text.count("</memory>") != 1 or not text.endswith("</memory>"):
            told.faults.append(f"what other sessions settled is not delimited: {text[:300]!r}")
        _sections(told, "injection", text.split("\n")[4:-1])


def _sections(told: Told, place: str, lines: Iterable[str]) -> None:
    told.renderings += 1
    heading = ""
    for line in lines:
        heading = line if line.endswith(":") and not line.startswith("- ") else heading
        (told.binding if heading in SETTLED else told.data).append((f"{place}: {heading}", line))
        if visible(line) != line or defused(line, labels=True) != line:
            told.faults.append(f"a line of a summary acts: {line[:300]!r}")


def _content(message: Any) -> list[str]:
    content = message.get("content") or ""
    return [content] if isinstance(content, str) else [part["text"] for part in content if "text" in part]


def _texts(value: Any) -> list[str]:
    """What an answer says in its own words: quotations are the log's, byte for byte, and said to be so."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for name, inner in value.items() if name != "quote" for text in _texts(inner)]
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list) else []
