"""`export --raw`: the logs of a coding session as they were, in files that stay where they were asked for."""

from __future__ import annotations

import io
import json
import random
import string
from pathlib import Path

from carryover.coding.logs import archive
from carryover.core.scope import Scope
from carryover.core.step import About, Flavor
from carryover.opening import open_store
from carryover.settings import load
from carryover.store import archive as vault
from carryover.store import origins
from carryover.store.archive import START
from commands import Commands

LINE = b'{"sessionId":"s1","text":"\xc3\xa9 and \xff"}\n'


def kept(path: str, plain: bytes = LINE, session: str = "s1", agent: Flavor = "claude-code") -> None:
    """A log is in the archive."""
    settings = load().settings
    with open_store(settings) as store, store.write(Scope(settings.tenant)) as tx:
        origins.put(tx, [(agent, session, path, About())])
        vault.put(tx, path, 0, list(archive.cut(io.BytesIO(plain), START, len(plain))))


def dropped(path: str) -> None:
    settings = load().settings
    with open_store(settings) as store, store.write(Scope(settings.tenant)) as tx:
        for piece in vault.kept(tx, path)[:1]:
            assert vault.replace(tx, piece, "", "gone")
            vault.release(tx, [piece.hash])


def test_one_log_is_that_file(carryover: Commands, tmp_path: Path) -> None:
    plain = LINE * 30_000 + b"torn"
    kept("/logs/s1.jsonl", plain)
    carryover("export", "--raw", "s1", "-o", "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == plain
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600
    assert carryover.err.startswith(f"exported {len(plain):,} bytes of /logs/s1.jsonl to out.jsonl")
    (tmp_path / "folder").mkdir()
    said = json.loads(carryover("export", "--raw", "s1", "-o", "folder", "--json"))
    assert said == [{"log": "/logs/s1.jsonl", "file": "folder/s1.jsonl", "bytes": len(plain)}]
    assert (tmp_path / "folder" / "s1.jsonl").read_bytes() == plain


def test_without_a_file_it_is_printed(carryover: Commands) -> None:
    kept("/logs/s1.jsonl", b'{"a":1}\n')
    assert carryover("export", "--raw", "s1") == '{"a":1}\n'


def test_several_logs_are_a_folder_and_never_leave_it(carryover: Commands, tmp_path: Path) -> None:
    paths = [
        "/logs/a/s1.jsonl", "/logs/b/s1.jsonl", "/logs/c/S1.JSONL", "/logs/..", "C:\\logs\\..\\s1.jsonl",
        "/logs/x\x00\n/y\r.jsonl", "/logs/" + "n" * 300 + ".jsonl", "/logs/...", "/logs/.hidden", "/logs/ ",
    ]  # fmt: skip
    for n, path in enumerate(paths):
        kept(path, b"%d\n" % n)
    carryover("export", "--raw", "s1", "-o", "deep/out")
    files = [file for file in tmp_path.rglob("deep/**/*") if file.is_file()]
    found = {file.relative_to(tmp_path).as_posix(): file.read_bytes() for file in files}
    assert len(found) == len(paths)
    assert sorted(found.values()) == sorted(b"%d\n" % n for n in range(len(paths)))
    assert all(name.startswith("deep/out/") and name.count("/") == 2 for name in found)
    assert found["deep/out/s1.jsonl"] == b"0\n"
    carryover("export", "--raw", "s1", code=1)
    assert "has 10 logs; name a folder" in carryover.err


def test_secrets_are_masked_on_the_way_out(carryover: Commands, tmp_path: Path) -> None:
    draw = random.Random(1)
    secret = "ghp_" + "".join(draw.choices(string.ascii_letters + string.digits, k=36))
    rows = [{"n": n, "text": f"export GH={secret}" if n % 50 == 0 else "nothing", "é": "\ud83d"} for n in range(9_000)]
    plain = "".join(json.dumps(row) + "\n" for row in rows).encode() + b"\xff torn " + secret.encode()
    kept("/logs/s1.jsonl", plain)
    carryover("export", "--raw", "s1", "-o", "out", "--redact")
    masked = (tmp_path / "out").read_bytes()
    assert masked == plain.replace(secret.encode(), b"[secret: github token]")
    assert [json.loads(line)["n"] for line in masked.splitlines()[:-1]] == list(range(9_000))


def test_what_was_dropped_is_said_and_what_is_left_can_be_had(carryover: Commands, tmp_path: Path) -> None:
    kept("/logs/s1.jsonl", LINE * 20_000)
    dropped("/logs/s1.jsonl")
    carryover("export", "--raw", "s1", "-o", "out", code=1)
    assert "cannot be restored byte for byte: of its" in carryover.err
    assert "--partial" in carryover.err
    assert not (tmp_path / "out").exists()
    carryover("export", "--raw", "s1", "-o", "out", "--partial")
    assert (LINE * 20_000).endswith((tmp_path / "out").read_bytes())


def test_which_session_is_meant(carryover: Commands, tmp_path: Path) -> None:
    kept("/a/s1.jsonl", b"1\n", agent="codex")
    kept("/b/s1.jsonl", b"2\n", agent="claude-code")
    carryover("export", "--raw", "s1", code=1)
    assert "claude-code and codex have a session 's1'; name one with --agent" in carryover.err
    assert carryover("export", "--raw", "s1", "--agent", "codex") == "1\n"
    carryover("export", "--raw", "s9", code=1)
    assert "no log of session 's9' is archived" in carryover.err
    carryover("export", "--redact", code=2)
    assert "--raw SESSION" in carryover.err


def test_a_target_that_cannot_be_written(carryover: Commands, tmp_path: Path) -> None:
    kept("/logs/s1.jsonl")
    (tmp_path / "file").write_text("x")
    carryover("export", "--raw", "s1", "-o", "file/below", code=1)
    assert "cannot be written" in carryover.err
