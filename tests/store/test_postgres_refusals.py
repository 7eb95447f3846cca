"""What can be wrong with a PostgreSQL: each is said at once, with what to do about it, and nothing starts half."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from carryover.core.errors import CarryoverError, Invalid, StoreUnavailable
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.log import append
from carryover.log.append import Limits
from carryover.store import queue
from carryover.store.store import Store
from commands import run
from servers.postgres import Server, binaries, free_port, start, stop

VERBS = (("doctor",), ("serve", "--port", "0"), ("worker",), ("db", "upgrade"))


@pytest.fixture
def locked(postgres: Server) -> Iterator[str]:
    """A role that has to give its password, which is `right`."""
    rules = postgres.folder / "data/pg_hba.conf"
    before = rules.read_text()
    postgres.sql("SET password_encryption = 'scram-sha-256'", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    rules.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\nhost all shut 127.0.0.1/32 reject\n{before}")
    postgres.sql("SELECT pg_reload_conf()")
    yield "locked"
    rules.write_text(before)
    postgres.sql("SELECT pg_reload_conf()", "DROP ROLE locked")


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A hot standby that follows the server."""
    with tempfile.TemporaryDirectory(prefix="carryover-standby-") as made:
        folder, own = Path(made), dict[str, Any]()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "nobody")
            own = {"user": "nobody", "extra_groups": [], "cwd": "/"}
        asked = ["-d", primary.url(user="postgres"), "-D", folder / "data", "-R", "-c", "fast"]
        subprocess.run([binaries() / "pg_basebackup", *asked], check=True, capture_output=True, **own)
        try:
            yield start(folder)
        finally:
            stop(folder)


def test_tending_a_server_that_is_away_is_refused_in_our_words() -> None:
    with (
        Store.at(f"postgresql://nobody@127.0.0.1:{free_port()}/none") as store,
        pytest.raises(StoreUnavailable, match="check that PostgreSQL runs there"),
    ):
        store.settle()


def wrong_urls(postgres: Server, database: str) -> dict[str, tuple[str, str]]:
    """What is wrong: the URL, and what has to be said."""
    port = free_port()
    return {
        "host": ("postgresql://carryover@no-such-host.invalid/db", r"resolve host.*; .*check the host in database_url"),
        "port": (f"postgresql://carryover@127.0.0.1:{port}/db", "refused.*check that PostgreSQL runs there"),
        "ports": (f"postgresql://c@127.0.0.1:{port},127.0.0.1:{port}/db", "refused.*check that PostgreSQL runs there"),
        "no number": ("postgresql://carryover@127.0.0.1:one/db", "invalid integer value.*correct it in database_url"),
        "database": (postgres.url("no_such_database"), "create the database, or correct its name"),
        "role": (postgres.url(database, "nobody_here"), "make the role, or correct the user"),
        "ssl": (f"{postgres.url(database)}?sslmode=require", "correct sslmode in database_url"),
    }


@pytest.mark.parametrize("wrong", ["host", "port", "ports", "no number", "database", "role", "ssl"])
@pytest.mark.parametrize("upgrade", [True, False])
def test_a_server_that_is_not_there(postgres: Server, postgres_url: str, wrong: str, upgrade: bool) -> None:
    url, said = wrong_urls(postgres, postgres_url.rpartition("/")[2])[wrong]
    with pytest.raises(StoreUnavailable, match=said):
        Store.open(url, upgrade=upgrade)


