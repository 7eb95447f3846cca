"""The script that agents run: quick, silent, and never in anybody's way, whatever is wrong around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carryover.coding import repos
from carryover.coding.logs import spool
from carryover.integrations import carryover_hook, hooks
from carryover.integrations.carryover_hook import key, remote_name

PYTHON = os.path.realpath(sys.executable)
PATIENT_S = 20  # far beyond the two seconds that it may take at most


@pytest.fixture
def script(home: Path) -> Path:
    """The script where hooks find it."""
    hooks.write_script(home / ".carryover")
    return home / ".carryover" / "hooks" / "carryover_hook.py"


def run(
    script: Path, *arguments: str, said: object = None, stdin: bytes | None = None, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryFile() as given:  # all is there when it looks, however busy the machine
        given.write(json.dumps(said).encode() if stdin is None else stdin)
        given.seek(0)
        return subprocess.run(
            [PYTHON, "-I", "-S", str(script), *arguments], stdin=given, capture_output=True, cwd=cwd or script.parent,
            env={"PATH": os.environ["PATH"], **env}, timeout=PATIENT_S, check=False,
        )  # fmt: skip


def silent(done: subprocess.CompletedProcess[bytes]) -> bool:
    return (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def prepare(script: Path, agent: str, name: str | Path, text: str) -> Path:
    path = script.parent / "contexts" / f"{key(agent, str(name))}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def notes(done: subprocess.CompletedProcess[bytes]) -> str:
    assert (done.returncode, done.stderr) == (0, b"")
    said = json.loads(done.stdout)["hookSpecificOutput"]
    assert said["hookEventName"] == "SessionStart"
    return said["additionalContext"]


def handed(home: Path) -> list[spool.Handed]:
    return spool.take(home / ".carryover")


# When a session starts


def test_a_session_that_starts_is_given_the_notes_for_its_folder(script: Path, home: Path) -> None:
    prepare(script, "claude-code", home / "shop", "# Notes\n- größer ‹x›\n")
    said = {"session_id": "s1", "cwd": str(home / "shop"), "hook_event_name": "SessionStart", "source": "startup"}
    assert notes(run(script, "SessionStart", "claude-code", said=said)) == "# Notes\n- größer ‹x›"
    assert silent(run(script, "SessionStart", "codex", said=said))  # nothing was prepared for it
    assert silent(run(script, "SessionStart", "claude-code", said={**said, "cwd": str(home)}))


def test_notes_for_a_repository_are_found_from_any_folder_and_checkout_of_it(script: Path, home: Path) -> None:
    main, tree, clone = home / "shop", home / "trees" / "fix", home / "elsewhere" / "clone"
    (main / ".git" / "worktrees" / "fix").mkdir(parents=True)
    for folder in (main / "src" / "deep", tree / "src", clone / ".git", home / "shop" / "vendor" / "lib" / ".git"):
        folder.mkdir(parents=True)
    (tree / ".git").write_text(f"gitdir: {main}/.git/worktrees/fix\n")
    prepare(script, "codex", main, "of the shop")
    for cwd in (main, main / "src" / "deep", tree, tree / "src"):
        assert notes(run(script, "SessionStart", "codex", said={"cwd": str(cwd)})) == "of the shop"
    # Another repository inside of it is another one, and so is a folder that is in none.
    assert silent(run(script, "SessionStart", "codex", said={"cwd": str(main / "vendor" / "lib")}))
    assert silent(run(script, "SessionStart", "codex", said={"cwd": str(home / "shopping")}))
    (clone / ".git" / "config").write_text(
        '[core]\n\tbare = false\n[remote "fork"]\n\turl = https://github.com/ada/shop\n'
        '[remote "origin"]\n\turl = git@github.com:acme/shop.git\n\tfetch = x\n'
    )
    prepare(script, "codex", "github.com/acme/shop", "by its remote")
    assert notes(run(script, "SessionStart", "codex", said={"cwd": str(clone)})) == "by its remote"


def test_without_word_from_the_agent_the_folder_is_the_one_it_runs_in(script: Path, home: Path) -> None:
    prepare(script, "claude-code", home, "here")
    assert notes(run(script, "SessionStart", "claude-code", stdin=b"", cwd=home)) == "here"
    assert notes(run(script, "SessionStart", "claude-code", stdin=b"", CLAUDE_PROJECT_DIR=str(home))) == "here"
    done = run(script, "notes", "claude-code", stdin=b"", cwd=home)
    assert (done.returncode, done.stdout) == (0, b"here\n")


def test_a_folder_that_is_reached_by_a_link_is_the_same_folder(script: Path, home: Path) -> None:
    (home / "shop").mkdir()
    (home / "link").symlink_to(home / "shop")
    prepare(script, "claude-code", home / "shop", "notes")
    assert notes(run(script, "SessionStart", "claude-code", said={"cwd": str(home / "link")})) == "notes"


@pytest.mark.parametrize(
    "remote",
    [
        "git@github.com:acme/shop.git", "https://github.com/acme/shop.git", "https://ada:key@GitHub.com/acme/shop/",
        "ssh://git@github.com:22/acme/shop", "git@host:shop", "/srv/git/shop.git", "../shop", "file:///srv/shop", "x",
        "",
    ],
)  # fmt: skip
def test_it_names_remotes_as_digests_do(remote: str) -> None:
    assert remote_name(remote) == repos.remote_name(remote)


# When a session pauses or ends


def test_a_session_that_pauses_hands_in_its_log(script: Path, home: Path) -> None:
    log = home / "log.jsonl"
    log.write_text("{}\n")
    said = {"session_id": "s1", "transcript_path": str(log), "cwd": str(home), "hook_event_name": "Stop"}
    assert silent(run(script, "Stop", "claude-code", said=said))
    assert silent(run(script, "SessionEnd", "claude-code", said=said))
    assert silent(run(script, "Stop", "codex", said={**said, "transcript_path": None, "session_id": "s2"}))
    found = {(one.flavor, one.session, one.log, one.cwd) for one in handed(home)}
    assert found == {("claude-code", "s1", log, str(home)), ("codex", "s2", None, str(home))}


def test_what_comes_through_a_pipe_in_pieces_is_waited_for(script: Path, home: Path) -> None:
    said = json.dumps({"session_id": "s1", "cwd": str(home), "padding": "x" * 200_000}).encode()
    command = [PYTHON, "-I", "-S", str(script), "Stop", "codex"]
    with subprocess.Popen(command, cwd=script.parent, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for at in range(0, len(said), 50_000):
            process.stdin.write(said[at : at + 50_000])
            process.stdin.flush()
        process.stdin.close()
        assert process.wait(PATIENT_S) == 0
    assert [one.session for one in handed(home)] == ["s1"]


def test_grok_is_known_by_what_it_says_of_itself(script: Path, home: Path) -> None:
    """It runs the hooks in Claude Code's settings too, and names no log."""
    log = home / "grok" / "sessions" / "%2Fshop" / "0199-abc" / "updates.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("{}\n")
    said = {"hookEventName": "stop", "sessionId": "0199-abc", "cwd": str(home)}
    done = run(script, "Stop", "claude-code", said=said, GROK_HOOK_EVENT="stop", GROK_HOME=str(home / "grok"))
    assert silent(done)
    (one,) = handed(home)
    assert (one.flavor, one.session, one.log) == ("grok", "0199-abc", log)


