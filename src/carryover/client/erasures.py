"""Erasures and legal holds on a server: what each verb sends and how its answer reads, and who sends it."""

from __future__ import annotations

import builtins
import json
from typing import Any

from carryover.client.coding import AsyncSend, Send
from carryover.client.wire import Call, as_a, bounds, get, post, quoted
from carryover.core.clock import Time
from carryover.core.erasure import ErasureKey, LegalHold, Preview, Receipt, Selection
from carryover.core.session import to_json
from carryover.core.wire import decode

_LONG_S = 300.0  # how long an erasure is waited for


class Erasures:
    """Erasures on a server, as the key's scope sees them.

    What is selected lies in all that is named: `turns` are the first and the last of a run in one session, `since` and
    `until` are when turns were said. A session without an agent is one of the agent `default`.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def preview(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        turns: tuple[int, int] | None = None,
    ) -> Preview:
        """What `erase` would take now, by table, and which legal holds forbid it; nothing is changed.

        Raises Forbidden, Invalid, or NotFound where nothing is selected.
        """
        return self._send(_preview(_asked(agent, session, user, since, until, turns)))

    def erase(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        turns: tuple[int, int] | None = None,
    ) -> Receipt:
        """What is selected is gone, with all that was made of it; the signed receipt says how much that was.

        Erasing again counts zeros. Raises Forbidden, Invalid, Held where a legal hold forbids any of it, Conflict for
        turns of a session that was read out of logs, and NotFound for what never was there: then nothing has changed.
        """
        return self._send(_erase(_asked(agent, session, user, since, until, turns)))

    def receipt(self, id: str) -> Receipt:
        """What is kept of a receipt: all but the names of what was erased. Raises Forbidden or NotFound."""
        return self._send(_receipt(id))

    def key(self) -> ErasureKey:
        """The public key that receipts are checked with. Raises Forbidden."""
        return self._send(_key())


class AsyncErasures:
    """The same for async programs, word for word."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def preview(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        turns: tuple[int, int] | None = None,
    ) -> Preview:
        """What `erase` would take now, by table, and which legal holds forbid it; nothing is changed.

        Raises Forbidden, Invalid, or NotFound where nothing is selected.
        """
        return await self._send(_preview(_asked(agent, session, user, since, until, turns)))

    async def erase(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        turns: tuple[int, int] | None = None,
    ) -> Receipt:
        """What is selected is gone, with all that was made of it; the signed receipt says how much that was.

        Erasing again counts zeros. Raises Forbidden, Invalid, Held where a legal hold forbids any of it, Conflict for
        turns of a session that was read out of logs, and NotFound for what never was there: then nothing has changed.
        """
        return await self._send(_erase(_asked(agent, session, user, since, until, turns)))

    async def receipt(self, id: str) -> Receipt:
        """What is kept of a receipt: all but the names of what was erased. Raises Forbidden or NotFound."""
        return await self._send(_receipt(id))

    async def key(self) -> ErasureKey:
        """The public key that receipts are checked with. Raises Forbidden."""
        return await self._send(_key())


class Holds:
    """Legal holds on a server, as the key's scope sees them."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def place(
        self, reason: str, *, session: str | None = None, agent: str | None = None, user: str | None = None
    ) -> LegalHold:
        """What lies in all that is named may not be erased from now on, by anybody and by no expiry.

        Raises Forbidden or Invalid.
        """
        return self._send(_place(reason, session, agent, user))

    def list(self, *, released: bool = False) -> builtins.list[LegalHold]:
        """The holds in force, the newest first; with `released` also those of before. Raises Forbidden."""
        return self._send(_list(released))

    def release(self, id: str) -> LegalHold:
        """The hold keeps nothing any more. Raises Forbidden or NotFound."""
        return self._send(_release(id))


class AsyncHolds:
    """The same for async programs, word for word."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def place(
        self, reason: str, *, session: str | None = None, agent: str | None = None, user: str | None = None
    ) -> LegalHold:
        """What lies in all that is named may not be erased from now on, by anybody and by no expiry.

        Raises Forbidden or Invalid.
        """
        return await self._send(_place(reason, session, agent, user))

    async def list(self, *, released: bool = False) -> builtins.list[LegalHold]:
        """The holds in force, the newest first; with `released` also those of before. Raises Forbidden."""
        return await self._send(_list(released))

    async def release(self, id: str) -> LegalHold:
        """The hold keeps nothing any more. Raises Forbidden or NotFound."""
        return await self._send(_release(id))


def _asked(
    agent: str | None,
    session: str | None,
    user: str | None,
    since: Time | None,
    until: Time | None,
    turns: tuple[int, int] | None,
) -> dict[str, Any]:
    first, last = turns or (None, None)
    asked = Selection(agent, session, user, since, until, first, last).checked()
    named = {"agent_id": asked.agent_id, "session_id": asked.session_id, "user_id": asked.user_id}
    told = named | {"turns": f"{first}..{last}" if turns else None} | bounds({"since": since, "until": until})
    return {name: value for name, value in told.items() if value is not None}


def _preview(asked: dict[str, Any]) -> Call[Preview]:
    return post("/erasures/preview", as_a(Preview), asked)


def _erase(asked: dict[str, Any]) -> Call[Receipt]:
    # Not sent twice by itself: the second answer would count what the first has left.
    body = to_json(asked).encode()
    return Call("POST", "/erasures", as_a(Receipt), body=body, again=False, wait_s=_LONG_S)


def _receipt(id: str) -> Call[Receipt]:
    return get(f"/erasures/{quoted(id)}", as_a(Receipt))


def _key() -> Call[ErasureKey]:
    return get("/erasures/key", as_a(ErasureKey))


def _place(reason: str, session: str | None, agent: str | None, user: str | None) -> Call[LegalHold]:
    told = {"reason": reason, "session_id": session, "agent_id": agent, "user_id": user}
    body = to_json({name: value for name, value in told.items() if value is not None}).encode()
    return Call("POST", "/holds", as_a(LegalHold), body=body, again=False)


def _list(released: bool) -> Call[list[LegalHold]]:
    def read(_: int, raw: bytes) -> list[LegalHold]:
        return [decode(LegalHold, one) for one in json.loads(raw)["holds"]]

    return get("/holds", read, released="true" if released else None)


def _release(id: str) -> Call[LegalHold]:
    return Call("DELETE", f"/holds/{quoted(id)}", as_a(LegalHold))
