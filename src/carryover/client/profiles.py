"""Personas and profiles on a server: what each verb sends and how its answer reads, and who sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from carryover.client.coding import AsyncSend, Send
from carryover.client.wire import WAIT_S, Call, as_a, get, post
from carryover.core.errors import Invalid
from carryover.core.persona import Choice, Fitted, Link, Overview, Persona, Profile
from carryover.core.scope import DEFAULT
from carryover.core.session import to_json
from carryover.core.wire import decode

_USUAL_S = 900


class Profiles:
    """Personas and profiles on a server, as the key's scope sees them.

    Where no user is named, the one is meant whom the key is narrowed to.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def persona(self, user: str | None = None, *, session_id: str | None = None, agent: str = DEFAULT) -> Persona:
        """What a model is told of the user; in a session it stays as it was when the session began.

        Raises Forbidden, NotFound, Invalid, or KeyLost.
        """
        return self._send(_persona(user, session_id, agent))

    def show(self, user: str | None = None) -> Profile:
        """Everything that is known of the user, where it was said, and what they decided about it.

        Raises Forbidden, NotFound, Invalid, or KeyLost.
        """
        return self._send(_show(user))

    def choices(self) -> list[Choice]:
        """Lines that a user may pin though nothing was noticed. Raises Forbidden or KeyLost."""
        return self._send(_choices())

    def edit(
        self,
        user: str | None = None,
        *,
        weights: Mapping[str, float | None] | None = None,
        pins: Sequence[str] | None = None,
        removed: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
        expected_version: int | None = None,
    ) -> Profile:
        """These are the user's decisions from now on: lists replace, weights merge, and None clears one.

        They hold whatever is noticed or fitted later. Raises Forbidden, NotFound, Invalid, KeyLost, or
        VersionConflict where the profile is at another version than was expected; then nothing has changed.
        """
        asked = {"weights": weights, "pins": pins, "removed": removed, "texts": texts}
        return self._send(_edit(user, asked, expected_version))

    def erase(self, user: str | None = None) -> dict[str, int]:
        """Nothing is left of what was noticed of the user and what they decided: how many rows went, by table.

        Their key is dropped, so no backup can be read either. What they said stays in their sessions, and is not
        noticed again. A second call finds nothing. Raises Forbidden, NotFound, Invalid, or Held by a legal hold.
        """
        return self._send(_erase(user))

    def refit(self, *, wait: bool = True, timeout_s: float = WAIT_S) -> Fitted | None:
        """The tenant's codebook is fitted anew, now: what came of it, or None when nobody waits.

        Raises Forbidden, or Conflict when the job waits for a cap, is dead or takes longer than `timeout_s`.
        """
        return self._send(_refit(wait, timeout_s))

    def overview(self) -> Overview:
        """Which labels how many users' personas tell, and no number below the floor. Raises Forbidden or KeyLost.

        The newest 2,000 profiles are looked at: a second or two where their codes are kept, more after a refit.
        """
        return self._send(_overview())

    def link(self, user: str | None = None, *, ttl_s: int = _USUAL_S, write: bool = True) -> Link:
        """A link that opens the user's profile, and nothing else, for `ttl_s` seconds; with `write` they may edit.

        It may do no more than the scope that makes it, and ends when the profile is erased. Raises Forbidden,
        NotFound, Invalid, or KeyLost.
        """
        return self._send(_link(user, ttl_s, write))


