"""Labelled conversations are read with their traps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from carryover.core.session import Draft
from carryover.evals.labelled import beam, locomo


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


def test_the_published_files_are_read_whole(shared: Path) -> None:
    folder = shared / "eval"
    talks, chats = list(locomo(folder / "locomo")), list(beam(folder / "beam"))
    assert [len(talk.sessions) for talk in talks] == [19, 19, 32, 29, 29]
    assert sum(len(drafts) for talk in talks for drafts in talk.sessions.values()) == 2760
    assert sum(len(talk.questions) for talk in talks) > 990
    assert len(chats) == 10
    assert not any("->->" in str(d.content) for chat in chats for drafts in chat.sessions.values() for d in drafts[:1])
    assert all(len(chat.questions) > 15 for chat in chats)
