"""What each field of a strategy may be and what it does, as JSON schema says it; the documents are made of this."""

from __future__ import annotations

from typing import Any, get_args

from carryover.core.strategy import MODES, Reach

TURNS, TOKENS = 1_000_000, 1_000_000_000  # the most that counts of turns and of tokens may be
TOOLS, TOOL = 200, 200  # names of tools in a list, and characters of one

Rule = dict[str, Any]


def _whole(least: int, most: int, about: str) -> Rule:
    return {"type": "integer", "minimum": least, "maximum": most, "description": about}


def _share(about: str) -> Rule:
    return {"type": "number", "minimum": 0, "maximum": 1, "description": about}


def _text(most: int, about: str) -> Rule:
    return {"type": "string", "minLength": 1, "maxLength": most, "description": about}


def _one_of(known: tuple[str, ...], about: str) -> Rule:
    return {"type": "string", "enum": list(known), "description": about}


def _yes_or_no(about: str) -> Rule:
    return {"type": "boolean", "description": about}


def _tools(about: str) -> Rule:
    names = {"type": "string", "minLength": 1, "maxLength": TOOL}
    return {"type": "array", "maxItems": TOOLS, "items": names, "description": about}


RULES: dict[str, Rule] = {
    "mode": _one_of(MODES, "what is done when a view becomes long"),
    "max_user_turns": _whole(
        1, TURNS, "`trim`, `summarize`: more turns than this set off a cut; unset: 40, or twice `keep_last_turns`"
    ),
    "keep_last_turns": _whole(
        0,
        TURNS,
        "... that leaves so many; 0: `max_user_turns` of them; unset: half of `max_user_turns`, at most 20 (`trim`) "
        "or 10 (`summarize`)",
    ),
    "token_budget": _whole(
        1, TOKENS, "tokens that a view may have; unset: the window less `token_remaining_pct` of it"
    ),
    "token_soft_budget": _whole(1, TOKENS, "tokens that set off a cut before the budget does; unset: the budget"),
    "token_remaining_pct": _share("share of the window that is left free where no budget is given"),
    "context_window_tokens": _whole(1, TOKENS, "the model's window"),
    "reserve_tokens": _whole(0, TOKENS, "tokens of the budget for tools, instructions and the answer"),
    "token_keep_pct": _share("a cut that tokens set off leaves so much of what set it off"),
    "keep_last_calls": _whole(
        0,
        TURNS,
        "of the turns that are kept, the newest rounds of calls that nothing touches; a very large number: all of them",
    ),
    "compact_trigger_turns": _whole(
        1, TURNS, "`compact`: more turns than this whose outputs are not cleared set off a clearing"
    ),
    "compact_trigger_calls": _whole(1, TURNS, "... or more results than this"),
    "compact_keep": _whole(0, TURNS, "... that leaves the outputs of so many turns"),
    "compact_exclude_tools": _tools("tools whose outputs are never cleared"),
    "compact_include_tools": _tools("where given, the only tools whose outputs are cleared, excluded or not"),
    "clear_tool_inputs": _yes_or_no("whether the arguments of calls are cleared as well"),
    "clear_at_least_tokens": _whole(0, TOKENS, "a clearing that frees less waits"),
    "placeholder": _text(500, "what stands for an output; `{what}`, `{name}` and `{call_id}` are filled in"),
    "summarizer_model": _text(200, "the model that summarises, or `rules` for none; unset: the setting `llm`"),
    "summary_prefix": _text(500, "what a summary is introduced with"),
    "summary_max_tokens": _whole(1, 100_000, "tokens of a summary"),
    "summary_max_chars": _whole(1, 1_000_000, "characters of a summary"),
    "summary_rebase_every": _whole(
        0, 1_000, "so many summaries go on from the one before; then one is made of the turns themselves"
    ),
    "cache_ttl_s": _whole(1, 30 * 86_400, "seconds of silence after which the provider's cache is taken to be cold"),
    "memory_injection": _yes_or_no("whether what other sessions settled is told at the head of the view"),
    "injection_reach": _one_of(get_args(Reach), "whose other sessions: the user's with this agent, or all the user's"),
    "injection_max_tokens": _whole(1, 100_000, "tokens of what is told of them"),
    "injection_max_age_days": _whole(1, 36_500, "what is older is not told"),
}
