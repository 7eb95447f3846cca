"""A digest on one page of Markdown: what search finds and contexts show of a coding session."""

from __future__ import annotations

from collections.abc import Iterator

from carryover.core.clock import rfc3339
from carryover.core.digest import Digest, Signal
from carryover.core.text import count_tokens

TOKENS = 400
_LINE = 180  # characters of one line
_FILES, _SIGNALS, _TOOLS, _MODELS = 4, 5, 8, 3


def page(digest: Digest) -> str:
    """The digest as Markdown of less than 400 tokens: the same bytes for the same digest.

    The most telling comes first, and what has no room is left out line by line.
    """
    lines: list[str] = []
    left = TOKENS - 1
    for line in _lines(digest):
        line = line if len(line) <= _LINE else line[: _LINE - 1].rstrip() + "…"
        cost = count_tokens(line) + 1
        if cost <= left:
            lines.append(line)
            left -= cost
    return "\n".join(lines)


def _lines(digest: Digest) -> Iterator[str]:
    title, goal = _one_line(digest.title), _one_line(digest.goal)
    is_goal = goal.startswith(title.rstrip("…"))  # most sessions have no title of their own
    yield f"# {(goal if is_goal else title) or f'Session {digest.session_id}'}"
    yield " · ".join(_facts(digest))
    if goal and not is_goal:
        yield f"Goal: {goal}"
    yield f"Outcome: {digest.outcome} ({digest.confidence:.0%} sure)" + _because(digest)
    if digest.result:
        yield f"Result: {_one_line(digest.result)}"
    if digest.tests.runs:
        yield f"Tests: {digest.tests.runs} runs" + (f", {digest.tests.arc}" if digest.tests.arc else "")
    edited = [file.path for file in digest.files if file.edits]
    if edited:
        more = f" and {len(edited) - _FILES} more" if len(edited) > _FILES else ""
        yield f"Edited: {', '.join(edited[:_FILES])}{more}"
    good = [f"{signal.kind} ({signal.key})" for signal in digest.signals if signal.good]
    if good:
        yield f"Went well: {', '.join(good[:_SIGNALS])}"
    problems = [signal for signal in digest.signals if not signal.good and signal.kind != "tool_errors"]
    for signal in sorted(problems, key=_weight)[:_SIGNALS]:
        yield f"- {signal.kind}: {_one_line(signal.key)[:100]}{_times(signal)}"
    if digest.tools:
        yield f"Tools: {', '.join(_tools(digest))}"
    if said := _people(digest):
        yield f"Steering: {said}"
    if spent := _spent(digest):
        yield f"Spent: {spent}"
    if digest.unknown:
        yield f"Unknown: {', '.join(digest.unknown)}"


def _facts(digest: Digest) -> Iterator[str]:
    yield digest.flavor if digest.kind == "main" else f"{digest.flavor} {digest.kind}"
    if digest.repo:
        yield digest.repo + (f" ({digest.branch})" if digest.branch else "")
    if digest.started_at is not None:
        yield rfc3339(digest.started_at)[:16].replace("T", " ")
    if digest.active_s is not None:
        yield f"{max(digest.active_s // 60, 1)} min"
    if digest.models:
        yield ", ".join(digest.models[:_MODELS])


def _because(digest: Digest) -> str:
    quote = next((_one_line(source.quote) for source in digest.because if source.quote), "")
    return f": {quote[:80]}" if quote else ""


def _tools(digest: Digest) -> Iterator[str]:
    most = sorted(digest.tools.items(), key=lambda item: (-item[1].calls, item[0]))
    for name, use in most[:_TOOLS]:
        yield f"{name} {use.calls}" + (f" ({use.errors} failed)" if use.errors else "")


def _people(digest: Digest) -> str:
    counted = (
        (digest.prompts, "prompts"),
        (digest.corrections, "corrections"),
        (digest.interrupts, "interrupts"),
        (digest.rejections, "refusals"),
    )
    return ", ".join(f"{number} {name}" for number, name in counted if number)


def _spent(digest: Digest) -> str:
    if digest.tokens is None:
        return ""
    given = digest.tokens.input + digest.tokens.cache_read + digest.tokens.cache_write
    said = f"{given} tokens in, {digest.tokens.output} out"
    return said if digest.tokens.cost is None else f"{said}, ${digest.tokens.cost / 1e9:.2f}"


def _weight(signal: Signal) -> tuple[int, str, str]:
    return -signal.count, signal.kind, signal.key


def _times(signal: Signal) -> str:
    if signal.count == 1 and signal.of in (None, 1):
        return ""
    return f" ({signal.count} of {signal.of})" if signal.of else f" ({signal.count})"


def _one_line(text: str) -> str:
    return " ".join(text.split())
