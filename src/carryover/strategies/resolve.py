"""Whose word counts, field by field: the request's, then the conversation's, then the agent's, then nobody's. Pure."""

from __future__ import annotations

import difflib
import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from carryover.core.errors import Invalid
from carryover.core.strategy import FIELDS, NONE, Layer, Strategy, settled
from carryover.strategies.fields import RULES, TOOL, TOOLS, Rule

_HOLES = ("what", "name", "call_id")
# A low mark and its high one: said by one layer, the low one may not be above.
_MARKS = (
    ("keep_last_turns", "max_user_turns"),
    ("compact_keep", "compact_trigger_turns"),
    ("token_soft_budget", "token_budget"),
    ("token_budget", "context_window_tokens"),
    ("reserve_tokens", "token_budget"),
)


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as JSON has them; None, which clears a field, stays.

    Raises Invalid for a name that is unknown, a value that cannot be, or two that contradict each other.
    """
    # Callers hand in whatever they were sent.
    if not isinstance(cast("Any", fields), Mapping):
        raise Invalid("a strategy is an object of fields, like {'mode': 'trim'}; send one", field="memory_strategy")
    said = {name: _checked(_known(name), value) for name, value in fields.items()}
    refuse_contradictions(said, said)
    return said


def refuse_contradictions(fields: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Raises Invalid where a low mark is above its high one in these fields, and one of the two was said just now."""
    for low, high in _MARKS:
        if _is_above(fields, low, high) and not {low, high}.isdisjoint(name for name in said if said[name] is not None):
            raise Invalid(
                f"{low} is {fields[low]} and {high} is {fields[high]}; lower {low}, or raise {high}", field=low
            )


def resolve(
    request: Mapping[str, Any], conversation: Mapping[str, Any], agent: Mapping[str, Any]
) -> tuple[Strategy, dict[str, Layer]]:
    """The strategy that is in force, settled, and who said each of its fields; what nobody said is a default.

    Where two layers contradict each other, a low mark gives way (see `gave_way`). Raises Invalid for a request that
    cannot be; whatever is stored makes a strategy.
    """
    strategy, sources, _ = _resolved(request, conversation, agent)
    return strategy, sources


def gave_way(request: Mapping[str, Any], conversation: Mapping[str, Any], agent: Mapping[str, Any]) -> tuple[str, ...]:
    """What was said and does not count, because another layer says the contrary: one sentence for each."""
    return _resolved(request, conversation, agent)[2]


def _resolved(
    request: Mapping[str, Any], conversation: Mapping[str, Any], agent: Mapping[str, Any]
) -> tuple[Strategy, dict[str, Layer], tuple[str, ...]]:
    layers: tuple[tuple[Layer, Mapping[str, Any]], ...] = (
        ("request", checked(request)),
        ("conversation", conversation),
        ("agent", agent),
    )
    given: dict[str, Any] = {}
    sources: dict[str, Layer] = dict.fromkeys(FIELDS, "default")
    for name in FIELDS:
        for layer, said in layers:
            if said.get(name) is not None:
                given[name], sources[name] = said[name], layer
                break
    warnings = tuple(_reconciled(given, sources))
    for name in ("compact_exclude_tools", "compact_include_tools"):
        given[name] = tuple(given.get(name, ()))
    strategy = replace(NONE, **given)
    return settled(strategy), sources, warnings


