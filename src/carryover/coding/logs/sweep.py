"""One pass over all logs: what is new in them is read, logged and archived, a batch a transaction.

A batch is the steps, the spends, the bytes and the cursor behind them, all or none: killed anywhere, the next sweep
goes on where the last batch ended. What is read twice is logged once, by the identity of each step.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from carryover.coding.adapters.base import Adapter, Part, Reading
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs import archive
from carryover.coding.logs.reading import beginning, is_packed, opened, read
from carryover.coding.repos import repo_of
from carryover.core.errors import CarryoverError, StoreUnavailable
from carryover.core.scope import Scope
from carryover.core.step import About, Flavor, uid
from carryover.store import archive as vault
from carryover.store import cursors, marks, origins, sessions, steps
from carryover.store.archive import Piece, Tail
from carryover.store.cursors import Cursor, Format, Stamp
from carryover.store.steps import Found
from carryover.store.store import Store, Tx

BATCH = 4 << 20  # bytes of one log that are read before they are committed
_COMMIT_BYTES, _COMMIT_FILES = 8 << 20, 200  # of several logs that share a commit
_HEAD = 64 << 10  # bytes by which an adapter knows its own
_EDGE = 4 << 10  # bytes at either end of what was read by which a rewritten log is known


@dataclass(slots=True)
class Tally:
    """What a sweep met of one flavor."""

    files: int = 0
    ingested: int = 0
    bytes: int = 0
    steps: int = 0
    malformed: int = 0
    sessions: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class Swept:
    """What a sweep did: `discovered` logs, of them `ingested` because something was new, or `skipped` unchanged.

    `unrecognised` files are of no known flavor; `failed` ones could not be read, with the reason. `drift` are types of
    records that were met for the first time and that nothing reads.
    """

    discovered: int = 0
    ingested: int = 0
    skipped: int = 0
    unrecognised: list[str] = field(default_factory=list[str])
    failed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    flavors: dict[Flavor, Tally] = field(default_factory=dict[Flavor, Tally])
    drift: list[Format] = field(default_factory=list[Format])

    def of(self, flavor: Flavor) -> Tally:
        return self.flavors.setdefault(flavor, Tally())


@dataclass(frozen=True, slots=True)
class Options:
    """How a sweep reads; without `archived` the bytes themselves are not kept, without `indexed` nothing is armed."""

    user: str | None = None
    archived: bool = True
    indexed: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Log:
    """A file to be read: `name` stands for its path in the store, `new` is one that was never read."""

    adapter: Adapter
    path: Path
    name: str
    stamp: Stamp
    new: bool

    @property
    def goes_on(self) -> bool:
        """Whether a log like this only ever grows; others are read anew when they change."""
        return self.adapter.form == "lines" and not is_packed(self.path)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What was read of one log, and the cursor before and after it."""

    before: Cursor | None
    after: Cursor
    reading: Reading
    pieces: list[Piece]
    size: int


def sweep(
    store: Store,
    scope: Scope,
    files: Sequence[tuple[str, Stamp]],
    options: Options = Options(),
    told: Callable[[], None] = lambda: None,
) -> Swept:
    """Everything new in the files (`discover.files_in`) is in the log and in the archive; `told` is called for each.

    What a log holds is never lost by this: what no adapter reads is counted, and kept with the rest of its bytes.
    Raises StoreUnavailable where the store is not there; what was committed until then stays.
    """
    done = Swept()
    with store.read(scope) as tx:
        known = cursors.stamps(tx)
        types_before = {(one.flavor, one.version, one.type) for one in cursors.types(tx, unknown=True)}
    waiting: list[_Batch] = []
    unchanged: Counter[Flavor] = Counter()
    for path, stamp in files:
        told()
        seen = known.get(path)
        if seen is not None and seen[1:5] == stamp:
            unchanged[seen[5]] += 1
            continue
        if seen is None:
            name = cursors.name_of(path)
            buried = known.get(cursors.buried(name))
            seen = buried or known.get(name)
        else:
            name, buried = path, None
        if seen is not None and (buried or seen[1:5] == stamp):
            unchanged[seen[5]] += 1
            continue
        if stamp.size == 0:
            continue  # begun, and nothing is in it yet
        try:
            adapter = _adapter(path)
            if adapter is None:
                done.unrecognised.append(name)
                continue
            done.discovered += 1
            tally = done.of(adapter.flavor)
            tally.files += 1
            if options.dry_run:
                done.ingested += 1
                tally.ingested += 1
                continue
            something = False
            log = _Log(adapter, Path(path), name, stamp, new=seen is None)
            for batch in _batches(store, scope, log, options):
                something = something or batch.size > 0
                waiting.append(batch)
                if sum(one.size for one in waiting) >= _COMMIT_BYTES or len(waiting) >= _COMMIT_FILES:
                    _commit(store, scope, waiting, options, done)
            if something:
                done.ingested += 1
                tally.ingested += 1
            else:
                done.skipped += 1
        except StoreUnavailable:
            raise  # that is not about this log
        except (OSError, CarryoverError) as cause:
            done.failed.append((name, str(cause)))
    _commit(store, scope, waiting, options, done)
    done.discovered += unchanged.total()
    done.skipped += unchanged.total()
    for flavor, count in unchanged.items():
        done.of(flavor).files += count
    if not options.dry_run:
        with store.read(scope) as tx:
            unknown = cursors.types(tx, unknown=True)
        done.drift = [one for one in unknown if (one.flavor, one.version, one.type) not in types_before]
    return done


