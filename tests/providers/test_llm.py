"""One seam to language models: what is sent, what comes back, what is metered, and what each failure becomes."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from carryover.core.errors import Invalid, ProviderError, ProviderUnavailable
from carryover.core.usage import Usage
from carryover.providers.llm import LibraryLLM, open_llm
from fakes.messages_api import FakeMessages
from fakes.openai_api import FakeOpenAI
from fakes.server import Ask, FakeServer

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "facts": {"type": "array", "items": {"$ref": "#/$defs/fact"}},
        "mood": {"enum": ["calm", "tense"]},
    },
    "required": ["facts", "mood"],
    "additionalProperties": False,
    "$defs": {
        "fact": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "first": {"type": "integer"}},
            "required": ["text", "first"],
            "additionalProperties": False,
        }
    },
}
FOUND = {"facts": [{"text": "the ledger uses PostgreSQL", "first": 3}], "mood": "calm"}
HAIKU = "anthropic:claude-haiku-5-5"
MODELS = [HAIKU, "anthropic:claude-3-haiku", "openai:gpt-5-mini", "openai-chat:gpt-5-mini", "alibaba:qwen"]
UNPRICED = ["anthropic:claude-3-haiku", "alibaba:qwen"]  # they answer through a forced tool call
Pair = tuple[LibraryLLM, FakeServer]


def opened(name: str, fake: FakeServer, **settings: Any) -> Iterator[LibraryLLM]:
    llm = open_llm(name, api_key="k-123", base_url=fake.url, **settings)
    yield llm
    llm.close()


@pytest.fixture(scope="module", params=MODELS)
def every(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Native output and forced tools, on the Messages API and on both wires of OpenAI."""
    own = tmp_path_factory.mktemp("prices") / "own.toml"
    own.write_text("\n".join(f'[models."{name}"]\nwindow = 200_000\ninput = 0.25\noutput = 1.25' for name in UNPRICED))
    with FakeMessages() if request.param.startswith("anthropic") else FakeOpenAI() as fake:
        for llm in opened(request.param, fake, own_prices=own):
            yield llm, fake


@pytest.fixture
def any_llm(every: Pair) -> Pair:
    every[1].reset()
    return every


@pytest.fixture(scope="module")
def messages() -> Iterator[tuple[LibraryLLM, FakeMessages]]:
    with FakeMessages() as fake:
        for llm in opened(HAIKU, fake):
            yield llm, fake


@pytest.fixture
def anthropic(messages: tuple[LibraryLLM, FakeMessages]) -> FakeMessages:
    messages[1].reset()
    return messages[1]


@pytest.fixture
def haiku(messages: tuple[LibraryLLM, FakeMessages], anthropic: FakeMessages) -> LibraryLLM:
    assert anthropic is messages[1]
    return messages[0]


def test_structured_answer_on_every_wire(any_llm: Pair) -> None:
    llm, fake = any_llm
    fake.answer = FOUND
    reply = llm.complete(system="You extract.", prompt="Turn 3: PostgreSQL it is.", schema=SCHEMA)
    assert reply.data == FOUND
    assert reply.usage.calls == 1
    assert reply.usage.tokens_in > 0
    assert reply.usage.tokens_out > 0
    assert reply.usage.money > 0
    (ask,) = fake.requests
    assert "You extract." in ask.system
    assert "PostgreSQL it is" in ask.prompt
    assert ask.schema is not None
    assert set(ask.schema["properties"]) == {"facts", "mood"}
    assert ("tool_choice" in ask.body) == (llm.name in UNPRICED)


def test_text_answer_on_every_wire(any_llm: Pair) -> None:
    llm, fake = any_llm
    fake.answer = "They chose PostgreSQL."
    reply = llm.complete(system="You summarize.", prompt="...", max_tokens=77)
    assert (reply.text, reply.data) == ("They chose PostgreSQL.", None)
    body = fake.requests[0].body
    assert 77 in (body.get("max_tokens"), body.get("max_output_tokens"), body.get("max_completion_tokens"))