@pytest.mark.parametrize("session", ["../../etc", "*", "", "a/b"])
def test_a_session_that_is_no_name_of_a_folder_finds_no_log(script: Path, home: Path, session: str) -> None:
    (home / ".grok" / "sessions" / "x" / "y").mkdir(parents=True)
    assert silent(run(script, "Stop", "grok", said={"sessionId": session, "cwd": str(home)}))
    assert [one.log for one in handed(home)] == [None]


def test_fifty_at_once_leave_fifty_words(script: Path, home: Path) -> None:
    def one(n: int) -> subprocess.CompletedProcess[bytes]:
        return run(script, "Stop", "claude-code", said={"session_id": f"s{n}", "cwd": str(home)})

    with ThreadPoolExecutor(50) as pool:
        assert all(silent(done) for done in pool.map(one, range(50)))
    assert {one.session for one in handed(home)} == {f"s{n}" for n in range(50)}


def test_killed_in_the_middle_it_leaves_nothing_that_could_be_read(script: Path, home: Path) -> None:
    made = script.read_text().replace("        os.replace(made", "        os.kill(os.getpid(), 9); os.replace(made")
    torn = script.with_name("torn.py")
    torn.write_text(made)
    done = run(torn, "Stop", "claude-code", said={"session_id": "s1"})
    assert done.returncode == -signal.SIGKILL
    folder = home / ".carryover" / "hooks" / "spool"
    assert [path.suffix for path in folder.iterdir()] == [".tmp"]
    assert handed(home) == []
    os.utime(next(folder.iterdir()), (0, 0))
    assert handed(home) == []
    assert list(folder.iterdir()) == []  # what nobody will finish is swept away


