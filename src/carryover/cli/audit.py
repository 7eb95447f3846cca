"""The verb `audit`: who did what that needs more than reading and writing."""

from __future__ import annotations

from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, Limit, Since, Until, example
from carryover.core.audit import AuditFilter
from carryover.opening import open_store
from carryover.store import audit as log

app = typer.Typer(rich_markup_mode=None)


@app.command(
    epilog=example(
        "carryover audit --action key.create",
        "carryover audit --who 'key co_AbCdEfGhI' --since 2026-11-01",
        "carryover audit --verify",
    )
)
def audit(
    action: Annotated[str | None, typer.Option(help="Only this action.", show_default=False)] = None,
    who: Annotated[str | None, typer.Option(help="Only what they did.", show_default=False)] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to it.", show_default=False)] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no line was changed or taken out.")] = False,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HEAD", help="With --verify: a head of before, which must still stand.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what that needs more than reading and writing, the newest first.

    Keys made and revoked, erasures and holds, what was read and changed of other users, decisions of admins, exports.
    `--verify` reads all lines of the tenant and checks the chain of their hashes, on the database itself; keep the
    head that it prints elsewhere, and give it next time.
    """
    if head is not None and not verify:
        raise typer.BadParameter("it goes with --verify", param_hint="--head")
    if verify:
        _verify(head, as_json)
        return
    with memory.memory() as opened:
        lines, cursor = opened.audit(AuditFilter(action, who, subject, since, until), limit=limit)
    if as_json:
        show.as_json({"lines": lines, "next_cursor": cursor})
        return
    rows = [
        (line.n, show.when(line.at), line.who, line.via, line.action, line.subject, line.outcome, line.detail or "-")
        for line in lines
    ]
    show.table(("n", "at (UTC)", "who", "via", "action", "subject", "outcome", "detail"), rows)
    if cursor is not None:
        show.note(f"the newest {limit}; there are more, see --limit, --since and --until")


def _verify(head: str | None, as_json: bool) -> None:
    settings = memory.local("audit --verify")
    with open_store(settings) as store, store.read(memory.scope(settings)) as tx:
        found = log.verify(tx, head)
    if as_json:
        show.as_json(found)
    elif found.faults:
        show.out("\n".join(found.faults))
    else:
        show.out(f"{show.counted(found.lines, 'line')}, none changed or missing; head {found.head}")
    if found.faults:
        raise typer.Exit(1)
