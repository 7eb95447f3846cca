"""The package as others import it: its names, the default memory, and memories of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import carryover
from carryover.cli.demo_server import serving
from carryover.client.client import Client
from carryover.core import errors
from carryover.core.clock import SystemClock
from carryover.runtime import Carryover

NAMES = {
    "open", "Client", "AsyncClient", "Turn", "Draft", "Append", "Query", "log_turn", "get_context", "search_memory",
    "CarryoverError", "Invalid", "TooLarge", "Unauthorized", "Forbidden", "NotFound", "Conflict", "VersionConflict",
    "Cancelled", "Held", "LeaseLost", "OverBudget", "TooMany", "DataLoss", "KeyLost", "StoreUnavailable",
    "ProviderError", "ProviderUnavailable",
}  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Nothing of carryover but a home, without a model."""
    for name in [name for name in os.environ if name.startswith("CARRYOVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    monkeypatch.chdir(tmp_path)
    return dict(os.environ)


@pytest.fixture
def program(environment: dict[str, str]) -> Callable[[str], str]:
    """Runs a program in a process of its own, and returns what it prints."""

    def run(text: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(text)],
            env={**environment, **more}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run


def test_the_exported_names_are_exactly_these() -> None:
    assert set(carryover.__all__) == NAMES
    assert all(getattr(carryover, name).__doc__ for name in NAMES)
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert raised <= NAMES
    assert set(dir(carryover)) >= NAMES
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = carryover.nonsense


def test_importing_it_loads_nothing_heavy(program: Callable[[str], str]) -> None:
    heavy = "sqlalchemy pydantic numpy httpx apscheduler structlog msgspec asyncio"
    loaded = program(f"import sys, carryover; print([m for m in '{heavy}'.split() if m in sys.modules])")
    assert loaded == "[]\n"


def test_three_functions_and_nothing_else(program: Callable[[str], str], environment: dict[str, str]) -> None:
    said = program("""
        from carryover import log_turn, get_context, search_memory
        place = log_turn("session-1", "user", "Let's use PostgreSQL for the ledger.")
        print(place.seq)
        print("PostgreSQL" in get_context("session-2"))
        print([hit.sources[0].session_id for hit in search_memory("PostgreSQL", k=1)])
        """)
    assert said.splitlines()[0] == "1"
    assert said.splitlines()[2] == "['session-1']"
    assert (Path(environment["CARRYOVER_HOME"]) / "carryover.db").is_file()


def test_a_server_is_used_where_the_environment_names_one(
    program: Callable[..., str], environment: dict[str, str], tmp_path: Path
) -> None:
    text = """
        import carryover
        print(carryover.log_turn("session-1", "user", "Let's use PostgreSQL.").seq)
        print(type(carryover.memories.default()).__name__)
        """
    with serving(tmp_path, embedder="none") as url:
        assert program(text, CARRYOVER_URL=url) == "1\nClient\n"
        assert program(text, CARRYOVER_URL=url) == "2\nClient\n"
    assert not Path(environment["CARRYOVER_HOME"]).exists()


def test_the_default_memory_is_opened_once_by_any_number_of_threads(program: Callable[[str], str]) -> None:
    said = program("""
        import threading, carryover, carryover.memories
        opened = []
        def work(n):
            carryover.log_turn("s", "user", f"turn {n}")
            opened.append(carryover.memories.default())
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(set(map(id, opened))), carryover.memories.default().session("s").version)
        """)
    assert said == "1 8\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_opens_its_own(program: Callable[[str], str]) -> None:
    said = program("""
        import os, sys, warnings, carryover, carryover.memories
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
        carryover.log_turn("s", "user", "from the parent")
        parents = carryover.memories.default()
        child = os.fork()
        if child == 0:
            carryover.log_turn("s", "user", "from the child")
            sys.exit(0 if carryover.memories.default() is not parents else 1)
        assert os.waitpid(child, 0)[1] == 0
        carryover.log_turn("s", "user", "from the parent again")
        print([turn.content for turn in carryover.memories.default().turns("s")[1]])
        """)
    assert said == "['from the parent', 'from the child', 'from the parent again']\n"


def test_open_takes_a_folder_a_file_a_database_or_a_server(environment: dict[str, str], tmp_path: Path) -> None:
    places = {
        tmp_path / "folder": tmp_path / "folder" / "carryover.db",
        str(tmp_path / "one.db"): tmp_path / "one.db",
        f"sqlite:///{tmp_path / 'two.db'}": tmp_path / "two.db",
        None: Path(environment["CARRYOVER_HOME"]) / "carryover.db",
    }
    for place, file in places.items():
        with carryover.open(place, work=False) as memory:
            assert isinstance(memory, Carryover)
            assert memory.log_turn("s1", "user", "hello").seq == 1
        assert file.is_file()
    with carryover.open("http://127.0.0.1:9", api_key="co_x") as client:
        assert isinstance(client, Client)
    with pytest.raises(carryover.Invalid):
        carryover.open("")
    with pytest.raises(carryover.Invalid, match="idel_s"):
        carryover.open(tmp_path / "folder", idel_s=3)


def test_what_is_named_wins_over_the_environment(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_URL", "http://127.0.0.1:9")
    assert environment
    with carryover.open(tmp_path / "mine", work=False) as memory:
        assert isinstance(memory, Carryover)
    with carryover.open() as memory:
        assert isinstance(memory, Client)


def test_an_open_memory_consolidates_in_the_background(environment: dict[str, str], tmp_path: Path) -> None:
    assert environment
    with carryover.open(tmp_path / "mine", idle_s=0.1) as memory:
        memory.log_turn("s1", "user", "Let's use PostgreSQL for the ledger.")
        waiting, until = threading.Event(), SystemClock().now() + 60_000
        while not memory.snapshots("s1") and SystemClock().now() < until:
            waiting.wait(0.05)
        assert "PostgreSQL" in memory.get_context("s2")
