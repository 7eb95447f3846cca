"""What is installed is what was locked: by hashes, from no index in particular, within what pyproject asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from supply import locks

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = [locks.RUN, locks.DEV]
IMAGES = sorted((ROOT / "deploy").glob("*Dockerfile"))
INSTALLERS = [ROOT / "Makefile", *IMAGES, *sorted((ROOT / "deploy").glob("**/*.sh")), ROOT / ".ci" / "run"]


def asked(kind: str) -> list[Requirement]:
    """What pyproject asks for directly: everybody's and the extras' (`run`), or the development groups' (`dev`)."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    run = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    groups = PROJECT["dependency-groups"]
    dev = [one for group in groups.values() for one in group if isinstance(one, str)]
    return [Requirement(one) for one in (run if kind == "run" else run + dev)]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_release_is_locked_by_sha256(lock: Path) -> None:
    found = locks.read(lock)
    assert len(found) > 100
    assert len(found) == len(re.findall(r"^\S+==", lock.read_text("utf-8"), re.MULTILINE))
    assert [one.name for one in found if not one.hashes] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_lock_names_where_packages_come_from(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert re.findall(r"^\s*(?:-i|--index-url|--extra-index-url|--find-links|--trusted-host|-e|-r).*", text, re.M) == []
    assert re.findall(r"\w+://\S+| @ \S+", text) == []


@pytest.mark.parametrize("kind", ["run", "dev"])
def test_what_pyproject_asks_for_is_locked_within_its_range(kind: str) -> None:
    locked: dict[str, list[Version]] = {}
    for one in locks.read(locks.RUN if kind == "run" else locks.DEV):
        locked.setdefault(one.name, []).append(Version(one.version))
    wrong = {
        str(one): [str(version) for version in locked.get(locks.canonical(one.name), [])]
        for one in asked(kind)
        if not all(one.specifier.contains(version) for version in locked.get(locks.canonical(one.name), []))
        or locks.canonical(one.name) not in locked
    }
    assert wrong == {}


def test_what_runs_is_locked_alike_for_development() -> None:
    """So tests see the very releases that users get."""
    dev = {(one.name, one.version): set(one.hashes) for one in locks.read(locks.DEV)}
    run = locks.read(locks.RUN)
    assert {one.name for one in run if set(one.hashes) != dev.get((one.name, one.version))} == set()


def commands(*files: Path) -> list[str]:
    """Their lines, with what a backslash joins in one, and without comments."""
    joined = [re.sub(r"\\\n\s*", " ", file.read_text("utf-8")) for file in files]
    return [line for text in joined for line in text.splitlines() if not line.lstrip().startswith("#")]


def installations(*files: Path) -> list[str]:
    parts = [part for line in commands(*files) for part in re.split(r"&&|;", line)]
    return [part for part in parts if re.search(r"\bpip\b.*\b(?:install|wheel)\b", part)]


def test_every_installation_of_ours_asks_for_hashes() -> None:
    """The set-up and the images install by hashes, and nothing that was not locked."""
    asked = installations(*INSTALLERS)
    assert len(asked) >= 7
    for one in asked:
        assert "--no-deps" in one, one
        assert "--require-hashes" in one or "--no-index" in one, one


def test_no_image_asks_an_index_for_what_builds_a_package() -> None:
    """Whatever is built out of sources would bring that along, by no hash of ours."""
    for one in installations(*IMAGES):
        assert any(word in one for word in ("--only-binary :all:", "--no-build-isolation", "wheels/*.whl")), one


def test_nothing_comes_into_an_image_by_another_way() -> None:
    """No script of a page is run, nothing is fetched but by pip and Debian's signed packages."""
    strange = re.compile(
        r"\b(?:npm|npx|yarn|wget|git clone|uvx?|pipx|gem|go install)\b|\bcurl\b[^\n]*(?:https?:|\|)|^ADD\b"
    )
    found = [line for line in commands(*IMAGES) if strange.search(line)]
    assert found == []
    trusting = re.compile(
        r"unauthenticated|allow-insecure|trusted=yes| --(?:trusted-host|(?:extra-)?index-url|find-links)"
    )
    assert [line for line in commands(*INSTALLERS) if trusting.search(line)] == []


def test_images_of_others_can_be_named_by_digest() -> None:
    """In `.env`, which README.md of `deploy` tells how to fill; a tag without a version would be anything."""
    compose = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
    named = {*re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", compose)}
    for path in IMAGES:
        text = path.read_text("utf-8")
        begun = set(re.findall(r"^ARG (\w+_IMAGE)=(\S+)", text, re.MULTILINE))
        assert begun
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {f"${{{name}}}" for name, _ in begun}
        assert begun <= named, path
    ours = {"carryover", "carryover-postgres"}
    others = [image for image in re.findall(r"^\s+image: (\S+)", compose, re.MULTILINE) if image not in ours]
    assert others
    assert [image for image in others if not image.startswith("${")] == []
    assert [tag for _, tag in named if not re.fullmatch(r"[\w/]+:[a-z-]*\d[\w.-]*", tag)] == []
    example = (ROOT / "deploy" / "example.env").read_text("utf-8")
    assert set(re.findall(r"^# (\w+_IMAGE)=(\S+)@sha256:", example, re.MULTILINE)) == named


def test_what_images_install_is_cut_out_of_the_lock() -> None:
    for path, roots in locks.PARTS.items():
        assert path.read_text("utf-8") == locks.part(locks.DEV, roots), "run `python -m supply parts`"
        assert roots < {one.name for one in locks.read(path)}


def test_a_part_of_a_lock_holds_all_that_its_roots_need_and_no_more(tmp_path: Path) -> None:
    lock, hash = tmp_path / "x.lock", f"    --hash=sha256:{'0' * 64}\n"
    needs = {"a": "us", "b": "a", "c": "b", "d": "us"}
    lock.write_text("".join(f"{name}==1 \\\n{hash}    # via {by}\n" for name, by in needs.items()), "utf-8")
    lock.write_text(
        lock.read_text("utf-8") + f"e==1 ; sys_platform == 'win32' \\\n{hash}    # via\n    #   c\n    #   d\n"
    )
    assert re.findall(r"^(\w)==", locks.part(lock, {"a"}), re.MULTILINE) == ["a", "b", "c", "e"]


def test_a_line_without_a_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    lock.write_text("six==1.17.0\n    # via somebody\n", "utf-8")
    with pytest.raises(ValueError, match="is no release locked by sha256"):
        locks.read(lock)
    lock.write_text("six==1.17.0 \\\n    --hash=md5:00\n", "utf-8")
    with pytest.raises(ValueError, match="is no release locked by sha256"):
        locks.read(lock)