def _adapter(path: str) -> Adapter | None:
    head = beginning(Path(path), _HEAD)
    return adapter_for(head, Path(path)) if head else None


def _batches(store: Store, scope: Scope, log: _Log, options: Options) -> Iterator[_Batch]:
    """What is new in the log, a batch after the other; each begins where the one before it ended."""
    was, tail, parts = (None, vault.START, {}) if log.new else _left(store, scope, log.name)
    archived = options.archived and not (was is not None and was.erased)
    with opened(log.adapter, log.path) as file:
        size = file.seek(0, os.SEEK_END)
        looks = _edges(file, size)
        same = 0 if was is None else _same(store, scope, log, file, size, was)
        if was is not None and same == size:
            yield _Batch(was, replace(was, stamp=log.stamp), Reading(log.path), [], 0)
            return  # written again, and nothing in it has changed
        if was is not None and same and log.goes_on:
            at = was
        else:
            generation = 0 if was is None else was.generation + 1
            at = Cursor(log.name, log.adapter.flavor, log.stamp, 0, "", "", generation=generation)
            tail, parts = vault.START, {}
        while True:
            kept: dict[str, Any] = {"state": json.loads(at.state), "parts": parts, "until": at.offset + BATCH}
            reading, end = read(log.adapter, log.path, file, start=at.offset, **kept)
            more = end - at.offset >= BATCH and log.adapter.form != "document"
            upto = end if more else _end(file, end)
            pieces = list(archive.cut(file, tail, upto)) if archived else []
            edges = _edges(file, end)
            after = replace(
                at,
                # What is not read to its end looks like no file does: whatever happens, it is read on.
                stamp=log.stamp._replace(size=-1) if more else log.stamp,
                offset=end,
                prefix=edges,
                content=archive.content(at.content, pieces) if archived else _unarchived(edges, end),
                state=json.dumps(reading.state, ensure_ascii=False, separators=(",", ":")),
                malformed=at.malformed + reading.malformed,
                erased=not archived and options.archived,
            )
            if _edges(file, size) != looks:
                raise OSError("it was written anew while it was read")
            yield _Batch(was, after, reading, pieces, end - at.offset)
            if not more:
                return
            was, at, tail = after, after, pieces[-1].tail if pieces else tail
            parts = {session: Part(part.about) for session, part in reading.parts.items()}


def _left(store: Store, scope: Scope, name: str) -> tuple[Cursor | None, Tail, dict[str, Part]]:
    """What the last reading of the log left: its cursor, where archiving goes on, and what it told of its sessions."""
    with store.read(scope) as tx:
        was = cursors.get(tx, name)
        tail = vault.START if was is None else vault.tail(tx, name, was.generation)
        return was, tail, {session: Part(about) for _, session, about in origins.of_path(tx, name)}


def _same(store: Store, scope: Scope, log: _Log, file: IO[bytes], size: int, was: Cursor) -> int:
    """Up to which byte the log is what was read of it; 0 where something in that has changed.

    Of one that has grown in its place the edges tell; any other is compared with what is archived of it.
    """
    if was.flavor != log.adapter.flavor:
        return 0
    in_place = was.stamp[:2] == log.stamp[:2]
    if in_place and log.goes_on and size > max(was.stamp.size, was.offset):
        return was.offset if _edges(file, was.offset) == was.prefix else 0
    with store.read(scope) as tx:
        pieces = vault.kept(tx, log.name, was.generation)
    if not pieces:
        same = was.offset <= size and was.content == _unarchived(_edges(file, was.offset), was.offset)
        return was.offset if same else 0
    file.seek(0)
    if any(archive.hash_of(file.read(piece.length)) != piece.whole for piece in pieces):
        return 0
    return pieces[-1].start + pieces[-1].length


def _unarchived(edges: str, end: int) -> str:
    """What stands for the content of a log whose bytes are not kept."""
    return uid(edges, str(end))


