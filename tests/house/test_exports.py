"""What `carryover` itself offers: the names that the contract promises, and nothing that drags in the house."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import carryover
from carryover.core import errors
from carryover.core.errors import CarryoverError

PROMISED = {
    "Append",
    "AsyncClient",
    "Client",
    "Draft",
    "Query",
    "Turn",
    "get_context",
    "log_turn",
    "open",
    "search_memory",
}


def defined_errors() -> set[str]:
    return {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CarryoverError)}


def test_exactly_the_promised_names_are_offered() -> None:
    assert set(carryover.__all__) == PROMISED | defined_errors()
    assert carryover.__all__ == sorted(carryover.__all__)


def test_every_name_can_be_had() -> None:
    for name in carryover.__all__:
        assert getattr(carryover, name) is not None
    assert carryover.VersionConflict is errors.VersionConflict
    assert set(carryover.__all__) <= set(dir(carryover))


def test_an_unknown_name_is_no_attribute() -> None:
    assert not hasattr(carryover, "close_enough")


def test_naming_the_package_imports_nothing_heavy() -> None:
    heavy = ["sqlalchemy", "httpx", "fastapi", "numpy", "onnxruntime", "pydantic", "alembic", "apscheduler"]
    script = f"import sys, carryover; print([m for m in {heavy!r} if m in sys.modules])"
    made = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True, timeout=60)
    assert made.stdout.strip() == "[]"


def test_rooms_say_what_they_are_for_and_offer_nothing_themselves() -> None:
    for room in ("core", "store", "providers", "jobs", "log", "memory", "recall", "server", "client", "cli", "evals"):
        package = importlib.import_module(f"carryover.{room}")
        assert package.__doc__, room
        source = inspect.getsource(package)
        assert "import" not in source.replace(package.__doc__, "").replace("from __future__ import annotations", ""), (
            room
        )
