"""Search: a query in, turns and findings out, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from carryover.core import telemetry
from carryover.core.chunk import CHUNK_KINDS, Chunk, Hit, Hits, Mode, Query
from carryover.core.errors import Invalid, NotFound
from carryover.core.ports import Embedder, Vector
from carryover.core.scope import Scope
from carryover.core.session import Source
from carryover.core.snapshot import Finding
from carryover.core.voice import Voice
from carryover.guard.inert import inert
from carryover.guard.redact import longest_clean
from carryover.recall import dense, fuse, lexical, when
from carryover.recall.fuse import WEIGHTS, Arm, Clues, Ranked, Scale, Weights
from carryover.recall.index import cut, terms_of
from carryover.recall.lexical import Asked, Matches
from carryover.recall.words import terms
from carryover.store import chunks, cited, digests, snapshots, vectors, verdicts
from carryover.store.dialect import Bounds
from carryover.store.near import Nearest
from carryover.store.store import Store, Tx

MOST = 200  # hits of one answer; no more than an arm's candidates
CANDIDATES = 200  # of each arm
SEEDS = 100  # the best of them are ranked, with their neighbours; as many as are asked for, where that is more
OF_USERS = 60  # of these at most: more of them find nothing more, and what agents say takes its places beside them
# The scale of BM25 is taken over as many chunks as this at most; else it would grow with the tenant.
_BACKGROUND = 1_000
_QUOTE = 240  # characters


@dataclass(frozen=True, slots=True)
class _Meant:
    """The query's meaning, in the space where it can be compared."""

    space: str
    vector: Vector


def search(store: Store, scope: Scope, query: Query, *, embedder: Embedder | None, weights: Weights = WEIGHTS) -> Hits:
    """What fits the query best inside the scope, at most `query.k` hits; `mode` says whether vectors had a part.

    Raises Forbidden without the right to read, Invalid for a `k` or a kind that there is not.
    """
    scope.require("read")
    bounds = _bounds(scope, query)
    if bounds is None:
        return Hits((), "text")
    with telemetry.span("search", stage="words"), store.read(scope) as tx:
        asked = lexical.ask(tx, query.text)
        matches = lexical.match(tx, asked, bounds, CANDIDATES)
    if not asked.words:
        return Hits((), "text")
    names = _names(matches)
    meant = _meant(embedder, asked, names)  # no transaction is open while the model works
    with store.read(scope) as tx:
        near = None if meant is None else _near(tx, meant, bounds)
        with telemetry.span("search", stage="fuse"):
            arms = [_by_words(matches, near)] + ([] if near is None else [_by_meaning(near, near.top)])
            seeds = _seeds(arms)[: max(SEEDS, query.k)]
            pool = _pool(tx, seeds, bounds, matches.chunks, max(OF_USERS, query.k))
            if near is not None and meant is not None:
                missing = [chunk.n for chunk in pool if chunk.n not in near.top]
                arms[1] = _by_meaning(near, near.top | vectors.scores(tx, meant.space, meant.vector, missing))
            ranked = fuse.fuse(pool, arms, _clues(query.text, asked, names), weights)
            hits = Hits(tuple(_hits(tx, ranked, asked, query)), _mode(asked, near))
    telemetry.count("searches", mode=hits.mode)
    return hits


def _mode(asked: Asked, near: Nearest | None) -> Mode:
    if asked.wording.form == "none":
        return "vectors"
    return "text" if near is None else "hybrid"


def _bounds(scope: Scope, query: Query) -> Bounds | None:
    """What the query and the scope admit together; None where that is nothing."""
    if not 1 <= query.k <= MOST:
        raise Invalid(f"k {query.k} is out of range; use 1 to {MOST}", field="k")
    strange = [kind for kind in query.kinds or () if kind not in CHUNK_KINDS]
    if strange:
        raise Invalid(f"kind {strange[0]!r} does not exist; use {', '.join(CHUNK_KINDS)}", field="kinds")
    for asked, own in ((query.agent_id, scope.agent), (query.user_id, scope.user)):
        if asked is not None and own is not None and asked != own:
            return None
    ends = [end for end in (query.until, None if query.as_of is None else query.as_of + 1) if end is not None]
    return Bounds(
        agent=scope.agent or query.agent_id,
        user=scope.user or query.user_id,
        session=query.session_id,
        kinds=query.kinds or None,
        since=query.since,
        before=min(ends, default=None),
    )


def _names(matches: Matches) -> dict[str, set[str]]:
    """The words of the names of those who speak where the query's words are, and whose names they are."""
    names: dict[str, set[str]] = {}
    for name in {chunk.name for chunk in matches.chunks.values() if chunk.role in ("user", "assistant")} - {None}:
        for word in (name or "").lower().split():
            names.setdefault(word, set()).add(name or "")
    return names


def _meant(embedder: Embedder | None, asked: Asked, names: dict[str, set[str]]) -> _Meant | None:
    if embedder is None:
        return None
    with telemetry.span("search", stage="embed"):
        vector = dense.embedded(embedder, dense.stripped(asked.words, names.keys()))
    return None if vector is None else _Meant(embedder.name, vector)


def _near(tx: Tx, meant: _Meant, bounds: Bounds) -> Nearest | None:
    with telemetry.span("search", stage="vectors"):
        return vectors.nearest(tx, meant.space, meant.vector, bounds, CANDIDATES)


def _clues(text: str, asked: Asked, names: dict[str, set[str]]) -> Clues:
    of_names = {term for name in names for term in terms(name)}
    about = {term: weight for term, weight in asked.weights.items() if term not in of_names}
    tokens = {term: token for token, term in asked.tokens.items()}
    return Clues(_speaker(names, asked), about or asked.weights, when.periods(text[: lexical.READ]), tokens)


