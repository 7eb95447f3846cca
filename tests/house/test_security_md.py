"""SECURITY.md promises what tests hold: each threat has its wall and its tests, and those tests are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
STRIDE = (
    "Spoofing", "Tampering", "Repudiation", "Information disclosure", "Denial of service", "Elevation of privilege",
)  # fmt: skip
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def rows() -> dict[str, list[list[str]]]:
    """The rows of each letter's table: threat, wall, test."""
    found: dict[str, list[list[str]]] = {}
    for part in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]:
        part = part.split("\n## ")[0]
        lines = [line for line in part.splitlines() if line.startswith("|")][2:]
        found[part.split(":")[0]] = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))]
            for line in lines
        ]
    return found


@cache
def names_in(path: Path) -> set[str]:
    """The tests that are in the file, but for those that nobody runs or believes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, kinds)]
    return {
        node.name
        for node in found
        if node.name.startswith("test")
        and not any(re.match(r"pytest\.mark\.(skip|xfail)\b", ast.unparse(one)) for one in node.decorator_list)
    }


def test_every_letter_has_its_threats() -> None:
    found = rows()
    assert tuple(found) == STRIDE
    assert {letter: len(threats) for letter, threats in found.items() if len(threats) < 2} == {}


def test_every_threat_has_a_wall_and_a_test() -> None:
    for threats in rows().values():
        for row in threats:
            assert len(row) == 3, row
            threat, wall, tests = row
            assert len(threat) > 10, row
            assert len(wall) > 10, row
            assert LINK.findall(tests), f"no test holds: {threat}"


def test_every_test_that_is_named_is_there() -> None:
    """By its own name, without its `test_`: of a whole file nobody could say which test holds the wall."""
    missing: list[str] = []
    for _, _, tests in (row for threats in rows().values() for row in threats):
        for name, target in LINK.findall(tests):
            path = ROOT / target
            if not path.is_file() or not target.startswith("tests/") or f"test_{name}" not in names_in(path):
                missing.append(f"{target}::test_{name}")
    assert missing == []


def test_no_threat_stands_there_twice() -> None:
    threats = [row[0] for letter in rows().values() for row in letter]
    assert sorted(set(threats)) == sorted(threats)


def test_every_other_link_leads_somewhere() -> None:
    assert [target for _, target in LINK.findall(TEXT) if not (ROOT / target.partition("#")[0]).exists()] == []
    assert "](SECURITY.md)" in (ROOT / "README.md").read_text("utf-8")


def test_what_is_not_promised_is_said() -> None:
    (_, not_promised) = TEXT.split("## What is not promised\n")
    for word in ("Root", "memory", "Vectors", "model", "provider", "proxy"):
        assert word in not_promised
    assert "```mermaid" in TEXT
