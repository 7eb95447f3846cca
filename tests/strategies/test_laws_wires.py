"""Laws of what a provider is sent of a view, for every mode, every wire and any log."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.session import Turn, to_json
from carryover.core.strategy import FORMATS, MODES, Format, Mode
from carryover.core.text import canonical_json, content_tokens
from carryover.strategies.formats import catalog
from strategies.formats import shapes
from strategies.formats.conversations import ALL, scenes
from strategies.logs import Case, cases, ready, strategies
from strategies.oracle import Looked, every_mode

WIRES = tuple(format for format in FORMATS if format != "generic")


@pytest.mark.parametrize("format", WIRES)
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=20)
@given(data=st.data())
def test_law_02_every_wire_takes_every_view(mode: Mode, format: Format, data: st.DataObject) -> None:
    case = data.draw(cases((mode,)))
    shapes.check(format, catalog.written(format, Looked(case).items))


@st.composite
def mixed(draw: st.DrawFn) -> list[Turn]:
    """Logs of which each part came from another provider, or from plain HTTP."""
    turns: list[Turn] = []
    for format, entries in draw(st.lists(scenes(ALL), max_size=14)):
        for draft in entries if format == "generic" else catalog.drafts_of(format, entries):
            seq, body, tokens = len(turns) + 1, to_json(draft.content), content_tokens(draft.content)
            told = None if draft.metadata is None else to_json(draft.metadata)
            about = (draft.name, draft.call_id, told)
            turns.append(Turn(seq, f"t{seq}", draft.role, body, draft.kind, 1_000 * seq, tokens, seq, *about))
    return turns


@pytest.mark.parametrize("format", WIRES)
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=15)
@given(data=st.data())
def test_law_02_every_wire_takes_what_came_from_others(mode: Mode, format: Format, data: st.DataObject) -> None:
    strategy, turns = data.draw(strategies((mode,))), data.draw(mixed())
    looked = Looked(Case(turns, strategy, data.draw(ready(turns, strategy))))
    assert looked.plan.tokens_after == sum(item.tokens for item in looked.items)
    shapes.check(format, catalog.written(format, looked.items))


@every_mode(examples=20)
def test_law_05_every_item_that_is_shown_is_written_as_it_came(case: Case) -> None:
    """To the wire that it came from, as the log has it, but for its ids."""
    looked = Looked(case)
    sent = [canonical_json(item) for item in catalog.written("openai", looked.items)]
    for item in looked.items:
        if item.format == "openai" and item.kind == "message":
            assert canonical_json(catalog.native_of("openai", [_turn(looked, item.seq)])[0]) in sent


def _turn(looked: Looked, seq: int | None) -> Any:
    return next(turn for turn in looked.turns if turn.seq == seq)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=8)
@given(data=st.data())
def test_law_10_the_beginning_stays_on_every_wire(mode: Mode, format: Format, data: st.DataObject) -> None:
    """Where a view goes on from the one before, so does what is sent, block for block.

    A view is sent when it is the model's turn: a user has said something, or all calls have their results.
    """
    case = data.draw(cases((mode,), most=20))
    before, sent = Looked(case, 0), list[str]()
    for seq in range(1, len(case.turns) + 1):
        after = Looked(case, seq)
        newest = after.turns[-1]
        if after.told.open or not (newest.role == "user" or newest.seq in after.told.pairs.values()):
            continue
        items = catalog.written(format, after.items)
        if not items or items[-1].get("role") == "assistant":
            continue
        written = _blocks(items)
        if after.items[: len(before.items)] == before.items and not after.told.late:
            assert written[: len(sent)] == sent
        before, sent = after, written


def _blocks(items: Any) -> list[str]:
    """All that is said, one block after the other, and who says it; where one message ends is no part of it."""
    made: list[str] = []
    for item in items:
        content = item.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        rest = {key: value for key, value in item.items() if key != "content"}
        made += [canonical_json([rest, block]) for block in blocks]
    return made
