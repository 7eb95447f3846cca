"""How well carryover finds and keeps what was said, on conversations with labelled evidence.

Every conversation takes the product's own path in a database that is thrown away: its sessions are logged one after
the other, consolidated by rules, indexed and embedded; then its questions are asked.
"""

from __future__ import annotations

import random
import tempfile
from array import array
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

from carryover.core.errors import NotFound
from carryover.core.ports import Embedder, Vector
from carryover.core.scope import DEFAULT, Scope
from carryover.core.session import Append, Turn
from carryover.core.text import digest, estimate_tokens
from carryover.engine import Engine, embedder_of
from carryover.evals import faithful, labelled
from carryover.evals.asking import CONTEXT_TOKENS, Memory, Told, ask, times
from carryover.evals.labelled import Conversation, Question
from carryover.evals.report import Kept, Report, Result
from carryover.log import read
from carryover.memory.rules import Rules
from carryover.recall.embed import Models
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import snapshots

SETS = {"locomo": labelled.locomo, "beam": labelled.beam, "longmemeval": labelled.longmemeval}
EXTRACTOR = Rules.id  # of the consolidation
NEW_SESSION = "a-session-that-is-new"
_DRAWS = 5  # of random turns


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: which sets, in which modes, how many questions of a conversation (None: all).

    With `memory` sessions are consolidated and contexts asked for; else turns are searched, and nothing more. Of
    `timed` questions of each conversation the time is taken too, with nothing remembered.
    """

    sets: tuple[str, ...] = tuple(SETS)
    modes: tuple[str, ...] = ("hybrid", "text")
    limit: int | None = None
    memory: bool = False
    timed: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What one conversation gave."""

    results: tuple[Result, ...]
    kept: tuple[Kept, ...] = ()
    times: tuple[tuple[str, float], ...] = ()


def run(folder: Path, *, embedder: Embedder | None, remembered: Path | None = None, plan: Plan | None = None) -> Report:
    """The report over the sets under `folder`, with the embedder and without it.

    With `remembered`, vectors are kept in that folder from run to run. Raises NotFound where no set is found.
    """
    plan = plan or Plan()
    if embedder is not None and remembered is not None:
        embedder = Remembering(embedder, remembered)
    return put_together(measure(name, conversation, embedder, plan) for name, conversation in found(folder, plan))


def parts(folder: Path, plan: Plan, embedder: Callable[[], Embedder | None], jobs: int) -> Generator[Part]:
    """What each conversation gives, measured in so many processes at a time; `embedder` opens one in each of them."""
    waiting = found(folder, plan)
    if jobs == 1:
        opened = embedder()
        yield from (measure(name, conversation, opened, plan) for name, conversation in waiting)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running: set[Future[Part]] = set()
        for name, conversation in waiting:
            running.add(pool.submit(_measured, name, conversation, embedder, plan))
            while len(running) > jobs:  # a few at a time: not all conversations are in memory together
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        yield from (one.result() for one in as_completed(running))


def _measured(name: str, conversation: Conversation, embedder: Callable[[], Embedder | None], plan: Plan) -> Part:
    return measure(name, conversation, embedder(), plan)


def found(folder: Path, plan: Plan) -> Generator[tuple[str, Conversation]]:
    """The conversations of each set, one at a time. Raises NotFound where there are none, Invalid for a bad file."""
    some = False
    for name in plan.sets:
        for conversation in SETS[name](folder / name):
            some = True
            yield name, conversation
    if not some:
        raise NotFound(
            f"there are no conversations under {str(folder)!r}; give a folder that holds {' or '.join(plan.sets)}"
        )


def put_together(parts: Iterable[Part]) -> Report:
    """The report over what all conversations gave."""
    results: list[Result] = []
    kept: list[Kept] = []
    taken: dict[str, list[float]] = {}
    for part in parts:
        results += part.results
        kept += part.kept
        for what, ms in part.times:
            taken.setdefault(what, []).append(ms)
    return Report(tuple(results), tuple(kept), taken)


def measure(dataset: str, conversation: Conversation, embedder: Embedder | None, plan: Plan) -> Part:
    """All questions of one conversation (or `limit` of them), in each mode that there is an embedder for."""
    questions = _some(conversation.questions, plan.limit)
    with _laid(conversation, embedder, plan) as carryover:
        sessions = {
            session: list(read.every(carryover.engine.store, carryover.scope, DEFAULT, session, len(drafts)))
            for session, drafts in conversation.sessions.items()
        }
        told = _told(carryover, sessions, plan)
        results: list[Result] = []
        taken: list[tuple[str, float]] = []
        contexts = [told.static]
        for mode in plan.modes:
            if mode == "hybrid" and embedder is None:
                continue
            memory = _asked_in(carryover, embedder if mode == "hybrid" else None)
            for question in questions:
                answered = ask(memory, question, told, contexts=plan.memory)
                about = (conversation.name, question.category, question.text)
                results.append(Result(dataset, mode, *about, answered.values, question.answer, answered.found))
                contexts.append(answered.markdown)
            bare = embedder.embedder if isinstance(embedder, Remembering) else embedder
            timed = _asked_in(carryover, bare if mode == "hybrid" else None)
            for what, ms in times(timed, questions[: plan.timed], contexts=plan.memory):
                taken.append((f"{what}, {dataset}, {mode}", ms))
        if not plan.memory:
            return Part(tuple(results), times=tuple(taken))
        kept = _kept(carryover, sessions, questions, contexts)
        return Part(tuple(results), (replace(kept, dataset=dataset, cluster=conversation.name),), tuple(taken))


