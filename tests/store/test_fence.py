"""What the standby has not confirmed is told to nobody as saved, not even later: on two PostgreSQL servers."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from carryover.core.errors import StoreUnavailable, VersionConflict
from carryover.core.scope import Scope
from carryover.core.session import Append, Appended, Draft
from carryover.log.append import Limits, Log, append, open_log
from carryover.store import postgres as dialect
from carryover.store.store import Store
from servers import postgres
from servers.postgres import Server
from waiting import until

pytestmark = pytest.mark.slow

ACME = Scope("acme")
LIMITS = Limits()


@dataclass(frozen=True)
class Pair:
    """A primary that waits for its standby before it confirms a commit."""

    primary: Server
    standby: Server
    log: Log

    def append(self, key: str, expected_version: int | None = None, session: str = "s") -> Appended:
        draft = Draft("user", f"said under {key}", idempotency_key=key)
        return append(self.log, ACME, Append(session, (draft,), expected_version=expected_version), LIMITS)

    def retried(self, key: str) -> Appended:
        """What the append is answered once it is answered."""
        end = time.monotonic() + 30
        while True:
            try:
                return self.append(key)
            except StoreUnavailable:
                assert time.monotonic() < end, "it was never answered"

    def seen(self, server: Server) -> list[str]:
        """The keys that whoever asks the server is shown, in the order of the log."""
        return server.sql("SELECT idempotency_key FROM turns ORDER BY seq", database="fenced").split()

    def crash_primary(self) -> None:
        """It was killed with all its processes; its disk is as it was."""
        self.primary.signal(signal.SIGKILL)
        postgres.stop(self.primary.folder, signal.SIGKILL)
        (self.primary.folder / "data/postmaster.pid").unlink()

    def start_primary(self) -> None:
        postgres.start(self.primary.folder, self.primary.port)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with postgres.running() as primary:
        primary.create("fenced")
        primary.sql("CREATE EXTENSION vector", database="fenced")
        with followed(primary) as standby:
            hosts = ",".join(f"{one.host}:{one.port}" for one in (primary, standby))
            with Store.open(f"postgresql://{postgres.ROLE}@{hosts}/fenced") as store:
                monkeypatch.setattr(dialect, "PATIENCE_S", 1.0)
                yield Pair(primary, standby, open_log(store, LIMITS))


@contextmanager
def followed(primary: Server) -> Generator[Server]:
    """A standby without which the primary confirms nothing."""
    with tempfile.TemporaryDirectory(prefix="carryover-standby-") as made:
        source = primary.url(user="postgres")
        copy = ["pg_basebackup", f"--pgdata={made}/data", f"--dbname={source}", "--checkpoint=fast", "-R"]
        subprocess.run([postgres.binaries() / copy[0], *copy[1:]], check=True, capture_output=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody", f"{made}/data"], check=True)
        with postgres.running(Path(made), wal_retrieve_retry_interval="100ms") as standby:
            try:
                primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
                until(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync")
                yield standby
            finally:
                standby.signal(signal.SIGCONT)


def refused(pair: Pair, key: str, expected_version: int | None = None, session: str = "s") -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        pair.append(key, expected_version, session)
    return caught.value


def test_an_append_is_unknown_while_the_standby_is_silent(pair: Pair) -> None:
    assert pair.append("a").version == 1
    pair.standby.signal(signal.SIGSTOP)
    failure = refused(pair, "b")
    assert failure.facts["unknown"] is True
    assert "retry with the same idempotency key" in failure.message
    refused(pair, "b")
    assert pair.seen(pair.primary) == ["a"]
    pair.standby.signal(signal.SIGCONT)
    answer = pair.retried("b")
    assert (answer.version, answer.turns[0].seq, answer.saved) == (2, 2, False)
    assert pair.append("c").version == 3
    assert pair.seen(pair.primary) == ["a", "b", "c"]


def test_what_a_crash_made_visible_is_confirmed_only_with_the_standby(pair: Pair) -> None:
    assert pair.append("a").version == 1
    pair.standby.signal(signal.SIGSTOP)
    assert refused(pair, "b").facts["unknown"] is True
    pair.crash_primary()
    pair.start_primary()
    assert pair.seen(pair.primary) == ["a", "b"]  # recovery took it for committed
    assert refused(pair, "b").facts["unknown"] is True
    pair.crash_primary()
    pair.start_primary()
    # Nor is anybody told of a conflict with it: version 1 is all that was ever confirmed.
    assert refused(pair, "c", expected_version=1).facts["unknown"] is True
    pair.standby.signal(signal.SIGCONT)
    answer = pair.retried("b")
    assert (answer.version, answer.turns[0].seq, answer.saved) == (2, 2, False)
    assert pair.seen(pair.primary) == ["a", "b"]


def test_a_retry_on_the_standby_that_leads_now_is_saved_once(pair: Pair) -> None:
    assert pair.append("a").version == 1
    pair.standby.signal(signal.SIGSTOP)
    assert refused(pair, "b").facts["unknown"] is True
    pair.crash_primary()
    pair.standby.signal(signal.SIGCONT)
    # The copy was made before the primary was told to wait for one, so this server waits for none.
    pair.standby.sql("SELECT pg_promote()")
    assert pair.retried("b").version == 2
    assert pair.seen(pair.standby) == ["a", "b"]


def test_a_primary_that_stands_alone_does_not_say_that_a_session_is_missing(pair: Pair) -> None:
    with pytest.raises(VersionConflict, match="is at version 0, not 1"):
        pair.append("a", expected_version=1, session="elsewhere")
    pair.standby.signal(signal.SIGSTOP)
    # Another server may lead by now, and have it.
    assert refused(pair, "a", expected_version=1, session="elsewhere").facts["unknown"] is True
