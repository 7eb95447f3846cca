"""Looking for words in any form that they may have been written in: what should be gone is gone in all of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from carryover.core.errors import Invalid

SHORTEST = 6  # characters: anything shorter turns up by chance
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")


@dataclass(frozen=True, slots=True)
class Hit:
    """A canary that was found: in which file or table, at which byte, and in which form."""

    where: str
    offset: int
    canary: int  # its number among those that were looked for, from 1: what it says is not told again
    form: str
    length: int  # in bytes


class Canaries:
    """Words that are looked for, in every form."""

    def __init__(self, words: Iterable[str]) -> None:
        """Raises Invalid for one that is too short to mean anything where it turns up."""
        self.words = tuple(dict.fromkeys(words))
        self._forms: dict[bytes, tuple[int, str]] = {}
        for n, word in enumerate(self.words, 1):
            if len(word) < SHORTEST:
                raise Invalid(
                    f"canary {n} has {len(word)} characters; use {SHORTEST} or more, that nothing else says",
                    field="canary",
                )
            for name, form in _forms(word):
                self._forms.setdefault(form, (n, name))
        self.longest = max(map(len, self._forms), default=1)

    def found(self, where: str, data: bytes, offset: int = 0) -> Iterator[Hit]:
        """Where they stand in these bytes, the first of which is at `offset`."""
        for form, (n, name) in self._forms.items():
            at = data.find(form)
            while at >= 0:
                yield Hit(where, offset + at, n, name, len(form))
                at = data.find(form, at + 1)


def _forms(word: str) -> Iterator[tuple[str, bytes]]:
    for text in dict.fromkeys((word, word.lower(), word.upper())):
        for encoding in _ENCODINGS:
            told = text.encode(encoding, "surrogatepass")
            yield encoding, told
            yield f"hex of {encoding}", told.hex().encode()
            yield f"hex of {encoding}", told.hex().upper().encode()
            yield from ((f"base64 of {encoding}", form) for form in _base64(told))
        escaped = json.dumps(text)[1:-1]
        yield "JSON", escaped.encode()
        yield "JSON in JSON", json.dumps(escaped)[1:-1].encode()
        yield "JSON", json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")


def _base64(told: bytes) -> Iterator[bytes]:
    """What it comes to wherever it begins in a longer text: without the characters that its neighbours share."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + told)
        first, last = (0, 2, 3)[before], 4 * ((before + len(told)) // 3)
        core = whole[first:last]
        if len(core) >= SHORTEST:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
