"""The verb that says how carryover is set up, and what is wrong with it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, SecretStr

from carryover.cli import checkup, show
from carryover.cli.checkup import Check
from carryover.cli.options import AsJson, example
from carryover.core.errors import Invalid
from carryover.settings import Loaded, load

app = typer.Typer(rich_markup_mode=None)

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}


@app.command(epilog=example("carryover doctor", "carryover doctor --json"))
def doctor(
    as_json: AsJson = False,
) -> None:
    """Show every setting and where it came from, and what is broken or missing, each with its remedy.

    Changes nothing. Keys are shown as their last four characters, the master key not at all. Exits 1 if something is
    broken.
    """
    try:
        loaded = load()
    except Invalid as failure:
        said, _, remedy = failure.message.rpartition("; ")
        loaded, checks = None, [Check("settings", "broken", said, remedy)]
    else:
        checks = list((checkup.remote if loaded.settings.url else checkup.local)(loaded.settings))
    broken = [check for check in checks if check.state == "broken"]
    if as_json:
        shown = (
            []
            if loaded is None
            else [{"name": name, "value": value, "origin": origin} for name, value, origin in _settings(loaded)]
        )
        show.as_json({"ok": not broken, "settings": shown, "checks": checks})
    else:
        _tell(loaded, checks)
    if broken:
        show.note(f"carryover: {show.counted(len(broken), 'thing')} broken; see the remedies above")
        raise typer.Exit(1)


def _tell(loaded: Loaded | None, checks: list[Check]) -> None:
    if loaded is not None:
        show.table(("setting", "value", "from"), [(n, _brief(v), origin) for n, v, origin in _settings(loaded)])
        show.out()
    width = max(len(check.name) for check in checks)
    for check in checks:
        show.out(f"{_MARKS[check.state]:<6}  {check.name:<{width}}  {check.said}")
        if check.state != "ok":
            show.out(f"{'':<6}  {'':<{width}}  -> {check.remedy}")


def _settings(loaded: Loaded) -> list[tuple[str, Any, str]]:
    shown = {name: _plain(getattr(loaded.settings, name)) for name in loaded.origins}
    if shown["master_key"] is not None:
        shown["master_key"] = "…"  # of a key that opens everything not even the end is told
    return [(name, value, loaded.origins[name]) for name, value in shown.items()]


def _plain(value: Any) -> Any:
    """A setting as JSON can say it, without its secrets."""
    if isinstance(value, SecretStr):
        return f"…{value.get_secret_value()[-4:]}"
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, str):
        return show.without_password(value)
    return str(value) if isinstance(value, (Path, Decimal)) else value


def _brief(value: Any) -> str:
    if value is None or value == {}:
        return "-"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