def _edges(file: IO[bytes], end: int) -> str:
    """The hash of the first and the last bytes before `end`."""
    file.seek(0)
    first = file.read(min(_EDGE, end))
    file.seek(max(0, end - _EDGE))
    return uid(first, file.read(min(_EDGE, end)))


def _end(file: IO[bytes], end: int) -> int:
    """Where the file ends: what follows the last whole record is kept in the archive, too."""
    file.seek(end)
    while block := file.read(1 << 20):
        end += len(block)
    return end


def _commit(store: Store, scope: Scope, waiting: list[_Batch], options: Options, done: Swept) -> None:
    """All that waits is on disk; `waiting` is empty afterwards."""
    # In one order, so that two sweeps never wait for each other.
    batches = sorted(waiting, key=lambda batch: batch.after.path)
    waiting.clear()
    if not batches:
        return
    taken, counts = store.transact(scope, lambda tx: _written(tx, batches, options))
    for batch in taken:
        tally = done.of(batch.after.flavor)
        tally.bytes += batch.size
        tally.malformed += batch.reading.malformed
        tally.sessions.update(session for session, part in batch.reading.parts.items() if part.steps)
    for (flavor, _), new in counts.items():
        done.of(flavor).steps += new


def _written(tx: Tx, batches: list[_Batch], options: Options) -> tuple[list[_Batch], Counter[tuple[Flavor, str]]]:
    """The batches that are in the store now, and how many of their steps were new, by (flavor, session).

    Of a log where another sweep was faster nothing is written.
    """
    gone = cursors.gone(tx, {(one.after.flavor, session) for one in batches for session in one.reading.parts})
    kept = [_without(batch, gone) for batch in batches] if gone else batches
    moved = cursors.advance(tx, [(batch.before, batch.after) for batch in kept])
    taken = [batch for batch, here in zip(kept, moved, strict=True) if here]
    found: list[Found] = []
    said: dict[tuple[Flavor, str, str], About] = {}
    seen: dict[Flavor, Counter[tuple[str, str, bool]]] = {}
    for batch in taken:
        flavor = batch.after.flavor
        for session, part in batch.reading.parts.items():
            said[flavor, session, batch.after.path] = part.about
            found.append(Found(flavor, session, part.steps, options.user, spends=part.spends))
        seen.setdefault(flavor, Counter()).update(batch.reading.formats)
    ranks = _joined(tx, taken)
    origins.put(tx, [(*key, about) for key, about in said.items()])
    shown = {(flavor, session): _shown(tx, flavor, session) for flavor, session, _ in said}
    told = [replace(one, metadata=shown[one.agent, one.session]) for one in found]
    counts = steps.append_all(tx, told, indexed=options.indexed)
    for session, rank in origins.ranks(tx, list(ranks)).items():
        if rank < ranks[session]:  # it began earlier than was known: it may own what others hold copies of
            steps.due(tx, marks.sharers(tx, *session))
    for batch in taken:
        vault.put(tx, batch.after.path, batch.after.generation, batch.pieces)
    vault.erase(tx, [batch.after.path for batch in taken if batch.after.erased])
    for flavor in sorted(seen):
        cursors.saw(tx, flavor, seen[flavor])
    return taken, counts


def _joined(tx: Tx, taken: Sequence[_Batch]) -> dict[tuple[str, str], origins.Rank]:
    """The ranks of sessions that were known, and that one more log tells of now."""
    found = [(one.after.flavor, session) for one in taken if one.before is None for session in one.reading.parts]
    return origins.ranks(tx, sorted(sessions.find(tx, list(dict.fromkeys(found)))))


def _without(batch: _Batch, gone: set[tuple[str, str]]) -> _Batch:
    """The batch without erased sessions; of a log that holds one of them no bytes are archived any more."""
    flavor, reading = batch.after.flavor, batch.reading
    left = {session: part for session, part in reading.parts.items() if (flavor, session) not in gone}
    if len(left) == len(reading.parts):
        return batch
    after = batch.after
    content = _unarchived(after.prefix, after.offset)
    return replace(
        batch, after=replace(after, content=content, erased=True), reading=replace(reading, parts=left), pieces=[]
    )


def _shown(tx: Tx, flavor: Flavor, session: str) -> dict[str, Any]:
    """What a list of sessions shows of one: what all its logs say that were read, whichever of them came first."""
    found = [about for _, about in origins.abouts(tx, flavor, session)]
    found.sort(key=lambda about: (about.first_at is None, about.first_at or 0))
    said = {
        "flavor": flavor,
        "repo": repo_of(found) or None,
        "branch": next((about.branch for about in found if about.branch), None),
        "title": next((about.title for about in reversed(found) if about.title), None),
        "parent": next((about.parent for about in found if about.parent), None),
    }
    return {name: value for name, value in said.items() if value is not None}
