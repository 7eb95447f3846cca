"""Whether the provider's cache does for a conversation what it is asked for, and who is told where it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from carryover.core import telemetry
from carryover.core.chat import Prompt
from carryover.core.strategy import Format
from carryover.core.text import canonical_json, count_tokens
from carryover.core.usage import Usage
from carryover.jobs.logger import logger_for
from carryover.persona.placement import Caching, Placed, no_reads, placed
from carryover.providers import prices

logger = logger_for(__name__)

# Providers whose caches tell what they did. Others may keep what they like.
_WIRES: dict[str, Format] = {
    "anthropic": "anthropic",
    "openai": "openai",
    "openai-responses": "openai",
    "openai-chat": "openai-chat",
}
_logged = set[tuple[str, str]]()  # of which model which trouble: once in a process


@dataclass(slots=True)
class Watch:
    """The requests of one run. `is_warm` says that one before them has just filled the cache."""

    placed: Placed | None  # None: nothing is known of this provider's cache
    is_warm: bool
    warnings: tuple[str, ...] = ()

    def hear(self, usage: Usage, *, moved: bool) -> None:
        """The next request consumed this; `moved` says that its view was cut or cleared since the one before."""
        warm, self.is_warm = self.is_warm and not moved, True
        warning = no_reads(usage, self.placed) if warm and self.placed is not None else None
        if warning is not None:
            why = "changed" if usage.cache_write else "too_short"
            telemetry.count("chat_cache_misses", model=usage.model, why=why)
            self.warn(usage.model, why, warning)

    def warn(self, model: str, why: Literal["changed", "too_short", "short_head"], warning: str) -> None:
        """Whoever asked is told with the answer, and the log once."""
        self.warnings = tuple(dict.fromkeys((*self.warnings, warning)))
        if (model, why) not in _logged:
            _logged.add((model, why))
            logger.warning("chat.cache", model=model, why=why, warning=warning)


def watch(model: str, prompt: Prompt, persona: str, *, own_prices: Path | None, is_warm: bool) -> Watch:
    """A watch over the requests that begin like this prompt; what its head is too short for is known at once."""
    wire = _WIRES.get(model.partition(":")[0])
    if wire is None:
        return Watch(None, is_warm)
    shared = prompt.system[: prompt.system.index(persona)] if persona else prompt.system
    tools = sum(count_tokens(tool.description + canonical_json(tool.parameters)) for tool in prompt.tools)
    found = placed(shared, persona, model=model, format=wire, caching=Caching(tools=tools, prices=own_prices))
    # The end of the conversation has a cache point as well.
    made = Watch(replace(found, points=found.points + 1), is_warm)
    if prices.find(model, own_prices).cache_least:  # where it is not known, the first answers show it
        for warning in found.warnings:
            made.warn(model, "short_head", warning)
    return made
