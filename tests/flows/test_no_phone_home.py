"""carryover phones nobody: all of its work goes on where no other machine can be reached, and nothing tries to."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

from carryover.cli.main import app
from flows import main_job

HERE = Path(__file__).parent
# Set aside for examples by RFC 5737, RFC 3849 and RFC 2606: nobody has them.
CALLS = {
    "a connection": "import socket; socket.create_connection(('192.0.2.1', 80), 5)",
    "over IPv6": "import socket; socket.create_connection(('2001:db8::1', 80), 5)",
    "a question for a name": "import socket; socket.getaddrinfo('nobody.invalid', 80)",
    "a question in bytes": "import socket; socket.getaddrinfo(b'nobody.invalid', 80)",
    "a question through anyio": "import anyio; anyio.run(anyio.connect_tcp, 'nobody.invalid', 80)",
    "a datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    "from a thread of a child": (
        "import subprocess, sys;"
        "subprocess.run([sys.executable, '-c', 'import threading, urllib.request;"
        'threading.Thread(target=lambda: urllib.request.urlopen("http://192.0.2.1/")).start()\'])'
    ),
}


# Verbs that are not among the work, and why not.
LEFT_OUT = {
    "model pull": "it fetches the embedding model: that is what it is for",
    "demo cluster": "real servers, in networks of their own",
    "chat": "the server's chat is among the work",
    "extractors promote": "it decides about a model that was tried",
    "extractors refuse": "it decides about a model that was tried",
    "extractors try": "it asks a provider that somebody named, as the chat does",
    "eval persona": "half a minute of the code that the others run",
    "import-sessions": "it reads a file, and logs what stands there as `import` does",
}


@cache
def alone() -> list[str]:
    """What stands before a command so that it runs in a network of its own; nothing where that cannot be had."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if (
            shutil.which(words[0])
            and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        ):
            return words
    return []


def tried(folder: Path, *command: str) -> dict[str, Any]:
    """Whom the command tried to reach, and how it ended."""
    report = folder / "report.json"
    inside = [*alone(), sys.executable, str(HERE / "cut_off.py"), str(report), *command]
    done = subprocess.run(inside, capture_output=True, text=True, timeout=280, check=False, cwd=folder)
    assert report.exists(), done.stderr
    return {**json.loads(report.read_text("utf-8")), "code": done.returncode, "said": done.stdout + done.stderr}


class Loads(HTMLParser):
    """What a browser fetches for a page, as far as it is not of the page's own server."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = re.findall(r"@import[^;]*|url\(\s*[\"']?(?!data:|#)[^)]*\)", text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            fetched = ("src", "href", "srcset", "data", "action", "poster", "ping")
            named = [value for name, value in attrs if name in fetched and value]
            self.found += [f"<{tag}> {value}" for value in named if re.match(r"(?!data:)\w+:|//", value)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", main_job.PARTS)
def test_all_work_goes_on_without_a_word_to_another_machine(part: str, tmp_path: Path) -> None:
    seen = tried(tmp_path, sys.executable, str(HERE / "main_job.py"), str(tmp_path), part)
    assert (seen["calls"], seen["packets"], seen["lost"]) == ([], [], 0)
    assert (seen["code"], f"{part} is done" in seen["said"]) == (0, True), seen["said"]
    pages = list((tmp_path / part).rglob("*.html"))
    assert {page.name: Loads(page.read_text("utf-8")).found for page in pages} == {page.name: [] for page in pages}
    assert bool(pages) is (part in ("verbs", "coding_sessions", "server_and_sdk"))


def leaves(command: Any, path: str = "") -> Iterator[str]:
    """The verbs of the command line, with those that they have in turn."""
    if not hasattr(command, "list_commands"):
        yield path
        return
    context = command.context_class(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), f"{path} {name}".strip())


def test_every_verb_is_among_the_work_or_left_out_for_a_reason() -> None:
    calls = [
        node for node in ast.walk(ast.parse((HERE / "main_job.py").read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    said = {
        " ".join(str(word.value) for word in call.args[:most] if isinstance(word, ast.Constant))
        for call in calls
        if ast.unparse(call.func) in ("carryover", "carryover.json", "started", "run")
        for most in (1, 2)
    }
    elsewhere = {"demo", "serve"}  # `demo` is a part of the work, `serve` is the server of another
    verbs = set(leaves(typer.main.get_command(app)))
    assert verbs - said - elsewhere == LEFT_OUT.keys()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_is_seen(call: str, tmp_path: Path) -> None:
    seen = tried(tmp_path, sys.executable, "-c", call)
    assert seen["calls"]
    assert bool(seen["packets"]) is bool(alone())


def test_a_call_of_a_program_that_is_not_ours_is_seen(tmp_path: Path) -> None:
    """And so would be one of a library in C."""
    if not alone():
        pytest.skip("needs a network namespace: root, or user namespaces, and `unshare` of util-linux")
    seen = tried(tmp_path, "getent", "hosts", "nobody.invalid")
    assert seen["calls"] == []
    assert any("port 53" in packet for packet in seen["packets"])


def test_what_goes_on_within_the_machine_is_no_call(tmp_path: Path) -> None:
    call = (
        "import socket; a = socket.create_server(('127.0.0.1', 0)); socket.create_connection(a.getsockname());"
        "socket.getaddrinfo('localhost', 80); socket.socketpair()"
    )
    seen = tried(tmp_path, sys.executable, "-c", call)
    assert (seen["code"], seen["calls"], seen["packets"]) == (0, [], [])


@pytest.mark.parametrize(
    "text",
    [
        "<script src=https://cdn.example/x.js></script>",
        "<link rel=stylesheet href='//cdn.example/x.css'>",
        "<img srcset='https://cdn.example/x.png 2x'>",
        "<style>@import 'https://cdn.example/x.css';</style>",
        "<p style='background: url(https://cdn.example/x.png)'>",
    ],
)
def test_what_a_page_loads_is_seen(text: str) -> None:
    assert len(Loads(text).found) == 1
