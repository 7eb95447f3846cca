"""What every suite shares: a clock that stands still, and a store on each engine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.scope import Scope
from carryover.store.store import Store
from carryover.store.tables import metadata
from clocks import FrozenClock

ROOT = Path(__file__).parent.parent


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each engine; a second engine is one more parameter here."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path / 'carryover.db'}"


@pytest.fixture
def store(database_url: str, clock: FrozenClock) -> Iterator[Store]:
    """An empty store; a statement that names no tenant fails the test, except where a worker claims a job."""
    with Store.open(database_url, clock=clock) as opened:
        sa.event.listen(opened.engine, "before_cursor_execute", require_tenant)
        yield opened


@pytest.fixture
def scope() -> Scope:
    return Scope("acme")


@pytest.fixture
def shared() -> Path:
    """Real conversations of third parties, which are no part of the project."""
    folder = Path(os.environ.get("CARRYOVER_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no evaluation data at {folder}; set CARRYOVER_SHARED to run this test")
    return folder


_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN) \"?(\w+)\"?", re.IGNORECASE)
_ANY_TENANT = ("jobs", "keys")  # a worker claims for all tenants; a key says which tenant is its own


def require_tenant(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    named = {name for name in _TABLE.findall(statement) if name in metadata.tables}
    if named - set(_ANY_TENANT) and "tenant" not in statement:
        raise AssertionError(f"a statement that names no tenant: {statement}")
