"""Asking a memory one question, and measuring what it answers: a search, and the context of a new session."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from carryover.core.chunk import Hit, Hits, Query
from carryover.core.context import Context
from carryover.core.text import estimate_tokens
from carryover.evals import metrics
from carryover.evals.labelled import Place, Question

RANKS = (1, 3, 5, 10, 20, 50)
BUDGETS = (250, 500, 1000, 2000, 4000)
CONTEXT_TOKENS = 500
HITS = 100  # enough to fill the largest budget
SHOWN, SHOWN_CHARS = 3, 160  # of what was found instead
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Memory:
    """The two ways to ask, as the product answers them; `context` without a question is what every session is told."""

    search: Callable[[Query], Hits]
    context: Callable[[str | None], Context]


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the conversation that is asked about: the texts of its turns, in order.

    `alike` are turns that hold an answer as well as the one that it was taken from; `random` are contexts filled with
    turns picked blindly, which say how much of an answer is there by chance.
    """

    texts: Mapping[Place, str]
    static: str = ""
    random: Sequence[str] = ()
    alike: Mapping[Place, Place] = field(default_factory=dict[Place, Place])


@dataclass(frozen=True, slots=True)
class Answered:
    """The measures of one question, the first things found, and the context's text (empty where none was asked for)."""

    values: dict[str, float]
    found: tuple[str, ...]
    markdown: str = ""


def ask(memory: Memory, question: Question, told: Told, *, contexts: bool) -> Answered:
    """What a search for the question gives and, with `contexts`, a context that is asked for with it."""
    hits = memory.search(Query(question.text, k=HITS)).results
    values = ranking(hits, question, told)
    if not contexts:
        return Answered(values, _shown(hits))
    context = memory.context(question.text)
    return Answered(values | context_values(context, question, told), _shown(hits), context.markdown)


def times(memory: Memory, questions: Sequence[Question], *, contexts: bool) -> list[tuple[str, float]]:
    """(what, milliseconds) of a search of the usual size for each question, and of a context; after a warm-up."""
    for question in questions[:_WARM_UP]:
        memory.search(Query(question.text))
    taken: list[tuple[str, float]] = []
    for question in questions:
        began = time.perf_counter()
        memory.search(Query(question.text))
        taken.append(("search", 1000 * (time.perf_counter() - began)))
        if contexts:
            for what, asked in (("context", None), ("context with a question", question.text)):
                began = time.perf_counter()
                memory.context(asked)
                taken.append((what, 1000 * (time.perf_counter() - began)))
    return taken


def ranking(hits: Sequence[Hit], question: Question, told: Told) -> dict[str, float]:
    """The measures of a search's answer."""
    cited = [[told.alike.get(place, place) for place in _cited(hit)] for hit in hits]
    ranked = [place for places in cited for place in places]
    sessions = list(dict.fromkeys(session for session, _ in ranked))
    values = {
        "S@5": metrics.recall(sessions, question.sessions, 5),
        "S all@5": metrics.all_of(sessions, question.sessions, 5),
        "S all@10": metrics.all_of(sessions, question.sessions, 10),
        "S nDCG_any@10": metrics.ndcg_any(sessions, question.sessions, 10),
    }
    if not question.gold:
        return values
    sized = [(estimate_tokens(hit.text), places) for hit, places in zip(hits, cited, strict=True)]
    values |= {f"R@{k}": metrics.recall(ranked, question.gold, k) for k in RANKS}
    values |= {f"all@{k}": metrics.all_of(ranked, question.gold, k) for k in (5, 10)}
    values |= {f"B{budget}": metrics.inside(sized, question.gold, budget) for budget in BUDGETS}
    values["nDCG@10"] = metrics.ndcg(ranked, question.gold, 10)
    if question.update:
        first = next((place for place in ranked if place in question.gold), None)
        values["newest first"] = float(first == _newest(question, told))
    return values


def context_values(context: Context, question: Question, told: Told) -> dict[str, float]:
    """The measures of a context that was asked for with the question, and of what a session is told without it."""
    values: dict[str, float] = {"context tokens": float(context.tokens)}
    if question.gold:
        alike = {**told.alike, **{place: place for place in question.gold}}
        quoted = {of for place, of in alike.items() if metrics.quotes(context.markdown, told.texts[place])}
        values["QC"] = len(quoted & question.gold) / len(question.gold)
        if question.update:
            values["stale"] = float(bool(quoted) and _newest(question, told) not in quoted)
    for name, texts in (
        ("answer", (context.markdown,)),
        ("answer static", (told.static,)),
        ("answer by chance", told.random),
    ):
        shares = [metrics.carried(question.answer, text) for text in texts]
        if shares and None not in shares:
            values[name] = metrics.mean([share for share in shares if share is not None])
    return values


def _newest(question: Question, told: Told) -> Place:
    order = {place: n for n, place in enumerate(told.texts)}
    return max(question.gold, key=lambda place: order[place])


def _cited(hit: Hit) -> list[Place]:
    return [(source.session_id, seq) for source in hit.sources for seq in range(source.first, source.last + 1)]


def _shown(hits: Sequence[Hit]) -> tuple[str, ...]:
    return tuple(" ".join(hit.text.split())[:SHOWN_CHARS] for hit in hits[:SHOWN])