def _speaker(names: dict[str, set[str]], asked: Asked) -> str | None:
    """The one speaker whom the query names; None when it names nobody, or several."""
    said = {word.lower() for word in asked.words}
    named = {name for word, of in names.items() if word in said for name in of}
    return named.pop() if len(named) == 1 else None


def _by_words(matches: Matches, near: Nearest | None) -> Arm:
    scores, sessions = list(matches.scores.values()), list(matches.sessions.values())
    total = matches.total if near is None else near.admitted
    return Arm(
        scores=matches.scores,
        sessions=matches.sessions,
        scale=fuse.scale(scores, min(total, _BACKGROUND)),
        session_scale=fuse.scale(sessions, 0 if near is None else near.among.sessions),
        absent=0.0,
    )


def _by_meaning(near: Nearest, scores: dict[int, float]) -> Arm:
    return Arm(scores, near.sessions, Scale(near.mean, near.std), Scale(near.among.mean, near.among.std))


def _seeds(arms: Sequence[Arm]) -> list[int]:
    """The candidates of all arms, best first by their own scores."""
    own = {n: sum(arm.of(n) for arm in arms) for arm in arms for n in arm.scores}
    return sorted(own, key=lambda n: (-own[n], -n))


def _pool(tx: Tx, seeds: Sequence[int], bounds: Bounds, known: Mapping[int, Chunk], of_users: int) -> list[Chunk]:
    """The seeds, so many of users at most, and the turns around them that the bounds admit."""
    read = chunks.by_n(tx, [n for n in seeds if n not in known])
    found = {n: known.get(n) or read[n] for n in seeds if n in known or n in read}
    for n in [n for n, chunk in found.items() if chunk.role == "user"][of_users:]:
        del found[n]
    if bounds.kinds is None or "turn" in bounds.kinds:
        near = chunks.around(tx, list(found), fuse.REACH)
        found = {chunk.n: chunk for chunk in near if _inside(chunk, bounds)} | found
    return list(found.values())


def _inside(chunk: Chunk, bounds: Bounds) -> bool:
    since, before = bounds.since, bounds.before
    return (since is None or chunk.created_at >= since) and (before is None or chunk.created_at < before)


def _hits(tx: Tx, ranked: Sequence[Ranked], asked: Asked, query: Query) -> list[Hit]:
    chosen: list[tuple[Ranked, tuple[Source, ...]]] = []
    made: dict[int, Finding] = {}
    said: list[set[str]] = []  # by the turns shown so far
    flagged = verdicts.failing(tx, [one.chunk.ref for one in ranked if one.chunk.kind != "turn"])
    for one in sorted(ranked, key=lambda one: one.chunk.ref in flagged):  # what its turns do not say comes last
        if len(chosen) == query.k:
            break
        chunk = one.chunk
        if chunk.kind == "turn":
            said.append({*terms_of(chunk), *terms(chunk.role)})  # findings begin with who said it
            sources: tuple[Source, ...] = (Source(chunk.session_id, chunk.first, chunk.last, _quote(chunk, asked)),)
        else:
            # A finding that says no more than a turn above it would only take another hit's place.
            if query.kinds is None and any(set(terms(chunk.text)) <= words for words in said):
                continue
            finding = None if chunk.kind == "digest" else _finding(tx, chunk)
            sources = _of_digest(tx, chunk) if chunk.kind == "digest" else finding.sources if finding else ()
            if not sources:
                continue
            if finding is not None:
                made[chunk.n] = finding
        chosen.append((one, sources))
    voices = _voices(tx, [one.chunk for one, _ in chosen], made)
    hits: list[Hit] = []
    for one, sources in chosen:
        chunk = one.chunk
        hits.append(
            Hit(
                chunk.ref,
                chunk.kind,
                inert(chunk.text),
                round(min([one.score, *(hit.score for hit in hits[-1:])]), 6),
                chunk.agent_id,
                chunk.session_id,
                chunk.created_at,
                tuple(replace(source, quote=longest_clean(source.quote)) for source in sources),
                voices.get(chunk.n, "injected"),
            )
        )
    return hits


def _voices(tx: Tx, found: Sequence[Chunk], made: Mapping[int, Finding]) -> dict[int, Voice]:
    """Whose words each of these chunks has, by its number; those of a digest are a program's."""
    places = {c.n: (c.agent_id, c.session_id, c.first) for c in found if c.kind == "turn"}
    speaking = cited.speakers(tx, list(places.values()))
    told: dict[int, Voice] = {n: speaking[place] for n, place in places.items() if place in speaking}
    of = cited.voices(tx, list(made.values()))
    told |= {n: of[finding.id] for n, finding in made.items() if finding.id in of}
    return told


def _of_digest(tx: Tx, chunk: Chunk) -> tuple[Source, ...]:
    """What a digest stands on."""
    digest = digests.get(tx, chunk.agent_id, chunk.session_id)
    place = Source(chunk.session_id, chunk.first, chunk.last)
    return () if digest is None else digest.because or (place,)


def _finding(tx: Tx, chunk: Chunk) -> Finding | None:
    """The finding; None when it is no longer true, though its index says so still."""
    try:
        finding = snapshots.finding(tx, chunk.ref)
    except NotFound:
        return None
    return finding if finding.live else None


def _quote(chunk: Chunk, asked: Asked) -> str:
    """The passage of the chunk that says most of what is asked; the first one where none says more."""
    passages = cut(chunk.text, _QUOTE)
    weights = [sum(asked.weights.get(term, 0.0) for term in set(terms(passage))) for passage in passages]
    return passages[weights.index(max(weights))]