@contextmanager
def _laid(conversation: Conversation, embedder: Embedder | None, plan: Plan) -> Generator[Carryover]:
    """A memory of its own that holds the conversation, consolidated where the plan says so, indexed and embedded."""
    with tempfile.TemporaryDirectory(prefix="carryover-eval-") as home:
        engine = Engine.open(Settings.model_validate({"home": home, "embedder": "none"}), embedder=embedder)
        engine = replace(engine, limits=replace(engine.limits, index_ms=0))
        with Carryover(engine, Scope(engine.settings.tenant)) as carryover:
            for session, drafts in conversation.sessions.items():
                carryover.append(Append(session, tuple(drafts)))
                if plan.memory:
                    carryover.consolidate(session)
            kinds = [kind for kind in ("index", "embed") if kind in engine.worker.derivations]
            engine.worker.drain(kinds, tenant=carryover.scope.tenant)
            yield carryover


def _asked_in(carryover: Carryover, embedder: Embedder | None) -> Memory:
    """The memory as a new session meets it, searched with this embedder or by words alone."""
    seen = Carryover(replace(carryover.engine, embedder=embedder, models=Models(embedder)), carryover.scope)
    return Memory(seen.search, lambda asked: seen.context(NEW_SESSION, max_tokens=CONTEXT_TOKENS, query=asked))


def _told(carryover: Carryover, sessions: Mapping[str, Sequence[Turn]], plan: Plan) -> Told:
    texts = {(session, turn.seq): turn.text for session, turns in sessions.items() for turn in turns}
    if not plan.memory:
        return Told(texts)
    static = carryover.context(NEW_SESSION, max_tokens=CONTEXT_TOKENS).markdown
    return Told(texts, static, by_chance(list(texts.values())))


def by_chance(texts: Sequence[str]) -> tuple[str, ...]:
    """Contexts that are filled with turns picked blindly: the floor under every figure about answers."""
    draw = random.Random(0)
    made: list[str] = []
    for _ in range(_DRAWS):
        left, picked = CONTEXT_TOKENS, list[str]()
        for text in draw.sample(texts, len(texts)):
            left -= estimate_tokens(text)
            if left < 0:
                break
            picked.append(text)
        made.append("\n".join(picked))
    return tuple(made)


def _kept(
    carryover: Carryover,
    sessions: Mapping[str, Sequence[Turn]],
    questions: Sequence[Question],
    contexts: Sequence[str],
) -> Kept:
    with carryover.engine.store.read(carryover.scope) as tx:
        newest = [snapshots.latest(tx, DEFAULT, session) for session in sessions]
    findings = [finding for snapshot in newest if snapshot for finding in snapshot.findings]
    gold = {place for question in questions for place in question.gold}
    asked = [turn for session, turns in sessions.items() for turn in turns if (session, turn.seq) in gold]
    return faithful.kept(sessions, findings, asked, contexts)


def _some(questions: Sequence[Question], limit: int | None) -> Sequence[Question]:
    """All questions, or `limit` of them: always the same ones, of every category."""
    if limit is None or limit >= len(questions):
        return questions
    return sorted(questions, key=lambda question: digest(question.text, question.category))[:limit]


def embedder_for(settings: Settings, remembered: Path | None) -> Embedder | None:
    """The embedder that the settings name; with `remembered`, its vectors are kept in that folder."""
    embedder = embedder_of(settings)
    return Remembering(embedder, remembered) if embedder is not None and remembered is not None else embedder


class Remembering:
    """An embedder that keeps its vectors in a file, so that a second run needs no model."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self.name, self.dim = embedder.name, embedder.dim
        self.embedder = embedder
        self._file = folder / f"{blake2b(embedder.name.encode(), digest_size=8).hexdigest()}.vectors"
        self._known: dict[bytes, Vector] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self._read(self._file.read_bytes())

    def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        keys = [blake2b(text.encode(), digest_size=16).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            made = dict(zip(new, self.embedder.embed(list(new.values())), strict=True))
            self._known |= {key: array("f", vector) for key, vector in made.items()}
            # In one piece: other processes may be adding theirs.
            with self._file.open("ab", buffering=0) as file:
                file.write(b"".join(key + array("f", vector).tobytes() for key, vector in made.items()))
        return [self._known[key] for key in keys]

    def close(self) -> None:
        self.embedder.close()

    def _read(self, data: bytes) -> None:
        step = 16 + 4 * self.dim
        for start in range(0, len(data) - step + 1, step):
            self._known[data[start : start + 16]] = array("f", data[start + 16 : start + step])
