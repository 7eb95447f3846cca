"""What model calls consumed: the unit of metering and of the daily caps."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from carryover.core.clock import Time

Group = Literal["tenant", "agent", "job"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of one or several model calls; `tokens_in` includes what the cache served.

    `money` is in US dollars. `calls` = 0 is what the rule-based path consumes.
    """

    model: str = "rules"
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cache_read: int = 0
    cache_write: int = 0
    money: Decimal = Decimal(0)
    turns_covered: int = 0
    tokens_saved: int = 0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    def plus(self, other: Usage) -> Usage:
        """The sum; the model of whichever made calls."""
        return Usage(
            model=other.model if other.calls else self.model,
            calls=self.calls + other.calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
            money=self.money + other.money,
            turns_covered=self.turns_covered + other.turns_covered,
            tokens_saved=self.tokens_saved + other.tokens_saved,
        )


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """Usage summed over the jobs of one group (`tenant`, an agent's id or a job's kind) in a period."""

    group: str
    jobs: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Cap:
    """A tenant's daily limits; None is no limit. A day is a UTC day."""

    tokens: int | None = None
    money: Decimal | None = None


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What `GET /usage` answers."""

    since: Time
    until: Time
    totals: tuple[UsageTotal, ...]
    today: Usage
    reserved: Usage
    cap: Cap
    waiting: int  # jobs that wait because they would pass a cap
