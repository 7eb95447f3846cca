"""What may happen to logs while they are read: nothing is lost, nothing is doubled, nothing stops the sweep."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.adapters import claude
from carryover.coding.adapters.base import Reading
from carryover.coding.logs import archive, discover, sweep
from carryover.core.errors import StoreUnavailable
from carryover.core.scope import Scope
from carryover.core.step import About, Spend, Step, uid
from carryover.store import check, cursors, erasure, marks, move, origins, queue, sessions, spends, steps
from carryover.store.store import Store
from coding import claude_logs as logs

T = Scope("t")
AGENT = "claude-code"
SWEEP = """
import sys; from pathlib import Path
from carryover.coding.logs import discover, sweep
from carryover.core.scope import Scope
from carryover.store.store import Store
with Store.open(sys.argv[1]) as store:
    print("on", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[3])):
        done = sweep.sweep(store, Scope("t"), list(discover.files_in(discover.given_places([Path(sys.argv[2])]))))
        assert done.failed == [], done.failed
"""


def swept(store: Store, *paths: Path, **options: Any) -> sweep.Swept:
    files = list(discover.files_in(discover.given_places(list(paths))))
    return sweep.sweep(store, T, files, sweep.Options(**options))


def texts(store: Store, session: str = "s1") -> list[str]:
    with store.read(T) as tx:
        return [step.text for _, step in steps.of_session(tx, AGENT, session)]


def restored(store: Store, path: Path | str) -> bytes:
    with store.read(T) as tx:
        return b"".join(archive.restore(tx, str(path)))


def counted(store: Store) -> int:
    with store.read(T) as tx:
        return sum(one.records for one in cursors.types(tx))


def during(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Once, just before the sweep does this, something happens to the log."""
    really, waiting = getattr(sweep, name), [act]

    def then(*args: Any, **more: Any) -> Any:
        if waiting:
            waiting.pop()()
        return really(*args, **more)

    monkeypatch.setattr(sweep, name, then)


@pytest.mark.parametrize("moment", ["beginning", "opened", "read", "_end"])
@pytest.mark.parametrize("what", ["replaced", "rewritten", "appended", "truncated", "deleted", "folder", "moved"])
def test_whatever_happens_to_a_log_between_two_looks_at_it_the_next_sweep_has_it_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, what: str
) -> None:
    path = tmp_path / "logs" / "s1.jsonl"
    old, new = logs.session(rounds=2), [logs.prompt(50 + n, f"begun anew {n}") for n in range(40)]

    def anew(file: Path) -> None:
        logs.write(file, new)

    def act() -> None:
        if what == "replaced":
            anew(path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
        elif what == "rewritten":
            anew(path)
        elif what == "appended":
            with path.open("a") as file:
                file.write("".join(new))
        elif what == "truncated":
            os.truncate(path, len("".join(old[:3])))
        elif what == "moved":
            path.rename(path.with_name("elsewhere.jsonl"))
        else:
            path.unlink()
            if what == "folder":
                path.mkdir()

    for known in (False, True):
        with Store.open(f"sqlite:///{tmp_path}/x{known}.db") as store:
            shutil.rmtree(tmp_path / "logs", ignore_errors=True)
            logs.write(path, old)
            if known:
                swept(store, tmp_path / "logs")
                with path.open("a") as file:
                    file.write(logs.prompt(49, "and on"))
            with monkeypatch.context() as patched:
                during(patched, moment, act)
                swept(store, tmp_path / "logs")
            swept(store, tmp_path / "logs")
            for left in (tmp_path / "logs").glob("*.jsonl"):
                if left.is_file():
                    assert restored(store, left) == left.read_bytes()
                    said = set(texts(store))
                    with Store.open(f"sqlite:///{tmp_path}/{known}.db") as other:
                        swept(other, left)
                        assert said >= set(texts(other))
                        assert what != "appended" or texts(store) == texts(other)


def test_a_log_that_grows_all_the_time_is_read_once_and_to_its_end(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "s1.jsonl", [logs.prompt(0, "begin")])
    program = (
        "import sys\nfrom coding import claude_logs as logs\n"
        "with open(sys.argv[1], 'a', buffering=1) as file:\n"
        "    for n in range(1, 3000):\n"
        "        line = logs.prompt(n % 1000, f'message {n}', base=f'{n}-')\n"
        "        file.write(line[:70]); file.flush(); file.write(line[70:])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", program, path], env=env) as writer:
        while writer.poll() is None:
            assert swept(store, path).failed == []
            whole = restored(store, path)
            assert path.read_bytes().startswith(whole)
        assert writer.returncode == 0
    swept(store, path)
    assert texts(store) == ["begin", *(f"message {n}" for n in range(1, 3000))]
    assert restored(store, path) == path.read_bytes()
    with store.read(T) as tx:
        assert cursors.get(tx, str(path)).generation == 0  # pyright: ignore[reportOptionalMemberAccess]
    assert counted(store) == 3000


