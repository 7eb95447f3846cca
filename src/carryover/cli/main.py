"""The command `carryover`: its verbs, and what becomes of their errors."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from carryover.core.errors import CarryoverError

# verb: the module that holds it, and what it does. A module is imported when its verb is used, so that asking for
# help costs nothing.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "First": {
        "demo": ("demo", "Show what carryover does, on a real server, in half a minute."),
        "doctor": ("doctor", "Show every setting and where it came from, and what is broken or missing."),
    },
    "Conversations": {
        "log": ("log", "Append turns to a session."),
        "window": ("log", "Show the last turns of a session."),
        "sessions": ("log", "List an agent's sessions, the newest first."),
        "stream": ("log", "Show the activity stream, or follow it."),
    },
    "Memory": {
        "context": ("recall", "Print what a session should know of those before it, as Markdown."),
        "search": ("recall", "Find the turns and findings that answer a question."),
        "consolidate": ("recall", "Consolidate a session now, and show its findings."),
        "why": ("trace", "Show what a finding stands on, what it replaced, and what replaced it."),
        "trace": ("trace", "Show everything that was derived from a turn."),
        "verify": ("trace", "Check that every finding stands in the turns that it cites."),
        "profile": ("profile", "Show what models are told of a user, where it was said, and change it."),
    },
    "Views": {
        "chat": ("chat", "Talk with a model that remembers."),
        "strategy": ("strategy", "Set what a model sees of long conversations, and look at it."),
    },
    "Coding sessions": {
        "ingest": ("ingest", "Read the logs of coding agents, keep them within a budget, and digest them."),
        "detect": ("patterns", "Find what recurs over sessions, repositories and agents."),
        "patterns": ("patterns", "Decide about patterns, tell agents of them, and measure whether that helped."),
        "report": ("report", "Write one page about all coding sessions."),
        "hooks": ("hooks", "Let coding agents start with their memory, and hand in their sessions."),
        "mcp": ("mcp", "Serve memory to agents over the Model Context Protocol."),
    },
    "Data": {
        "export": ("transfer", "Write sessions to a file, byte for byte."),
        "import": ("transfer", "Read sessions from an export, or messages from JSON."),
        "import-sessions": ("agent_sessions", "Read the sessions of OpenAI's Agents SDK from its tables."),
        "forget": ("forget", "Erase a session, turns, a time, an agent or a user, and all that was derived of them."),
        "verify-erasure": ("verify", "Look for what was erased in every file and table, and check a receipt."),
        "hold": ("hold", "Place, list and release legal holds: what they name cannot be erased."),
    },
    "Operation": {
        "serve": ("operate", "Serve the HTTP API, and run background jobs."),
        "worker": ("operate", "Run background jobs until told to stop."),
        "queue": ("queue", "List background jobs, and let dead ones try again."),
        "keys": ("keys", "Make, list and revoke API keys; rotate the master key."),
        "audit": ("audit", "Show who did what that needs more than reading and writing, and check that log."),
        "memory": ("tiers", "Show how much of its findings memory tells, or tell all again."),
        "backup": ("backup", "Copy the database into a file, while everything goes on."),
        "restore": ("backup", "Make a backup the database, where there is none."),
        "db": ("db", "Upgrade the database, check that it is sound, or move it."),
        "model": ("model", "Fetch the embedding model."),
        "extractors": ("extractors", "Show what memory is made with, and decide about a new model or prompt."),
        "eval": ("evaluate", "Measure how well memory works, on your own log or on conversations with known answers."),
    },
}
VERBS = {name: verb for section in SECTIONS.values() for name, verb in section.items()}


class Verbs(TyperGroup):
    """The verbs by name; each is imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        if cmd_name not in self.commands:
            module = _load(VERBS[cmd_name][0])
            group = typer.main.get_group(module.app)
            # A module of one family holds several verbs; one that is a group of its own is the verb.
            self.commands[cmd_name] = group.commands.get(cmd_name, group)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"No such verb {args[0]!r}; see `carryover --help`.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in verbs.items()], col_max=15)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CarryoverError as failure:
            typer.echo(f"carryover: {failure.message}", err=True)
            raise typer.Exit(1) from failure
        except BrokenPipeError as gone:  # whoever read our output has seen enough
            sys.stdout = None
            raise typer.Exit(0) from gone


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='\b\nExample:\n  carryover demo\n  carryover log s1 "Let\'s use PostgreSQL for the ledger."\n'
    "  carryover context s2",
)


def _version(wanted: bool) -> None:
    if wanted:
        metadata = importlib.import_module("importlib.metadata")
        typer.echo(f"carryover {metadata.version('carryover-memory')}")
        raise typer.Exit


@app.callback()
def carryover(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Session memory for AI agents: a lossless log, and what the next session needs of it.

    Acts on the store in CARRYOVER_HOME (default ~/.carryover), or on the server that CARRYOVER_URL names.
    """


def main() -> None:
    """Runs the command and exits: 0 done, 1 failed, 2 wrong usage."""
    app(prog_name="carryover")


def _load(name: str) -> Any:
    # Nothing that modules make while they load is garbage: looking for some would take a tenth of the start.
    gc.disable()
    try:
        return importlib.import_module(f"carryover.cli.{name}")
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
