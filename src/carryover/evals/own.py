"""How well carryover finds and keeps what was said in your own log, which is only read.

Questions are made from turns, by rules or by a model, each with one answer that stands in its turn. They are asked as
a new session of the same agent and user would ask.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from carryover.core.chunk import Hits, Query
from carryover.core.context import Context, Wanted
from carryover.core.paging import PAGE
from carryover.core.ports import LLM, Embedder
from carryover.core.scope import Scope
from carryover.core.session import Session, Turn
from carryover.core.snapshot import Finding, Snapshot
from carryover.core.text import digest
from carryover.core.usage import Usage
from carryover.evals import faithful
from carryover.evals.asking import CONTEXT_TOKENS, Memory, Told, ask, times
from carryover.evals.labelled import Place, Question
from carryover.evals.recall import NEW_SESSION, Part, by_chance, put_together
from carryover.evals.report import Kept, Report, Result
from carryover.log import read
from carryover.memory.questions import Probe, asked_by, probes_of
from carryover.recall import context, embed, search
from carryover.recall.embed import Models
from carryover.store import queue, snapshots, turns
from carryover.store.store import Store

DATASET = "your log"
QUESTIONS = 200
TURNS = 5_000  # read at most, in whole sessions
FEW = 30  # questions: fewer say little
NEAR = 2  # turns before and after, in which the answer counts as well where they hold it
_BY_MODEL = 5  # questions of one session
_BEHIND = 1_000  # sessions that wait to be indexed, counted at most


@dataclass(frozen=True, slots=True)
class Plan:
    """How many questions, which ones (`seed`), in which modes, and of how many of them the time is taken."""

    most: int = QUESTIONS
    seed: int = 0
    modes: tuple[str, ...] = ("hybrid", "text")
    timed: int = 50


@dataclass(frozen=True, slots=True)
class Sampled:
    """A session with its turns and its newest snapshot."""

    session: Session
    turns: Sequence[Turn]
    snapshot: Snapshot | None

    @property
    def where(self) -> tuple[str, str]:
        return self.session.agent_id, self.session.session_id


def run(store: Store, scope: Scope, *, models: Models, plan: Plan, llm: LLM | None = None) -> Report:
    """The report over a sample of the log. With `llm`, the model asks, and is shown the turns; else nothing leaves.

    Raises Forbidden without the right to read, ProviderError where the model fails.
    """
    with store.read(scope) as tx:
        embedder = embed.answering(tx, models)
    sample = list(_sample(store, scope, plan.seed))
    asked, usage = _questions(sample, plan, llm)
    parts = [_part(store, scope, one, asked.get(one.where, ()), embedder, plan) for one in sample]
    report = put_together(parts)
    notes = list(_notes(store, scope, sample, sum(map(len, asked.values())), embedder))
    about = {"sessions": f"{len(sample):,}", "turns": f"{sum(len(one.turns) for one in sample):,}", "asked by": "rules"}
    if llm is not None:
        about["asked by"] = f"{llm.name}, which read {usage.tokens_in:,} tokens and wrote {usage.tokens_out:,}"
    return replace(report, about=about, notes=tuple(notes))


def _sample(store: Store, scope: Scope, seed: int) -> Generator[Sampled]:
    """Whole sessions in an order that the seed decides, until enough turns are read."""
    heads = sorted(_heads(store, scope), key=lambda head: digest(str(seed), head.agent_id, head.session_id))
    left = TURNS
    for head in heads:
        if left <= 0:
            break
        through = min(head.version, left)
        said = list(read.every(store, scope, head.agent_id, head.session_id, through))
        left -= len(said)
        with store.read(scope) as tx:
            newest = snapshots.latest(tx, head.agent_id, head.session_id)
        yield Sampled(head, said, newest)


def _heads(store: Store, scope: Scope) -> Iterator[Session]:
    cursor: str | None = None
    while True:
        page, cursor = read.listed(store, scope, None, limit=PAGE, cursor=cursor)
        yield from page
        if cursor is None:
            return


def _questions(
    sample: Sequence[Sampled], plan: Plan, llm: LLM | None
) -> tuple[dict[tuple[str, str], list[Probe]], Usage]:
    usage, made = Usage(), list[Probe]()
    if llm is None:
        made = probes_of({one.where: one.turns for one in sample}, most=plan.most, seed=plan.seed)
    for one in sample if llm is not None else ():
        if llm is not None and len(made) < plan.most:
            most = min(_BY_MODEL, plan.most - len(made))
            probes, used = asked_by(llm, one.turns, most=most, agent_id=one.where[0], session_id=one.where[1])
            made += probes
            usage = usage.plus(used)
    asked: dict[tuple[str, str], list[Probe]] = {}
    for probe in made:
        asked.setdefault((probe.agent_id, probe.session_id), []).append(probe)
    return asked, usage


def _part(
    store: Store, scope: Scope, one: Sampled, probes: Sequence[Probe], embedder: Embedder | None, plan: Plan
) -> Part:
    """The questions about one session, and what was kept of it."""
    results: list[Result] = []
    taken: list[tuple[str, float]] = []
    told: list[Context] = []
    texts = {(one.session.session_id, turn.seq): turn.text for turn in one.turns}
    memories = {mode: _memory(store, scope, one.session, embedder if mode == "hybrid" else None) for mode in plan.modes}
    if embedder is None:
        memories.pop("hybrid", None)
    static = next(iter(memories.values())).context(None) if probes and memories else None
    by_luck = by_chance(list(texts.values())) if probes else ()
    for mode, memory in memories.items():
        told += [static] if static else []
        heard = Memory(memory.search, _overheard(memory, told))
        for probe in probes:
            question, alike = _question(probe, texts)
            known = Told(texts, static.markdown if static else "", by_luck, alike)
            answered = ask(heard, question, known, contexts=True)
            cluster = f"{one.session.agent_id}/{one.session.session_id}"
            about = (cluster, probe.kind, probe.text, answered.values, probe.answer, answered.found)
            results.append(Result(DATASET, mode, *about))
        some = [_question(probe, texts)[0] for probe in probes[: 1 + plan.timed * len(probes) // max(plan.most, 1)]]
        taken += [(f"{what}, {mode}", ms) for what, ms in times(memory, some, contexts=True)]
    return Part(tuple(results), (_kept(store, scope, one, probes, told),), tuple(taken))


def _memory(store: Store, scope: Scope, session: Session, embedder: Embedder | None) -> Memory:
    """Search and context as a new session of the same agent and user meets them; no job is helped along, unlike there.

    That keeps the log untouched: what waits to be indexed is not found here.
    """
    agent, user = session.agent_id, session.user_id

    def searched(query: Query) -> Hits:
        return search.search(store, scope, replace(query, agent_id=agent, user_id=user), embedder=embedder)

    def told(asked: str | None) -> Context:
        wanted = Wanted(NEW_SESSION, agent, user, "agent", CONTEXT_TOKENS, asked)
        return context.context(store, scope, wanted, search=searched)

    return Memory(searched, told)


def _overheard(memory: Memory, told: list[Context]):
    def context_of(asked: str | None) -> Context:
        made = memory.context(asked)
        told.append(made)
        return made

    return context_of


def _question(probe: Probe, texts: Mapping[Place, str]) -> tuple[Question, dict[Place, Place]]:
    """The probe as a question, and the turns around its own that hold the answer too."""
    place = (probe.session_id, probe.seq)
    near = ((probe.session_id, probe.seq + away) for away in range(-NEAR, NEAR + 1) if away)
    alike = {other: place for other in near if probe.answer.lower() in texts.get(other, "").lower()}
    sessions = frozenset({probe.session_id})
    return Question(probe.text, probe.kind, frozenset({place}), probe.answer, sessions), alike


def _kept(store: Store, scope: Scope, one: Sampled, probes: Sequence[Probe], told: Sequence[Context]) -> Kept:
    findings = one.snapshot.findings if one.snapshot else ()
    covered = [turn for turn in one.turns if one.snapshot and turn.seq <= one.snapshot.through]
    seqs = {probe.seq for probe in probes}
    said = {f.id: f for f in (*findings, *(finding for context in told for finding in context.findings))}

    def cited(finding: Finding) -> Sequence[Turn]:
        agent = finding.agent_id or one.session.agent_id
        with store.read(scope) as tx:
            return [t for s in finding.sources for t in turns.between(tx, agent, s.session_id, s.first, s.last)]

    return Kept(
        DATASET,
        f"{one.session.agent_id}/{one.session.session_id}",
        survived=faithful.survival(faithful.details(covered), findings),
        asked=faithful.survival(faithful.details(turn for turn in covered if turn.seq in seqs), findings),
        statements=len(said),
        contexts=len(told),
        unsupported=tuple(faithful.unsupported(said.values(), cited)),
    )


def _notes(
    store: Store, scope: Scope, sample: Sequence[Sampled], asked: int, embedder: Embedder | None
) -> Iterator[str]:
    said = sum(len(one.turns) for one in sample)
    if not asked:
        yield f"There is too little in the log to ask about: {said:,} turns gave no question. Log more, and ask again."
    elif asked < FEW:
        yield f"Only {asked} questions could be made of {said:,} turns: read the figures as examples, not as measures."
    without = sum(1 for one in sample if one.snapshot is None)
    if without:
        yield f"{without:,} of {len(sample):,} sessions have no snapshot yet; `carryover consolidate` makes one."
    with store.read(scope) as tx:
        behind = len(queue.subjects(tx, "index", limit=_BEHIND))
        unembedded = embedder is not None and bool(queue.subjects(tx, "embed", limit=1))
    if behind:
        yield f"{behind:,} sessions wait to be indexed, and are not found yet; `carryover worker` sees to it."
    if unembedded:
        yield "Some turns have no vector yet, and are found by words alone."