@pytest.mark.parametrize("bad", ["no JSON at all", {"facts": "none", "mood": "calm"}, {"facts": []}])
def test_malformed_answer_is_asked_for_once_more(any_llm: Pair, bad: Any) -> None:
    llm, fake = any_llm
    fake.answer = lambda _ask: bad if len(fake.requests) == 1 else FOUND
    reply = llm.complete(system="s", prompt="p", schema=SCHEMA)
    assert reply.data == FOUND
    assert reply.usage.calls == len(fake.requests) == 2
    assert "could not be used" in fake.requests[1].prompt


def test_malformed_twice_is_an_error_with_its_usage(any_llm: Pair) -> None:
    llm, fake = any_llm
    fake.answer = {"facts": [], "mood": "furious"}
    with pytest.raises(ProviderError, match=r"mood is not one of") as raised:
        llm.complete(system="s", prompt="p", schema=SCHEMA)
    assert not isinstance(raised.value, ProviderUnavailable)
    assert len(fake.requests) == llm.calls_per_complete == 2
    usage: Usage = raised.value.facts["usage"]
    assert usage.calls == 2
    assert usage.money > 0


def test_cut_answer_is_an_error(any_llm: Pair) -> None:
    llm, fake = any_llm
    fake.answer = FOUND
    fake.cut_next()
    with pytest.raises(ProviderError, match="cut off at max_tokens") as raised:
        llm.complete(system="s", prompt="p", schema=SCHEMA)
    assert len(fake.requests) == 1
    assert raised.value.facts["usage"].tokens_out > 0


def test_cut_text_is_an_error(haiku: LibraryLLM, anthropic: FakeMessages) -> None:
    anthropic.cut_next()
    with pytest.raises(ProviderError, match="cut off"):
        haiku.complete(system="s", prompt="p")


def test_refusal_is_an_error(any_llm: Pair) -> None:
    llm, fake = any_llm
    fake.refuse_next()
    with pytest.raises(ProviderError, match="refused to answer") as raised:
        llm.complete(system="s", prompt="p", schema=SCHEMA)
    assert not isinstance(raised.value, ProviderUnavailable)
    assert raised.value.facts["usage"].calls == len(fake.requests) == 1