class AsyncProfiles:
    """The same for async programs, word for word."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def persona(self, user: str | None = None, *, session_id: str | None = None, agent: str = DEFAULT) -> Persona:
        """What a model is told of the user; in a session it stays as it was when the session began.

        Raises Forbidden, NotFound, Invalid, or KeyLost.
        """
        return await self._send(_persona(user, session_id, agent))

    async def show(self, user: str | None = None) -> Profile:
        """Everything that is known of the user, where it was said, and what they decided about it.

        Raises Forbidden, NotFound, Invalid, or KeyLost.
        """
        return await self._send(_show(user))

    async def choices(self) -> list[Choice]:
        """Lines that a user may pin though nothing was noticed. Raises Forbidden or KeyLost."""
        return await self._send(_choices())

    async def edit(
        self,
        user: str | None = None,
        *,
        weights: Mapping[str, float | None] | None = None,
        pins: Sequence[str] | None = None,
        removed: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
        expected_version: int | None = None,
    ) -> Profile:
        """These are the user's decisions from now on: lists replace, weights merge, and None clears one.

        They hold whatever is noticed or fitted later. Raises Forbidden, NotFound, Invalid, KeyLost, or
        VersionConflict where the profile is at another version than was expected; then nothing has changed.
        """
        asked = {"weights": weights, "pins": pins, "removed": removed, "texts": texts}
        return await self._send(_edit(user, asked, expected_version))

    async def erase(self, user: str | None = None) -> dict[str, int]:
        """Nothing is left of what was noticed of the user and what they decided: how many rows went, by table.

        Their key is dropped, so no backup can be read either. What they said stays in their sessions, and is not
        noticed again. A second call finds nothing. Raises Forbidden, NotFound, Invalid, or Held by a legal hold.
        """
        return await self._send(_erase(user))

    async def refit(self, *, wait: bool = True, timeout_s: float = WAIT_S) -> Fitted | None:
        """The tenant's codebook is fitted anew, now: what came of it, or None when nobody waits.

        Raises Forbidden, or Conflict when the job waits for a cap, is dead or takes longer than `timeout_s`.
        """
        return await self._send(_refit(wait, timeout_s))

    async def overview(self) -> Overview:
        """Which labels how many users' personas tell, and no number below the floor. Raises Forbidden or KeyLost.

        The newest 2,000 profiles are looked at: a second or two where their codes are kept, more after a refit.
        """
        return await self._send(_overview())

    async def link(self, user: str | None = None, *, ttl_s: int = _USUAL_S, write: bool = True) -> Link:
        """A link that opens the user's profile, and nothing else, for `ttl_s` seconds; with `write` they may edit.

        It may do no more than the scope that makes it, and ends when the profile is erased. Raises Forbidden,
        NotFound, Invalid, or KeyLost.
        """
        return await self._send(_link(user, ttl_s, write))


def _persona(user: str | None, session_id: str | None, agent: str) -> Call[Persona]:
    return get("/persona", as_a(Persona), user_id=user, session_id=session_id, agent_id=agent)


def _show(user: str | None) -> Call[Profile]:
    return get("/profile", as_a(Profile), user_id=user)


def _choices() -> Call[list[Choice]]:
    return get("/profile/choices", _read_choices)


def _edit(user: str | None, asked: Mapping[str, Any], expected_version: int | None) -> Call[Profile]:
    told = {name: _told(name, value) for name, value in asked.items() if value is not None}
    rest = {"user_id": user, "expected_version": expected_version}
    told |= {name: to_json(value, name) for name, value in rest.items() if value is not None}
    body = "{" + ",".join(f'"{name}":{text}' for name, text in told.items()) + "}"
    # Deciding the same twice is deciding it once, unless the first of the two made another version.
    return Call("PATCH", "/profile", as_a(Profile), body=body.encode(), again=expected_version is None)


def _told(name: str, value: Any) -> str:
    """A member of an edit as JSON. Raises Invalid, naming the field, where it cannot be said or is none."""
    if name == "weights":
        if not isinstance(value, Mapping):
            raise Invalid("weights is no object; send factors by line id, like {'12+': 0.5}", field=name)
        items = cast("Mapping[Any, Any]", value).items()
        told = [f"{to_json(str(id), name)}:{to_json(factor, f'weights.{id}')}" for id, factor in items]
        return "{" + ",".join(told) + "}"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise Invalid(f"{name} is no list; send one", field=name)
    listed = cast("Sequence[Any]", value)
    return "[" + ",".join(to_json(one, f"{name}[{n}]") for n, one in enumerate(listed)) + "]"


def _erase(user: str | None) -> Call[dict[str, int]]:
    params = {} if user is None else {"user_id": user}
    return Call("DELETE", "/profile", _read_receipt, params, again=False)


def _refit(wait: bool, timeout_s: float) -> Call[Fitted | None]:
    asked = {"wait": wait, "timeout_s": timeout_s}
    return replace(post("/profile/refit", _read_fitted, asked), wait_s=timeout_s if wait else 0.0)


def _overview() -> Call[Overview]:
    return replace(get("/profile/overview", as_a(Overview)), wait_s=WAIT_S)


def _link(user: str | None, ttl_s: int, write: bool) -> Call[Link]:
    return post("/profile/link", as_a(Link), {"user_id": user, "ttl_s": ttl_s, "write": write})


def _read_choices(_: int, raw: bytes) -> list[Choice]:
    return [decode(Choice, one) for one in json.loads(raw)["choices"]]


def _read_receipt(_: int, raw: bytes) -> dict[str, int]:
    return json.loads(raw)["receipt"]["counts"]


def _read_fitted(status: int, raw: bytes) -> Fitted | None:
    return None if status == 202 else decode(Fitted, json.loads(raw))
