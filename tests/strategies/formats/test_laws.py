"""Laws of every wire: nothing is lost on the way into the log and back, and whatever is written is what it takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.core.session import Draft, Turn, to_json
from carryover.core.strategy import FORMATS, Format, Item
from carryover.strategies.formats.catalog import drafts_of, native_of, replaced, system_of, written
from strategies.formats import shapes
from strategies.formats.conversations import conversations, items_of, messages, rounds, tidy

WIRES: tuple[Format, ...] = ("openai", "openai-chat", "anthropic")
_KEYS = st.sampled_from(
    (
        "role",
        "type",
        "content",
        "tool_calls",
        "function_call",
        "call_id",
        "id",
        "tool_use_id",
        "kind",
        "name",
        "zusätzlich",
    )
)
_WORDS = st.sampled_from(
    (
        "user",
        "assistant",
        "tool",
        "message",
        "function_call",
        "reasoning",
        "tool_use",
        "tool_result",
        "text",
        "a",
        "é\ud83d",
        "",
    )
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
ANY_ITEMS = st.lists(st.dictionaries(_KEYS, _JSON, max_size=6), max_size=5)


def turns_of(drafts: list[Draft]) -> list[Turn]:
    """The drafts as the log gives them back."""
    return [
        Turn(
            seq=n,
            id=f"t{n}",
            role=draft.role,
            body=to_json(draft.content),
            kind=draft.kind,
            received_at=0,
            tokens=0,
            created_at=0,
            name=draft.name,
            call_id=draft.call_id,
            metadata=None if draft.metadata is None else to_json(draft.metadata),
        )
        for n, draft in enumerate(drafts, 1)
    ]


def exactly(items: Any) -> str:
    return json.dumps(items)


@pytest.mark.parametrize("format", FORMATS)
@given(items=ANY_ITEMS)
def test_any_items_come_back_exactly(format: Format, items: list[dict[str, Any]]) -> None:
    before = exactly(items)
    drafts = drafts_of(format, items)
    assert exactly(native_of(format, drafts)) == before
    assert exactly(native_of(format, turns_of(drafts))) == before
    assert exactly(items) == before


@pytest.mark.parametrize("format", WIRES)
@given(data=st.data())
def test_conversations_come_back_exactly_with_the_borders_of_their_messages(
    format: Format, data: st.DataObject
) -> None:
    talks = data.draw(st.lists(st.one_of(messages(format), rounds(format)), max_size=8))
    items = [item for talk in talks for item in talk]
    assert exactly(native_of(format, turns_of(drafts_of(format, items)))) == exactly(items)


@pytest.mark.parametrize("format", FORMATS)
@given(items=ANY_ITEMS)
def test_drafts_are_what_the_log_takes(format: Format, items: list[dict[str, Any]]) -> None:
    for draft in drafts_of(format, items):
        for label in (draft.name, draft.call_id):
            assert label is None or (label.isprintable() and len(label) <= 512)
        assert isinstance(draft.content, (str, list))
        assert draft.kind == "message" or draft.role != "user" or format == "generic"


@pytest.mark.parametrize("format", WIRES)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(items=conversations())
def test_what_is_written_is_what_the_provider_takes(format: Format, items: list[Item]) -> None:
    shapes.check(format, written(format, items))


@pytest.mark.parametrize("format", WIRES)
@settings(max_examples=100)
@given(items=conversations())
def test_nobody_is_told_what_another_thought_or_sealed(format: Format, items: list[Item]) -> None:
    foreign = [item for item in items if item.format != format]
    for told in shapes.texts_of(list(written(format, foreign))):
        assert "PRIVATE" not in told
        assert "SEALED" not in told


@pytest.mark.parametrize("format", WIRES)
@given(items=ANY_ITEMS)
def test_whatever_was_logged_can_be_written(format: Format, items: list[dict[str, Any]]) -> None:
    for own in FORMATS:
        shown = items_of([(own, drafts_of(own, items) if own == "generic" else items)])
        told = written(format, shown)
        assert told == written(format, shown)
        json.dumps(told)
        system_of(shown)


@given(items=conversations())
def test_our_own_json_shows_every_item_as_it_is(items: list[Item]) -> None:
    told = written("generic", items)
    assert [(item["seq"], item["kind"], item["role"]) for item in told] == [(i.seq, i.kind, i.role) for i in items]
    assert [to_json(item["content"]) for item in told] == [item.body for item in items]
    assert native_of("generic", drafts_of("generic", told)) == list(told)


@pytest.mark.parametrize("format", WIRES)
@settings(max_examples=100)
@given(items=conversations(), cut=st.integers(0, 40))
def test_items_that_a_model_was_shown_stay_as_they_were(format: Format, items: list[Item], cut: int) -> None:
    """Up to the newest answer: what is still open may be given up, and results join their calls."""
    users = [n for n, item in enumerate(items) if (item.role, item.kind) == ("user", "message")]
    ends = [n for n in users if not _is_open(items[:n], items[n:])]
    if not ends:
        return
    end = ends[cut % len(ends)]
    before, after = flat(written(format, items[:end])), flat(written(format, items))
    assert after[: len(before)] == before


def _is_open(before: list[Item], after: list[Item]) -> bool:
    """Whether something of the earlier items hangs on the later ones."""
    asked = {item.call_id for item in before if item.kind == "tool_call"}
    results = [item.call_id for item in before if item.kind == "tool_result"]
    calls = [item.call_id for item in before if item.kind == "tool_call"]
    late = {item.call_id for item in after if item.kind == "tool_result"} & asked
    return bool(late) or sorted(map(str, results)) != sorted(map(str, calls))


def flat(items: tuple[dict[str, Any], ...]) -> list[Any]:
    """Blocks rather than messages: what is said next may join the last message."""
    made: list[Any] = []
    for item in items:
        content = item.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        made += (
            [(item.get("role"), {k: v for k, v in block.items() if k != "cache_control"}) for block in blocks]
            if set(item) == {"role", "content"}
            else [item]
        )
    return made


@pytest.mark.parametrize("format", WIRES)
@given(data=st.data())
def test_what_nothing_forces_to_change_is_written_as_it_came(format: Format, data: st.DataObject) -> None:
    items = data.draw(tidy(format))
    assert list(written(format, items_of([(format, items)]))) == items


@pytest.mark.parametrize("format", WIRES)
@given(items=conversations())
def test_a_part_of_a_conversation_is_told_whole(format: Format, items: list[Item]) -> None:
    """Each turn by itself: nothing is held back because its call or its result is elsewhere."""
    for item in items:
        if item.format is None and item.kind in ("tool_call", "tool_result"):
            draft = Draft(item.role, item.body, item.kind, item.name, item.call_id)
            assert len(native_of(format, [draft])) == 1


@pytest.mark.parametrize("format", FORMATS)
@given(items=conversations())
def test_a_placeholder_keeps_all_but_the_text_that_it_stands_for(format: Format, items: list[Item]) -> None:
    told = (
        written("generic", items)
        if format == "generic"
        else [json.loads(i.body)[0] for i in items if i.format == format]
    )
    for own in told:
        for what in ("input", "output"):
            made = replaced(format, own, what, "[gone]")
            if made is None:
                continue
            (before,), (after,) = drafts_of(format, [own]), drafts_of(format, [made])
            assert (after.role, after.kind, after.name, after.call_id) == (
                before.role,
                before.kind,
                before.name,
                before.call_id,
            )
            assert after.kind == ("tool_call" if what == "input" else "tool_result")
            assert "[gone]" in "".join(shapes.texts_of(made))
            assert replaced(format, made, what, "[gone]") == made
            assert list(made) == list(own) or format == "generic"
