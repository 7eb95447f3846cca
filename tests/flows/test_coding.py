"""Real logs of coding agents, from the command to digests, patterns and pages; killed, repeated, in any order."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import told_usage
from carryover.coding.logs import sweep
from carryover.core.step import Flavor
from carryover.opening import open_store
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import spends
from carryover.store.store import Store
from commands import ENTRY
from sweeping import HERE, archived, files_in, known, read_in, whatever_the_order

KEYS = {
    "discovered", "ingested", "skipped_unchanged", "analyzed", "freed", "final_usage", "evictions", "data_loss",
    "flavors", "unrecognised", "failed", "alarms",
}  # fmt: skip
FILES: dict[Flavor, int] = {
    "claude-code": 66, "codex": 33, "copilot-cli": 4, "cursor": 8, "gemini-cli": 14, "grok": 43, "jsonl": 3,
    "opencode": 27,
}  # fmt: skip
QUICK = "claude/growth_chain_cc432c40", "claude/adversarial", "codex/ccusage", "gemini", "grok/agentsview", "opencode"


def verb(home: Path, *args: str, code: int = 0) -> str:
    """What the command prints as it is installed, in that home."""
    done = subprocess.run(
        [ENTRY, *args], env=alone(home), capture_output=True, text=True, timeout=240, check=False, cwd=home.parent
    )
    assert done.returncode == code, f"carryover {' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def alone(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
    return {**kept, "CARRYOVER_HOME": str(home), "CARRYOVER_EMBEDDER": "none"}


def told(home: Path, *args: str) -> Any:
    return json.loads(verb(home, *args, "--json"))


def opened(home: Path) -> Store:
    return open_store(Settings(home=home))


@pytest.fixture(scope="module")
def corpus(shared: Path) -> Path:
    return shared / "corpus"


@pytest.fixture(scope="module")
def first(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A home into which everything was ingested once, and what that printed."""
    home = tmp_path_factory.mktemp("ingested") / "home"
    return home, told(home, "ingest", str(corpus))


def test_everything_is_ingested_once(corpus: Path, first: tuple[Path, Any]) -> None:
    home, said = first
    assert set(said) == KEYS
    assert {flavor: counts["discovered"] for flavor, counts in said["flavors"].items()} == FILES
    assert said["discovered"] == said["ingested"] == sum(FILES.values())
    assert said["skipped_unchanged"] == said["freed"] == 0
    assert (said["failed"], said["data_loss"]) == ([], [])
    assert said["discovered"] + len(said["unrecognised"]) == sum(stamp.size > 0 for _, stamp in files_in(corpus))
    for counts in said["flavors"].values():
        assert set(counts) == {"discovered", "ingested", "sessions", "steps", "bytes", "malformed"}
        assert counts["sessions"] > 0
        assert counts["steps"] >= counts["sessions"]
    with opened(home) as store:
        sessions = known(store)
    assert said["analyzed"] == len(sessions) == sum(counts["sessions"] for counts in said["flavors"].values())
    assert sum(len(one["steps"]) for one in sessions.values()) == sum(
        counts["steps"] for counts in said["flavors"].values()
    )
    assert all(one["digest"] is not None for one in sessions.values())


def test_again_nothing_is_new(corpus: Path, first: tuple[Path, Any]) -> None:
    home, before = first
    with opened(home) as store:
        kept = known(store)
    said = told(home, "ingest", str(corpus))
    assert said["skipped_unchanged"] == said["discovered"] == before["discovered"]
    assert said["ingested"] == said["analyzed"] == said["freed"] == 0
    assert said["final_usage"] == before["final_usage"]
    with opened(home) as store:
        assert known(store) == kept


def test_a_dry_run_writes_nothing(corpus: Path, tmp_path: Path) -> None:
    said = told(tmp_path / "home", "ingest", str(corpus), "--dry-run")
    assert said["ingested"] == sum(FILES.values())
    assert said["analyzed"] == said["final_usage"] == 0
    with opened(tmp_path / "home") as store:
        assert known(store) == {}
        assert archived(store) == {}


