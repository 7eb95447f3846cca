"""What strategies would have cost, request by request, on conversations that took place; no model is called.

Each request is compared with the one before it: what both begin with, the provider has in its cache (0.1 of a token's
price), everything else is read anew and written to it (1.25). After a silence the cache is cold, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from carryover.core.session import Turn
from carryover.core.strategy import Sketch, Strategy, Summary
from carryover.core.text import estimate_tokens
from carryover.core.usage import Usage
from carryover.evals.metrics import quotes
from carryover.evals.strategies_talks import Talk
from carryover.memory.rules import Rules
from carryover.providers.prices import Price
from carryover.strategies.course import Course
from carryover.strategies.extractive import sections_of
from carryover.strategies.groups import is_user
from carryover.strategies.plan import Plan, planned
from carryover.strategies.prompts import TOOL_CHARS
from carryover.strategies.render import sketch_of
from carryover.strategies.sections import rendered
from carryover.strategies.telling import READ, WRITE

POINTS = 150  # of a curve

Mark = int | str  # an entry of a view: a turn's place in the log, negative for a placeholder; a summary's id


@dataclass(frozen=True, slots=True)
class Last:
    """No strategy, but what is done where there is none: the last entries of the log, whatever they are."""

    entries: int


STRATEGIES: dict[str, Strategy | Last] = {
    "none": Strategy(),
    "last 40": Last(40),
    "sliding 20": Strategy(mode="trim", max_user_turns=20, keep_last_turns=20),
    "trim": Strategy(mode="trim"),
    "summarize": Strategy(mode="summarize"),
    "compact": Strategy(mode="compact"),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What every request begins with (tools and instructions, in tokens), how long a cache lives, and a price."""

    price: Price
    head: int = 3_000
    ttl_s: int = 300


@dataclass(slots=True)
class Replayed:
    """One conversation under one strategy, summed over its requests; tokens are those of the input.

    `shared` is what the cache would have given. `stability` and `breaks` are of the `warm` requests: those that follow
    another one before the cache is cold; how much of the view before is still there, and whether all of it is.
    `evidence` and `taken_up` are (kept, of). `curve` are the tokens of some requests, evenly spaced.
    """

    dataset: str
    talk: str
    strategy: str
    requests: int = 0
    tokens: int = 0
    shared: int = 0
    dollars: Decimal = Decimal(0)
    warm: int = 0
    stability: float = 0.0
    breaks: int = 0
    peak: int = 0
    over: int = 0
    moves: int = 0
    evidence: tuple[int, int] = (0, 0)
    taken_up: tuple[int, int] = (0, 0)
    summaries: int = 0
    summary_tokens: int = 0
    curve: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @property
    def cost(self) -> float:
        """In tokens at full price."""
        return cost(self.shared, self.tokens)


def run(talks: Iterable[Talk], strategies: Mapping[str, Strategy | Last], terms: Terms) -> Iterator[list[Replayed]]:
    """Each conversation under every strategy."""
    for talk in talks:
        yield [replay(talk, name, strategy, terms) for name, strategy in strategies.items()]


def cost(shared: int, tokens: int) -> float:
    """What input costs in tokens at full price, of which so many come from the cache."""
    return READ * shared + WRITE * (tokens - shared)


