"""The verbs of the log: `log`, `window`, `sessions`, `stream`."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, cast

import typer

from carryover.cli import drafts, memory, show
from carryover.cli.options import AGENT, Agent, AsJson, Limit, Session, Since, Until, User, example
from carryover.core.errors import Invalid
from carryover.core.event import Event, Filter
from carryover.core.session import ROLES, Append, Draft, Role, Turn
from carryover.core.wire import turn_text

app = typer.Typer(rich_markup_mode=None)

_SHOWN = 600  # characters of a turn that a person gets to see


def _role(role: str) -> str:
    if role not in ROLES:
        raise typer.BadParameter(f"{role!r} is none of {', '.join(ROLES)}")
    return role


@app.command(
    epilog=example(
        'carryover log s1 "Let\'s use PostgreSQL for the ledger."',
        "git log -1 | carryover log s1 - --role tool",
        "carryover log s1 --jsonl turns.jsonl",
    )
)
def log(
    session: Session,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What was said; `-` reads standard input.")] = None,
    role: Annotated[str, typer.Option(parser=_role, metavar="|".join(ROLES), help="Who said it.")] = "user",
    agent: Agent = AGENT,
    user: User = None,
    jsonl: Annotated[
        str | None, typer.Option(metavar="FILE", help="Turns as JSON, one on each line; `-` is standard input.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Append turns to a session: all of them, or none.

    The session begins with its first turn. When this returns, the turns are on disk.
    """
    if (text is None) == (jsonl is None):
        raise typer.BadParameter("give either a text (or `-`) or --jsonl FILE", param_hint="TEXT")
    if jsonl is None:
        said = sys.stdin.read() if text == "-" else cast("str", text)
        new = (Draft(cast("Role", role), said),)
    else:
        new = _lines(jsonl, session, agent)
    with memory.log() as opened:
        appended = opened.append(Append(session, new, agent, user))
    if as_json:
        show.as_json(appended)
    else:
        show.out(f"{session}: {show.counted(len(new), 'turn')} logged, {show.counted(appended.version, 'turn')} in all")


@app.command(epilog=example("carryover window s1", "carryover window s1 --last 50 --json"))
def window(
    session: Session,
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=1000, help="How many turns.")] = 10,
    agent: Agent = AGENT,
    full: Annotated[bool, typer.Option(help="Show long turns whole.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the last turns of a session, in order."""
    with memory.log() as opened:
        found, turns = opened.window(session, agent=agent, last_n=last)
    if as_json:
        # Content is printed as it was logged, not decoded and encoded again.
        head = json.dumps({"agent_id": found.agent_id, "session_id": session, "version": found.version})
        show.out(f'{head[:-1]}, "turns": [{", ".join(turn_text(turn) for turn in turns)}]}}')
        return
    for turn in turns:
        show.out(_turn(turn, full))


@app.command(epilog=example("carryover sessions", "carryover sessions --agent planner --user mara --json"))
def sessions(agent: Agent = AGENT, user: User = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List an agent's sessions, the newest first."""
    with memory.log() as opened:
        found, cursor = opened.sessions(agent=agent, user=user, limit=limit)
    if as_json:
        show.as_json({"sessions": found, "next_cursor": cursor})
        return
    if not found:
        show.note(f"agent {agent!r} has no sessions yet; log a turn with `carryover log SESSION TEXT`")
        return
    rows = [
        (s.session_id, s.user_id or "-", s.status, s.version, s.token_count, show.when(s.updated_at)) for s in found
    ]
    show.table(("session", "user", "status", "turns", "tokens", "changed (UTC)"), rows)
    if cursor:
        show.note("there are more; raise --limit")


@app.command(epilog=example("carryover stream --limit 20", "carryover stream --follow --action consolidate"))
def stream(
    agent: Agent = AGENT,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl+C.")] = False,
    action: Annotated[str | None, typer.Option(help="Only this action, e.g. append.")] = None,
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show the activity stream, the newest event first; with --follow, what happens from now on as it happens."""
    want = Filter(action, session, None, since, until)
    if not follow:
        with memory.log() as opened:
            events = opened.events(agent=agent, want=want, limit=limit).events
        for event in events:
            _tell(event, as_json)
        return
    with memory.memory() as opened, suppress(KeyboardInterrupt):
        show.note(f"following agent {agent!r}; Ctrl+C ends")
        for event in opened.follow(agent=agent, want=want):
            _tell(event, as_json)


def described(event: Event) -> str:
    """An event as one line."""
    detail = ", ".join(f"{name} {value}" for name, value in event.detail.items())
    return f"{show.when(event.at)}  {event.action:<11}  {event.session_id}" + (f"  ({detail})" if detail else "")


def _tell(event: Event, as_json: bool) -> None:
    if as_json:
        show.as_json(event)
    else:
        show.out(described(event))


def _lines(jsonl: str, session: str, agent: str) -> tuple[Draft, ...]:
    try:
        data = sys.stdin.buffer.read() if jsonl == "-" else Path(jsonl).read_bytes()
    except OSError as cause:
        raise Invalid(f"{jsonl} cannot be read ({cause.strerror}); name a file that exists") from cause
    numbered = enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
    parsed = [(n, drafts.parse(line, f"line {n}")) for n, line in numbered if line.strip()]
    for n, line in parsed:
        if line.session_id not in (None, session) or line.agent_id not in (AGENT, agent):
            raise Invalid(f"line {n} is of another session or agent; use `carryover import` for several sessions")
    return tuple(line.draft for _, line in parsed)


def _turn(turn: Turn, full: bool) -> str:
    who = turn.role if turn.kind == "message" else f"{turn.role}, {turn.kind.replace('_', ' ')}"
    head = f"[{turn.seq}] {who}{f' {turn.name}' if turn.name else ''}, {show.when(turn.created_at)}"
    text = turn.text if full or len(turn.text) <= _SHOWN else turn.text[:_SHOWN].rstrip() + " … (--full shows all)"
    return head + "\n" + "\n".join(f"  {line}" for line in text.splitlines())
