"""One word for one thing: public names use the glossary's words, not those that it says we do not say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import carryover

ROOT = Path(__file__).parents[2]
SRC = Path(next(iter(carryover.__path__)))
# These mean something else too: a word of a standard or the contract, of a library, or plain English.
_OTHER_MEANINGS = {
    "context", "role", "thread", "chat", "message", "record", "history", "etag", "revision", "raw", "ref",
    "prompt", "prefix", "document", "result", "index", "task", "parser", "auth", "cost",
}  # fmt: skip


def avoided() -> dict[str, str]:
    """Each word that we do not say, with the one that we say instead."""
    found: dict[str, str] = {}
    for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and not set(cells[0]) <= set("-: ") and cells[0] != "word":
            found |= {word.strip().lower(): cells[0] for word in cells[2].split(",") if word.strip(" -")}
    return found


def words_of(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def public_names() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path in sorted(SRC.rglob("*.py")):
        where = path.relative_to(SRC).as_posix()
        found.append((path.stem, where))
        found += [
            (node.name, f"{where}:{node.lineno}")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_"
        ]
    return found


def test_the_glossary_is_read() -> None:
    words = avoided()
    assert words["workspace"] == "Tenant"
    assert words["memory item"] == "Finding"
    assert set(words) >= _OTHER_MEANINGS


def test_public_names_use_the_words_of_the_glossary() -> None:
    wrong = {word: instead for word, instead in avoided().items() if word not in _OTHER_MEANINGS}
    assert len(wrong) > 10
    found = {
        where: f"{name}: say {instead}, not {word}"
        for name, where in public_names()
        for word, instead in wrong.items()
        if set(word.split()) <= set(words_of(name))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PeerMessage", ["peer", "message"]),
        ("open_llm", ["open", "llm"]),
        ("LLMQuota", ["llm", "quota"]),
        ("by_n", ["by", "n"]),
    ],
)
def test_names_are_taken_apart(name: str, words: list[str]) -> None:
    assert words_of(name) == words


def test_loggers_are_not_called_log() -> None:
    """The log is where turns are."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in SRC.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        and "get_logger" in ast.unparse(node.value).lower().replace("getlogger", "get_logger")
        and [ast.unparse(target) for target in node.targets] not in (["logger"], ["_logger"])
    ]  # fmt: skip
    assert found == []
