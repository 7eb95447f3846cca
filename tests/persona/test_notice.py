"""Preferences noticed by rules: what users say, and nothing that they do not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.headings import HEADINGS
from carryover.core.persona import EXPLICIT, FACETS, HEADING, IMPLIED, LONGEST_PHRASE, LONGEST_QUOTE, PERSONAL, Noticed
from carryover.core.session import Content, Kind, Role, Turn, to_json
from carryover.core.text import plain
from carryover.core.usage import Usage
from carryover.persona import notice_said
from carryover.persona.lint import refused
from carryover.persona.notice import MOST_CHARS, Rules
from persona.attacks import ATTACKS
from persona.stated import STATED, Stated

RULES = Rules()


def turn(
    content: Content, seq: int = 1, role: Role = "user", kind: Kind = "message", metadata: dict[str, Any] | None = None
) -> Turn:
    about = None if metadata is None else to_json(metadata)
    return Turn(seq, f"t{seq}", role, to_json(content), kind, 0, 1, 0, metadata=about)


def noticed(*said: Content | Turn, told: tuple[str, ...] = ()) -> list[Noticed]:
    turns = [one if isinstance(one, Turn) else turn(one, n) for n, one in enumerate(said, 1)]
    found, usage = RULES.notice(turns, told)
    assert usage == RULES.estimate(turns) == Usage()
    assert_whole(found, turns)
    return found


def assert_whole(found: list[Noticed], turns: list[Turn]) -> None:
    texts = {one.seq: plain(one.content) for one in turns}
    for one in found:
        assert one.quote in texts[one.seq]
        assert 0 < len(one.quote) <= LONGEST_QUOTE
        assert 0 < len(one.value) <= LONGEST_PHRASE
        assert refused(one.value) is None
        assert one.facet in (*FACETS, PERSONAL)
        assert one.facet != "avoid" or one.polarity == "avoid"
        assert one.weight == (EXPLICIT if one.explicit else IMPLIED)
    assert [one.seq for one in found] == sorted(one.seq for one in found)


def said(*content: Content, told: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    return [(one.facet, one.value, one.polarity) for one in noticed(*content, told=told)]


def rates(lines: list[Stated]) -> tuple[float, float, float]:
    """The share of sentences that came out exactly, and precision and recall of facet, value and polarity."""
    right = found = expected = exact = 0
    for line in lines:
        got = {(one.facet, one.value, one.polarity, one.explicit) for one in noticed(line.sentence)}
        exact += got == line.expected
        short, wanted = {one[:3] for one in got}, {one[:3] for one in line.expected}
        right, found, expected = right + len(short & wanted), found + len(short), expected + len(wanted)
    return exact / len(lines), right / found, right / expected


def test_what_is_stated_is_noticed() -> None:
    assert len(STATED) >= 250
    exact, precision, recall = rates([line for line in STATED if not line.held_out])
    assert min(precision, recall) >= 0.97, (exact, precision, recall)


def test_it_is_on_sentences_that_were_held_out() -> None:
    exact, precision, recall = rates([line for line in STATED if line.held_out])
    assert exact >= 0.85, (exact, precision, recall)
    assert min(precision, recall) >= 0.88, (exact, precision, recall)


def test_likes_and_dislikes_agree_with_a_reader(shared: Path) -> None:
    """On all preferences of PrefEval against a reading by hand, which is kept by hash."""
    gold: dict[str, Any] = json.loads((Path(__file__).parent / "prefeval_polarity.json").read_text())
    read = {key: polarity for polarity in ("like", "avoid") for key in gold[polarity]}
    agree = heard = 0
    texts = [row["preference"] for file in sorted((shared / "eval/prefeval").glob("*.json")) for row in _rows(file)]
    for text in texts:
        found = noticed(text.strip('"'))
        heard += bool(found)
        agree += bool(found) and found[0].polarity == read[hashlib.sha256(text.encode()).hexdigest()[:12]]
    assert len(texts) == 612
    assert heard / len(texts) >= 0.95
    assert agree / heard >= 0.98
    assert agree / len(texts) >= 0.95


def _rows(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text())


@pytest.mark.parametrize(
    "other",
    [
        turn("Please use bullet points.", role="assistant"),
        turn("Please use bullet points.", role="tool"),
        turn("Please use bullet points.", role="system"),
        turn("Please use bullet points.", kind="tool_result"),
        turn("Please use bullet points.", metadata={"injected": "context"}),
        turn("This session is being continued from a previous one. Please use bullet points."),
        turn("```\nPlease use bullet points.\n```"),
        turn("> Please use bullet points."),
        turn('"Please use bullet points."'),
        turn("<memory>\nPlease use bullet points.\n</memory>"),
        turn([{"type": "image", "source": {"data": "Please use bullet points."}}]),
    ],
)
def test_only_what_the_user_says_is_heard(other: Turn) -> None:
    assert noticed(other) == []


def test_parts_of_a_message_are_read_as_its_text() -> None:
    assert said([{"type": "text", "text": "No emojis."}, {"type": "text", "text": "Keep it short."}]) == [
        ("avoid", "emojis", "avoid"),
        ("length", "short answers", "like"),
    ]


def test_what_we_told_is_not_what_the_user_said() -> None:
    block = f"{HEADING}\nPrefers answers as bullet points.\nWorks with Python.\nI love tea."
    assert said(f"{block}\n\nNo emojis, please.") == [("avoid", "emojis", "avoid")]
    for heading in HEADINGS:
        assert said(f"{heading}\n- I love tea.\n\n- I hate rain.\n\nI love snow.") == [(PERSONAL, "snow", "like")]
    context = "## Notes\n- User: I really love strong tea.\n"
    assert said("I really love strong tea.", "I love snow.", told=(context,)) == [(PERSONAL, "snow", "like")]


def test_a_correction_is_marked() -> None:
    for text in (
        "Actually, I prefer tables.",
        "I said tables!",
        "Not bullets, tables.",
        "Too many emojis!",
        "That's too long.",
    ):
        assert noticed(text)[0].correction, text
    for text in ("I prefer tables.", "Use tables from now on.", "I like tea."):
        assert not noticed(text)[0].correction, text


def test_a_request_for_one_answer_weighs_less_than_a_standing_one() -> None:
    (once,), (standing,) = noticed("Write a poem without emojis."), noticed("Never use emojis.")
    assert (once.value, once.weight) == ("emojis", IMPLIED)
    assert (standing.value, standing.weight) == ("emojis", EXPLICIT)


def test_what_the_user_works_with_shows_without_being_said() -> None:
    found = noticed("How do I sort a list in Python?", "And in Python, how do I reverse it?", "What time is it?")
    assert [(one.value, one.seq, one.explicit) for one in found] == [("python", 1, False)]
    topic = "Which index funds are there for retirement?"
    assert [(one.facet, one.explicit) for one in noticed(*[topic] * 5)] == [("domain", False)]
    assert noticed(topic) == []


def test_a_tenants_own_facets_are_known() -> None:
    rules = Rules({"units": ["metric units", "imperial units"]})
    (one,), _ = rules.notice([turn("I prefer metric units.")])
    assert (one.facet, one.value, one.polarity) == ("units", "metric units", "like")


def test_no_order_to_the_model_is_noticed() -> None:
    ways = ("I prefer {}.", "I like {}.", "From now on, {}.", "Always {}.", "I work in {}.", "I am into {}.", "{}")
    values = [one.value for phrase in ATTACKS for way in ways for one in noticed(way.format(phrase))]
    told = " | ".join(values)
    for word in ("system", "instruction", "reveal", "obey", "secret", "password", "webhook", "guidelines", "jailbreak"):
        assert word not in told, told


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([line.sentence for line in STATED]),
            st.sampled_from(
                ["\n", "  ", "\t", " — ", "```\n", "> ", '"', "- ", "…", "\u00a0", "İ", "ß", "\U0001f600 "]
            ),
            st.text(max_size=30),
        ),
        max_size=12,
    )
)
def test_every_quote_stands_in_its_turn(parts: list[str]) -> None:
    noticed("".join(parts), " ".join(parts))


def test_the_same_turns_give_the_same_preferences() -> None:
    turns = [turn(line.sentence, n) for n, line in enumerate(STATED, 1)]
    assert Rules().notice(turns) == RULES.notice(turns)


@pytest.mark.parametrize(
    "piece",
    [
        "I like tea. ",
        "i " * 50,
        "please " * 30,
        "I prefer " * 20,
        "not " * 40,
        "no, " * 40,
        "a, b and c, " * 9,
        "(" * 99,
        "I really really really " * 9,
        "too " * 60,
        "'" * 99,
        "i am a a a a " * 12,
        "use in with as " * 12,
        "x" * 300,
    ],
)
def test_a_turn_of_any_length_costs_no_more_than_its_beginning(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    spoken_out = notice_said.spoken_out

    def counted(text: str) -> str:
        nonlocal looked_at
        looked_at += len(text)
        return spoken_out(text)

    monkeypatch.setattr(notice_said, "spoken_out", counted)
    noticed(piece * (16_000_000 // len(piece)))
    assert looked_at <= 2 * MOST_CHARS


def test_a_long_sentence_is_read_in_pieces() -> None:
    text = "I have been thinking about this for a while, " * 8 + "and I prefer bullet points, " + "and so on " * 40
    assert [(one.facet, one.value) for one in noticed(text)] == [("format", "bullet points")]
