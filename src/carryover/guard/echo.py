"""Whether somebody repeats what a tool, a page or an earlier marked finding said: it is still theirs then."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w+")
_RUN, _LEAST = 5, 3  # words in a row, and of a text that is shorter
_MOST_CHARS = 40_000  # of one text
_MOST_TEXTS = 400


class Echo:
    """The runs of words of texts that came from outside."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._runs: set[int] = set()
        self._said: list[str] = []
        for n, text in enumerate(texts):
            if n == _MOST_TEXTS:
                break
            words = _WORD.findall(text[:_MOST_CHARS].lower())
            self._runs.update(_runs(words))
            self._said.append(f" {' '.join(words)} ")

    def repeats(self, text: str) -> bool:
        """Whether half of what is said, run by run, stands there; one or two words alone are everybody's."""
        if not self._said:
            return False
        words = _WORD.findall(text.lower())
        if len(words) < _RUN:
            return len(words) >= _LEAST and any(f" {' '.join(words)} " in said for said in self._said)
        runs = _runs(words)
        return 2 * sum(run in self._runs for run in runs) >= len(runs)


def _runs(words: Sequence[str]) -> list[int]:
    return [hash(tuple(words[n : n + _RUN])) for n in range(len(words) - _RUN + 1)]
