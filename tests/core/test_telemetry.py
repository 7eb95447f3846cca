"""What is told reaches all who listen, and nobody else."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from carryover.core import telemetry
from carryover.core.telemetry import Labels


class Notes:
    """A listener that writes all down."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def count(self, name: str, by: float, labels: Labels) -> None:
        self.heard.append(("count", name, by, dict(labels)))

    def observe(self, name: str, value: float, labels: Labels) -> None:
        self.heard.append(("observe", name, value, dict(labels)))

    def span(self, name: str, attributes: dict[str, Any]) -> Any:
        return None if name == "dull" else self._span(name, attributes)

    @contextmanager
    def _span(self, name: str, attributes: dict[str, Any]) -> Generator[None]:
        self.heard.append(("begin", name, dict(attributes)))
        try:
            yield
        except ValueError:
            self.heard.append(("failed", name))
            raise
        finally:
            self.heard.append(("end", name, dict(attributes)))


@pytest.fixture
def notes() -> Iterator[Notes]:
    made = Notes()
    telemetry.install(made)
    yield made
    telemetry.remove(made)


def test_whoever_listens_hears_all(notes: Notes) -> None:
    second = Notes()
    telemetry.install(second)
    telemetry.count("jobs", kind="index")
    telemetry.observe("size", 2.5)
    telemetry.remove(second)
    telemetry.count("jobs", 3)
    assert second.heard == [("count", "jobs", 1, {"kind": "index"}), ("observe", "size", 2.5, {})]
    assert notes.heard == [*second.heard, ("count", "jobs", 3, {})]


def test_a_span_says_at_its_end_what_was_found_out_meanwhile(notes: Notes) -> None:
    with telemetry.span("job", kind="index") as told, telemetry.span("dull"):
        told["outcome"] = "done"
    assert notes.heard == [
        ("begin", "job", {"kind": "index"}),
        ("end", "job", {"kind": "index", "outcome": "done"}),
    ]


def test_a_span_ends_and_is_told_when_its_block_raises(notes: Notes) -> None:
    with pytest.raises(ValueError, match="no"), telemetry.span("job"):
        raise ValueError("no")
    assert notes.heard[1:] == [("failed", "job"), ("end", "job", {})]


def test_a_listener_that_leaves_inside_a_span_hears_its_end() -> None:
    notes = Notes()
    telemetry.install(notes)
    with telemetry.span("job"):
        telemetry.remove(notes)
    with telemetry.span("job"):
        telemetry.count("jobs")
    assert notes.heard == [("begin", "job", {}), ("end", "job", {})]


def test_without_a_listener_a_span_gives_its_attributes_all_the_same() -> None:
    with telemetry.span("job", kind="index") as told:
        assert told == {"kind": "index"}
