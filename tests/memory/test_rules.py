"""The rules over labelled turns, over what only several turns say together, and over hostile text."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from carryover.core.session import Kind, Role, Turn, to_json
from carryover.core.snapshot import Extraction, Finding, Found
from carryover.core.usage import Usage
from carryover.memory import ground
from carryover.memory.rules import Rules, summary
from gold_rules import ROWS

AT = 1_790_000_000_000  # a Monday


def turn(seq: int, role: Role, text: str, *, kind: Kind = "message", name: str | None = None) -> Turn:
    return Turn(seq, f"t{seq}", role, to_json(text), kind, AT, 1, AT + seq * 60_000, name)


def talk(*said: tuple[Role, str]) -> list[Turn]:
    return [turn(n, role, text) for n, (role, text) in enumerate(said, 1)]


def read(turns: Sequence[Turn], live: Sequence[Finding] = ()) -> Extraction:
    return Rules().extract(turns, live)[0]


def is_meant(found: Found, kind: str, named: str) -> bool:
    right = found.pinned if kind == "pinned" else found.kind == kind
    return right and all(word.lower() in found.text.lower() for word in named.split())


def test_labelled_turns() -> None:
    hits = extra = missed = 0
    for role, text, expected in ROWS:
        left = list(read([turn(1, role, text)]).found)
        for kind, named in expected:
            hit = next((f for f in left if is_meant(f, kind, named)), None)
            if hit is None:
                missed += 1
            else:
                hits += 1
                left.remove(hit)
        extra += len(left)
    assert hits / (hits + extra) >= 0.95, "precision"
    assert hits / (hits + missed) >= 0.95, "recall"


def test_the_labelled_set_is_large_and_half_of_it_only_looks_alike() -> None:
    assert len(ROWS) >= 60
    assert sum(not expected for _, _, expected in ROWS) >= 25


def test_nothing_is_consumed() -> None:
    turns = talk(("user", "Let's use PostgreSQL for the ledger."))
    assert Rules().estimate(turns, []) == Usage()
    assert Rules().extract(turns, [])[1] == Usage(turns_covered=1)


def test_an_accepted_proposal_is_a_decision_of_both_turns() -> None:
    turns = talk(
        ("user", "How should we keep sessions?"),
        ("assistant", "There are several ways. I'd suggest we use Redis for the session cache."),
        ("user", "yes, do that"),
    )
    (found,) = read(turns).found
    assert (found.kind, found.first, found.last) == ("decision", 2, 3)
    assert "Redis" in found.text
    assert found.quote == "I'd suggest we use Redis for the session cache."


@pytest.mark.parametrize(
    "reply", ["no, too heavy", "ok but what does it cost?", "Why Redis?", "hm, not sure about that"]
)
def test_a_proposal_that_is_not_accepted_is_nothing(reply: str) -> None:
    turns = talk(("assistant", "I'd suggest we use Redis for the session cache."), ("user", reply))
    assert read(turns).found == ()


def test_the_accepted_proposal_is_the_one_that_the_reply_names() -> None:
    proposals = "We could use Redis for sessions. I'd recommend we use Kafka for the queue."
    (found,) = read(talk(("assistant", proposals), ("user", "Yes, do it, Redis for sessions."))).found
    assert "Redis" in found.text


def test_an_answer_is_read_with_its_question() -> None:
    (choice,) = read(talk(("assistant", "Which database should we use?"), ("user", "Postgres"))).found
    assert (choice.kind, choice.first, choice.last, choice.quote) == ("decision", 1, 2, "Postgres")
    (fact,) = read(talk(("assistant", "What is your deadline?"), ("user", "June 5"))).found
    assert fact.kind == "fact"
    assert read(talk(("assistant", "How are you?"), ("user", "Good, thanks"))).found == ()


@pytest.mark.parametrize(
    ("end", "is_end"),
    [
        ("I've emailed Bob the quarterly report.", True),
        ("The quarterly report for Bob is done.", True),
        ("Never mind the quarterly report for Bob.", True),
        ("I haven't finished the quarterly report for Bob.", False),
        ("Once the quarterly report is sent to Bob, we can talk.", False),
        ("Have you sent the quarterly report to Bob?", False),
        ("I finished the slides for Bob.", False),
        ("I've sent the yearly summary.", False),
    ],
)
def test_a_task_ends_only_where_its_end_names_it(end: str, is_end: bool) -> None:
    extraction = read(
        talk(("user", "I need to email Bob the quarterly report by Friday."), ("assistant", "Ok."), ("user", end))
    )
    closed = [c for c in extraction.closed if c.found == 0]
    assert bool(closed) is is_end
    assert all(c.status == "done" and c.last == 3 and "turn 3" in c.reason for c in closed)


def test_a_bare_done_ends_the_one_task_just_spoken_of() -> None:
    one = read(talk(("user", "Remind me to buy milk."), ("assistant", "Sure."), ("user", "done")))
    assert [c.found for c in one.closed] == [0]
    two = read(talk(("user", "Remind me to buy milk. Remind me to feed the cat."), ("user", "done")))
    assert two.closed == ()


def test_an_earlier_task_is_ended_by_its_id() -> None:
    task = Finding("f_1", "task", "User: I need to renew the certificate.", "open", AT, (), "rules")
    (closed,) = read([turn(9, "assistant", "I've renewed the certificate for `api.example.com`.")], [task]).closed
    assert (closed.finding_id, closed.found, closed.status, closed.first) == ("f_1", None, "done", 9)


def test_a_correction_takes_over_the_subject_that_it_sets_right() -> None:
    first, second = read(talk(("user", "The API limit is 500."), ("user", "Actually the limit is now 1000."))).found
    assert first.subject == second.subject == "api limit (number)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The API limit is 500.", "The upload limit is now 1000 MB."),
        ("The staging port is 8080.", "The production port is 9090."),
        ("The budget for food is $500.", "The budget for travel is now $900."),
        ("The meeting is on Friday.", "The meeting is at 10:30."),
        ("We'll use PostgreSQL for the ledger.", "We'll use Redis for the cache."),
        ("The API is written in Go 1.22.", "The API is now served by Nginx 1.27."),
    ],
)
def test_different_attributes_have_different_subjects(one: str, other: str) -> None:
    first, second = read(talk(("user", one), ("user", other))).found
    assert first.subject != second.subject or not first.subject


def test_a_decision_that_names_what_it_replaces_ends_it() -> None:
    extraction = read(
        talk(("user", "We'll use Tesseract."), ("user", "We decided to switch from Tesseract to PaddleOCR."))
    )
    (closed,) = extraction.closed
    assert (closed.found, closed.replaced_by, closed.status) == (0, 1, "superseded")


def test_tools_reasoning_and_injected_text_are_not_read() -> None:
    turns = [
        turn(1, "tool", "The API limit is 500.", kind="tool_result"),
        turn(2, "assistant", "I've fixed `queue.py`.", kind="reasoning"),
        turn(3, "assistant", "We decided to use Redis.", kind="tool_call"),
        turn(4, "user", "This session is being continued from a previous one. The API limit is 500."),
    ]
    assert read(turns).found == ()


def test_a_speaker_with_a_name_is_a_person() -> None:
    turns = [turn(1, "assistant", "I adopted two guinea pigs last week.", name="Melanie")]
    (found,) = read(turns).found
    assert found.text == "Melanie: I adopted two guinea pigs last week."
    assert not found.pinned


def test_a_sentence_that_points_back_takes_the_one_before_along_or_is_dropped() -> None:
    (first, second) = read(talk(("user", "We rent the hall in Lyon. It costs 900 euros a day."))).found
    assert second.text == "We rent the hall in Lyon. It costs 900 euros a day."
    assert first.text == "We rent the hall in Lyon."
    assert read(talk(("user", "It costs 900 euros a day."))).found == ()


def test_details_survive_as_they_were_written() -> None:
    text = "My build fails on `libfoo-2.4.1` in /opt/app/src/main.cpp since commit 3fa9c1d, see https://ci.example.com/4417."
    (found,) = read(talk(("user", text))).found
    for detail in ("`libfoo-2.4.1`", "/opt/app/src/main.cpp", "3fa9c1d", "https://ci.example.com/4417"):
        assert detail in found.text


def test_a_day_since_which_it_holds_is_resolved_and_a_deadline_is_not() -> None:
    day = 86_400_000
    (moved,) = read(talk(("user", "I moved to Porto yesterday."))).found
    assert moved.valid_from == (AT // day - 1) * day
    (price,) = read(talk(("user", "From 2026-10-01 our price is 49 euros."))).found
    assert price.valid_from == 1_790_812_800_000
    (deadline,) = read(talk(("user", "Our deadline is next Friday."))).found
    assert deadline.valid_from is None


def test_a_pasted_document_gives_little() -> None:
    lines = [f"The service number {n} has a limit of {n * 10} requests." for n in range(200)]
    found = read(talk(("user", "I'm looking into this.\n\n" + "\n".join(lines)))).found
    assert len(found) <= 10


def test_the_summary_is_in_the_words_of_the_user() -> None:
    turns = talk(
        ("user", "Hi there!"),
        ("user", "I'm planning a three-day trade fair in Lyon for 400 visitors."),
        ("assistant", "Wonderful."),
    )
    assert read(turns).summary == "I'm planning a three-day trade fair in Lyon for 400 visitors."
    assert summary([]) == ""


HOSTILE = [
    "a" * 10_000_000,
    "I need to " * 200_000,
    "(" * 300_000,
    "`" * 300_000,
    '"I said ' * 100_000,
    "<a>\n" * 100_000,
    "- [ ] \n" * 100_000,
    ". " * 300_000,
    "we decided to use, and can you " * 50_000 + "?",
    "a.b/" * 200_000,
    "the limit is 5 " * 100_000,
    "\n" * 1_000_000,
    "1" * 1_000_000,
    "x_" * 500_000,
    "yes, " * 200_000,
    '"' + "we decided to use x. " * 100_000,
    '"a" ' * 300_000,
    "“a «b „c " * 200_000,
    "instead of " * 200_000,
    "we moved the launch to 3 May " * 60_000,
    "The The The " * 200_000,
    "no longer use the " * 100_000,
    "either or either or " * 100_000,
    "write a mail: " * 100_000,
    "I haven't " * 200_000 + "yet",
    "done " * 300_000,
    "1 2 3 " * 200_000 + "May",
    "a'" * 500_000,
    "please don't " * 150_000 + "always",
]


def test_what_is_quoted_over_several_sentences_is_not_said() -> None:
    said = 'They wrote: "We decided to use Oracle. The limit is 500 requests. Always answer in French." Strange.'
    assert read(talk(("user", said))).found == ()


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("Draft a mail to the landlord please", "I will transfer the rent on Monday. We have decided to stay."),
        ("Translate this: I always pay in cash.", "Pago siempre en efectivo. I will pay on Monday."),
        ("Let's rehearse the interview.", "I've decided that I need a bigger team by Friday."),
    ],
)
def test_texts_that_were_asked_for_state_nothing(asked: str, made: str) -> None:
    assert read(talk(("user", asked), ("assistant", made))).found == ()


def test_what_follows_a_lead_in_was_pasted() -> None:
    text = "From our handbook:\nEmployees must submit expenses by Friday.\nThe company decided to close in May."
    assert read(talk(("user", text))).found == ()


@pytest.mark.parametrize(
    ("older", "newer", "is_update"),
    [
        ("The launch is 20 April.", "We moved the launch to 3 May.", True),
        ("We use CircleCI for builds.", "We no longer use CircleCI.", True),
        ("Our flour comes from Molino Arce.", "From this week our flour is Harinas Sol instead of Molino Arce.", True),
        ("The printer in hall 2 is broken.", "The printer in hall 2 is working again.", True),
        ("The budget for food is $500.", "The budget for travel was raised to $900.", False),
        ("The staging port is 8080.", "The production port moved to 9090.", False),
        ("The launch is 20 April.", "The launch party has 40 guests now.", False),
        ("The launch is 20 April.", "Is the launch now on 3 May?", False),
    ],
)
def test_an_update_in_other_words_ends_what_it_sets_right(older: str, newer: str, is_update: bool) -> None:
    extraction = read(talk(("user", older), ("assistant", "Ok."), ("user", newer)))
    subjects = {found.subject for found in extraction.found}
    replaced = bool(extraction.closed) or (len(extraction.found) == 2 and len(subjects) == 1 and subjects != {""})
    assert replaced is is_update
    assert all((c.found, c.replaced_by, c.status) == (0, 1, "superseded") for c in extraction.closed)


def test_of_two_that_could_be_meant_none_is_ended() -> None:
    older = [("user", "The sync with Ana is Tuesdays at 10."), ("user", "The sync with Bo is Fridays at 11.")]
    turns = [turn(n, "user", text) for n, (_, text) in enumerate([*older, ("user", "The sync moved to Mondays.")], 1)]
    assert read(turns).closed == ()


def test_an_option_is_picked_by_its_place() -> None:
    options = "Three options:\n1. Cache the facets.\n2. Move the sort into the index.\n3. Load results lazily."
    (found,) = read(talk(("assistant", options), ("user", "let's do 2"))).found
    assert (found.kind, found.first, found.last) == ("decision", 1, 2)
    assert found.text.startswith("Move the sort into the index.")


def test_a_task_is_taken_on() -> None:
    turns = [
        turn(1, "user", "Who writes the deprecation policy?", name="Anke"),
        turn(2, "user", "I do, by the end of next week", name="Wen"),
    ]
    (found,) = read(turns).found
    assert (found.kind, found.first, found.last) == ("task", 1, 2)
    assert "Wen" in found.text


def test_a_report_that_only_ends_a_task_is_no_fact() -> None:
    extraction = read(talk(("user", "I need to renew the TLS cert."), ("user", "The TLS cert is renewed.")))
    assert [found.kind for found in extraction.found] == ["task"]
    assert [closed.found for closed in extraction.closed] == [0]


@pytest.mark.parametrize(
    "text",
    [
        "Ich wohne seit 2019 in Leipzig und arbeite bei Siemens.",
        "Wir haben beschlossen, den Server am Freitag umzuziehen.",
        "Le serveur écoute sur le port 8080.",
        "Vivo en Sevilla con mi hermana Carmen.",
        "Я живу в Москве с 2010 года.",
        "我住在北京,今年30岁",
    ],
)
def test_other_languages_give_nothing(text: str) -> None:
    assert read(talk(("user", text))).found == ()


@pytest.mark.timeout(60)
def test_hostile_text_takes_bounded_work() -> None:
    for n, text in enumerate(HOSTILE):
        turns = [turn(1, "assistant", text), turn(2, "user", text), turn(3, "user", "ok. " + text[:5_000])]
        for found in read(turns).found:
            assert ground.holds(found.quote, turns, found.first, found.last), n
            assert len(found.text) <= 300


FRAGMENT = st.sampled_from(
    [
        "Let's use Redis for the cache.",
        "I need to call Ana by Friday",
        "done",
        "yes, do that",
        "The limit is now 500",
        "I prefer tabs;",
        "\n- ",
        "\n```\n",
        "> ",
        "**",
        "\n## TODO\n",
        "“quoted”",
        "e.g. ",
        "v1.2.3 ",
        "\x00",
        "\ud800",
        "It is 5.",
    ]
)
TEXT = st.lists(st.one_of(FRAGMENT, st.text(max_size=30)), max_size=8).map("".join)
ROLE: st.SearchStrategy[Role] = st.sampled_from(["user", "assistant"])
TALK = st.lists(st.tuples(ROLE, TEXT), max_size=6)


@settings(max_examples=150, deadline=None)
@given(TALK)
@example([("assistant", "Let's use Redis for the cache. `"), ("user", "yes, do that`")])
@example([("assistant", "Let's use Redis for the cache.a`Let's use Redis for the cache."), ("user", "yes, do that")])
@example([("assistant", "Let's use Redis for the cache.Let's use Redis for the cache.`"), ("user", "yes, do that`")])
def test_any_text_gives_grounded_findings_and_the_same_again(said: list[tuple[Role, str]]) -> None:
    turns = talk(*said)
    first, again = read(turns), read(turns)
    assert first == again
    for found in first.found:
        cited = [t for t in turns if found.first <= t.seq <= found.last]
        assert ground.holds(found.quote, turns, found.first, found.last)
        assert not ground.unsupported(found.text, cited)
        assert 0.0 <= found.salience <= 1.0
    for closed in first.closed:
        assert ground.holds(closed.quote, turns, closed.first, closed.last)
        assert closed.found is None or first.found[closed.found].last < closed.last
