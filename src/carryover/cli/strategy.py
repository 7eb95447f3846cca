"""The verb `strategy`: what is set for conversations and agents, and what a model then sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, cast

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AGENT, Agent, AsJson, Session, example
from carryover.core.errors import Invalid
from carryover.core.strategy import FIELDS, Action, Effective, Format, View
from carryover.core.strategy_wire import show_effective, show_view
from carryover.core.text import plain
from carryover.strategies.fields import RULES

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Set what a model sees of long conversations, and look at it.",
)

_ITEM = 100  # characters of an item that a person gets to see
_DONE: dict[Action, str] = {"keep": "kept", "replace": "replaced", "omit": "left out", "insert": "inserted"}

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="One field; may be repeated.", show_default=False),
]
Given = Annotated[
    str | None, typer.Option("--strategy", metavar="JSON", help="Fields as a JSON object.", show_default=False)
]
Expected = Annotated[
    int | None,
    typer.Option("--expect", min=0, metavar="VERSION", help="Only if this version is stored.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Show every field.")]


@app.command("show", epilog=example("carryover strategy show s1", "carryover strategy show s1 --all --json"))
def show_(session: Session, agent: Agent = AGENT, every: All = False, as_json: AsJson = False) -> None:
    """Show what is set for a conversation, what is in force there, and who said so."""
    with memory() as opened:
        found = opened.strategies.effective(session, agent=agent)
    _tell(found, as_json, every)


@app.command(
    "set",
    epilog=example(
        "carryover strategy set s1 --set mode=trim --set max_user_turns=30",
        """carryover strategy set s1 --strategy '{"mode":"compact","compact_exclude_tools":["read"]}'""",
    ),
)
def set_(
    session: Session,
    sets: Sets = None,
    given: Given = None,
    agent: Agent = AGENT,
    expected: Expected = None,
    as_json: AsJson = False,
) -> None:
    """Set fields for a conversation; the others stay as they are. `null` clears a field."""
    fields = _fields(sets, given)
    if fields is None:
        raise typer.BadParameter("give --set FIELD=VALUE or --strategy JSON", param_hint="--set")
    with memory() as opened:
        changed = opened.strategies.set_conversation(session, fields, agent=agent, expected_version=expected)
    _tell(changed, as_json)


@app.command(epilog=example("carryover strategy unset s1 mode max_user_turns", "carryover strategy unset s1 --all"))
def unset(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[FIELD]...", help="The fields to clear.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Clear everything that is set for the conversation.")] = False,
    agent: Agent = AGENT,
    as_json: AsJson = False,
) -> None:
    """Clear fields of a conversation: they are inherited again, from the agent or the defaults."""
    if bool(names) == every:
        raise typer.BadParameter("name fields, or give --all", param_hint="FIELD")
    with memory() as opened:
        now = opened.strategies.effective(session, agent=agent)
        cleared = dict.fromkeys(now.stored if every else names or ())
        changed = opened.strategies.set_conversation(session, cleared, agent=agent)
    _tell(changed, as_json)


@app.command(
    epilog=example(
        "carryover strategy agent support",
        "carryover strategy agent support --set mode=summarize --set memory_injection=true",
        "carryover strategy agent support --clear",
    )
)
def agent(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.", show_default=False)],
    sets: Sets = None,
    given: Given = None,
    clear: Annotated[bool, typer.Option("--clear", help="Clear everything that is set for the agent.")] = False,
    expected: Expected = None,
    every: All = False,
    as_json: AsJson = False,
) -> None:
    """Show what is set for all conversations of an agent, or replace it by the fields that are given."""
    fields = _fields(sets, given)
    if clear and fields is not None:
        raise typer.BadParameter("give fields or --clear, not both", param_hint="--clear")
    with memory() as opened:
        if clear or fields is not None:
            found = opened.strategies.set_agent(agent, fields or {}, expected_version=expected)
        else:
            found = opened.strategies.agent(agent)
    _tell(found, as_json, every)


@app.command(
    epilog=example(
        "carryover strategy view s1",
        "carryover strategy view s1 --set mode=trim --dry-run --items",
        "carryover strategy view s1 --provider anthropic --json",
    )
)
def view(
    session: Session,
    sets: Sets = None,
    given: Given = None,
    provider: Annotated[Format, typer.Option(help="The wire that items are shown in.")] = "generic",
    agent: Agent = AGENT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make nothing, and count nothing, because of it.")] = False,
    items: Annotated[bool, typer.Option("--items", help="Show the items as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a model would see of a conversation, and why; fields that are given count this once."""
    fields = _fields(sets, given)
    with memory() as opened:
        seen = opened.strategies.view(session, agent=agent, strategy=fields, format=provider, dry_run=dry_run)
    if as_json:
        show.as_json(show_view(seen))
        return
    _tell_view(seen)
    for item in seen.items if items else ():
        show.out(_item(item, provider))


