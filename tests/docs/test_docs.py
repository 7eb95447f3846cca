"""Everything that the documents show is run, and says what they say.

In each file the `python` blocks are one program and the `sh` blocks one script, each in a fresh home. A `text` block
right after one of them is what it prints: its lines come in this order, `…` stands for anything. A `toml` block is a
`carryover.toml`. A line that starts a server or a worker runs in the background until the file ends. What calls models
of Anthropic or OpenAI calls a server of our own.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from carryover.settings import load
from fakes.scripted import Call, Scripted

ROOT = Path(__file__).parent.parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"python", "sh"}
SHOWN = {"text", "json", "toml", "markdown", "mermaid", "sql"}
CALLS = re.compile(r"^import (?:anthropic|openai)$|^from agents import |[\"'](?:anthropic|openai)[\w-]*:", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(path: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(path.read_text("utf-8"))]


def files_with(*languages: str) -> list[Path]:
    return [path for path in FILES if any(block.language in languages for block in blocks(path))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    return {
        **inherited,
        "PATH": binaries,
        "HOME": str(tmp_path),
        "CARRYOVER_HOME": str(tmp_path / "home"),
        "COLUMNS": "120",
    }


def answers(body: dict[str, Any]) -> tuple[str, list[Call]]:
    """A call of the first tool for what a user says, if there are tools; else always the same text."""
    last = (body.get("messages") or body["input"])[-1]
    answered = "tool_result" in str(last) or "function_call_output" in str(last) or last.get("role") == "tool"
    if not body.get("tools") or answered:
        return "We chose PostgreSQL.", []
    tool = body["tools"][0]
    return "", [(f"call_{len(str(body))}", tool.get("name") or tool["function"]["name"], {"name": "port"})]


@pytest.fixture(scope="session")
def providers() -> Iterator[dict[str, str]]:
    """Where calls of models go that the documents show: a server of our own for the libraries of both providers."""
    with Scripted(answers) as fake:
        yield {
            "ANTHROPIC_BASE_URL": fake.url,
            "OPENAI_BASE_URL": fake.openai_url,
            "ANTHROPIC_API_KEY": "k",
            "OPENAI_API_KEY": "k",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
        }


def expected_after(path: Path, language: str) -> Iterator[str]:
    """The lines of the text blocks that follow a block of this language."""
    found = blocks(path)
    for before, after in itertools.pairwise(found):
        if before.language == language and after.language == "text":
            yield from (line for line in after.text.splitlines() if line.strip())


def assert_printed(path: Path, language: str, output: str) -> None:
    lines = [line.rstrip() for line in output.splitlines()]
    at = 0
    for wanted in expected_after(path, language):
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.strip().split("…")))
        place = next((n for n, line in enumerate(lines[at:], at) if pattern.search(line)), None)
        assert place is not None, f"{name_of(path)} shows {wanted!r}, not printed after line {at} of:\n{output}"
        at = place


@pytest.mark.parametrize("path", files_with("python"), ids=name_of)
def test_python_blocks_run(path: Path, environment: dict[str, str], providers: dict[str, str], tmp_path: Path) -> None:
    program = "\n".join(block.text for block in blocks(path) if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        env=environment | (providers if CALLS.search(program) else {}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"{name_of(path)}:\n{done.stdout}\n{done.stderr}"
    assert_printed(path, "python", done.stdout)


BACKGROUND = re.compile(r"^(carryover (?:serve|worker)\b[^\n&]*)$", re.MULTILINE)
WAIT = "\nfor _ in $(seq 200); do curl -fs http://127.0.0.1:8420/health >/dev/null && break; sleep 0.1; done"


@pytest.mark.xdist_group("port-8420")
@pytest.mark.parametrize("path", files_with("sh"), ids=name_of)
def test_shell_blocks_run(path: Path, environment: dict[str, str], providers: dict[str, str], tmp_path: Path) -> None:
    script = "\n".join(block.text for block in blocks(path) if block.language == "sh" and "git clone" not in block.text)
    script = BACKGROUND.sub(lambda found: f"{found[1]} &{WAIT if 'serve' in found[1] else ''}", script)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\ntrap 'set +e; kill $(jobs -p) 2>/dev/null; wait' EXIT\n{script}"],
        env=environment | (providers if CALLS.search(script) else {}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"{name_of(path)}:\n{done.stdout}\n{done.stderr}"
    assert_printed(path, "sh", done.stdout)


@pytest.mark.parametrize("path", files_with("toml"), ids=name_of)
def test_settings_blocks_load(path: Path, tmp_path: Path) -> None:
    for block in blocks(path):
        if block.language == "toml":
            file = tmp_path / "carryover.toml"
            file.write_text(block.text, "utf-8")
            loaded = load({"CARRYOVER_CONFIG": str(file)})
            assert set(tomllib.loads(block.text)) == {k for k, origin in loaded.origins.items() if origin == str(file)}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_blocks_are_of_a_kind_that_is_checked(path: Path) -> None:
    assert {block.language for block in blocks(path)} <= RUN | SHOWN


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text("utf-8")):
        assert (path.parent / link).exists(), f"{name_of(path)} links to {link}, which is not there"