@pytest.mark.parametrize("url", ["c:sec ret@h/db", "c:secret@[::1/db", "c:secret@h/db?nonsense=1", "%zz@h/db"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(Invalid, match=r"database_url is no URL of PostgreSQL.*; write it as postgresql://") as refusal:
        Store.open(f"postgresql://{url}")
    told = f"{refusal.value.message} {refusal.value.__cause__}"
    assert "sec" not in told


def test_passwords(postgres: Server, postgres_url: str, locked: str) -> None:
    database = postgres_url.rpartition("/")[2]
    there = f"{postgres.host}:{postgres.port}/{database}"
    for given, said in (
        (f"{locked}:wr0ng@", "password authentication failed.*correct the user or the password"),
        (f"{locked}@", "no password supplied.*write the password into database_url, or into ~/.pgpass"),
        ("shut@", "pg_hba.conf rejects.*let this machine in"),
    ):
        with pytest.raises(StoreUnavailable, match=said) as refusal:
            Store.open(f"postgresql://{given}{there}")
        assert "wr0ng" not in refusal.value.message
    with pytest.raises(StoreUnavailable, match=r"permission denied.*grant the role what it lacks"):
        Store.open(f"postgresql://{locked}:right@{there}")


def test_a_database_that_is_read_only(postgres: Server, postgres_url: str) -> None:
    database = postgres_url.rpartition("/")[2]
    postgres.sql(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    with pytest.raises(StoreUnavailable, match=r"session is read-only.*name the primary, or all hosts"):
        Store.open(postgres_url)


def test_a_hot_standby(postgres: Server, postgres_url: str) -> None:
    database = postgres_url.rpartition("/")[2]
    with standby_of(postgres) as standby:
        with pytest.raises(StoreUnavailable, match=r"read-only.*name the primary, or all hosts"):
            Store.open(standby.url(database))
        both = f"postgresql://carryover@{standby.host}:{standby.port},{postgres.host}:{postgres.port}/{database}"
        with Store.open(both) as opened:
            say(opened)
        report = run_with(both, "doctor")
        assert report.returncode == 0, report.stdout + report.stderr
        assert "no commit waits for them: what was acknowledged last is lost with this server" in report.stdout
        for verb in VERBS:
            refused(standby.url(database), verb, "name the primary, or all hosts")


def test_connections_that_run_out(postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(postgres_url, pool=1) as store, ExitStack() as held:
        monkeypatch.setattr(store.engine.pool, "_timeout", 0.1)
        for _ in range(2):  # one that it keeps, and one more while it is busy
            held.enter_context(store.read(Scope("acme")))
        with pytest.raises(StoreUnavailable, match=r"too much at once for database_pool connections; retry"):
            say(store)
    role = f"few_{uuid4().hex[:8]}"
    postgres.sql(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
    url = postgres.url(postgres_url.rpartition("/")[2], role)
    with psycopg.connect(url), pytest.raises(StoreUnavailable, match=r"too many connections.*lower database_pool"):
        Store.open(url)
    postgres.sql(f"DROP ROLE {role}")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder on a disk of 24 MiB, which the server may write to."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with tempfile.TemporaryDirectory(prefix="carryover-small-") as made:
        disk = Path(made)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False).returncode:
            pytest.skip("this machine does not let its root mount a disk")
        try:
            disk.chmod(0o755)
            (disk / "space").mkdir()
            shutil.chown(disk / "space", "nobody")
            yield disk / "space"
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_disk_that_is_full(postgres: Server, small_disk: Path) -> None:
    postgres.sql(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    postgres.sql("CREATE DATABASE cramped OWNER carryover TEMPLATE template TABLESPACE small")
    try:
        with Store.open(postgres.url("cramped")) as store:
            with pytest.raises(StoreUnavailable, match=r"No space left.*free some disk space on the database's server"):
                fill(store)
            with store.read(Scope("acme")) as tx:
                assert queue.counts(tx)["dead"] == 0  # reads still work
    finally:
        postgres.drop("cramped")
        postgres.sql("DROP TABLESPACE small")


def test_a_nul_finds_nothing_and_breaks_nothing(store: Store) -> None:
    log = append.open_log(store, Limits())
    with pytest.raises(CarryoverError):
        append.append(log, Scope("acme"), Append("s\x001", (Draft(role="user", content="hi"),)), Limits())
    with pytest.raises(CarryoverError), store.read(Scope("acme")) as tx:
        queue.revive(tx, "consolidate", "s\x001")
    with store.write(Scope("acme")) as tx:
        queue.arm(tx, [("consolidate", "default/s1", tx.now)])
        job = queue.claim(tx, ["consolidate"], lease_ms=1000)
        assert job is not None
        queue.fail(tx, job, "ProviderError: \x00 came back", due=None)
        assert queue.dead(tx)[0].reason == "ProviderError:   came back"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb))
def test_nothing_starts_half(postgres: Server, postgres_url: str, locked: str, verb: tuple[str, ...]) -> None:
    database = postgres_url.rpartition("/")[2]
    wrong = f"postgresql://{locked}:wr0ng@{postgres.host}:{postgres.port}/{database}"
    refused(wrong, verb, "correct the user or the password in database_url")
    refused(f"postgresql://carryover@127.0.0.1:{free_port()}/db", verb, "check that PostgreSQL runs there")


def refused(url: str, verb: tuple[str, ...], remedy: str) -> None:
    done = run_with(url, *verb)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert remedy in said
    assert "Traceback" not in said
    assert "wr0ng" not in said
    assert "http://" not in done.stderr  # it never served


def run_with(url: str, *verb: str) -> subprocess.CompletedProcess[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CARRYOVER_")]:
            patch.delenv(name)
        patch.setenv("CARRYOVER_DATABASE_URL", url)
        patch.setenv("CARRYOVER_EMBEDDER", "none")
        return run(*verb)


def say(store: Store, session: str = "s1", text: str = "hello") -> None:
    request = Append(session, (Draft(role="user", content=text),))
    append.append(append.open_log(store, Limits()), Scope("acme"), request, Limits())


def fill(store: Store) -> None:
    for n in range(200):
        say(store, session=f"s{n}", text=os.urandom(1 << 18).hex())
