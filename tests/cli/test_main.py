"""The command itself: its verbs, help, exit codes and errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from carryover.cli.main import VERBS
from commands import ENTRY, Commands, run

GROUPS = {
    "keys": ("create", "list", "revoke", "rotate-master", "seal"),
    "queue": ("list", "dead", "retry"),
    "db": ("upgrade", "check", "reindex"),
    "model": ("pull",),
    "eval": ("recall", "strategies", "persona"),
    "extractors": ("", "promote", "refuse", "try"),
    "memory": ("tiers", "restore"),
    "hold": ("place", "list", "release"),
    "hooks": ("install", "uninstall", "status"),
    "strategy": ("show", "set", "unset", "agent", "view"),
    "profile": ("show", "edit", "why", "choices", "link", "erase", "refit", "overview"),
    "patterns": ("list", "show", "approve", "reject", "edit", "distribute", "withdraw", "measure"),
}
NO_DATA = {"demo", "serve", "worker", "mcp", "report"}  # they print a page or write one, or stay
PATHS = [(verb, sub) for verb in VERBS for sub in GROUPS.get(verb, ("",))]


def test_the_verbs_are_these() -> None:
    assert set(VERBS) == {
        "chat", "demo", "serve", "worker", "log", "context", "search", "window", "sessions", "consolidate", "stream",
        "keys", "db", "forget", "export", "import", "doctor", "eval", "model", "queue", "extractors",
        "why", "trace", "verify", "memory", "ingest", "detect", "patterns", "report", "hooks", "mcp",
        "strategy", "import-sessions", "profile", "audit", "verify-erasure", "hold", "backup", "restore",
    }  # fmt: skip


@pytest.mark.parametrize(("verb", "sub"), PATHS)
def test_every_verb_has_help_with_an_example_and_json(carryover: Commands, verb: str, sub: str) -> None:
    text = carryover(verb, *filter(None, (sub,)), "--help")
    assert f"carryover {verb}{f' {sub}' if sub else ''}" in text.partition("Example:")[2]
    assert ("--json" in text) == (verb not in NO_DATA)


LOADED = """
import sys
from carryover.cli.main import main
try:
    main()
except SystemExit:
    print(sorted({"sqlalchemy", "pydantic", "numpy", "httpx", "fastapi", "apscheduler", "rich"} & set(sys.modules)))
"""


def loaded(*args: str) -> tuple[str, str]:
    """What a verb prints, and which of the heavy libraries it has loaded."""
    done = subprocess.run([sys.executable, "-c", LOADED, *args], capture_output=True, text=True, check=True)
    printed, _, names = done.stdout.rstrip().rpartition("\n")
    return printed, names


def test_help_names_every_verb_and_loads_none() -> None:
    printed, names = loaded("--help")
    assert all(f"  {verb} " in printed for verb in VERBS)
    assert names == "[]"


@pytest.mark.usefixtures("home")
def test_simple_verbs_load_no_more_than_the_log() -> None:
    assert loaded("sessions") == ("", "['pydantic', 'sqlalchemy']")


@pytest.mark.usefixtures("home")
def test_results_and_notes_go_to_their_own_streams_and_exit_codes_tell() -> None:
    logged = run("log", "s1", "-", stdin="said through a pipe\n")
    assert (logged.returncode, logged.stdout, logged.stderr) == (0, "s1: 1 turn logged, 1 turn in all\n", "")
    missing = run("window", "nowhere")
    assert missing.returncode == 1
    assert missing.stdout == ""
    assert missing.stderr == ("carryover: session 'nowhere' of agent 'default' does not exist here; check both ids\n")
    wrong = run("window", "s1", "--last", "0")
    assert wrong.returncode == 2
    assert "Traceback" not in missing.stderr + wrong.stderr


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("nonsense",),
        ("log", "s1"),
        ("log", "s1", "text", "--jsonl", "file"),
        ("log", "s1", "text", "--role", "king"),
        ("window",),
        ("search", "q", "--kind", "wish"),
        ("search", "q", "--since", "yesterday"),
        ("context", "s1", "--scope", "world"),
        ("forget",),
        ("keys", "create", "--right", "own"),
        ("keys", "create", "--expires", "soon"),
        ("keys", "create", "--rate", "many"),
        ("audit", "--head", "1:00"),
        ("keys",),
        ("serve", "--port", "99999"),
        ("eval", "recall", "/nowhere/at/all"),
        ("sessions", "--limit", "0"),
        ("export", "--json"),
        ("strategy", "set", "s1"),
        ("strategy", "set", "s1", "--set", "mode"),
        ("strategy", "unset", "s1"),
        ("strategy", "view", "s1", "--provider", "gemini"),
        ("profile", "edit", "ana"),
        ("profile", "edit", "ana", "--weight", "12+"),
        ("profile", "edit", "ana", "--weight", "12+=much"),
        ("profile", "edit", "ana", "--pin", "12+", "--remove", "12+"),
        ("profile", "link", "ana", "--minutes", "0"),
    ],
)
def test_wrong_usage_is_2(carryover: Commands, args: tuple[str, ...]) -> None:
    carryover(*args, code=2)


def test_an_unknown_setting_is_one_line(carryover: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_IDEL_S", "5")
    carryover("sessions", code=1)
    assert carryover.err == (
        "carryover: 'CARRYOVER_IDEL_S' is an unknown environment variable; "
        "the nearest known one is 'CARRYOVER_IDLE_S'\n"
    )


def test_the_version(carryover: Commands) -> None:
    assert carryover("--version").startswith("carryover 0.")


def test_a_closed_pipe_ends_quietly(home: Path) -> None:
    subprocess.run([ENTRY, "log", "s1", "-"], input="line\n" * 50_000, text=True, check=True, capture_output=True)
    with subprocess.Popen(
        [ENTRY, "window", "s1", "--full"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        assert reading.stdout.readline().startswith("[1] user")
        reading.stdout.close()
        assert "Traceback" not in reading.stderr.read()
    assert home.is_dir()