def test_a_sweep_that_ends_inside_a_large_log_is_gone_on_with(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "BATCH", 3_000)
    monkeypatch.setattr(sweep, "_COMMIT_BYTES", 1)
    path = logs.write(tmp_path / "s1.jsonl", logs.session(rounds=6))
    with monkeypatch.context() as patched:
        calls = iter(range(3))

        def stops(*args: Any, **more: Any) -> Any:
            if next(calls) == 2:
                raise KeyboardInterrupt
            return really(*args, **more)

        really = sweep.read
        patched.setattr(sweep, "read", stops)
        with pytest.raises(KeyboardInterrupt):
            swept(store, path)
    assert 0 < len(texts(store)) < 48
    swept(store, path)
    assert len(texts(store)) == 48
    assert restored(store, path) == path.read_bytes()
    assert counted(store) == 48


def test_a_large_log_that_was_only_touched_is_not_read_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "BATCH", 3_000)
    path = logs.write(tmp_path / "s1.jsonl", logs.session(rounds=6))
    swept(store, path)
    plain = path.read_bytes()
    path.unlink()
    path.write_bytes(plain)
    monkeypatch.setattr(sweep, "read", lambda *_a, **_k: pytest.fail("read again"))
    assert swept(store, path).skipped == 1


def test_a_copy_that_went_on_in_another_file_of_the_same_name_is_read_on(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "s1.jsonl", logs.session())
    swept(store, path)
    logs.write(tmp_path / "new", [*logs.session(), logs.prompt(90, "more")]).replace(path)
    swept(store, path)
    with store.read(T) as tx:
        assert cursors.get(tx, str(path)).generation == 0  # pyright: ignore[reportOptionalMemberAccess]
    assert counted(store) == 25
    assert texts(store)[-1] == "more"


def test_a_change_in_the_middle_that_keeps_the_size_is_seen_by_its_time(store: Store, tmp_path: Path) -> None:
    """What moves neither the size nor the time nor the file cannot be seen, and waits for the next change."""
    path = logs.write(tmp_path / "s1.jsonl", logs.session(rounds=20))
    swept(store, path)
    before = path.stat()
    plain = path.read_bytes().replace(b"part 10 pass", b"part X0 pass")
    with path.open("r+b") as file:
        file.write(plain)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert swept(store, path).skipped == 1
    assert "make the tests of part X0 pass" not in texts(store)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    swept(store, path)
    assert restored(store, path) == plain


def test_a_log_has_one_cursor_whatever_way_leads_to_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = logs.write(tmp_path / "real" / "s1.jsonl", logs.session())
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "other.jsonl").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    for way in ("real", "link", "link/s1.jsonl", "link/../real", "logs", "./real/s1.jsonl"):
        done = swept(store, Path(way))
        assert (done.discovered, done.ingested) == (1, way == "real")
    with store.read(T) as tx:
        assert list(cursors.stamps(tx)) == [str(path)]


