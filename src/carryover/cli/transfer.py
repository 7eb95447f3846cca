"""The verbs that carry sessions out and in."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer

from carryover.cli import archive, drafts, rawjson, show
from carryover.cli.archive import Archived
from carryover.cli.memory import local, memory, scope
from carryover.cli.options import AGENT, Agent, AsJson, example
from carryover.core import files
from carryover.core.clock import SystemClock
from carryover.core.errors import Invalid, NotFound
from carryover.core.session import Append, Draft, Session, Turn
from carryover.core.text import digest
from carryover.settings import load
from carryover.store import audit

if TYPE_CHECKING:
    from carryover.client.client import Client
    from carryover.runtime import Carryover

    Memory = Carryover | Client

app = typer.Typer(rich_markup_mode=None)

PAGE = 500
BATCH_TURNS, BATCH_BYTES = 10_000, 8 << 20  # of one append: a session that is larger takes several
_BOM = b"\xef\xbb\xbf"


@app.command(
    "export",
    epilog=example(
        "carryover export backup.jsonl",
        "carryover export --session s1 > s1.jsonl",
        "carryover export --raw 53ea19c1-7a43 -o logs/",
    ),
)
def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write; `-` is standard output.")] = "-",
    session: Annotated[list[str] | None, typer.Option(help="Only this session; may be repeated.")] = None,
    agent: Agent = AGENT,
    raw: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION", help="The archived logs of this coding session, as the coding agent wrote them."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; a folder for several logs.")
    ] = None,
    redacted: Annotated[bool, typer.Option("--redact", help="With --raw: mask secrets.")] = False,
    partial: Annotated[bool, typer.Option(help="With --raw: what is left of logs that were thinned out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write sessions to a file, byte for byte.

    Every session of the agent, or those named: one line for each session and each turn, after one that names the
    format. `carryover import` reads it back. With `--raw` it writes the files of one coding session as they were.
    """
    file = output or file
    if raw is None and (redacted or partial):
        raise typer.BadParameter("it goes with --raw SESSION", param_hint="--redact" if redacted else "--partial")
    if as_json and file == "-":
        raise typer.BadParameter("standard output is the export itself; name a file", param_hint="--json")
    if raw is not None:
        _raw(raw, None if agent == AGENT else agent, file, redacted=redacted, partial=partial, as_json=as_json)
        return
    with memory() as opened:
        chosen = [opened.session(name, agent=agent) for name in session] if session else list(_every(opened, agent))
        _note(opened, agent, chosen)
        with _writing(file) as target, show.progress("export", sum(s.version for s in chosen)) as advance:
            target.write(archive.header(SystemClock().now()))
            for one in chosen:
                for line in archive.write(one, _turns(opened, one)):
                    target.write(line)
                advance(one.version)
    turns = sum(one.version for one in chosen)
    if as_json:
        show.as_json({"file": file, "sessions": len(chosen), "turns": turns})
    else:
        show.note(f"exported {show.counted(len(chosen), 'session')} with {show.counted(turns, 'turn')}")


