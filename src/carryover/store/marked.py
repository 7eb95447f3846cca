"""How text that may be sealed is kept: what is sealed begins with a mark, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

MARK = "\x01"  # readable text that begins so gets one more


def readable(text: str) -> str:
    """Text as it is kept unsealed."""
    return MARK + text if text.startswith(MARK) else text


def is_sealed(kept: str) -> bool:
    return kept.startswith(MARK) and not kept.startswith(MARK + MARK)


def said(kept: str) -> str:
    """The text that is kept unsealed."""
    return kept[1:] if kept.startswith(MARK) else kept


class Keys(Protocol):
    """Where keys are kept; `Keyring` does (`keyring.py`)."""

    def current(self, tenant: str, user: str) -> Named: ...
    def keys(self, ids: Sequence[bytes]) -> Mapping[bytes, Named | None]: ...


class Named(Protocol):
    """A key."""

    @property
    def id(self) -> bytes: ...


class Vaults(Protocol):
    """What seals and opens what belongs to users, or to a tenant (the user ""); `Vault` does (`vault.py`)."""

    @property
    def keyring(self) -> Keys: ...
    def seal(self, tenant: str, user: str, place: str, plain: bytes) -> bytes: ...
    def seal_all(self, tenant: str, user: str, records: Iterable[tuple[str, bytes]]) -> list[bytes]: ...
    def open(self, tenant: str, user: str, place: str, sealed: bytes) -> bytes | None: ...
    def open_all(self, tenant: str, records: Sequence[tuple[str, str, bytes]]) -> list[bytes | None]: ...
    def drop(self, tenant: str, user: str) -> bool: ...


class Seals(Protocol):
    """What seals and opens text of sessions; `Sealing` does (`sealing.py`)."""

    wanted: bool
    begun: bool

    @property
    def vault(self) -> Vaults: ...
    def close(self) -> None: ...
    def own(self, tenant: str) -> bytes: ...
    def draw(self, tenant: str) -> bytes: ...
    def drop(self, ids: Iterable[bytes]) -> int: ...
    def sealed(self, tenant: str, key: bytes, place: str, plain: bytes) -> str: ...
    def opened(self, tenant: str, records: Sequence[tuple[str, str]]) -> list[bytes | None]: ...
    def hashed(self, key: bytes, text: str) -> str: ...
