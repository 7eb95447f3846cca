"""Model providers that are slow, overloaded, broken or talk nonsense, while sessions are consolidated and embedded."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from carryover.chat.verbs import Chat
from carryover.core.chat import ChatRequest
from carryover.core.errors import CarryoverError
from carryover.core.scope import EVERY_TENANT
from carryover.log import read
from carryover.runtime import Carryover
from carryover.store import queue
from tests.fakes.messages_stream import FakeMessagesStream, Said
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Ask, BrokenOff
from torture import answers, children, found
from torture.clocks import Jumpy
from torture.run import Run, scenario

_CAP = 150_000  # tokens a day: less than the sessions need
_EMBEDDER = {"embedder": "openai:text-embedding-3-small", "embedder_api_key": "k", "embedder_dim": 256}
_ROUNDS = 40


class _Half:
    """Answers that break off in the middle: the connection is closed after some bytes of what was to come."""

    broken = 0

    def respond(self, path: str, headers: Mapping[str, str], raw: bytes) -> Any:
        status, more, content = super().respond(path, headers, raw)  # type: ignore[misc]
        if self.broken and isinstance(content, bytes):
            self.broken -= 1
            return status, more, _cut_off(content)
        return status, more, content


class _Messages(_Half, FakeMessagesStream):
    """A provider of chats and of structured answers."""


class _Embeddings(_Half, FakeOpenAI):
    """A provider of embeddings."""


@scenario("providers")
def _providers(run: Run) -> None:
    """No turn is lost, jobs are tried again or die with a reason, and no cap is passed; then all is made good."""
    clock = Jumpy()
    with _Messages(_said) as chats, _Embeddings(dim=256) as vectors:
        given = children.settings(
            run.home,
            **answers.model(chats.url),
            **_EMBEDDER,
            embedder_base_url=vectors.url,
            caps={"tokens_per_day": _CAP},
        )
        with Carryover.open(given, clock=clock, threads=2) as memory:
            talkers = [
                run.talker(memory, f"talker-{n}", [f"s-{n}-{m}" for m in range(run.often(3, 9))]) for n in range(2)
            ]
            asked = threading.Thread(target=_chat, args=(run, memory, run.often(6, 60)))
            with run.talking(talkers, pause_s=0.03):
                asked.start()
                for _ in range(run.often(8, 120)):
                    for fake in (chats, vectors):
                        _trouble(fake, run.chance)
                    run.pause(0.02, 0.2)
                    clock.off_ms += run.chance.choice((0, 2_000, 60_000, 3_600_000))
                    _within_cap(run, memory)
                asked.join()
            died = _revived(run, memory)
            for fake in (chats, vectors):
                fake.reset()
                fake.broken = 0
            for _ in range(_ROUNDS):  # of hours: what backs off or waits for its cap comes to its turn
                clock.off_ms += 6 * 3_600_000
                found.settled(memory, 20)
                _within_cap(run, memory)
                died += _revived(run, memory)
                if _idle(memory):
                    break
            run.judge(_but_chats(run, memory))
            run.notes.append(f"{len(chats.requests)} calls of the model, {len(vectors.requests)} of the embedder, "
                             f"{died} jobs died with a reason and lived again")  # fmt: skip


def _said(ask: Ask) -> Any:
    return Said("It was noted.") if ask.schema is None else answers.notes(ask)


def _trouble(fake: Any, chance: random.Random) -> None:
    """Some of its next answers go wrong, in one of the ways in which providers fail."""
    times = chance.randrange(1, 5)
    chance.choice((
        lambda: fake.fail_next(429, times, retry_after=chance.choice((None, 1, 30))),
        lambda: fake.fail_next(529, times),
        lambda: fake.fail_next(500, times),
        lambda: fake.fail_next(401, 1),
        lambda: fake.hang_next(0.3, times),
        lambda: fake.garble_next(times=times),
        lambda: fake.garble_next(b"", times=times),
        lambda: fake.garble_next(b'{"content": [], "usage": null}', times=times),
        lambda: fake.cut_next(times),
        lambda: fake.refuse_next(times),
        lambda: setattr(fake, "broken", times),
        lambda: None,
    ))()  # fmt: skip


def _cut_off(content: bytes) -> Iterator[bytes]:
    if half := content[: len(content) // 2]:
        yield half
    raise BrokenOff


def _chat(run: Run, memory: Carryover, times: int) -> None:
    """Somebody chats meanwhile: whatever fails, what they said is in the log, once."""
    chance = random.Random(f"{run.seed} chat")
    said: dict[str, str] = {}
    for n in range(times):
        session, text = f"chat-{n % 2}", f"Question {n}, please."
        said[text] = session
        request = ChatRequest(session, text, idempotency_key=f"chat.{n}")
        for _ in range(chance.choice((1, 2))):  # sent again, it is answered anew, and said once
            try:
                Chat(memory).send(request)
                break
            except CarryoverError:
                continue
    for session in ("chat-0", "chat-1"):
        head = memory.session(session)
        log = [
            str(turn.content)
            for turn in read.every(memory.engine.store, memory.scope, "default", session, head.version)
        ]
        for text in (text for text, where in said.items() if where == session):
            if log.count(text) != 1:
                run.broke(
                    "lost" if text not in log else "duplicated", f"{text!r} is in {session} {log.count(text)} times"
                )
        mine = [text for text in log if text in said]
        if mine != [text for text, where in said.items() if where == session]:
            run.broke("reordered", f"{session} has {mine}")


def _within_cap(run: Run, memory: Carryover) -> None:
    report = memory.usage()
    if report.today.tokens + report.reserved.tokens > _CAP:
        run.broke("overspent", f"{report.today.tokens} + {report.reserved.tokens} of {_CAP} tokens")


def _revived(run: Run, memory: Carryover) -> int:
    """Jobs that gave up have said why, and are due again; how many."""
    with memory.engine.store.write(EVERY_TENANT) as tx:
        for job in queue.dead(tx):
            if not job.reason:
                run.broke("dead job", f"{job.kind} {job.subject} died without a reason")
        return queue.revive_all(tx)


def _idle(memory: Carryover) -> bool:
    with memory.engine.store.read(EVERY_TENANT) as tx:
        return not [job for job in queue.listed(tx, limit=1000) if job.kind not in ("expire", "notice")]


def _but_chats(run: Run, memory: Carryover) -> found.Found:
    """What is there but for the chats, which are looked at by themselves."""
    seen = found.look(memory)
    for session in ("chat-0", "chat-1"):
        seen.stored -= len(seen.rows.pop(session, []))
        for kept in (seen.versions, seen.snapshots, seen.events):
            kept.pop(session, None)
    return seen
