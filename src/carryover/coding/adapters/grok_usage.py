"""What a turn of Grok Build spent: told at its end, with all of its calls and of the agents that it spawned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from carryover.coding.adapters.base import table
from carryover.coding.adapters.messages import number
from carryover.core.clock import Time
from carryover.core.step import Spend, uid

_TICKS = 10  # of a ten-billionth of a dollar in a billionth


def turn_spends(prompt: str, usage: Mapping[str, Any], at: Time | None, model: str | None) -> Iterator[Spend]:
    """One for each model; a turn that is told again has the same keys. `prompt` is what the turn is known by."""
    models = table(usage.get("modelUsage"))
    for name, said in (models or {"": usage}).items():
        spend = _spend(uid("grok", "spend", prompt, str(name)), table(said), at, str(name) or model)
        if spend is not None:
            yield spend


def _spend(key: str, said: Mapping[str, Any], at: Time | None, model: str | None) -> Spend | None:
    full, output = number(said.get("inputTokens")), number(said.get("outputTokens"))
    read = number(said.get("cachedReadTokens"))
    written, reasoning = number(said.get("cacheCreationTokens")), number(said.get("reasoningTokens"))
    if reasoning > output or (reasoning and number(said.get("totalTokens")) == full + output + reasoning):
        output += reasoning
    cost = number(said.get("costUsdTicks")) // _TICKS
    if not (full or output or cost):
        return None
    return Spend(
        key,
        at,
        model,
        input=max(0, full - read - written),
        cache_read=read,
        cache_write=written,
        output=output,
        reasoning=reasoning,
        cost=cost or None,  # none is told, where it is not known
    )
