"""Long lists in parts: engines limit the parameters of one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Value = TypeVar("Value")

MOST = 500


def parts(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """The values in order, at most 500 at a time."""
    return (values[start : start + MOST] for start in range(0, len(values), MOST))
