"""What model calls cost: a dated table of prices, which a user's own file extends."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from carryover.core.errors import ProviderError
from carryover.core.usage import Usage

_MILLION = 1_000_000
_DATED = re.compile(r"-(?:20\d{6}|20\d\d-\d\d-\d\d|latest)$")
_SAME_MODELS = {"openai-chat": "openai", "openai-responses": "openai"}  # two wires to one provider
_ROW = """[models."{name}"]
window = 200_000
input = 1.0
output = 5.0
cache_read = 0.1
cache_write = 1.25"""


@dataclass(frozen=True, slots=True)
class Over:
    """The price of a whole call whose prompt has more than `tokens`; dollars per million tokens."""

    tokens: int
    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """A row of the table; `input` and `output` in dollars per million tokens, the cache's as factors on `input`.

    A beginning of fewer than `cache_least` tokens is not kept in the cache. `cache_write_hour` is what writing costs
    where it is to be kept for an hour; None where that cannot be bought.
    """

    window: int
    input: Decimal
    output: Decimal
    cache_read: Decimal = Decimal(1)
    cache_write: Decimal = Decimal(1)
    over: Over | None = None
    cache_least: int = 0
    cache_write_hour: Decimal | None = None

    def of(self, usage: Usage) -> Decimal:
        """Dollars. Several calls are priced as if they were one, which is never less than their sum."""
        step = self.over if self.over and usage.tokens_in > self.over.tokens else self
        fresh = usage.tokens_in - usage.cache_read - usage.cache_write
        weighed = fresh + usage.cache_read * self.cache_read + usage.cache_write * self.cache_write
        return (weighed * step.input + usage.tokens_out * step.output) / _MILLION


def price(model: str, usage: Usage, own: Path | None = None) -> Usage:
    """`usage` with its money by the table and the user's `own` file; raises ProviderError as `find` does."""
    return priced(find(model, own), usage)


def priced(row: Price, usage: Usage) -> Usage:
    """`usage` with its money by a row of the table."""
    return replace(usage, money=row.of(usage))


def find(model: str, own: Path | None = None) -> Price:
    """The row for `provider:model`; a dated release (`...-20251001`) has the row of its model.

    Raises ProviderError when there is none, or when `own` cannot be read.
    """
    provider, _, name = model.partition(":")
    known = f"{_SAME_MODELS.get(provider, provider)}:{name}"
    rows = _shipped() if own is None else {**_shipped(), **_read(own)}
    for key in (model, known, _DATED.sub("", known)):
        if key in rows:
            return rows[key]
    file = f"in {own}" if own else "in a TOML file named by the setting `prices`"
    raise ProviderError(f"no price is known for model {model!r}; add a row for it {file}:\n{_ROW.format(name=model)}")


def known() -> Mapping[str, Price]:
    """The rows of the shipped table, by model."""
    return _shipped()


def checked() -> date:
    """The day on which the shipped table was compared with what providers ask."""
    return _table()["checked"]


@cache
def _shipped() -> Mapping[str, Price]:
    return _rows(_table())


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files(__package__ or "") / "prices.toml").read_text("utf-8"), parse_float=Decimal)


def _read(file: Path) -> Mapping[str, Price]:
    try:
        return _rows(tomllib.loads(file.read_text("utf-8"), parse_float=Decimal))
    except OSError as cause:
        raise ProviderError(f"the price file {file} cannot be read ({cause.strerror}); check its path") from cause
    except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError, RecursionError) as cause:
        raise ProviderError(
            f"the price file {file} is not a table of prices ({cause}); write rows like\n"
            + _ROW.format(name="provider:model")
        ) from cause


def _rows(table: Mapping[str, Any]) -> Mapping[str, Price]:
    return {name: _price(name, dict(row)) for name, row in table["models"].items()}


def _price(name: str, row: dict[str, Any]) -> Price:
    over = row.pop("over", None)
    step = None if over is None else Over(over.pop("tokens"), **_amounts(name, over))
    window, least = row.pop("window"), row.pop("cache_least", 0)
    if not isinstance(window, int) or window < 1:
        raise ValueError(f"window of {name} is {window!r}, not a number of tokens")
    if not isinstance(least, int) or least < 0:
        raise ValueError(f"cache_least of {name} is {least!r}, not a number of tokens")
    return Price(window, over=step, cache_least=least, **_amounts(name, row))


def _amounts(name: str, row: Mapping[str, Any]) -> dict[str, Decimal]:
    for key, value in row.items():
        if not isinstance(value, (int, Decimal)) or value < 0:
            raise ValueError(f"{key} of {name} is {value!r}, not an amount")
    return {key: Decimal(value) for key, value in row.items()}
