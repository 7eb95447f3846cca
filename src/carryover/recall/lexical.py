"""Finding by words: which words of a query count, and BM25 over the chunks that hold any of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from carryover.core.chunk import Chunk
from carryover.recall.words import terms, words
from carryover.store import chunks, hashed
from carryover.store import wording as wordings
from carryover.store.dialect import Bounds
from carryover.store.hashed import Wording
from carryover.store.store import Tx

READ = 8_000  # characters of a query that are read
_ASKED, _KEPT = 200, 48  # terms that are looked up; those of them, the rarest, that are searched for
# Chunks that the index may have to score for one query: beyond it, the most frequent terms are left out.
_SCORED = 12_000
_K1, _B = 0.9, 0.4

# Words that ask, point or join, in any question: they say nothing about which chunk is meant.
_ASKING = """what when where which who whom whose why how did do does is are was were has have had can could will would
should shall may might must be been being am"""
_JOINING = """a an the and or but if then than so as of at by for from in into on onto to with about after before over
under up down out off again there here that this these those it its he him his she her hers they them their theirs i me
my mine we us our ours you your yours not no nor any some all each both more most other such only own same too very just
also s t d m ll ve re don didn doesn isn wasn"""
QUESTION = frozenset(_ASKING.split())
STOP = QUESTION | frozenset(_JOINING.split())


@dataclass(frozen=True, slots=True)
class Asked:
    """The terms of a query that count, with their weights (inverse document frequency), and its words as written."""

    weights: dict[str, float]
    words: tuple[str, ...]
    wording: Wording

    @property
    def tokens(self) -> dict[str, str]:
        """What stands for each of the terms in the terms of chunks, with the term."""
        return {self.wording.token(term): term for term in self.weights}


@dataclass(frozen=True, slots=True)
class Matches:
    """BM25 of the chunks that hold terms of the query, and of their sessions as wholes; `total` chunks there are."""

    total: int
    scores: dict[int, float]
    sessions: dict[tuple[str, str], float]
    chunks: dict[int, Chunk]


def ask(tx: Tx, text: str) -> Asked:
    """What of the query's text is looked for. Stop words count only where there is nothing else."""
    written = tuple(words(text[:READ]))
    content = terms(" ".join(word for word in written if word.lower() not in STOP)) or terms(" ".join(written))
    asked = list(dict.fromkeys(content))[:_ASKED]
    wording = wordings.of(tx)
    if wording.form == "none":
        return Asked(dict.fromkeys(asked[:_KEPT], 1.0), written, wording)
    known = _frequencies(tx, wording, asked, _SCORED + 1)
    if min(known.values(), default=0) > _SCORED:  # the rarest is searched for all the same
        known = _frequencies(tx, wording, asked)
    total = chunks.corpus(tx).chunks
    kept: dict[str, float] = {}
    scored = 0
    for term, df in sorted(known.items(), key=lambda item: (item[1], item[0]))[:_KEPT]:
        scored += df
        if scored > _SCORED and kept:
            break
        kept[term] = math.log(1 + (max(total, df) - df + 0.5) / (df + 0.5))
    return Asked(kept, written, wording)


def _frequencies(tx: Tx, wording: Wording, asked: Sequence[str], most: int | None = None) -> dict[str, int]:
    return {term: df for term, df in tx.dialect.frequency(tx.conn, wording, asked, most).items() if df}


def match(tx: Tx, asked: Asked, bounds: Bounds, k: int) -> Matches:
    """The best `k` chunks inside the bounds, scored with the tenant's own counts; none where no words are kept."""
    corpus = chunks.corpus(tx)
    if asked.wording.form == "none":
        return Matches(corpus.chunks, {}, {}, {})
    usual = max(corpus.terms, 1) / max(corpus.chunks, 1)
    best = tx.dialect.matching(tx.conn, asked.wording, asked.weights, usual, bounds, k)
    found = chunks.by_n(tx, [n for n, _ in best])
    scores: dict[int, float] = {}
    held: dict[tuple[str, str], dict[str, int]] = {}
    tokens = asked.tokens
    for n, chunk in found.items():
        said = hashed.tokens(chunk.terms)
        counts = Counter(tokens[token] for token in said if token in tokens)
        length = _K1 * (1 - _B + _B * len(said) / usual)
        scores[n] = sum(asked.weights[term] * tf * (_K1 + 1) / (tf + length) for term, tf in counts.items())
        of_session = held.setdefault((chunk.agent_id, chunk.session_id), {})
        for term in counts:
            of_session[term] = of_session.get(term, 0) + 1
    sessions = {
        key: sum(asked.weights[term] * tf * (_K1 + 1) / (tf + _K1) for term, tf in counts.items())
        for key, counts in held.items()
    }
    return Matches(corpus.chunks, scores, sessions, found)
