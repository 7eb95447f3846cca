"""The codebooks of a process: the newest of each tenant, read once a version."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from carryover.core.persona import PersonaStrategy
from carryover.core.ports import Embedder
from carryover.persona.book import Codebook, starter_book, unpacked
from carryover.persona.plain import empty
from carryover.persona.starter import seeds
from carryover.store import codebooks
from carryover.store.store import Tx
from carryover.store.vault import Vault

_MOST = 64  # tenants whose codebook is at hand

Facets = Mapping[str, Mapping[str, Sequence[str]]]  # of tenants, by name, each with some of its values


class Books:
    """The newest codebook of each tenant. One that has none yet goes by the shipped labels."""

    def __init__(self, vault: Vault, facets: Facets, strategy: PersonaStrategy = "facets") -> None:
        self.vault = vault
        self.facets = facets
        self.strategy: PersonaStrategy = strategy
        self._kept: dict[str, Codebook] = {}
        self._starters: dict[tuple[str, str], Codebook] = {}
        self._lock = threading.Lock()

    def newest(self, tx: Tx) -> Codebook:
        """The tenant's codebook. Raises KeyLost where it cannot be opened."""
        version = codebooks.newest_version(tx)
        if version == 0:
            return self.starter(tx.tenant, None)
        kept = self._kept.get(tx.tenant)
        if kept is None or kept.version != version:
            found = codebooks.newest(tx, self.vault)
            if found is None:  # the tenant's key was dropped: what it sealed is as good as gone
                return self.starter(tx.tenant, None)
            kept = unpacked(found[1])
            with self._lock:
                if len(self._kept) >= _MOST:
                    self._kept.clear()
                self._kept[tx.tenant] = kept
        # After a change of strategy the book of before counts no more, and the next fit makes one.
        return kept if kept.strategy == self.strategy else self.starter(tx.tenant, None)

    def starter(self, tenant: str, embedder: Embedder | None) -> Codebook:
        """The shipped labels and those of the tenant's own facets; without an embedder they go by their names alone."""
        key = tenant if self.facets.get(tenant) else "", "" if embedder is None else embedder.name
        found = self._starters.get(key)
        if found is None:
            own = self.facets.get(tenant, {})
            plain = self.strategy == "user-kmeans"
            found = self._starters[key] = empty(facets=own) if plain else starter_book(seeds(own), embedder)
        return found
