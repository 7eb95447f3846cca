"""The verb that shows a cluster at work: it loses the node that leads, and nothing else."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from carryover.cli import demo_nodes, show
from carryover.cli.demo_load import Load, Told, loading
from carryover.cli.demo_nodes import Nodes
from carryover.cli.operate import stopping
from carryover.client.client import Client
from carryover.core.errors import Conflict, DataLoss, VersionConflict
from carryover.core.event import Event, Filter
from carryover.core.session import Append, Draft
from carryover.settings import load

_TURNS, _LAST_N = 40, 5
_BEFORE_S, _WITHOUT_S = 2.0, 3.0  # load before the leader is killed; with a node down
_LEAD_S, _BACK_S, _FLOW_S = 60.0, 60.0, 15.0
_PAGE = 1000

Figures = list[tuple[str, str]]
T = TypeVar("T")


def cluster(
    folder: Annotated[Path, typer.Option(help="Where the cluster lives.")] = Path(".cluster"),
) -> None:
    """Play six scenes on the cluster that `make cluster` started: a race, a kill, a fail-over, and no word lost.

    It kills the node that leads and brings it back: the cluster is whole again at the end.
    """
    nodes, given = demo_nodes.find(folder), load().settings.api_key
    api_key = None if given is None else given.get_secret_value()
    page, agent, figures = _Page(), f"demo-{secrets.token_hex(3)}", Figures()
    page.title(
        f"carryover on {len(nodes.names)} PostgreSQL nodes, {nodes.leader()} leads: {len(nodes.api_urls)} servers"
    )
    clients = [Client(url, api_key) for url in nodes.api_urls]
    try:
        with stopping(_leave):
            _race(page, clients, agent, figures)
            _window(page, clients, agent, figures)
            with loading(nodes.api_urls, api_key, agent) as running:
                _lose_the_leader(page, nodes, running, figures)
            _audit(page, clients[0], agent, running.told, figures)
    finally:
        for client in clients:
            client.close()
    page.table(figures)


def _race(page: _Page, clients: Sequence[Client], agent: str, figures: Figures) -> None:
    """Two clients append at the same version at the same moment: one is first, the other one is told."""
    first, start = _said("The race begins.", "start"), threading.Barrier(2)
    version = clients[0].append(Append("race", (first,), agent)).version
    told: dict[str, tuple[int, int | None]] = {}

    def run(name: str, client: Client) -> None:
        conflict, expected = None, version
        start.wait()
        while True:
            try:
                asked = Append("race", (_said(f"I am {name}.", f"{name}.{expected}"),), agent, None, expected)
                told[name] = (client.append(asked).version, conflict)
                return
            except VersionConflict as late:
                conflict = expected = int(late.facts["current_version"])

    threads = [
        threading.Thread(target=run, args=(name, clients[n % len(clients)])) for n, name in enumerate(("Ann", "Ben"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    page.scene("Two clients append at the same version, through two servers")
    for name, (after, conflict) in sorted(told.items(), key=lambda one: one[1]):
        refused = "" if conflict is None else f"409 (the session is at version {conflict} already), read, retried: "
        page.line(f"{name}: expected version {version}, {refused}saved as version {after}")
    conflicts = sum(conflict is not None for _, conflict in told.values())
    figures.append(("appends that raced / conflicts told", f"{len(told)} / {conflicts}"))


def _window(page: _Page, clients: Sequence[Client], agent: str, figures: Figures) -> None:
    """One server takes the turns, another shows the last of them."""
    drafts = tuple(_said(f"Step {n} is done.", f"step.{n}") for n in range(1, _TURNS + 1))
    clients[0].append(Append("window", drafts, agent))
    began = time.perf_counter()
    session, turns = clients[-1].window("window", agent=agent, last_n=_LAST_N)
    took_ms = (time.perf_counter() - began) * 1000
    page.scene(f"The last {_LAST_N} of {session.version} turns, from the other server")
    page.line(" ".join(f"[{turn.seq}] {turn.text}" for turn in turns))
    figures.append((f"window of {_LAST_N} in {session.version} turns", f"{took_ms:.0f} ms"))


def _lose_the_leader(page: _Page, nodes: Nodes, running: Load, figures: Figures) -> None:
    """Three scenes: the leader is killed, the others go on, and it comes back."""
    page.during(running, "clients append", lambda: running.told, _FLOW_S)
    page.pause(running, "clients append", _BEFORE_S)
    old = demo_nodes.wait(nodes.leader, "finding the leader", _LEAD_S)
    before, killed = len(running.told), time.monotonic()
    with _without(nodes, old):
        new = page.during(running, f"{old} is dead", lambda: nodes.leader_but(old), _LEAD_S)
        page.during(running, f"{new} leads", running.flows, _FLOW_S)
        silence = running.silence(killed)
        page.scene(f"{old}, which leads, is killed -9 with all that runs on it, under load")
        page.line(f"{before:,} appends acknowledged; then none for {silence:.1f} s; now {new} leads")
        figures += [
            ("silence after the leader's death", f"{silence:.1f} s"),
            ("leader before / after", f"{old} / {new}"),
        ]

        at = time.monotonic()
        page.pause(running, f"without {old}", _WITHOUT_S)
        rate = running.since(at) / (time.monotonic() - at)
        page.scene("Writes go on with a node down")
        page.line(f"{rate:.0f} appends a second, each on the disks of the two nodes that are left")
        figures.append(("appends a second with a node down", f"{rate:.0f}"))
        back = time.monotonic()
    page.during(running, f"{old} catches up", lambda: nodes.is_whole() or None, _BACK_S)
    took = time.monotonic() - back
    page.scene(f"{old} comes back, under load")
    page.line(f"it drops what nobody had acknowledged, copies what it missed, and follows: lag 0 after {took:.1f} s")
    figures.append((f"until {old} had caught up", f"{took:.1f} s"))


@contextmanager
def _without(nodes: Nodes, name: str) -> Generator[None]:
    """Inside the block the node is dead; however it is left, the node runs again."""
    try:
        nodes.tell("kill", name)
        yield
    finally:
        nodes.tell("restart", name)


def _audit(page: _Page, client: Client, agent: str, told: Sequence[Told], figures: Figures) -> None:
    """Every append that a client was told of is in the stream, in order, once. Raises DataLoss."""
    events = _appends(client, agent)
    versions: dict[str, list[int]] = {}
    for event in events:
        versions.setdefault(event.session_id, []).append(int(event.detail["version"]))
    acknowledged = {(one.session, one.seq) for one in told}
    streamed = [(session, version) for session, found in versions.items() for version in found]
    lost = acknowledged - set(streamed)
    disordered = [session for session, found in versions.items() if found != sorted(set(found))]
    retried = sum(one.tries > 1 for one in told)
    page.scene("The audit: what the clients were told, against the stream")
    page.line(
        f"{len(told):,} acknowledged, {len(events):,} in the stream, {len(lost)} lost, "
        f"{len(disordered)} sessions out of order; {retried} had to be sent again"
    )
    figures += [
        ("appends acknowledged under load", f"{len(told):,}"),
        ("of them sent more than once", f"{retried}"),
        ("lost / doubled or out of order", f"{len(lost)} / {len(disordered)}"),
    ]
    if lost or disordered or len(acknowledged) != len(told):
        raise DataLoss(f"the stream of agent {agent!r} is not what the clients were told; run `carryover db check`")


def _appends(client: Client, agent: str) -> list[Event]:
    """The appends of the load, oldest first."""
    found: list[Event] = []
    cursor = None
    while True:
        page = client.events(agent=agent, want=Filter(action="append"), limit=_PAGE, cursor=cursor)
        found += [event for event in page.events if event.session_id.startswith("load-")]
        if (cursor := page.next_cursor) is None:
            return found[::-1]


def _said(text: str, key: str) -> Draft:
    return Draft("user", text, idempotency_key=key)


def _leave() -> None:
    raise Conflict("the demo was interrupted; what it killed is started again: see `make cluster`")


class _Page:
    """The printed page: numbered scenes; while one is played, a line that moves on a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False)
        self._n = 0

    def title(self, text: str) -> None:
        self._console.print(text, style="bold")

    def scene(self, text: str) -> None:
        self._n += 1
        self._console.print()
        self._console.print(Text.assemble((f"{self._n}  ", "bold cyan"), (text, "bold")))

    def line(self, text: str) -> None:
        self._console.print(f"   {text}", markup=False)

    def during(self, running: Load, what: str, found: Callable[[], T | None], timeout_s: float) -> T:
        """What `found` gave when it first gave something; until then it is shown how appends go on."""

        def shown() -> str:
            return f"{what}: {len(running.told):,} appends acknowledged"

        if not self._errors.is_terminal:
            show.note(shown())
            return demo_nodes.wait(found, what, timeout_s)
        with self._errors.status(shown()) as status:

            def look() -> T | None:
                status.update(shown())
                return found()

            return demo_nodes.wait(look, what, timeout_s)

    def pause(self, running: Load, what: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.during(running, what, lambda: time.monotonic() > end, seconds + 1)

    def table(self, figures: Figures) -> None:
        self._console.print()
        show.table(("figure", "value"), figures)
