"""What happens, told to whoever listens: counts, measurements and spans.

Every room may tell. Who listens (Prometheus, OpenTelemetry) is installed by the server; until then telling costs next
to nothing. Names and labels are carryover's own words, and labels have few values: never a session, a user or a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Labels = Mapping[str, Any]


class Listener(Protocol):
    """Hears all that is told, in the thread that tells it: it must be quick, and not raise for the unknown."""

    def count(self, name: str, by: float, labels: Labels) -> None:
        """So many more of it happened."""
        ...

    def observe(self, name: str, value: float, labels: Labels) -> None:
        """One measurement, in the unit that the name implies."""
        ...

    def span(self, name: str, attributes: dict[str, Any]) -> AbstractContextManager[object] | None:
        """What is entered when the span begins, and left when it ends; None where the listener has no use for it.

        `attributes` may hold more at the end than at the beginning.
        """
        ...


_listeners: tuple[Listener, ...] = ()


def install(listener: Listener) -> None:
    """From now on the listener hears what is told in this process."""
    global _listeners
    _listeners = (*_listeners, listener)


def remove(listener: Listener) -> None:
    """The listener hears no more, but of spans that it heard begin."""
    global _listeners
    _listeners = tuple(other for other in _listeners if other is not listener)


def count(name: str, by: float = 1, **labels: Any) -> None:
    for listener in _listeners:
        listener.count(name, by, labels)


def observe(name: str, value: float, **labels: Any) -> None:
    for listener in _listeners:
        listener.observe(name, value, labels)


class Span:
    """Something that takes time. Its `with` gives the attributes, for what is known only at the end."""

    __slots__ = ("_attributes", "_entered", "_name")

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        self._name = name
        self._attributes = attributes
        self._entered: Sequence[AbstractContextManager[object]] = ()

    def __enter__(self) -> dict[str, Any]:
        for listener in _listeners:
            heard = listener.span(self._name, self._attributes)
            if heard is not None:
                heard.__enter__()
                self._entered = [*self._entered, heard]
        return self._attributes

    def __exit__(self, *failure: Any) -> None:
        for heard in reversed(self._entered):
            heard.__exit__(*failure)


def span(name: str, **attributes: Any) -> Span:
    """What happens in the `with` block, as one span; spans that begin inside it belong to it."""
    return Span(name, attributes)
