"""The verbs of memory: `context`, `search`, `consolidate`."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AGENT, Agent, AsJson, AsOf, Session, Since, Until, User, example
from carryover.core.chunk import CHUNK_KINDS, ChunkKind, Hit, Query
from carryover.core.context import Reach
from carryover.core.session import Source
from carryover.core.snapshot import FINDING_KINDS, Finding, Snapshot

app = typer.Typer(rich_markup_mode=None)

_REACHES = get_args(Reach)


def _reach(reach: str) -> str:
    if reach not in _REACHES:
        raise typer.BadParameter(f"{reach!r} is none of {', '.join(_REACHES)}")
    return reach


def _kind(kind: str) -> str:
    if kind not in CHUNK_KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(CHUNK_KINDS)}")
    return kind


@app.command(epilog=example("carryover context s2", "carryover context s2 --max-tokens 300 --query 'the ledger'"))
def context(
    session: Session,
    agent: Agent = AGENT,
    user: User = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The budget; it is never passed.")] = 500,
    scope: Annotated[
        str, typer.Option(parser=_reach, metavar="|".join(_REACHES), help="Whose sessions it draws on.")
    ] = "agent",
    query: Annotated[str | None, typer.Option(help="Prefer what answers this.", show_default=False)] = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Print what a session should know of those before it, as Markdown to prepend to its system prompt.

    The session itself need not exist yet.
    """
    with memory() as opened:
        made = opened.context(
            session,
            agent=agent,
            user=user,
            reach=cast("Reach", scope),
            max_tokens=max_tokens,
            query=query,
            as_of=as_of,
        )
    if as_json:
        show.as_json(made)
        return
    show.out(made.markdown)
    if not made.markdown:
        show.note(f"nothing to carry over into {session!r} yet")


@app.command(
    epilog=example("carryover search 'which database?'", "carryover search deadline --kind decision -k 3 --json")
)
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A question, or words.", show_default=False)],
    k: Annotated[int, typer.Option("--limit", "-k", min=1, max=200, help="How many hits at most.")] = 5,
    agent: Annotated[str | None, typer.Option(help="Only of this agent (default: of all).", show_default=False)] = None,
    user: User = None,
    session: Annotated[str | None, typer.Option(help="Only of this session.", show_default=False)] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(parser=_kind, metavar="KIND", help="turn, decision, fact, task or digest; may be repeated."),
    ] = None,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Find the turns and findings that answer a question, the best first, with what they stand on."""
    kinds = cast("tuple[ChunkKind, ...]", tuple(kind)) if kind else None
    with memory() as opened:
        hits = opened.search(Query(query, k, agent, user, session, kinds, since, until, as_of))
    if as_json:
        show.as_json(hits)
        return
    for n, hit in enumerate(hits.results, 1):
        show.out(f"{n}. {found(hit)}")
    if not hits.results:
        show.note("nothing was found; try other words, or fewer filters")


@app.command(epilog=example("carryover consolidate s1", "carryover consolidate s1 --again"))
def consolidate(
    session: Session,
    agent: Agent = AGENT,
    wait: Annotated[bool, typer.Option(help="Wait for the snapshot; otherwise a worker makes it.")] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Read all turns anew; kept if it answers no less than the one before.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="As --again, and kept whatever it answers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Consolidate a session now, in conversation or not, and show its findings."""
    with memory() as opened:
        snapshot = opened.consolidate(session, agent=agent, wait=wait, again=again, force=force)
    if as_json:
        show.as_json(snapshot)
    elif snapshot is None:
        show.note(f"{session!r} will be consolidated by the next worker; run `carryover worker` where none runs")
    else:
        _tell(snapshot)


def found(hit: Hit) -> str:
    """A hit in two lines: what it says, and where that was said."""
    where = ", ".join(place(source) for source in hit.sources[:2])
    quote = next((source.quote for source in hit.sources if source.quote and source.quote != hit.text), "")
    id = "" if hit.kind == "turn" else f", {hit.id}"
    lines = [f"{show.first_line(hit.text, 200)}", f"   {hit.kind} of {where}, {show.when(hit.created_at)}{id}"]
    if hit.kind != "turn" and quote:
        lines.insert(1, f"   “{show.first_line(quote, 160)}”")
    return "\n".join(lines)


def place(source: Source) -> str:
    """`s1, turn 4` or `s1, turns 4 to 6`."""
    turns = f"turn {source.first}" if source.first == source.last else f"turns {source.first} to {source.last}"
    return f"{source.session_id}, {turns}"


def _tell(snapshot: Snapshot) -> None:
    show.out(f"snapshot {snapshot.version} of {snapshot.session_id}, turns 1 to {snapshot.through}, by {snapshot.by}")
    for kind in FINDING_KINDS:
        findings = snapshot.of(kind)
        if findings:
            show.out(f"\n{kind}s")
        for finding in findings:
            show.out(_finding(finding))


def _finding(finding: Finding) -> str:
    mark = {"done": "x", "superseded": "~"}.get(finding.status, " ")
    sources = "; ".join(f"turn {s.first}: “{show.first_line(s.quote, 100)}”" for s in finding.sources[:1])
    return f"  [{mark}] {finding.text}\n      {sources}  {finding.id}"
