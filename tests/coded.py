"""Coding sessions as a sweep and a digest job leave them, made in a line."""

from __future__ import annotations

from dataclasses import replace

from carryover.core.digest import DIGEST_VERSION, Digest, Outcome
from carryover.core.pattern import Pattern, PatternState, Share
from carryover.core.scope import Scope
from carryover.core.step import About, Flavor, Step, uid
from carryover.store import digests, origins, patterns, steps
from carryover.store.store import Store

REPO = "github.com/acme/shop"
DAY = 86_400_000


def worked(
    store: Store,
    scope: Scope,
    session: str,
    goal: str,
    *,
    agent: Flavor = "claude-code",
    outcome: Outcome = "verified",
    user: str | None = None,
    **more: object,
) -> Digest:
    """A session with one prompt, and its digest."""
    number = int("".join(c for c in session if c.isdigit()) or "1")
    made = replace(
        Digest(agent, session, agent, DIGEST_VERSION, "hash", repo=REPO, goal=goal, outcome=outcome),
        **{"started_at": number * DAY, "ended_at": number * DAY + 1, **more},  # type: ignore[arg-type]
    )
    with store.write(scope) as tx:
        origins.put(tx, [(agent, session, f"/logs/{session}.jsonl", _about(made))])
        steps.append(tx, agent, session, [Step(uid(session), "prompt", goal, at=number * DAY)], user=user)
        digests.put(tx, made, user)
    return made


def lesson(
    store: Store,
    scope: Scope,
    id: str,
    text: str,
    *,
    state: PatternState = "approved",
    repo: str = REPO,
    version: int = 1,
    **more: object,
) -> None:
    """A pattern that was found in the repository, in this state."""
    found = Pattern(id, version, state, "tool_error", id, title=id, lesson=text, repos={repo: Share(2, 3)})
    with store.write(scope) as tx:
        patterns.put(tx, replace(found, **more))  # type: ignore[arg-type]


def _about(made: Digest) -> About:
    """What the log says of its session, so that a digest made of it anew is of the same repository."""
    remote = None if made.repo.startswith("/") else f"https://{made.repo}.git"
    return About(cwd=made.cwd or made.repo, remote=remote, first_at=made.started_at, last_at=made.ended_at)
