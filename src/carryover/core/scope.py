"""Whose rows a call may touch, and what it may do with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from carryover.core.errors import Forbidden, NotFound

Right = Literal["read", "write", "admin"]
RIGHTS: tuple[Right, ...] = ("read", "write", "admin")
DEFAULT = "default"  # the tenant of local mode, and the agent where none is named


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, through which door, and in which request: what the audit log says of an act."""

    who: str = "local"  # whoever is at the machine itself; else `key ID`, `token SUBJECT` or `link USER`
    via: str = "embedded"
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """A tenant, perhaps narrowed to one agent or one user, with the rights that the caller holds there."""

    tenant: str = DEFAULT
    agent: str | None = None
    user: str | None = None
    rights: frozenset[Right] = frozenset(RIGHTS)
    by: Caller = field(default=Caller(), compare=False)  # it opens nothing, and two scopes are one without it

    def require(self, right: Right) -> None:
        """Raises Forbidden unless the scope holds `right`; admin includes write, write includes read."""
        held = max((RIGHTS.index(r) for r in self.rights), default=-1)
        if held < RIGHTS.index(right):
            raise Forbidden(f"this key may not {right}; use one with the right {right!r}", right=right)

    def admits(self, agent: str, user: str | None) -> bool:
        """Whether rows of this agent and user lie inside the scope."""
        return self.agent in (None, agent) and self.user in (None, user)

    def require_inside(self, agent: str, user: str | None, what: str) -> None:
        """Raises NotFound for rows outside: to a narrowed key they do not exist."""
        if not self.admits(agent, user):
            raise NotFound(f"{what} does not exist here; check the id and the agent")


# A transaction over all tenants, for what is nobody's own: looking up a key, finding out whose jobs are due, upkeep.
# `*` is no legal id, so no tenant is called that; row-level security knows it too.
EVERY_TENANT = Scope("*")