@app.command(
    "import",
    epilog=example("carryover import backup.jsonl", "carryover import chat.json --session s1 --user mara"),
)
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to read; `-` is standard input.")],
    session: Annotated[
        str | None, typer.Option(help="The session of messages that name none (default: the file's name).")
    ] = None,
    agent: Agent = AGENT,
    user: Annotated[str | None, typer.Option(help="The person served, for messages that name none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read sessions from an export, or messages from JSON.

    Reads what `carryover export` wrote; JSON lines of messages (`session_id`, `role`, `content`, `created_at`...);
    or a JSON list of messages. What is there already is not imported twice, so a broken import can be repeated. A
    session with a line that cannot be read is not imported at all.
    """
    name = session or (Path(file).stem if file != "-" else None)
    with _reading(file) as source:
        first = source.readline().removeprefix(_BOM)
        whole = archive.is_header(first)
        sessions = archive.read(source) if whole else _messages(first, source, name, agent, user)
        with memory() as opened, show.progress("import", _size(source)) as advance:
            done, turns, new = 0, 0, 0
            for one in sessions:
                new += _bring(opened, one)
                done, turns = done + 1, turns + len(one.drafts)
                advance(one.size)
    if as_json:
        show.as_json({"sessions": done, "turns": turns, "new_turns": new})
    else:
        known = "" if new == turns else f", {show.counted(turns - new, 'turn')} of them known already"
        show.note(f"imported {show.counted(done, 'session')} with {show.counted(turns, 'turn')}{known}")


def _note(opened: Memory, agent: str, chosen: Sequence[Session]) -> None:
    """An export is in the audit log of the database that it comes from; a server sees nothing but reads."""
    settings = load().settings
    if settings.url:
        return
    turns = show.counted(sum(one.version for one in chosen), "turn")
    audit.record(
        cast("Carryover", opened).engine.store,
        scope(settings),
        action="export",
        subject=f"agent {agent}",
        detail=f"{show.counted(len(chosen), 'session')}, {turns}",
    )


def _raw(session: str, agent: str | None, target: str, *, redacted: bool, partial: bool, as_json: bool) -> None:
    """The archived logs of a coding session are written."""
    rawlog = importlib.import_module("carryover.cli.rawlog")  # the archive takes longer to load than all else here
    written = rawlog.export(local("export --raw"), rawlog.Wanted(session, agent, redacted, partial), target)
    if as_json:
        show.as_json([{"log": log, "file": file, "bytes": size} for log, file, size in written])
    else:
        for log, file, size in written:
            show.note(f"exported {show.counted(size, 'byte')} of {log}" + ("" if file == "-" else f" to {file}"))


def _every(opened: Memory, agent: str) -> Iterator[Session]:
    """The agent's sessions, the oldest first."""
    found, cursor = opened.sessions(agent=agent, limit=PAGE)
    while cursor:
        more, cursor = opened.sessions(agent=agent, limit=PAGE, cursor=cursor)
        found += more
    return reversed(found)


def _turns(opened: Memory, session: Session) -> Iterator[Turn]:
    seen = 0
    while seen < session.version:
        most = min(PAGE, session.version - seen)
        _, page = opened.turns(session.session_id, agent=session.agent_id, after=seen, limit=most)
        yield from (turn for turn in page if turn.seq <= session.version)  # some before it may have been erased
        seen = page[-1].seq if page else session.version


def _bring(opened: Memory, one: Archived) -> int:
    """The session is in the log with all its turns; how many of them are new."""
    version, ids = _known(opened, one)
    missing = [draft for id, draft in zip(one.ids, one.drafts, strict=True) if id not in ids]
    new = 0
    for n, batch in enumerate(_batches(missing)):
        metadata = one.metadata if n == 0 and one.metadata else None
        request = Append(one.session_id, tuple(batch), one.agent_id, one.user_id, metadata=metadata)
        new += sum(place.seq > version for place in opened.append(request).turns)
    if new and one.ttl_s is not None:
        opened.set_ttl(one.session_id, one.ttl_s, agent=one.agent_id)
    if new and one.closed:
        opened.close_session(one.session_id, agent=one.agent_id)
    return new


def _known(opened: Memory, one: Archived) -> tuple[int, set[str]]:
    """The session's version in this log, and the ids of its turns: an export may come back to where it came from."""
    try:
        session = opened.session(one.session_id, agent=one.agent_id)
    except NotFound:
        return 0, set()
    return session.version, {turn.id for turn in _turns(opened, session) if turn.idempotency_key is None}


def _batches(new: Sequence[Draft]) -> Iterator[list[Draft]]:
    batch: list[Draft] = []
    size = 0
    for draft in new:
        grown = size + len(draft.content)
        if batch and (len(batch) == BATCH_TURNS or grown > BATCH_BYTES):
            yield batch
            batch, grown = [], len(draft.content)
        batch.append(draft)
        size = grown
    if batch:
        yield batch


def _messages(first: bytes, source: IO[bytes], name: str | None, agent: str, user: str | None) -> Iterator[Archived]:
    """The sessions of messages in a JSON list, or one on each line; all of them are read before the first comes."""
    by_session: dict[tuple[str, str], list[tuple[bytes, drafts.Line]]] = {}
    for where, data in _objects(first, source):
        line = drafts.parse(data, where)
        session = line.session_id or name
        if session is None:
            raise Invalid(f"{where} names no session; give one with --session")
        owner = agent if line.agent_id == AGENT else line.agent_id
        by_session.setdefault((owner, session), []).append((data, line))
    for (owner, session), lines in by_session.items():
        keyed = tuple(_keyed(session, n, data, line.draft) for n, (data, line) in enumerate(lines))
        users = {line.user_id for _, line in lines if line.user_id} or {user}
        if len(users) > 1:
            raise Invalid(f"session {session!r} names several users; a session has one: split it")
        yield Archived(
            agent_id=owner,
            session_id=session,
            user_id=users.pop(),
            metadata={},
            ttl_s=None,
            closed=False,
            drafts=keyed,
            ids=("",) * len(keyed),
            size=sum(len(data) for data, _ in lines),
        )


def _objects(first: bytes, source: IO[bytes]) -> Iterable[tuple[str, bytes]]:
    """The JSON objects of a file, each with where it stands."""
    if first.lstrip()[:1] != b"[":
        lines = (line for line in (first, *source))
        return ((f"line {n}", line) for n, line in enumerate(lines, 1) if line.strip())
    try:
        items = rawjson.items((first + source.read()).decode())
    except ValueError as cause:
        raise Invalid(f"the file begins like a JSON list and is none ({cause}); correct it") from cause
    return ((f"message {n}", item.encode()) for n, item in enumerate(items, 1))


def _keyed(session: str, n: int, data: bytes, draft: Draft) -> Draft:
    """A message is known again by its place in its session and by its bytes."""
    if draft.idempotency_key is not None:
        return draft
    return replace(draft, idempotency_key="line:" + digest(session, str(n), data.strip().decode())[3:])


@contextmanager
def _writing(file: str) -> Generator[IO[bytes]]:
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # Its owner's alone: it holds what was said, readable.
    try:
        with files.replacing(Path(file), files.PRIVATE) as target:
            yield target
    except OSError as cause:
        raise Invalid(f"{file} cannot be written ({cause.strerror}); choose another file") from cause


@contextmanager
def _reading(file: str) -> Generator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as source:
            yield source
    except OSError as cause:
        raise Invalid(f"{file} cannot be read ({cause.strerror}); name a file that exists") from cause


def _size(source: IO[bytes]) -> int:
    if not source.seekable():
        return 0
    here = source.tell()
    source.seek(0, 2)
    end = source.tell()
    source.seek(here)
    return end
