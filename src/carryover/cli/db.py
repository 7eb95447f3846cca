"""The verbs about the database itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, example
from carryover.core.errors import DataLoss, Invalid
from carryover.core.scope import EVERY_TENANT
from carryover.opening import copy_keys, open_store, with_keys
from carryover.settings import Settings, load
from carryover.store import check as checks
from carryover.store import damage, migrate
from carryover.store import move as moves
from carryover.store.faults import guarded
from carryover.store.store import Store

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Upgrade the database, check that it is sound, or move it."
)

_MANY = 20_000  # turns that take long enough to be told how it goes
Url = Annotated[str, typer.Argument(metavar="URL", show_default=False)]


@app.command(epilog=example("carryover db upgrade"))
def upgrade(as_json: AsJson = False) -> None:
    """Bring the schema up to date; make the database where there is none.

    Every other verb does so too, where its role may. Programs that run meanwhile go on; `carryover db history` says
    which may go on afterwards.
    """
    settings = memory.local("db upgrade")
    with open_store(settings) as store:
        found = migrate.look(store.engine, store.dialect)
    if as_json:
        show.as_json({"database": show.without_password(settings.store_url), "schema": found.revision})
    else:
        show.out(f"the schema is at {found.revision}")


@app.command(epilog=example("carryover db history"))
def history(as_json: AsJson = False) -> None:
    """List the migrations, which of them are applied, and which programs may work with the schema after each.

    A program whose newest migration is older than the schema's works with it, if the schema says so, until it is
    upgraded itself: so processes can be upgraded one after the other.
    """
    settings = memory.local("db history")
    found, known = _schema(settings), migrate.history()
    rows: list[dict[str, object]] = [
        {
            "revision": one.id,
            "description": one.description,
            "applied": found.revision is not None and one.id <= found.revision,
            "compatible": one.compatible,
        }
        for one in known
    ]
    if found.is_newer:  # made by a program that knows more migrations than this one
        of_a_later = {"description": "of a later version of carryover", "applied": True}
        rows.append({"revision": found.revision, **of_a_later, "compatible": found.compatible or found.revision})
    if as_json:
        here = {"database": show.without_password(settings.store_url), "schema": found.revision}
        show.as_json({**here, "program": migrate.HEAD, "usable": found.admits, "revisions": rows})
        return
    shown = [
        (row["revision"], "yes" if row["applied"] else "no", f"{row['compatible']} or later", row["description"])
        for row in rows
    ]
    show.table(("revision", "applied", "programs", "brings"), shown)
    show.note(f"this program is made for {migrate.HEAD}" + ("" if found.admits else _not_usable(found)))


@app.command(epilog=example("carryover db check", "carryover db check --repair"))
def check(
    repair: Annotated[bool, typer.Option(help="Make again what is derived from the log.")] = False,
    quick: Annotated[bool, typer.Option(help="Read no content: leave out hash chains, quotes and words.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that the database is intact, the log as it was written, and what is derived from it in agreement with it.

    Every turn is read, opened where it is sealed, and compared with its hash chain, with the quotes that cite it and
    with what search finds of it. With --repair, the text index, counts and versions are made again from the log; the
    log itself is never touched. On PostgreSQL nobody writes while that lasts.
    """
    settings = memory.local("db check")
    with open_store(settings) as store:
        report = _looked(store, quick)
        repaired = repair and any(fault.repairable for fault in report.faults)
        if repaired:
            checks.repair(store)
            report = _looked(store, quick)
        notes = checks.notes(store)
    if as_json:
        read = {} if quick else {"log": asdict(report.log)}
        show.as_json({"faults": report.faults, "repaired": repaired, **read, **({"notes": notes} if notes else {})})
    else:
        for note in [*notes, *_unlinked(report)]:
            show.note(f"note: {note}")
        _tell(report.faults, repaired)
    if report.faults:
        raise DataLoss(_verdict(report.faults, repaired))


@app.command(epilog=example("carryover db reindex"))
def reindex(as_json: AsJson = False) -> None:
    """Let all that search stands on be compared with the log, and made again where it differs.

    The next worker does it, or the one that runs, while searches and appends go on. What is right stays as it is, so
    no text is embedded twice. Damage that rows can be counted by is found and repaired every hour without this.
    """
    settings = memory.local("db reindex")
    with open_store(settings) as store:
        tenants, sessions = damage.reindex(store)
    if as_json:
        show.as_json({"tenants": tenants, "sessions": sessions})
    else:
        show.out(
            f"{show.counted(sessions, 'session')} of {show.counted(tenants, 'tenant')} will be compared with the log "
            "by the next worker"
        )


