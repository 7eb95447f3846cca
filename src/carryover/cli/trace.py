"""The verbs that lead from a sentence to where it came from and back: `why`, `trace`, `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import AGENT, Agent, AsJson, Session, example
from carryover.core.session import Source
from carryover.core.snapshot import Cited, Finding, FindingDetail
from carryover.core.trace import Trace
from carryover.core.verdict import Verdict
from carryover.memory import verify as checking
from carryover.memory.history import AROUND
from carryover.memory.verify import Checked
from carryover.store import verdicts

app = typer.Typer(rich_markup_mode=None)


@app.command(epilog=example("carryover why f_06FN3V2K7Q", "carryover why f_06FN3V2K7Q --json"))
def why(
    finding: Annotated[
        str, typer.Argument(metavar="FINDING", help="A finding's id, or its beginning.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a finding stands on, in the turns that say it, what it replaced, and what replaced it.

    `carryover search` and `carryover consolidate` print the ids of findings.
    """
    with memory.memory() as opened:
        detail = opened.finding(finding)
    if as_json:
        show.as_json(detail)
    else:
        _tell_finding(detail)


@app.command(epilog=example("carryover trace s1 4", "carryover trace s1 4 --agent support --json"))
def trace(
    session: Session,
    seq: Annotated[int, typer.Argument(metavar="TURN", help="The turn's number.", show_default=False)],
    agent: Agent = AGENT,
    as_json: AsJson = False,
) -> None:
    """Show everything that was derived from a turn: findings, snapshots, chunks, and whether contexts reach it."""
    with memory.memory() as opened:
        found = opened.trace(session, seq, agent=agent)
    if as_json:
        show.as_json(found)
    else:
        _tell_trace(found)


