"""Whether what follows from the log is true of it: snapshots, findings, contexts, events and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torture.found import Found, Snap
from torture.history import Op
from torture.violation import Violation


def judge(ops: Sequence[Op], found: Found, began: dict[str, int], erased: set[str]) -> Iterator[Violation]:
    """`began` says when each turn was first sent, by its key."""
    for session, snaps in found.snapshots.items():
        yield from _numbered(session, snaps, found)
        for snap in snaps:
            yield from _cites_what_is_there(session, snap, found)
    yield from _streams(found)
    yield from _shown(ops, found, began, erased)
    yield from _contexts(ops, found, began, erased)
    yield from (Violation("job not done", job) for job in found.left)
    yield from (Violation("dead job", job) for job in found.dead)
    yield from (Violation("unsound", fault) for fault in found.faults)


def _numbered(session: str, snaps: list[Snap], found: Found) -> Iterator[Violation]:
    """Versions run from 1, each covers more than the one before, and the last of a closed session covers all of it."""
    through = [snap.through for snap in snaps]
    if [snap.version for snap in snaps] != list(range(1, len(snaps) + 1)):
        yield Violation("phantom", f"{session} has the snapshots {[snap.version for snap in snaps]}")
    if through != sorted(set(through)):
        yield Violation("phantom", f"{session} was consolidated twice: through {through}")
    if through and through[-1] > found.versions[session]:
        yield Violation(
            "phantom", f"{session} is at {found.versions[session]} and has a snapshot through {through[-1]}"
        )
    closed = [action for action, _ in found.events.get(session, []) if action in ("open", "close")][-1:] == ["close"]
    if closed and found.versions[session] != (through[-1] if through else 0):
        yield Violation("not consolidated", f"{session} is at {found.versions[session]}, its snapshots {through}")


def _cites_what_is_there(session: str, snap: Snap, found: Found) -> Iterator[Violation]:
    """Each source lies in turns that the snapshot saw, and what is quoted stands in one of them."""
    for cited in snap.cited:
        log = {row.seq: row.text for row in found.rows.get(cited.session, [])}
        run = range(cited.first, cited.last + 1)
        where = f"snapshot {snap.version} of {session} cites turns {cited.first} to {cited.last} of {cited.session}"
        if cited.session == session and cited.last > snap.through:
            yield Violation("phantom", f"{where}, and covers {snap.through}")
        elif any(seq not in log for seq in run):
            yield Violation("phantom", f"{where}, which are not there")
        elif cited.quote and not any(cited.quote in log[seq] for seq in run):
            yield Violation("phantom", f"{where} for {cited.quote!r}, which none of them says")


def _streams(found: Found) -> Iterator[Violation]:
    """The stream tells of every turn once, in order, and of each snapshot after the turns that it covers."""
    for session, version in found.versions.items():
        through, saved = 0, list[tuple[int, int]]()
        for action, detail in found.events.get(session, []):
            if action == "append":
                if detail["version"] != through + detail["turns"]:
                    yield Violation(
                        "stream", f"{session} went from {through} by {detail['turns']} to {detail['version']}"
                    )
                through = detail["version"]
            elif action == "consolidate":
                saved.append((detail["version"], detail["through"]))
                if detail["through"] > through:
                    yield Violation("phantom", f"{session} was consolidated through {detail['through']} of {through}")
        if through != version:
            yield Violation("stream", f"{session} was told up to {through} and is at {version}")
        kept = [(snap.version, snap.through) for snap in found.snapshots[session]]
        if saved != kept:
            yield Violation("phantom", f"{session}: the stream tells of snapshots {saved}, there are {kept}")


def _shown(ops: Iterable[Op], found: Found, began: dict[str, int], erased: set[str]) -> Iterator[Violation]:
    """Each snapshot that somebody was shown is there, and covered no turn that was not sent by then."""
    for op in ops:
        if op.kind != "snapshots" or op.outcome != "ok" or op.session in erased:
            continue
        there = {(snap.version, snap.through) for snap in found.snapshots.get(op.session, [])}
        log = {row.seq: row.key or "" for row in found.rows.get(op.session, [])}
        for version, through in op.snapshots:
            if (version, through) not in there:
                yield Violation(
                    "phantom", f"{op.id} was shown snapshot {version} of {op.session} ({through}), gone now"
                )
            elif op.ended is not None and began.get(log.get(through, ""), 0) > op.ended:
                yield Violation("phantom", f"{op.id} was shown a snapshot through {through}, which nobody had said yet")


def _contexts(ops: Sequence[Op], found: Found, began: dict[str, int], erased: set[str]) -> Iterator[Violation]:
    """A context tells only of turns that are in a log, and were sent before it was answered."""
    keys = {row.key for rows in found.rows.values() for row in rows}
    gone = {key for op in ops if op.session in erased for key, _ in op.turns}
    for op in ops:
        if op.kind != "context" or op.outcome != "ok":
            continue
        for key in op.told:
            if key not in keys and key not in gone:
                yield Violation("phantom", f"{op.id} was told of {key}, which is in no log")
            elif op.ended is not None and began.get(key, 0) > op.ended:
                yield Violation("phantom", f"{op.id} was told of {key} before it was sent")
