"""Summaries as a job: what a view asked for is made in the background, from the summary before it and the turns since.

A session has one job however many summaries are wanted of it; the rows of `summaries` say which. A model that fails is
asked three times, then the summary is given up until more turns are to be summarised. Nothing else ever takes its
place: a view shows turns, or leaves them out, but no raw text is passed off as a summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from carryover.core import telemetry
from carryover.core.errors import ProviderError, ProviderUnavailable
from carryover.core.job import Job, subject_of
from carryover.core.portions import portions
from carryover.core.ports import LLM, Extractor
from carryover.core.session import Turn
from carryover.core.strategy import Strategy, Summary
from carryover.core.text import canonical_json, count_tokens, estimate_tokens
from carryover.core.usage import Usage
from carryover.guard import ours
from carryover.jobs.derivation import Derivation
from carryover.store import events, queue, sessions, summaries, turns
from carryover.store.sessions import Head
from carryover.store.store import Tx
from carryover.store.summaries import Wanted
from carryover.strategies import extractive, prompts
from carryover.strategies.guarded import guarded
from carryover.strategies.sections import rendered

KIND = "summarize"
RULES = "rules"
ATTEMPTS = 3
MOST_WAITING = 8  # summaries of a session: whoever may read can ask for any number of them
PATIENCE_S = (30, 300)  # before the second and the third call of a provider that does not answer
PAGE_TURNS = 200
LEAST_TOKENS = 32  # a summary that may not be longer is not worth making
CHUNK_TOKENS = 64_000  # of turns in one call: more fits into many windows, but models then pass over more
LEAST_ROOM = 500
SLACK_TOKENS = 1_500  # what a provider wraps around a prompt and a schema, and a second try says more
_KINDS = ("message", "tool_call", "tool_result")

OpenModel = Callable[[str], LLM]


@dataclass(frozen=True, slots=True)
class Makers:
    """Who makes summaries: an extractor, or the model of this name unless a strategy names another one."""

    extractor: Extractor
    model: str
    open: OpenModel

    def llm(self, strategy: Strategy) -> LLM | None:
        """The model that the strategy wants; None for the extractor. Raises ProviderError where it cannot be had."""
        name = strategy.summarizer_model or self.model
        return None if name == RULES else self.open(name)


@dataclass(frozen=True, slots=True)
class Work:
    """A wanted summary with what it is made of: `turns` follow the `base`, without those that were taken back.

    With a `reason` there is nothing to think: it was tried often enough.
    """

    head: Head
    wanted: Wanted
    turns: tuple[Turn, ...]
    base: Summary | None
    attempt: int
    reason: str | None = None

    @property
    def tokens(self) -> int:
        return sum(turn.tokens for turn in self.turns)

    @property
    def limit(self) -> int:
        """Tokens that the text may have: never more than half of what it stands for, so that it saves its own size."""
        most = self.wanted.strategy.summary_max_tokens
        return most if self.base is not None else min(most, self.tokens // 2)

    @property
    def is_worth_it(self) -> bool:
        return bool(self.turns) and self.limit >= LEAST_TOKENS


def asked(tx: Tx, agent: str, session: str, strategy: Strategy, last: int) -> bool:
    """Whether the summary is there, is being made, or was given up: then there is nothing to ask for."""
    return summaries.status(tx, agent, session, strategy.recipe, last) is not None


def ask(tx: Tx, agent: str, session: str, strategy: Strategy, last: int) -> None:
    """A summary of the turns up to `last` will be made, unless it was asked for before or `MOST_WAITING` wait."""
    if asked(tx, agent, session, strategy, last):
        return
    head = sessions.find(tx, [(agent, session)]).get((agent, session))
    if head is not None and 1 <= last <= head.version:
        # One that is backing off goes on doing so: it comes before this one.
        queue.arm(tx, [(KIND, subject_of(agent, session), tx.now)], push=False)
        if summaries.waiting(tx, agent, session) < MOST_WAITING:
            summaries.want(tx, head, strategy, last)


def summarizing(makers: Makers) -> Derivation[Work, Summary | None]:
    """The job that makes what views asked for, one summary a run."""
    return Derivation(
        kind=KIND, load=_load, think=partial(_think, makers), save=_save, estimate=partial(_estimate, makers)
    )


def _load(tx: Tx, job: Job) -> Work | None:
    wanted = summaries.wanted(tx, job.agent_id, job.session_id)
    head = sessions.find(tx, [(job.agent_id, job.session_id)]).get((job.agent_id, job.session_id))
    if wanted is None or head is None:
        return None
    if job.attempt > ATTEMPTS:
        reason = job.reason or "the process ended whenever it was made"
        return Work(head, wanted, (), None, job.attempt, reason)
    known = summaries.ready(tx, head.agent, head.session, wanted.recipe)
    base = next((one for one in reversed(known) if one.last < wanted.last), None)
    if base is not None and base.depth >= wanted.strategy.summary_rebase_every:
        base = None
    return Work(head, wanted, tuple(_live(tx, head, base.last if base else 0, wanted.last)), base, job.attempt)


def _live(tx: Tx, head: Head, after: int, last: int) -> Iterator[Turn]:
    """What was said and done in the turns after this one, without what was taken back since."""
    sketches = turns.sketches(tx, head.agent, head.session, after + 1, head.version)
    gone = [sketch.retracts for sketch in sketches if sketch.retracts is not None]
    while after < last:
        for turn in turns.between(tx, head.agent, head.session, after + 1, min(after + PAGE_TURNS, last)):
            is_gone = any(first <= turn.seq <= end for first, end in gone)
            if turn.kind in _KINDS and not is_gone and not turn.is_injected:
                yield from ours.said([turn])
        after += PAGE_TURNS


def _estimate(makers: Makers, work: Work) -> Usage:
    """An upper bound on tokens and money: every call with its longest prompt and answer, retries included."""
    llm = makers.llm(work.wanted.strategy) if work.reason is None and work.is_worth_it else None
    if llm is None:
        return Usage()
    room = _room(llm, work.limit)
    total = Usage(llm.name)
    for chunk in portions(work.turns, prompts.shown, prompts.piece, room):
        tokens_in = sum(map(count_tokens, chunk)) + _fixed() + _so_far(work.limit)
        one = llm.price(Usage(llm.name, 1, tokens_in, _answer(llm, work.limit), cache_write=tokens_in))
        for _ in range(llm.calls_per_complete):
            total = total.plus(one)
    return total


def _think(makers: Makers, work: Work) -> tuple[Summary | None, Usage]:
    if work.reason is not None or not work.is_worth_it:
        return None, Usage()
    with telemetry.span("summarize", turns=len(work.turns), attempt=work.attempt) as told:
        llm = makers.llm(work.wanted.strategy)
        told["by"] = RULES if llm is None else llm.name
        text, usage = _by_rules(makers.extractor, work) if llm is None else _by_model(llm, work)
    base, made_by = work.base, RULES if llm is None else llm.name
    made = Summary(
        id="",
        agent_id=work.head.agent,
        session_id=work.head.session,
        last=work.wanted.last,
        recipe=work.wanted.recipe,
        text=text,
        tokens=estimate_tokens(text),
        by=made_by,
        created_at=0,
        user_id=work.head.user,
        base=base.id if base else None,
        depth=base.depth + 1 if base else 0,
    )
    saved = max(work.tokens - (made.tokens - (base.tokens if base else 0)), 0)
    return made if text else None, replace(usage, turns_covered=len(work.turns), tokens_saved=saved if text else 0)


def _by_rules(extractor: Extractor, work: Work) -> tuple[str, Usage]:
    chars = work.wanted.strategy.summary_max_chars
    lines = extractive.sections_of(
        extractor, work.turns, work.base.text if work.base else "", min(chars, 4 * work.limit)
    )
    return rendered(lines, tokens=work.limit, chars=chars), Usage()


def _by_model(llm: LLM, work: Work) -> tuple[str, Usage]:
    """What the model makes of the turns, in as many calls as its window takes, each going on from the one before.

    Raises ProviderError, ProviderUnavailable with the usage of all calls made until then.
    """
    text, usage = work.base.text if work.base else "", Usage(llm.name)
    words = work.limit * 3 // 5
    for chunk in portions(work.turns, prompts.shown, prompts.piece, _room(llm, work.limit)):
        prompt = prompts.asked(text, chunk, words)
        try:
            reply = llm.complete(
                system=prompts.HEAD, prompt=prompt, schema=prompts.SCHEMA, max_tokens=_answer(llm, work.limit)
            )
        except ProviderError as failure:
            failure.facts["usage"] = usage.plus(failure.facts.get("usage") or Usage())
            if isinstance(failure, ProviderUnavailable) and work.attempt <= len(PATIENCE_S):
                failure.facts.setdefault("retry_after", PATIENCE_S[work.attempt - 1])
            raise
        usage = usage.plus(reply.usage)
        lines = guarded(prompts.read(reply.data), work.turns, text) if reply.data is not None else {}
        text = rendered(lines, tokens=work.limit, chars=work.wanted.strategy.summary_max_chars)
        if not text:
            raise ProviderError(f"{llm.name} summarised nothing; choose another summarizer_model", usage=usage)
    return text, usage


def _save(tx: Tx, job: Job, work: Work, made: Summary | None) -> None:
    # Erasing a session takes its jobs too: then the lease was lost before this, and nothing is saved.
    head, wanted = work.head, work.wanted
    key = (head.agent, head.session, wanted.recipe, wanted.last)
    detail: dict[str, object] = {"last": wanted.last}
    if made is not None:
        made = summaries.put(tx, made, version=head.version, attempts=work.attempt)
        detail |= {"outcome": "ready", "id": made.id, "tokens": made.tokens, "by": made.by}
    elif work.reason is not None:
        summaries.fail(tx, *key, version=head.version, attempts=ATTEMPTS)
        detail |= {"outcome": "failed", "reason": work.reason}
    else:
        summaries.skip(tx, *key, version=head.version)
        detail["outcome"] = "skipped"
    if summaries.wanted(tx, head.agent, head.session) is not None:
        queue.arm(tx, [(KIND, job.subject, tx.now)], push=False)
    events.add(tx, [(KIND, head.agent, head.session, head.user, detail)])
    if detail["outcome"] != "skipped":
        telemetry.count("memory_summaries", outcome=detail["outcome"])


def _answer(llm: LLM, limit: int) -> int:
    """Tokens that one answer may have: models count words badly, and JSON takes some too."""
    return min(2 * limit + 500, llm.window // 4)


def _so_far(limit: int) -> int:
    """The most that the summary so far costs in a prompt, whatever script it is written in."""
    return 4 * limit


def _fixed() -> int:
    """Tokens of a prompt beside its turns and the summary so far."""
    schema = canonical_json(prompts.SCHEMA)
    return sum(map(count_tokens, (prompts.HEAD, schema, prompts.asked("", (), 0)))) + SLACK_TOKENS


def _room(llm: LLM, limit: int) -> int:
    """Tokens of turns that one call holds. Raises ProviderError where the window is too small."""
    left = llm.window - _answer(llm, limit) - _so_far(limit) - _fixed()
    if left < LEAST_ROOM:
        raise ProviderError(
            f"{llm.name} holds only {llm.window} tokens; choose a model with a larger window, or a smaller "
            "summary_max_tokens"
        )
    return min(left, CHUNK_TOKENS)
