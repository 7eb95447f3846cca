"""Known vulnerabilities fail the check; a service that cannot be asked is told, and keeps nobody waiting."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from supply import audit, locks
from supply.audit import Hole, Lived, NoAnswer
from supply.locks import Locked

ROOT = Path(__file__).parents[2]
RUN = {one.name: one for one in locks.read(locks.RUN)}
SOME = [RUN["alembic"], RUN["mako"], RUN["numpy"]]
HOLE = {
    "schema_version": "1.7.0",
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2099-0001"],
    "summary": "templates run what they are told",
    "affected": [
        {
            "package": {"name": "mako", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


class Service:
    """An advisory service on this machine that knows of these holes, by package."""

    def __init__(self, known: dict[str, dict[str, object]]) -> None:
        self.asked: list[tuple[str, str]] = []
        service = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = question["package"]["name"]
                service.asked.append((name, question["version"]))
                said = json.dumps({"vulns": [known[name]]} if name in known else {}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/query"


@contextmanager
def service(known: dict[str, dict[str, object]]) -> Iterator[Service]:
    made = Service(known)
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _asked_directly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supply", "audit", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def test_a_known_vulnerability_fails_the_check() -> None:
    with service({"mako": HOLE}) as asked:
        done = check("--service", asked.url)
    assert done.returncode == 1
    assert done.stderr == (f"mako {RUN['mako'].version}: CVE-2099-0001, GHSA-aaaa-bbbb-cccc; lock 99.0\n")
    # Every release that is locked for whichever machine, and every one once but the first.
    every = {(one.name, one.version) for lock in (locks.RUN, locks.DEV) for one in locks.read(lock)}
    assert set(asked.asked) == every
    assert len(asked.asked) == len(every) + 1


def test_where_nothing_is_known_the_check_passes() -> None:
    with service({}) as asked:
        assert audit.holes(SOME, asked.url) == []
    assert {name for name, _ in asked.asked} == {one.name for one in SOME}


def test_what_was_withdrawn_is_no_hole() -> None:
    with service({"mako": {**HOLE, "withdrawn": "2099-01-01T00:00:00Z"}}) as asked:
        assert audit.holes(SOME, asked.url) == []


def test_a_service_that_is_not_there_is_told_in_a_line_and_fails_only_who_insists() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1/query"
        done = check("--service", url)
        assert (done.returncode, done.stderr) == (0, "")
        silent = "known vulnerabilities are not looked up: the advisory service does not answer (Connection refused)"
        assert done.stdout == f"{silent}; with a network, or `--service`, they are\n"
        insisted = check("--service", url, "--must-answer")
    assert (insisted.returncode, insisted.stderr) == (1, f"{silent}\n")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded with "
            "url: /v1 (Caused by NameResolutionError(\"HTTPSConnection(host='x', port=443): Failed to resolve 'x' "
            '([Errno -3] Temporary failure in name resolution)"))',
            "Temporary failure in name resolution",
        ),
        ("ReadTimeout: HTTPSConnectionPool(host='x', port=443): Read timed out. (read timeout=5)", "timed out"),
        ("ERROR:pip_audit._cli:503 Server Error: Service Unavailable for url: https://x/v1/query", "503 Server Error"),
        ("Traceback\nKeyError: 'id'", "KeyError: 'id'"),
        ("", "no reason"),
    ],
)
def test_why_nobody_answered_is_said_in_a_few_words(said: str, reason: str) -> None:
    assert audit._reason(said) == reason


def test_a_service_that_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/query"
        with pytest.raises(NoAnswer, match="no answer within 2 s"):
            audit.holes(SOME, url, limit_s=2)


def test_a_service_of_another_kind_has_not_answered() -> None:
    with service({"alembic": {"id": "nonsense"}}) as asked, pytest.raises(NoAnswer):
        audit.holes(SOME, asked.url.replace("127.0.0.1", "127.0.0.1:1@["))


def test_a_hole_that_somebody_lives_with_passes_until_its_day() -> None:
    hole = Hole("mako", "1.0", frozenset({"GHSA-aaaa-bbbb-cccc", "CVE-2099-0001"}), ("99.0",))
    lived = [Lived("CVE-2099-0001", "mako", "templates are our own", date(2099, 6, 1))]
    assert audit.unaccepted([hole], lived) == []
    assert audit.expired(lived, {"mako"}, date(2099, 6, 1)) == []
    (late,) = audit.expired(lived, {"mako"}, date(2099, 6, 2))
    assert late == "CVE-2099-0001 of mako: was accepted until 2099-06-01; look at it again"


def test_another_package_or_another_hole_is_not_lived_with() -> None:
    lived = [Lived("CVE-2099-0001", "mako", "templates are our own", date(2099, 6, 1))]
    others = [
        Hole("mako", "1.0", frozenset({"CVE-2099-0002"}), ()),
        Hole("numpy", "1.0", frozenset({"CVE-2099-0001"}), ()),
    ]
    assert audit.unaccepted(others, lived) == [
        "mako 1.0: CVE-2099-0002; no release mends it yet",
        "numpy 1.0: CVE-2099-0001; no release mends it yet",
    ]


def test_an_entry_of_a_package_that_is_gone_is_told() -> None:
    lived = [Lived("CVE-2099-0001", "mako", "templates are our own", date(2099, 6, 1))]
    assert audit.expired(lived, {"numpy"}, date(2099, 1, 1)) == [
        "CVE-2099-0001: mako is not locked any more; remove it from known.toml"
    ]


def test_entries_are_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(
        '[advisories.CVE-2099-0001]\npackage = "mako"\nreason = "templates are our own"\nuntil = 2099-06-01\n', "utf-8"
    )
    assert Lived.read(file) == [Lived("CVE-2099-0001", "mako", "templates are our own", date(2099, 6, 1))]
    assert all(len(one.reason) > 10 for one in Lived.read())


def test_releases_for_other_machines_are_asked_about_too() -> None:
    two = [Locked("numpy", version, marker, ("0" * 64,), ()) for version, marker in (
        ("1.0", "sys_platform == 'win32'"), ("2.0", "sys_platform != 'win32'"))]  # fmt: skip
    with service({}) as asked:
        audit.holes(two, asked.url)
    assert set(asked.asked) == {("numpy", "1.0"), ("numpy", "2.0")}
