"""Few words, and those that leave no doubt: a prompt corrects, approves, or does neither."""

from __future__ import annotations

import pytest

from carryover.coding.digests.lexicon import approval, correction


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("no, use the other one", "no"),
        ("No. Use the other", "no"),
        ("no use the other one", "no"),
        ("it is not working", "still failing"),
        ("that's wrong", "wrong"),
        ("This is not right, look again", "wrong"),
        ("still fails with the same error", "still failing"),
        ("that didn't work", "still failing"),
        ("I said use tabs", "said already"),
        ("this is not what I meant", "said already"),
        ("undo that", "undo"),
        ("you forgot the tests", "missed"),
        ("why did you remove it?", "missed"),
        ("nein, nimm die andere", "no"),
        ("das stimmt nicht", "wrong"),
        ("geht immer noch nicht", "still failing"),
        ("ça ne marche pas", "still failing"),
        ("no funciona", "still failing"),
        ("está errado", "wrong"),
        ("不对,应该是这样", "wrong"),
        ("まだ動かない", "still failing"),
        ("не работает", "still failing"),
        ("this one is still failing: " + '{"level": "debug"} ' * 40, "still failing"),
    ],
)
def test_corrections_are_known(prompt: str, kind: str) -> None:
    assert correction(prompt) == kind
    assert approval(prompt) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "No problem, go on",
        "no thanks",
        "no, gracias",
        "No... thanks",
        "no entiendo este error, explícamelo",
        "The login page is not working on phones, find out why",
        "No errors now, continue",
        "Is there no way to do that?",
        "Add a check that says what is wrong",
        "Explain why did the test fail",
        "how can his tests pass if he didn't fix the cause?",
        "> that's wrong\nwhat do you think of this comment?",
        "The log says `still fails`, add a metric for it",
        "Write a function. " + "It takes a list and does things with it. " * 12 + "that's wrong",
        "",
    ],
)
def test_what_is_no_correction_is_none(prompt: str) -> None:
    assert correction(prompt) is None


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("thanks!", "praise"),
        ("perfect, now push it", "commit"),
        ("commit", "commit"),
        ("please commit and push", "commit"),
        ("looks good to me", "praise"),
        ("danke", "praise"),
        ("谢谢", "praise"),
    ],
)
def test_approvals_are_known(prompt: str, kind: str) -> None:
    assert approval(prompt) == kind


@pytest.mark.parametrize(
    "prompt", ["Great, but it still fails", "nice, however use tabs", "what is a commit?", "go on"]
)
def test_half_an_approval_is_none(prompt: str) -> None:
    assert approval(prompt) is None
