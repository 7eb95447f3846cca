"""The tree in the docstring of `core.errors` is the tree of classes."""

from __future__ import annotations

import re

import pytest

from carryover.core import errors
from carryover.core.errors import CarryoverError


def drawn() -> dict[str, str]:
    """Each class of the drawing with its parent."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:│   |    |├── |└── )*)([A-Z]\w+)", line)
        if found is not None:
            depth = len(found[1]) // 4
            path = [*path[:depth], found[2]]
            parents[found[2]] = path[-2] if depth else "Exception"
    return parents


def defined() -> dict[str, type[CarryoverError]]:
    return {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CarryoverError)
    }


def test_the_drawing_shows_every_class_below_its_parent() -> None:
    assert drawn() == {name: kind.__bases__[0].__name__ for name, kind in defined().items()}


@pytest.mark.parametrize("kind", defined().values(), ids=lambda kind: kind.__name__)
def test_a_default_message_is_one_sentence_with_a_remedy(kind: type[CarryoverError]) -> None:
    error = kind()
    assert error.message == str(error) == kind.__doc__
    assert error.message.count(";") == 1
    assert error.message.endswith(".")
    assert error.facts == {}


def test_facts_travel_with_the_error() -> None:
    error = errors.VersionConflict("session 'a' is at version 3, not 9; read it again", current_version=3)
    assert error.facts == {"current_version": 3}
    assert isinstance(error, errors.Conflict)
