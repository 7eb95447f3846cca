"""Files of other people: what may not be replaced is refused with a remedy, and nothing is ever half-written."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from carryover.coding.rollout import files
from carryover.core.errors import Conflict, Invalid


def test_mode_and_links_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.md"
    real.write_bytes(b"a\n")
    real.chmod(0o640)
    link = tmp_path / "CLAUDE.md"
    link.symlink_to("real.md")
    held = files.read(link, tmp_path)
    assert (held.path, held.content) == (real, b"a\n")
    files.replace(held, b"b\n")
    assert link.is_symlink()
    assert real.read_bytes() == b"b\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["CLAUDE.md", "real.md"]


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    held = files.read(tmp_path / "deep/er/SKILL.md", tmp_path)
    files.replace(held, b"x")
    (tmp_path / "usual").write_bytes(b"")
    assert (tmp_path / "deep/er/SKILL.md").stat().st_mode == (tmp_path / "usual").stat().st_mode
    files.replace(files.read(held.path), None)
    assert os.listdir(tmp_path / "deep/er") == []


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere.md")
    (tmp_path / "one").write_bytes(b"")
    os.link(tmp_path / "one", tmp_path / "two")
    (tmp_path / "fixed").write_bytes(b"")
    (tmp_path / "fixed").chmod(0o444)
    (tmp_path / "large").write_bytes(b"x" * (files.LARGEST + 1))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "usual").write_bytes(b"")
    for name, said in {
        "folder": "is a folder; move it away",
        "pipe": "is no plain file; move it away",
        "dangling": "is a link to .*nowhere.md, which is not there; make it or remove the link",
        "two": "has 2 names \\(hard links\\)",
        "fixed": "is read-only; make it writable with `chmod u\\+w`",
        "large": "beyond 4,194,304; leave it out",
        "loop": "; ",
        "usual/x.md": "Not a directory",
        "usual/deep/x.md": "Not a directory",
    }.items():
        with pytest.raises(Invalid, match=said):
            files.read(tmp_path / name)


def test_a_folder_that_is_read_only_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "a.md").write_bytes(b"a")
    folder.chmod(0o555)
    for name in ("a.md", "new.md", "deep/new.md"):
        with pytest.raises(Invalid, match="repo is read-only; make it writable"):
            files.read(folder / name)
    folder.chmod(0o755)


@pytest.mark.parametrize("where", ["CLAUDE.md", ".claude"])
def test_a_link_out_of_the_repository_is_refused(tmp_path: Path, where: str) -> None:
    repo, outside = tmp_path / "repo", tmp_path / "outside"
    repo.mkdir()
    outside.mkdir()
    (outside / "CLAUDE.md").write_bytes(b"not yours\n")
    (repo / where).symlink_to(outside / "CLAUDE.md" if where == "CLAUDE.md" else outside)
    path = repo / where if where == "CLAUDE.md" else repo / where / "CLAUDE.md"
    with pytest.raises(Invalid, match=r"leads out of .*/repo, to .*/outside/CLAUDE.md; leave it out"):
        files.read(path, repo)
    assert files.read(path).content == b"not yours\n"


def test_a_repository_reached_by_a_link_is_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    held = files.read(tmp_path / "link/CLAUDE.md", tmp_path / "link")
    files.replace(held, b"a")
    assert (tmp_path / "real/CLAUDE.md").read_bytes() == b"a"


@pytest.mark.parametrize("change", ["other", "gone", "made"])
def test_what_changed_since_is_not_replaced(tmp_path: Path, change: str) -> None:
    path = tmp_path / "CLAUDE.md"
    if change != "made":
        path.write_bytes(b"a\n")
    held = files.read(path)
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(b"somebody else's\n")
    with pytest.raises(Conflict, match="was changed since its difference was shown; run it again"):
        files.replace(held, b"b\n")
    assert (path.read_bytes() if path.exists() else None) == (None if change == "gone" else b"somebody else's\n")
    assert len(os.listdir(tmp_path)) == (change != "gone")


def test_of_many_writers_one_wins_and_nothing_is_mixed(tmp_path: Path) -> None:
    path = tmp_path / "CLAUDE.md"
    path.write_bytes(b"start\n")
    held = files.read(path)
    ready, lost = threading.Barrier(8), list[int]()

    def write(n: int) -> None:
        ready.wait()
        try:
            files.replace(held, f"{n}\n".encode() * 50_000)
        except Conflict:
            lost.append(n)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = set(range(8)) - set(lost)
    assert path.read_bytes() == f"{winner}\n".encode() * 50_000
    assert os.listdir(tmp_path) == ["CLAUDE.md"]


KILLED = """
import os, signal, sys
from pathlib import Path
from carryover.coding.rollout import files
at, path = sys.argv[1], Path(sys.argv[2])
done = getattr(os, at)
def die(*given, **named):
    if sys.argv[3] == "after":
        done(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, at, die)
files.replace(files.read(path), b"new\\n" * 10_000)
"""


@pytest.mark.parametrize("at", ["fsync", "replace"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_leaves_one_or_the_other(tmp_path: Path, at: str, when: str) -> None:
    path = tmp_path / "CLAUDE.md"
    path.write_bytes(b"old\n")
    done = subprocess.run([sys.executable, "-c", KILLED, at, str(path), when], check=False, timeout=60)
    assert done.returncode == -9
    replaced = (at, when) == ("replace", "after")
    assert path.read_bytes() == (b"new\n" * 10_000 if replaced else b"old\n")
    # What it left beside is nobody's file of instructions, and does not hold up the next writer.
    assert all(name == "CLAUDE.md" or name.endswith(".carryover") for name in os.listdir(tmp_path))
    files.replace(files.read(path), b"next\n")
    assert path.read_bytes() == b"next\n"
