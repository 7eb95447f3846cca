"""Memories in which somebody plants something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import condensed
import talk
from carryover.coding.patterns.advice import words_of
from carryover.core.session import Append, Draft, Source
from carryover.core.wire import encode
from carryover.memory.extract import ModelExtractor
from carryover.providers.llm import LibraryLLM, open_llm
from carryover.runtime import Carryover
from coded import lesson, worked
from fakes.messages_api import FakeMessages
from guard.payloads import Payload

AGENT, USER = "ada", "mia"
MODEL = "anthropic:claude-haiku-5-5"


def said_in(memory: Carryover) -> list[str]:
    """Those of the sessions that the payload was planted in."""
    there = {found.session_id for found in memory.sessions(agent=AGENT)[0]}
    return [session for session in ("one", "two", "three") if session in there]


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
    elif way == "split":
        for session, half in zip(("one", "two"), text.split(" || "), strict=True):
            say(memory, session, ask, *called("read_file", half), done)
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


def kept(memory: Carryover) -> Iterator[str]:
    """What was made of the turns and is kept, as text: findings, summaries, events."""
    for session in memory.sessions(agent=AGENT, limit=200)[0]:
        for snapshot in memory.snapshots(session.session_id, agent=AGENT):
            yield json.dumps(
                encode(memory.snapshot(session.session_id, snapshot.version, agent=AGENT)), ensure_ascii=False
            )
    events: Any = memory.events(agent=AGENT)
    yield json.dumps(encode(events), ensure_ascii=False, default=str)
