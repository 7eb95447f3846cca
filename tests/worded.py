"""An embedder whose vectors are of words, so that phrases which share words or synonyms are near; and who said what.

Each word has a direction of its own, drawn from its hash, so vectors are the same in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from carryover.core.persona import Polarity, Preference, Quote
from carryover.core.ports import Vector

DIM = 48


class Worded:
    """Embeds words by their meaning: those of one of the `synonyms` mean the same, but for a little."""

    def __init__(self, *synonyms: str, name: str = "worded@1") -> None:
        self.name, self.dim = f"{name}/{hashlib.sha256(repr(synonyms).encode()).hexdigest()[:8]}", DIM
        self.embedded: list[str] = []
        self._meaning = {word: group.split()[0] for group in synonyms for word in group.split()}

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        self.embedded += texts
        return [self._phrase(text) for text in texts]

    def close(self) -> None:
        pass

    def vector(self, text: str) -> bytes:
        """As a preference holds it."""
        return np.asarray(self._phrase(text), "<f4").tobytes()

    def _phrase(self, text: str) -> Vector:
        words = text.lower().split() or [""]
        total = sum(
            (self._drawn(self._meaning.get(word, word)) + 0.3 * self._drawn(word) for word in words), np.zeros(DIM)
        )
        return (total / np.linalg.norm(total)).astype(np.float32).tolist()

    def _drawn(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(f"{self.name} {word}".encode()).digest()[:8], "big")
        drawn = np.random.default_rng(seed).standard_normal(DIM)
        return drawn / np.linalg.norm(drawn)


def said(
    user: str,
    value: str,
    embedder: Worded | None = None,
    *,
    facet: str = "format",
    polarity: Polarity = "like",
    label: int | None = None,
    n: int = 0,
) -> Preference:
    """Something that the user said once, in a session of its own."""
    return Preference(
        id=f"pr_{user}_{facet}_{n}_{value}",
        user_id=user,
        facet=facet,
        value=value,
        polarity=polarity,
        explicit=True,
        correction=False,
        weight=4.0,
        quote=Quote("helper", f"s-{user}-{n}", 1, value),
        said_at=1_000 + n,
        label=label,
        vector=None if embedder is None else embedder.vector(value),
        space=None if embedder is None else embedder.name,
    )


def by_users(
    count: int, values: Iterable[str], embedder: Worded, *, facet: str = "format", name: str = "u"
) -> list[Preference]:
    """So many users who each said all of the values."""
    return [said(f"{name}{n}", value, embedder, facet=facet) for n in range(count) for value in values]
