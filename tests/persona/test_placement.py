"""A persona stands behind what all users share; what would keep the cache from working is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carryover.core.errors import ProviderError
from carryover.core.strategy import FORMATS, Format
from carryover.core.text import count_tokens
from carryover.core.usage import Usage
from carryover.persona.placement import POINTS, Caching, Placed, no_reads, placed

SHARED = "You answer questions about the catalogue of a library. " * 400
PERSONA = "What is known of the user:\n- Prefers answers as bullet points."
SONNET = "anthropic:claude-sonnet-5"
MARK = {"type": "ephemeral"}
POINT = {"mode": "explicit"}


def texts_of(found: Placed) -> list[str]:
    """What is told, in order."""
    parts: list[Any] = [block.get("content", block) for block in found.system]
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return [one if isinstance(one, str) else one["text"] for one in flat]


def test_anthropic_gets_blocks_with_a_cache_point_behind_each_part() -> None:
    found = placed(["Tools first.", SHARED], PERSONA, model=SONNET, format="anthropic")
    assert found.system == (
        {"type": "text", "text": "Tools first."},
        {"type": "text", "text": SHARED, "cache_control": MARK},
        {"type": "text", "text": PERSONA, "cache_control": MARK},
    )
    assert (found.points, found.automatic, found.key, found.warnings) == (2, False, None, ())


def test_the_time_to_live_stands_in_every_cache_point() -> None:
    found = placed(SHARED, PERSONA, model=SONNET, format="anthropic", caching=Caching(ttl="1h"))
    assert [block["cache_control"] for block in found.system] == [MARK | {"ttl": "1h"}] * 2


def test_openai_gets_messages_with_breakpoints_where_it_charges_for_writing() -> None:
    found = placed(SHARED, PERSONA, model="openai:gpt-6-sol", format="openai")
    assert found.system == (
        {
            "role": "developer",
            "content": [{"type": "input_text", "text": SHARED, "prompt_cache_breakpoint": POINT}],
        },
        {
            "role": "developer",
            "content": [{"type": "input_text", "text": PERSONA, "prompt_cache_breakpoint": POINT}],
        },
    )
    assert found.points == 2


def test_openai_finds_the_prefix_of_earlier_models_by_itself() -> None:
    found = placed(SHARED, PERSONA, model="openai:gpt-5-mini", format="openai-chat")
    assert found.system == ({"role": "system", "content": SHARED}, {"role": "system", "content": PERSONA})
    assert (found.points, found.automatic) == (0, True)


def test_marks_of_openai_are_not_sent_to_others() -> None:
    found = placed(SHARED, PERSONA, model=SONNET, format="openai-chat")
    assert found.system == ({"role": "system", "content": SHARED}, {"role": "system", "content": PERSONA})


def test_a_shared_prefix_in_blocks_is_one_message() -> None:
    found = placed(["One.", "Two."], PERSONA, model="openai:gpt-5", format="openai-chat")
    assert found.system[0]["content"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert len(found.system) == 2


def test_all_users_of_a_prefix_share_one_key_that_names_nobody() -> None:
    keys = {
        placed(SHARED, persona, model="openai:gpt-6-sol", format=format).key
        for persona in ("", PERSONA, "Other.")
        for format in ("openai", "openai-chat")
    }
    assert len(keys) == 1
    assert placed("Else.", PERSONA, model="openai:gpt-6-sol", format="openai").key not in keys


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shared", [SHARED, "Short.", ["One.", "", "Two."]])
@pytest.mark.parametrize("model", [SONNET, "openai:gpt-6-sol", "openai:gpt-5"])
def test_the_persona_never_stands_before_the_shared_prefix(format: Format, shared: Any, model: str) -> None:
    found = placed(shared, PERSONA, model=model, format=format)
    given = [shared] if isinstance(shared, str) else [text for text in shared if text]
    assert texts_of(found) == [*given, PERSONA]
    again = placed(shared, PERSONA, model=model, format=format)
    assert json.dumps(again.system) == json.dumps(found.system)
    without = placed(shared, "", model=model, format=format)
    assert json.dumps(found.system[: len(without.system)]) == json.dumps(without.system)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("persona", ["", " \n"])
def test_an_empty_persona_leaves_no_block_and_no_cache_point(format: Format, persona: str) -> None:
    found = placed(SHARED, persona, model=SONNET, format=format)
    assert texts_of(found) == [SHARED]
    assert found.points == (1 if format == "anthropic" else 0)


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_at_all_is_nothing(format: Format) -> None:
    found = placed("", "", model=SONNET, format=format)
    assert (found.system, found.points, found.key) == ((), 0, None)


@pytest.mark.parametrize(("free", "marked"), [(POINTS, 2), (2, 2), (1, 1), (0, 0), (-1, 0)])
def test_no_more_cache_points_than_are_free(free: int, marked: int) -> None:
    """The first of them is the one that all users share."""
    found = placed(SHARED, PERSONA, model=SONNET, format="anthropic", caching=Caching(free=free))
    assert ["cache_control" in block for block in found.system] == [marked > 0, marked > 1]
    assert found.points == marked


def words(tokens: int) -> str:
    """A text of which `count_tokens` counts so many."""
    text = " ".join(["tree"] * tokens)
    assert count_tokens(text) == tokens
    return text


@pytest.mark.parametrize(
    ("tokens", "tools", "warning"),
    [
        (1023, 0, "anthropic:claude-sonnet-5 keeps no prefix below 1024 tokens; the shared one has at most 1023"),
        (23, 1000, "anthropic:claude-sonnet-5 keeps no prefix below 1024 tokens; the shared one has at most 1023"),
        (1024, 0, "anthropic:claude-sonnet-5 keeps no prefix below 1024 tokens; the shared one may have 512 to 1024"),
        (2047, 0, "anthropic:claude-sonnet-5 keeps no prefix below 1024 tokens; the shared one may have 1023 to 2047"),
        (2048, 0, None),
        (48, 2000, None),
    ],
)
def test_a_prefix_below_the_models_minimum_is_told(tokens: int, tools: int, warning: str | None) -> None:
    """The persona does not count: it is another one for every user."""
    found = placed(words(tokens), words(3000), model=SONNET, format="anthropic", caching=Caching(tools=tools))
    assert found.warnings == (() if warning is None else (warning,))


def test_what_is_not_asked_for_is_not_warned_of() -> None:
    assert placed("Short.", "", model=SONNET, format="anthropic", caching=Caching(free=0)).warnings == ()


def test_an_unknown_minimum_is_told() -> None:
    found = placed(SHARED, PERSONA, model="anthropic:claude-sonnet-5-5", format="anthropic")
    assert len(found.warnings) == 1
    assert "not known from how many tokens on anthropic:claude-sonnet-5-5" in found.warnings[0]


def test_an_unknown_model_is_an_error_that_names_it() -> None:
    with pytest.raises(ProviderError, match="anthropic:claude-nobody"):
        placed(SHARED, PERSONA, model="anthropic:claude-nobody", format="anthropic")


def test_a_row_of_ones_own_counts(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        '[models."own:small"]\nwindow = 8_000\ninput = 1\noutput = 2\ncache_read = 0.1\ncache_least = 9_000\n'
    )
    found = placed("Short.", PERSONA, model="own:small", format="openai-chat", caching=Caching(prices=own))
    assert "below 9000 tokens" in found.warnings[0]
    assert found.automatic


def test_a_request_that_read_nothing_is_told() -> None:
    found = placed(SHARED, PERSONA, model=SONNET, format="anthropic")
    assert no_reads(Usage(tokens_in=5000, cache_read=4000), found) is None
    silent = no_reads(Usage(tokens_in=5000), found)
    assert silent is not None
    assert "neither read its cache nor wrote to it, of 5000 tokens" in silent
    anew = no_reads(Usage(tokens_in=5000, cache_write=4900), found)
    assert anew is not None
    assert "wrote 4900 tokens to its cache and read none" in anew


def test_where_nothing_was_to_be_kept_nothing_is_told_of_reads() -> None:
    unmarked = placed(SHARED, PERSONA, model=SONNET, format="anthropic", caching=Caching(free=0))
    assert no_reads(Usage(tokens_in=5000), unmarked) is None
    automatic = placed(SHARED, PERSONA, model="openai:gpt-5", format="openai")
    assert no_reads(Usage(tokens_in=5000), automatic) is not None
