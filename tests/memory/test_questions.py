"""Questions made from turns: only of statements, each with one answer, the same ones every time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from carryover.core.errors import ProviderError
from carryover.core.session import Draft, Turn, to_json
from carryover.memory.questions import Probe, asked_by, probes, probes_of
from carryover.providers.llm import open_llm
from fakes.openai_api import FakeOpenAI


def turns(*said: str | Draft) -> list[Turn]:
    drafts = [line if isinstance(line, Draft) else Draft("user", line) for line in said]
    return [Turn(n, f"t{n}", d.role, to_json(d.content), d.kind, 0, 0, 0, name=d.name) for n, d in enumerate(drafts, 1)]


BOATS = turns(
    "Hello there!",
    "We rent out 14 kayaks to families during the whole summer season.",
    Draft("assistant", "Great! Do you want me to write that down for the summer season?"),
    "The soft opening of the boat house is on 1 June 2026.",
    "I saved the price list under `prices.toml` in the shared folder of the club.",
    "Our harbour master Hedwig Osterkamp checks every life jacket before Easter.",
    "My grandmother paints a watercolour of the lighthouse every single morning.",
)


def asked(said: list[Turn], **more: int) -> dict[str, tuple[str, str, int]]:
    return {p.answer: (p.kind, p.text, p.seq) for p in probes(said, most=50, **more)}


def test_each_kind_of_detail_is_asked_about() -> None:
    found = asked(BOATS)
    assert found["14"][0] == "number"
    assert "how many kayaks" in found["14"][1]
    assert found["1 June 2026"][0] == "date"
    assert "when" in found["1 June 2026"][1]
    assert found["prices.toml"][0] == "identifier"
    assert found["Hedwig Osterkamp"][0] == "cloze"
    assert found["watercolour"][2] == 7  # no detail is in it, so that its rarest word is asked for
    assert {seq for _, _, seq in found.values()} == {2, 4, 5, 6, 7}


@pytest.mark.parametrize(
    ("said", "answer", "wh"),
    [
        ("Our landlord raised the monthly rent of the studio to $1,250 since winter.", "$1,250", "how much money"),
        ("The new heating saves the museum 37 % of last winter's gas.", "37 %", "what percentage"),
        ("The ferry to the northern island leaves at 17:45 from the second pier.", "17:45", "what time"),
        ("Our museum runs the ticket server Gunicorn 20.1.0 behind a small proxy.", "20.1.0", "which version"),
        ("My locker at the swimming hall beside the station has number 4711 on it.", "4711", "which number"),
        ("Mum visits the heart clinic of Professor Alvarez on Tuesday for another check.", "Tuesday", "when"),
    ],
)
def test_the_question_word_fits_the_detail(said: str, answer: str, wh: str) -> None:
    _, text, _ = asked(turns(said))[answer]
    assert f"{wh} " in text or f" {wh}?" in text


def test_a_word_that_opens_a_statement_is_no_name_for_its_apostrophe() -> None:
    assert "Painting" not in asked(turns("Painting's my favourite way to spend 90 minutes on a rainy Sunday."))


def test_an_entity_question_names_what_it_is_about() -> None:
    said = turns(
        "The bakery sells 80 pretzels to the students of the academy.",
        "The auditor Brunhild Vossberg found 27 unpaid invoices in the winter ledger of the museum.",
    )
    (probe,) = [p for p in probes(said, most=9) if p.kind == "entity"]
    assert probe.text.startswith("What was said about Brunhild Vossberg:")
    assert probe.answer == "27"


def test_the_answer_stands_in_its_turn_and_not_in_the_question() -> None:
    texts = {turn.seq: turn.text for turn in BOATS}
    for probe in probes(BOATS, most=50):
        assert probe.answer in texts[probe.seq]
        assert probe.answer.lower() not in probe.text.lower()


def test_most_limits_and_no_turn_is_asked_twice_before_all_were_asked_once() -> None:
    said = turns("Paul keeps 31 beehives and 52 apricot trees behind the old village school.", *[t.text for t in BOATS])
    few = probes(said, most=3)
    assert len(few) == 3
    assert len({p.seq for p in few}) == 3
    assert probes(said, most=0) == []
    assert len(probes(said, most=99)) > len({p.seq for p in probes(said, most=99)})


def test_the_seed_decides_which_and_decides_it_for_good() -> None:
    assert probes(BOATS, most=2, seed=1) == probes(BOATS, most=2, seed=1)
    assert len({tuple(p.seq for p in probes(BOATS, most=2, seed=seed)) for seed in range(8)}) > 1


def test_two_statements_that_differ_in_the_answer_alone_are_not_asked_about() -> None:
    said = turns(
        "The ferry to the northern island leaves at 17:45 from the second pier.",
        "The ferry to the northern island leaves at 19:10 from the second pier.",
        "The bakery sells 80 pretzels to the students of the academy.",
    )
    assert set(asked(said)) == {"80"}


def test_the_same_statement_twice_has_one_answer() -> None:
    line = "The bakery sells 80 pretzels to the students of the academy."
    assert set(asked(turns(line, line))) == {"80"}


def test_ambiguity_is_seen_across_sessions() -> None:
    one = turns("The ferry to the northern island leaves at 17:45 from the second pier.")
    other = turns("The ferry to the northern island leaves at 19:10 from the second pier.")
    assert probes(one, most=9, agent_id="a", session_id="one")[0].session_id == "one"
    assert probes_of({("a", "one"): one, ("a", "two"): other}, most=9) == []


@pytest.mark.parametrize(
    "said",
    [
        "What time does the ferry to the northern island leave, 17:45?",
        "Thanks so much for all of the 17 lovely postcards from Portugal!",
        "```python\nferries = load('northern island', port=8080)\n```",
        "It leaves at 17:45.",
        Draft("tool", "The ferry to the northern island leaves at 17:45 from the second pier.", kind="tool_result"),
        Draft("user", "The ferry to the northern island leaves at 17:45 from the second pier.", kind="reasoning"),
        Draft("system", "The ferry to the northern island leaves at 17:45 from the second pier."),
        Draft("assistant", "You can set the port of the northern ferry service to 8080 in the file."),
        "",
        "🚢 " * 300,
    ],
)
def test_what_is_no_statement_is_not_asked_about(said: str | Draft) -> None:
    assert probes(turns(said), most=9) == []


def test_what_a_tool_says_makes_a_question_ambiguous() -> None:
    line = "The ferry to the northern island leaves at 17:45 from the second pier."
    other = Draft("tool", line.replace("17:45", "19:10"), kind="tool_result")
    assert probes(turns(line), most=9)
    assert probes(turns(line, other), most=9) == []


def test_names_of_those_who_speak_are_no_answers() -> None:
    said = turns(
        Draft("user", "I met Jonas at the harbour festival for some excellent smoked mackerel.", name="Mara"),
        Draft("user", "The harbour festival begins with a parade of 12 fishing boats.", name="Jonas"),
    )
    found = asked(said)
    assert "Jonas" not in found
    assert found["12"][1].startswith("Jonas: ")


# Questions by a model


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


def answering(fake: FakeOpenAI, *questions: object, most: int = 5) -> list[Probe]:
    fake.answer = {"questions": list(questions)}
    llm = open_llm("openai:gpt-4o-mini", api_key="k", base_url=fake.url)
    try:
        made, usage = asked_by(llm, BOATS, most=most, agent_id="a", session_id="s")
    finally:
        llm.close()
    assert usage.calls == 1
    return made


def test_a_model_asks_and_only_answers_in_the_cited_turn_are_kept(fake: FakeOpenAI) -> None:
    good = {"turn": 2, "question": "How large is the fleet of the rental?", "answer": "14"}
    made = answering(
        fake,
        good,
        {**good, "turn": 4},
        {**good, "turn": 99},
        {**good, "question": "Are there 14 of them?"},
        {**good, "answer": ""},
        {**good, "answer": "15"},
        good,
    )
    assert made == [Probe(good["question"], "14", "number", "a", "s", 2)]
    assert re.search(r'<turn n="2" role="user"', fake.requests[0].prompt)


def test_a_model_that_asks_too_much_is_cut(fake: FakeOpenAI) -> None:
    many = [{"turn": 2, "question": f"Question {n}: how many boats are let?", "answer": "14"} for n in "abcdef"]
    assert len(answering(fake, *many, most=2)) == 2


def test_a_model_that_fails_is_told(fake: FakeOpenAI) -> None:
    fake.fail_next(400)
    with pytest.raises(ProviderError):
        answering(fake)
