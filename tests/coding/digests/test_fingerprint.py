"""Errors that are the same but for what changes from session to session have the same fingerprint."""

from __future__ import annotations

import pytest

from carryover.coding.digests import fingerprint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Exit code 1\n\x1b[31mcmd/app/x.go:12:3: undefined: fooBar\x1b[0m", "<path>:<n>:<n>: undefined: fooBar"),
        ("<tool_use_error>File does not exist.</tool_use_error>", "File does not exist."),
        ("Exit code 128\nfatal: not a git repository: .git", "fatal: not a git repository: .git"),
        ("=== RUN TestX\n  x_test.go:20: expected 3 got 4 after 1.34s", "<path>:<n>: expected <n> got <n> after <t>"),
        ("ENOENT: no such file, open '/Users/ada/x/y.go'", "ENOENT: no such file, open '<path>'"),
        ("C:\\Users\\ada\\foo.txt not found", "<path> not found"),
        ("error 3f2ab91c at 2026-01-02T03:04:05Z", "error <hex> at <time>"),
        ("failed: 123e4567-e89b-12d3-a456-426614174000", "failed: <id>"),
        ("fetch failed https://api.example.com/a?b=c", "fetch failed <url>"),
        ("Command: ls /x\nDirectory: /tmp\nOutput: ls: /x: No such file\nExit Code: 1", "ls: <path>: No such file"),
        ("", ""),
        ("Exit code 1", ""),
    ],
)
def test_what_changes_is_left_out(text: str, expected: str) -> None:
    assert fingerprint.of_error(text) == expected


def test_equal_errors_of_two_machines_are_equal() -> None:
    one = "Exit code 2\n/home/ada/a/b.go:1: error: timed out after 31s (pid 4411)"
    other = "Exit code 2\n/Users/eve/work/c.go:99: error: timed out after 2m (pid 7)"
    assert fingerprint.of_error(one) == fingerprint.of_error(other)


def test_a_tool_says_first_what_is_wrong_and_names_do_not_count() -> None:
    found = (
        "Found 3 matches of the string to replace, but replace_all is false. To replace one, be precise.\nString: err"
    )
    assert fingerprint.of_error(found, printed=False).startswith("Found <n> matches of the string to replace")
    assert fingerprint.of_error("Agent type 'x' not found. Available agents: y", printed=False) == (
        fingerprint.of_error("Agent type 'z' not found. Available agents: q", printed=False)
    )


def test_no_fingerprint_is_longer_than_160_characters() -> None:
    assert len(fingerprint.of_error("error " + "word " * 200)) <= fingerprint.LONGEST


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.go", "*.go"),
        ("a/b_test.go", "test *.go"),
        ("tests/x.py", "test *.py"),
        ("foo.test.ts", "test *.ts"),
        ("Makefile", "Makefile"),
        ("src", "folder"),
        (".gitignore", "dotfile"),
        ("C:\\x\\y.cs", "*.cs"),
    ],
)
def test_paths_have_a_class(path: str, expected: str) -> None:
    assert fingerprint.of_path(path) == expected
