"""The verb `profile`: what models are told of a user, where it comes from, and what the user decides about it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AsJson, example
from carryover.core.errors import Invalid, NotFound
from carryover.core.persona import MOST_TOKENS, Line, Profile
from carryover.settings import load

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Show what models are told of a user, where it was said, and change it.",
)

_USUAL_MINUTES = 15

User = Annotated[str, typer.Argument(metavar="USER", help="The user's id.", show_default=False)]
Expected = Annotated[
    int | None,
    typer.Option("--expect", min=0, metavar="VERSION", help="Only at this version.", show_default=False),
]


def _ids(name: str, help: str) -> Any:
    return typer.Option(name, metavar="ID", help=f"{help} May be repeated.", show_default=False)


@app.command("show", epilog=example("carryover profile show ana", "carryover profile show ana --json"))
def show_(user: User, as_json: AsJson = False) -> None:
    """Show the text that models are told of a user, and every line with its id."""
    with memory() as opened:
        found = opened.profiles.show(user)
    _tell(found, as_json)


@app.command(
    epilog=example(
        "carryover profile edit ana --pin 12+ --remove 301-",
        "carryover profile edit ana --weight 12+=0.5 --text 'I read on a small screen'",
        "carryover profile edit ana --unpin 12+ --restore 301- --weight 12+=null --no-text 'I read on a small screen'",
    )
)
def edit(
    user: User,
    pin: Annotated[list[str] | None, _ids("--pin", "Always tell this line.")] = None,
    unpin: Annotated[list[str] | None, _ids("--unpin", "Tell this line only if it is noticed.")] = None,
    remove: Annotated[list[str] | None, _ids("--remove", "Never tell this line.")] = None,
    restore: Annotated[list[str] | None, _ids("--restore", "Take a removal back.")] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=FACTOR", help="What a line's votes count, 0 to 4; null clears.", show_default=False),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="A line in the user's own words.", show_default=False)] = None,
    no_text: Annotated[list[str] | None, typer.Option(help="Such a line to take away.", show_default=False)] = None,
    expected: Expected = None,
    as_json: AsJson = False,
) -> None:
    """Change what models are told of a user: it holds whatever is noticed later."""
    if not any((pin, unpin, remove, restore, weight, text, no_text)):
        raise typer.BadParameter("say what to change, as with --pin ID or --text TEXT", param_hint="--pin")
    weights = dict(_weight(one) for one in weight or ())
    with memory() as opened:
        before = opened.profiles.show(user)
        pins = _changed(before.edits.pins, pin, (*(unpin or ()), *(remove or ())))
        removed = _changed(before.edits.removed, remove, (*(restore or ()), *(pin or ())))
        texts = _changed(before.edits.texts, text, no_text)
        after = opened.profiles.edit(
            user,
            weights=weights or None,
            pins=pins,
            removed=removed,
            texts=texts,
            expected_version=before.version if expected is None else expected,
        )
    _tell(after, as_json)


@app.command(epilog=example("carryover profile why ana 12+"))
def why(
    user: User,
    line: Annotated[str, typer.Argument(metavar="LINE", help="The line's id.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show where a line of a user's profile was said, in their own words."""
    with memory() as opened:
        found = opened.profiles.show(user)
    one = next((one for one in found.lines if one.id == line), None)
    if one is None:
        raise NotFound(f"user {user!r} has no line {line!r}; see the ids with `carryover profile show {user}`")
    if as_json:
        show.as_json(one)
        return
    show.out(one.text)
    show.out(f"  {_standing(one)}, said {show.counted(one.evidence, 'time')}, {one.votes:g} votes by now")
    for quote in one.quotes:
        at = "" if quote.said_at is None else f"{show.when(quote.said_at)}, "
        show.out(f"  {at}turn {quote.seq} of {quote.session_id} of {quote.agent_id}: “{quote.text}”")
    if one.origin == "text":
        show.out("  the user wrote it")


