"""Coding sessions and their patterns on a server: what each verb sends and how its answer reads, and who sends it."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import replace
from typing import Protocol

from carryover.client.wire import Answer, Call, as_a, bounds, get, post, quoted
from carryover.core.clock import Time
from carryover.core.digest import Digest, Outcome
from carryover.core.pattern import LEAST, Decision, Effect, Pattern, PatternState, Rollout, Written
from carryover.core.step import Flavor
from carryover.core.wire import decode, encode

BY = "api"
DETECT_S = 300.0  # how much longer than another verb detection may take


class Send(Protocol):
    """How a client sends a call."""

    def __call__(self, call: Call[Answer]) -> Answer: ...


class AsyncSend(Protocol):
    """How an async client sends a call."""

    def __call__(self, call: Call[Answer]) -> Awaitable[Answer]: ...


class Coding:
    """Digests and patterns on a server, as the key's scope sees them."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def digests(
        self,
        *,
        repo: str | None = None,
        flavor: Flavor | None = None,
        outcome: Outcome | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Digest], str | None]:
        """Digests of sessions that ended then, newest first, and the cursor of the next page."""
        return self._send(_digests(repo, flavor, outcome, bounds({"since": since, "until": until}), limit, cursor))

    def digest(self, session_id: str, *, agent: str | None = None) -> Digest:
        """The digest of a session, of whichever agent has one of that id if none is named. Raises NotFound."""
        return self._send(_digest(session_id, agent))

    def detect(
        self,
        *,
        min_frequency: int = LEAST,
        repo: str | None = None,
        flavor: Flavor | None = None,
        since: Time | None = None,
    ) -> list[Pattern]:
        """What recurs, best first, as it stands in the catalog, counted over these sessions."""
        return self._send(_detect(min_frequency, repo, flavor, since))

    def patterns(self, *, state: PatternState | None = None) -> list[Pattern]:
        """The tenant's patterns, or those in one state, the highest score first. Raises Forbidden or Invalid."""
        return self._send(_patterns(state))

    def pattern(self, id: str) -> Pattern:
        """The newest version of a pattern, with its evidence. Raises Forbidden or NotFound."""
        return self._send(_pattern(id))

    def versions(self, id: str) -> list[Pattern]:
        """All versions of a pattern, the newest first; that one alone has evidence. Raises Forbidden or NotFound."""
        return self._send(_versions(id))

    def decide(self, id: str, decision: Decision, *, by: str = BY, reason: str = "") -> Pattern:
        """The pattern is approved or rejected. Raises Forbidden, NotFound, Invalid or Conflict."""
        return self._send(_decide(id, decision, by, reason))

    def edit(
        self, id: str, *, title: str | None = None, lesson: str | None = None, by: str = BY, reason: str = ""
    ) -> Pattern:
        """The pattern has this title and this lesson. Raises Forbidden, NotFound, Invalid or Conflict."""
        return self._send(_edit(id, title, lesson, by, reason))

    def distribute(self, id: str, rollout: Rollout | None = None, *, by: str = BY, reason: str = "") -> list[Written]:
        """The pattern is told in the server's repositories. Raises Forbidden, NotFound, Invalid or Conflict."""
        return self._send(_distribute(id, rollout or Rollout(), by, reason))

    def withdraw(
        self, id: str, *, force: bool = False, dry_run: bool = False, by: str = BY, reason: str = ""
    ) -> list[Written]:
        """No file on the server tells the pattern any more. Raises Forbidden, NotFound, Invalid or Conflict."""
        return self._send(_withdraw(id, force, dry_run, by, reason))

    def measure(self, id: str | None = None, *, by: str = BY) -> list[Effect]:
        """What distributed patterns changed, or this one, as of now. Raises Forbidden, NotFound or Conflict."""
        return self._send(_measure(id, by))