# Whatever is wrong


@pytest.mark.parametrize("event", ["SessionStart", "Stop", "SessionEnd"])
@pytest.mark.parametrize(
    "stdin",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 100_000, b'{"cwd": 1, "session_id": []}',
        b'{"cwd": "\\u0000", "session_id": "\\ud83d", "transcript_path": "\\ud83d"}', b"x" * (8 << 20),
    ],
    ids=["none", "torn", "list", "null", "binary", "string", "deep", "types", "surrogates", "huge"],
)  # fmt: skip
def test_whatever_is_said_it_ends_well(script: Path, event: str, stdin: bytes) -> None:
    assert silent(run(script, event, "claude-code", stdin=stdin))


@pytest.mark.parametrize("arguments", [(), ("Stop",), ("SessionStart",), ("Nonsense", "agent"), ("Stop", "x", "y")])
def test_whatever_it_is_asked_it_ends_well(script: Path, arguments: Sequence[str]) -> None:
    assert silent(run(script, *arguments, said={}))


def test_an_agent_that_says_nothing_and_waits_is_not_waited_for(script: Path, home: Path) -> None:
    prepare(script, "codex", home, "here")
    for event, output in (("SessionStart", True), ("Stop", False)):
        process = subprocess.Popen(
            [PYTHON, "-I", "-S", str(script), event, "codex"], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with process:  # its input stays open all the while
            assert process.wait(PATIENT_S) == 0
            assert process.stdout is not None
            assert bool(process.stdout.read()) == output
    assert [one.cwd for one in handed(home)] == [str(home)]


def test_closed_streams_and_a_reader_that_went_away_are_no_matter(script: Path, home: Path) -> None:
    prepare(script, "codex", home, "x" * 60_000)
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        command = f"'{PYTHON}' -I -S '{script}' SessionStart codex {closed}"
        done = subprocess.run(["sh", "-c", command], cwd=home, stderr=subprocess.PIPE, timeout=PATIENT_S, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run(
            [PYTHON, "-I", "-S", str(script), "SessionStart", "codex"],
            cwd=home, stdin=subprocess.DEVNULL, stdout=gone, stderr=subprocess.PIPE, timeout=PATIENT_S, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_folder_that_is_gone_is_no_matter(script: Path, home: Path) -> None:
    gone = home / "gone"
    gone.mkdir()
    command = f"rmdir '{gone}'; '{PYTHON}' -I -S '{script}' Stop codex"
    done = subprocess.run(["sh", "-c", command], cwd=gone, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("broken", ["spool", "contexts"])
def test_folders_that_are_none_are_no_matter(script: Path, home: Path, broken: str) -> None:
    (script.parent / broken).write_text("a file")
    for event in ("SessionStart", "Stop"):
        assert silent(run(script, event, "codex", said={"session_id": "s1", "cwd": str(home)}))


def test_notes_that_would_hold_it_up_are_passed_over(script: Path, home: Path) -> None:
    path = prepare(script, "codex", home, "x")
    path.unlink()
    os.mkfifo(path)
    assert silent(run(script, "SessionStart", "codex", said={"cwd": str(home)}))
    path.unlink()
    path.mkdir()
    assert silent(run(script, "SessionStart", "codex", said={"cwd": str(home)}))
    path.rmdir()
    path.write_bytes(b"\xff" * (1 << 20))
    assert len(notes(run(script, "SessionStart", "codex", said={"cwd": str(home)}))) <= carryover_hook.MOST_NOTES


def test_a_git_folder_that_would_hold_it_up_is_passed_over(script: Path, home: Path) -> None:
    (home / ".git").mkdir()
    os.mkfifo(home / ".git" / "config")
    assert silent(run(script, "SessionStart", "codex", said={"cwd": str(home)}))


def test_a_disk_that_does_not_answer_holds_it_up_for_two_seconds_at_most(script: Path, home: Path) -> None:
    """A file that opens and never gives anything stands for a disk that hangs."""
    stuck = script.with_name("stuck.py")
    stuck.write_text(script.read_text().replace("    cwd = text(said", "    time.sleep(60)\n    cwd = text(said"))
    began = time.monotonic()
    assert silent(run(stuck, "SessionStart", "codex", said={"cwd": str(home)}))
    assert time.monotonic() - began < PATIENT_S


FULL = """
import builtins, errno, runpy, sys
def full(*args, **kwargs):
    raise OSError(errno.{error}, "no")
{what} = full
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("error", ["ENOSPC", "EROFS", "EACCES"])
@pytest.mark.parametrize("what", ["builtins.open", "import os; os.replace", "import os; os.makedirs"])
def test_a_disk_that_takes_nothing_is_no_matter(script: Path, home: Path, error: str, what: str) -> None:
    program = FULL.format(error=error, what=what.replace("; ", "\n"))
    for event in ("SessionStart", "Stop"):
        done = subprocess.run(
            [PYTHON, "-I", "-S", "-c", program, str(script), event, "codex"],
            input=b'{"session_id": "s1"}', capture_output=True, cwd=home, timeout=PATIENT_S, check=False,
        )  # fmt: skip
        assert silent(done)
    assert handed(home) == []


POWERLESS = """
import __future__, hashlib, json, os, select, signal, sys
os.setgid(65534)
os.setuid(65534)
sys.argv = sys.argv[1:]
exec(open(sys.argv[0]).read(), {"__name__": "__main__", "__file__": sys.argv[0]})
"""


def test_as_somebody_who_may_write_nothing_it_ends_well(script: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "hooks" / script.name
        copy.parent.mkdir()
        copy.write_bytes(script.read_bytes())
        prepare(copy, "codex", folder, "readable")
        for path in (Path(folder), copy.parent, copy.parent / "contexts"):
            path.chmod(0o755)
        for event, output in (("SessionStart", b"readable"), ("Stop", b"")):
            done = subprocess.run(
                [PYTHON, "-I", "-S", "-c", POWERLESS, str(copy), event, "codex"],
                input=b"{}", capture_output=True, cwd=folder, timeout=PATIENT_S, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, b"")
            assert output in done.stdout
        assert not (copy.parent / "spool").exists()


def test_it_needs_nothing_of_carryover(script: Path, home: Path) -> None:
    """Not its database, which is broken here, and not the package: only what comes with Python."""
    (home / ".carryover" / "carryover.db").write_bytes(b"no database")
    program = (
        "import runpy, sys, os\n"
        "os._exit = lambda code: None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "loaded = {name.split('.')[0] for name in sys.modules if not name.startswith('_')}\n"
        "print(sorted(loaded - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-c", program, str(script), "Stop", "codex"],
        input=b"{}", capture_output=True, cwd=home, timeout=PATIENT_S, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b"[]\n", b"")
    assert len(handed(home)) == 1


ELSEWHERE = """
import sys
sys.modules["_json"] = None
sys.argv = sys.argv[1:]
exec(open(sys.argv[0]).read(), {"__name__": "__main__", "__file__": sys.argv[0]})
"""


def test_a_python_without_the_parts_that_it_prefers_does_as_well(script: Path, home: Path) -> None:
    prepare(script, "codex", home, '"größer"\n')
    said = {"session_id": "s\u00e9\u2028", "cwd": str(home)}
    found: list[tuple[bytes, str]] = []
    for start in ([], ["-c", ELSEWHERE]):
        outputs = [
            subprocess.run(
                [PYTHON, "-I", "-S", *start, str(script), event, "codex"],
                input=json.dumps(said).encode(), capture_output=True, cwd=home, timeout=PATIENT_S, check=True,
            ).stdout
            for event in ("SessionStart", "Stop")
        ]  # fmt: skip
        (one,) = handed(home)
        spool.remove([one])
        found.append((b"".join(outputs), one.session))
    assert found[0] == found[1]
    assert found[0][1] == "s\u00e9\u2028"
