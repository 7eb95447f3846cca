"""What a context may tell: the live findings and last summaries of the sessions in reach, kept while they hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from carryover.core.clock import Time
from carryover.core.context import Reach
from carryover.core.snapshot import Finding, Snapshot, Theme
from carryover.core.tier import Gist
from carryover.core.voice import Voice
from carryover.recall.context_text import one_line
from carryover.recall.words import terms
from carryover.store import cited, past, reach, snapshots, themes, tiers, verdicts
from carryover.store.reach import Reached
from carryover.store.sessions import Head
from carryover.store.store import Store, Tx

MOST_FINDINGS = 500  # the newest; standing wishes whatever their age
MOST_GISTS = 24  # of months, the newest
KEPT = 128  # results per store

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose context it is; `head` is None while the session does not exist."""

    agent: str
    session: str
    user: str | None
    reach: Reach
    head: Head | None

    @property
    def key(self) -> tuple[str, str]:
        return self.agent, self.session


@dataclass(frozen=True, slots=True)
class Told:
    """A session as its newest snapshot tells it; `at` is when its last covered turn was said."""

    agent: str
    session: str
    version: int
    through: int
    at: int = 0
    summary: str = ""
    themes: tuple[Theme, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """Out of what a session may be told, before it is read: `stamp` is another one when any of it may have changed."""

    stamp: Hashable
    made: tuple[tuple[str, str, int, int, int], ...]  # agent, session, version, through, made_at of newest snapshots
    reached: tuple[Reached, ...]
    whose: tuple[str | None, str | None, str | None]  # agent (None: all), user, session (None: all)


@dataclass(frozen=True, slots=True)
class Known:
    """What memory holds within reach: each statement once, newest first; `gists` tell what is summarised."""

    findings: tuple[Finding, ...] = ()
    sessions: tuple[Told, ...] = ()
    gists: tuple[Gist, ...] = ()
    by_id: dict[str, Finding] = field(default_factory=dict[str, Finding])
    voices: dict[str, Voice] = field(default_factory=dict[str, Voice])

    def voice(self, finding: Finding) -> Voice:
        """Whose words the finding has; what nobody is known to have said is nobody's wish."""
        return self.voices.get(finding.id, "injected")


def state_of(tx: Tx, asked: Asked) -> State:
    """The at most 50 sessions in reach that changed last, and what memory of them is made of."""
    reached: tuple[Reached, ...] = ()
    if asked.reach != "session":
        reached = reach.newest(tx, None if asked.reach == "user" else asked.agent, asked.user)
    if asked.head is not None and all((row.agent, row.session) != asked.key for row in reached):
        last = next(iter(snapshots.listed(tx, *asked.key, limit=1)), None)
        newest = (last.version, last.through, last.created_at) if last else (0, 0, 0)
        reached += (Reached(*asked.key, asked.head.version, asked.head.updated_at, *newest),)
    # In the order of their snapshots, so that an append alone changes nothing here.
    made = sorted((row for row in reached if row.version), key=lambda row: (-row.made_at, row.agent, row.session))
    rows = tuple((row.agent, row.session, row.version, row.through, row.made_at) for row in made)
    agent = tx.scope.agent if asked.reach == "user" else asked.agent
    whose = (agent, asked.user, asked.session if asked.reach == "session" else None)
    return State((tx.tenant, whose, rows, reach.changes(tx, asked.user)), rows, reached, whose)


def known_to(tx: Tx, state: State, store: Store) -> Known:
    """What the session may be told."""
    return recent(store, state.stamp, lambda: _read(tx, state))


def recent(store: Store, key: Hashable, make: Callable[[], Value]) -> Value:
    """What was made for this key before, or is made now; the results asked for last are kept, per store."""
    with _lock:
        kept = _kept.setdefault(store, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
            return cast("Value", kept[key])
    value = make()
    with _lock:
        kept[key] = value
        while len(kept) > KEPT:
            kept.popitem(last=False)
    return value


_lock = Lock()
_kept: WeakKeyDictionary[Store, OrderedDict[Hashable, object]] = WeakKeyDictionary()


def known_as_of(tx: Tx, asked: Asked, at: Time) -> Known:
    """What the session might have been told at that time."""
    keys: list[tuple[str, str]] = []
    if asked.reach != "session":
        keys = past.begun(tx, None if asked.reach == "user" else asked.agent, asked.user, at)
    if asked.head is not None and asked.key not in keys:
        keys.append(asked.key)
    held, ended = past.known(tx, keys, at)
    return _known(tx, held, past.versions(tx, keys, at), [finding for finding in ended if finding.kind != "task"])


def _read(tx: Tx, state: State) -> Known:
    agent, user, session = state.whose
    keys = [row[:2] for row in state.made]
    held = {finding.id: finding for finding in snapshots.live(tx, keys)}
    if session is None:  # a standing wish holds however many sessions came after it
        held = {finding.id: finding for finding in snapshots.wishes(tx, agent, user)} | held
    known = _known(tx, held.values(), [row[:3] for row in state.made], themes.replaced(tx, keys))
    return replace(known, gists=_supported(tx, tiers.gists(tx, agent, user, session)[:MOST_GISTS]))


def _supported(tx: Tx, gists: Sequence[Gist]) -> tuple[Gist, ...]:
    """The gists without what its turns do not bear out."""
    failing = verdicts.failing(tx, [id for gist in gists for id, _ in gist.parts])
    kept = (replace(gist, parts=tuple(piece for piece in gist.parts if piece[0] not in failing)) for gist in gists)
    return tuple(gist for gist in kept if gist.parts)


def _known(
    tx: Tx, held: Iterable[Finding], versions: Sequence[tuple[str, str, int]], replaced: Sequence[Finding]
) -> Known:
    held = list(held)
    failing = verdicts.failing(tx, [finding.id for finding in held])
    supported = [finding for finding in held if finding.id not in failing]
    findings = _most(_once(sorted(supported, key=lambda f: (f.learned_at, f.id), reverse=True)))
    quotes = [source.quote for finding in replaced for source in finding.sources if source.quote]
    # A name that only what was replaced says would read as if it still held.
    gone = _terms_of(replaced) - _terms_of(held) if replaced else set[str]()
    told = [_told(head, at, quotes, gone) for head, at in themes.of(tx, versions).values()]
    return Known(
        findings=tuple(findings),
        sessions=tuple(sorted(told, key=lambda one: (-one.at, one.agent, one.session))),
        by_id={finding.id: finding for finding in findings},
        voices=cited.voices(tx, findings),
    )


def _terms_of(findings: Iterable[Finding]) -> set[str]:
    return {term for finding in findings for term in terms(finding.text)}


def _told(head: Snapshot, at: Time, replaced: Sequence[str], gone: set[str]) -> Told:
    summary = head.summary
    for quote in replaced:
        summary = summary.replace(quote, "")
    themes = tuple(theme for theme in head.themes if not gone or gone.isdisjoint(terms(theme.text)))
    return Told(head.agent_id, head.session_id, head.version, head.through, at, " ".join(summary.split()), themes)


def _once(newest_first: Sequence[Finding]) -> list[Finding]:
    """Each statement once: of those about one subject the newest, of those that read the same the newest."""
    seen: set[tuple[str, str]] = set()
    kept: list[Finding] = []
    for finding in newest_first:
        names = {(finding.kind, f"= {one_line(finding.text).lower().rstrip('.')}")}
        if finding.subject:
            names.add((finding.kind, finding.subject))
        if not names & seen:
            kept.append(finding)
        seen |= names
    return kept


def _most(newest_first: Sequence[Finding]) -> list[Finding]:
    room = MOST_FINDINGS - sum(finding.pinned for finding in newest_first)
    kept = {finding.id for finding in [f for f in newest_first if not f.pinned][: max(room, 0)]}
    return [finding for finding in newest_first if finding.pinned or finding.id in kept]
