"""A made-up world of users: what each of them wants, and the turns in which they say so.

Users follow one of some archetypes as far as `correlation` says, and else what is popular. Most of what they say is
true of them; some of it is a passing hint at something else, meant for one answer, or said of another person; some
says nothing. The same seed makes the same world.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeVar

import numpy as np

from carryover.core.persona import EXPLICIT, FACETS, IMPLIED, SINGLE, Polarity

T = TypeVar("T")
Kind = Literal["true", "wrong", "chat"]
ARCHETYPES = 40
TRUE, WRONG = 0.88, 0.08  # shares of turns; the rest says nothing
STATED = 0.6  # share of what is true that is said outright
CORRECTED = 0.1  # share of that which corrects what was done before
PER_SESSION = 3.5  # turns that matter, on average
ZIPF = 0.8  # how fast popularity falls from the first value of a facet to the last
DISLIKED = ("format", "tone", "domain", "stack")  # facets in which users also say what they do not want
_DISLIKES = 0.2  # share of users, by facet
_HAS = 0.9  # share of users who want something of a facet at all
_MANY: Mapping[str, tuple[float, ...]] = {  # shares of users who want one, two, three values of a facet
    "domain": (0.65, 0.35),
    "stack": (0.5, 0.5),
    "avoid": (0.45, 0.35, 0.2),
}
_ARTICLE = re.compile(r"^(?:an?|the) ")
_CHANGES = 0.1  # share of users who change one taste midway


@dataclass(frozen=True, slots=True)
class Value:
    """Something to want, and the words for it."""

    facet: str
    name: str
    say: tuple[str, ...]
    ask: tuple[str, ...]
    reads: re.Pattern[str]
    rare: bool

    @property
    def key(self) -> str:
        return f"{self.facet}/{self.name}"


@dataclass(frozen=True, slots=True)
class Want:
    """What a user wants, or does not want."""

    facet: str
    key: str
    polarity: Polarity


@dataclass(frozen=True, slots=True)
class Said:
    """A turn of a user: its text, and what of the user's wants it holds."""

    text: str
    kind: Kind
    want: Want | None = None  # that it speaks of, true or not
    phrase: str = ""  # the words for the value
    explicit: bool = False
    correction: bool = False
    passing: bool = False  # meant for one answer, or said of somebody else


@dataclass(frozen=True, slots=True)
class User:
    """Somebody, their wants as they are in the end, and what they said, session by session."""

    id: str
    archetype: int
    wants: tuple[Want, ...]
    sessions: tuple[tuple[Said, ...], ...]

    @property
    def said(self) -> list[Said]:
        return [one for session in self.sessions for one in session]

    def told(self) -> dict[Want, float]:
        """How much of each want they said: 4 for a statement, 1 for a hint, as they weigh in a code."""
        found: dict[Want, float] = dict.fromkeys(self.wants, 0.0)
        for session in self.sessions:
            for one in session:
                if one.kind == "true" and one.want in found:
                    found[one.want] += EXPLICIT if one.explicit else IMPLIED
        return found


@dataclass(frozen=True, slots=True)
class Words:
    """Everything there is to want, and how it is put."""

    values: Mapping[str, Value]
    said: Mapping[str, Mapping[str, Sequence[str]]]
    around: Sequence[str]
    chat: Sequence[str]

    def of(self, facet: str) -> list[Value]:
        return [value for value in self.values.values() if value.facet == facet]


@dataclass(frozen=True, slots=True)
class World:
    """How users come about. `without` are values that nobody wants; `new` users speak in other words."""

    seed: int = 0
    correlation: float = 0.6
    archetypes: int = ARCHETYPES
    sessions: tuple[int, int] = (4, 12)
    without: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()  # where it is not empty, archetypes want one of these in their facets
    new: bool = False
    changes: float = _CHANGES
    name: str = "u"
    words: Words = field(default_factory=lambda: words())

    def users(self, count: int) -> list[User]:
        """So many of them; the first ones are the same however many there are."""
        made = Making(self)
        return [made.user(n) for n in range(count)]

    def popular(self) -> dict[str, str]:
        """The value of each facet that is wanted most where nobody follows an archetype."""
        made = Making(self)
        return {facet: made.ranked[facet][0].key for facet in FACETS}


@cache
def words() -> Words:
    """The words that are shipped with the evaluation."""
    data: dict[str, Any] = tomllib.loads(
        resources.files(__package__ or "").joinpath("persona_world.toml").read_text("utf-8")
    )
    values = [
        Value(
            facet,
            name,
            tuple(told["say"]),
            tuple(told["ask"]),
            re.compile(rf"(?<!\w)(?:{told['reads']})(?!\w)", re.IGNORECASE),
            told.get("rare", False),
        )
        for facet in FACETS
        for name, told in data[facet].items()
    ]
    return Words({value.key: value for value in values}, data["said"], data["talk"]["around"], data["talk"]["chat"])


