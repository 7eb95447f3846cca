"""What tests of summaries share: a conversation that is worth one, and a worker that makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from carryover.core.ports import LLM
from carryover.core.scope import Scope
from carryover.core.session import Draft
from carryover.core.strategy import Strategy, Summary
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.memory.rules import Rules
from carryover.store import events, queue, summaries
from carryover.store.events import Filter
from carryover.store.store import Store
from carryover.strategies import summarize
from carryover.strategies.summarize import Makers, summarizing
from talk import say

RULES = Strategy(mode="summarize", summary_max_tokens=300)
SUBJECT = "ada/s1"

TALK = (
    "Please draft the tender for the harbour crane; the budget is 120,000 euros.",
    "I will. Which lifting capacity do you need?",
    "We decided on 40 tonnes, because the old crane failed at 32. Always answer me in short sentences.",
    "Noted. I will ask Mia for the soil report by Friday.",
    "The permit number is H-2291 and it runs out on 14 March.",
    "Then the works have to begin before that day.",
)


def talk(store: Store, scope: Scope, rounds: int = 5, *, session: str = "s1", **more: Any) -> int:
    """A conversation about a crane, and then about its berths, one a round; the session's version."""
    version = say(store, scope, session, TALK, **more)
    for n in range(1, rounds):
        lines = [
            f"Berth {n}00 is {n + 3} metres deep, which the divers measured on Monday. " * 4,
            "I have put it down.",
        ]
        version = say(store, scope, session, lines, **more)
    return version


def retraction(first: int, last: int) -> Draft:
    return Draft("system", [{"type": "retraction", "first": first, "last": last}], kind="retraction")


def ask(store: Store, scope: Scope, last: int, strategy: Strategy = RULES, session: str = "s1") -> None:
    with store.write(scope) as tx:
        summarize.ask(tx, "ada", session, strategy, last)


def ready(store: Store, scope: Scope, strategy: Strategy = RULES, session: str = "s1") -> list[Summary]:
    with store.read(scope) as tx:
        return summaries.ready(tx, "ada", session, strategy.recipe)


def status(store: Store, scope: Scope, last: int, strategy: Strategy = RULES) -> str | None:
    with store.read(scope) as tx:
        return summaries.status(tx, "ada", "s1", strategy.recipe, last)


def armed(store: Store, scope: Scope) -> bool:
    with store.read(scope) as tx:
        return queue.get(tx, summarize.KIND, SUBJECT) is not None


def told(store: Store, scope: Scope) -> list[dict[str, Any]]:
    """What the activity stream says of summaries, the newest last."""
    with store.read(scope) as tx:
        return [event.detail for event in events.newest(tx, "ada", Filter(action=summarize.KIND), limit=50)][::-1]


def worker(store: Store, opened: LLM | Callable[[str], LLM] | None = None, cap: Cap | None = None) -> Worker:
    """Summaries are made by this model, or without one by rules."""

    def open_model(name: str) -> LLM:
        assert opened is not None, name
        return opened(name) if callable(opened) else opened

    model = summarize.RULES if opened is None else "anthropic:claude-haiku-5-5"
    made = summarizing(Makers(Rules(), model, open_model))
    return Worker(store, {summarize.KIND: made}, lambda _: cap or Cap())
