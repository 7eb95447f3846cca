"""What a session's calls amount to: which files it changed, how its tests went, and whether it shipped."""

from __future__ import annotations

import posixpath
import re
from bisect import bisect
from dataclasses import dataclass
from itertools import groupby

from carryover.coding.digests import testing
from carryover.coding.digests.course import Act, Course
from carryover.coding.digests.shell import Run, runs

_ARC = 12  # results that are told
_COMMITTED = re.compile(r"^\[[\w/.\-# ()]+ [0-9a-f]{7,40}\]", re.MULTILINE)
_PUSHED = re.compile(r"->|\* \[new branch\]|set up to track|Everything up-to-date")
_REQUESTED = re.compile(r"https?://\S+/(?:pull|merge_requests|pull-requests)/\d+|[Mm]erged pull request")
_NOTHING = re.compile(r"nothing to commit|no changes added to commit|nothing added to commit|Everything up-to-date")
_REQUEST_TOOLS = re.compile(r"(?:create|merge)_?(?:pull|merge)_?request", re.IGNORECASE)
_PLANS = re.compile(r"(?:\A|/)\.(?:claude|codex|grok|gemini|cursor)/|(?:\A|/)(?:tmp|temp)/|\A~/\.")
_TEXTS = re.compile(r"\.(?:md|mdx|markdown|txt|rst|adoc|json|ya?ml|toml|lock|ini|cfg|csv|svg|env|xml|html|css)\Z", re.I)


@dataclass(frozen=True, slots=True)
class Trial:
    """A run of tests: with what, and whether they passed (None: nothing tells)."""

    call: Act
    head: str
    passed: bool | None


@dataclass(frozen=True, slots=True)
class Arc:
    """Tests failed, something was changed, and the tests passed."""

    red: Trial
    green: Trial


def trials(course: Course) -> list[Trial]:
    """The session's runs of tests, in order; what was refused or broken off is none."""
    return course.once(_trials)


def _trials(course: Course) -> list[Trial]:
    found: list[Trial] = []
    for call in course.of("shell"):
        run = testing.run_of(call.command) if call.command else None
        if run is not None and call.status not in ("rejected", "cancelled"):
            failed = call.status == "error" if course.tells("errors") and call.status not in (None, "unknown") else None
            passed = testing.passed(run, call.result, failed=failed, exit_code=call.exit_code)
            found.append(Trial(call, run.head, passed if call.result_seq or call.exit_code is not None else None))
    return found


def edits(course: Course) -> list[Act]:
    """The calls that changed files of the project; not plans and scratch files of the agent's own."""
    return course.once(_edits)


def _edits(course: Course) -> list[Act]:
    return [
        call
        for call in course.of("edit", "write")
        if call.status in ("ok", "unknown", None) and any(not _PLANS.search(course.path(path)) for path in call.paths)
    ]


def of_code(course: Course) -> list[Act]:
    """The edits of files that tests could be about: program text, not prose or settings."""
    return [edit for edit in edits(course) if any(_is_code(path) for path in edit.paths)]


def _is_code(path: str) -> bool:
    return posixpath.splitext(path)[1] != "" and not _TEXTS.search(path)


def arcs(course: Course) -> list[Arc]:
    """Each time when tests failed, something was edited, and they passed."""
    changed = [edit.n for edit in edits(course)]
    found: list[Arc] = []
    red: Trial | None = None
    for trial in trials(course):
        if trial.passed is False:
            red = red or trial
        elif trial.passed and red is not None:
            if bisect(changed, red.call.n) < bisect(changed, trial.call.n):
                found.append(Arc(red, trial))
            red = None
    return found


def arc_of(trials: list[Trial]) -> str:
    """The results in order, repeated ones told once: `red green`; of many the first and the last."""
    told = [name for name, _ in groupby("green" if t.passed else "red" for t in trials if t.passed is not None)]
    return " ".join(told if len(told) <= _ARC else [*told[: _ARC // 2], "…", *told[-_ARC // 2 :]])


def shipped(course: Course) -> list[tuple[Act, str]]:
    """Commits, pushes and pull requests that succeeded, each with what it is called."""
    return course.once(_shipped)


def _shipped(course: Course) -> list[tuple[Act, str]]:
    found: list[tuple[Act, str]] = []
    for act in course.acts:
        if not act.own:
            continue
        if act.detail.get("pr") and act.kind == "note":
            found.append((act, "pull request"))
        elif act.kind == "call" and (name := _shipping(act, told=course.tells("errors"))):
            found.append((act, name))
    return found


def _shipping(call: Act, *, told: bool) -> str:
    """What the call shipped, the last thing of several; "" where it did not, or nothing tells."""
    if call.tool == "mcp" or call.tool == "other":
        return "pull request" if call.status == "ok" and told and _REQUEST_TOOLS.search(call.name) else ""
    if call.tool != "shell" or (call.status not in ("ok", "unknown") and call.exit_code != 0):
        return ""
    for run in reversed(runs(call.command) if call.command else ()):
        name, shown = _named(run)
        if name and (shown.search(call.result) or (told and not run.masked and call.status == "ok")):
            return "" if _NOTHING.search(call.result) and not shown.search(call.result) else name
    return ""


def _named(run: Run) -> tuple[str, re.Pattern[str]]:
    words = [word for word in run.words[1:] if not word.startswith("-")]
    if "--dry-run" in run.words or "--help" in run.words:
        return "", _COMMITTED
    if run.head == "git commit":
        return "git commit", _COMMITTED
    if run.head == "git push":
        return "git push", _PUSHED
    if (
        run.words[0] in ("gh", "glab", "hub")
        and words[1:2]
        and words[1] in ("create", "merge")
        and words[0] in ("pr", "mr")
    ):
        return f"{run.words[0]} {words[0]} {words[1]}", _REQUESTED
    return "", _COMMITTED
