"""Where a persona stands in a request: behind what all users share, so that all of them read that from the cache.

    system = shared prefix | cache point | persona | cache point

Providers keep the beginning of a prompt, up to a cache point, and read it only as far as it is the same. A persona is
one user's and too short to be kept by itself: before the shared prefix it takes the cache away from everything behind
it, behind the prefix it costs only its own tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from carryover.core.strategy import Format
from carryover.core.text import count_tokens, digest
from carryover.core.usage import Usage
from carryover.providers.prices import Price, find

Native = dict[str, Any]

POINTS = 4  # cache points that a request may have, with Anthropic as with OpenAI
_LOWEST = 2  # common tokenizers count no less than this part of what `count_tokens` does
_ROLES: dict[Format, str] = {"openai": "developer", "openai-chat": "system", "generic": "system"}


@dataclass(frozen=True, slots=True)
class Caching:
    """How a request uses the provider's cache.

    `free` cache points are left of the request's four. `ttl` is how long Anthropic keeps what it caches (`5m`, its own
    default, or `1h`). `tools` are the tokens of the tools, which stand before everything else. `prices` is a file of
    own prices.
    """

    free: int = POINTS
    ttl: Literal["5m", "1h"] | None = None
    tools: int = 0
    prices: Path | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """The beginning of a request, and what keeps it from being cached.

    `system` are blocks for Anthropic's `system`, and messages for the beginning of `input` or `messages` elsewhere.
    `key` is a `prompt_cache_key` for OpenAI that all requests with this shared prefix have in common. `points` is how
    many cache points were set; where there are none, `automatic` says that the provider finds what it keeps by itself.
    """

    system: tuple[Native, ...]
    warnings: tuple[str, ...]
    model: str
    points: int
    automatic: bool
    key: str | None


def placed(
    shared: str | Sequence[str], persona: str, *, model: str, format: Format, caching: Caching | None = None
) -> Placed:
    """The shared prefix and behind it the persona, with cache points where the provider wants them marked.

    The same arguments give the same bytes. A text that is empty leaves no block behind, and no cache point. `model` is
    `provider:model`. Raises ProviderError, which names it, where the table of prices does not have it.
    """
    caching = caching or Caching()
    row = find(model, caching.prices)
    texts = [text for text in ([shared] if isinstance(shared, str) else shared) if text.strip()]
    own = [persona] if persona.strip() else []
    ends = ([len(texts) - 1] if texts else []) + ([len(texts)] if own else [])
    marked = ends[: max(0, caching.free)] if _is_marked(row, model, format) else []
    automatic = format != "anthropic" and not marked
    blocks = [_block(text, format, caching if n in marked else None) for n, text in enumerate([*texts, *own])]
    parts = (blocks[: len(texts)], blocks[len(texts) :])
    tokens = caching.tools + sum(map(count_tokens, texts))
    return Placed(
        system=tuple(blocks if format == "anthropic" else (_message(part, format) for part in parts if part)),
        warnings=_warnings(row, model, tokens) if marked or automatic else (),
        model=model,
        points=len(marked),
        automatic=automatic,
        key=f"carryover-{digest(*texts)[3:]}" if texts and format in ("openai", "openai-chat") else None,
    )


def no_reads(usage: Usage, placed: Placed) -> str | None:
    """What to warn of after a request that followed another with the same shared prefix before the cache forgot it.

    None where something was read from the cache, and where nothing was to be kept.
    """
    if usage.cache_read or not (placed.points or placed.automatic):
        return None
    if usage.cache_write:
        return (
            f"{placed.model} wrote {usage.cache_write} tokens to its cache and read none: what stands before a cache "
            "point was not the same as in the request before; keep tools and shared prefix as they are, byte for byte"
        )
    return (
        f"{placed.model} neither read its cache nor wrote to it, of {usage.tokens_in} tokens; what stands before the "
        "cache point may be too short for it"
    )


def _is_marked(row: Price, model: str, format: Format) -> bool:
    """Whether the provider keeps what stands before marks. OpenAI does for models whose writes it charges for."""
    return format == "anthropic" or (format != "generic" and model.startswith("openai") and row.cache_write > 1)


def _block(text: str, format: Format, marked: Caching | None) -> Native:
    block: Native = {"type": "input_text" if format == "openai" else "text", "text": text}
    if marked is None:
        return block
    if format == "anthropic":
        return block | {"cache_control": {"type": "ephemeral"} | ({"ttl": marked.ttl} if marked.ttl else {})}
    return block | {"prompt_cache_breakpoint": {"mode": "explicit"}}


def _message(blocks: list[Native], format: Format) -> Native:
    """The blocks as one message; a single one without a mark as a string."""
    plain = len(blocks) == 1 and "prompt_cache_breakpoint" not in blocks[0]
    return {"role": _ROLES[format], "content": blocks[0]["text"] if plain else blocks}


def _warnings(row: Price, model: str, tokens: int) -> tuple[str, ...]:
    """What is wrong with the size of the shared prefix; `tokens` is an upper bound."""
    least = row.cache_least
    if not least:
        return (f"it is not known from how many tokens on {model} keeps a prefix; watch what its answers say was read",)
    if tokens < least:
        return (f"{model} keeps no prefix below {least} tokens; the shared one has at most {tokens}",)
    if tokens // _LOWEST < least:
        return (
            f"{model} keeps no prefix below {least} tokens; the shared one may have {tokens // _LOWEST} to {tokens}",
        )
    return ()
