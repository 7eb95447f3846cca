"""What the integrations with other libraries share: messages as turns, and libraries that are not there."""

from __future__ import annotations

import importlib
import sys

import pytest

from carryover.core.session import Append, Draft
from carryover.core.strategy import Strategy
from carryover.integrations import shown
from carryover.integrations.shown import Stored
from carryover.memories import Memory


@pytest.mark.parametrize(
    ("name", "needs", "extra"),
    [
        ("langgraph_store", "langgraph.store.base", "langgraph"),
        ("langgraph", "langchain_core.messages", "langgraph"),
        ("pydantic_ai", "pydantic_ai.messages", "pydantic-ai"),
    ],
)
def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str, needs: str, extra: str) -> None:
    monkeypatch.delitem(sys.modules, f"carryover.integrations.{name}", raising=False)
    monkeypatch.setitem(sys.modules, needs, None)
    with pytest.raises(ImportError, match=rf"pip install 'carryover-memory\[{extra}\]'"):
        importlib.import_module(f"carryover.integrations.{name}")


def test_conversations_need_no_library_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "carryover.integrations.messages", raising=False)
    for name in ("anthropic", "openai"):
        monkeypatch.setitem(sys.modules, name, None)
    importlib.import_module("carryover.integrations.messages")


def parts(key: str, *texts: str) -> list[Draft]:
    return shown.stamped("lib", key, {"said": list(texts)}, [Draft("user", text) for text in texts])


def test_messages_of_writers_that_meet_stay_whole(memory: Memory) -> None:
    """Turns of one message need not stand side by side."""
    first, second = parts("k1", "a", "b"), parts("k2", "c", "d")
    for draft in (first[0], second[0], Draft("user", "else"), second[1], first[1]):
        memory.append(Append("s", (draft,)))
    a, b, other = shown.logged(memory, "default", "s", "lib")
    assert (a, b) == (Stored({"said": ["a", "b"]}, [True, True]), Stored({"said": ["c", "d"]}, [True, True]))
    assert isinstance(other, Draft)
    assert other.content == '"else"'
    assert not any(isinstance(entry, Stored) for entry in shown.logged(memory, "default", "s", "another library"))


def test_what_was_taken_back_is_not_loaded(memory: Memory) -> None:
    shown.append(memory, ("default", "s", None), [*parts("k1", "a", "b"), *parts("k2", "c")])
    memory.append(Append("s", (Draft("system", [{"type": "retraction", "first": 1, "last": 1}], kind="retraction"),)))
    assert shown.logged(memory, "default", "s", "lib") == [
        Stored({"said": ["a", "b"]}, [False, True]),
        Stored({"said": ["c"]}, [True]),
    ]


def test_a_long_list_is_appended_in_batches(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "_BATCH", 7)
    monkeypatch.setattr(shown, "_PAGE", 10)
    drafts = [draft for n in range(25) for draft in parts(f"k{n}", "a", "b")]
    done = shown.append(memory, ("default", "s", "ada"), drafts)
    assert done is not None
    assert (done.version, memory.session("s").user_id) == (50, "ada")
    assert len(shown.logged(memory, "default", "s", "lib")) == 25
    assert shown.append(memory, ("default", "t", None), []) is None


def test_a_strategy_is_given_as_one_or_by_its_fields() -> None:
    strategy = Strategy(mode="trim", max_user_turns=3)
    assert shown.strategy_of(strategy) is strategy
    assert shown.strategy_of({"mode": "trim", "max_user_turns": 3}).max_user_turns == 3
