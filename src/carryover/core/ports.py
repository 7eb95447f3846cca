"""What carryover needs of others, each with at least two implementations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from carryover.core.session import Turn
from carryover.core.snapshot import Extraction, Finding
from carryover.core.usage import Usage

Vector = Sequence[float]


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> int:
        """UTC milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer: `data` holds the decoded object when a schema was asked for."""

    text: str
    usage: Usage
    data: dict[str, Any] | None = None


class LLM(Protocol):
    """One model behind one provider."""

    name: str  # `provider:model`
    window: int  # tokens that one call can hold, prompt and answer together
    calls_per_complete: int  # the most calls that one `complete` makes of the provider

    def complete(
        self, *, system: str, prompt: str, schema: dict[str, Any] | None = None, max_tokens: int = 2048
    ) -> Reply:
        """The model's answer.

        Raises ProviderUnavailable when a later try may succeed, ProviderError otherwise; both carry the
        usage that was consumed nevertheless.
        """
        ...

    def close(self) -> None:
        """Connections are closed."""
        ...

    def price(self, usage: Usage) -> Usage:
        """`usage` with its money from the dated price table; raises ProviderError for a model not in it."""
        ...


class Embedder(Protocol):
    """Texts to unit vectors. `name` identifies the vector space: model, version and precision."""

    name: str
    dim: int

    def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """One unit vector a text, in order. Raises ProviderError."""
        ...

    def close(self) -> None:
        """Its memory and connections are given back; the next `embed` takes them again."""
        ...


class Cache(Protocol):
    """Bytes that expire. Losing some of them, or all, costs time and never truth."""

    def get(self, key: str) -> bytes | None:
        """What was put under this key, if it is still there."""
        ...

    def put(self, key: str, value: bytes, *, ttl_s: int) -> None:
        """The value may be had for `ttl_s` seconds, or for less."""
        ...

    def drop(self, key: str) -> None:
        """Nothing is under this key any more, unless the cache cannot be reached: then it expires by itself."""
        ...


class Kms(Protocol):
    """A key management service: it encrypts small values under a key that never leaves it.

    Whatever its methods raise is told as KeyLost.
    """

    id: str  # which of its keys: shown, never used

    def wrap(self, key: bytes) -> bytes:
        """32 bytes, encrypted."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """What was wrapped by it before, whichever of its keys it was then."""
        ...


class Extractor(Protocol):
    """Turns to findings; `live` are the open and active findings that the session (and its past) already has."""

    name: str
    id: str  # the name with the version of its rules or its prompt: another one may find other things

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        """An upper bound on what `extract` will consume."""
        ...

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]: ...