class AsyncCoding:
    """The same for async programs, word for word."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def digests(
        self,
        *,
        repo: str | None = None,
        flavor: Flavor | None = None,
        outcome: Outcome | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Digest], str | None]:
        """Digests of sessions that ended then, newest first, and the cursor of the next page."""
        times = bounds({"since": since, "until": until})
        return await self._send(_digests(repo, flavor, outcome, times, limit, cursor))

    async def digest(self, session_id: str, *, agent: str | None = None) -> Digest:
        """The digest of a session, of whichever agent has one of that id if none is named. Raises NotFound."""
        return await self._send(_digest(session_id, agent))

    async def detect(
        self,
        *,
        min_frequency: int = LEAST,
        repo: str | None = None,
        flavor: Flavor | None = None,
        since: Time | None = None,
    ) -> list[Pattern]:
        """What recurs, best first, as it stands in the catalog, counted over these sessions."""
        return await self._send(_detect(min_frequency, repo, flavor, since))

    async def patterns(self, *, state: PatternState | None = None) -> list[Pattern]:
        """The tenant's patterns, or those in one state, the highest score first. Raises Forbidden or Invalid."""
        return await self._send(_patterns(state))

    async def pattern(self, id: str) -> Pattern:
        """The newest version of a pattern, with its evidence. Raises Forbidden or NotFound."""
        return await self._send(_pattern(id))

    async def versions(self, id: str) -> list[Pattern]:
        """All versions of a pattern, the newest first; that one alone has evidence. Raises Forbidden or NotFound."""
        return await self._send(_versions(id))

    async def decide(self, id: str, decision: Decision, *, by: str = BY, reason: str = "") -> Pattern:
        """The pattern is approved or rejected. Raises Forbidden, NotFound, Invalid or Conflict."""
        return await self._send(_decide(id, decision, by, reason))

    async def edit(
        self, id: str, *, title: str | None = None, lesson: str | None = None, by: str = BY, reason: str = ""
    ) -> Pattern:
        """The pattern has this title and this lesson. Raises Forbidden, NotFound, Invalid or Conflict."""
        return await self._send(_edit(id, title, lesson, by, reason))

    async def distribute(
        self, id: str, rollout: Rollout | None = None, *, by: str = BY, reason: str = ""
    ) -> list[Written]:
        """The pattern is told in the server's repositories. Raises Forbidden, NotFound, Invalid or Conflict."""
        return await self._send(_distribute(id, rollout or Rollout(), by, reason))

    async def withdraw(
        self, id: str, *, force: bool = False, dry_run: bool = False, by: str = BY, reason: str = ""
    ) -> list[Written]:
        """No file on the server tells the pattern any more. Raises Forbidden, NotFound, Invalid or Conflict."""
        return await self._send(_withdraw(id, force, dry_run, by, reason))

    async def measure(self, id: str | None = None, *, by: str = BY) -> list[Effect]:
        """What distributed patterns changed, or this one, as of now. Raises Forbidden, NotFound or Conflict."""
        return await self._send(_measure(id, by))


def _digests(
    repo: str | None,
    flavor: Flavor | None,
    outcome: Outcome | None,
    times: dict[str, str | None],
    limit: int,
    cursor: str | None,
) -> Call[tuple[list[Digest], str | None]]:
    asked: dict[str, str | int | None] = {"repo": repo, "flavor": flavor, "outcome": outcome, **times}
    return get("/digests", _page, **asked, limit=limit, cursor=cursor)


def _digest(session_id: str, agent: str | None) -> Call[Digest]:
    return get(f"/digests/{quoted(session_id)}", as_a(Digest), agent_id=agent)


def _detect(min_frequency: int, repo: str | None, flavor: Flavor | None, since: Time | None) -> Call[list[Pattern]]:
    asked = {"min_frequency": min_frequency, "repo": repo, "flavor": flavor, **bounds({"since": since})}
    sent = post("/patterns/detect", _list, {name: value for name, value in asked.items() if value is not None})
    return replace(sent, wait_s=DETECT_S)


def _patterns(state: PatternState | None) -> Call[list[Pattern]]:
    return get("/patterns", _list, state=state)


def _pattern(id: str) -> Call[Pattern]:
    return get(f"/patterns/{quoted(id)}", as_a(Pattern))


def _versions(id: str) -> Call[list[Pattern]]:
    return get(f"/patterns/{quoted(id)}/versions", _list)


def _decide(id: str, decision: Decision, by: str, reason: str) -> Call[Pattern]:
    asked = {"by": by, "reason": reason}
    return replace(post(f"/patterns/{quoted(id)}/{quoted(decision)}", as_a(Pattern), asked), again=False)


def _edit(id: str, title: str | None, lesson: str | None, by: str, reason: str) -> Call[Pattern]:
    said = {"title": title, "lesson": lesson, "by": by, "reason": reason}
    body = {name: text for name, text in said.items() if text is not None}
    return replace(post(f"/patterns/{quoted(id)}", as_a(Pattern), body), method="PATCH", again=False)


def _distribute(id: str, rollout: Rollout, by: str, reason: str) -> Call[list[Written]]:
    asked = {**encode(rollout), "by": by, "reason": reason}
    return replace(post(f"/patterns/{quoted(id)}/distribute", _files, asked), again=False)


def _withdraw(id: str, force: bool, dry_run: bool, by: str, reason: str) -> Call[list[Written]]:
    asked = {"force": force, "dry_run": dry_run, "by": by, "reason": reason}
    return replace(post(f"/patterns/{quoted(id)}/withdraw", _files, asked), again=False)


def _measure(id: str | None, by: str) -> Call[list[Effect]]:
    path = "/patterns/measure" if id is None else f"/patterns/{quoted(id)}/measure"
    return replace(post(path, _effects, {"by": by}), wait_s=DETECT_S)


def _files(_: int, raw: bytes) -> list[Written]:
    return [decode(Written, item) for item in json.loads(raw)["files"]]


def _effects(_: int, raw: bytes) -> list[Effect]:
    return [decode(Effect, item) for item in json.loads(raw)["effects"]]


def _page(_: int, raw: bytes) -> tuple[list[Digest], str | None]:
    data = json.loads(raw)
    return [decode(Digest, item) for item in data["digests"]], data["next_cursor"]


def _list(_: int, raw: bytes) -> list[Pattern]:
    return [decode(Pattern, item) for item in json.loads(raw)["patterns"]]
