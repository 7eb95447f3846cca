"""How a session ended: by evidence, with the turns that decided it."""

from __future__ import annotations

import pytest

from acted import Log
from carryover.core.digest import Outcome


def work() -> Log:
    return Log().prompt("Fix the parser").text("I look at it.").read("src/p.py").edit("src/p.py")


RED, GREEN = "1 failed, 3 passed", "4 passed in 0.2s"

ENDS: list[tuple[str, Log, Outcome, float, str]] = [
    ("tested", work().run("pytest", GREEN).text("It works."), "verified", 0.85, GREEN),
    (
        "tested and committed",
        work().run("pytest", GREEN).run("git commit -m x", "[main 1234567] x").text("Committed."),
        "verified",
        0.95,
        GREEN,
    ),
    ("committed", work().run("git commit -m x", "[main 1234567] x").text("Done"), "verified", 0.75, "[main 1234567] x"),
    (
        "tested, and changed again",
        work().run("pytest", GREEN).edit("src/p.py", "b", "c").text("OK"),
        "verified",
        0.65,
        GREEN,
    ),
    (
        "tests before the change",
        Log().prompt("Fix").run("pytest", GREEN).edit("a.py").text("Done"),
        "unverified",
        0.6,
        "Done",
    ),
    ("no tests", work().text("That should do."), "unverified", 0.6, "That should do."),
    ("last tests failed", work().run("pytest", RED, 1).text("I could not fix it."), "unverified", 0.7, RED),
    (
        "committed after tests that failed",
        work().run("pytest", RED, 1).run("git commit -m x", "[main 1234567] x").text("Done"),
        "unverified",
        0.7,
        RED,
    ),
    (
        "only talk",
        Log().prompt("What is this?").text("A parser.").prompt("ok").text("Good."),
        "unverified",
        0.5,
        "Good.",
    ),
    (
        "nothing to commit",
        work().run("git commit -m x", "nothing to commit", 1).text("Done"),
        "unverified",
        0.6,
        "Done",
    ),
    ("the provider failed", work().add("failure", "overloaded_error"), "errored", 0.9, "overloaded_error"),
    (
        "the provider failed and nobody answered",
        work().add("failure", "overloaded_error").prompt("go on"),
        "errored",
        0.7,
        "overloaded_error",
    ),
    (
        "three failures in a row",
        work().run("make a", "no rule", 2).run("make b", "no rule", 2).run("make c", "no rule", 2),
        "errored",
        0.8,
        "no rule",
    ),
    (
        "interrupted",
        work().add("interrupt", "[Request interrupted by user]"),
        "abandoned",
        0.8,
        "[Request interrupted by user]",
    ),
    ("no answer", work().text("Done").prompt("And now the other file"), "abandoned", 0.8, "And now the other file"),
    (
        "refused",
        work().edit("x.py", text="The user doesn't want", status="rejected"),
        "abandoned",
        0.7,
        "The user doesn't want",
    ),
    ("an open call", work().call("Bash", {"command": "sleep 99"}), "abandoned", 0.7, "Bash: sleep 99"),
    ("praise is no prompt without an answer", work().text("Done").prompt("thanks!"), "unverified", 0.6, "Done"),
    ("nor is leaving", work().text("Done").prompt("/exit", detail={"command": "/exit"}), "unverified", 0.6, "Done"),
    (
        "left after all was shown to work",
        work().run("pytest", GREEN).text("Done").prompt("And the docs?"),
        "verified",
        0.6,
        GREEN,
    ),
]


@pytest.mark.parametrize(
    ("log", "outcome", "confidence", "quote"), [end[1:] for end in ENDS], ids=[end[0] for end in ENDS]
)
def test_the_outcome_follows_from_what_stands_in_the_session(
    log: Log, outcome: Outcome, confidence: float, quote: str
) -> None:
    made = log.digest()
    assert (made.outcome, made.confidence) == (outcome, confidence)
    assert made.because[0].quote == quote
    assert all(quote.quote in log.steps[quote.first - 1].text for quote in made.because)


def test_a_session_without_anything_to_judge_is_unknown() -> None:
    assert Log().prompt("hi").text("hello").digest().outcome == "unknown"
    assert Log().digest().outcome == "unknown"


def test_what_another_session_did_decides_nothing_here() -> None:
    log = work().run("pytest", GREEN).prompt("And the docs?").text("Which?").prompt("All").text("No.")
    copied = range(1, 9)
    assert log.digest(replayed=copied).outcome == "unverified"
    assert log.digest().outcome == "verified"


def test_tests_in_a_pipe_are_judged_by_what_they_print() -> None:
    assert work().run("pytest | tail -3", RED).text("Done").digest().outcome == "unverified"
    assert work().run("pytest | tail -3", GREEN).text("Done").digest().outcome == "verified"


def test_a_flavor_that_tells_no_errors_shows_nothing_by_an_exit_code() -> None:
    log = Log("cursor").prompt("Fix it").edit("a.py").run("pytest", "").text("Done")
    assert log.digest().outcome == "unverified"
    assert Log("cursor").prompt("Fix it").edit("a.py").run("pytest", GREEN).text("Done").digest().outcome == "verified"


def test_a_plan_that_was_not_finished_makes_it_less_sure() -> None:
    log = work().call("TodoWrite", {"todos": [{"status": "completed"}, {"status": "in_progress"}]}).back()
    made = log.run("pytest", GREEN).text("The first half works.").digest()
    assert (made.outcome, made.confidence) == ("verified", 0.65)