class Making:
    """Draws users, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        order = np.random.default_rng(7)  # what is popular is the same in every world
        self.ranked: dict[str, list[Value]] = {}
        self.odds: dict[str, np.ndarray] = {}
        for facet in FACETS:
            values = world.words.of(facet)
            ranked = [values[n] for n in mixed(order, len(values))]
            odds = [(n + 1.0) ** -ZIPF * (value.key not in world.without) for n, value in enumerate(ranked)]
            weights = np.array(odds)
            self.ranked[facet], self.odds[facet] = ranked, weights / weights.sum()
        draw = np.random.default_rng((world.seed, 1))
        self.types = [self._type(draw) for _ in range(world.archetypes)]

    def user(self, n: int) -> User:
        draw = np.random.default_rng((self.world.seed, 2, n))
        archetype = int(draw.integers(len(self.types)))
        wants = self._wants(draw, archetype)
        low, high = self.world.sessions
        count = int(draw.integers(low, high + 1))
        final, change = wants, None
        if draw.random() < self.world.changes:
            final, change = self._changed(draw, wants, archetype)
        emphasis = draw.dirichlet(np.full(len(wants), 3.0))
        sessions: list[tuple[Said, ...]] = []
        for at in range(count):
            turned = change is not None and at >= count // 2
            said = [
                self._turn(draw, final if turned else wants, emphasis)
                for _ in range(1 + int(draw.poisson(PER_SESSION - 1)))
            ]
            if change is not None and at == count // 2:
                said.append(self.put(draw, change, "changed" if draw.random() < 0.5 else "stated", "true"))
            sessions.append(tuple(said))
        return User(f"{self.world.name}{n}", archetype, tuple(final), tuple(sessions))

    def put(self, draw: np.random.Generator, want: Want, manner: str, kind: Kind) -> Said:
        """A turn that says it in this manner."""
        value, world = self.world.words.values[want.key], self.world
        manners = world.words.said[want.facet]
        stated = manner in ("stated", "disliked", "corrected", "changed")
        fresh = world.new and manner == "stated"
        pattern = _one(draw, manners["new"] if fresh else manners[manner])
        phrase = _one(draw, value.ask if world.new else value.say)
        sentence = pattern.format(x=phrase, n=_ARTICLE.sub("", phrase))
        text = _one(draw, world.words.around).format(s=sentence[0].upper() + sentence[1:])
        correction, passing = manner in ("corrected", "changed"), manner in ("once", "other")
        return Said(text, kind, want, phrase, stated, correction, passing)

    def _type(self, draw: np.random.Generator) -> dict[str, list[str]]:
        chosen: dict[str, list[str]] = {}
        for facet in FACETS:
            ranked, odds = self.ranked[facet], self.odds[facet]
            picked = draw.choice(len(ranked), size=3, replace=False, p=odds)
            special = [key for key in sorted(self.world.only) if key.startswith(f"{facet}/")]
            chosen[facet] = [ranked[int(n)].key for n in picked]
            if special:
                chosen[facet][0] = _one(draw, special)
        return chosen

    def _wants(self, draw: np.random.Generator, archetype: int) -> list[Want]:
        wants: list[Want] = []
        for facet in FACETS:
            if draw.random() > _HAS:
                continue
            many = 1 if facet in SINGLE else 1 + int(draw.choice(len(_MANY[facet]), p=_MANY[facet]))
            for place in range(many):
                key = self._value(draw, facet, archetype, place)
                if all(want.key != key for want in wants):
                    wants.append(Want(facet, key, "avoid" if facet == "avoid" else "like"))
            if facet in DISLIKED and draw.random() < _DISLIKES:
                key = self._value(draw, facet, None, 0)
                if all(want.key != key for want in wants):
                    wants.append(Want(facet, key, "avoid"))
        return wants or [Want("format", self.ranked["format"][0].key, "like")]

    def _value(self, draw: np.random.Generator, facet: str, archetype: int | None, place: int) -> str:
        if archetype is not None and draw.random() < self.world.correlation:
            return self.types[archetype][facet][place]
        return self.ranked[facet][int(draw.choice(len(self.odds[facet]), p=self.odds[facet]))].key

    def _changed(self, draw: np.random.Generator, wants: list[Want], archetype: int) -> tuple[list[Want], Want | None]:
        single = [n for n, want in enumerate(wants) if want.facet in SINGLE and want.polarity == "like"]
        if not single:
            return wants, None
        at = _one(draw, single)
        taken = {want.key for want in wants}
        key = next((k for _ in range(20) if (k := self._value(draw, wants[at].facet, None, 0)) not in taken), None)
        if key is None:
            return wants, None
        change = Want(wants[at].facet, key, "like")
        return [*wants[:at], change, *wants[at + 1 :]], change

    def _turn(self, draw: np.random.Generator, wants: Sequence[Want], emphasis: np.ndarray) -> Said:
        luck = draw.random()
        if luck >= TRUE + WRONG:
            return Said(_one(draw, self.world.words.chat), "chat")
        want = wants[int(draw.choice(len(wants), p=emphasis))]
        if luck < TRUE:
            return self.put(draw, want, _manner(draw, want), "true")
        taken = {one.key for one in wants} | self.world.without
        others = [value for value in self.ranked[want.facet] if value.key not in taken]
        wrong = Want(want.facet, _one(draw, others).key, "avoid" if want.facet == "avoid" else "like")
        return self.put(draw, wrong, _one(draw, ("hinted", "hinted", "once", "other")), "wrong")


def mixed(draw: np.random.Generator, many: int) -> list[int]:
    """The numbers from 0, so many, in an order of chance."""
    return [int(n) for n in draw.permutation(many)]


def _manner(draw: np.random.Generator, want: Want) -> str:
    outright = draw.random() < STATED
    if want.polarity == "avoid" and want.facet != "avoid":
        return "disliked" if outright else "dislike_hinted"
    if not outright:
        return "hinted"
    return "corrected" if draw.random() < CORRECTED else "stated"


def _one(draw: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(draw.integers(len(choices)))]