@app.command(epilog=example("carryover profile choices", "carryover profile choices bullet"))
def choices(
    words: Annotated[str, typer.Argument(metavar="[WORDS]", help="Only lines that hold these.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the lines that a user may pin though nothing of the kind was noticed."""
    with memory() as opened:
        found = [one for one in opened.profiles.choices() if words.lower() in f"{one.facet} {one.text}".lower()]
    if as_json:
        show.as_json(found)
        return
    show.table(("line", "facet", "text"), [(one.id, one.facet, one.text) for one in found])


@app.command(epilog=example("carryover profile link ana", "carryover profile link ana --minutes 60 --read-only"))
def link(
    user: User,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long it opens the profile.")] = _USUAL_MINUTES,
    read_only: Annotated[bool, typer.Option("--read-only", help="It shows the profile and changes nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a link with which a user sees and edits their own profile, and nothing else."""
    with memory() as opened:
        made = opened.profiles.link(user, ttl_s=60 * minutes, write=not read_only)
    if as_json:
        show.as_json(made)
        return
    settings = load().settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    show.out(f"{(settings.url or f'http://{host}:{settings.port}').rstrip('/')}{made.path}")
    show.note(f"whoever has it opens the profile of {user} until {show.when(made.expires_at)}")


@app.command(epilog=example("carryover profile erase ana", "carryover profile erase ana --yes"))
def erase(
    user: User,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase what was noticed of a user and what they decided, for good; their sessions stay."""
    if not yes:
        show.note(f"this erases what was noticed of {user} and what they decided about it, for good, backups included")
        if not sys.stdin.isatty():
            raise Invalid("nobody can be asked here and nothing was erased; add --yes")
        if not typer.confirm("erase?", err=True):
            show.note("nothing was erased")
            raise typer.Exit(1)
    with memory() as opened:
        counts = opened.profiles.erase(user)
    if as_json:
        show.as_json({"user_id": user, "counts": counts})
        return
    gone = ", ".join(f"{n} {table}" for table, n in counts.items() if n)
    show.out(f"erased the profile of {user}: {gone or 'there was none'}")


@app.command(epilog=example("carryover profile refit", "carryover profile refit --json"))
def refit(as_json: AsJson = False) -> None:
    """Fit the tenant's codebook anew, now. What users decided stays in force."""
    with memory() as opened:
        fitted = opened.profiles.refit()
    if fitted is None:
        raise Invalid("nobody waited for the fit; ask again")
    if as_json:
        show.as_json(fitted)
        return
    what = "nothing had to be changed" if fitted.why is None else f"{fitted.new} new, {fitted.retired} retired"
    show.out(f"codebook {fitted.version}: {show.counted(fitted.labels, 'label')} ({what})")
    said = show.counted(fitted.preferences, "preference")
    show.out(f"  of {said} of {show.counted(fitted.users, 'user')}, {fitted.far:.0%} far from every label")


@app.command(epilog=example("carryover profile overview"))
def overview(as_json: AsJson = False) -> None:
    """Show which labels how many users' personas tell; what fewer share than the floor demands is left out."""
    with memory() as opened:
        found = opened.profiles.overview()
    if as_json:
        show.as_json(found)
        return
    users = f"fewer than {found.floor} users" if found.users is None else show.counted(found.users, "user")
    newest = "" if found.counted in (None, found.users) else f", the newest {found.counted:,} counted"
    show.out(f"{users}{newest}; codebook {found.book_version}")
    if found.labels:
        rows = [(one.users, one.facet, one.name, one.polarity) for one in found.labels]
        show.table(("users", "facet", "label", "polarity"), rows)
    if found.hidden:
        show.out(f"{show.counted(found.hidden, 'label')} of fewer than {found.floor} users each are not shown")


def _tell(found: Profile, as_json: bool) -> None:
    if as_json:
        show.as_json(found)
        return
    persona = found.persona
    if persona.text:
        size = f"version {found.version}, {persona.tokens} of {MOST_TOKENS} tokens"
        show.out(f"what models are told of {found.user_id} ({size}):")
        show.out()
        show.out(persona.text)
        show.out()
    else:
        show.out(f"models are told nothing of {found.user_id} yet (version {found.version})")
    if found.lines:
        heads = ("line", "facet", "votes", "weight", "state", "text")
        rows = [
            (one.id, one.facet or "-", f"{one.votes:g}", f"{one.weight:g}", _standing(one), one.text)
            for one in found.lines
        ]
        show.table(heads, rows)
    for warning in persona.warnings:
        show.note(f"warning: {warning}")


def _standing(line: Line) -> str:
    if line.removed:
        return "removed"
    pinned = "pinned" if line.pinned else ""
    return pinned or "told" if line.shown else ", ".join(filter(None, (pinned, "not told")))


def _changed(before: Sequence[str], more: Iterable[str] | None, less: Iterable[str] | None) -> list[str]:
    """The list with some more and without some others. Raises Invalid for one that is asked for both ways."""
    come, gone = list(more or ()), set(less or ())
    both = next((one for one in come if one in gone), None)
    if both is not None:
        raise typer.BadParameter(f"{both!r} is asked for both ways", param_hint="--pin")
    return list(dict.fromkeys([*(one for one in before if one not in gone), *come]))


def _weight(said: str) -> tuple[str, float | None]:
    id, equals, factor = said.rpartition("=")
    try:
        return id, None if factor == "null" else float(factor if equals else "")
    except ValueError as cause:
        raise typer.BadParameter(f"{said!r} is not ID=FACTOR", param_hint="--weight") from cause
