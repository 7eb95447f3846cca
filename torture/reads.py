"""Whether what was read was true: it is in the log, it was there by then, and nobody is sent back in time."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from torture.found import Found
from torture.history import Op
from torture.violation import Violation


def judge(ops: Sequence[Op], found: Found, began: dict[str, int], erased: set[str]) -> Iterator[Violation]:
    """`began` says when each turn was first sent, by its key."""
    yield from _true(ops, found, began, erased)
    yield from _never_back(ops, erased)


def _true(ops: Iterable[Op], found: Found, began: dict[str, int], erased: set[str]) -> Iterator[Violation]:
    """Every turn that was shown is in the log at that place, was sent before it was shown, and none is left out."""
    for op in ops:
        if op.kind != "read" or op.outcome != "ok" or op.session in erased:
            continue
        log = {row.seq: row for row in found.rows.get(op.session, [])}
        for seq, id, text in op.rows:
            row = log.get(seq)
            if row is None:
                yield Violation("lost", f"{op.id} was shown turn {seq} of {op.session}, which is in no log")
            elif (row.id, row.text) != (id, text):
                yield Violation("reordered", f"{op.id} was shown {text!r} at {seq} of {op.session}, now {row.text!r}")
            elif op.ended is not None and began.get(row.key or "", 0) > op.ended:
                yield Violation("invented", f"{op.id} was shown {row.key} before it was sent")
        seqs = [seq for seq, _, _ in op.rows]
        if seqs != list(range(seqs[0], seqs[0] + len(seqs)) if seqs else []):
            yield Violation("reordered", f"{op.id} was shown turns {seqs} of {op.session}")
        ends = [seqs[:1] == [1], seqs[-1:] == [op.version]]
        if op.version and not (all(ends) if len(seqs) < (op.mark or 0) else any(ends)):
            yield Violation("lost", f"{op.id} saw {seqs} of {op.session} at version {op.version}")


def _never_back(ops: Iterable[Op], erased: set[str]) -> Iterator[Violation]:
    """Who asks after an answer sees at least what the answer said, whoever got it."""
    known: dict[str, list[tuple[int, int]]] = defaultdict(list)  # when an answer came, and the version it told of
    asked: list[tuple[Op, str, int]] = []
    for op in ops:
        if op.outcome != "ok" or op.ended is None:
            continue
        told = op.versions if op.kind == "list" else {op.session: op.version}
        if op.kind == "append":
            known[op.session].append((op.ended, max(seq for seq, _ in op.places)))
        elif op.kind in ("read", "list"):
            for session, version in told.items():
                if version is not None and session not in erased:
                    known[session].append((op.ended, version))
                    asked.append((op, session, version))
    highest: dict[str, tuple[list[int], list[int]]] = {}
    for session, answers in known.items():
        answers.sort()
        tops: list[int] = []
        for _, version in answers:
            tops.append(max(version, tops[-1] if tops else 0))
        highest[session] = [at for at, _ in answers], tops
    for op, session, version in asked:
        times, tops = highest[session]
        before = bisect_left(times, op.began)
        if before and tops[before - 1] > version:
            yield Violation("stale", f"{op.id} saw {session} at {version}, after an answer told of {tops[before - 1]}")