def _reconciled(given: dict[str, Any], sources: dict[str, Layer]) -> list[str]:
    """No low mark is above its high one; of two layers that contradict each other, the low mark gave way."""
    told: list[str] = []
    lowered: dict[str, Callable[[int], int | None]] = {
        "keep_last_turns": lambda high: max(1, high // 2),
        "compact_keep": lambda high: high // 2,
        "token_soft_budget": lambda high: None,  # the budget itself
    }
    for low, high in _MARKS:
        if low not in lowered:
            continue
        if _is_above(given, low, high):
            was, given[low] = given[low], lowered[low](given[high])
            now = f"{given[low]} is used" if given[low] is not None else f"{high} alone counts"
            told.append(
                f"{low} {was} (said by the {sources[low]}) is above {high} {given[high]} (said by the "
                f"{sources[high]}), so that {now}; lower the one, or raise the other"
            )
            sources[low] = "default"
    # Where only one of the two is said, the other follows it, as `settled` does for turns.
    keep, most = given.get("compact_keep"), given.get("compact_trigger_turns")
    if keep is not None and most is None and keep >= NONE.compact_trigger_turns:
        given["compact_trigger_turns"] = 2 * keep
    elif keep is None and most is not None and NONE.compact_keep >= most:
        given["compact_keep"] = most // 2
    return told


def _is_above(fields: Mapping[str, Any], low: str, high: str) -> bool:
    below, above = fields.get(low), fields.get(high)
    return below is not None and above is not None and below > above


def _known(name: Any) -> str:
    if name in RULES:
        return name
    short = str(name)[:64]
    near = difflib.get_close_matches(short, FIELDS, 1, 0)[0]
    raise Invalid(f"{short!r} is no field of a strategy; the nearest known one is {near!r}", field=short)


def _checked(name: str, value: Any) -> Any:
    if value is None:
        return None
    rule = RULES[name]
    if not _fits(value, rule):
        raise Invalid(f"{name} is {_shown(value)}; use {_wanted(value, rule)}", field=name)
    if name == "placeholder":
        _refuse_holes(value)
    if rule["type"] == "number":
        return float(value)
    return list(value) if rule["type"] == "array" else value


def _fits(value: Any, rule: Rule) -> bool:
    kind = rule["type"]
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "array":
        entries = cast("list[Any]", value) if isinstance(value, (list, tuple)) else None
        return entries is not None and len(entries) <= TOOLS and all(_fits(one, rule["items"]) for one in entries)
    if kind == "string":
        return isinstance(value, str) and _is_text(value) and _is_known(value, rule)
    if isinstance(value, bool) or not isinstance(value, int if kind == "integer" else (int, float)):
        return False
    return rule["minimum"] <= value <= rule["maximum"]  # which is not so of what is no number


def _is_known(value: str, rule: Rule) -> bool:
    return value in rule["enum"] if "enum" in rule else rule["minLength"] <= len(value) <= rule["maxLength"]


def _is_text(value: str) -> bool:
    """Whether every database and every provider takes the text."""
    return "\x00" not in value and value.encode("utf-8", "ignore").decode() == value


def _wanted(value: Any, rule: Rule) -> str:
    if "enum" in rule:
        known: list[str] = rule["enum"]
        near = difflib.get_close_matches(value[:64] if isinstance(value, str) else "", known, 1)
        return f"one of {', '.join(known)}" + (f" (the nearest one is {near[0]!r})" if near else "")
    if rule["type"] == "array":
        return f"a list of at most {TOOLS} names of tools, each of 1 to {TOOL} characters"
    if rule["type"] == "string":
        return f"a text of {rule['minLength']} to {rule['maxLength']} characters, none of them NUL"
    if rule["type"] == "boolean":
        return "true or false"
    noun = "a whole number" if rule["type"] == "integer" else "a number"
    return f"{noun} from {rule['minimum']} to {rule['maximum']}"


def _shown(value: Any) -> str:
    """The value as a message may quote it: short, whatever it is."""
    if isinstance(value, str):
        return repr(value[:40]) + ("…" if len(value) > 40 else "")
    if isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 10**18):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def _refuse_holes(text: str) -> None:
    """Raises Invalid unless `str.format` fills the text with what stands for an output, and with nothing else."""
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as cause:
        raise _unfillable(f"cannot be read ({cause})") from cause
    for _, hole, form, conversion in pieces:
        if hole is not None and (hole not in _HOLES or form or conversion):
            shown = f"{{{hole}{'!' + conversion if conversion else ''}{':' + form if form else ''}}}"
            raise _unfillable(f"asks for {shown[:60]}")


def _unfillable(why: str) -> Invalid:
    return Invalid(
        f"placeholder {why}; use {', '.join(f'{{{hole}}}' for hole in _HOLES)} and nothing else in braces, "
        "and write a brace itself twice",
        field="placeholder",
    )