@app.command(
    epilog=example("carryover db move sqlite:////home/me/.carryover/carryover.db postgresql://carryover@db/carryover")
)
def move(source: Url, target: Url, as_json: AsJson = False) -> None:
    """Copy everything into another, empty database, and compare the two row for row.

    Of either engine into either. Stop all servers and workers first: what is written to the source meanwhile makes the
    move fail. One that was broken off goes on where it was when it is started again. The source is left as it is.
    """
    settings = load().settings
    memory.logged(settings)
    if _is_absent(source):
        raise Invalid(f"there is no database at {source}; correct the first URL")
    with (
        with_keys(settings, Store.open(source, upgrade=False, pool=settings.database_pool)) as ours,
        with_keys(settings, Store.open(target, pool=settings.database_pool)) as theirs,
    ):
        moving = moves.begin(ours, theirs)
        with show.progress("rows moved", moving.total) as advance:
            moves.carry(moving, advance)
        if keys := copy_keys(settings, source, target):
            show.note(f"{show.counted(keys, 'data key')} copied into the keyring of the target")
        with show.progress("rows compared", moving.total) as advance:
            compared = moves.compare(moving, advance)
        wrong = [f"table {one.table} of tenant {one.tenant!r}" for one in compared if not one.same]
        wrong += moves.unlike(moving)
        if not wrong:
            moves.end(moving)
            wrong = [f"{fault.check}: {fault.detail}" for fault in checks.check(theirs)]
    if as_json:
        show.as_json({"tables": compared, "different": wrong, "verified": not wrong})
    else:
        _show_moved(compared, wrong)
    if wrong:
        raise DataLoss(
            f"{show.counted(len(wrong), 'difference')} between source and target; run `carryover db check` on the "
            "source, empty the target, and move again"
        )


def _looked(store: Store, quick: bool) -> checks.Report:
    if quick:
        return checks.look(store, quick=True)
    with store.read(EVERY_TENANT) as tx:
        turns = checks.size(tx)
    with show.progress("turns checked", turns) as advance:
        return checks.look(store, advance=advance if turns > _MANY else None)


def _unlinked(report: checks.Report) -> list[str]:
    """What the log's chains do not say, and should be known."""
    log = report.log
    older, gone = log.turns - log.linked, log.dropped
    notes = [f"{show.counted(older, 'turn')} of an older version are in no hash chain"] if older else []
    return notes + ([f"{show.counted(gone, 'turn')} cannot be read: their keys are dropped"] if gone else [])


def _schema(settings: Settings) -> migrate.Schema:
    """What the database says of its schema; it is not made where there is none."""
    if _is_absent(settings.store_url):
        return migrate.Schema(None, None)
    with Store.at(settings.store_url) as store, guarded():
        return migrate.look(store.engine, store.dialect)


def _is_absent(url: str) -> bool:
    """Whether it names a file that is not there: looking into one would make it."""
    return url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()


def _not_usable(found: migrate.Schema) -> str:
    return "; upgrade carryover" if found.is_newer else "; run `carryover db upgrade`"


def _show_moved(compared: list[moves.Compared], wrong: list[str]) -> None:
    """A line for each table, all tenants together."""
    rows, moved = Counter[str](), Counter[str]()
    for one in compared:
        rows[one.table] += one.rows
        moved[one.table] += one.moved
    different = {one.table for one in compared if not one.same}
    shown = [(name, rows[name], moved[name], "no" if name in different else "yes") for name in sorted(rows)]
    show.table(("table", "source", "target", "same"), shown)
    for line in wrong:
        show.out(f"different: {line}")
    tenants = len({one.tenant for one in compared})
    if not wrong:
        show.out(f"verified: {show.counted(sum(rows.values()), 'row')} of {show.counted(tenants, 'tenant')}")


def _tell(faults: list[checks.Fault], repaired: bool) -> None:
    for fault in faults:
        show.out(f"{fault.check}: {fault.detail}" + (" (repairable)" if fault.repairable else ""))
    if not faults:
        show.out("repaired; the database is sound" if repaired else "the database is sound")


def _verdict(faults: list[checks.Fault], repaired: bool) -> str:
    lost = [fault for fault in faults if not fault.repairable]
    if not lost:
        return f"{show.counted(len(faults), 'fault')} in what is derived; run `carryover db check --repair`"
    after = " after the repair" if repaired else ""
    return f"{show.counted(len(lost), 'fault')}{after} that cannot be repaired; restore the database from a backup"