def test_any_name_of_a_file_will_do(store: Store, tmp_path: Path) -> None:
    folder = deep = tmp_path / "logs"
    for n in range(12):
        deep = deep / (f"{n}" + "\N{SNOWMAN}" * 80)
    names = [
        os.fsencode(folder) + b"/\xff\xfe.jsonl",
        os.fsencode(folder) + b"/two\nlines.jsonl",
        os.fsencode(folder) + "/\N{PILE OF POO}.jsonl".encode(),
        os.fsencode(deep) + b"/deep.jsonl",
    ]
    deep.mkdir(parents=True)
    for n, name in enumerate(names):
        Path(os.fsdecode(name)).write_text("".join(logs.session(f"s{n}", base=f"{n}-")))
    (folder / os.fsdecode(b"no\xfflog.jsonl")).write_text("no log\n")
    done = swept(store, folder)
    assert (done.ingested, done.failed, len(done.unrecognised)) == (4, [], 1)
    done.unrecognised[0].encode()
    for n, name in enumerate(names):
        assert len(texts(store, f"s{n}")) == 24
        assert restored(store, cursors.name_of(os.fsdecode(name))) == Path(os.fsdecode(name)).read_bytes()
    assert swept(store, folder).skipped == 4


@pytest.mark.parametrize(
    "native",
    ["x" * 10_000, "a\0b", "\N{PILE OF POO}", "../../etc/passwd", "a/b\\c", "sessions", " ", "\ud800", "é" * 99],
)
def test_any_id_of_a_session_will_do(store: Store, tmp_path: Path, native: str) -> None:
    path = logs.write(tmp_path / "log.jsonl", logs.session(native))
    assert swept(store, path).failed == []
    with store.read(T) as tx:
        [head] = sessions.listed(tx, None, limit=9)
    assert len(texts(store, head.session)) == 24
    with path.open("a") as file:
        file.write(logs.prompt(90, "more", session=native))
    swept(store, path)
    assert texts(store, head.session)[-1] == "more"


