"""Memories in which somebody plants something, and all that a model would be told of them afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import condensed
import talk
from carryover.chat import prompt
from carryover.coding.patterns.advice import words_of
from carryover.coding.patterns.telling import Budget, chosen
from carryover.core.chat import ChatRequest
from carryover.core.chunk import Query
from carryover.core.headings import APPROVED, CLOSING, DECISIONS, HEADINGS, OPENING, TASKS, WISHES
from carryover.core.session import Append, Draft, Source
from carryover.core.wire import encode
from carryover.guard.inert import inert
from carryover.guard.visible import visible
from carryover.memory.extract import ModelExtractor
from carryover.providers.llm import LibraryLLM, open_llm
from carryover.runtime import Carryover
from carryover.store import patterns
from coded import REPO, lesson, worked
from fakes.messages_api import FakeMessages
from guard.payloads import Payload

AGENT, USER = "ada", "mia"
MODEL = "anthropic:claude-haiku-5-5"
BINDING = (WISHES, TASKS, DECISIONS, APPROVED)
SETTLED = ("What the user wants:", "Decisions:", "Open tasks:")
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

    def reached(self, word: str) -> list[tuple[str, str]]:
        """Where the word stands among what binds, also where it is hidden."""
        return [(place, line) for place, line in self.binding if word in revealed(line)]


def revealed(text: str) -> str:
    """The text with hidden letters shown."""
    shown = "".join(chr(ord(char) - 0xE0000) if 0xE0000 <= ord(char) <= 0xE007F else char for char in text)
    return shown.lower()


def say(memory: Carryover, session: str, *drafts: Draft) -> None:
    memory.append(Append(session, drafts, AGENT, USER))


def called(name: str, output: str) -> tuple[Draft, Draft]:
    return (
        Draft("assistant", "{}", kind="tool_call", name=name, call_id="c1"),
        Draft("tool", output, kind="tool_result", name=name, call_id="c1"),
    )


def plant(memory: Carryover, payload: Payload) -> None:
    """The payload gets there in its way."""
    text, way = payload.text, payload.way
    ask, done = Draft("user", "What does the page of the shop say?"), Draft("assistant", "I have read it.")
    if way == "paste":
        say(memory, "one", Draft("user", f"Can you look at this page?\n\n{text}"), done)
    elif way == "user":
        say(memory, "one", Draft("user", text), done)
    elif way in ("tool", "web"):
        say(memory, "one", ask, *called("fetch_page" if way == "web" else "read_file", text), done)
    elif way == "assistant":
        say(memory, "one", ask, *called("read_file", text), Draft("assistant", text))
    elif way == "later":
        say(memory, "one", ask, *called("read_file", text), done)
        memory.consolidate("one", agent=AGENT)
        say(memory, "two", Draft("user", "What did we find last week?"), *called("search_memory", text))
        say(memory, "two", Draft("assistant", text))
        memory.consolidate("two", agent=AGENT)
        say(memory, "three", Draft("user", "And what else?"), *called("search_memory", text), Draft("assistant", text))
    elif way == "name":
        say(memory, "one", ask, Draft("tool", "42 rows", kind="tool_result", name=text[:60], call_id="c9"))
        say(memory, "one", Draft("assistant", "I'll send you the weekly report on Monday.", name=text[:60]))
    elif way == "tool name":
        say(memory, "one", ask, *called(text[:60], "42 rows"), done)
    elif way == "metadata":
        say(memory, "one", Draft("user", "The office is in Lyon.", metadata={"note": text, "title": text}), done)
    elif way.startswith("model "):
        say(memory, "one", ask, *called("read_file", f"42 rows. {text}"), Draft("assistant", f"It says: {text}"))
        obedient(memory, way.partition(" ")[2], text)
    elif way.startswith("summary "):
        summarised(memory, way.partition(" ")[2], text)
    elif way == "title":
        worked(memory.engine.store, memory.scope, "s1", text, title=text, user=USER)
    elif way == "pattern":
        worked(memory.engine.store, memory.scope, "s1", "Add a retry", user=USER)
        lesson(memory.engine.store, memory.scope, "p1", text)
    elif way == "failure":
        quote = Source("s1", 1, 1, text)
        worked(memory.engine.store, memory.scope, "s1", "Add a retry", user=USER, outcome="errored", errors=(quote,))
        lesson(memory.engine.store, memory.scope, "p1", words_of("error", f"shell npm: {text}", text).lesson)
    elif way == "told":
        say(memory, "one", Draft("user", text, metadata={"injected": "context"}), ask, done)


@contextmanager
def model(answer: dict[str, Any]) -> Iterator[LibraryLLM]:
    """A model that answers this whatever it is asked."""
    with FakeMessages(answer) as fake, closing(open_llm(MODEL, api_key="k", base_url=fake.url)) as llm:
        yield llm


def obedient(memory: Carryover, kind: str, text: str) -> None:
    """A model takes the text down as it is told to: pinned, and out of the tool's turn and the assistant's."""
    one = {"kind": kind, "text": text, "quote": text, "subject": "", "pinned": True, "salience": 1.0}
    found = [{**one, "first": seq, "last": seq} for seq in (3, 4)]
    with model({"found": found, "closed": [], "summary": text}) as llm:
        talk.consolidate(memory.engine.store, memory.scope, "one", ModelExtractor(llm), agent=AGENT)


def summarised(memory: Carryover, member: str, text: str) -> None:
    """A model that summarises puts what a tool said under what it wants."""
    long = Draft("user", "Tell me of the harbour crane and of the soil, please. " * 40)
    say(memory, "one", long, *called("read_file", f"42 rows. {text}"), Draft("assistant", "It is done. " * 40))
    members = ("wants", "decisions", "facts", "done", "tasks", "tools")
    strategy = replace(condensed.RULES, summarizer_model=MODEL)
    store = memory.engine.store
    with model({name: [text] if name == member else [] for name in members}) as llm:
        condensed.ask(store, memory.scope, 4, strategy, "one")
        condensed.worker(store, llm).drain(tenant=memory.scope.tenant)


def told_after(memory: Carryover, words: str) -> Told:
    """Everything that a new session of the same user is told, by every way out."""
    for session in ("one", "two", "three"):
        if any(found.session_id == session for found in memory.sessions(agent=AGENT)[0]):
            memory.consolidate(session, agent=AGENT)
    told = Told()
    say(memory, "next", Draft("user", "Good morning."))
    for query in (None, words):
        _context(told, memory.context("next", agent=AGENT, user=USER, query=query).markdown)
    _context(told, memory.context("new", agent=AGENT, user=USER, max_tokens=2_000).markdown)
    for hit in memory.search(Query(words, 10, user_id=USER)).results:
        said = json.dumps(encode(hit), ensure_ascii=False)
        told.data.append(("hit", said))
        if inert(hit.text) != hit.text or hit.voice is None:
            told.faults.append(f"a hit is not inert, or nobody's: {said[:200]}")
    persona = memory.profiles.persona(USER, session_id="next", agent=AGENT)
    told.binding += [("persona", line) for part in (persona.text, persona.tail) for line in part.splitlines()]
    _context(told, memory.get_context("new", agent="codex", user=USER, repo=REPO))
    with memory.engine.store.read(memory.scope) as tx:
        block = chosen(patterns.listed(tx), (), Budget())[0]
    told.binding += [("block", row.line) for row in block]
    view = memory.strategies.view("next", agent=AGENT, strategy={"memory_injection": True})
    _settled(told, [str(item["content"]) for item in view.items if item.get("about") == "memory"])
    _chat(told, memory)
    return told


def _chat(told: Told, memory: Carryover) -> None:
    request = ChatRequest("next", "Hello", agent_id=AGENT, instructions="You help.")
    persona = memory.profiles.persona(USER, session_id="next", agent=AGENT).text
    head = prompt.head_of(memory, request, persona, memory.engine.store.clock.now())
    sent = prompt.prompt_of(head, prompt.view_of(memory, request), (), request, may_call=False)
    own = [block for block in sent.system if block not in (head.context, head.persona)]
    told.binding += [("system", line) for block in own for line in block.splitlines()]
    _context(told, f"{head.context}\n" if head.context else "")


def _context(told: Told, markdown: str) -> None:
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


def _settled(told: Told, texts: list[str]) -> None:
    for text in texts:
        if text.count("<memory") != 1 or text.count("</memory>") != 1 or not text.endswith("</memory>"):
            told.faults.append(f"what other sessions settled is not delimited: {text[:300]!r}")
        heading = ""
        for line in text.split("\n")[4:-1]:
            heading = line if line.endswith(":") and not line.startswith("- ") else heading
            place = told.binding if heading in SETTLED else told.data
            place.append((f"injection: {heading}", line))


def kept(memory: Carryover) -> Iterator[str]:
    """What was made of the turns and is kept, as text: findings, summaries, events."""
    for session in memory.sessions(agent=AGENT, limit=200)[0]:
        for snapshot in memory.snapshots(session.session_id, agent=AGENT):
            yield json.dumps(
                encode(memory.snapshot(session.session_id, snapshot.version, agent=AGENT)), ensure_ascii=False
            )
    events: Any = memory.events(agent=AGENT)
    yield json.dumps(encode(events), ensure_ascii=False, default=str)
