"""What our code never does, found by reading it: run what it was given, trust a file, or let words into SQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import carryover

SRC = Path(next(iter(carryover.__path__)))
TREES = {path.relative_to(SRC).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(SRC.rglob("*.py"))}

# Modules that run what they read, or unpack what they should not: there is no safe use of them for us.
MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "tarfile", "yaml", "xml", "telnetlib", "ftplib"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system"}
# Of objects, whatever they are called: a shell, a temporary name that somebody else may take first, a file unpacked.
ATTRIBUTES = {"popen", "mktemp", "extractall", "spawnl", "spawnv", "unsafe_load", "set_trace"}
OPTIONS = {"shell", "follow_redirects", "allow_pickle", "trust_remote_code"}  # never true

SQL = re.compile(
    r"\b(?:SELECT .* FROM|INSERT INTO|UPDATE \S* SET|DELETE FROM|"
    r"(?:CREATE|DROP|ALTER|LOCK) (?:TABLE|INDEX|POLICY|SCHEMA|TRIGGER|UNIQUE)|"
    r"SET LOCAL|PRAGMA|VACUUM|LISTEN|ATTACH|GRANT|COPY|SELECT pg_|SELECT to_reg|SELECT 1)\b",
    re.DOTALL,
)
# What is put into the text of a statement besides constants: names and numbers that are our own, or made ours. All
# else, and whatever anybody said, is bound.
OURS = {
    "coding/adapters/cursor_store.py": {"name"},  # one of two
    "store/backup.py": {"name"},  # of a table of ours
    "store/hot.py": {"arrays", "head", "rest"},  # taken from a statement that SQLAlchemy compiled
    "store/chunks.py": {"*row"},  # no statement: what a text is sealed to
    # A hash, numbers, quoted, our own names.
    "store/pgvector.py": {"part", "dim", "_quoted(space)", "space", "index", "setting", "name"},
    "store/postgres.py": {"_quoted(tenant)"},  # SET takes no parameters; tests/store/test_postgres.py has quotes in it
    "store/postgres_facts.py": {"name"},
    "store/postgres_schema.py": {"name", "part", "events.name", "_name(first)", "_id(after)", "_id(first)", "within"},
    "store/scan.py": {"table", "', '.join(names)", "quoted"},  # quoted by the database, or by doubling its quotes
    "store/sqlite.py": {"name", "source", "dated", "most", "pragma", "verb", "verb.lower()"},  # pieces that stand there
    "store/sqlitevec.py": {"table", "dim", "_table(space)", "inside"},  # a hash, a number, and bound bounds
    "store/vacuum.py": {"name"},
}


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    return ((file, node) for file, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kind))


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    for file, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        yield file, node, ast.unparse(node.func)


def test_no_module_that_runs_what_it_reads_is_used() -> None:
    imported = [(f"{file}:{node.lineno}", alias.name) for file, node in nodes(ast.Import)
                if isinstance(node, ast.Import) for alias in node.names]  # fmt: skip
    imported += [(f"{file}:{node.lineno}", node.module or "") for file, node in nodes(ast.ImportFrom)
                 if isinstance(node, ast.ImportFrom)]  # fmt: skip
    assert len(imported) > 1000
    assert [one for one in imported if one[1].split(".")[0] in MODULES] == []


def test_nothing_that_was_given_is_run() -> None:
    found = [f"{file}:{node.lineno} {name}" for file, node, name in calls() if name in CALLS]
    found += [f"{file}:{node.lineno} {name}" for file, node, name in calls() if name.split(".")[-1] in ATTRIBUTES]
    assert found == []


def test_programs_are_started_without_a_shell_and_requests_follow_nobody_elsewhere() -> None:
    found = [
        f"{file}:{node.lineno} {word.arg}"
        for file, node, _ in calls()
        for word in node.keywords
        if word.arg in OPTIONS and not (isinstance(word.value, ast.Constant) and word.value.value is False)
    ]
    assert found == []


def test_certificates_are_always_verified() -> None:
    found = [
        f"{file}:{node.lineno}"
        for file, node, _ in calls()
        for word in node.keywords
        if word.arg in ("verify", "check_hostname", "ssl_verify") and ast.unparse(word.value) == "False"
    ]
    found += [f"{file}:{getattr(node, 'lineno', 0)}" for file, node in nodes(ast.Attribute)
              if getattr(node, "attr", "") in ("CERT_NONE", "_create_unverified_context")]  # fmt: skip
    assert found == []


def test_secrets_are_compared_in_constant_time() -> None:
    """Nothing that looks like a secret or its hash is compared with ==."""
    secret = re.compile(r"(?:^|_|\.)(?:secret|token|signature|mac|hmac|api_key|key_hash|password)$")
    found = [
        f"{file}:{getattr(node, 'lineno', 0)} {ast.unparse(node)}"
        for file, node in nodes(ast.Compare)
        if isinstance(node, ast.Compare)
        and any(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops)
        and any(secret.search(ast.unparse(side)) for side in (node.left, *node.comparators))
        and not any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
    ]
    assert found == []


def put_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What is put into the text of statements, but for our own constants."""
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(piece.value) for piece in node.values if isinstance(piece, ast.Constant))
            if SQL.search(text):
                values = [piece.value for piece in node.values if isinstance(piece, ast.FormattedValue)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            if re.match(r"_[A-Z]+$|\(_[A-Z]+ if", ast.unparse(node.func.value)):
                values = [*node.args, *(word.value for word in node.keywords)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
            sides = [node.left, node.right]
            if any(isinstance(one, ast.Constant) and SQL.search(str(one.value)) for one in sides):
                values = [one for one in sides if not isinstance(one, ast.Constant)]
        for value in values:
            said = ast.unparse(value)
            if not re.fullmatch(r"_?[A-Z][A-Z_]*", said):
                yield node.lineno, said


def test_no_words_of_anybody_get_into_the_text_of_a_statement() -> None:
    found = {
        f"{file}:{line} {said}"
        for file, tree in TREES.items()
        if "migrations/versions" not in file and (file.startswith("store/") or "SELECT" in ast.unparse(tree))
        for line, said in put_in(tree)
        if said not in OURS.get(file, set()) and not re.fullmatch(r"_DATED if .* else ''", said)
    }
    assert found == set()


@pytest.mark.parametrize(
    "text",
    [
        'conn.execute(f"SELECT * FROM turns WHERE id = {given}")',
        'statement = f"DELETE FROM {given}"',
        'conn.execute("SELECT * FROM " + given)',
        "conn.execute(\"DELETE FROM turns WHERE id = '%s'\" % given)",
        "conn.execute(_FIND.format(id=given))",
    ],
)
def test_words_in_a_statement_are_found(text: str) -> None:
    assert [said for _, said in put_in(ast.parse(text))] == ["given"]
