"""Runs of tests are known by what is run, not by what is spoken of, and judged by exit code and output."""

from __future__ import annotations

import pytest

from carryover.coding.digests.testing import passed, run_of

TESTS = """
pytest -q|python -m pytest|python3 -m unittest|uv run pytest -x|tox -e py|python manage.py test|go test ./...
cd a && go test ./x -run TestY 2>&1 \\| tail|gotestsum|cargo test|cargo nextest run|npm test|npm t|npm run test:unit
pnpm -r test|yarn test|bun test|npx vitest run|jest --ci|node --test|deno test|npx playwright test|nx run app:test
mvn -q test|mvn verify|./gradlew test --info|gradle check|make test|make check|make test-unit|mise run test
mise run test:integration|just test|bundle exec rspec|rake spec|vendor/bin/phpunit|php artisan test|dotnet test
ctest --output-on-failure|cmake --build . --target test|bazel test //...|swift test|mix test|zig build test
./scripts/test.sh|bash tests/run_tests.sh|./run-tests|docker compose exec web pytest -q|FOO=1 make check
""".replace("\\|", "\x00")
OTHERS = """
echo "go test ./..."|git commit -m "run pytest"|grep pytest x|rg 'npm test'|cat test.py|ls tests|pip install pytest
go build ./...|go vet ./test|npm install jest|pytest --version|pytest --collect-only|rm -rf tests|mkdir test
git add tests/|go run ./cmd/test|cargo build|cargo check|npm run build|sed -n 1,10p test.sh|chmod +x test.sh
python foo.py|make build|docker build -t test .|gh pr checks|npm run lint|cargo add test|git checkout test
head tests/x_test.go|python3 -c "import test"|go mod tidy|git diff --check|npx tsc --noEmit|mise install
""".strip()


def listed(text: str) -> list[str]:
    return [command.replace("\x00", "|") for line in text.strip().splitlines() for command in line.split("|")]


@pytest.mark.parametrize("command", listed(TESTS))
def test_runs_of_tests_are_recognised(command: str) -> None:
    assert run_of(command) is not None


@pytest.mark.parametrize("command", listed(OTHERS))
def test_what_only_speaks_of_tests_runs_none(command: str) -> None:
    assert run_of(command) is None


@pytest.mark.parametrize(
    ("command", "text", "failed", "code", "expected"),
    [
        ("pytest", "5 passed", False, None, True),
        ("pytest", "1 failed, 4 passed", True, 1, False),
        ("pytest", "", False, 0, True),
        ("pytest", "", None, None, None),
        ("pytest | tail", "1 failed, 4 passed in 2s", False, None, False),
        ("pytest | tail", "5 passed in 2s", False, None, True),
        ("pytest | tail", "collecting", False, None, None),
        ("go test ./... | tail", "--- FAIL: TestX (0.00s)", False, None, False),
        ("go test ./...", "ok  \tacme/x\t0.4s", False, None, True),
        ("cargo test", "error: could not compile `x`", True, 101, False),
        ("npm test", "Tests: 3 failed, 9 passed", None, None, False),
        ("npm test", "Tests: 9 passed, 9 total", None, None, True),
        ("jest", "bash: jest: command not found", True, 127, None),
        ("mvn test | tail", "[INFO] BUILD SUCCESS", False, None, True),
        ("rspec", "12 examples, 0 failures", False, 0, True),
    ],
)
def test_how_a_run_went_is_told_by_its_exit_code_or_else_its_output(
    command: str, text: str, failed: bool | None, code: int | None, expected: bool | None
) -> None:
    run = run_of(command)
    assert run is not None
    assert passed(run, text, failed=failed, exit_code=code) is expected
