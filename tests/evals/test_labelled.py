"""Labelled conversations are read with their traps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carryover.core.errors import Invalid
from carryover.core.session import Draft
from carryover.evals.labelled import Conversation, beam, locomo, longmemeval


def said(speaker: str, id: str, text: str, **more: Any) -> dict[str, Any]:
    return {"speaker": speaker, "dia_id": id, "text": text, **more}


def test_locomo(tmp_path: Path) -> None:
    talk = {
        "speaker_a": "Nora",
        "speaker_b": "Tom",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [said("Nora", "D1:1", "Hello."), said("Tom", "D1:2", "See:", blip_caption="a heron")],
        "session_10_date_time": "12:01 am on 9 June, 2023",
        "session_10": [said("Tom", "D10:1", "Bye.")],
        "session_11_date_time": "12:01 am on 9 June, 2023",
    }
    qa = [
        {"question": "one", "evidence": ["D1:02; D10:1"], "category": 1, "answer": 7},
        {"question": "slip", "evidence": ["D:1:1"], "category": 4},
        {"question": "nothing", "evidence": [], "category": 5},
        {"question": "elsewhere", "evidence": ["D44:1"], "category": 5},
    ]
    (tmp_path / "conv-1.json").write_text(json.dumps({"conversation": talk, "qa": qa}))
    (conversation,) = locomo(tmp_path)
    assert list(conversation.sessions) == ["session-1", "session-10"]
    hello, see = conversation.sessions["session-1"]
    assert hello == Draft("user", [{"type": "text", "text": "Hello."}], name="Nora", created_at=1_683_554_160_000)
    assert see.content == [{"type": "text", "text": "See:"}, {"type": "image", "caption": "a heron"}]
    assert [(q.text, q.category, q.gold) for q in conversation.questions] == [
        ("one", "c1", {("session-1", 2), ("session-10", 1)}),
        ("slip", "c4", {("session-1", 1)}),
    ]


def test_beam(tmp_path: Path) -> None:
    def message(id: int, role: str, content: str, **more: Any) -> dict[str, Any]:
        return {"id": id, "role": role, "content": content, **more}

    chat = [
        {"batch_number": 1, "time_anchor": "March-15-2024", "turns": [
            [message(0, "user", "Hello ->-> 1,1", time_anchor="March-16-2024"), message(1, "assistant", "Hi.")]]},
        {"batch_number": 2, "turns": [[message(2, "user", "More ->-> 2,N/A")]]},
    ]  # fmt: skip
    probes = {
        "temporal_reasoning": [{"question": "a", "source_chat_ids": {"first": [0], "second": [[2]]}}],
        "summarization": [{"question": "b", "source_chat_ids": [1, 2]}],
        "abstention": [{"question": "c"}],
    }
    (tmp_path / "100K-1.json").write_text(json.dumps({"chat": chat, "probing_questions": probes}))
    (tmp_path / "500K-1.json").write_text("{}")
    (conversation,) = beam(tmp_path)
    assert conversation.sessions["batch-1"] == [
        Draft("user", "Hello", created_at=1_710_547_200_000), Draft("assistant", "Hi.", created_at=1_710_547_200_000)
    ]  # fmt: skip
    assert [(q.category, q.gold) for q in conversation.questions] == [
        ("temporal_reasoning", {("batch-1", 1), ("batch-2", 1)}),
        ("summarization", {("batch-1", 2), ("batch-2", 1)}),
    ]


def haystack(id: str, **more: Any) -> dict[str, Any]:
    return {
        "question_id": id,
        "question_type": "knowledge-update",
        "haystack_session_ids": ["one", "two", "three"],
        "haystack_dates": ["2023/07/12 (Wed) 10:14"] * 3,
        "haystack_sessions": [
            [{"role": "user", "content": "Hello", "has_answer": True}, {"role": "assistant", "content": "Hi"}],
            [{"role": "user", "content": "More"}, {"role": "assistant", "content": "Yes", "has_answer": True}],
            [{"role": "user", "content": "Bye"}],
        ],
        **more,
    }


def test_longmemeval_in_its_published_form_and_with_several_questions(tmp_path: Path) -> None:
    single = {"question": "a", "answer": 7, "answer_session_ids": ["one", "two"]}
    several = {"questions": ["b", "c"], "answers": ["x", "y"], "answer_session_ids": [["three"], ["elsewhere"]]}
    items = [haystack("q1", **single), haystack("q2_abs", **single)]
    (tmp_path / "a.json").write_text(json.dumps(items))
    (tmp_path / "b.json").write_text(json.dumps(haystack("q3", **several)))
    first, second = longmemeval(tmp_path)
    assert first.sessions["one"][0] == Draft("user", "Hello", created_at=1_689_156_840_000)
    (question,) = first.questions
    assert (question.answer, question.gold) == ("7", {("one", 1), ("two", 2)})
    assert question.sessions == {"one"}  # only what the user said makes a session gold
    assert question.update
    assert [(q.text, q.gold, q.sessions) for q in second.questions] == [("b", frozenset(), {"three"})]


def test_all_of_locomo_in_one_list(tmp_path: Path) -> None:
    talk = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": [said("Nora", "D1:1", "Hello.")]}
    qa = [{"question": "one", "evidence": ["D1:1"], "category": 4, "answer": 7},
          {"question": "two", "evidence": ["D1:1"], "category": 2, "answer": "May"}]  # fmt: skip
    item = {"sample_id": "conv-9", "conversation": talk, "qa": qa}
    (tmp_path / "locomo10.json").write_text(json.dumps([item, {**item, "sample_id": "conv-10"}]))
    conversations = list(locomo(tmp_path))
    assert [conversation.name for conversation in conversations] == ["conv-9", "conv-10"]
    assert [q.answer for q in conversations[0].questions] == ["7", ""]  # a date is worked out, not said


CHAT = {
    "chat": [{"batch_number": 1, "turns": [[{"id": 1, "role": "robot", "content": "Hi"}]]}],
    "probing_questions": {},
}
TALK = {"session_1_date_time": "yesterday", "session_1": [{"speaker": "Nora", "text": "Hi"}]}


@pytest.mark.parametrize(
    ("read", "name", "text"),
    [
        (locomo, "conv-1.json", "{"),
        (locomo, "conv-1.json", "[1]"),
        (locomo, "conv-1.json", "{}"),
        (locomo, "conv-1.json", json.dumps({"conversation": TALK, "qa": []})),
        (locomo, "locomo10.json", "[" * 100_000),
        (beam, "100K-1.json", '"text"'),
        (beam, "100K-1.json", json.dumps(CHAT)),
        (longmemeval, "s.json", json.dumps(haystack("q"))),
        (longmemeval, "s.json", json.dumps([haystack("q", question="a", answer=1, answer_session_ids=[[]])])),
        (longmemeval, "s.json", json.dumps(haystack("q", questions=["a"], answers=[], answer_session_ids=[]))),
    ],
)
def test_a_file_of_another_shape_is_named(
    tmp_path: Path, read: Callable[[Path], Iterator[Conversation]], name: str, text: str
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(Invalid, match="correct or remove it") as caught:
        list(read(tmp_path))
    assert str(tmp_path / name) in caught.value.message


def test_the_published_files_are_read_whole(shared: Path) -> None:
    folder = shared / "eval"
    talks, chats = list(locomo(folder / "locomo")), list(beam(folder / "beam"))
    assert [len(talk.sessions) for talk in talks] == [19, 19, 32, 29, 29]
    assert sum(len(drafts) for talk in talks for drafts in talk.sessions.values()) == 2760
    assert sum(len(talk.questions) for talk in talks) > 990
    assert len(chats) == 10
    assert not any("->->" in str(d.content) for chat in chats for drafts in chat.sessions.values() for d in drafts[:1])
    assert all(len(chat.questions) > 15 for chat in chats)
    (stack,) = longmemeval(folder / "longmemeval")
    assert len(stack.sessions) > 30
    assert len(stack.questions) == 9
    assert all(place[0] in stack.sessions for question in stack.questions for place in question.gold)
