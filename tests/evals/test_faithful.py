"""What was kept of the details that were said, and what is told that nobody said."""

from __future__ import annotations

import pytest

from carryover.core.session import Draft, Source, Turn, to_json
from carryover.core.snapshot import Finding
from carryover.evals.faithful import Spoken, details, kept, survival, unsupported
from carryover.evals.faithful import cited_of as cited


def turn(seq: int, text: str, **more: str) -> Turn:
    draft = Draft("user", text, **more)  # pyright: ignore[reportArgumentType]
    return Turn(seq, f"t{seq}", draft.role, to_json(text), draft.kind, 0, 0, 1_683_554_160_000, name=draft.name)


def finding(text: str, *places: int, quote: str = "") -> Finding:
    sources = tuple(Source("s", seq, seq, quote) for seq in places)
    return Finding("f", "fact", text, "active", 0, sources, "rules")


TURNS = [
    turn(1, "We have 14 kayaks at Lake Constance."),
    turn(2, "The list is in `prices.toml`, since 1 June."),
    Turn(3, "t3", "assistant", to_json("I made 99 copies for Bregenz."), "message", 0, 0, 0),
    Turn(4, "t4", "tool", to_json("exit 77"), "tool_result", 0, 0, 0),
]


def test_details_are_those_that_people_said() -> None:
    said = details(TURNS)
    assert {"14", "lake constance", "prices.toml"} <= said
    assert not {"99", "bregenz", "77"} & said


def test_survival_counts_by_kind_what_findings_carry_in_text_or_quote() -> None:
    said = frozenset({"14", "17", "lake constance", "prices.toml", "june"})
    findings = [finding("There are 14 boats.", 1, quote="at Lake Constance."), finding("A list.", 2)]
    assert survival(said, findings) == {
        "dates": (0, 1), "identifiers": (0, 1), "names": (1, 1), "numbers": (1, 2)
    }  # fmt: skip
    assert survival([], findings) == {}


def test_a_finding_may_say_only_what_the_turns_that_it_cites_say() -> None:
    right = finding("14 kayaks lie at Lake Constance.", 1)
    elsewhere = finding("14 kayaks are in prices.toml.", 2)
    assert unsupported([right], cited({"s": TURNS})) == []
    assert unsupported([elsewhere], cited({"s": TURNS})) == ["14: 14 kayaks are in prices.toml."]
    assert unsupported([finding("14 kayaks.")], cited({"s": TURNS})) == ["14: 14 kayaks."]


@pytest.mark.parametrize(
    ("line", "strange"),
    [
        ('- 8 May 2023, s turn 12, user: "We have 14 kayaks at Lake Constance." / assistant: "99 copies"', []),
        ("- We have 14 kayaks. (8 May 2023)", []),
        ("- Kayaks At Lake Constance Kayaks", []),  # lines that were joined
        ("- We have 15 kayaks.", ["15"]),
        ("- It began on 9 May 2023, user: hello", ["9"]),
        ("- Peter prefers them.", ["peter"]),
        ("## 88 things", []),
    ],
)
def test_a_context_may_say_only_what_was_said(line: str, strange: list[str]) -> None:
    spoken = Spoken.of({"s": TURNS})
    assert [detail.partition(":")[0] for detail in spoken.unsupported(f"Notes.\n{line}\n")] == strange
    assert len(spoken.unsupported(line)) == len(strange)  # a second look gives the same


def test_what_was_kept_of_a_conversation() -> None:
    found = kept({"s": TURNS}, [finding("14 kayaks.", 1), finding("15 kayaks.", 1)], TURNS[1:2], ["", "- 16 boats"])
    assert found.unsupported == ("15: 15 kayaks.", "16: 16 boats")
    assert (found.statements, found.contexts) == (2, 1)
    assert found.survived["numbers"] == (1, 2)
    assert "1" not in found.asked
