"""Whether the log holds exactly what the clients were told: the model of a log, and every way to fall short of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from torture import derived, reads
from torture.found import Found, Row
from torture.history import Op
from torture.violation import Violation


@dataclass
class Wish:
    """A turn that somebody wanted in a log, with all attempts to get it there: each the operation, and which of its."""

    key: str
    text: str
    session: str
    attempts: list[tuple[Op, int]] = field(default_factory=list[tuple[Op, int]])

    @property
    def told(self) -> list[tuple[int, str]]:
        """Where it was acknowledged."""
        return [op.places[n] for op, n in self.attempts if op.outcome == "ok"]

    @property
    def possible(self) -> bool:
        """Whether it may be in the log: a conflict is final, any other failure says nothing of other attempts."""
        if any(op.conflict is not None for op, _ in self.attempts):
            return False
        return any(op.outcome != "failed" for op, _ in self.attempts)

    @property
    def began(self) -> int:
        return min(op.began for op, _ in self.attempts)

    @property
    def ended(self) -> int | None:
        """When it was first acknowledged."""
        return min((op.ended for op, _ in self.attempts if op.outcome == "ok" and op.ended), default=None)


def judge(ops: Sequence[Op], found: Found) -> list[Violation]:
    """Every promise that was broken; none is what is wanted."""
    wishes, erased = _wishes(ops), _erased(ops)
    return [
        *_once(wishes, found, erased),
        *_in_place(wishes, found),
        *_batches(ops, found),
        *_versions(ops, found),
        *_in_order(wishes, found),
        *_dense(found),
        *_gone(ops, found),
        *reads.judge(ops, found, {wish.key: wish.began for wish in wishes.values()}, erased),
        *derived.judge(ops, found, {wish.key: wish.began for wish in wishes.values()}, erased),
    ]


def _wishes(ops: Iterable[Op]) -> dict[str, Wish]:
    found: dict[str, Wish] = {}
    for op in ops:
        for n, (key, text) in enumerate(op.turns):
            found.setdefault(key, Wish(key, text, op.session)).attempts.append((op, n))
    return found


def _erased(ops: Iterable[Op]) -> set[str]:
    """Sessions that are gone or may be: nobody appends to them once their erasure began.

    Who is told that there is no such session may have been heard twice.
    """
    asked = (op for op in ops if op.kind == "erase")
    return {op.session for op in asked if op.outcome != "failed" or op.reason.startswith("NotFound")}


def _rows(found: Found) -> Iterator[tuple[str, Row]]:
    return ((session, row) for session, rows in found.rows.items() for row in rows)


def _once(wishes: dict[str, Wish], found: Found, erased: set[str]) -> Iterator[Violation]:
    """An acknowledged turn is there once, a refused one not at all, any other at most once, and nobody else's."""
    times = Counter(row.key for _, row in _rows(found))
    for key, wish in wishes.items():
        there = times.pop(key, 0)
        if there > 1:
            yield Violation("duplicated", f"{key} is in the log {there} times")
        if there == 0 and wish.told and wish.session not in erased:
            yield Violation("lost", f"{key} was acknowledged at {wish.told[0]} of {wish.session} and is in no log")
        if there and not wish.possible:
            yield Violation("invented", f"{key} was refused, and is in the log")
        if len(set(wish.told)) > 1:
            yield Violation("duplicated", f"{key} was acknowledged at several places: {wish.told}")
        if sum(op.saved is True for op, _ in wish.attempts) > 1:
            yield Violation("duplicated", f"{key} was told to be new more than once")
    for key in times:
        yield Violation("invented", f"nobody sent {key}")


def _in_place(wishes: dict[str, Wish], found: Found) -> Iterator[Violation]:
    """A turn has its text, in its session, and is where it was acknowledged, under that id."""
    for session, row in _rows(found):
        if row.key is None or (wish := wishes.get(row.key)) is None:
            continue
        if (session, row.text) != (wish.session, wish.text):
            yield Violation("invented", f"{row.key} is {row.text!r} in {session}, was {wish.text!r} in {wish.session}")
        for seq, id in wish.told:
            if (seq, id) != (row.seq, row.id):
                yield Violation("reordered", f"{row.key} was acknowledged at {seq} ({id}), is at {row.seq} ({row.id})")


