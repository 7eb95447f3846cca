"""Money: the table, its tiers and cache factors, and a user's own rows."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.errors import ProviderError
from carryover.core.usage import Usage
from carryover.providers import prices
from carryover.providers.prices import find, price

TABLE = tomllib.loads((files("carryover.providers") / "prices.toml").read_text("utf-8"))
MODELS = sorted(TABLE["models"])


def money(model: str, own: Path | None = None, **used: int) -> Decimal:
    return price(model, Usage(model, calls=1, **used), own).money


def test_table_is_dated_and_every_row_is_sound() -> None:
    assert isinstance(TABLE["checked"], date)
    assert prices.checked() == TABLE["checked"]
    assert sorted(prices.known()) == MODELS
    assert len(MODELS) > 20
    for model in MODELS:
        row = find(model)
        assert row.window >= 100_000
        assert 0 < row.input < row.output
        assert 0 < row.cache_read < 1 <= row.cache_write
        assert (row.cache_write_hour == 2) is model.startswith("anthropic:")
        assert 0 <= row.cache_least <= 4_096
        if row.over is not None:
            assert row.over.tokens < row.window
            assert (row.over.input, row.over.output) > (row.input, row.output)


@pytest.mark.parametrize(
    ("model", "input", "output", "read", "write"),
    [
        ("anthropic:claude-haiku-4-5", "1", "5", "0.1", "1.25"),
        ("anthropic:claude-haiku-5-5", "0.5", "2.5", "0.05", "0.625"),  # a million tokens lie above its step
        ("anthropic:claude-sonnet-5-5", "2", "10", "0.1", "2.5"),
        ("anthropic:claude-opus-5-5", "4", "20", "0.2", "5"),
        ("anthropic:claude-fable-5-1", "10", "50", "0.25", "12.5"),
        ("openai:gpt-5-mini", "0.25", "2", "0.025", "0.25"),
    ],
)
def test_a_million_tokens(model: str, input: str, output: str, read: str, write: str) -> None:
    million = 1_000_000
    assert money(model, tokens_in=million) == Decimal(input)
    assert money(model, tokens_in=million, cache_read=million) == Decimal(read)
    assert money(model, tokens_in=million, cache_write=million) == Decimal(write)
    row = find(model)
    step = row.over or row
    assert money(model, tokens_in=million, tokens_out=million) == Decimal(input) + step.output
    assert step.output == Decimal(output)


def test_the_step_is_at_more_than_its_tokens() -> None:
    model = "anthropic:claude-haiku-5-5"
    assert money(model, tokens_in=100_000, tokens_out=1000) == Decimal("0.01") + Decimal("0.0005")
    assert money(model, tokens_in=100_001, tokens_out=1000) == Decimal("0.0500005") + Decimal("0.0025")


@given(
    model=st.sampled_from(MODELS),
    calls=st.lists(st.tuples(*[st.integers(0, 400_000)] * 4), min_size=1, max_size=4),
)
def test_calls_priced_together_never_cost_less(model: str, calls: list[tuple[int, int, int, int]]) -> None:
    each = [
        Usage(model, calls=1, tokens_in=fresh + read + write, tokens_out=out, cache_read=read, cache_write=write)
        for fresh, read, write, out in calls
    ]
    together = Usage()
    for usage in each:
        together = together.plus(price(model, usage))
    assert price(model, together).money >= together.money >= 0


def test_pricing_changes_nothing_but_the_money() -> None:
    usage = Usage("openai:gpt-5", 2, 10, 20, 3, 0, Decimal(99), 7, 8)
    priced = price("openai:gpt-5", usage)
    assert priced.money < 1
    assert priced == Usage("openai:gpt-5", 2, 10, 20, 3, 0, priced.money, 7, 8)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("anthropic:claude-haiku-4-5-20251001", "anthropic:claude-haiku-4-5"),
        ("openai:gpt-5-mini-2025-08-07", "openai:gpt-5-mini"),
        ("openai-chat:gpt-4o", "openai:gpt-4o"),
        ("openai-responses:gpt-5", "openai:gpt-5"),
    ],
)
def test_releases_and_wires_of_a_model_share_its_row(name: str, row: str) -> None:
    assert find(name) is find(row)


@pytest.mark.parametrize("name", ["claude-haiku-4-5", "anthropic:claude-haiku-4", "openai:claude-haiku-4-5", ""])
def test_unknown_model_says_how_to_add_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="setting `prices`") as raised:
        find(name)
    # What the message shows is a row that works.
    own = tmp_path / "own.toml"
    own.write_text(raised.value.message.partition("\n")[2])
    assert find(name, own).window == 200_000


def test_own_rows_add_and_replace(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[models."ollama:qwen"]\nwindow = 32_000\ninput = 0\noutput = 0\n'
        '[models."openai:gpt-5"]\nwindow = 9_000\ninput = 1\noutput = 2\ncache_read = 0.5\n'
        "over = { tokens = 1_000, input = 3, output = 4 }\n"
    )
    assert money("ollama:qwen", own, tokens_in=10**9) == 0
    assert money("openai:gpt-5", own, tokens_in=1000, cache_read=1000) == Decimal("0.0005")
    assert money("openai:gpt-5", own, tokens_in=2000, tokens_out=1000) == Decimal("0.010")
    assert find("openai:gpt-5-mini", own) == find("openai:gpt-5-mini")
    assert find("openai:gpt-5") != find("openai:gpt-5", own)


@pytest.mark.parametrize(
    "text",
    [
        "no TOML at all",
        "other = 1",
        "models = 1",
        '[models."a:b"]\ninput = 1\noutput = 1',
        '[models."a:b"]\nwindow = 1\ninput = 1',
        '[models."a:b"]\nwindow = "1"\ninput = 1\noutput = 1',
        '[models."a:b"]\nwindow = 1\ninput = -1\noutput = 1',
        '[models."a:b"]\nwindow = 1\ninput = "1"\noutput = 1',
        '[models."a:b"]\nwindow = 1\ninput = 1\noutput = 1\ncash = 1',
        '[models."a:b"]\nwindow = 1\ninput = 1\noutput = 1\ncache_least = "1"',
        '[models."a:b"]\nwindow = 1\ninput = 1\noutput = 1\ncache_least = -1',
        '[models."a:b"]\nwindow = 1\ninput = 1\noutput = 1\nover = 3',
        '[models."a:b"]\nwindow = 1\ninput = 1\noutput = 1\nover = { tokens = 3 }',
    ],
)
def test_a_bad_file_is_named(text: str, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(ProviderError, match=r"own\.toml is not a table of prices"):
        find("openai:gpt-5", own)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"absent\.toml cannot be read"):
        prices.find("openai:gpt-5", tmp_path / "absent.toml")