def test_no_tokens_go_into_hidden_thinking(haiku: LibraryLLM, anthropic: FakeMessages) -> None:
    haiku.complete(system="s", prompt="p", schema=SCHEMA)
    assert anthropic.requests[0].body["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_trouble_that_passes(any_llm: Pair, status: int) -> None:
    llm, fake = any_llm
    fake.fail_next(status, retry_after=7)
    with pytest.raises(ProviderUnavailable, match="will be tried again") as raised:
        llm.complete(system="s", prompt="p")
    assert raised.value.facts["retry_after"] == 7
    assert raised.value.facts["usage"].calls == len(fake.requests) == 1
    assert llm.complete(system="s", prompt="p").text == "ok"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_trouble_that_stays(any_llm: Pair, status: int) -> None:
    llm, fake = any_llm
    fake.fail_next(status)
    with pytest.raises(ProviderError, match=f"status {status}") as raised:
        llm.complete(system="s", prompt="p")
    assert not isinstance(raised.value, ProviderUnavailable)
    assert len(fake.requests) == 1


def test_usage_before_a_failure_is_kept(haiku: LibraryLLM, anthropic: FakeMessages) -> None:
    def answer(_ask: Ask) -> str:
        anthropic.fail_next(529)
        return "no JSON"

    anthropic.answer = answer
    with pytest.raises(ProviderUnavailable) as raised:
        haiku.complete(system="s", prompt="p", schema=SCHEMA)
    usage: Usage = raised.value.facts["usage"]
    assert usage.calls == 2
    assert usage.tokens_out == 2
    assert usage.money > 0


def test_no_retry_after_where_none_was_given(haiku: LibraryLLM, anthropic: FakeMessages) -> None:
    anthropic.fail_next(529)
    with pytest.raises(ProviderUnavailable) as raised:
        haiku.complete(system="s", prompt="p")
    assert "retry_after" not in raised.value.facts


def test_slow_provider_is_unavailable(anthropic: FakeMessages) -> None:
    anthropic.hang_next(30)
    for llm in opened(HAIKU, anthropic, timeout_s=0.2):
        with pytest.raises(ProviderUnavailable):
            llm.complete(system="s", prompt="p")


def test_absent_provider_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    llm = open_llm(HAIKU, api_key="k", base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(ProviderUnavailable, match="did not answer"):
        llm.complete(system="s", prompt="p")
    llm.close()


@pytest.mark.parametrize("raw", [b"<html>a proxy</html>", b"{}", b'{"type": "message"', b"[]"])
def test_unreadable_answer_is_a_provider_error(any_llm: Pair, raw: bytes) -> None:
    llm, fake = any_llm
    fake.garble_next(raw)
    with pytest.raises(ProviderError) as raised:
        llm.complete(system="s", prompt="p", schema=SCHEMA)
    assert raised.value.facts["usage"].calls == 1


def test_instructions_are_cached_and_the_usage_says_so(haiku: LibraryLLM, anthropic: FakeMessages) -> None:
    first = haiku.complete(system="Long instructions. " * 100, prompt="one", schema=SCHEMA).usage
    second = haiku.complete(system="Long instructions. " * 100, prompt="two", schema=SCHEMA).usage
    assert first.cache_write > 400
    assert first.cache_read == 0
    assert second.cache_read == first.cache_write
    assert second.cache_write == 0
    assert second.tokens_in >= second.cache_read
    assert second.money < first.money
    assert anthropic.requests[0].body["system"] == anthropic.requests[1].body["system"]
    assert "cache_control" in anthropic.requests[0].body["system"][-1]
    assert "cache_control" not in str(anthropic.requests[0].body["messages"])


def test_money_is_that_of_the_table(haiku: LibraryLLM) -> None:
    million = Usage(HAIKU, calls=1, tokens_in=100_000, tokens_out=1_000_000)
    assert haiku.price(million).money == Decimal("0.01") + Decimal("0.5")
    assert haiku.window == 1_000_000


def test_threads_share_a_model(haiku: LibraryLLM, anthropic: FakeMessages) -> None:
    anthropic.answer = lambda ask: ask.prompt.upper()
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: haiku.complete(system="s", prompt=f"turn {n}"), range(24)))
    assert [reply.text for reply in replies] == [f"TURN {n}" for n in range(24)]


def test_works_inside_a_running_event_loop(haiku: LibraryLLM) -> None:
    async def route() -> str:
        return haiku.complete(system="s", prompt="p").text

    assert asyncio.run(route()) == "ok"


def test_opens_again_after_close(haiku: LibraryLLM) -> None:
    assert haiku.complete(system="s", prompt="p").text == "ok"
    before = threading.active_count()
    haiku.close()
    assert threading.active_count() < before
    assert haiku.complete(system="s", prompt="p").text == "ok"


def test_a_process_that_does_not_close_still_ends(anthropic: FakeMessages) -> None:
    program = (
        "import sys; from carryover.providers.llm import open_llm\n"
        f"print(open_llm({HAIKU!r}, api_key='k', base_url=sys.argv[1]).complete(system='s', prompt='p').text)"
    )
    done = subprocess.run([sys.executable, "-c", program, anthropic.url], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_unknown_price_is_known_at_once() -> None:
    with pytest.raises(ProviderError, match=r'\[models."openai:my-own"\]'):
        open_llm("openai:my-own")


def test_missing_key_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY"):
        open_llm(HAIKU).complete(system="s", prompt="p")


def test_unknown_provider_is_an_error(tmp_path: Any) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[models."nobody:gpt"]\nwindow = 1000\ninput = 1\noutput = 1\n')
    with pytest.raises(ProviderError, match="cannot be opened"):
        open_llm("nobody:gpt", own_prices=own).complete(system="s", prompt="p")


def test_schema_beyond_the_checker_is_refused_before_any_call(haiku: LibraryLLM, anthropic: FakeMessages) -> None:
    with pytest.raises(Invalid, match="oneOf"):
        haiku.complete(system="s", prompt="p", schema={"type": "object", "oneOf": []})
    assert anthropic.requests == []
