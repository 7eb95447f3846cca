"""What a coding session is told of its repository: what was approved for it, and how its last sessions went.

A repository is one, whoever works in it: its sessions are told whatever agent they were with, as far as they are of
the same user and the scope admits them. Only the scope `session` leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carryover.core.clock import Time
from carryover.core.digest import Digest
from carryover.core.headings import APPROVED, WORKED
from carryover.core.pattern import Pattern
from carryover.core.step import FLAVORS
from carryover.guard.orders import commands, overrides
from carryover.recall.context_known import Asked
from carryover.recall.context_text import Sheet, day, one_line
from carryover.store import digests, patterns, sessions
from carryover.store.reach import Reached
from carryover.store.store import Tx

# What each section may take of the whole before the others had their turn.
_SHARES = ((APPROVED, 0.25), (WORKED, 0.35))
SHARE = 0.3  # of the whole, where a question gets most of it
_STATES = ("approved", "distributed", "measured")
_LOOKED_AT = 40  # of the sessions that ended last
_TOLD = 12
_GOAL, _LEFT = 140, 90  # characters


@dataclass(frozen=True, slots=True)
class Repo:
    """The lines that tell of a repository, those that matter most first; they change only when it does."""

    approved: tuple[str, ...]
    worked: tuple[str, ...]


def repo_of(tx: Tx, asked: Asked, named: Sequence[str], as_of: Time | None) -> Repo | None:
    """What is known of the repositories with these names, or of the one that the asked session worked in.

    None where the agent is no coding agent, or nobody knows its repository.
    """
    if asked.agent not in FLAVORS or asked.reach == "session":
        return None
    repos = list(dict.fromkeys(named))
    if not repos and asked.head is not None and (own := digests.get(tx, *asked.key)) is not None and own.repo:
        repos = [own.repo]
    if not repos:
        return None
    found = [pattern for pattern in patterns.listed(tx) if _is_approved(pattern, repos, as_of)]
    lessons = (pattern.lesson or pattern.title for pattern in found)
    approved = dict.fromkeys(f"- {one_line(lesson)}" for lesson in lessons if not overrides(lesson))
    return Repo(tuple(approved), tuple(_line(digest) for digest in _worked(tx, asked, repos, as_of)))


def tell(sheet: Sheet, repo: Repo, whole: int | None = None) -> None:
    """The sheet tells of the repository: each section up to its share of `whole`, or all that fits, sessions first."""
    for heading, share in _SHARES if whole is not None else reversed(_SHARES):
        end = sheet.budget if whole is None else sheet.used + int(whole * share)
        for line in repo.approved if heading == APPROVED else repo.worked:
            sheet.add(heading, line, end - sheet.used)


def digested(tx: Tx, found: Sequence[Reached]) -> set[tuple[str, str]]:
    """Which of the sessions were read from a coding agent's log: their digests tell of them, and no snapshot will."""
    return digests.made(tx, [(row.agent, row.session) for row in found if row.agent in FLAVORS])


def _is_approved(pattern: Pattern, repos: Sequence[str], as_of: Time | None) -> bool:
    here = any(repo in pattern.repos for repo in repos)
    return here and pattern.state in _STATES and (as_of is None or pattern.at <= as_of)


def _worked(tx: Tx, asked: Asked, repos: Sequence[str], as_of: Time | None) -> list[Digest]:
    """The last sessions in these repositories, newest first, without those that another session began."""
    until = None if as_of is None else as_of + 1
    found = [digest for repo in repos for digest in digests.listed(tx, repo=repo, until=until, limit=_LOOKED_AT)]
    found.sort(key=digests.place, reverse=True)
    keys = [(digest.agent_id, digest.session_id) for digest in found]
    heads = sessions.find(tx, keys) if keys else {}
    mine = {key for key, head in heads.items() if head.user == asked.user and key != asked.key}
    told = [digest for digest, key in zip(found, keys, strict=True) if key in mine and digest.kind != "subagent"]
    return [one for one in told if (goal := one.goal or one.title) and not overrides(goal)][:_TOLD]


def _line(digest: Digest) -> str:
    """When, with whom, what for, how it ended, and what was left failing."""
    when = "" if digest.ended_at is None else f"{day(digest.ended_at)}, "
    outcome = "" if digest.outcome == "unknown" else f" ({digest.outcome})"
    left = ["tests fail"] if digest.tests.arc.endswith("red") else []
    if digest.outcome in ("errored", "abandoned") and digest.errors and not commands(digest.errors[-1].quote):
        left.append(f'"{one_line(digest.errors[-1].quote, _LEFT)}"')
    failing = f"; left failing: {', '.join(left)}" if left else ""
    return f"- {when}{digest.flavor}: {one_line(digest.goal or digest.title, _GOAL)}{outcome}{failing}"
