"""Quotes must stand in their turns, and details must come from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.session import Kind, Role, Source, Turn, to_json
from carryover.core.snapshot import Finding, Found
from carryover.memory import ground


def turn(seq: int, text: str, role: Role = "user", kind: Kind = "message", name: str | None = None) -> Turn:
    return Turn(seq, f"t{seq}", role, to_json(text), kind, 0, 1, 0, name)


TURNS = [
    turn(1, "Let's use  PostgreSQL\nfor the ledger."),
    turn(2, "The fee is 2.9% of $1,200.", "assistant", name="Ana"),
]


def test_a_quote_holds_only_in_the_turns_that_are_cited() -> None:
    assert ground.holds("for the ledger", TURNS, 1, 1)
    assert ground.holds("The fee is 2.9%", TURNS, 1, 2)
    assert not ground.holds("The fee is 2.9%", TURNS, 1, 1)
    assert not ground.holds("the fee", TURNS, 1, 2)
    assert not ground.holds("use PostgreSQL", TURNS, 1, 2)
    assert not ground.holds("ledger.The fee", TURNS, 1, 2)
    assert not ground.holds(" ", TURNS, 1, 2)


def test_white_space_is_repaired_to_the_turns_own_characters() -> None:
    assert ground.verbatim("use PostgreSQL for the", TURNS, 1, 2) == "use  PostgreSQL\nfor the"
    assert ground.verbatim("The fee", TURNS, 1, 2) == "The fee"
    assert ground.verbatim("use MySQL", TURNS, 1, 2) is None
    assert ground.verbatim("  ", TURNS, 1, 2) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We pay $1,200.50 or 15 % by 2026-06-05.", {"1200.50", "15", "2026-06-05"}),
        ("Meet on Friday, June 5 at 10:30.", {"friday", "june", "5", "10:30"}),
        ("Set `max_wait` and --dry-run in src/app/main.py.", {"max_wait", "--dry-run", "src/app/main.py"}),
        (
            "Call getUserId() of HTTPServer in config.toml, v1.2.3.",
            {"getuserid()", "httpserver", "config.toml", "v1.2.3"},
        ),
        ('She said "go now" to Ren Solanke.', {"go now", "ren solanke"}),
        ("Ana prefers tea. Tabs are fine.", {"ana"}),
        ("Mail bob@example.com about eu-west-3.", {"bob@example.com", "eu-west-3"}),
        ("A 5K run with gRPC.", {"5", "grpc"}),
        ("nothing special here", set[str]()),
    ],
)
def test_atoms(text: str, expected: set[str]) -> None:
    assert expected <= ground.atoms(text)
    if not expected:
        assert ground.atoms(text) == frozenset()


def test_what_the_turns_do_not_say_is_unsupported() -> None:
    assert ground.unsupported("The ledger uses PostgreSQL.", TURNS) == frozenset()
    assert ground.unsupported("Ana: the fee is 2.9 % of 1200 dollars", TURNS) == frozenset()
    assert ground.unsupported("The ledger uses MySQL 8.", TURNS) == {"mysql", "8"}
    assert ground.unsupported("The fee is 12.9%.", TURNS) == {"12.9"}
    assert ground.unsupported("The fee is 2.9% for Bob Stone.", TURNS) == {"bob stone"}


@pytest.mark.parametrize(
    ("said", "text", "missing"),
    [
        ("The fee is 2.9%.", "The fee is 9%.", {"9"}),
        ("The fee is 2.9%.", "The fee is 2%.", {"2"}),
        ("It costs $1,200.50.", "It costs $200.50.", {"200.50"}),
        ("It costs $1,200.", "It costs 1200 dollars.", set[str]()),
        ("We run 3.11.4 now.", "We run 3.11 now.", set[str]()),
        ("We run 3.11.4 now.", "We run 11.4 now.", {"11.4"}),
        ("On 2026-06-05 at 10:30.", "In 2026, at 10.", set[str]()),
        ("Between 5-7 people.", "Up to 7 people.", set[str]()),
        ("Rooms 4,5,6 are free.", "Room 5 is free.", set[str]()),
        ("Port 10.0.0.1:8080.", "Port 8080 of 10.0.0.1.", set[str]()),
        ("Port 10.0.0.1:8080.", "Port 808.", {"808"}),
    ],
)
def test_a_number_is_carried_whole_or_by_its_natural_parts(said: str, text: str, missing: set[str]) -> None:
    assert ground.unsupported(text, [turn(1, said)]) == missing


def test_strays_are_the_words_that_nobody_said() -> None:
    assert ground.strays("Ana: the ledgers use PostgreSQL, fees of $1,200.", TURNS) == frozenset()
    assert ground.strays("Bob never uses MySQL for the ledger.", TURNS) == {"bob", "never", "mysql"}
    long = turn(1, "I like tea.", name="x" * 60)
    assert ground.strays(f"{'x' * 40}: I like tea.", [long]) == frozenset()
    assert ground.strays("", TURNS) == frozenset()


def test_uncovered_names_the_details_that_no_finding_carries() -> None:
    turns = [*TURNS, turn(3, "Port 8080, host db-1.", kind="tool_result", role="tool"), turn(4, "thanks")]
    found = Found("decision", "Let's use PostgreSQL for the ledger.", "PostgreSQL", 1, 1)
    assert ground.uncovered(turns, [found]) == {2: frozenset({"2.9", "1200"})}
    finding = Finding("f", "fact", "The fee is 2.9%.", "active", 0, (Source("s", 2, 2, "2.9% of $1,200"),), "rules")
    assert ground.uncovered(turns, [found, finding]) == {}


@given(st.text(max_size=300))
def test_a_text_supports_its_own_atoms(text: str) -> None:
    assert ground.unsupported(turn(1, text).text, [turn(1, text)]) == frozenset()


@given(st.text(max_size=120), st.integers(0, 60), st.integers(1, 60))
def test_any_stretch_of_a_turn_is_a_quote_of_it(text: str, start: int, length: int) -> None:
    said = [turn(1, text)]
    quote = said[0].text[start : start + length]
    assert ground.holds(quote, said, 1, 1) is bool(quote.strip())
