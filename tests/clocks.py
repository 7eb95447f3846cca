"""Time for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FrozenClock:
    """Time that moves only when a test says so."""

    at: int = 1_790_000_000_000

    def now(self) -> int:
        return self.at

    def pass_(self, ms: int) -> None:
        self.at += ms
