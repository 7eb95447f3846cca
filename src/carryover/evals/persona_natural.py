"""Personas of natural sentences: preferences of PrefEval, and sentences of MSC in which people tell of themselves.

PrefEval's preferences are about pets, food or journeys: most belong to no facet, and are told in the user's own words
or not at all. What people say of themselves in MSC is no wish of how to be answered: it must not become one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from carryover.core.errors import Invalid
from carryover.core.persona import Polarity
from carryover.evals.bootstrap import Interval, ratio
from carryover.evals.persona_information import FLOOR
from carryover.evals.persona_population import Ears, Heard, persona, placed
from carryover.evals.persona_reader import is_refusal, lines, wording
from carryover.evals.persona_world import Said, User, mixed
from carryover.persona import plain
from carryover.persona.book import Codebook
from carryover.persona.fit import fit

USERS = 50
MANY = (3, 6)  # preferences of a user, each of another topic
SENTENCES = 2_000  # of MSC
ANSWERING = ("format", "tone", "length", "avoid")  # facets that say how to answer
# The first of these in a sentence says which way it goes; a sentence with neither is not judged.
_AGAINST = re.compile(
    r"\b(?:dislik\w+|hates?|detest|despise|loathe|avoid\w*|refuse|refrain|can(?:no|')t|never|allerg\w+|averse|"
    r"aversion|(?:don|doesn|won|wouldn)['’]t|(?:do|will|would|am|can) not|uncomfortable|intoleran\w+|opposed|against|"
    r"fear|phobia|afraid|unable|prefer (?:not|to (?:avoid|stay away|steer clear|skip|refrain)))\b",
    re.IGNORECASE,
)
_FOR = re.compile(
    r"\b(?:prefer(?:ence)?|love|(?:i|would|really|strongly|only) like|enjoy|adore|appreciate|favou?r|passion\w*|fond "
    r"of|seek|prioriti[sz]e|committed to|drawn to)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A preference of the published ones."""

    topic: str
    text: str

    @property
    def polarity(self) -> Polarity | None:
        """Whether the sentence wants something or does not, by the first word that says so."""
        against, wanted = _AGAINST.search(self.text), _FOR.search(self.text)
        if against is None or (wanted is not None and wanted.start() < against.start()):
            return None if wanted is None else "like"
        return "avoid"


@dataclass(frozen=True, slots=True)
class Natural:
    """What was found; intervals are over preferences, or over users."""

    rows: int
    noticed: Interval
    facets: Mapping[str, int]  # of what was noticed
    judged: int  # preferences whose wording says which way they go
    polarity: Interval  # of those that were noticed
    topics: Mapping[tuple[str, int], Interval]  # by way and number of preferences: topics that a persona tells
    kept: Mapping[tuple[str, int], Interval]  # the same for what a user does not want, and told as such
    people: int  # sentences in which people tell of themselves
    people_noticed: float
    people_answering: float  # share of which something was made that says how to answer


def run(folder: Path, seed: int, book: Codebook, ears: Ears, *, users: int = USERS) -> Natural:
    """Raises Invalid where the folder holds no `prefeval`."""
    rows = prefeval(folder)
    heard = {row.text: ears.notice(Said(row.text, "true")) for row in rows}
    facets: dict[str, int] = {}
    for found in heard.values():
        for one in found:
            facets[one.facet or "own words"] = facets.get(one.facet or "own words", 0) + 1
    judged = [row for row in rows if row.polarity is not None]
    agreed = [heard[row.text][0].polarity == row.polarity for row in judged if heard[row.text]]
    topics: dict[tuple[str, int], Interval] = {}
    kept: dict[tuple[str, int], Interval] = {}
    for many in MANY:
        for way, (topic, avoided) in _told(rows, many, users, seed, book, ears).items():
            topics[way, many], kept[way, many] = topic, avoided
    people = msc(folder, seed)
    said = [ears.notice(Said(text, "chat")) for text in people]
    answering = [any(one.facet in ANSWERING for one in found) for found in said]
    return Natural(
        len(rows),
        _share([bool(found) for found in heard.values()]),
        dict(sorted(facets.items(), key=lambda item: -item[1])),
        len(judged),
        _share(agreed),
        topics,
        kept,
        len(people),
        sum(map(bool, said)) / max(len(people), 1),
        sum(answering) / max(len(people), 1),
    )


