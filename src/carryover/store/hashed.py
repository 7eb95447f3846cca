"""Words of the text index: hashes that the tenant is part of.

So tenants share no word and no count, any text is a legal query, and the index repeats nothing that was said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

from carryover.core.chunk import Chunk
from carryover.store.dialect import Bounds


@lru_cache(maxsize=1 << 16)
def word(tenant: str, term: str) -> str:
    """One word for the index: letters and digits only, whatever the term holds."""
    return "x" + hashlib.blake2b(f"{tenant}\x00{term}".encode(), digest_size=8).hexdigest()


def words(tenant: str, chunk: Chunk) -> list[str]:
    """The words of the chunk's terms, in their order."""
    return [word(tenant, term) for term in chunk.terms.split()]


def owner(tenant: str, sign: str, value: str) -> str:
    """The word that stands for whose chunk it is (`a`gent, `u`ser, `s`ession) or of which `k`ind."""
    # The separator is one that no term holds: an agent called like a word is not found by that word.
    return word(tenant, f"{sign}\x00{value}")


def owners(tenant: str, chunk: Chunk) -> list[str]:
    """One word each for the chunk's agent, user, session and kind: a narrowed query is narrowed inside the index."""
    marks = ("a", chunk.agent_id), ("u", chunk.user_id), ("s", chunk.session_id), ("k", chunk.kind)
    return [owner(tenant, sign, value) for sign, value in marks if value is not None]


def marks(bounds: Bounds) -> Iterator[tuple[str, str]]:
    """What the bounds ask of a chunk's owners, but for its kind."""
    asked = ("a", bounds.agent), ("u", bounds.user), ("s", bounds.session)
    return ((sign, value) for sign, value in asked if value is not None)