def replay(talk: Talk, name: str, strategy: Strategy | Last, terms: Terms) -> Replayed:
    """The conversation under the strategy, from the first request to the last one."""
    found = Replayed(talk.dataset, talk.name, name)
    showing = Window(talk, strategy) if isinstance(strategy, Last) else Showing(talk, strategy)
    every = max(1, len(talk.asks) // POINTS)
    asked_at = 0
    for place, ask in enumerate(talk.asks):
        was_at, asked_at = asked_at, talk.turns[ask - 1].received_at
        size = showing.tokens
        same = showing.advance(ask)
        warm = place > 0 and (terms.ttl_s == 0 or asked_at - was_at <= 1000 * terms.ttl_s)
        shared = terms.head + same if warm else 0
        tokens = terms.head + showing.tokens
        found.requests += 1
        found.tokens += tokens
        found.shared += shared
        found.dollars += dollars(terms.price, shared, tokens)
        found.peak = max(found.peak, tokens)
        found.over += showing.over_budget
        if warm and size:
            found.warm += 1
            found.stability += same / size
            found.breaks += same < size
        if place % every == 0:
            found.curve.append((place + 1, tokens))
        _take_up(found, showing, () if talk.taken_up is None else talk.taken_up.get(place, ()))
    _ask(found, showing, talk)
    found.moves = showing.moves
    found.summaries, found.summary_tokens = showing.written
    return found


def dollars(price: Price, shared: int, tokens: int) -> Decimal:
    """What the input costs; a beginning that is too short for the provider's cache is neither written nor read."""
    read = shared if shared >= price.cache_least else 0
    written = tokens - read if tokens >= price.cache_least else 0
    return price.of(Usage(tokens_in=tokens, cache_read=read, cache_write=written))


class Showing:
    """What the strategy shows of the conversation, as it goes on.

    A view is made anew only where more can have changed than that turns were added: a conversation is replayed in the
    time that reading it takes, however long it is.
    """

    def __init__(self, talk: Talk, strategy: Strategy) -> None:
        self.talk, self.course = talk, Course(strategy)
        self.marks: list[Mark] = []
        self.ends: list[int] = [0]  # tokens up to each mark
        self.shown: set[int] = set()
        self.summaries: list[Summary] = []
        self.written = (0, 0)  # how many summaries, of how many tokens
        self.over_budget = False
        self._seen = 0
        self._pending = True  # whether turns that are cut away are shown for want of a summary, if there is room
        self._waiting: int | None = None  # the last turn of the summary that is being written
        self._tried: set[int] = set()

    @property
    def tokens(self) -> int:
        return self.ends[-1]

    @property
    def moves(self) -> int:
        return len(self.course.moves)

    @property
    def summary(self) -> str:
        """The text that stands for turns, if one does."""
        id = next((mark for mark in self.marks if isinstance(mark, str)), None)
        return next((summary.text for summary in self.summaries if summary.id == id), "")

    def advance(self, upto: int) -> int:
        """The view is that of the log's first turns up to there; how many tokens it has in common with the last one."""
        anew = self._write() or self._pending
        for turn in self.talk.turns[self._seen : upto]:
            anew = self._take(sketch_of(turn)) or anew
        if not anew:
            same = self.tokens
            for turn in self.talk.turns[self._seen : upto]:
                self._add(turn.seq, turn.tokens)
        else:
            same = self._replan()
        self._seen = upto
        self.over_budget = self.tokens > self.course.strategy.budget
        return same

    def _take(self, sketch: Sketch) -> bool:
        """The course takes the turn in; whether that can change more of the view than its end."""
        course, outline = self.course, self.course.outline
        moves, open_calls = len(course.moves), outline.first_open() < len(outline.live)
        newest = max([*outline.starts[-1:], *outline.turns[-1:]], default=0)
        after_reasoning = bool(outline.live) and outline.live[-1].kind == "reasoning"
        course.take(sketch)
        if len(course.moves) > moves or outline.retractions:
            return True
        n = len(outline.live) - 1
        if sketch.kind == "tool_result" and outline.asked.get(n, -1) < newest:
            return True  # nobody asked for it, or it comes late
        unfollowed = after_reasoning and (outline.is_start(n) or sketch.kind == "tool_result")
        return unfollowed or (is_user(sketch) and open_calls)

    def _add(self, mark: Mark, tokens: int) -> None:
        self.marks.append(mark)
        self.ends.append(self.ends[-1] + tokens)
        if isinstance(mark, int) and mark > 0:
            self.shown.add(mark)

    def _replan(self) -> int:
        made = planned(self.course, self.summaries)
        self._waiting, cut = made.wanted, self.course.cut
        summarized = 0 if made.summary is None else made.summary.last
        self._pending = self.course.strategy.mode == "summarize" and cut > max(1, summarized + 1)
        old, old_ends = self.marks, self.ends
        self.marks, self.ends, self.shown = [], [0], set()
        for mark, tokens in entries(self.course, made):
            self._add(mark, tokens)
        same = next((n for n, (a, b) in enumerate(zip(old, self.marks, strict=False)) if a != b), None)
        return old_ends[min(len(old), len(self.marks)) if same is None else same]

    def _write(self) -> bool:
        """The summary that was missing at the last request is ready for this one; whether there was one."""
        last, strategy = self._waiting, self.course.strategy
        if last is None or last in self._tried:
            return False
        self._tried.add(last)
        base = max((one for one in self.summaries if one.last < last), key=lambda one: one.last, default=None)
        if base is not None and base.depth >= strategy.summary_rebase_every:
            base = None
        told = self.talk.turns[base.last if base else 0 : last]
        text = by_rules(base, told, strategy)
        if text:
            read = sum(_told(turn) for turn in told) + (base.tokens if base else 0)
            self.written = self.written[0] + 1, self.written[1] + read
            self.summaries.append(_summary(strategy, last, text, base, self.talk.turns[last - 1].received_at))
        return True


class Window:
    """The last entries of the conversation, as it goes on."""

    summary, written, over_budget = "", (0, 0), False

    def __init__(self, talk: Talk, last: Last) -> None:
        self.talk, self.last = talk, last
        self.tokens = self.moves = self._first = 0
        self.shown: set[int] = set()

    def advance(self, upto: int) -> int:
        """The view is that of the log's first turns up to there; how many tokens it has in common with the last one."""
        first = max(0, upto - self.last.entries)
        moved, was = first > self._first, self.tokens
        self._first, self.moves = first, self.moves + moved
        window = self.talk.turns[first:upto]
        self.tokens, self.shown = sum(turn.tokens for turn in window), {turn.seq for turn in window}
        return 0 if moved else was


def entries(course: Course, made: Plan) -> Iterable[tuple[Mark, int]]:
    """What the view consists of, in order, with its tokens."""
    outline, summary = course.outline, made.summary
    for seq, action in made.shown():
        if summary is not None and seq >= made.head:
            yield summary.id, summary.tokens + estimate_tokens(course.strategy.summary_prefix)
            summary = None
        n = outline.index(seq)
        replaced = action == "replace"
        yield (-seq if replaced else seq), outline.live[n].tokens - (course.savings(n) if replaced else 0)
    if summary is not None:
        yield summary.id, summary.tokens + estimate_tokens(course.strategy.summary_prefix)


def by_rules(base: Summary | None, turns: Sequence[Turn], strategy: Strategy) -> str:
    """The text that stands for what the base does and the turns that follow it; as background jobs make it."""
    limit = strategy.summary_max_tokens
    if base is None:
        limit = min(limit, sum(turn.tokens for turn in turns) // 2)
    chars = strategy.summary_max_chars
    lines = sections_of(Rules(), turns, base.text if base else "", min(chars, 4 * limit))
    return rendered(lines, tokens=limit, chars=chars)


def _told(turn: Turn) -> int:
    """Tokens of the turn that a model which summarises is told."""
    return min(turn.tokens, TOOL_CHARS // 4) if turn.kind in ("tool_call", "tool_result") else turn.tokens


def _summary(strategy: Strategy, last: int, text: str, base: Summary | None, at: int) -> Summary:
    depth = 0 if base is None else base.depth + 1
    return Summary(f"s{last}", "", "", last, strategy.recipe, text, estimate_tokens(text), "rules", at, depth=depth)


def _take_up(found: Replayed, showing: Showing | Window, names: Iterable[Sequence[int]]) -> None:
    """Of the names that the model used next, those that some turn holds which it was shown."""
    kept, of = found.taken_up
    for seqs in names:
        of += 1
        kept += seqs[-1] in showing.shown or not showing.shown.isdisjoint(seqs)
    found.taken_up = kept, of


def _ask(found: Replayed, showing: Showing | Window, talk: Talk) -> None:
    """The labelled questions are asked at the end: of the turns with their answers, those that the model is shown."""
    if not talk.evidence:
        return
    showing.advance(len(talk.turns))
    text = showing.summary
    told = {
        seq: seq in showing.shown or quotes(text, talk.turns[seq - 1].text) for seqs in talk.evidence for seq in seqs
    }
    found.evidence = (
        sum(told[seq] for seqs in talk.evidence for seq in seqs),
        sum(len(seqs) for seqs in talk.evidence),
    )
