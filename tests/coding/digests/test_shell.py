"""What a command runs: past pipes, wrappers and quotes, and whether its exit code can be trusted."""

from __future__ import annotations

import pytest

from carryover.coding.digests.shell import heads, runs


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cd /x && go test ./... 2>&1 | tail -20", ("go test", "tail")),
        ("FOO=1 BAR='a b' timeout 60 npx jest --ci", ("jest",)),
        ('bash -lc "cd a; pytest -q || true"', ("pytest",)),
        ("git add -A && git commit -m 'it is done' && git push", ("git add", "git commit", "git push")),
        ("git -C /x commit -m y", ("git commit",)),
        ("npm run test:unit -- --watch=false", ("npm run test:unit",)),
        ("uv run --frozen python -m pytest tests", ("python -m pytest",)),
        ("for f in a b; do go vet $f; done", ("go vet",)),
        ("x=$(go test ./...)", ("go test",)),
        ("./gradlew test > out.txt", ("gradlew test",)),
        ("# go test\nls -la", ("ls",)),
        ("cat <<'EOF' > run.sh\ngo test ./...\nEOF\nchmod +x run.sh", ("cat", "chmod")),
        ("git commit -m \"$(cat <<'EOF'\nit's pytest && go test\nEOF\n)\"", ("git commit",)),
        ('echo "go test ./..." | wc -l', ("echo", "wc")),
        ("rg 'a|b; go test'", ("rg",)),
        ("echo 'never closed", ("echo",)),
        ("FOO=1", ()),
        ("", ()),
    ],
)
def test_what_a_command_runs_is_named_whatever_stands_around_it(command: str, expected: tuple[str, ...]) -> None:
    assert heads(command) == expected


@pytest.mark.parametrize(
    ("command", "masked"),
    [
        ("pytest", False),
        ("pytest;", False),
        ("cd x && pytest", False),
        ("pytest && git push", False),
        ("pytest | tail", True),
        ("pytest || true", True),
        ("pytest; echo done", True),
        ("pytest\nls", True),
        ("set -o pipefail; pytest | tee log", False),
    ],
)
def test_an_exit_code_that_is_not_the_commands_own_is_known_as_such(command: str, masked: bool) -> None:
    assert next(run.masked for run in runs(command) if run.head == "pytest") is masked
