"""How much of what users say is noticed, and what is noticed that nobody meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from carryover.core.persona import Noticed
from carryover.evals.persona_information import spoken
from carryover.evals.persona_population import Ears
from carryover.evals.persona_reader import read
from carryover.evals.persona_world import Said, User


@dataclass(slots=True)
class Counts:
    """Turns that speak of a want of the user, and what became of them; then turns that do not."""

    true: int = 0
    stated: int = 0  # of the true ones, those said outright
    noticed: int = 0  # anything was
    stated_noticed: int = 0
    value: int = 0  # the words for the value were noticed
    facet: int = 0  # of these, under its facet
    polarity: int = 0  # of these, as liked or not liked
    explicit: int = 0  # of these, as a statement or a hint
    chat: int = 0
    chat_noticed: int = 0
    passing: int = 0  # meant for one answer, or said of somebody else
    passing_noticed: int = 0
    missed: Counter[str] = field(default_factory=Counter[str])  # by manner of saying, an example each

    def share(self, above: int, below: int) -> float:
        return above / below if below else 0.0


def count(users: Iterable[User], ears: Ears) -> Counts:
    """What is noticed in all that these users say."""
    counts = Counts()
    for user in users:
        for said in user.said:
            _count(counts, said, ears.notice(said))
    return counts


def _count(counts: Counts, said: Said, noticed: tuple[Noticed, ...]) -> None:
    if said.kind == "chat":
        counts.chat += 1
        counts.chat_noticed += bool(noticed)
        return
    if said.kind == "wrong":
        if said.passing:
            counts.passing += 1
            counts.passing_noticed += bool(noticed)
        return
    counts.true += 1
    counts.stated += said.explicit
    counts.noticed += bool(noticed)
    counts.stated_noticed += bool(noticed) and said.explicit
    if not noticed:
        counts.missed[said.text] += 1
    best = next((one for one in noticed if _means(one, said)), None)
    if best is not None and said.want is not None:
        counts.value += 1
        counts.facet += best.facet == said.want.facet
        counts.polarity += best.polarity == said.want.polarity
        counts.explicit += best.explicit == said.explicit


def _means(one: Noticed, said: Said) -> bool:
    understood = read(spoken(one.value, one.polarity))
    return said.want is not None and understood is not None and understood.key == said.want.key