def _batches(ops: Iterable[Op], found: Found) -> Iterator[Violation]:
    """All turns of one append are there, one behind the other, or none is."""
    seqs = {row.key: row.seq for _, row in _rows(found)}
    for op in ops:
        if len(op.turns) < 2 or op.outcome == "failed":
            continue
        there = [seqs[key] for key, _ in op.turns if key in seqs]
        if there and len(there) < len(op.turns):
            yield Violation("lost", f"{op.id} appended {len(op.turns)} turns together, and {len(there)} are there")
        elif there and there != list(range(there[0], there[0] + len(there))):
            yield Violation("reordered", f"{op.id} appended together what stands at {there}")


def _versions(ops: Iterable[Op], found: Found) -> Iterator[Violation]:
    """What expected a version stands right behind it, nobody else succeeded from it, and conflicts were true."""
    seqs, versions = {row.key: row.seq for _, row in _rows(found)}, found.versions
    won: dict[tuple[str, int], str] = {}
    for op in ops:
        if op.kind != "append":
            continue
        first = op.turns[0][0]
        if op.expected is not None and first in seqs and seqs[first] != op.expected + 1:
            yield Violation("reordered", f"{first} expected version {op.expected}, is turn {seqs[first]}")
        if op.outcome == "ok" and op.expected is not None:
            other = won.setdefault((op.session, op.expected), first)
            if other != first:
                yield Violation("reordered", f"{first} and {other} both succeeded from version {op.expected}")
        untrue = op.conflict is not None and (
            op.conflict == op.expected or op.conflict > versions.get(op.session, op.conflict)
        )
        if untrue:
            yield Violation("untrue", f"{op.id} expected {op.expected} and was told of version {op.conflict}")
        if op.outcome == "ok" and op.version is not None and op.places and op.version < max(p[0] for p in op.places):
            yield Violation("untrue", f"{op.id} was told of version {op.version}, before its own turns {op.places}")


def _in_order(wishes: dict[str, Wish], found: Found) -> Iterator[Violation]:
    """What was acknowledged before another was sent stands before it."""
    for session, rows in found.rows.items():
        earliest: Wish | None = None  # the first acknowledgement of a turn further on
        for row in sorted(rows, key=lambda row: -row.seq):
            wish = wishes.get(row.key or "")
            if wish is None:
                continue
            if earliest is not None and earliest.ended is not None and earliest.ended < wish.began:
                told = f"{earliest.key} was acknowledged before {wish.key} was sent"
                yield Violation("reordered", f"{told}, and stands behind it in {session}")
            if wish.ended is not None and (earliest is None or wish.ended < (earliest.ended or wish.ended + 1)):
                earliest = wish


def _dense(found: Found) -> Iterator[Violation]:
    """Turns are numbered from 1 without a gap, the version is their number, no id comes twice, and none lies about."""
    for session, version in found.versions.items():
        seqs = [row.seq for row in found.rows[session]]
        if seqs != list(range(1, version + 1)):
            yield Violation("not dense", f"{session} is at version {version} and has turns ...{seqs[-3:]}")
    ids = Counter(row.id for _, row in _rows(found))
    yield from (Violation("duplicated", f"the id {id} comes {n} times") for id, n in ids.items() if n > 1)
    if found.stored != sum(map(len, found.rows.values())):
        yield Violation("invented", f"{found.stored} turns are stored, {sum(map(len, found.rows.values()))} are shown")


def _gone(ops: Iterable[Op], found: Found) -> Iterator[Violation]:
    """What was erased is not there, in the log or in what follows from it."""
    for session in {op.session for op in ops if op.kind == "erase" and op.outcome == "ok"}:
        left = [action for action, _ in found.events.get(session, []) if action not in ("delete", "expire")]
        if session in found.versions or left:
            yield Violation("not erased", f"{session}: {left or 'it is listed'}")
