"""The shape of the code: nothing is so large that it cannot be read in one go."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import carryover

SRC = Path(next(iter(carryover.__path__)))
FILES = sorted(SRC.rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}
FILE, CLASS, FUNCTION, MOST_FUNCTIONS, PARAMETERS, BRANCHES = 400, 300, 80, 40, 7, 5
# Extras that are optional or slow to import, where a room says so.
_MAY_IMPORT_LATE = ("providers/", "engine.py", "memories.py", "cli/")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path, node: ast.AST | None = None) -> str:
    return path.relative_to(SRC).as_posix() + (f":{getattr(node, 'lineno', 0)}" if node else "")


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[Path, ast.AST]]:
    return ((path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kind))


def functions() -> Iterator[tuple[Path, Function]]:
    for path, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef)):
        assert isinstance(node, Function)
        if "migrations/versions" not in path.as_posix():  # written once, by a tool, and never changed again
            yield path, node


def lines(node: ast.AST) -> int:
    return (getattr(node, "end_lineno", 0) or 0) - getattr(node, "lineno", 0) + 1


def test_files_are_short() -> None:
    long = {name(path): count for path in FILES if (count := len(path.read_text("utf-8").splitlines())) > FILE}
    assert long == {}


def test_classes_are_short() -> None:
    assert {name(path, node): lines(node) for path, node in nodes(ast.ClassDef) if lines(node) > CLASS} == {}


def test_functions_are_short_and_most_are_very_short() -> None:
    sizes = {name(path, node): lines(node) for path, node in functions()}
    assert {where: size for where, size in sizes.items() if size > FUNCTION} == {}
    assert statistics.quantiles(sizes.values(), n=20)[-1] <= MOST_FUNCTIONS


def test_functions_take_few_parameters() -> None:
    def wide(node: Function) -> int:
        args = node.args
        named = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
        return len([arg for arg in named if arg not in ("self", "cls")])

    # What a route or a command takes is its public shape; there its framework reads the signature.
    found = {name(path, node): wide(node) for path, node in functions() if not node.decorator_list}
    assert {where: count for where, count in found.items() if count > PARAMETERS} == {}


def test_chains_of_elif_are_short() -> None:
    inner = {id(node.orelse[0]) for _, node in nodes(ast.If) if isinstance(node, ast.If) and _has_elif(node)}

    def branches(node: ast.If) -> int:
        following = node.orelse[0] if _has_elif(node) else None
        return 1 + (branches(following) if isinstance(following, ast.If) else 0)

    heads = [(path, node) for path, node in nodes(ast.If) if isinstance(node, ast.If) and id(node) not in inner]
    assert {name(path, node): branches(node) for path, node in heads if branches(node) > BRANCHES} == {}


def _has_elif(node: ast.If) -> bool:
    # `elif` stands where its `if` does; an `if` inside an `else` stands further in.
    return len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If) and node.orelse[0].col_offset == node.col_offset


def test_our_own_modules_are_imported_at_the_top() -> None:
    found: list[str] = []
    for path, function in functions():
        if name(path).startswith(_MAY_IMPORT_LATE):
            continue
        for node in ast.walk(function):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            found += [name(path, node) for module in modules if module.split(".")[0] == "carryover"]
    assert found == []


def test_only_who_runs_the_work_of_others_catches_whatever_is_raised() -> None:
    """Derivations, and the key management service that somebody else's code speaks to."""
    caught = {
        name(path)
        for path, node in nodes(ast.ExceptHandler)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or getattr(node.type, "id", "") == "Exception")
    }
    assert caught == {"jobs/worker.py", "store/master.py"}


@pytest.mark.parametrize("path", [path for path in FILES if path.read_text("utf-8").strip()], ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(TREES[path]) is not None
