"""A user's code under a codebook, whichever strategy the codebook is of."""

from __future__ import annotations

from collections.abc import Sequence

from carryover.core.persona import Code, Preference
from carryover.persona import plain, votes
from carryover.persona.book import Codebook


def code_of(preferences: Sequence[Preference], book: Codebook) -> Code:
    """What the user's preferences come to: the same preferences and codebook give the same code."""
    if book.strategy == "user-kmeans":
        return plain.code_of(preferences, book)
    return votes.code_of(preferences, book.labels, book.version)
