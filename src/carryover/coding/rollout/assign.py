"""Which repositories are told a pattern, and which are not so that both can be compared: drawn, and drawn only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carryover.core.step import uid


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who is told, who is not, and how that was drawn."""

    seed: int
    share: float
    told: tuple[str, ...]
    held_back: tuple[str, ...]

    @property
    def detail(self) -> dict[str, Any]:
        """As an exposure notes it."""
        named = {"told": list(self.told), "held_back": list(self.held_back)}
        return {"assignment": {"by": "repo", "seed": self.seed, "share": self.share, **named}}


def assigned(pattern: str, repos: Sequence[str], share: float, seed: int, before: Assignment | None) -> Assignment:
    """Each of the repositories is told the pattern or held back; at least one each where there are two.

    One that was drawn `before` stays as it was drawn then; so the draw is the same however often it is made.
    """
    if before is None:
        ranked = sorted(set(repos), key=lambda repo: uid("assign", str(seed), pattern, repo))
        several = min(max(round(share * len(ranked)), 1), max(len(ranked) - 1, 1))
        return Assignment(seed, share, tuple(sorted(ranked[:several])), tuple(sorted(ranked[several:])))
    told, held_back = set(before.told), set(before.held_back)
    for repo in set(repos) - told - held_back:
        drawn = int(uid("assign", str(before.seed), pattern, repo)[:8], 16) / 2**32
        (told if drawn < before.share else held_back).add(repo)
    return Assignment(before.seed, before.share, tuple(sorted(told)), tuple(sorted(held_back)))


def known(detail: Mapping[str, Any]) -> Assignment | None:
    """The draw that an exposure notes."""
    said = detail.get("assignment")
    if not said:
        return None
    return Assignment(said["seed"], said["share"], tuple(said["told"]), tuple(said["held_back"]))
