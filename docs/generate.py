"""Writes `docs/reference` from the code itself; with --check, says what is out of date and exits 1."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Help texts are wrapped to the terminal: fix its width before anything measures it.
os.environ.update(COLUMNS="100", TERM="dumb", NO_COLOR="1")

import typer.main
from typer.core import TyperGroup

from carryover.cli.main import app as command_line
from carryover.core import errors
from carryover.core.strategy import NONE
from carryover.runtime import Carryover
from carryover.server.app import create_app
from carryover.server.errors import STATUS
from carryover.settings import PREFIX, Settings
from carryover.store.tables import metadata
from carryover.strategies.fields import RULES

HERE = Path(__file__).parent / "reference"
MADE = "<!-- Made by `make docs`; change the code, not this file. -->\n"


def openapi() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home, Carryover.open(Settings(home=Path(home)), work=False) as memory:
        return create_app(memory, open_door=True).openapi()


def http(document: dict[str, Any]) -> str:
    rows = [
        "# HTTP\n",
        MADE,
        "The whole document, with every shape, is [openapi.json](openapi.json); a running server "
        "shows it at `/docs`.\n",
        "| route | does | answers |",
        "|---|---|---|",
    ]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            answers = ", ".join(sorted(route["responses"]))
            rows.append(f"| `{method.upper()} {path}` | {route.get('summary', '')} | {answers} |")
    rows += [
        "",
        "Every error is a problem document (RFC 9457): `type`, `title`, `status`, `detail`, and facts.\n",
        "| error | status | says |",
        "|---|---|---|",
    ]
    for kind, status in STATUS.items():
        if issubclass(kind, errors.CarryoverError):
            rows.append(f"| `{kind.__name__}` | {status} | {(kind.__doc__ or '').strip()} |")
    return "\n".join(rows) + "\n"


def settings() -> str:
    rows = [
        "# Settings\n",
        MADE,
        "In `carryover.toml` (in the working folder, in `home`, or where `CARRYOVER_CONFIG` "
        f"points) or in the environment as `{PREFIX}…`, which wins. Inside `caps` the environment says "
        f"`{PREFIX}CAPS__TOKENS_PER_DAY`.\n",
        "| setting | default | what it is |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default is None else f"`{json.dumps(_plain(default))}`"
        rows.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def _plain(value: Any) -> Any:
    return (
        value.model_dump(exclude_none=True)
        if hasattr(value, "model_dump")
        else str(value)
        if isinstance(value, Path)
        else value
    )


def strategies() -> str:
    rows = [
        "# Fields of a strategy\n",
        MADE,
        "A turn here is a user's message with all that follows it until the next. [What strategies do]"
        "(../explain/strategies.md), [how to set one](../howto/strategies.md).\n",
        "| field | default | may be | what it is |",
        "|---|---|---|---|",
    ]
    for name, rule in RULES.items():
        default = getattr(NONE, name)
        shown = "" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"
        rows.append(f"| `{name}` | {shown} | {_range(rule)} | {rule['description']} |")
    return "\n".join(rows) + "\n"


def _range(rule: dict[str, Any]) -> str:
    if "enum" in rule:
        return ", ".join(f"`{one}`" for one in rule["enum"])
    if rule["type"] in ("integer", "number"):
        return f"{rule['minimum']:,} to {rule['maximum']:,}"
    if rule["type"] == "array":
        return f"at most {rule['maxItems']} names"
    return f"at most {rule['maxLength']} characters" if rule["type"] == "string" else "`true`, `false`"


def commands() -> str:
    group = typer.main.get_command(command_line)
    rows = ["# Command line\n", MADE]
    rows += [f"## carryover {name}\n\n```text\n{text}\n```\n" for name, text in _helps(group, "carryover")]
    return "\n".join(rows)


def _helps(group: Any, path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    context = group.make_context(path, [], resilient_parsing=True)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            child = command.make_context(name, [], parent=context, resilient_parsing=True)
            found.append((name, "\n".join(line.rstrip() for line in command.get_help(child).splitlines()).strip()))
        if isinstance(command, TyperGroup):
            found += [(f"{name} {inner}", text) for inner, text in _helps(command, f"{path} {name}")]
    return found


def schema() -> str:
    rows = ["# Schema\n", MADE, "Times are UTC milliseconds. The tenant leads every key.\n"]
    for table in metadata.sorted_tables:
        key = {column.name for column in table.primary_key}
        rows += [f"## {table.name}\n", "| column | type | |", "|---|---|---|"]
        rows += [
            f"| {c.name} | {str(c.type).lower()} | {'key' if c.name in key else '' if c.nullable else 'required'} |"
            for c in table.columns
        ]
        rows.append("")
    return "\n".join(rows)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing")
    check = arguments.parse_args().check
    document = openapi()
    pages: dict[str, Callable[[], str]] = {
        "openapi.json": lambda: json.dumps(document, indent=1, ensure_ascii=False) + "\n",
        "http.md": lambda: http(document),
        "settings.md": settings,
        "strategies.md": strategies,
        "cli.md": commands,
        "schema.md": schema,
    }
    stale = 0
    for name, make in pages.items():
        path, text = HERE / name, make()
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale += 1
        if check:
            sys.stderr.write(f"docs/reference/{name} is out of date; run `make docs`\n")
        else:
            path.write_text(text, "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
