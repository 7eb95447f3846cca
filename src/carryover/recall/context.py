"""The context: what a session is told of those before it, within its budget.

It has a head, whose bytes change only when a snapshot does (so that a provider's prompt cache keeps it), and a
tail that follows the question and the newest turns. Both are notes: data that is quoted, never instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from carryover.core.chunk import Hit, Hits, Query
from carryover.core.clock import Time
from carryover.core.context import Context, Wanted
from carryover.core.errors import Invalid, NotFound
from carryover.core.headings import (
    APPROVED,
    BEHIND,
    CLOSING,
    DECISIONS,
    FACTS,
    FOUND,
    LATELY,
    MORE,
    MORE_TALK,
    OPENING,
    TALK,
    TASKS,
    WISHES,
    WORKED,
)
from carryover.core.ids import check_id, check_session_id
from carryover.core.job import Job, subject_of
from carryover.core.scope import Scope
from carryover.core.session import Source, genuine
from carryover.core.snapshot import FINDING_KINDS, Finding
from carryover.core.text import digest, told_tokens
from carryover.guard.orders import overrides
from carryover.recall import context_coding
from carryover.recall.context_coding import Repo
from carryover.recall.context_kept import Shelf
from carryover.recall.context_known import Asked, Known, State, Told, known_as_of, known_to, recent, state_of
from carryover.recall.context_text import Sheet, day, is_english, one_line, short_id
from carryover.recall.context_themes import Weighed, tell, weighed
from carryover.recall.context_voices import heading_of, item, ranked, who_said
from carryover.store import cited, queue, sessions, snapshots, themes, turns, verdicts
from carryover.store.reach import Reached
from carryover.store.store import Store, Tx

LEAST_TOKENS = 32
FILLED = 0.96  # of the budget: some text costs a little more than our count says
HEAD_SHARE = 0.9  # of it; what the tail does not need of the rest, further findings fill
LEAST_HEAD = 26  # the opening fits
HITS = 24
MOST_BEHIND = 3  # sessions whose newest turns are told before a snapshot holds them
NEWEST_TURNS = 12  # looked at in each of them
READ = 4_000  # characters of a turn that are looked at

OVERTAKEN = "replaced since"
_CLOSING = told_tokens(f"{CLOSING}\n")
_HEAD = ("", WISHES, APPROVED, WORKED, TASKS, DECISIONS, TALK, FACTS, LATELY)
_TAIL = (FOUND, BEHIND, MORE_TALK, MORE)
# What each section may take of the head before the others had their turn.
_SHARES = ((WISHES, 0.12), (TASKS, 0.12), (DECISIONS, 0.12), (TALK, 0.62), (LATELY, 0.05), (FACTS, 0.1))
# With a question only these are told before its answer, in this share of the whole.
_SHARES_ASKED = ((WISHES, 0.1), (TASKS, 0.06), (DECISIONS, 0.06))


def context(
    store: Store,
    scope: Scope,
    wanted: Wanted,
    *,
    search: Callable[[Query], Hits] | None = None,
    shelf: Shelf | None = None,
) -> Context:
    """Markdown of at most `max_tokens` tokens to prepend to the session's system prompt; the same state gives the
    same bytes, and nothing to tell is an empty text.

    A session that names no user shares memory with its like. What `search` finds for the query takes most of the
    budget. The `shelf` gives what was told of the very same state before. With `as_of`, memory is told as it was
    then: nothing said later, and what was ended since as it still held.

    Raises Forbidden, NotFound for what lies outside the scope, and Invalid for a budget below 32 tokens or a user
    that the session does not belong to.
    """
    scope.require("read")
    max_tokens, query = wanted.max_tokens, wanted.query
    if max_tokens < LEAST_TOKENS:
        raise Invalid(f"max_tokens is {max_tokens}; use at least {LEAST_TOKENS}", field="max_tokens")
    with store.read(scope) as tx:
        asked = _asked(tx, wanted)
        repo = context_coding.repo_of(tx, asked, wanted.repos, wanted.as_of)
        if wanted.as_of is not None:
            behind, slot, known = (), None, known_as_of(tx, asked, wanted.as_of)
        else:
            state = state_of(tx, asked)
            behind = _behind(tx, store, asked, state)
            stamp = scope.agent, scope.user, wanted, state.stamp, behind, repo
            slot = shelf.slot(*stamp) if shelf and query is None else None
            if slot is not None and (before := slot.get()) is not None:
                return before
            known = known_to(tx, state, store)
    if query is None or search is None:
        told = _told(asked, _Facts(known, behind, repo), None, max_tokens)
        if slot is not None:
            slot.put(told)
        return told
    hits = search(_query(asked, query, wanted.as_of)).results
    with store.read(scope) as tx:
        answers = _answers(tx, asked, known, hits, wanted.as_of)
        strays = [one for one in answers if isinstance(one, Finding) and one.id not in known.voices]
        known = replace(known, voices=known.voices | cited.voices(tx, strays)) if strays else known
    return _told(asked, _Facts(known, behind, repo), answers, max_tokens)


@dataclass(frozen=True, slots=True)
class Behind:
    """A session whose log goes on after its last snapshot, with what was said there last."""

    agent: str
    session: str
    through: int
    version: int
    why: str
    reason: str
    said: tuple[tuple[int, int, str, str], ...]  # (seq, at, role, line), newest first

    @property
    def key(self) -> tuple[str, str]:
        return self.agent, self.session

    @property
    def note(self) -> str:
        return f"memory reaches turn {self.through} of {self.version} of {short_id(self.session)}{self.why}"


@dataclass(slots=True)
class _Page:
    """A part of the context while it is written, and the findings that it tells."""

    sheet: Sheet
    told: dict[str, Finding]
    known: Known
    themes: set[str] = field(default_factory=set[str])

    def add(self, heading: str, finding: Finding, most: int | None = None) -> bool:
        voice = self.known.voice(finding)
        if finding.id in self.told or heading_of(finding, voice) is None:
            return False
        added = self.sheet.add(heading, item(finding, voice), most)
        if added:
            self.told[finding.id] = finding
        return added


def _asked(tx: Tx, wanted: Wanted) -> Asked:
    session_id, agent_id, user_id, reach = wanted.session_id, wanted.agent_id, wanted.user_id, wanted.reach
    check_session_id(session_id)
    check_id(agent_id, "agent_id")
    head = sessions.find(tx, [(agent_id, session_id)]).get((agent_id, session_id))
    if head is not None:
        tx.scope.require_inside(agent_id, head.user, f"session {session_id!r}")
        if user_id not in (None, head.user):
            raise Invalid(f"session {session_id!r} does not belong to {user_id!r}; leave user_id out", field="user_id")
        return Asked(agent_id, session_id, head.user, reach, head)
    if user_id is not None:
        check_id(user_id, "user_id")
    user = user_id or tx.scope.user
    tx.scope.require_inside(agent_id, user, f"session {session_id!r}")
    return Asked(agent_id, session_id, user, reach, None)


def _behind(tx: Tx, store: Store, asked: Asked, state: State) -> tuple[Behind, ...]:
    """Sessions in reach with turns that no snapshot covers, the one that changed last first; the asked one last."""
    late = [row for row in state.reached if row.turns > row.through]
    late.sort(key=lambda row: (row.agent, row.session) == asked.key)
    digested = context_coding.digested(tx, late)
    late = [row for row in late if (row.agent, row.session) not in digested]
    return tuple(_late(tx, store, row) for row in late[:MOST_BEHIND])


def _late(tx: Tx, store: Store, row: Reached) -> Behind:
    job = queue.get(tx, "consolidate", subject_of(row.agent, row.session))
    why, reason = _waits(job)
    said = recent(store, (tx.tenant, row), lambda: _said(tx, row))
    return Behind(row.agent, row.session, row.through, row.turns, why, reason, said)


def _said(tx: Tx, row: Reached) -> tuple[tuple[int, int, str, str], ...]:
    newest = turns.last(tx, row.agent, row.session, min(row.turns - row.through, NEWEST_TURNS))
    told = (turn for turn in reversed(genuine(newest)) if turn.kind == "message" and turn.role in ("user", "assistant"))
    return tuple((turn.seq, turn.created_at, turn.role, one_line(turn.text[:READ])) for turn in told)


def _waits(job: Job | None) -> tuple[str, str]:
    if job is None or job.reason is None:
        return "", ""
    if job.dead_at is not None:
        return " (consolidation failed)", job.reason
    return (" (waits for the daily cap)" if job.attempt == 0 else " (consolidation is tried again)"), job.reason


def _query(asked: Asked, query: str, as_of: Time | None) -> Query:
    return Query(
        text=query,
        k=HITS,
        agent_id=None if asked.reach == "user" else asked.agent,
        user_id=asked.user,
        session_id=asked.session if asked.reach == "session" else None,
        as_of=as_of,
    )


@dataclass(frozen=True, slots=True)
class Quoted:
    """A turn that answers, as a context quotes it; turn 0 where it is no single one."""

    agent: str
    at: int
    source: Source
    who: str
    overtaken: bool = False  # what it says has been replaced since

    @property
    def place(self) -> tuple[str, str, int]:
        return self.agent, self.source.session_id, self.source.first

    @property
    def opening(self) -> str:
        """What begins a line of quotations: those of one day of one session share it."""
        return f"- {day(self.at)}: "

    @property
    def line(self) -> str:
        said = f'{self.who}{": " if self.who else ""}"{one_line(self.source.quote)}"'
        return f"{said} ({OVERTAKEN})" if self.overtaken else said


def _answers(tx: Tx, asked: Asked, known: Known, hits: Sequence[Hit], as_of: Time | None) -> list[Finding | Quoted]:
    """What was found, best first: findings, and turns to quote.

    A query without a user finds everybody's, so hits of others are left out here, and findings that ended or that
    their turns do not bear out.
    """
    heads = sessions.find(tx, list({(hit.agent_id, hit.session_id): None for hit in hits})) if hits else {}
    same = {key for key, head in heads.items() if head.user == asked.user and tx.scope.admits(key[0], head.user)}
    failing = verdicts.failing(tx, [hit.id for hit in hits if hit.kind in FINDING_KINDS])
    wanted = [hit for hit in hits if (hit.agent_id, hit.session_id) in same and hit.id not in failing]
    turned = [hit for hit in wanted if hit.kind not in FINDING_KINDS and hit.sources]
    places = [(hit.agent_id, source.session_id, source.first) for hit in turned for source in hit.sources[:1]]
    overtaken = {} if as_of is not None else themes.overtaken(tx, places)
    answers: list[Finding | Quoted] = []
    for hit in wanted:
        answer = _answer(tx, known, hit)
        if isinstance(answer, Quoted) and answer.place in overtaken:
            answers.append(replace(answer, overtaken=True))
            answer = _known_now(tx, known, overtaken[answer.place])
        answers += [] if answer is None else [answer]
    return answers


def _answer(tx: Tx, known: Known, hit: Hit) -> Finding | Quoted | None:
    if hit.kind in FINDING_KINDS:
        return _known_now(tx, known, hit.id)
    if not hit.sources:
        return Quoted(hit.agent_id, hit.created_at, Source(hit.session_id, 0, 0, hit.text), "")
    source = hit.sources[0]
    turn = next(iter(turns.between(tx, hit.agent_id, source.session_id, source.first, source.first)), None)
    who = "" if turn is None else who_said(turn)
    return Quoted(hit.agent_id, hit.created_at, replace(source, quote=source.quote or hit.text), who)


def _known_now(tx: Tx, known: Known, id: str | None) -> Finding | None:
    """The finding, unless it has ended or was erased."""
    try:
        finding = None if id is None else known.by_id.get(id) or snapshots.finding(tx, id)
    except NotFound:
        return None
    return finding if finding is not None and finding.live else None


def _say(tail: _Page, answers: Sequence[Finding | Quoted]) -> list[Source]:
    """The answers that fit are in the tail, best first; the turns that it quotes now."""
    quoted: list[Source] = []
    for answer in answers:
        if isinstance(answer, Finding):
            tail.add(FOUND, answer)
            continue
        key = f"{answer.agent}/{answer.source.session_id} {answer.opening}"
        if tail.sheet.grow(FOUND, key, answer.opening + answer.line, more=f" / {answer.line}"):
            quoted.append(answer.source)
    return [source for source in quoted if source.first]


@dataclass(frozen=True, slots=True)
class _Facts:
    """Out of what a context is made: what memory holds, what it does not hold yet, and what is known of the repo."""

    known: Known
    behind: Sequence[Behind]
    repo: Repo | None


def _told(asked: Asked, facts: _Facts, answers: Sequence[Finding | Quoted] | None, max_tokens: int) -> Context:
    """The context; `answers` is None where nothing was asked."""
    known, behind = facts.known, facts.behind
    budget = int(max_tokens * FILLED) - _CLOSING
    shares = _SHARES if answers is None else _SHARES_ASKED
    most = HEAD_SHARE if answers is None else sum(share for _, share in _SHARES_ASKED)
    most += context_coding.SHARE if facts.repo is not None and answers is not None else 0
    themes = weighed(known.sessions) if answers is None else []
    head = _head(facts, themes, shares, max(LEAST_HEAD, int(budget * most)), budget)
    said = [a.text if isinstance(a, Finding) else a.source.quote for a in answers or ()]
    said += [line for late in behind for *_, line in late.said]
    plain = is_english(said) if said else head.sheet.plain
    tail = _Page(Sheet(budget - head.sheet.used, plain), dict(head.told), known)
    quotes = _say(tail, answers or ())
    for late in behind:
        tail.sheet.add(BEHIND, f"- {late.note}")
    quoted = behind if answers is None else ()
    _quote(tail, [late for late in quoted if late.key != asked.key])
    if answers is None:
        tell(tail.sheet, MORE_TALK, themes, tail.sheet.left, head.themes)
    for finding in known.findings:
        tail.add(MORE, finding)
    _quote(tail, [late for late in quoted if late.key == asked.key])  # most likely the model has seen these itself
    stable = head.sheet.text(_HEAD)
    empty = not (head.told or tail.sheet.used or head.sheet.sections.keys() & {LATELY, TALK, APPROVED, WORKED})
    markdown = "" if empty else f"{stable}{tail.sheet.text(_TAIL)}{CLOSING}\n"
    return Context(
        session_id=asked.session,
        markdown=markdown,
        tokens=head.sheet.used + tail.sheet.used + _CLOSING if markdown else 0,
        stable_tokens=head.sheet.used if markdown else 0,
        through={told.session: told.through for told in reversed(known.sessions)},
        snapshots={told.session: told.version for told in reversed(known.sessions)},
        findings=tuple(tail.told.values()),
        etag=digest(markdown),
        sources=tuple(quotes),
        notes=tuple(late.note + (f": {one_line(late.reason)}" if late.reason else "") for late in behind),
    )


def _head(
    facts: _Facts, themes: Sequence[Weighed], shares: Sequence[tuple[str, float]], budget: int, whole: int
) -> _Page:
    """Each section up to its share of the whole first, then what room is left, in the order of the sections."""
    known, repo = facts.known, facts.repo
    texts = [finding.text for finding in known.findings]
    texts += [] if repo is None else [*repo.approved, *repo.worked]
    page = _Page(Sheet(budget, is_english(texts)), {}, known)
    page.sheet.add("", OPENING)
    by_section = ranked(known)
    lately = [f"- {day(told.at)}: {one_line(told.summary)}" for told in known.sessions if not _repeats(told, known)]
    lately += [f"- {gist.period}: {one_line(gist.text)}" for gist in known.gists if not overrides(gist.text)]
    for shared in (True, False):
        if repo is not None:
            context_coding.tell(page.sheet, repo, whole if shared else None)
        for heading, share in shares:
            limit = page.sheet.used + int(whole * share) if shared else budget
            if heading == TALK:
                if shared:
                    tell(page.sheet, TALK, themes, limit - page.sheet.used, page.themes)
            elif heading == LATELY:
                while lately and page.sheet.add(LATELY, lately[0], limit - page.sheet.used):
                    lately.pop(0)
            else:
                for finding in by_section[heading]:
                    page.add(heading, finding, limit - page.sheet.used)
    return page


def _repeats(told: Told, known: Known) -> bool:
    """Whether the session's summary says no more than one of its findings, or what nobody shall be told."""
    gist = told.summary.rstrip(" .…")
    return not gist or overrides(gist) or any(gist in finding.text for finding in known.findings)


def _quote(tail: _Page, behind: Sequence[Behind]) -> None:
    """What was said since the last snapshots: the user's own words first, the newest first."""
    for late in behind:
        for seq, at, role, line in sorted(late.said, key=lambda said: (said[2] != "user", -said[0])):
            if line:
                tail.sheet.add(BEHIND, f'- {day(at)}, {short_id(late.session)} turn {seq}, {role}: "{line}"')
