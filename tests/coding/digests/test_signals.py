"""Every signal fires on what it is about, and stays silent on what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from acted import MINUTE, Log, spend
from carryover.coding.digests.signals import KINDS

UNREAD = "<tool_use_error>File has not been read yet. Read it first before writing to it.</tool_use_error>"
LOST = "<tool_use_error>String to replace not found in file.\nString: x</tool_use_error>"
TWICE = "<tool_use_error>Found 2 matches of the string to replace, but replace_all is false.</tool_use_error>"
GONE = "<tool_use_error>File does not exist.</tool_use_error>"
REFUSED = "The user doesn't want to proceed with this tool use. The tool use was rejected"
RED, GREEN = "1 failed, 3 passed", "4 passed in 0.2s"


def work() -> Log:
    return Log().prompt("Fix the parser").text("I look at it.")


def failing(times: int, log: Log | None = None) -> Log:
    made = log or work()
    for n in range(times):
        made.run(f"make {'abcdefghijklm'[n]}", "make: no rule", 2)
    return made


def spread(failures: int, successes: int) -> Log:
    log = failing(failures)
    for n in range(successes):
        log.run(f"make {n} -n")
    return log


# kind, the key that it has there, a session that shows it
FIRES: list[tuple[str, str, Log]] = [
    ("tool_errors", "shell", work().run("make x", "no rule", 2).run("make y")),
    ("error", "shell make x: fatal: no rule for <path>", work().run("make x", "fatal: no rule for /a/b.c", 2)),
    ("error_streak", "shell make a", failing(3)),
    (
        "same_call_failed",
        "shell make a: error: x",
        work().run("make a", "error: x", 2).text("Hm").run("make a", "error: x", 2),
    ),
    ("runaway_loop", "shell make a", failing(6, failing(6))),
    ("edit_before_read", "edit: not read", work().edit("a.py", text=UNREAD, status="error")),
    (
        "edit_before_read",
        "edit: changed since it was read",
        work().edit(
            "a.py", text="File has been modified since read, either by the user or by a linter.", status="error"
        ),
    ),
    ("edit_mismatch", "edit: text not found", work().edit("a.py", text=LOST, status="error")),
    ("edit_mismatch", "edit: several matches", work().edit("a.py", text=TWICE, status="error")),
    ("wrong_path", "read: *.py", work().read("a.py", GONE, "error")),
    ("wrong_path", "shell: *.py", work().run("cat a/b.py", "cat: a/b.py: No such file or directory", 1)),
    ("reread", "read: *.py", work().read("a.py").read("b.py").read("a.py").read("a.py")),
    ("edit_revert", "edit: *.py", work().edit("a.py", "x", "y").edit("a.py", "y", "x")),
    (
        "edit_churn",
        "edit: *.py",
        work().edit("a.py", "1", "2").edit("a.py", "2", "3").edit("a.py", "3", "4").edit("a.py", "4", "5"),
    ),
    ("rejection", "shell git push", work().run("git push", REFUSED, status="rejected")),
    (
        "rejection",
        "plan ExitPlanMode",
        work().call("ExitPlanMode", {"plan": "x"}).back(REFUSED, "rejected"),
    ),
    ("interrupt", "shell make x", work().run("make x").add("interrupt", "[Request interrupted by user]")),
    ("steering", "prompt", work().run("make x").prompt("and y", detail={"via": "queued"})),
    ("rewind", "prompt", work().prompt("Fix the lexer instead", detail={"instead_of": "0" * 32})),
    ("correction", "wrong", work().edit("a.py").text("Done").prompt("that's wrong, it is b.py")),
    (
        "repeated_prompt",
        "prompt",
        work().prompt("please make the tests pass again").text("no").prompt("Please make the tests pass again!"),
    ),
    ("ended_red", "pytest", work().edit("a.py").run("pytest", RED, 1)),
    ("untested_edits", "*.py", work().edit("a.py").text("Done")),
    ("false_success", "shell pytest", work().edit("a.py").run("pytest", RED, 1).text("All tests pass now.")),
    ("false_success", "shell make x", work().run("make x", "no rule", 2).text("Done. It is fixed.")),
    ("left_open", "call: shell sleep", work().run("ls").call("Bash", {"command": "nohup sleeper"})),
    ("left_open", "prompt", work().prompt("Are you there?")),
    (
        "left_open",
        "plan",
        work().call("TodoWrite", {"todos": [{"status": "completed"}, {"status": "pending"}]}).back().text("Later."),
    ),
    ("idle_gap", "gap", work().later(31 * MINUTE).text("Back again.")),
    (
        "subagent_failed",
        "agent: Agent type <name> not found.",
        work().call("Task", {"prompt": "x"}).back("Agent type 'x' not found. Others: y", "error"),
    ),
    ("compaction", "context", work().add("compaction", "Conversation compacted", detail={"trigger": "auto"})),
    (
        "mid_task_compaction",
        "shell make a",
        failing(1).run("make a").add("compaction", "compacted").run("make a").run("make a"),
    ),
    ("context_pressure", "context", work()),
    ("api_trouble", "api: overloaded_error", work().add("failure", "overloaded_error").text("Again.")),
    ("approval", "praise", work().text("Done").prompt("thanks!")),
    ("test_fixed", "pytest", work().run("pytest", RED, 1).edit("a.py").run("pytest", GREEN)),
    ("clean_run", "pytest", work().edit("a.py").run("pytest", GREEN)),
    ("shipped", "git commit", work().run("git commit -m x", "[main 1234567] x")),
    ("shipped", "git push", work().run("git push 2>&1 | tail -1", "   1..2  main -> main")),
    ("shipped", "gh pr create", work().run("gh pr create --fill", "https://github.com/a/b/pull/7")),
    (
        "shipped",
        "pull request",
        work().add("note", "pull request: https://x/pull/7", detail={"pr": "https://x/pull/7"}),
    ),
    ("delegation", "agent", work().call("Task", {"description": "look"}).back("found")),
]

# kind, what is to be mistaken for it, a session that only looks like it
SILENT: list[tuple[str, str, Log]] = [
    ("tool_errors", "a search without a match", work().run("grep -r x src", code=1)),
    ("tool_errors", "what was called off with another", work().read("a.py", "Sibling tool call errored", "error")),
    ("tool_errors", "a refusal", work().run("git push", REFUSED, status="rejected")),
    ("error", "a refused plan", work().call("ExitPlanMode", {"plan": "x"}).back(REFUSED, "rejected")),
    ("error", "an error that is quoted", work().run("cat log.txt", "error: no rule")),
    ("error_streak", "a success between", failing(2).run("ls").run("make z", "no rule", 2)),
    ("same_call_failed", "another command", work().run("make a", "error", 2).run("make b", "error", 2)),
    ("same_call_failed", "it worked the second time", work().run("make a", "error", 2).run("make a")),
    ("runaway_loop", "five failures of twelve", spread(5, 7)),
    ("edit_before_read", "an edit that went well", work().edit("a.py", text="has not been read yet")),
    ("edit_mismatch", "a search without a match", work().run("rg 'not found' .", code=1)),
    ("wrong_path", "a command that lacks", work().run("make x", "make: foo: No such file or directory", 2)),
    ("reread", "an edit between", work().read("a.py").read("a.py").edit("a.py").read("a.py")),
    ("reread", "other parts", work().read("a.py", offset=1).read("a.py", offset=100).read("a.py", offset=200)),
    ("edit_revert", "another file", work().edit("a.py", "x", "y").edit("b.py", "y", "x")),
    ("edit_revert", "what was put in and taken out", work().edit("a.py", "", "y").edit("a.py", "y", "")),
    ("edit_churn", "three edits", work().edit("a.py", "1", "2").edit("a.py", "2", "3").edit("a.py", "3", "4")),
    ("rejection", "a call that failed", work().run("git push", "rejected by the remote", 1)),
    (
        "interrupt",
        "what follows a refusal",
        work()
        .run("git push", REFUSED, status="rejected")
        .add("interrupt", "[Request interrupted by user for tool use]"),
    ),
    ("steering", "a prompt of its own", work().text("Done").prompt("and y")),
    ("rewind", "another prompt", work().text("Done").prompt("Fix the lexer")),
    ("correction", "the first prompt", Log().prompt("that's wrong, fix it").text("Done")),
    ("correction", "what is quoted", work().text("Done").prompt("> that's wrong\nwhat does he mean?")),
    ("correction", "no problem", work().text("Done").prompt("No problem, go on")),
    ("correction", "put in by the harness", work().text("Done").prompt("<system-reminder>no, wrong</system-reminder>")),
    ("repeated_prompt", "a short one", work().prompt("go on").text("ok").prompt("go on")),
    (
        "repeated_prompt",
        "another one",
        work().prompt("please make the tests pass again").prompt("now write the documentation"),
    ),
    ("ended_red", "passed after it", work().run("pytest", RED, 1).edit("a.py").run("pytest", GREEN)),
    ("ended_red", "tests that are only spoken of", work().run('echo "go test ./... FAIL"', "go test ./... FAIL")),
    ("untested_edits", "prose", work().edit("README.md").text("Done")),
    ("untested_edits", "a test was run", work().edit("a.py").run("pytest", RED, 1)),
    (
        "untested_edits",
        "a plan of the agent's own",
        work().call("Write", {"file_path": "/home/ada/.claude/plans/x.py"}).back(),
    ),
    ("false_success", "it says so", work().edit("a.py").run("pytest", RED, 1).text("Fixed. One test still fails.")),
    ("false_success", "it did pass", work().edit("a.py").run("pytest", GREEN).text("All tests pass now.")),
    (
        "left_open",
        "nothing ever comes back in these logs",
        Log("cursor").prompt("Fix").call("Bash", {"command": "ls"}).text("ok"),
    ),
    ("left_open", "all is done", work().call("TodoWrite", {"todos": [{"status": "completed"}]}).back().text("Done")),
    ("idle_gap", "a short pause", work().later(20 * MINUTE).text("Back again.")),
    ("subagent_failed", "waiting for one", work().call("wait_agent", {"id": "1"}).back("timed out", "error")),
    ("compaction", "only old results were cut", work().add("compaction", "compacted", detail={"micro": True})),
    ("mid_task_compaction", "something else after it", failing(2).add("compaction", "c").run("ls").run("pwd")),
    ("context_pressure", "half full", work()),
    ("api_trouble", "a tool that failed", work().run("curl x", "503 overloaded", 22)),
    ("approval", "half of one", work().text("Done").prompt("great, but it still fails")),
    ("approval", "the first prompt", Log().prompt("thanks for helping").text("ok")),
    ("test_fixed", "nothing was changed", work().run("pytest", RED, 1).run("pytest", GREEN)),
    ("clean_run", "a refusal", work().edit("a.py").run("git push", REFUSED, status="rejected").run("pytest", GREEN)),
    ("shipped", "nothing to commit", work().run("git commit -m x || true", "nothing to commit, working tree clean")),
    ("shipped", "a dry run", work().run("git push --dry-run", "main -> main")),
    ("shipped", "it failed", work().run("git push", "! [rejected] main -> main", 1)),
    ("shipped", "spoken of", work().run('echo "git commit -m x"', "git commit -m x")),
    ("delegation", "what is only asked about", work().call("TaskOutput", {"task_id": "1"}).back("x")),
]
SPENDS = {"context_pressure": (spend(185_000),), "half full": (spend(90_000),)}


@pytest.mark.parametrize(("kind", "key", "log"), FIRES, ids=[f"{kind}-{key}" for kind, key, _ in FIRES])
def test_a_signal_fires_on_what_it_is_about(kind: str, key: str, log: Log) -> None:
    found = log.signals(kind, spends=SPENDS.get(kind, ()))
    assert key in [signal.key for signal in found] or key.startswith("call: ")
    for signal in found:
        assert signal.text
        assert signal.count >= 1
        assert signal.of is None or signal.of >= 1
        assert len(signal.sources) <= 4
        assert all(source.quote in log.steps[source.first - 1].text for source in signal.sources)
        assert all(len(source.quote) <= 200 for source in signal.sources)
        assert signal.sources or kind == "context_pressure"


@pytest.mark.parametrize(("kind", "why", "log"), SILENT, ids=[f"{kind}-{why}" for kind, why, _ in SILENT])
def test_a_signal_is_silent_on_what_only_looks_like_it(kind: str, why: str, log: Log) -> None:
    assert log.signals(kind, spends=SPENDS.get(why, ())) == []


def test_every_kind_is_tried_both_ways() -> None:
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names)) >= 28
    assert {kind for kind, _, _ in FIRES} == set(names)
    assert {kind for kind, _, _ in SILENT} == set(names)
    assert {kind.name for kind in KINDS if kind.good} == {
        "approval",
        "test_fixed",
        "clean_run",
        "shipped",
        "delegation",
    }


@pytest.mark.parametrize(("kind", "key", "log"), FIRES, ids=[f"{kind}-{key}" for kind, key, _ in FIRES])
def test_a_copy_of_another_sessions_turns_shows_nothing(kind: str, key: str, log: Log) -> None:
    assert log.signals(kind, replayed=range(1, len(log.steps) + 1)) == []


def test_a_refusal_quotes_what_the_user_said() -> None:
    text = "The user doesn't want to proceed with this tool use. To tell you how to proceed, the user said:\nuse make"
    log = work().call("Bash", {"command": "npm i"}).back(text, "rejected", detail={"said": "use make"})
    assert [source.quote for source in log.signals("rejection")[0].sources] == ["use make"]


def test_denominators_count_what_could_have_shown_it() -> None:
    log = work().read("a.py").read("b.py", GONE, "error").edit("a.py").edit("a.py", text=LOST, status="error").run("ls")
    of = {signal.kind: (signal.count, signal.of) for signal in log.digest().signals}
    assert of["wrong_path"] == (1, 3)
    assert of["edit_mismatch"] == (1, 2)
    assert [(s.key, s.count, s.of) for s in log.signals("tool_errors")] == [("edit", 1, 2), ("read", 1, 2)]


def test_what_a_flavor_cannot_tell_is_no_signal() -> None:
    log = Log("cursor").prompt("Fix").call("Bash", {"command": "make"}).back("error: x", "error").text("Done")
    kinds = {signal.kind for signal in log.digest().signals}
    assert not kinds & {kind.name for kind in KINDS if "errors" in kind.needs}


def test_no_quote_holds_a_secret() -> None:
    token = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5"
    log = work().run("deploy", f"error: cannot use the token {token} here", 1).text("ok")
    digest = log.digest()
    assert token not in repr(digest)
    assert digest.errors[0].quote == "error: cannot use the token"
    assert digest.errors[0].quote in log.steps[digest.errors[0].first - 1].text


def test_another_flavors_words_for_the_same_are_the_same_signal() -> None:
    patch = {"file_path": "a.py", "files": ["a.py"], "edits": [{"old_string": "x", "new_string": "y"}]}
    codex = Log("codex").prompt("Fix").call("apply_patch", patch)
    codex.back("apply_patch verification failed: Failed to find expected lines in a.py", "error").text("Hm")
    gemini = (
        Log("gemini-cli").prompt("Fix").call("replace", {"file_path": "a.py", "old_string": "x", "new_string": "y"})
    )
    gemini.back("Failed to edit, 0 occurrences found for old_string.", "error").text("Hm")
    assert [s.key for s in codex.signals("edit_mismatch")] == [s.key for s in gemini.signals("edit_mismatch")]


def test_the_documentation_tells_of_every_kind_and_how_common_it_is() -> None:
    told = (Path(__file__).parents[3] / "docs/explain/digests.md").read_text("utf-8")
    for kind in KINDS:
        rate = "–" if kind.rate is None else f"{kind.rate:g}%"
        assert f"| `{kind.name}` | {kind.doc} | {rate} |" in told