def test_many_sessions_in_one_log(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BATCH", 100_000)
    lines = [logs.prompt(0, f"of {n}", session=f"s{n}", base=f"{n}-") for n in range(2_000)]
    path = logs.write(tmp_path / "log.jsonl", lines)
    assert swept(store, path).flavors[AGENT].steps == 2_000
    assert texts(store, "s1999") == ["of 1999"]
    with path.open("a") as file:
        file.write(logs.prompt(1, "more", session="s7", base="7-"))
    swept(store, path)
    assert texts(store, "s7") == ["of 7", "more"]


def test_what_a_record_claims_can_be_as_odd_as_it_likes(store: Store, tmp_path: Path) -> None:
    odd = [
        logs.record(1, "user", {"role": "user", "content": "year one"}, timestamp="0001-01-01T00:00:00.000Z"),
        logs.record(2, "user", {"role": "user", "content": "the last"}, timestamp="9999-12-31T23:59:59.999Z"),
        logs.record(3, "user", {"role": "user", "content": "no time"}, timestamp="soon"),
        logs.record(4, "user", {"role": "user", "content": "a number"}, timestamp=10**40),
        logs.record(5, "holo\0gram" + "x" * 20_000, None, version="v\0" + "y" * 20_000),
        logs.answer(6, logs.text("odd"), out=10**30).replace("claude-opus-4-7", "a\\u0000" + "b" * 9_000),
        logs.record(7, "user", {"role": "user", "content": "nul \0 and half \ud800"}),
    ]
    path = logs.write(tmp_path / "s1.jsonl", [logs.prompt(0, "begin"), *odd])
    done = swept(store, path)
    assert done.failed == []
    assert {"year one", "the last", "no time", "a number", "odd"} <= set(texts(store))
    assert len(done.drift) == 1
    assert swept(store, path).drift == []
    with store.read(T) as tx:
        assert origins.abouts(tx, AGENT, "s1")[0][1].first_at is not None
        assert spends.by_week(tx)


def test_a_record_that_its_adapter_stumbles_over_costs_that_record_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = claude.read

    def stumbles(reading: Reading, line: bytes) -> None:
        if b"part 1" in line:
            raise AttributeError("an adapter's own mistake")
        really(reading, line)

    monkeypatch.setattr(claude, "read", stumbles)
    path = logs.write(tmp_path / "s1.jsonl", logs.session())
    done = swept(store, path)
    assert (done.flavors[AGENT].malformed, done.flavors[AGENT].steps, done.failed) == (1, 23, [])
    assert restored(store, path) == path.read_bytes()


def test_an_erased_session_comes_back_from_nowhere(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "one" / "s1.jsonl", logs.session())
    swept(store, path)
    with store.write(T) as tx:
        erasure.erase(tx, AGENT, "s1")
    moved = tmp_path / "two" / "other name.jsonl"
    moved.parent.mkdir()
    shutil.copy(path, moved)
    logs.write(tmp_path / "two" / "both.jsonl", [*logs.session(), logs.prompt(90, "of another", session="s2")])
    swept(store, tmp_path)
    with moved.open("a") as file:
        file.write(logs.prompt(91, "and on"))
    done = swept(store, tmp_path)
    assert done.failed == []
    assert (texts(store), texts(store, "s2")) == ([], ["of another"])
    with store.read(T) as tx:
        assert origins.abouts(tx, AGENT, "s1") == []
        for name in ("other name", "both"):
            with pytest.raises(Exception, match="is archived"):
                list(archive.restore(tx, str(tmp_path / "two" / f"{name}.jsonl")))
    assert swept(store, tmp_path).skipped == 3


def test_a_log_of_several_sessions_is_read_on_without_the_one_that_was_erased(store: Store, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "all.jsonl", [*logs.session("a1", base="a"), *logs.session("b1", base="b")])
    swept(store, path)
    with store.write(T) as tx:
        erasure.erase(tx, AGENT, "a1")
    with path.open("a") as file:
        file.write(logs.prompt(90, "of one that is gone", session="a1"))
        file.write(logs.prompt(91, "of one that is there", session="b1"))
    for _ in range(2):
        assert swept(store, path).failed == []
        assert (texts(store, "a1"), len(texts(store, "b1")), texts(store, "b1")[-1]) == ([], 25, "of one that is there")
    with store.read(T) as tx:
        assert not tx.conn.exec_driver_sql("SELECT 1 FROM pieces WHERE tenant = 't'").all()
    with store.write(T) as tx:
        erasure.erase(tx, AGENT, "b1")
    swept(store, path)
    assert texts(store, "b1") == []


def test_once_its_original_is_erased_a_fork_owns_what_it_copied(store: Store, tmp_path: Path) -> None:
    one = logs.session("s1")
    fork = [line.replace('"s1"', '"s2"') for line in one] + [logs.prompt(90, "only here", session="s2")]
    for n, lines in enumerate((one, fork)):
        logs.write(tmp_path / f"{n}.jsonl", lines)
    swept(store, tmp_path)
    with store.write(T) as tx:
        assert len(marks.replayed(tx, AGENT, "s2")) == 24
        queue.cancel(tx, f"{AGENT}/s2")
        erasure.erase(tx, AGENT, "s1")
        assert marks.replayed(tx, AGENT, "s2") == set()
        assert sum(one.output for one in spends.of_session(tx, AGENT, "s2")) == 150
        due = {job.subject for job in queue.claim_batch(tx, ["digest"], lease_ms=1000, most=9)}
    assert due == {f"{AGENT}/s2"}


def test_sweeps_of_several_processes_log_and_count_everything_once(database_url: str, tmp_path: Path) -> None:
    for n in range(30):
        own = logs.session(f"s{n}", base=f"{n // 3}-", rounds=4)  # three sessions each share all of their steps
        logs.write(tmp_path / "logs" / f"{n}.jsonl", [*own, logs.prompt(90, "shared", session="all", base=f"{n}-")])
    Store.open(database_url).close()
    arguments = [sys.executable, "-c", SWEEP, database_url, str(tmp_path / "logs"), "3"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    children = [subprocess.Popen(arguments, text=True, **pipes) for _ in range(3)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    told = [pool(child) for child in children]
    assert told == [(0, "")] * 3
    with Store.open(database_url) as store:
        assert counted(store) == 30 * 33
        assert all(len(texts(store, f"s{n}")) == 32 for n in range(30))
        assert len(texts(store, "all")) == 30
        assert swept(store, tmp_path / "logs").skipped == 30
        assert [fault for fault in check.check(store) if fault.check != "index"] == []


def pool(child: subprocess.Popen[str]) -> tuple[int, str]:
    """All begin together: each waits for its line."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    _, errors = child.communicate(timeout=120)
    return child.returncode, errors


def test_a_store_that_goes_away_is_told_and_the_next_sweep_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_COMMIT_FILES", 2)
    for n in range(8):
        logs.write(tmp_path / f"{n}.jsonl", logs.session(f"s{n}", base=f"{n}-"))
    really, left = store.transact, iter(range(9))

    def goes_away(scope: Scope, work: Any) -> Any:
        turn = next(left)
        if turn == 1:
            raise StoreUnavailable("gone before the commit; retry")
        made = really(scope, work)
        if turn == 2:
            raise StoreUnavailable("gone behind the commit; look", unknown=True)
        return made

    monkeypatch.setattr(store, "transact", goes_away)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            swept(store, tmp_path)
    monkeypatch.undo()
    swept(store, tmp_path)
    assert all(len(texts(store, f"s{n}")) == 24 for n in range(8))
    assert counted(store) == 8 * 24


def test_threads_that_meet_in_one_new_session_log_it_once(store: Store, tmp_path: Path) -> None:
    for n in range(9):
        logs.write(tmp_path / str(n) / "log.jsonl", [logs.prompt(n, f"of {n}"), logs.prompt(50, "of all")])
    begin, failures = threading.Barrier(3), list[BaseException]()

    def work(first: int) -> None:
        try:
            begin.wait()
            for n in range(9):
                swept(store, tmp_path / str((first + n) % 9))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(3 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(texts(store)) == sorted([*(f"of {n}" for n in range(9)), "of all"])


def test_spends_and_abouts_without_steps_and_a_session_that_others_wrote(store: Store, tmp_path: Path) -> None:
    with store.write(T) as tx:
        origins.put(tx, [(AGENT, "bare", "/log", About(cwd="/w"))])
        steps.append_all(tx, [steps.Found("codex", "bare", [], spends=[Spend("k", output=5)])])
        steps.append(tx, AGENT, "own", [Step(uid("x"), "prompt", "hello")], user="ada")
        assert sessions.find(tx, [("codex", "bare")]) == {}
        assert [one.output for one in spends.by_week(tx)] == [5]
    swept(store, logs.write(tmp_path / "own.jsonl", logs.session("own")), user="bob")
    with store.read(T) as tx:
        assert sessions.get(tx, AGENT, "own").user == "ada"
    assert len(texts(store, "own")) == 25


def test_a_store_with_coding_sessions_is_sound_and_moves(tmp_path: Path, postgres_url: str) -> None:
    folder = tmp_path / "logs"
    for n in range(4):
        logs.write(folder / f"{n}.jsonl", logs.session(f"s{n}", base=f"{n // 2}-"))
    with Store.open(f"sqlite:///{tmp_path}/x.db") as store, Store.open(postgres_url) as other:
        swept(store, folder)
        with store.write(T) as tx:
            erasure.erase(tx, AGENT, "s3")
        assert check.check(store) == []
        moving = move.begin(store, other)
        move.carry(moving, lambda *_: None)
        move.end(moving)
        assert check.check(other) == []
        assert swept(other, folder).skipped == 4
        assert texts(other) == texts(store)
        assert restored(other, folder / "1.jsonl") == (folder / "1.jsonl").read_bytes()
