"""What a Codex rollout says of tokens: running totals, told again whenever the limits are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carryover.coding.adapters.base import first_text, table
from carryover.coding.adapters.codex_record import Record
from carryover.coding.adapters.messages import MOST_TOKENS, remember
from carryover.core.step import Spend

# input (with what came from the cache), from the cache, into the cache, output (with reasoning), reasoning
_NAMES = (
    ("input_tokens", "prompt"),
    ("cached_input_tokens", "cache_read_input_tokens"),
    ("cache_write_input_tokens",),
    ("output_tokens", "completion"),
    ("reasoning_output_tokens",),
)


def token_count(record: Record, event: Mapping[str, Any]) -> None:
    """What was spent since the last count: none where the total is the same, all of it where the total fell."""
    info = table(event.get("info"))
    total, last = _numbers(info.get("total_token_usage")), _numbers(info.get("last_token_usage")) or _numbers(info)
    if total is None:
        if last is not None:
            _spent(record, last, info)
        return
    before: list[int] | None = record.state.get("total")
    if total == before:
        return
    record.state["total"] = total
    if last is None or not any(last):
        fell = before is None or any(now < then for now, then in zip(total, before, strict=True))
        last = total if fell or before is None else [now - then for now, then in zip(total, before, strict=True)]
    _spent(record, last, info)


def turn_usage(record: Record, event: Mapping[str, Any]) -> None:
    """What a whole turn spent, in rollouts that do not count calls."""
    usage = _numbers(event.get("usage"))
    if usage is not None and "total" not in record.state:
        _spent(record, usage, event)


def _numbers(value: Any) -> list[int] | None:
    said = table(value)
    found = [next((said[name] for name in names if _counts(said.get(name))), None) for names in _NAMES]
    return None if all(number is None for number in found) else [number or 0 for number in found]


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS


def _spent(record: Record, numbers: list[int], info: Mapping[str, Any]) -> None:
    full, cached, written, output, reasoning = numbers
    model = first_text(info.get("model"), record.state.get("model")) or None
    remember(record.part.about.models, model)
    window = info.get("model_context_window", record.state.get("window"))
    # Within a turn it is the n-th change that counts: copies of the turn have the same ones, at other times.
    said = () if record.state.get("turn") else [str(number) for number in numbers]
    record.part.spends.append(
        Spend(
            record.identity("spend", *said),
            record.at,
            model,
            input=max(0, full - cached - written),
            cache_read=cached,
            cache_write=written,
            output=output if output >= reasoning else output + reasoning,
            reasoning=reasoning,
            window=window if _counts(window) else None,
        )
    )
