"""Every error has its HTTP status."""

from __future__ import annotations

import inspect

import pytest

from carryover.core import errors
from carryover.core.errors import CarryoverError

statuses = pytest.importorskip("carryover.server.errors", reason="the server is not built yet")

KINDS = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CarryoverError)}
LEAVES = sorted((kind for kind in KINDS if not kind.__subclasses__()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_leaf_has_a_status_of_its_own(kind: type[CarryoverError]) -> None:
    assert kind in statuses.STATUS


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.Unauthorized, 401),
        (errors.Forbidden, 403),
        (errors.NotFound, 404),
        (errors.VersionConflict, 409),
        (errors.TooLarge, 413),
        (errors.Invalid, 422),
        (errors.TooMany, 429),
        (errors.StoreUnavailable, 503),
        (errors.ProviderUnavailable, 503),
    ],
)
def test_statuses_are_those_of_the_contract(kind: type[CarryoverError], status: int) -> None:
    assert statuses.STATUS[kind] == status
    assert statuses.status_of(kind()) == status
