"""The verbs about the database itself."""

from __future__ import annotations

from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, example
from carryover.core.errors import DataLoss
from carryover.opening import open_store
from carryover.store import check as checks
from carryover.store import migrate

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Upgrade the database, or check that it is sound.")


@app.command(epilog=example("carryover db upgrade"))
def upgrade(as_json: AsJson = False) -> None:
    """Bring the schema up to date; make the database where there is none. Every other verb does so too."""
    settings = memory.local("db upgrade")
    with open_store(settings):
        pass
    if as_json:
        show.as_json({"database": settings.store_url, "schema": migrate.HEAD})
    else:
        show.out(f"the schema is at {migrate.HEAD}")


@app.command(epilog=example("carryover db check", "carryover db check --repair"))
def check(
    repair: Annotated[bool, typer.Option(help="Make again what is derived from the log.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that the file is intact, the log complete, and what is derived from it in agreement with it.

    With --repair, the text index, counts and versions are made again from the log; the log itself is never touched.
    """
    settings = memory.local("db check")
    with open_store(settings) as store:
        faults = checks.check(store)
        repaired = repair and any(fault.repairable for fault in faults)
        if repaired:
            checks.repair(store)
            faults = checks.check(store)
    if as_json:
        show.as_json({"faults": faults, "repaired": repaired})
    else:
        _tell(faults, repaired)
    if faults:
        raise DataLoss(_verdict(faults, repaired))


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
    return f"{show.counted(len(lost), 'fault')}{after} that cannot be repaired; restore the file from a backup"
