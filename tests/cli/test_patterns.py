"""`detect` and `patterns`: what is printed, what is decided, and what is refused."""

from __future__ import annotations

import getpass
import os
import pty
import subprocess
from pathlib import Path

import pytest

from carryover.core.scope import Scope
from carryover.opening import open_store
from carryover.settings import load
from carryover.store import digests
from commands import ENTRY, Commands
from planted import DESK, session, signal
from talk import begun

UNREAD = signal("edit_before_read", "edit: not read", "File has not been read yet.")


@pytest.fixture
def worked(carryover: Commands, home: Path) -> Commands:
    """The command beside a store with seven sessions, five of which edited a file unread."""
    told = [session(f"a{n}", UNREAD, age_days=n) for n in range(3)]
    told += [session(f"b{n}", UNREAD, flavor="codex", repo=DESK, age_days=n) for n in range(2)]
    told += [session(f"c{n}") for n in range(2)]
    with open_store(load(home=home).settings) as store, store.write(Scope()) as tx:
        begun(tx, [(digest.agent_id, digest.session_id) for digest in told])
        for digest in told:
            digests.put(tx, digest)
    return carryover


def test_what_recurs_is_a_table_with_shares_and_the_flag(worked: Commands) -> None:
    head, row = worked("detect").splitlines()
    assert head.split() == ["id", "state", "seen", "in", "agents", "repos", "score", "pattern"]
    assert row.endswith("[CROSS-FLAVOR] Files are edited before they are read")
    assert "5 of 7 sessions" in row
    assert "claude-code 3 of 5, codex 2 of 2" in row
    assert worked("patterns", "list") == worked("detect")
    assert "[CROSS-FLAVOR]" not in worked("detect", "--repo", DESK, "--min-frequency", "2")
    assert "2 of 2 sessions" in worked("detect", "--flavor", "codex", "--min-frequency", "2")
    assert worked("detect", "--min-frequency", "6") == ""
    assert "nothing recurs in 6 sessions or more" in worked.err


def test_as_json_it_is_complete(worked: Commands) -> None:
    (found,) = worked.json("detect")["patterns"]
    assert {name: found[name] for name in ("signal", "key", "title", "cross_flavor", "frequency", "state")} == {
        "signal": "edit_before_read",
        "key": "edit: not read",
        "title": "Files are edited before they are read",
        "cross_flavor": True,
        "frequency": 5,
        "state": "candidate",
    }
    assert found["total"] == {"sessions": 5, "of": 7, "count": 5}
    assert found["flavors"]["codex"] == {"sessions": 2, "of": 2, "count": 2}
    assert found["repos"].keys() == {DESK, "github.com/acme/shop"}
    assert len(found["evidence"]) == 5
    assert found["evidence"][0] == {
        "agent_id": "codex",
        "session_id": "b0",
        "first": 3,
        "last": 4,
        "quote": "File has not been read yet.",
        "repo": DESK,
    }
    assert worked.json("patterns", "list") == {"patterns": [found]}
    assert worked.json("patterns", "list", "--state", "approved") == {"patterns": []}
    assert worked.json("patterns", "show", found["id"])["versions"][0]["version"] == 1


def test_a_pattern_is_shown_decided_about_and_edited(worked: Commands) -> None:
    id = worked.json("detect")["patterns"][0]["id"]
    shown = worked("patterns", "show", id)
    for line in (
        f"{id}  [CROSS-FLAVOR] Files are edited before they are read",
        "  candidate, problem: edit_before_read edit: not read",
        "  lesson: Read a file before you edit it.",
        "  seen in 5 of 7 sessions that could have shown it, 5 times; score 8.94",
        "    codex: 2 of 2 sessions",
        "  codex b0, turns 3 to 4 in github.com/acme/desk",
        "    File has not been read yet.",
    ):
        assert line in shown.splitlines()
    assert worked.json("patterns", "reject", id, "--reason", "noise", "--by", "mara")["state"] == "rejected"
    worked("patterns", "approve", id, code=1)
    assert "is rejected, so it cannot be approved now; edit it first" in worked.err
    assert f"{id} is candidate (version 3, by {getpass.getuser()}): Read first." in worked(
        "patterns", "edit", id, "--lesson", "Read first."
    )
    worked("patterns", "approve", id)
    assert "rejected by mara: noise" in worked("patterns", "show", id)
    worked("detect")
    assert worked.json("patterns", "list", "--state", "approved")["patterns"][0]["lesson"] == "Read first."
    assert "approve" in worked("stream", "--agent", "patterns")
    worked("patterns", "show", "p_0", code=1)
    assert "'p_0' does not exist; list them" in worked.err


def test_without_words_and_a_terminal_there_is_nothing_to_edit_with(worked: Commands) -> None:
    id = worked.json("detect")["patterns"][0]["id"]
    worked("patterns", "edit", id, code=1)
    assert "give --title or --lesson" in worked.err


def test_on_a_terminal_the_editor_is_opened(worked: Commands, tmp_path: Path) -> None:
    id = worked.json("detect")["patterns"][0]["id"]
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "# left out\\nRead first\\n\\nRead it\\nbefore you edit.\\n" > "$1"\n')
    editor.chmod(0o755)
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [ENTRY, "patterns", "edit", id], stdin=theirs, capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "EDITOR": str(editor)},
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert done.stdout.endswith("Read it before you edit.\n")
    assert worked.json("patterns", "show", id)["title"] == "Read first"


def test_an_empty_store_says_what_to_do(carryover: Commands) -> None:
    assert carryover("detect") == ""
    assert "carryover ingest" in carryover.err
    assert carryover("patterns", "list") == ""
    assert "carryover detect" in carryover.err
    assert carryover.json("detect") == {"patterns": []}
