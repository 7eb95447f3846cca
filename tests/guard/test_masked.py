"""Secrets that somebody said are in the log, and in nothing that is made of it or told."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from canaries import opened
from carryover.core.chunk import Query
from carryover.core.session import Draft
from carryover.core.wire import encode
from carryover.runtime import Carryover
from guard.test_redact import TOKENS
from guard.worlds import AGENT, USER, kept, say

Tenant = Callable[[str], Carryover]
SAID = (
    "The deploy key of staging is {} since May 2024.",
    "Please always use {} when you call the shop.",
    "I need to rotate {} before Friday.",
    "We decided to keep {} for the staging server.",
)


def secrets() -> list[str]:
    return [make(random.Random(f"{kind}{n}")) for kind, makers in TOKENS.items() for n, make in enumerate(makers)]


@pytest.mark.parametrize("frame", SAID)
def test_no_secret_is_kept_or_told(tenant: Tenant, frame: str) -> None:
    memory = tenant(f"secrets-{SAID.index(frame)}")
    planted = secrets()
    for n in range(0, len(planted), 20):
        drafts = [Draft("user", frame.format(secret)) for secret in planted[n : n + 20]]
        say(memory, f"s{n}", *drafts)
        memory.consolidate(f"s{n}", agent=AGENT)
    found = [json.dumps(encode(hit)) for hit in memory.search(Query(frame, 50, user_id=USER)).results]
    assert len(found) == 50
    told = [
        *kept(memory),
        *found,
        memory.context("new", agent=AGENT, user=USER, max_tokens=8_000).markdown,
        memory.context("new", agent=AGENT, user=USER, max_tokens=8_000, query="the staging key").markdown,
    ]
    assert any("[secret: " in text for text in told)
    assert [secret for secret in planted if any(secret in text for text in told)] == []


def test_a_finding_whose_secret_is_masked_still_holds(tenant: Tenant) -> None:
    memory = tenant("holding")
    secret = TOKENS["github token"][0](random.Random(1))
    say(memory, "one", Draft("user", f"The deploy key of staging is {secret} since May 2024."))
    memory.consolidate("one", agent=AGENT)
    context = memory.context("new", agent=AGENT, user=USER).markdown
    assert "The deploy key of staging is [secret: github token] since May 2024." in context


def test_the_log_is_what_was_said(tenant: Tenant) -> None:
    memory = tenant("lossless")
    secret = TOKENS["github token"][0](random.Random(1))
    say(memory, "one", Draft("user", f"Keep {secret}"))
    assert memory.turns("one", agent=AGENT)[1][0].text == f"Keep {secret}"


def test_only_the_log_and_its_chunks_hold_what_people_call_their_password(tenant: Tenant) -> None:
    memory = tenant("spoken")
    password, token = "hunter2-Zanzibar", TOKENS["github token"][0](random.Random(1))
    talk = [
        Draft("user", f"My password is {password} and I prefer short answers."),
        Draft("assistant", f"I noted that your password is {password}. We decided to use PostgreSQL."),
        Draft("user", f"The API key is {token}, please always use it."),
        Draft("tool", f"login ok password={password}", kind="tool_result", name="sh", call_id="c1"),
    ]
    memory.strategies.set_agent(AGENT, {"mode": "summarize", "max_user_turns": 4, "keep_last_turns": 2})
    say(memory, "one", *talk * 9)
    memory.consolidate("one", agent=AGENT)
    assert memory.strategies.view("one", agent=AGENT).items
    memory.engine.worker.drain()
    context = memory.context("new", agent=AGENT, user=USER, query="which password?").markdown
    assert "My password is [secret: password]" in context
    held = {column for column, text in opened(memory) for said in (password, "hunter2", token) if said.encode() in text}
    assert held == {"bodies.body", "chunks.text"}, "both are sealed; what is told of chunks is masked"
    assert not any(said in context for said in (password, "hunter2", token))
    hits = memory.search(Query(password, 20, user_id=USER)).results
    assert not any(said in json.dumps(encode(hit)) for hit in hits for said in (password, "hunter2", token))
