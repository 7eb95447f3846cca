"""What every suite shares: a clock that stands still, and a store on each engine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import settings

from carryover.core.scope import Scope
from carryover.store.keyring import Keyring, default_url
from carryover.store.store import Store
from carryover.store.tables import metadata
from carryover.store.vault import Vault
from clocks import FrozenClock
from databases import Databases
from servers import etcd, patroni
from servers import redis as redis_servers
from servers.postgres import Server, running

ROOT = Path(__file__).parent.parent

# A disk that is busy for a moment is no failure: speed is measured elsewhere.
settings.register_profile("carryover", deadline=None)
settings.load_profile("carryover")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL for the whole run, with a migrated database to copy. Its role is no superuser."""
    with running() as server:
        template = server.create("template")
        server.sql("CREATE EXTENSION vector", database="template")
        Store.open(template).close()
        with closing(Keyring(template)) as keyring:
            keyring.keys([])
        yield server


@pytest.fixture(scope="session")
def databases(postgres: Server) -> Databases:
    return Databases(postgres)


@pytest.fixture
def postgres_url(postgres: Server, databases: Databases) -> Iterator[str]:
    """An empty database in PostgreSQL."""
    name = databases.lend()
    yield postgres.url(name)
    databases.take_back(name)


@pytest.fixture(scope="session")
def cluster_programs() -> None:
    """etcd and Patroni can be run here; where not, the test is skipped, saying what is missing."""
    try:
        etcd.binary()
        patroni.interpreter()
    except RuntimeError as cause:
        pytest.skip(str(cause))


@pytest.fixture
def redis_server() -> Iterator[redis_servers.Server]:
    """A real Redis, empty and of the test's own."""
    with redis_servers.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each engine; a further engine is one more parameter here."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'carryover.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each engine without a schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"empty_{uuid4().hex}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def store(database_url: str, clock: FrozenClock) -> Iterator[Store]:
    """An empty store; a statement that names no tenant fails the test, except where a worker claims a job."""
    with Store.open(database_url, clock=clock) as opened:
        sa.event.listen(opened.engine, "before_cursor_execute", require_tenant)
        yield opened


@pytest.fixture
def vault(database_url: str) -> Iterator[Vault]:
    """The vault of the database, as an installation has it that sets nothing."""
    with closing(Vault(Keyring(default_url(database_url)))) as opened:
        yield opened


@pytest.fixture
def scope() -> Scope:
    return Scope("acme")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real conversations of third parties, which are no part of the project."""
    folder = Path(os.environ.get("CARRYOVER_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no evaluation data at {folder}; set CARRYOVER_SHARED to run this test")
    return folder


_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN) \"?(\w+)\"?", re.IGNORECASE)
# A worker looks for due jobs of all tenants; a key says which tenant is its own; secrets are the installation's.
_ANY_TENANT = ("jobs", "keys", "secrets")


def require_tenant(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    named = {name for name in _TABLE.findall(statement) if name in metadata.tables}
    if named - set(_ANY_TENANT) and "tenant" not in statement:
        raise AssertionError(f"a statement that names no tenant: {statement}")
