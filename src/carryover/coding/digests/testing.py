"""Which commands run tests, and whether the tests passed."""

from __future__ import annotations

import re
from functools import lru_cache

from carryover.coding.digests.shell import Run, runs

# Programs that do nothing but run tests.
_OF_TESTS = """
    pytest py.test tox nox gotestsum ginkgo jest vitest mocha ava karma rspec phpunit pest paratest ctest bats prove
    busted behave cucumber nose2 nosetests trial cypress jasmine tap c8 nyc stestr wtr
"""
_RUNNERS = frozenset(_OF_TESTS.split())
# Programs that run what they are told to: a target that speaks of tests.
_OF_TARGETS = """
    make gmake just task mise npm pnpm yarn bun deno gradle gradlew mvn mvnw rake rails composer artisan dotnet cmake
    meson ninja bazel bazelisk swift xcodebuild flutter dart mix sbt lein stack cabal zig go cargo nx turbo ng
    playwright gulp grunt hatch invoke inv poe moon pants buck2 lerna rush ant scons earthly forge hardhat anchor gleam
    rebar3 crystal dune wasm-pack ddev sail clj clojure bb django-admin
"""
_TARGETED = frozenset(_OF_TARGETS.split())
_TARGET = re.compile(r"(?:\A|[:_\-./])(?:tests?|specs?|e2e)(?:\Z|[:_\-./])", re.IGNORECASE)
# Short or general names of targets, and of the programs that mean tests by them.
_MEANT = {
    "t": frozenset(("npm", "pnpm", "yarn", "bun")),
    "check": frozenset(("make", "gmake", "just", "task", "mise", "gradle", "gradlew")),
    "verify": frozenset(("mvn", "mvnw")),
    "nextest": frozenset(("cargo",)),
}
_PATHS = frozenset(("go", "cargo", "npm", "pnpm", "yarn", "bun", "deno"))  # they are told paths, not only targets
_INTERPRETERS = frozenset(("python", "python3", "py", "node", "ruby", "php", "perl", "tsx", "bash", "sh", "zsh"))
_SCRIPT = re.compile(
    r"(?:\A|[/_\-.])(?:run[_\-]?)?tests?(?:[_\-.]\w+)*\.(?:sh|py|js|mjs|cjs|ts|rb|pl|php|bat|ps1)\Z"
    r"|(?:\A|/)(?:run[_\-])?tests?\Z"
)
_NONE = re.compile(
    r"\A(?:--help|-h|--version|-V|--collect-only|--co|--list|--list-tests|--listTests|--showConfig|-list)\Z"
)
_OTHERS = "install add i remove init create vet get build mod info view help uninstall upgrade outdated why publish"
_NOT_TARGETS = frozenset(_OTHERS.split())

# What runners print once it is over.
_RED = re.compile(
    r"\b[1-9]\d* (?:tests? )?(?:failed|failures?|failing|errors?)\b|^(?:--- )?FAIL\b|^FAILED\b|\bfailures?=[1-9]"
    r"|\berrors=[1-9]|test result: FAILED|Tests?:?\s+[1-9]\d* failed|Failed:\s+[1-9]|Failures: [1-9]|BUILD FAILURE"
    r"|BUILD FAILED|could not compile|\[build failed\]|^panic:|make(?:\[\d+\])?: \*\*\*|npm ERR!|ERR_PNPM|^not ok \d"
    r"|error Command failed",
    re.MULTILINE,
)
_GREEN = re.compile(
    r"\b[1-9]\d* (?:tests? )?(?:passed|passing|successes)\b|^ok\s+\S+|^PASS\b|test result: ok|^OK(?: \(|$)"
    r"|\b0 failures\b|BUILD SUCCESS|All tests passed|Passed!|Tests run: \d+, Failures: 0, Errors: 0|100% tests passed"
    r"|^# fail 0$",
    re.MULTILINE,
)
_NOT_RUN = re.compile(
    r"command not found|No such file or directory|not recognized as|Missing script|no tests? (?:ran|found)",
    re.IGNORECASE,
)


@lru_cache(4_096)
def run_of(command: str) -> Run | None:
    """The last of the command's runs that is a run of tests; None where it runs none."""
    return next((run for run in reversed(runs(command)) if is_test(run)), None)


def is_test(run: Run) -> bool:
    """Whether the run is one of tests, by its words."""
    words = run.words
    program = words[0].rpartition("/")[2]
    if any(_NONE.match(word) for word in words[1:]):
        return False
    if program in ("docker", "docker-compose", "podman", "kubectl"):
        inner = next(
            (n for n, word in enumerate(words) if word.rpartition("/")[2] in _RUNNERS | {"go", "cargo", "npm"}), 0
        )
        return inner > 1 and is_test(Run(words[inner:]))
    if program in _RUNNERS:
        return "install" not in words[1:2]
    if program in _INTERPRETERS and _interpreted(words):
        return True
    if program in _TARGETED:
        return _targeted(program, words[1:])
    return _SCRIPT.search(words[0]) is not None


def passed(run: Run, text: str, *, failed: bool | None, exit_code: int | None) -> bool | None:
    """Whether the tests of this run passed, by its exit code and by what was printed; None where nothing tells.

    `failed` is what the flavor says of the call. An exit code of 0 proves nothing where a pipe hides it.
    """
    bad = exit_code not in (None, 0) or failed is True
    red, green = _RED.search(text), _GREEN.search(text)
    if bad:
        return None if _NOT_RUN.search(text) and not red else False
    if red:
        # An exit code that nothing hides knows better than a word in what was printed.
        return not (run.masked or failed is None)
    if green:
        return True
    return None if run.masked or failed is None else True


def sums_up(line: str) -> bool:
    """Whether the line says how a run of tests went."""
    return bool(_RED.search(line) or _GREEN.search(line))


def _interpreted(words: tuple[str, ...]) -> bool:
    rest = words[1:]
    if "-m" in rest[:3]:
        module = rest[rest.index("-m") + 1 :][:1]
        return bool(module) and (module[0] in _RUNNERS or module[0] in ("unittest", "test", "nose"))
    if "--test" in rest or "test" in rest[1:2]:  # `node --test`, `python manage.py test`, `php artisan test`
        return True
    script = next((word for word in rest if not word.startswith("-")), "")
    return _SCRIPT.search(script) is not None


def _targeted(program: str, rest: tuple[str, ...]) -> bool:
    for word in rest:
        if word == "--" or (word in _NOT_TARGETS and program != "zig"):  # its tests are a step of a build
            return False
        if word.startswith("-") or "=" in word:
            continue
        if program in _MEANT.get(word, ()):
            return True
        if _TARGET.search(word):
            return not ("/" in word and program in _PATHS)
    return False