@app.command(epilog=example("carryover verify", "carryover verify s1 --agent support"))
def verify(
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="Only this session.", show_default=False)
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="The agent whose session it is; without a session: only this one's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every live finding against the turns that it cites, now; exits 1 if one does not hold.

    Background jobs do the same for every new snapshot. What does not hold is flagged, and left out of contexts.
    """
    checked: list[Checked] = []
    with memory.embedded(memory.local("verify")) as opened:
        store, scope = opened.engine.store, opened.scope
        if session is None:
            with store.read(scope) as tx:
                places = verdicts.sessions_with_findings(tx, agent)
        else:
            places = [(agent or AGENT, session)]
        with show.progress("verified", len(places)) as advance:
            for place in places:
                checked += checking.verify(store, scope, *place)
                advance(1)
    _tell_checked(checked, as_json)


def _tell_checked(checked: Sequence[Checked], as_json: bool) -> None:
    by = {name: [c for c in checked if c.verdict.outcome == name] for name in ("holds", "fails", "unknown")}
    if as_json:
        counts = {name: len(found) for name, found in by.items()}
        show.as_json({**counts, "flagged": [*by["fails"], *by["unknown"]]})
    else:
        for one in (*by["fails"], *by["unknown"]):
            show.out(f"{one.finding.id} of {one.finding.session_id}: {show.first_line(one.finding.text, 100)}")
            show.out(f"  {_said_of(one.verdict)}")
        show.out(
            f"{show.counted(len(by['holds']), 'finding')} hold, {len(by['fails'])} do not, "
            f"{len(by['unknown'])} cannot be checked"
        )
    if by["fails"]:
        raise typer.Exit(1)


def _tell_finding(detail: FindingDetail) -> None:
    finding = detail.finding
    show.out(f"{finding.kind} {finding.id}, {finding.status}")
    show.out(f"  {finding.text}")
    show.out(f"  learned {show.when(finding.learned_at)} from {finding.session_id} by {finding.by}")
    show.out(f"  {_said_of(detail.verdict)}")
    show.out("\nstands on")
    for cited in detail.cited:
        _tell_cited(cited)
    if detail.ended is not None:
        show.out("\nended by")
        _tell_cited(detail.ended)
    if len(detail.chain) > 1:
        show.out("\nhistory")
        for one in detail.chain:
            mark = ">" if one.id == finding.id else " "
            show.out(f" {mark} {_brief(one)}")
    show.out(f"\n{detail.why}")


def _said_of(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not checked yet"
    checked = f"checked {show.when(verdict.checked_at)}"
    if verdict.outcome == "holds":
        return f"stands in its turns ({checked})"
    faults = "; ".join(verdict.faults)
    return f"{'DOES NOT HOLD' if verdict.outcome == 'fails' else 'cannot be checked'}: {faults} ({checked})"


def _tell_cited(cited: Cited) -> None:
    source = cited.source
    if cited.seq is None or cited.said_at is None:
        show.out(f"  {_place(source)}, where this is not found: “{show.first_line(source.quote, 200)}”")
        return
    speaker = cited.role if cited.name is None else f"{cited.name} ({cited.role})"
    show.out(f"  {source.session_id}, turn {cited.seq}, {speaker}, {show.when(cited.said_at)}")
    before, quote, after = (" ".join(text.split()) for text in (cited.before, source.quote, cited.after))
    quoted = f"“{quote}”" if quote else ""
    before = f"…{before}" if len(cited.before) == AROUND else before
    after = f"{after}…" if len(cited.after) == AROUND else after
    show.out("    " + " ".join(part for part in (before, quoted, after) if part))


def _place(source: Source) -> str:
    turns = f"turn {source.first}" if source.first == source.last else f"turns {source.first} to {source.last}"
    return f"{source.session_id}, {turns}"


def _brief(finding: Finding) -> str:
    day = show.when(finding.learned_at)[:10]
    text = show.first_line(finding.text, 100)
    return f"{finding.id}  {day}  {finding.session_id}  {finding.kind}, {finding.status}: {text}"


def _tell_trace(found: Trace) -> None:
    speaker = found.role if found.name is None else f"{found.name} ({found.role})"
    when = "" if found.said_at is None else f", {show.when(found.said_at)}"
    show.out(
        f"turn {found.seq} of {found.session_id} (agent {found.agent_id}), {speaker or 'its content is gone'}{when}"
    )
    if found.text:
        show.out(f"  {show.first_line(found.text, 300)}")
    show.out(f"\n{_in_memory(found)}")
    for derived in found.findings:
        flag = "" if derived.verdict is None or derived.verdict.outcome == "holds" else f"  {_said_of(derived.verdict)}"
        show.out(f"  {_brief(derived.finding)} (since snapshot {derived.snapshot}){flag}")
    if found.closed:
        show.out("\nended by this turn")
        for finding in found.closed:
            show.out(f"  {_brief(finding)}")
    show.out(f"\n{_in_index(found)}")
    near = [f"of {'this agent' if name == 'agent' else 'this user'}" for name in found.in_reach if name != "session"]
    show.out(f"contexts {' and '.join(near)} draw on its session" if near else "no context but its own draws on it")


def _in_memory(found: Trace) -> str:
    covered = found.covered
    if covered is None:
        return "no snapshot holds this turn yet"
    usage = covered.usage
    cost = f", {usage.tokens:,} tokens of {usage.model}" if usage is not None and usage.calls else ""
    made = f"in memory since snapshot {covered.version} (turns 1 to {covered.through}, by {covered.by}{cost})"
    return f"{made}; {show.counted(len(found.findings), 'finding')}"


def _in_index(found: Trace) -> str:
    if not found.chunks:
        return "not indexed for search" if found.indexed else "not indexed for search yet"
    spaces = sorted({space for chunk in found.chunks for space in chunk.spaces})
    counts = [f"{sum(space in chunk.spaces for chunk in found.chunks)} with vectors in {space}" for space in spaces]
    return ", ".join([f"{show.counted(len(found.chunks), 'chunk')} in the text index", *counts])
