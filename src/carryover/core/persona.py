"""Persona: how a user wants to be served, noticed in what they say, shared as labels, told to models as a few lines.

A *preference* is one indication, with the turn that it was noticed in. The tenant's *codebook* holds *labels* that at
least some users share; a user's *code* says which of them, and which phrases of their own, stand out. The *persona* is
the text that a model is told, a *profile* what the user sees and edits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from carryover.core.clock import Time

Polarity = Literal["like", "avoid"]
PersonaStrategy = Literal["facets", "user-kmeans"]
Why = Literal["starter", "fit", "growth"]  # a version of a codebook came of
Origin = Literal["label", "phrase", "text"]  # a line is a label of the codebook, the user's phrase, or what they wrote

FACETS: tuple[str, ...] = ("format", "tone", "length", "expertise", "domain", "stack", "avoid")
PERSONAL = ""  # the facet of what belongs to no facet: it is told in the user's own words, or not at all
# A user has one of each of these at a time; of the other facets, several.
SINGLE: frozenset[str] = frozenset(("format", "tone", "length", "expertise"))

# What a persona begins with; a user's turn that holds it repeats what we said.
HEADING = "About the user, as noticed in earlier sessions (preferences, not commands):"
MOST_TOKENS = 150  # of a persona
CORRECTION, EXPLICIT, IMPLIED = 6.0, 4.0, 1.0  # what a correction, a statement and a hint weigh
MOST_WEIGHT = 4.0  # of a factor that a user sets
MOST_TEXTS = 3  # own phrases and own texts that a persona tells
LONGEST_PHRASE = 80  # characters
LONGEST_QUOTE = 240


@dataclass(frozen=True, slots=True)
class Quote:
    """Where a preference was said: the words stand verbatim in the text of that turn."""

    agent_id: str
    session_id: str
    seq: int
    text: str
    said_at: Time | None = None  # in a line of a profile


@dataclass(frozen=True, slots=True)
class Noticed:
    """What a noticer reads out of a user's turn. `value` is a phrase in lower case, such as `bullet points`."""

    facet: str
    value: str
    polarity: Polarity
    explicit: bool
    seq: int
    quote: str
    correction: bool = False  # it takes the place of what was done or said before
    weight: float = IMPLIED


@dataclass(frozen=True, slots=True)
class Preference:
    """One indication of how a user wants to be served, and which label of the codebook it fell under, if any.

    `vector` are 32-bit floats, little-endian, of unit length, in the vector space `space`.
    """

    id: str
    user_id: str
    facet: str
    value: str
    polarity: Polarity
    explicit: bool
    correction: bool
    weight: float
    quote: Quote
    said_at: Time
    label: int | None = None
    vector: bytes | None = None
    space: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What several centroids of a facet stand for: the same thing by one name. Its id is never used for another.

    `likes` and `avoids` are the sentences that tell it. `users` is how many distinct ones it was learned from; a
    shipped one (`starter`) stands without any.
    """

    id: int
    facet: str
    name: str
    likes: str
    avoids: str
    users: int = 0
    starter: bool = False
    since: int = 1  # the version of the codebook that brought it
    retired: int | None = None  # the version that took it away
    retired_into: int | None = None  # the label that stands for it since


@dataclass(frozen=True, slots=True)
class Vote:
    """How much speaks for a label or phrase, and whether the persona tells it."""

    facet: str
    polarity: Polarity
    votes: float
    share: float  # of all votes in its facet, 0 to 1
    shown: bool
    evidence: int  # preferences
    label: int | None = None
    phrase: str | None = None  # in the user's own words, where no label says it
    agents: tuple[str, ...] = ()  # with whom it was noticed


@dataclass(frozen=True, slots=True)
class Code:
    """What a user's preferences come to under a version of the codebook."""

    book_version: int
    votes: tuple[Vote, ...]
    sessions: int  # that anything was noticed in
    preferences: int


@dataclass(frozen=True, slots=True)
class Edits:
    """What the user decided about their profile: it holds whatever is noticed or fitted later.

    Lines are named by their ids; a weight is a factor from 0 to `MOST_WEIGHT` on what was noticed.
    """

    weights: dict[str, float] = field(default_factory=dict[str, float])
    pins: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a profile: a label with a polarity, a phrase, or the user's own text."""

    id: str
    facet: str
    polarity: Polarity
    text: str  # as the persona tells it
    origin: Origin
    shown: bool
    pinned: bool = False
    removed: bool = False
    weight: float = 1.0  # the user's factor
    votes: float = 0.0
    evidence: int = 0
    quotes: tuple[Quote, ...] = ()  # the newest first


@dataclass(frozen=True, slots=True)
class Persona:
    """What a model is told of a user: the same code, codebook and edits give the same bytes.

    `etag` is a hash of the text. `tail` tells what the user changed since the session was opened, for the end of the
    conversation; the text itself stays as it was then.
    """

    user_id: str
    text: str
    etag: str
    tokens: int
    version: int
    tail: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What a user sees of themselves: the persona, and each line with where it came from."""

    user_id: str
    version: int
    persona: Persona
    lines: tuple[Line, ...]
    edits: Edits
    book_version: int
    sessions: int
    preferences: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A line that a user may pin though nothing was noticed: its id, and how a persona tells it."""

    id: str
    facet: str
    polarity: Polarity
    text: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit of the codebook came to."""

    version: int
    why: Why | None  # None: nothing had to be changed
    labels: int
    new: int
    retired: int
    preferences: int
    users: int
    far: float  # share of preferences that no label stands for, 0 to 1


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label and how many users' personas tell it, where they are as many as the floor demands."""

    facet: str
    name: str
    polarity: Polarity
    users: int


@dataclass(frozen=True, slots=True)
class Overview:
    """How a tenant's personas stand, without a word that fewer users share than the floor demands.

    Where there are many users, only the newest profiles are looked at: `counted` of them.
    """

    users: int | None  # None: fewer than the floor
    counted: int | None
    floor: int
    book_version: int
    labels: tuple[LabelCount, ...]
    hidden: int  # labels that too few users have to be told


@dataclass(frozen=True, slots=True)
class Link:
    """A way for one user to their own profile, for a short time."""

    user_id: str
    token: str
    path: str
    expires_at: Time


def line_id(polarity: Polarity, *, label: int | None = None, phrase: str | None = None) -> str:
    """The id of a line: `12+` and `12-` are label 12 liked and avoided; a phrase and a text are named by their hash."""
    sign = "+" if polarity == "like" else "-"
    return f"{label}{sign}" if label is not None else f"{_hash(phrase or '')}{sign}"


def _hash(text: str) -> str:
    return "p" + hashlib.sha256(text.encode()).hexdigest()[:12]
