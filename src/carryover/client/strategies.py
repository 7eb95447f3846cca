"""Strategies and views on a server: what each verb sends and how its answer reads, and who sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from carryover.client.coding import AsyncSend, Send
from carryover.client.wire import Call, get, post, quoted
from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT
from carryover.core.session import to_json
from carryover.core.strategy import Effective, Format, View
from carryover.core.strategy_wire import read_effective, read_view

_EXPECTED = "expected_version"


class Strategies:
    """Views and the strategies behind them on a server, as the key's scope sees them."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def view(
        self,
        session_id: str,
        *,
        agent: str = DEFAULT,
        strategy: Mapping[str, Any] | None = None,
        format: Format = "generic",
        dry_run: bool = False,
    ) -> View:
        """What a model should see of the session; `strategy` overrides what is set, field by field, this once.

        With `dry_run` nothing is made, and nothing counted, because of it. Raises Forbidden, NotFound or Invalid.
        """
        return self._send(_view(session_id, agent, strategy, format, dry_run))

    def effective(self, session_id: str, *, agent: str = DEFAULT) -> Effective:
        """What is set for the conversation, and what is in force there. Raises Forbidden or NotFound."""
        return self._send(_effective(session_id, agent))

    def set_conversation(
        self,
        session_id: str,
        fields: Mapping[str, Any],
        *,
        agent: str = DEFAULT,
        expected_version: int | None = None,
    ) -> Effective:
        """These fields are set for the conversation; None clears one, and others stay as they are.

        Raises Forbidden, NotFound, Invalid, or VersionConflict where something else is set by now than was expected.
        """
        return self._send(_set_conversation(session_id, fields, agent, expected_version))

    def agent(self, agent: str) -> Effective:
        """What is set for all conversations of the agent, and what is in force in those that set nothing themselves.

        Raises Invalid, or Forbidden for a key that is narrowed to another agent, or to a user.
        """
        return self._send(_agent(agent))

    def set_agent(self, agent: str, fields: Mapping[str, Any], *, expected_version: int | None = None) -> Effective:
        """These fields are set for the agent, and no others.

        Raises Invalid, VersionConflict, or Forbidden for a key that is neither an admin's nor narrowed to that agent.
        """
        return self._send(_set_agent(agent, fields, expected_version))


class AsyncStrategies:
    """The same for async programs, word for word."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def view(
        self,
        session_id: str,
        *,
        agent: str = DEFAULT,
        strategy: Mapping[str, Any] | None = None,
        format: Format = "generic",
        dry_run: bool = False,
    ) -> View:
        """What a model should see of the session; `strategy` overrides what is set, field by field, this once.

        With `dry_run` nothing is made, and nothing counted, because of it. Raises Forbidden, NotFound or Invalid.
        """
        return await self._send(_view(session_id, agent, strategy, format, dry_run))

    async def effective(self, session_id: str, *, agent: str = DEFAULT) -> Effective:
        """What is set for the conversation, and what is in force there. Raises Forbidden or NotFound."""
        return await self._send(_effective(session_id, agent))

    async def set_conversation(
        self,
        session_id: str,
        fields: Mapping[str, Any],
        *,
        agent: str = DEFAULT,
        expected_version: int | None = None,
    ) -> Effective:
        """These fields are set for the conversation; None clears one, and others stay as they are.

        Raises Forbidden, NotFound, Invalid, or VersionConflict where something else is set by now than was expected.
        """
        return await self._send(_set_conversation(session_id, fields, agent, expected_version))

    async def agent(self, agent: str) -> Effective:
        """What is set for all conversations of the agent, and what is in force in those that set nothing themselves.

        Raises Invalid, or Forbidden for a key that is narrowed to another agent, or to a user.
        """
        return await self._send(_agent(agent))

    async def set_agent(
        self, agent: str, fields: Mapping[str, Any], *, expected_version: int | None = None
    ) -> Effective:
        """These fields are set for the agent, and no others.

        Raises Invalid, VersionConflict, or Forbidden for a key that is neither an admin's nor narrowed to that agent.
        """
        return await self._send(_set_agent(agent, fields, expected_version))


def _view(session_id: str, agent: str, strategy: Mapping[str, Any] | None, format: Format, dry_run: bool) -> Call[View]:
    asked: dict[str, Any] = {"agent_id": agent, "provider": format, "dry_run": dry_run}
    if strategy is not None:
        asked["memory_strategy"] = json.loads(_fields(strategy))
    return post(f"/api/v1/conversations/{quoted(session_id)}/view", _read_view, asked)


def _effective(session_id: str, agent: str) -> Call[Effective]:
    return get(_of_conversation(session_id), _read_effective, agent_id=agent)


def _set_conversation(
    session_id: str, fields: Mapping[str, Any], agent: str, expected_version: int | None
) -> Call[Effective]:
    return replace(_set("PATCH", _of_conversation(session_id), fields, expected_version), params={"agent_id": agent})


def _agent(agent: str) -> Call[Effective]:
    return get(_of_agent(agent), _read_effective)


def _set_agent(agent: str, fields: Mapping[str, Any], expected_version: int | None) -> Call[Effective]:
    return _set("PUT", _of_agent(agent), fields, expected_version)


def _set(method: str, path: str, fields: Mapping[str, Any], expected_version: int | None) -> Call[Effective]:
    body = _fields(fields)
    if expected_version is not None:
        comma = "," if fields else ""
        body = f'{body[:-1]}{comma}"{_EXPECTED}":{expected_version:d}}}'
    # Setting the same twice is setting it once, unless the first of the two made another version.
    return Call(method, path, _read_effective, body=body.encode(), again=expected_version is None)


def _fields(fields: Mapping[str, Any]) -> str:
    """The fields as JSON. Raises Invalid, naming the field, where it cannot be said or is none."""
    if not isinstance(cast("Any", fields), Mapping):
        raise Invalid("a strategy is an object of fields, like {'mode': 'trim'}; send one", field="memory_strategy")
    if _EXPECTED in fields:
        raise Invalid(f"{_EXPECTED!r} is no field of a strategy; give it beside the fields", field=_EXPECTED)
    told = [f"{to_json(str(name), 'memory_strategy')}:{to_json(value, str(name))}" for name, value in fields.items()]
    return "{" + ",".join(told) + "}"


def _of_conversation(session_id: str) -> str:
    return f"/api/v1/conversations/{quoted(session_id)}/memory"


def _of_agent(agent: str) -> str:
    return f"/api/v1/agents/{quoted(agent)}/memory"


def _read_view(_: int, raw: bytes) -> View:
    return read_view(json.loads(raw))


def _read_effective(_: int, raw: bytes) -> Effective:
    return read_effective(json.loads(raw))