def test_logs_may_come_in_any_order(corpus: Path, tmp_path: Path) -> None:
    """Also one at a time, each with digests made before the next is read."""
    files = sorted(files_in(corpus))
    with Store.open(f"sqlite:///{tmp_path}/sorted.db") as store:
        read_in(store, files)
        expected, bytes_kept = whatever_the_order(known(store)), archived(store)
    shuffled = random.Random(7).sample(files, len(files))
    for order, step in ((files[::-1], len(files)), (shuffled, 1)):
        with Store.open(f"sqlite:///{tmp_path}/{step}.db") as store:
            for n in range(0, len(order), step):
                read_in(store, order[n : n + step])
            found = whatever_the_order(known(store))
            assert found.keys() == expected.keys()
            assert {session for session in found if found[session] != expected[session]} == set()
            assert archived(store) == bytes_kept


def test_one_sweep_makes_the_same_bytes_on_each_engine(corpus: Path, store: Store, tmp_path: Path) -> None:
    files = files_in(*(corpus / folder for folder in QUICK))
    read_in(store, files)
    with Store.open(f"sqlite:///{tmp_path}/other.db") as other:
        read_in(other, files)
        assert known(store) == known(other)
        assert archived(store) == archived(other)


def test_a_log_that_grows_is_read_as_if_at_once(corpus: Path, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "cc432c40.jsonl"
    path.touch()
    for n in range(5):
        content = (corpus / f"claude/growth_chain_cc432c40/step{n}/cc432c40.jsonl").read_bytes()
        assert content.startswith(path.read_bytes())
        with path.open("ab") as file:
            file.write(content[path.stat().st_size :])
        done = read_in(store, files_in(path))
        assert (done.ingested, done.failed) == (1, [])
    with Store.open(f"sqlite:///{tmp_path}/other.db") as other:
        read_in(other, files_in(path))
        assert known(store) == known(other)
        assert archived(store) == archived(other)
    assert archived(store)[str(path)][0] == path.read_bytes()


@pytest.mark.parametrize("flavor", ["claude", "codex", "grok", "gemini"])
def test_each_call_of_a_model_is_counted_once(corpus: Path, tmp_path: Path, flavor: str) -> None:
    with Store.open(f"sqlite:///{tmp_path}/carryover.db") as store:
        sweep.sweep(store, HERE, files_in(corpus / flavor), sweep.Options(archived=False))
        with store.read(HERE) as tx:
            weeks = [(one.input, one.cache_read, one.cache_write, one.output) for one in spends.by_week(tx)]
    assert told_usage.summed(weeks) == getattr(told_usage, flavor)(corpus / flavor)


def test_what_traps_tell_is_known(corpus: Path, tmp_path: Path) -> None:
    """The truths that stand beside the logs that were made to deceive."""
    truths = {"claude/adversarial/streamed_usage_dupes.jsonl": 631, "codex/adversarial/token_count_repeats.jsonl": 10}
    for n, (name, output) in enumerate(truths.items()):
        with Store.open(f"sqlite:///{tmp_path}/{n}.db") as store:
            read_in(store, files_in(corpus / name))
            with store.read(HERE) as tx:
                assert sum(one.output for one in spends.by_week(tx)) == output
    with Store.open(f"sqlite:///{tmp_path}/metadata.db") as store:
        read_in(store, files_in(corpus / "claude/adversarial/only_metadata.jsonl"))
        assert known(store) == {}


def test_killed_at_any_moment_it_goes_on_where_it_was(corpus: Path, first: tuple[Path, Any], tmp_path: Path) -> None:
    home, draw = tmp_path / "home", random.Random(11)
    for _ in range(3):
        process = subprocess.Popen(
            [ENTRY, "ingest", str(corpus)], env=alone(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=draw.uniform(0.5, 3))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    told(home, "ingest", str(corpus))
    with opened(home) as store, opened(first[0]) as whole:
        found, expected = known(store), known(whole)
        assert found.keys() == expected.keys()
        assert {session for session in found if found[session] != expected[session]} == set()
        assert archived(store) == archived(whole)
    verb(home, "db", "check")


def test_logs_come_back_byte_for_byte(corpus: Path, first: tuple[Path, Any], tmp_path: Path) -> None:
    for path in (
        corpus / "claude/entire/9e2434f3-c800-4ed9-b78e-e494ef59bd78.jsonl",
        corpus / "claude/entire/53ea19c1-6d29-4ebf-952b-ddbb27af25bb.jsonl",
        corpus / "claude/entire/130d7b7e-5801-4345-9bd6-f32fd9b8429b.jsonl",
    ):
        verb(first[0], "export", "--raw", path.stem, "-o", str(tmp_path / "log"))
        assert (tmp_path / "log").read_bytes() == path.read_bytes()
    [codex] = corpus.glob("codex/derived/sessions/2026/02/12/*.jsonl")
    verb(first[0], "export", "--raw", codex.stem[-36:], "-o", str(tmp_path / "log"))
    assert (tmp_path / "log").read_bytes() == codex.read_bytes()
    [grok] = {path.parent for path in corpus.glob("grok/derived/sessions/*/76a7a226*/*.jsonl")}
    verb(first[0], "export", "--raw", grok.name, "-o", str(tmp_path / "logs"))
    logs = {path.name: path.read_bytes() for path in (tmp_path / "logs").rglob("*") if path.is_file()}
    assert logs == {path.name: path.read_bytes() for path in grok.iterdir() if path.is_file()}


def test_digests_and_prompts_are_found(first: tuple[Path, Any]) -> None:
    with opened(first[0]) as store:
        sessions = known(store)
    digest = json.loads(sessions["claude-code/9ff9c26d-319d-4a47-843a-3d60f73295c9"]["digest"])
    hits = told(first[0], "search", digest["goal"], "-k", "20")["results"]
    assert {"digest", "turn"} <= {hit["kind"] for hit in hits}
    assert any(hit["session_id"] == digest["session_id"] and hit["kind"] == "digest" for hit in hits)
    only = told(first[0], "search", digest["goal"], "--kind", "digest")["results"]
    assert only
    assert {hit["kind"] for hit in only} == {"digest"}


def test_a_new_session_hears_of_earlier_ones_in_its_repository(first: tuple[Path, Any]) -> None:
    with opened(first[0]) as store:
        digests = [json.loads(one["digest"]) for one in known(store).values()]
    here = [one for one in digests if one["repo"] == "/Users/dev02/workspace/cli" and one["ended_at"]]
    newest = max(here, key=lambda one: one["ended_at"])
    with Carryover.open(Settings.model_validate({"home": first[0], "embedder": "none"}), work=False) as memory:
        asked = {"agent": "claude-code", "max_tokens": 800}
        said = (newest["title"] or newest["goal"])[:30]
        assert said in memory.get_context("a-new-one", repo=newest["repo"], **asked)
        assert said not in memory.get_context("a-new-one", repo="github.com/nobody/nothing", **asked)


def test_what_recurs_is_detected_decided_told_withdrawn_and_measured(first: tuple[Path, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(first[0], home)
    found = told(home, "detect")["patterns"]
    assert len(found) >= 5
    assert any(one["cross_flavor"] for one in found)
    listed = told(home, "patterns", "list")["patterns"]
    assert {one["id"] for one in listed} == {one["id"] for one in found}
    keep, drop, change = (one["id"] for one in found[:3])
    shown = told(home, "patterns", "show", keep)
    assert len(shown["evidence"]) >= 2
    assert "seen in" in verb(home, "patterns", "show", keep)
    assert told(home, "patterns", "approve", keep, "--by", "mara", "--reason", "true")["state"] == "approved"
    assert told(home, "patterns", "reject", drop)["state"] == "rejected"
    edited = told(home, "patterns", "edit", change, "--lesson", "Look before you leap.")
    assert (edited["lesson"], edited["version"]) == ("Look before you leap.", 2)
    told(home, "detect")
    states = {one["id"]: one["state"] for one in told(home, "patterns", "list")["patterns"]}
    assert (states[keep], states[drop], states[change]) == ("approved", "rejected", "candidate")
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "CLAUDE.md").write_text("# Ours\n\nKeep this.\n", "utf-8")
    before = {path.name: path.read_bytes() for path in repo.iterdir()}
    verb(home, "patterns", "distribute", keep, "--repo", str(repo), "--all-flavors", "--yes")
    lesson = shown["lesson"]
    assert lesson[:40] in (repo / "CLAUDE.md").read_text("utf-8")
    assert "Keep this." in (repo / "CLAUDE.md").read_text("utf-8")
    written = {path.name: path.read_bytes() for path in repo.iterdir()}
    verb(home, "patterns", "distribute", keep, "--repo", str(repo), "--all-flavors", "--yes")
    assert {path.name: path.read_bytes() for path in repo.iterdir()} == written
    [effect] = told(home, "patterns", "measure", keep)["effects"]
    assert (effect["pattern"], effect["verdict"]) == (keep, "underpowered")
    assert effect["missing"] > 0
    verb(home, "report", "-o", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "underpowered" in page
    verb(home, "patterns", "withdraw", keep, "--yes")
    assert {path.name: path.read_bytes() for path in repo.iterdir()} == before