def _fields(sets: Sequence[str] | None, given: str | None) -> dict[str, Any] | None:
    """The fields that the options say; None where they say nothing. Raises Invalid for what is no JSON."""
    if not sets and given is None:
        return None
    try:
        fields: object = json.loads(given or "{}")
    except (ValueError, RecursionError) as cause:
        raise Invalid(f"--strategy is no JSON ({cause}); give an object like {{}}", field="memory_strategy") from cause
    if not isinstance(fields, dict):
        raise Invalid("--strategy is no object; give one, like {}", field="memory_strategy")
    return cast("dict[str, Any]", fields) | dict(_field(one) for one in sets or ())


def _field(said: str) -> tuple[str, Any]:
    name, equals, text = said.partition("=")
    if not equals:
        raise typer.BadParameter(f"{said!r} is not FIELD=VALUE", param_hint="--set")
    kind = RULES.get(name, {}).get("type")
    if text == "null":
        return name, None
    if kind == "string":
        return name, text
    if kind == "array" and not text.startswith("["):
        return name, [one.strip() for one in text.split(",") if one.strip()]
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _tell(found: Effective, as_json: bool, every: bool = False) -> None:
    if as_json:
        show.as_json(show_effective(found))
        return
    whose = f"agent {found.agent_id}" if found.session_id is None else f"{found.session_id} of {found.agent_id}"
    stored = f"version {found.version} is stored" if found.version else "nothing was ever set here"
    show.out(f"{whose}: {found.strategy.mode} (said by the {found.sources['mode']}); {stored}")
    values = asdict(found.strategy)
    marks = ("max_user_turns", "keep_last_turns")
    rows = [
        (name, _value(values[name]), found.sources[name])
        for name in FIELDS
        if every or found.sources[name] != "default" or (name in marks and values[name] is not None)
    ]
    if rows:
        show.table(("field", "value", "said by"), rows)
    _warn(found.warnings)
    if not every:
        show.note("all other fields are at their defaults; see them with --all")


def _tell_view(seen: View) -> None:
    mode, who = seen.strategy.mode, seen.sources["mode"]
    show.out(f"{seen.session_id} of {seen.agent_id}, {show.counted(seen.version, 'turn')}: {mode} (said by the {who})")
    show.out(f"  tokens: {seen.tokens_before:,} -> {seen.tokens_after:,} in {show.counted(len(seen.items), 'item')}")
    over = ": it cannot be made smaller" if seen.over_budget else ""
    show.out(f"  budget: {seen.budget:,}{over}")
    if seen.prefix_tokens_before:
        shared, before = seen.prefix_tokens_shared, seen.prefix_tokens_before
        show.out(f"  begins like the view before it: {shared:,} of {before:,} tokens")
    for one in seen.operations:
        show.out(f"  {_place(one.op, one.first, one.last)}: {_DONE[one.op]} ({one.reason})")
    if seen.pending is not None:
        show.out(f"  a summary of turns 1 to {seen.pending} is missing yet")
    if seen.injected is not None:
        show.out(f"  what other sessions settled: {seen.injected}")
    _warn(seen.warnings)


def _place(op: Action, first: int, last: int) -> str:
    if op == "insert":
        return f"before turn {first}"
    return f"turn {first}" if first == last else f"turns {first:,} to {last:,}"


def _item(item: Any, provider: Format) -> str:
    """An item on one line: who said what, or as the wire has it."""
    if provider != "generic":
        return json.dumps(item, ensure_ascii=False)
    said = show.first_line(plain(item.get("content")), _ITEM)
    return f"[{item.get('seq', '-')}] {item['role']} {item.get('kind', 'message')}: {said}"


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(cast("Sequence[str]", value)) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else show.first_line(str(value), 60)


def _warn(warnings: Sequence[str]) -> None:
    for one in warnings:
        show.note(f"warning: {one}")
