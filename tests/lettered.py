"""Embedders that need no model: vectors that count letters, alike for alike words, another space for each name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from carryover.core.ports import Vector


class Letters:
    """Counts letters in so many heaps; `embedded` is what it was asked for, and `pause` is called before each time."""

    def __init__(self, name: str = "letters@1", dim: int = 26, pause: Callable[[], object] = lambda: None) -> None:
        self.name, self.dim = name, dim
        self.embedded: list[str] = []
        self._pause = pause

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        self._pause()
        self.embedded += texts
        return [self._counted(text) for text in texts]

    def close(self) -> None:
        pass

    def _counted(self, text: str) -> Vector:
        counts = [1e-3] * self.dim
        for letter in text.lower():
            counts[ord(letter) % self.dim] += 1.0
        length = sum(count * count for count in counts) ** 0.5
        return [count / length for count in counts]


def first(pause: Callable[[], object] = lambda: None) -> Letters:
    return Letters("letters@1", 26, pause)


def second(pause: Callable[[], object] = lambda: None) -> Letters:
    return Letters("letters@2", 17, pause)
