"""How well search finds the turns that hold the answer."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from carryover.core.chunk import Hit, Query
from carryover.core.errors import NotFound
from carryover.core.ports import Embedder, Vector
from carryover.core.scope import Scope
from carryover.core.session import Append
from carryover.core.text import estimate_tokens
from carryover.core.usage import Cap
from carryover.evals import labelled, metrics
from carryover.evals.labelled import Conversation, Place, Question
from carryover.jobs.worker import Derivations, Worker
from carryover.log.append import Limits, append, open_log
from carryover.recall import index
from carryover.recall.search import search
from carryover.store.store import Store

SETS = {"locomo": labelled.locomo, "beam": labelled.beam}
MEASURES = ("R@5", "R@10", "R@20", "nDCG@10", "B500", "B1000", "B2000")
_ASKED = 100  # hits: enough to fill the largest budget
_LIMITS = Limits(index_ms=0)


@dataclass(frozen=True, slots=True)
class Result:
    """The measures of one question in one mode, in the order of MEASURES."""

    dataset: str
    mode: str
    question: Question
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all questions."""

    results: tuple[Result, ...]

    def of(self, dataset: str, mode: str, category: str | None = None) -> dict[str, float]:
        """The mean of each measure, and `n`, the number of questions."""
        chosen = [
            result.values
            for result in self.results
            if (result.dataset, result.mode) == (dataset, mode) and category in (None, result.question.category)
        ]
        means = {name: metrics.mean([values[i] for values in chosen]) for i, name in enumerate(MEASURES)}
        return {"n": len(chosen), **means}

    def markdown(self) -> str:
        """One table for each set of conversations: a row for all questions, and one for each category."""
        lines: list[str] = []
        for dataset in dict.fromkeys(result.dataset for result in self.results):
            lines += [
                f"## {dataset}",
                "",
                "| mode | category | n | " + " | ".join(MEASURES) + " |",
                "|" + "---|" * (3 + len(MEASURES)),
            ]
            for mode in dict.fromkeys(result.mode for result in self.results):
                categories = sorted({r.question.category for r in self.results if r.dataset == dataset})
                lines += [self._line(dataset, mode, category) for category in (None, *categories)]
            lines.append("")
        return "\n".join(lines)

    def _line(self, dataset: str, mode: str, category: str | None) -> str:
        means = self.of(dataset, mode, category)
        cells = [f"{100 * means[name]:.1f}" for name in MEASURES]
        return f"| {mode} | {category or 'all'} | {means['n']} | " + " | ".join(cells) + " |"


def run(folder: Path, *, embedder: Embedder | None, remembered: Path | None = None) -> Report:
    """The report over the sets under `folder` (`locomo`, `beam`), with the embedder and without it.

    With `remembered`, vectors are kept in that folder from run to run. Raises NotFound where no set is found.
    """
    if embedder is not None and remembered is not None:
        embedder = Remembering(embedder, remembered)
    results: list[Result] = []
    for dataset, read in SETS.items():
        for conversation in read(folder / dataset):
            results += answers(dataset, conversation, embedder)
    if not results:
        raise NotFound(
            f"there are no conversations under {str(folder)!r}; give a folder that holds {' or '.join(SETS)}"
        )
    return Report(tuple(results))


def logged(store: Store, scope: Scope, conversation: Conversation, embedder: Embedder | None) -> None:
    """The conversation is in the store, indexed and embedded."""
    log = open_log(store, _LIMITS)
    for session, drafts in conversation.sessions.items():
        append(log, scope, Append(session, tuple(drafts)), _LIMITS)
    derivations: Derivations = {index.INDEX: index.indexing(None if embedder is None else embedder.name)}
    if embedder is not None:
        derivations = {**derivations, index.EMBED: index.embedding(embedder)}
    Worker(store, derivations, lambda _tenant: Cap()).drain(tuple(derivations), tenant=scope.tenant)


def answers(dataset: str, conversation: Conversation, embedder: Embedder | None) -> Iterator[Result]:
    """All questions of one conversation, asked with the embedder and without it."""
    scope = Scope(conversation.name)
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/eval.db") as store:
        logged(store, scope, conversation, embedder)
        for question in conversation.questions:
            for used in (None,) if embedder is None else (embedder, None):
                hits = search(store, scope, Query(question.text, k=_ASKED), embedder=used)
                yield Result(dataset, hits.mode, question, measured(hits.results, question.gold))


def measured(hits: Sequence[Hit], gold: frozenset[Place]) -> tuple[float, ...]:
    """The measures of one answer."""
    cited = [_cited(hit) for hit in hits]
    ranked = [place for places in cited for place in places]
    sized = [(estimate_tokens(hit.text), places) for hit, places in zip(hits, cited, strict=True)]
    return (
        *(metrics.recall(ranked, gold, k) for k in (5, 10, 20)),
        metrics.ndcg(ranked, gold, 10),
        *(metrics.inside(sized, gold, budget) for budget in (500, 1000, 2000)),
    )


def _cited(hit: Hit) -> list[Place]:
    return [(source.session_id, seq) for source in hit.sources for seq in range(source.first, source.last + 1)]


class Remembering:
    """An embedder that keeps its vectors in a file, so that a second run needs no model."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self.name, self.dim = embedder.name, embedder.dim
        self._embedder = embedder
        self._file = folder / f"{blake2b(embedder.name.encode(), digest_size=8).hexdigest()}.vectors"
        self._known: dict[bytes, Vector] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self._read(self._file.read_bytes())

    def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        keys = [blake2b(text.encode(), digest_size=16).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            made = dict(zip(new, self._embedder.embed(list(new.values())), strict=True))
            self._known |= made
            with self._file.open("ab") as file:
                file.writelines(key + array("f", vector).tobytes() for key, vector in made.items())
        return [self._known[key] for key in keys]

    def close(self) -> None:
        self._embedder.close()

    def _read(self, data: bytes) -> None:
        step = 16 + 4 * self.dim
        for start in range(0, len(data) - step + 1, step):
            self._known[data[start : start + 16]] = array("f", data[start + 16 : start + step])
