"""The verbs about API keys, on the database itself."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Annotated, cast

import typer

from carryover.cli import memory, show
from carryover.cli.keys_seal import seal
from carryover.cli.options import AsJson, example
from carryover.core.clock import DAY_MS, SystemClock, parse_time
from carryover.core.errors import Invalid
from carryover.core.ids import check_id
from carryover.core.scope import RIGHTS, Right, Scope
from carryover.core.wire import encode
from carryover.opening import keyring_of, open_store
from carryover.settings_access import checked_rate
from carryover.store import audit, keys
from carryover.store.keys import Key

_SPAN = re.compile(r"([1-9]\d{0,5})([mhdw])")
_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Make, list and revoke API keys; change the master key."
)


def _right(right: str) -> str:
    if right not in RIGHTS:
        raise typer.BadParameter(f"{right!r} is none of {', '.join(RIGHTS)}")
    return right


def _moment(text: str) -> int:
    span = _SPAN.fullmatch(text)
    if span is not None:
        return SystemClock().now() + int(span[1]) * _UNITS_MS[span[2]]
    try:
        return parse_time(text)
    except Invalid as cause:
        raise typer.BadParameter(f"{text!r} is neither a span like 90d, 12h or 4w nor a date or time") from cause


def _rate(text: str) -> str:
    try:
        return checked_rate(text)
    except ValueError as cause:
        raise typer.BadParameter(str(cause)) from cause


@app.command(
    epilog=example(
        "carryover keys create --label backend --right write", "carryover keys create --agent planner --expires 90d"
    )
)
def create(
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    right: Annotated[
        str, typer.Option(parser=_right, metavar="|".join(RIGHTS), help="The most it may do; admin includes all.")
    ] = "admin",
    agent: Annotated[str | None, typer.Option(help="Narrow it to one agent.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option(help="Narrow it to one user.", show_default=False)] = None,
    expires: Annotated[
        int | None,
        typer.Option(
            parser=_moment,
            metavar="SPAN|TIME",
            help="When it ends by itself: 90d, 12h, 2027-01-31.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            parser=_rate,
            metavar="RATE",
            help="Requests it may make, like 100/minute; the tenant's rate counts too.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once. From then on every request to a server on this database needs a key."""
    settings = memory.local("keys create")
    for name, value in (("agent", agent), ("user", user)):
        if value is not None:
            check_id(value, name)
    held = RIGHTS[: RIGHTS.index(cast("Right", right)) + 1]
    with open_store(settings) as store, store.write(memory.scope(settings)) as tx:
        key, secret = keys.create(tx, label=label, rights=held, agent=agent, user=user, expires_at=expires, rate=rate)
    if as_json:
        show.as_json(encode(key) | {"key": secret})
        return
    show.out(secret)
    show.note(f"this is shown once; its id is {key.id}, for `carryover keys revoke {key.id}`")


@app.command("list", epilog=example("carryover keys list"))
def list_(as_json: AsJson = False) -> None:
    """List the tenant's keys, revoked ones included; a key itself is never shown again."""
    settings = memory.local("keys list")
    with open_store(settings) as store, store.read(Scope(settings.tenant)) as tx:
        found, now = keys.listed(tx), tx.now
    if as_json:
        show.as_json({"keys": found})
        return
    if not found:
        show.note("there are no keys; make one with `carryover keys create`")
        return
    rows = [
        (
            key.id,
            key.label or "-",
            key.rights[-1],
            key.agent_id or "all",
            key.user_id or "all",
            show.when(key.created_at),
            "never" if key.last_used_at is None else show.when(key.last_used_at),
            "never" if key.expires_at is None else show.when(key.expires_at),
            key.rate or "-",
            _state(key, now),
        )
        for key in found
    ]
    heads = ("id", "label", "right", "agent", "user", "created (UTC)", "last used", "expires", "rate", "state")
    show.table(heads, rows)


def _state(key: Key, now: int) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "valid"


@app.command(epilog=example("carryover keys revoke co_AbCdEfGhI"))
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """End a key: it opens nothing any more."""
    settings = memory.local("keys revoke")
    with open_store(settings) as store, store.write(memory.scope(settings)) as tx:
        key = keys.revoke(tx, id)
    if as_json:
        show.as_json(key)
    else:
        show.out(f"{key.id} is revoked")


@app.command("rotate-master", epilog=example("carryover keys rotate-master"))
def rotate_master(as_json: AsJson = False) -> None:
    """Wrap every user's data key by the current master key, while everything else goes on.

    A master key that carryover made itself is replaced by a new one first, and thrown away at the end. One that you
    give is replaced by you: put the new one before the old one, and take that away once this has ended. What was
    broken off goes on when it is started again.
    """
    settings = memory.local("keys rotate-master")
    with closing(keyring_of(settings, settings.store_url)) as keyring:
        made, done = keyring.renew(), 0
        there = keyring.look()
        with show.progress("keys wrapped anew", 0 if there is None else there.older) as advance:
            while some := keyring.rewrap():
                done += some
                advance(some)
        where = keyring.masters.said
    with open_store(settings) as store:
        audit.record(store, memory.scope(settings), action="key.rotate-master", subject="master key")
    if as_json:
        show.as_json({"keys": done, "made": made, "where": where})
    else:
        show.out(f"{show.counted(done, 'data key')} wrapped by the current master key, which is in {where}")


app.command(epilog=example("carryover keys seal"))(seal)
