"""The verbs about background jobs, on the database itself."""

from __future__ import annotations

from typing import Annotated, Any, cast, get_args

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, Limit, example
from carryover.core.clock import rfc3339
from carryover.core.ids import check_id
from carryover.core.job import Job, State
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.wire import encode
from carryover.opening import open_store
from carryover.settings import Settings
from carryover.store import queue

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="List background jobs, and let dead ones try again."
)

_STATES = get_args(State)


def _state(state: str) -> str:
    if state not in _STATES:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(_STATES)}")
    return state


Tenant = Annotated[str | None, typer.Option(help="Whose jobs (default: the settings' tenant).", show_default=False)]
AllTenants = Annotated[bool, typer.Option("--all-tenants", help="The jobs of every tenant.")]


@app.command("list", epilog=example("carryover queue list", "carryover queue list --state stuck --all-tenants"))
def list_(
    state: Annotated[
        str | None,
        typer.Option(parser=_state, metavar="|".join(_STATES), help="Only jobs in this state.", show_default=False),
    ] = None,
    tenant: Tenant = None,
    all_tenants: AllTenants = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List jobs: how long they are due, how often they were tried, who holds them until when, and why they failed.

    A job is armed (due later), due, running, waiting for a cap, or dead. It is stuck when one worker has held it for
    more than an hour, or when three workers ended while they ran it.
    """
    _list("queue list", cast("State | None", state), _scope(tenant, all_tenants), limit, as_json)


@app.command(epilog=example("carryover queue dead", "carryover queue dead --all-tenants --json"))
def dead(tenant: Tenant = None, all_tenants: AllTenants = False, limit: Limit = 100, as_json: AsJson = False) -> None:
    """List the jobs that gave up, the last one first, each with its reason."""
    _list("queue dead", "dead", _scope(tenant, all_tenants), limit, as_json)


@app.command(epilog=example("carryover queue retry consolidate planner/s1", "carryover queue retry --all"))
def retry(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", show_default=False)] = None,
    subject: Annotated[str | None, typer.Argument(metavar="SUBJECT", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every dead job.")] = False,
    tenant: Tenant = None,
    all_tenants: AllTenants = False,
    as_json: AsJson = False,
) -> None:
    """Let dead jobs try again, once their cause is mended: the one of KIND and SUBJECT, or all of them."""
    if all_ == (subject is not None) or (kind is None) != (subject is None):
        raise typer.BadParameter("give KIND and SUBJECT as `carryover queue dead` shows them, or --all")
    if all_tenants and not all_:
        raise typer.BadParameter("--all-tenants goes with --all")
    settings = memory.local("queue retry")
    scope = _scope(tenant, all_tenants) or Scope(settings.tenant)
    with open_store(settings) as store, store.write(scope) as tx:
        if kind is not None and subject is not None:
            queue.revive(tx, kind, subject)
            revived = 1
        else:
            revived = queue.revive_all(tx)
    if as_json:
        show.as_json({"revived": revived})
    else:
        show.out(f"{show.counted(revived, 'dead job')} will be tried again by the next worker")


def _scope(tenant: str | None, all_tenants: bool) -> Scope | None:
    """Whose jobs are meant; None: those of the tenant that the settings name."""
    if tenant is not None and all_tenants:
        raise typer.BadParameter("give --tenant or --all-tenants")
    if all_tenants:
        return EVERY_TENANT
    return None if tenant is None else Scope(check_id(tenant, "tenant"))


def _list(verb: str, state: State | None, scope: Scope | None, limit: int, as_json: bool) -> None:
    settings: Settings = memory.local(verb)
    with open_store(settings) as store, store.read(scope or Scope(settings.tenant)) as tx:
        found, now = queue.listed(tx, state, limit), tx.now
    if as_json:
        show.as_json({"jobs": [_shown(job, now) for job in found]})
        return
    if not found:
        show.note("there are no such jobs")
        return
    rows = [
        (
            job.tenant,
            job.kind,
            job.subject,
            job.state(now),
            _span(now - job.due),
            job.attempt,
            job.holder or "-",
            "-" if job.leased_until is None else show.when(job.leased_until),
            show.first_line(job.reason or "-", 100),
        )
        for job in found
    ]
    show.table(("tenant", "kind", "subject", "state", "due for", "tries", "held by", "until (UTC)", "reason"), rows)


def _shown(job: Job, now: int) -> dict[str, Any]:
    held = {"holder": job.holder, "claimed_at": None if job.claimed_at is None else rfc3339(job.claimed_at)}
    return {**encode(job), **held, "state": job.state(now), "due_for_s": (now - job.due) / 1000}


def _span(ms: int) -> str:
    """`3 min`; `in 3 min` for what is still to come."""
    seconds = abs(ms) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{'in ' if ms < 0 else ''}{seconds // size} {unit}"
    return f"{'in ' if ms < 0 else ''}{seconds} s"
