"""The verb that shows what carryover does: a server, real input, and what the next session is told."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from carryover.cli import demo_cluster, demo_data, show
from carryover.cli.demo_data import AGENT, NEXT, QUESTIONS, USER, Conversation
from carryover.cli.demo_server import serving
from carryover.cli.log import described
from carryover.cli.operate import stopping
from carryover.cli.options import example
from carryover.client.client import Client
from carryover.core.chunk import Hit, Query
from carryover.core.context import Context
from carryover.core.errors import Conflict, ProviderError
from carryover.core.session import Append, Source
from carryover.core.snapshot import Finding
from carryover.core.text import estimate_tokens
from carryover.core.usage import Usage
from carryover.providers import minilm
from carryover.settings import load

app = typer.Typer(rich_markup_mode=None)
app.command(
    "cluster",
    short_help="Lose the leader of a cluster under load, and not one word.",
    epilog=example("make cluster", "carryover demo cluster"),
)(demo_cluster.cluster)

IDLE_S = 1
_WAIT_S = 90
_BATCH = 25
_WIDTH = 110
_ANSWERS = 2


@dataclass(frozen=True, slots=True)
class Logged:
    """What was logged: conversations, their turns and tokens, and how long it took."""

    conversations: Sequence[Conversation]
    seconds: float

    @property
    def turns(self) -> int:
        return sum(len(one.drafts) for one in self.conversations)


@app.callback(
    invoke_without_command=True, epilog=example("carryover demo", "carryover demo --keep", "carryover demo cluster")
)
def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's database, and say where.")] = False,
) -> None:
    """Show what carryover does, on a real server, in half a minute. Needs no key and no network.

    Starts a server in a temporary home, logs a conversation of five sessions over HTTP (and two real coding sessions
    where a folder of them lies beside the checkout), lets idle consolidation run, and prints what the next session
    would be told, three searches, the activity stream and the cost.
    """
    if context.invoked_subcommand is not None:
        return
    page = _Page()
    page.title("carryover: what one session settles, the next one knows")
    with (
        stopping(_leave),
        _home(keep) as home,
        serving(home, idle_s=str(IDLE_S), embedder=_embedder(home)) as url,
        Client(url) as client,
    ):
        page.step(f"A server started at {url}", "empty home, extraction by rules: no key, no network, no cost")
        logged = _log(client, page)
        _consolidate(client, logged.conversations, page)
        _tell_context(page, client.context(NEXT, agent=AGENT, user=USER), logged)
        _tell_searches(page, client)
        _tell_stream(page, client)
        _tell_cost(page, client)
        page.next(home if keep else None)


def _log(client: Client, page: _Page) -> Logged:
    chosen = demo_data.conversations()
    folder = demo_data.corpus()
    coding = demo_data.coding_sessions(folder) if folder else []
    logged = Logged([*chosen, *coding], 0)
    begun = time.monotonic()
    with show.progress("logging turns over HTTP", logged.turns) as advance:
        for one in logged.conversations:
            step = 1 if one.agent_id == AGENT else _BATCH
            for first in range(0, len(one.drafts), step):
                batch = one.drafts[first : first + step]
                client.append(Append(one.session_id, batch, one.agent_id, one.user_id))
                advance(len(batch))
    logged = Logged(logged.conversations, time.monotonic() - begun)
    turns = sum(len(one.drafts) for one in chosen)
    page.step(
        f"Logged {len(chosen)} conversations of Mara, who builds a booking service: {turns} turns",
        f"each turn one HTTP request, on disk before it was answered; {logged.seconds:.1f} s in all",
    )
    if coding:
        turns = sum(len(one.drafts) for one in coding)
        page.more(f"and {len(coding)} real Claude Code sessions from {folder}: {turns} turns, tools and all")
    else:
        page.more("no folder of real coding sessions beside the checkout (CARRYOVER_SHARED): left out")
    return logged


def _consolidate(client: Client, chosen: Sequence[Conversation], page: _Page) -> None:
    kinds = {"decision": 0, "fact": 0, "task": 0}
    with show.progress("consolidating idle sessions", len(chosen)) as advance:
        for one in chosen:
            version = _until(lambda one=one: _snapshot_of(client, one), f"consolidation of {one.session_id!r}")
            if one.agent_id == AGENT:
                for finding in client.snapshot(one.session_id, version, agent=one.agent_id).findings:
                    kinds[finding.kind] += 1
            advance(1)
    _until(lambda: _at_rest(client), "the search index")
    counts = ", ".join(show.counted(n, kind) for kind, n in kinds.items())
    page.step(
        f"After {IDLE_S} s of silence each session was consolidated on its own: {counts}",
        "every one with the words it stands on, and the turn they were said in (idle time is 300 s by default)",
    )


def _snapshot_of(client: Client, one: Conversation) -> int | None:
    """The version of the snapshot that covers the whole session, once there is one."""
    found = client.snapshots(one.session_id, agent=one.agent_id, limit=1)
    return found[0].version if found and found[0].through == len(one.drafts) else None


def _at_rest(client: Client) -> bool | None:
    counts = client.health().queue
    return True if counts["due"] == counts["running"] == 0 else None


def _tell_context(page: _Page, context: Context, logged: Logged) -> None:
    whole = sum(
        estimate_tokens(str(d.content)) for one in logged.conversations if one.agent_id == AGENT for d in one.drafts
    )
    page.step(
        f"What session {NEXT!r} is told before its first word",
        f"GET /sessions/{NEXT}/context: {context.tokens} tokens, instead of {whole:,} for everything that was said",
    )
    page.quoted(context.markdown)


def _tell_searches(page: _Page, client: Client) -> None:
    page.step("Three questions", "POST /memory/search: each answer is quoted from the turn it stands on")
    for question in QUESTIONS:
        page.question(question)
        places: dict[tuple[str, int], Hit] = {}
        for hit in client.search(Query(question, 2 * _ANSWERS + 2, agent_id=AGENT)).results:
            place = (hit.sources[0].session_id, hit.sources[0].first)
            if place not in places or places[place].kind == "turn":  # a finding knows whether it still holds
                places[place] = hit
        for hit in list(places.values())[:_ANSWERS]:
            page.answer(question, hit, _replacement(client, hit))


def _replacement(client: Client, hit: Hit) -> Finding | None:
    """What a later session said instead, where the hit is a finding that no longer holds."""
    return None if hit.kind == "turn" else client.finding(hit.id).superseded_by


def _tell_stream(page: _Page, client: Client) -> None:
    page.step("The activity stream, its last lines", f"GET /stream/{AGENT}; `carryover stream --follow` waits for more")
    for event in reversed(client.events(agent=AGENT, limit=4).events):
        page.line(described(event)[:_WIDTH])


def _tell_cost(page: _Page, client: Client) -> None:
    usage = Usage()
    for total in client.usage().totals:
        usage = usage.plus(total.usage)
    page.step(
        f"What it cost: ${usage.money:.2f}, {usage.calls} model calls, {usage.turns_covered} turns covered",
        f"GET /usage: {usage.tokens_saved:,} tokens that no prompt needs to carry any more",
    )


def _best(text: str, question: str, width: int) -> str:
    """`text` on one line, from the sentence on that has most words of the question."""
    asked = set(question.lower().rstrip("?").split())
    sentences = text.replace("\n", " ").split(". ")
    best = max(range(len(sentences)), key=lambda n: (len(asked & set(sentences[n].lower().split())), -n))
    start = best if len(text) > width else 0
    return show.first_line(("… " if start else "") + ". ".join(sentences[start:]), width)


def _until(ready: Callable[[], int | None], what: str) -> int:
    """What `ready` answers, once it does. Raises Conflict when that takes too long."""
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end:
        answer = ready()
        if answer is not None:
            return answer
        time.sleep(0.1)
    raise Conflict(f"{what} took longer than {_WAIT_S} s; run `carryover demo --keep` and `carryover doctor` there")


def _embedder(home: Path) -> str:
    """The default embedder, where its weights are on this machine: the demo fetches nothing."""
    try:
        weights = minilm.locate(load().settings.folder / "models")
    except ProviderError as absent:
        show.note(f"note: {absent.message}; without it, search matches words only")
        return "none"
    (home / "models").mkdir()
    (home / "models" / minilm.MODEL).symlink_to(weights, target_is_directory=True)
    return "minilm"


def _leave() -> None:
    raise Conflict("the demo was interrupted; its server is stopped and its folder removed")


@contextmanager
def _home(keep: bool) -> Generator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="carryover-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="carryover-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


class _Page:
    """The printed page: numbered steps, with colour on a terminal and as plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._wrapping = Console(
            highlight=False, width=min(self._console.width, _WIDTH) if self._console.is_terminal else _WIDTH
        )
        self._n = 0

    def title(self, text: str) -> None:
        self._console.print(text, style="bold")

    def step(self, text: str, more: str) -> None:
        self._n += 1
        self._console.print()
        self._console.print(Text.assemble((f"{self._n}  ", "bold cyan"), (text, "bold")))
        self.more(more)

    def more(self, text: str) -> None:
        self._console.print(f"   {text}", style="dim", markup=False)

    def line(self, text: str) -> None:
        self._console.print(f"   {text}", markup=False)

    def quoted(self, text: str) -> None:
        for line in text.strip().splitlines():
            style, width = "bold" if line.startswith("#") else "", self._wrapping.width - 7
            for n, part in enumerate(Text(line, style).wrap(self._wrapping, width) or [Text()]):
                self._console.print(Text.assemble(("   │ ", "cyan"), "  " if n else "", part))

    def question(self, text: str) -> None:
        self._console.print(Text.assemble("   ", (text, "italic cyan")))

    def answer(self, question: str, hit: Hit, instead: Finding | None) -> None:
        self._cite(hit.sources[0], hit.text, question)
        if instead is not None:
            self._console.print("       which no longer holds; later it was said:", style="dim")
            self._cite(instead.sources[0], instead.text, question)

    def _cite(self, source: Source, text: str, question: str) -> None:
        place = f"{source.session_id}, turn {source.first}"
        said = _best(source.quote or text, question, self._wrapping.width - 30)
        self._console.print(Text.assemble("     ", (f"{place:<21}", "dim"), " “", said, "”"))

    def next(self, home: Path | None) -> None:
        prefix = "" if home is None else f"CARRYOVER_HOME={shlex.quote(str(home))} "
        self._console.print()
        self._console.print("Try next", style="bold")
        if home is None:
            self.line('carryover log s1 "Let us use PostgreSQL for the ledger, and always answer in metric units."')
            self.line("carryover consolidate s1 && carryover context s2")
        else:
            self.line(f"{prefix}carryover search 'opening day' --agent {AGENT}")
            self.line(f"{prefix}carryover context {NEXT} --agent {AGENT} --user {USER}")