def prefeval(folder: Path) -> list[Row]:
    """All preferences. Raises Invalid where there are none."""
    files = sorted((folder / "prefeval").glob("*.json"))
    rows: list[dict[str, Any]] = [row for file in files for row in json.loads(file.read_text("utf-8"))]
    if not rows:
        raise Invalid(f"{folder} holds no `prefeval`; name the folder that does", field="folder")
    return [Row(row["topic"], row["preference"]) for row in rows]


def msc(folder: Path, seed: int) -> list[str]:
    """Some sentences in which people tell of themselves; none where the folder has none."""
    file = folder / "msc_personas" / "train.json"
    if not file.is_file():
        return []
    talks: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
    said = [text for talk in talks for name in ("Speaker 1", "Speaker 2") for text in talk[name]]
    unique = list(dict.fromkeys(said))
    draw = np.random.default_rng((seed, 6))
    return [unique[n] for n in sorted(mixed(draw, len(unique))[:SENTENCES])]


def _told(
    rows: Sequence[Row], many: int, users: int, seed: int, book: Codebook, ears: Ears
) -> dict[str, tuple[Interval, Interval]]:
    """By way of telling, the share of topics, and of things not wanted, that personas of so many users tell."""
    draw = np.random.default_rng((seed, 5, many))
    mine = [_picked(draw, rows, many) for _ in range(users)]
    people = [_speaker(f"q{n}", [row.text for row in picked]) for n, picked in enumerate(mine)]
    used = {row.text for picked in mine for row in picked}
    others = ears.hear([_speaker(f"o{n}", [row.text]) for n, row in enumerate(rows) if row.text not in used])
    heard = ears.hear(people)
    said = [one for of in (*placed(book, others), *placed(book, heard)) for one in of.preferences]
    near = _Near(rows, ears)
    pooled = plain.fit(plain.empty(book.space), said, floor=FLOOR)
    books = {"ours": fit(book, said, floor=FLOOR), "plain": pooled}
    told = {way: [lines(persona(one, of).text) for of in placed(one, heard)] for way, one in books.items()}
    told["own phrases"] = [_own(of) for of in heard]
    return {way: _judged(mine, of, near) for way, of in told.items()}


def _picked(draw: np.random.Generator, rows: Sequence[Row], many: int) -> list[Row]:
    topics = sorted({row.topic for row in rows})
    chosen = [topics[n] for n in mixed(draw, len(topics))[:many]]
    of = {topic: [row for row in rows if row.topic == topic] for topic in chosen}
    return [of[topic][int(draw.integers(len(of[topic])))] for topic in chosen]


def _speaker(name: str, texts: Sequence[str]) -> User:
    return User(name, 0, (), tuple((Said(text, "true"),) for text in texts))


def _own(of: Heard) -> list[str]:
    return [f"{'Likes' if one.polarity == 'like' else 'Does not want'} “{one.value}”." for one in of.preferences]


def _judged(mine: Sequence[Sequence[Row]], told: Sequence[Sequence[str]], near: _Near) -> tuple[Interval, Interval]:
    topics: list[float] = []
    avoided: list[float] = []
    against: list[float] = []
    for picked, text in zip(mine, told, strict=True):
        of = {line: near.about(line) for line in text}
        topics.append(sum(row.topic in of.values() for row in picked))
        unwanted = [row.topic for row in picked if row.polarity == "avoid"]
        avoided.append(sum(any(t == topic and is_refusal(line) for line, t in of.items()) for topic in unwanted))
        against.append(len(unwanted))
    return ratio(topics, [float(len(picked)) for picked in mine]), ratio(avoided, against)


class _Near:
    """The topic of the preference that a line is nearest to."""

    def __init__(self, rows: Sequence[Row], ears: Ears) -> None:
        self._ears, self._topics = ears, [row.topic for row in rows]
        self._rows = np.stack([np.frombuffer(ears.vector(row.text), "<f4") for row in rows])

    def about(self, line: str) -> str:
        vector = np.frombuffer(self._ears.vector(wording(line)), "<f4")
        return self._topics[int((self._rows @ vector).argmax())]


def _share(found: Sequence[bool]) -> Interval:
    return ratio([float(one) for one in found], [1.0] * len(found))
