"""From turns to personas, by the way that the product goes: notice, embed, place in a codebook, fold, decode."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from carryover.core.clock import DAY_MS
from carryover.core.persona import EXPLICIT, FACETS, IMPLIED, Edits, Noticed, Persona, Preference, Quote
from carryover.core.ports import Embedder
from carryover.core.session import Turn, to_json
from carryover.core.usage import Usage
from carryover.evals.persona_world import Said, User
from carryover.persona.book import Codebook, assign_many
from carryover.persona.decode import decoded
from carryover.persona.encode import code_of

AGENT = "default"
START = 1_700_000_000_000
_AT_ONCE = 1_000


class Noticer(Protocol):
    """Reads preferences out of turns."""

    def notice(self, turns: Sequence[Turn], told: Sequence[str] = ()) -> tuple[list[Noticed], Usage]: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """Somebody, and the preferences that were noticed in what they said."""

    user: User
    preferences: tuple[Preference, ...]


@dataclass(slots=True)
class Ears:
    """Hears users: every text is read once, and every phrase embedded once.

    Without a noticer each turn is heard as it was meant, wrong ones as hints; a share of `slips` under a facet that is
    not theirs, as a good extractor would.
    """

    embedder: Embedder
    noticer: Noticer | None = None
    slips: float = 0.0
    _read: dict[str, tuple[Noticed, ...]] = field(default_factory=dict[str, tuple[Noticed, ...]])
    _vectors: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def hear(self, users: Sequence[User]) -> list[Heard]:
        """The users with their preferences, which no label stands for yet."""
        found = [[*self._noticed(user)] for user in users]
        self._embed([one.value for of in found for _, _, one in of])
        return [
            Heard(user, tuple(self._preference(user, n, *one) for n, one in enumerate(of)))
            for user, of in zip(users, found, strict=True)
        ]

    def notice(self, said: Said) -> tuple[Noticed, ...]:
        """What is noticed in a turn."""
        if self.noticer is None:
            return _meant(said)
        found = self._read.get(said.text)
        if found is None:
            found = self._read[said.text] = tuple(self.noticer.notice([turn(said.text)])[0])
        return found

    def vector(self, value: str) -> bytes:
        """The vector of a phrase, as it is stored."""
        self._embed([value])
        return self._vectors[value]

    def _noticed(self, user: User) -> Iterator[tuple[int, int, Noticed]]:
        for session, said in enumerate(user.sessions):
            for seq, one in enumerate(said, 1):
                yield from ((session, seq, noticed) for noticed in self.notice(one))

    def _embed(self, values: Sequence[str]) -> None:
        new = [value for value in dict.fromkeys(values) if value not in self._vectors]
        for at in range(0, len(new), _AT_ONCE):
            some = new[at : at + _AT_ONCE]
            for value, row in zip(some, self.embedder.embed(some), strict=True):
                self._vectors[value] = np.asarray(row, "<f4").tobytes()

    def _preference(self, user: User, n: int, session: int, seq: int, one: Noticed) -> Preference:
        id = f"{user.id}-{n}"
        return Preference(
            id=id,
            user_id=user.id,
            facet=_slipped(one.facet, self.slips, id),
            value=one.value,
            polarity=one.polarity,
            explicit=one.explicit,
            correction=one.correction,
            weight=one.weight,
            quote=Quote(AGENT, f"{user.id}-s{session:03}", seq, one.quote),
            said_at=START + session * DAY_MS + seq * 60_000,
            vector=self._vectors[one.value],
            space=self.embedder.name,
        )


def _slipped(facet: str, share: float, id: str) -> str:
    """The facet, or in this share of cases another one."""
    draw = random.Random(id)
    return draw.choice([name for name in FACETS if name != facet]) if draw.random() < share else facet


def turn(text: str, seq: int = 1) -> Turn:
    """A turn of a user."""
    body = to_json(text)
    return Turn(seq, f"t{seq}", "user", body, "message", START + seq, len(text) // 4, START + seq)


def placed(book: Codebook, heard: Sequence[Heard], *, far: bool = False) -> list[Heard]:
    """The same users with the labels of the book; with `far`, only what no label stood for is placed anew."""
    chosen = [one for of in heard for one in of.preferences if not (far and one.label is not None)]
    places = dict(zip((one.id for one in chosen), assign_many(book, chosen), strict=True))

    def place(one: Preference) -> Preference:
        if one.id not in places:
            return one
        facet, label = places[one.id]
        return replace(one, facet=facet, label=label)

    return [Heard(of.user, tuple(place(one) for one in of.preferences)) for of in heard]


def persona(book: Codebook, of: Heard, preferences: Sequence[Preference] | None = None) -> Persona:
    """What a model is told of the user; after only some of their preferences, if these are given."""
    code = code_of(of.preferences if preferences is None else preferences, book)
    return decoded(code, book.labels, Edits(), user=of.user.id, version=1)


def _meant(said: Said) -> tuple[Noticed, ...]:
    if said.want is None:
        return ()
    explicit = said.explicit and said.kind == "true"
    told = said.want.facet, said.phrase.lower(), said.want.polarity
    weight = EXPLICIT if explicit else IMPLIED
    return (Noticed(*told, explicit, 1, said.text, correction=said.correction, weight=weight),)
