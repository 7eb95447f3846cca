"""What can be asked of views, and set for conversations and agents, as one scope sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carryover.core.errors import Forbidden, Invalid
from carryover.core.ids import check_id
from carryover.core.scope import DEFAULT, Right, Scope
from carryover.core.strategy import Effective, Format, View
from carryover.store import audit, sessions, strategies
from carryover.store.store import Store
from carryover.strategies import advice
from carryover.strategies.kept import Kept
from carryover.strategies.resolve import checked, gave_way, refuse_contradictions, resolve
from carryover.strategies.view import Viewing, view


class Strategies:
    """Views and the strategies behind them, in this process; both clients have the same verbs, word for word."""

    def __init__(self, store: Store, scope: Scope, kept: Kept, models: frozenset[str] = frozenset(("rules",))) -> None:
        """`models` may be named to make summaries: whoever sets a strategy must not spend on any model there is."""
        self._store = store
        self._scope = scope
        self._kept = kept
        self._models = models

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
        asked = Viewing(session_id, agent, None if strategy is None else self._checked(strategy), format, dry_run)
        return view(self._store, self._scope, self._kept, asked)

    def effective(self, session_id: str, *, agent: str = DEFAULT) -> Effective:
        """What is set for the conversation, and what is in force there. Raises Forbidden or NotFound."""
        self._scope.require("read")
        with self._store.read(self._scope) as tx:
            sessions.get(tx, agent, session_id)
            stored, version = strategies.get(tx, agent, session_id)
            inherited, _ = strategies.get(tx, agent)
        return _effective(agent, session_id, stored, version, inherited)

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
        self._scope.require("write")
        said = self._checked(fields)
        with self._store.write(self._scope) as tx:
            sessions.get(tx, agent, session_id)
            stored, _ = strategies.held(tx, agent, session_id)
            changed = {name: value for name, value in {**stored, **said}.items() if value is not None}
            refuse_contradictions(changed, said)
            version = strategies.put(tx, agent, session_id, changed, expected_version)
            inherited, _ = strategies.get(tx, agent)
        return _effective(agent, session_id, changed, version, inherited)

    def agent(self, agent: str) -> Effective:
        """What is set for all conversations of the agent, and what is in force in those that set nothing themselves.

        Raises Invalid, or Forbidden for a key that is narrowed to another agent, or to a user.
        """
        self._require_agent("read", agent)
        with self._store.read(self._scope) as tx:
            stored, version = strategies.get(tx, agent)
        return _effective(agent, None, {}, version, stored)

    def set_agent(self, agent: str, fields: Mapping[str, Any], *, expected_version: int | None = None) -> Effective:
        """These fields are set for the agent, and no others.

        Raises Invalid, VersionConflict, or Forbidden for a key that is neither an admin's nor narrowed to that agent.
        """
        self._require_agent("write" if self._scope.agent == agent else "admin", agent)
        stored = {name: value for name, value in self._checked(fields).items() if value is not None}
        with self._store.write(self._scope) as tx:
            version = strategies.put(tx, agent, "", stored, expected_version)
            audit.note(tx, action="strategy.set", subject=f"agent {agent}", detail=f"version {version}")
        return _effective(agent, None, {}, version, stored)

    def _checked(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields, once they are known to be legal and to name no other model than those allowed. Raises Invalid."""
        said = checked(fields)
        model = said.get("summarizer_model")
        if model is not None and model not in self._models:
            raise Invalid(
                f"summarizer_model {model!r} is not one that strategies may name here; use one of "
                f"{', '.join(sorted(self._models))}, or add it to the setting `summarizer_models`",
                field="summarizer_model",
            )
        return said

    def _require_agent(self, right: Right, agent: str) -> None:
        """Raises Forbidden for a key without the right, or narrowed to others than all users of the agent."""
        self._scope.require(right)
        check_id(agent, "agent_id")
        if not self._scope.admits(agent, self._scope.user):
            raise Forbidden(f"this key is narrowed to another agent than {agent!r}; use one that is not")
        if self._scope.user is not None:
            raise Forbidden("this key is narrowed to one user, and an agent serves others too; use one that is not")


def _effective(
    agent: str, session: str | None, conversation: dict[str, Any], version: int, inherited: dict[str, Any]
) -> Effective:
    strategy, sources = resolve({}, conversation, inherited)
    return Effective(
        agent_id=agent,
        session_id=session,
        stored=inherited if session is None else conversation,
        version=version,
        strategy=strategy,
        sources=sources,
        warnings=(*gave_way({}, conversation, inherited), *advice.warnings(strategy)),
    )
