"""The view of a session: its strategy resolved, what that shows, and what must be told and made because of it.

Only a view whose cut has moved since it was last told writes anything, and never to the log.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT, Scope
from carryover.core.strategy import FORMATS, Format, Item, Strategy, Summary, View
from carryover.core.text import canonical_json, digest
from carryover.store import sessions, strategies, summaries, views
from carryover.store.sessions import Head
from carryover.store.store import Store, Tx
from carryover.strategies import advice, inject, summarize, telling
from carryover.strategies.course import Course, Move
from carryover.strategies.formats import catalog
from carryover.strategies.inject import Injection
from carryover.strategies.kept import Entry, Kept
from carryover.strategies.plan import Plan, planned, prefix
from carryover.strategies.render import MEMORY, agreed, items_of
from carryover.strategies.resolve import gave_way, resolve

ASK_AGAIN_S = 30.0  # a summary that is missing is asked for so often by one process


@dataclass(frozen=True, slots=True)
class _Made:
    """A view, and what has to be written because of it."""

    head: Head
    entry: Entry
    view: View
    plan: Plan | None  # None: the view is one that was kept
    ask: int | None


@dataclass(frozen=True, slots=True)
class Viewing:
    """A request for a view. `strategy` are fields that count for it alone; with `dry_run` nothing comes of it."""

    session_id: str
    agent_id: str = DEFAULT
    strategy: Mapping[str, Any] | None = None
    format: Format = "generic"
    dry_run: bool = False


def view(store: Store, scope: Scope, kept: Kept, asked: Viewing) -> View:
    """What a model should see of the session. With `dry_run` nothing is made, and nothing counted, because of it.

    Raises Forbidden, NotFound, or Invalid for a strategy or a format that cannot be.
    """
    scope.require("read")
    if asked.format not in FORMATS:
        raise Invalid(
            f"format {str(asked.format)[:40]!r} is unknown; use one of {', '.join(FORMATS)}", field="provider"
        )
    with store.read(scope) as tx:
        made = _made(tx, kept, asked)
    if not asked.dry_run:
        _follow_up(store, scope, made)
    return made.view


def _made(tx: Tx, kept: Kept, asked: Viewing) -> _Made:
    agent, session = asked.agent_id, asked.session_id
    head = sessions.get(tx, agent, session, lock=False)
    stored = strategies.get(tx, agent, session)[0], strategies.get(tx, agent)[0]
    said: Mapping[str, Any] = {} if asked.strategy is None else asked.strategy
    strategy, sources = resolve(said, *stored)
    entry = kept.entry(tx.tenant, head)
    with entry.lock:
        course = entry.course(tx, head, strategy)
        ready = summaries.ready(tx, agent, session, strategy.recipe) if strategy.mode == "summarize" else []
        injection = inject.injection(tx, head, strategy, as_of=course.warm_since) if strategy.memory_injection else None
        told = None if injection is None else (injection.text, injection.result)
        key = (strategy.hash, asked.format, head.version, tuple(summary.id for summary in ready), told)
        view, plan = entry.views.get(key), None
        if view is None:
            plan = planned(course, ready)
            view, plan = _view(_Looked(tx, head, entry, course, asked.format), plan, ready, injection)
            if not asked.dry_run:
                entry.remember(key, view)
        ask = None if asked.dry_run else _wanted(entry, strategy, view)
        warnings = (*gave_way(said, *stored), *view.warnings)
        # The ETag stands for the whole answer, and so for more than the items.
        etag = digest(view.etag, canonical_json([sources, warnings, view.pending, view.injected]))
        return _Made(head, entry, replace(view, sources=sources, warnings=warnings, etag=etag), plan, ask)


@dataclass(frozen=True, slots=True)
class _Looked:
    """Of which session, up to where, in which wire."""

    tx: Tx
    head: Head
    entry: Entry
    course: Course
    format: Format


def _view(looked: _Looked, plan: Plan, ready: Sequence[Summary], injection: Injection | None) -> tuple[View, Plan]:
    head, strategy = looked.head, looked.course.strategy
    items = items_of(plan, looked.entry.read(looked.tx, head, [seq for seq, _ in plan.shown()]), strategy, injection)
    plan, written = agreed(plan, items), catalog.written(looked.format, items)
    shared, before = _shared(looked, ready, items)
    tokens = sum(item.tokens for item in items)
    view = View(
        agent_id=head.agent,
        session_id=head.session,
        version=head.version,
        format=looked.format,
        system=tuple(catalog.system_of(items)) if looked.format == "anthropic" else (),
        items=written,
        operations=plan.operations,
        tokens_before=plan.tokens_before,
        tokens_after=tokens,
        prefix_tokens_shared=shared,
        prefix_tokens_before=before,
        budget=plan.budget,
        over_budget=tokens > plan.budget,
        cut_seq=plan.cut_seq,
        cleared_seq=plan.cleared_seq,
        strategy=strategy,
        sources={},
        hash=strategy.hash,
        etag=digest(canonical_json(written), strategy.hash, str(head.version)),
        trigger=plan.trigger,
        pending=plan.wanted,
        injected=None if injection is None else injection.result,
        warnings=advice.warnings(strategy),
    )
    return view, plan


def _shared(looked: _Looked, ready: Sequence[Summary], items: Sequence[Item]) -> tuple[int, int]:
    """How many tokens the view has in common with the one before the newest user's turn, from the beginning on.

    And how many that one had. What other sessions settled is told in both alike.
    """
    outline = looked.course.outline
    before = outline.seqs[outline.turns[-1]] - 1 if outline.turns else 0
    shared, had = prefix(looked.course, before, ready) if before else (0, 0)
    memory = sum(item.tokens for item in items if item.about == MEMORY) if had else 0
    return shared + memory, had + memory


def _wanted(entry: Entry, strategy: Strategy, view: View) -> int | None:
    """The last turn of the summary that is to be asked for now."""
    if view.pending is None:
        return None
    last, at = entry.asked.get(strategy.recipe, (0, 0.0))
    if last == view.pending and time.monotonic() - at < ASK_AGAIN_S:
        return None
    entry.asked[strategy.recipe] = view.pending, time.monotonic()
    return view.pending


def _follow_up(store: Store, scope: Scope, made: _Made) -> None:
    """Moves that nobody told yet are told, once over all processes; a summary that is missing is asked for."""
    head, view = made.head, made.view
    moves: list[Move] = [] if made.plan is None else list(made.plan.moves)
    told = len(moves)
    if moves:
        with store.read(scope) as tx:
            told = views.told(tx, head.agent, head.session, view.hash)
    if told < len(moves) or made.ask is not None:
        with store.write(scope) as tx:
            if told < len(moves):
                last = moves[-1]
                state = {"moves": len(moves), "cut": last.cut, "cleared": last.cleared}
                told = views.tell(tx, head.agent, head.session, view.hash, **state)
            if made.ask is not None:
                summarize.ask(tx, head.agent, head.session, view.strategy, made.ask)
    if made.plan is not None:
        telling.tell_view(view, made.plan, told)
