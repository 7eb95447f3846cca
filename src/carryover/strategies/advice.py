"""What speaks against a strategy: settings that break the provider's cache, do nothing, or contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from carryover.core.strategy import Strategy, settled

MOST_BREAKS = 10  # of 100 turns: from more on a cut costs more than it saves
_SMALL = 1_000  # tokens: a clearing that frees less costs more than it saves
_BRIEF_S = 60  # a shorter life of the cache than any provider's


def warnings(strategy: Strategy) -> tuple[str, ...]:
    """One sentence for each, with what to change; nothing for a strategy that does well."""
    given = settled(strategy)
    found = [*_tokens(given), *_injection(given)]
    if given.mode in ("trim", "summarize"):
        found += _window(given)
    if given.mode == "summarize":
        found += _summaries(given)
    if given.mode == "compact":
        found += _clearing(given)
    return tuple(found)


def breaks(strategy: Strategy) -> float | None:
    """How many of 100 turns begin with another view than the one before; None where turns set off nothing."""
    given = settled(strategy)
    if given.mode in ("trim", "summarize") and given.max_user_turns and given.keep_last_turns:
        return 100 / max(1, given.max_user_turns - given.keep_last_turns + 1)
    if given.mode == "compact":
        return 100 / max(1, given.compact_trigger_turns - given.compact_keep + 1)
    return None


def _window(given: Strategy) -> Iterator[str]:
    most, keep, often = given.max_user_turns, given.keep_last_turns, breaks(given)
    if not most or not keep or often is None:
        return
    wanted = keep + 100 // MOST_BREAKS
    if keep > most:
        yield (
            f"keep_last_turns {keep} is more than max_user_turns {most}, so that nothing is ever cut; "
            f"lower it, or raise max_user_turns to {wanted}"
        )
    elif keep == most:
        yield (
            f"max_user_turns and keep_last_turns are both {keep}: the window slides with every turn, and the provider "
            f"reads all of it anew; raise max_user_turns to {max(wanted, 2 * keep)}"
        )
    elif often > MOST_BREAKS:
        yield (
            f"max_user_turns {most} and keep_last_turns {keep} are close: about {often:.0f} of 100 turns break the "
            f"provider's cache; raise max_user_turns to {wanted} or more"
        )


def _summaries(given: Strategy) -> Iterator[str]:
    keep = int(given.high * given.token_keep_pct)
    if given.summary_max_tokens >= keep:
        yield (
            f"summary_max_tokens {given.summary_max_tokens} is not less than the {keep} tokens that a cut leaves; "
            "lower it, or raise the budget"
        )
    if given.summary_max_chars < 2 * given.summary_max_tokens:
        yield (
            f"summary_max_chars {given.summary_max_chars} ends a summary long before its {given.summary_max_tokens} "
            f"tokens do; raise it to {4 * given.summary_max_tokens}"
        )


def _clearing(given: Strategy) -> Iterator[str]:
    often, batch = breaks(given) or 0.0, given.compact_trigger_turns - given.compact_keep
    if batch <= 0:
        yield (
            f"compact_keep {given.compact_keep} is not less than compact_trigger_turns {given.compact_trigger_turns}: "
            "each turn clears one, and breaks the provider's cache; "
            f"raise compact_trigger_turns to {given.compact_keep + 100 // MOST_BREAKS}"
        )
    elif often > MOST_BREAKS and given.clear_at_least_tokens < 10 * _SMALL:
        yield (
            f"compact_trigger_turns {given.compact_trigger_turns} and compact_keep {given.compact_keep} are close: "
            f"up to {often:.0f} of 100 turns break the provider's cache; "
            f"raise compact_trigger_turns to {given.compact_keep + 100 // MOST_BREAKS}"
        )
    if given.clear_at_least_tokens < _SMALL:
        yield (
            f"clear_at_least_tokens {given.clear_at_least_tokens} lets a clearing break the cache for next to nothing; "
            f"raise it to {2 * _SMALL}"
        )
    if given.compact_include_tools and given.compact_exclude_tools:
        yield (
            "compact_include_tools and compact_exclude_tools are both given, and only the first one counts; "
            "remove one of them"
        )


def _tokens(given: Strategy) -> Iterator[str]:
    budget, window, soft = given.token_budget, given.context_window_tokens, given.token_soft_budget
    if budget is not None and budget > window:
        yield f"token_budget {budget} is more than context_window_tokens {window}; lower it, or correct the window"
    if soft is not None and soft - given.reserve_tokens >= given.budget:
        yield (
            f"token_soft_budget {soft} is not less than the budget of {given.budget + given.reserve_tokens}, "
            "so that it never counts; lower it"
        )
    if given.budget == 0:
        yield (
            f"reserve_tokens {given.reserve_tokens} leaves nothing of the budget to the turns; "
            "lower it, or raise token_budget"
        )
    if given.mode != "none" and given.token_keep_pct > 0.9:
        yield (
            f"token_keep_pct {given.token_keep_pct:g} makes a cut free so little that the next one follows soon, and "
            "each breaks the provider's cache; lower it to 0.5"
        )


def _injection(given: Strategy) -> Iterator[str]:
    if given.cache_ttl_s < _BRIEF_S and (given.memory_injection or given.mode != "none"):
        moved = "what other sessions settled is told anew" if given.memory_injection else "cuts are taken to be free"
        yield (
            f"cache_ttl_s {given.cache_ttl_s} is shorter than any provider keeps its cache: {moved} while it is still "
            "warm; raise it to 300"
        )
    if given.memory_injection and given.injection_max_tokens >= max(1, given.low):
        yield (
            f"injection_max_tokens {given.injection_max_tokens} is not less than the {given.low} tokens that a cut "
            "leaves; lower it, or raise the budget"
        )
