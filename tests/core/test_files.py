"""A file is replaced at once or not at all, whatever somebody else puts in the way."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from carryover.core import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.replace(path, b"old")
    with files.replacing(path) as file:
        file.write(b"ne")
        assert path.read_bytes() == b"old"
        file.write(b"w")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_what_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.replace(path, b"old")
    with pytest.raises(TypeError), files.replacing(path) as file:
        file.writelines([b"half of the n", "ew"])  # pyright: ignore[reportArgumentType]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_rights_stay_or_are_as_asked(tmp_path: Path) -> None:
    path, usual = tmp_path / "a", tmp_path / "usual"
    usual.write_bytes(b"")
    files.replace(path, b"")
    assert mode(path) == mode(usual)
    path.chmod(0o640)
    files.replace(path, b"")
    assert mode(path) == 0o640
    files.replace(path, b"", files.PRIVATE)
    assert mode(path) == 0o600


def test_a_private_file_is_private_while_it_is_written(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "a", files.PRIVATE):
        (beside,) = tmp_path.iterdir()
        assert mode(beside) == 0o600


def test_a_link_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    """Who may write to the folder cannot have us overwrite what lies elsewhere."""
    other, path = tmp_path / "elsewhere", tmp_path / "a"
    other.write_bytes(b"precious")
    other.chmod(0o600)
    path.symlink_to(other)
    files.replace(path, b"new")
    assert not path.is_symlink()
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"precious")
    assert mode(path) == mode_of_new(tmp_path)


def mode_of_new(folder: Path) -> int:
    (folder / "usual").write_bytes(b"")
    return mode(folder / "usual")


def test_what_is_written_lies_under_a_name_that_cannot_be_foreseen(tmp_path: Path) -> None:
    """So nobody can lay a link there beforehand."""
    seen: set[str] = set()
    for _ in range(50):
        with files.replacing(tmp_path / "a"):
            seen |= {one.name for one in tmp_path.iterdir()} - {"a"}
    assert len(seen) == 50
    assert {len(name) for name in seen} == {len(".a..carryover") + 32}


def test_a_link_under_that_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "elsewhere"
    other.write_bytes(b"precious")

    class Foreseen:
        hex = "0" * 32

    monkeypatch.setattr(files, "uuid4", Foreseen)
    (tmp_path / f".a.{Foreseen.hex}.carryover").symlink_to(other)
    with pytest.raises(FileExistsError):
        files.replace(tmp_path / "a", b"new")
    assert other.read_bytes() == b"precious"


def test_a_folder_that_is_exchanged_meanwhile_leads_nowhere_else(tmp_path: Path) -> None:
    """The file goes where its folder was when the writing began."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    theirs.mkdir()
    with files.replacing(mine / "a") as file:
        file.write(b"new")
        mine.rename(tmp_path / "moved")
        mine.symlink_to(theirs)
    assert os.listdir(theirs) == []
    assert (tmp_path / "moved" / "a").read_bytes() == b"new"


def test_devices_pipes_and_folders_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="it is no plain file"):
            files.replace(tmp_path / name, b"new")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"


def test_what_is_removed_is_gone_and_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    files.replace(tmp_path / "a", b"")
    files.remove(tmp_path / "a")
    files.remove(tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_folders_that_are_made_are_private_all_the_way(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "home" / "models" / "one")
    assert [mode(tmp_path / name) for name in ("home", "home/models", "home/models/one")] == [0o700] * 3
    (tmp_path / "mine").mkdir(mode=0o750)
    files.make_folder(tmp_path / "mine" / "new")
    files.make_folder(tmp_path / "mine" / "new")
    assert (mode(tmp_path / "mine"), mode(tmp_path / "mine" / "new")) == (0o750, 0o700)
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "file/below"):
        with pytest.raises(OSError, match="Not a directory"):
            files.make_folder(tmp_path / name)


ORDER = """
import os, sys
from pathlib import Path
from carryover.core import files
def told(name):
    done = getattr(os, name)
    def tell(*given, **named):
        kind = ""
        if name == "fsync":
            import stat
            kind = " folder" if stat.S_ISDIR(os.fstat(given[0]).st_mode) else " file"
        print(name + kind)
        return done(*given, **named)
    setattr(os, name, tell)
for name in ("fsync", "replace"):
    told(name)
files.replace(Path(sys.argv[1]), b"new")
"""


def test_it_is_on_the_disk_before_it_has_its_name_and_its_name_is_on_the_disk_in_the_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORDER, str(tmp_path / "a")], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ["fsync file", "replace", "fsync folder"]
