"""Words of the text index: what stands for a term there, and for whose chunk it is.

A tenant's index says its terms in one of four forms. Hashes that the tenant is part of keep tenants apart and repeat
nothing that was said, but whoever has the file can test whether a word is in it; with a secret key beside they tell
nobody that. As plain words they can be looked at. Or there are none.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from carryover.core.chunk import Chunk

Form = Literal["tenant", "keyed", "plain", "none"]
GIVEN = "="  # begins the terms of a chunk that are words already, as the index was given them; no term is like that
_OWNER = re.compile("x[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Wording:
    """How the text index of a tenant says terms; without more, as databases do that seal nothing."""

    tenant: str
    form: Form = "tenant"
    secret: bytes = field(default=b"", repr=False)

    def word(self, term: str) -> str:
        """What stands for the term in the index: no space and no quotation mark, whatever the term holds."""
        if self.form == "keyed":
            return _keyed(self.secret, term)
        if self.form == "plain":  # nobody's word passes for one that says whose a chunk is
            return f"{term}x" if _OWNER.fullmatch(term) else term
        return word(self.tenant, term)

    def token(self, term: str) -> str:
        """What stands for the term in the `terms` of chunks."""
        return term if self.form == "tenant" else self.word(term)

    def kept(self, terms: str) -> str:
        """Terms as a chunk keeps them, so that they can be taken out of the index again. Their order is not kept."""
        if self.form == "tenant" or terms.startswith(GIVEN):
            return terms
        said = [] if self.form == "none" else sorted(map(self.word, terms.split()))
        return " ".join([GIVEN, *said])


class Spoken(Wording):
    """For whoever has the words themselves, as the index holds them."""

    def word(self, term: str) -> str:
        return term


@lru_cache(maxsize=1 << 16)
def word(tenant: str, term: str) -> str:
    """One word for the index: letters and digits only, whatever the term holds."""
    return "x" + hashlib.blake2b(f"{tenant}\x00{term}".encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=1 << 16)
def _keyed(secret: bytes, term: str) -> str:
    return hashlib.blake2b(term.encode(), key=secret, digest_size=6).hexdigest()


def words(tenant: str, chunk: Chunk) -> list[str]:
    """The words of the chunk's terms, in their order."""
    return said(tenant, chunk.terms)


def said(tenant: str, terms: str) -> list[str]:
    """The words of a chunk with these terms, as it keeps them."""
    return tokens(terms) if terms.startswith(GIVEN) else [word(tenant, term) for term in terms.split()]


def tokens(terms: str) -> list[str]:
    """What stands in the terms of a chunk, as it keeps them."""
    return terms.removeprefix(GIVEN).split()


def owner(tenant: str, sign: str, value: str) -> str:
    """The word that stands for whose chunk it is (`a`gent, `u`ser, `s`ession) or of which `k`ind."""
    # The separator is one that no term holds: an agent called like a word is not found by that word.
    return word(tenant, f"{sign}\x00{value}")


def owners(tenant: str, chunk: Chunk) -> list[str]:
    """One word each for the chunk's agent, user, session and kind: a narrowed query is narrowed inside the index."""
    if chunk.terms == GIVEN:  # nothing of it can be found by words
        return []
    marks = ("a", chunk.agent_id), ("u", chunk.user_id), ("s", chunk.session_id), ("k", chunk.kind)
    return [owner(tenant, sign, value) for sign, value in marks if value is not None]
