"""What a plan shows, as items: the turns with their content, placeholders, and what stands for others."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal, cast

from carryover.core.session import Json, Turn, to_json
from carryover.core.strategy import FORMATS, Format, Item, Operation, Sketch, Strategy, Summary
from carryover.core.text import estimate_tokens
from carryover.strategies.formats import catalog
from carryover.strategies.inject import Injection
from carryover.strategies.plan import SUMMARY, Plan, plan

MEMORY = "memory"
_HUGE = re.compile(r"[eE]\+?\d{3}|\d{309}\.")


def view_items(
    turns: Sequence[Turn],
    strategy: Strategy,
    *,
    summaries: Sequence[Summary] = (),
    injection: Injection | None = None,
) -> list[Item]:
    """What the strategy shows of a log whose turns are all at hand."""
    made = plan([sketch_of(turn) for turn in turns], strategy, summaries)
    return items_of(made, {turn.seq: turn for turn in turns}, strategy, injection)


def items_of(
    plan: Plan, turns: Mapping[int, Turn], strategy: Strategy, injection: Injection | None = None
) -> list[Item]:
    """The items of the plan, in order; `turns` holds at least the turns that it shows."""
    items: list[Item] = []
    inserted = [*_memory(injection), *_summary(plan.summary, strategy)]
    for seq, action in plan.shown():
        if seq >= plan.head and inserted:
            items += inserted
            inserted = []
        turn = turns[seq]
        items.append(_replaced(turn, plan.placeholders[seq]) if action == "replace" else item_of(turn))
    return items + inserted


def agreed(plan: Plan, items: Sequence[Item]) -> Plan:
    """The plan as far as its items could follow: some native items have no place for a placeholder, and stay."""
    stayed = {item.seq for item in items if item.seq in plan.placeholders and not item.replaced}
    if not stayed:
        return plan
    operations: list[Operation] = []
    for told in plan.operations:
        seqs = range(told.first, told.last + 1)
        if told.op != "replace" or stayed.isdisjoint(seqs):
            operations.append(told)
            continue
        for stays, run in groupby(seqs, stayed.__contains__):
            of_run = list(run)
            first, last = of_run[0], of_run[-1]
            stands = replace(told, first=first, last=last)
            operations.append(replace(stands, op="keep", reason="as_is") if stays else stands)
    placeholders = {seq: text for seq, text in plan.placeholders.items() if seq not in stayed}
    tokens = sum(item.tokens for item in items if item.about != MEMORY)
    return replace(plan, operations=tuple(operations), placeholders=placeholders, tokens_after=tokens)


def item_of(turn: Turn) -> Item:
    """The turn as it is."""
    body, format = _finite(turn.body), format_of(turn.metadata)
    return Item(turn.role, turn.kind, body, turn.tokens, turn.seq, turn.name, turn.call_id, format)


def sketch_of(turn: Turn) -> Sketch:
    """The turn without its content."""
    return Sketch(turn.seq, turn.role, turn.kind, turn.tokens, turn.received_at, turn.name, turn.call_id, turn.retracts)


@lru_cache(maxsize=4096)
def format_of(metadata: str | None) -> Format | None:
    """Whose item a turn holds verbatim, as its metadata say; None where it is neutral."""
    if metadata is None or '"format"' not in metadata:
        return None
    told: Any = json.loads(metadata)
    found = cast("dict[str, Any]", told).get("format") if isinstance(told, dict) else None
    return found if found in FORMATS and found != "generic" else None


def _replaced(turn: Turn, text: str) -> Item:
    """The turn with a placeholder for its output, or for its arguments; everything else of it as it was."""
    what: Literal["input", "output"] = "input" if turn.kind == "tool_call" else "output"
    format = format_of(turn.metadata)
    body = to_json(text)
    content = json.loads(_finite(turn.body))
    if format is not None and len(content) == 1 and isinstance(content[0], dict):  # else its metadata lie
        native = catalog.replaced(format, cast("dict[str, Any]", content[0]), what, text)
        if native is None:
            return item_of(turn)
        body = to_json([native])
    tokens = estimate_tokens(text) + (estimate_tokens(turn.name or "tool") + 1 if what == "input" else 0)
    return Item(turn.role, turn.kind, body, tokens, turn.seq, turn.name, turn.call_id, format, replaced=True)


def _finite(body: Json) -> Json:
    """The content with numbers that no float holds as texts: read as infinity they could not be said in JSON again."""
    if not _HUGE.search(body):
        return body
    return to_json(json.loads(body, parse_float=lambda told: value if math.isfinite(value := float(told)) else told))


def _summary(summary: Summary | None, strategy: Strategy) -> list[Item]:
    """A question and its answer that stand for the turns which a summary covers."""
    if summary is None:
        return []
    about = f"{SUMMARY}:{summary.id}"
    return [
        Item(
            "user", "message", to_json(strategy.summary_prefix), estimate_tokens(strategy.summary_prefix), about=about
        ),
        Item("assistant", "message", to_json(summary.text), summary.tokens, about=about),
    ]


def _memory(injection: Injection | None) -> list[Item]:
    if injection is None or not injection.text:
        return []
    return [Item("user", "message", to_json(injection.text), estimate_tokens(injection.text), about=MEMORY)]
