"""The labels that every codebook begins with: shipped ones for the facets that all have, and a tenant's own values."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from carryover.core.errors import Invalid
from carryover.persona.lint import refused

# How a value that a tenant names is told of a user, and of one who does not want it; by facet, and else by its name.
_SENTENCES: dict[str, tuple[str, str]] = {
    "format": ("Prefers answers as {value}.", "Does not want {value}."),
    "tone": ("Prefers a {value} tone.", "Does not want a {value} tone."),
    "length": ("Prefers {value}.", "Does not want {value}."),
    "expertise": ("Works as a {value}.", "Does not work as a {value}."),
    "domain": ("Is interested in {value}.", "Is not interested in {value}."),
    "stack": ("Works with {value}.", "Does not want to use {value}."),
    "avoid": ("", "Does not want {value}."),
}
_OWN = ("Prefers {value} for {facet}.", "Does not want {value} for {facet}.")


@dataclass(frozen=True, slots=True)
class Seed:
    """A label as it is shipped or named in settings; with the id 0, the codebook gives it one.

    `texts` is what people say for it, whose vectors stand for it; `aliases` are those and further names of it. In the
    facet `avoid` it has no `likes`.
    """

    id: int
    facet: str
    name: str
    likes: str
    avoids: str
    aliases: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def seeds(facets: Mapping[str, Sequence[str]] | None = None) -> tuple[Seed, ...]:
    """The shipped labels, then one for each of the values that a tenant's settings name in `facets`, by facet.

    A value that a shipped label of its facet goes by adds nothing. Raises Invalid where a value or a facet could not be
    told to a model as it stands.
    """
    shipped = _shipped()
    return shipped if not facets else (*shipped, *_own(facets, shipped))


@cache
def _shipped() -> tuple[Seed, ...]:
    table = tomllib.loads((files(__package__ or "") / "starter.toml").read_text("utf-8"))
    return tuple(map(_seed, table["label"]))


def _seed(row: Mapping[str, Any]) -> Seed:
    texts = tuple(row["texts"])
    aliases = (*row["aliases"], *texts)
    return Seed(row["id"], row["facet"], row["name"], row.get("likes", ""), row["avoids"], aliases, texts)


def _own(facets: Mapping[str, Sequence[str]], shipped: Sequence[Seed]) -> Iterator[Seed]:
    known = {(seed.facet, name) for seed in shipped for name in (seed.name, *seed.aliases)}
    for facet, values in facets.items():
        likes, avoids = _SENTENCES.get(facet, _OWN)
        for value in values:
            name = " ".join(value.casefold().split())
            for word in (facet, name):
                if (reason := refused(word)) is not None:
                    raise Invalid(f"{word!r} of facet {facet!r} cannot be told to a model: {reason}; name it otherwise")
            if (facet, name) not in known:
                known.add((facet, name))
                said = {"value": name, "facet": facet}
                yield Seed(0, facet, name, likes.format(**said), avoids.format(**said))
