"""A sweep reads what is new, once, whatever happened in between; and the same logs make the same store."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.adapters import claude
from carryover.coding.logs import archive, discover
from carryover.coding.logs.sweep import Options, Swept, sweep
from carryover.core.scope import Scope
from carryover.store import cursors, erasure, marks, origins, queue, sessions, spends, steps
from carryover.store.store import Store
from coding import claude_logs as logs

T = Scope("t")
AGENT = "claude-code"


def swept(store: Store, *paths: Path, **options: Any) -> Swept:
    return sweep(store, T, list(discover.files_in(discover.given_places(list(paths)))), Options(**options))


def dump(store: Store, *, paths: bool = False) -> dict[str, Any]:
    """All that a store knows of its sessions, without what says when or from where it was learned."""
    found: dict[str, Any] = {}
    with store.read(T) as tx:
        for head in sessions.listed(tx, None, limit=1000):
            key = f"{head.agent}/{head.session}"
            found[key] = {
                "steps": [step for _, step in steps.of_session(tx, head.agent, head.session)],
                "spends": spends.of_session(tx, head.agent, head.session),
                "replayed": marks.replayed(tx, head.agent, head.session),
                "source": origins.source_hash(tx, head.agent, head.session),
                "metadata": head.metadata,
            }
        if paths:
            found["restored"] = {path: b"".join(archive.restore(tx, path)) for path in cursors.stamps(tx)}
    return found


def test_everything_is_logged_once_and_archived_byte_for_byte(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "p" / "s1.jsonl", [*logs.session(), '{"type":"mode","sessionId":"s1"}\n', "\n"])
    done = swept(store, tmp_path)
    assert (done.discovered, done.ingested, done.skipped, done.failed) == (1, 1, 0, [])
    assert done.flavors[AGENT].steps == 24
    with store.read(T) as tx:
        assert b"".join(archive.restore(tx, str(path))) == path.read_bytes()
        found = [step for _, step in steps.of_session(tx, AGENT, "s1")]
        assert [step.kind for step in found[:5]] == ["prompt", "text", "call", "result", "call"]
        assert (found[3].status, found[3].exit_code) == ("error", 1)
        assert sum(spend.output for spend in spends.of_session(tx, AGENT, "s1")) == 150
    again = swept(store, tmp_path)
    assert (again.discovered, again.ingested, again.skipped) == (1, 0, 1)


def test_a_growing_log_makes_the_same_store_step_by_step_and_at_once(store: Store, tmp_path: Path) -> None:
    whole = "".join(logs.session(rounds=4)).encode()
    path, cuts = tmp_path / "s1.jsonl", sorted(random.Random(7).sample(range(1, len(whole)), 9))
    for end in [*cuts, len(whole)]:
        with path.open("ab") as file:
            file.write(whole[path.stat().st_size if path.exists() else 0 : end])
        swept(store, path)
    with Store.open(f"sqlite:///{tmp_path}/other.db") as other:
        swept(other, path)
        assert dump(store, paths=True) == dump(other, paths=True)


def test_the_order_of_logs_does_not_matter(tmp_path: Path) -> None:
    """A session, its fork (which copies it), and a resume that begins with a copy and goes on."""
    one = logs.session("s1")
    fork = [line.replace('"s1"', '"s2"') for line in one[:10]] + [logs.prompt(90, "only in the fork", session="s2")]
    resume = [*one[:8], logs.prompt(95, "and one thing more")]
    paths = [logs.write(tmp_path / f"{n}.jsonl", lines) for n, lines in enumerate((one, fork, resume))]
    dumps: list[dict[str, Any]] = []
    for n, order in enumerate(itertools.permutations(paths)):
        with Store.open(f"sqlite:///{tmp_path}/{n}.db") as store:
            for path in order:
                swept(store, path)
            found = dump(store)
            for session in found.values():  # numbers of turns follow the order in which logs were read
                copies = session.pop("replayed")
                session["copies"] = sorted(session["steps"][seq - 1].uid for seq in copies)
                session["steps"] = sorted((step.uid, step.text) for step in session["steps"])
            dumps.append(found)
    assert all(found == dumps[0] for found in dumps)
    assert len(dumps[0][f"{AGENT}/s2"]["copies"]) == 10
    assert dumps[0][f"{AGENT}/s2"]["spends"] == []
    assert [text for _, text in dumps[0][f"{AGENT}/s1"]["steps"]].count("and one thing more") == 1


def test_a_session_that_turns_out_to_be_the_older_one_makes_the_digests_of_its_copies_due(
    store: Store, tmp_path: Path
) -> None:
    lines = logs.session("s2", rounds=1)
    fork = [line.replace('"s2"', '"s1"') for line in lines]
    for name, said in (("fork", fork), ("original", lines)):
        swept(store, logs.write(tmp_path / f"{name}.jsonl", said))
    assert len(dump(store)[f"{AGENT}/s2"]["replayed"]) == 8
    with store.write(T) as tx:
        while queue.claim_batch(tx, ["digest"], lease_ms=60_000, most=99):
            pass
        for session in ("s1", "s2"):
            queue.cancel(tx, f"{AGENT}/{session}")
    early = logs.prompt(0, "what came before", session="s2", base="e").replace("02:40:00", "02:10:00")
    swept(store, logs.write(tmp_path / "earlier.jsonl", [early]))
    assert dump(store)[f"{AGENT}/s2"]["replayed"] == set()
    with store.write(T) as tx:
        due = {job.subject for job in queue.claim_batch(tx, ["digest"], lease_ms=60_000, most=99)}
    assert due == {f"{AGENT}/s1", f"{AGENT}/s2"}


def test_a_torn_last_line_waits_and_is_restored_all_the_same(store: Store, tmp_path: Path) -> None:
    lines = logs.session(rounds=1)
    path = logs.write(tmp_path / "s1.jsonl", [*lines[:3], lines[3][:40]])
    swept(store, path)
    assert len(dump(store)[f"{AGENT}/s1"]["steps"]) == 3
    with store.read(T) as tx:
        assert b"".join(archive.restore(tx, str(path))) == path.read_bytes()
    assert swept(store, path).skipped == 1
    logs.write(path, lines)
    swept(store, path)
    assert len(dump(store)[f"{AGENT}/s1"]["steps"]) == 8
    with store.read(T) as tx:
        assert b"".join(archive.restore(tx, str(path))) == path.read_bytes()


def test_a_log_that_was_rewritten_is_read_anew_and_loses_nothing(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "s1.jsonl", logs.session())
    swept(store, path)
    before = path.read_bytes()
    logs.write(path, [logs.prompt(50, "begun anew"), *logs.session()[:4]])
    swept(store, path)
    found = dump(store)[f"{AGENT}/s1"]["steps"]
    assert len(found) == 25
    assert found[-1].text == "begun anew"
    with store.read(T) as tx:
        assert b"".join(archive.restore(tx, str(path), 0)) == before
        assert b"".join(archive.restore(tx, str(path))) == path.read_bytes()


def test_a_log_that_was_only_touched_is_not_ingested_again(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "s1.jsonl", logs.session())
    swept(store, path)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)  # another file of the same bytes
    done = swept(store, path)
    assert (done.ingested, done.skipped) == (0, 1)
    assert swept(store, path).skipped == 1


def test_what_cannot_be_read_is_told_and_stops_nothing(store: Store, tmp_path: Path) -> None:
    logs.write(tmp_path / "logs" / "a.jsonl", ["no log at all\n", "nothing\n"])
    (tmp_path / "logs" / "b.jsonl.zst").write_bytes(b"not packed by anybody")
    (tmp_path / "logs" / "c.jsonl").write_bytes(b"")
    logs.write(tmp_path / "logs" / "s1.jsonl", logs.session())
    done = swept(store, tmp_path / "logs")
    assert done.ingested == 1
    assert [Path(path).name for path in done.unrecognised] == ["a.jsonl"]
    assert [Path(path).name for path, _ in done.failed] == ["b.jsonl.zst"]


def test_nothing_is_written_on_a_dry_run(store: Store, tmp_path: Path) -> None:
    logs.write(tmp_path / "s1.jsonl", logs.session())
    done = swept(store, tmp_path, dry_run=True)
    assert (done.discovered, done.ingested) == (1, 1)
    assert dump(store) == {}
    assert swept(store, tmp_path).ingested == 1


def test_new_types_of_records_raise_one_alarm(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "s1.jsonl", [*logs.session(), logs.record(80, "hologram", None)])
    assert [(one.type, one.version, one.records) for one in swept(store, path).drift] == [("hologram", "2.1.42", 1)]
    logs.write(path, [*logs.session(), logs.record(80, "hologram", None), logs.record(81, "hologram", None)])
    assert swept(store, path).drift == []
    with store.read(T) as tx:
        assert [one.records for one in cursors.types(tx, unknown=True)][-1] >= 2


def test_what_was_erased_is_not_read_again(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "s1.jsonl", logs.session())
    swept(store, path)
    with store.write(T) as tx:
        erasure.erase(tx, AGENT, "s1")
    with path.open("a") as file:
        file.write(logs.prompt(70, "and on"))
    swept(store, path)
    assert dump(store) == {}


def test_sweeps_at_the_same_time_log_everything_once(store: Store, tmp_path: Path) -> None:
    for n in range(12):
        logs.write(tmp_path / f"{n}.jsonl", logs.session(f"s{n}", base=f"{n}-"))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                swept(store, tmp_path)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = dump(store)
    assert len(found) == 12
    assert all(len(session["steps"]) == 24 for session in found.values())
    assert swept(store, tmp_path).skipped == 12


def test_killed_anywhere_the_next_sweep_goes_on(tmp_path: Path) -> None:
    for n in range(40):
        logs.write(tmp_path / "logs" / f"{n}.jsonl", logs.session(f"s{n}", rounds=60, base=f"{n}-"))
    url = f"sqlite:///{tmp_path}/killed.db"
    Store.open(url).close()
    program = (
        "import sys; from pathlib import Path; from carryover.coding import discover, sweep\n"
        "from carryover.core.scope import Scope; from carryover.store.store import Store\n"
        "sweep._COMMIT_BYTES = 100_000\n"
        "with Store.open(sys.argv[1]) as store:\n"
        "    print('on', flush=True)\n"
        "    files = list(discover.files_in(discover.given_places([Path(sys.argv[2])])))\n"
        "    sweep.sweep(store, Scope('t'), files)\n"
        "    print('done', flush=True)\n"
    )
    for delay in (0.05, 0.15, 0.3, 0.6):
        child = subprocess.Popen([sys.executable, "-c", program, url, str(tmp_path / "logs")], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(delay)  # anywhere in it: what has to hold, holds at any moment
        child.kill()
        child.wait()
        child.stdout.close()
    with Store.open(url) as store, Store.open(f"sqlite:///{tmp_path}/whole.db") as whole:
        for one in (store, whole):
            swept(one, tmp_path / "logs")
        assert dump(store, paths=True) == dump(whole, paths=True)


def test_secrets_stay_in_the_archive(store: Store, tmp_path: Path) -> None:
    key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
    said = logs.call("c1", f"curl -H 'Authorization: Bearer {key}' x")
    path = logs.write(tmp_path / "s1.jsonl", [logs.prompt(0, f"use {key} for it"), logs.answer(1, said)])
    swept(store, path)
    assert key not in str(dump(store))
    with store.read(T) as tx:
        assert key.encode() in b"".join(archive.restore(tx, str(path)))


def test_an_appended_record_is_read_without_those_before_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = logs.write(tmp_path / "s1.jsonl", logs.session(rounds=30))
    swept(store, path)
    seen: list[bytes] = []
    really = claude.read
    monkeypatch.setattr(claude, "read", lambda reading, line: (seen.append(line), really(reading, line))[1])
    with path.open("a") as file:
        file.write(logs.prompt(900, "one more"))
    swept(store, path)
    assert len(seen) == 1
