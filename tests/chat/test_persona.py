"""The persona in the chat: in the head and the same all session long; what the user changes is told at the end."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from carryover.chat.verbs import Chat
from carryover.core.chat import ChatRequest
from carryover.core.errors import KeyLost, ProviderError
from carryover.core.headings import CHANGED, CHANGES_OVER
from carryover.core.persona import HEADING
from carryover.core.session import INJECTED, Append, Draft
from carryover.runtime import Carryover
from chatting import newest_events, open_chat, sent, settings_for
from clocks import FrozenClock
from fakes.messages_stream import FakeMessagesStream
from fakes.scripted import Scripted
from fakes.server import Ask

BULLETS, NO_EMOJIS = "Prefers answers as bullet points.", "Does not want emojis."
ASKED = ChatRequest("s", "Hello.", user_id="ann", instructions="You help with books.")


def line(memory: Carryover, text: str) -> str:
    """The id of the line that is told so."""
    return next(choice.id for choice in memory.profiles.choices() if choice.text == text)


def pin(memory: Carryover, *texts: str, user: str = "ann") -> None:
    memory.profiles.edit(user, pins=[line(memory, text) for text in texts])


def settle(memory: Carryover, session: str) -> None:
    """The session has ended, and its user's preferences were noticed, by rules."""
    by_rules = memory.engine.settings.model_copy(update={"llm": "rules"})
    with Carryover.open(by_rules, clock=memory.engine.store.clock, work=False) as other:
        other.consolidate(session)
        other.engine.worker.drain()


def head(ask: Ask) -> list[str]:
    return [block["text"] for block in ask.body.get("system", [])]


def notes(ask: Ask) -> list[str]:
    """What is told of the user's changes, in the order of the conversation."""
    blocks = [block for message in ask.body["messages"] for block in message["content"]]
    return [block["text"] for block in blocks if CHANGED in block["text"] or CHANGES_OVER in block["text"]]


def ours(memory: Carryover) -> list[int]:
    """Which turns of the session carryover put there."""
    return [turn.seq for turn in memory.turns("s", limit=1000)[1] if turn.is_injected]


def test_it_stands_between_what_all_share_and_what_the_session_has(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    memory.append(Append("first", (Draft("user", "Let's use PostgreSQL for the ledger."),), "default", "ann"))
    settle(memory, "first")
    pin(memory, BULLETS)
    clock.pass_(1000)
    memory.append(Append("s", (Draft("system", "It is a Monday."),), "default", "ann"))
    chat.send(ASKED)
    (ask,) = fake.requests
    instructions, own, persona, context = ask.body["system"]
    assert instructions["text"] == ASKED.instructions
    assert own["text"] == "It is a Monday."
    assert persona["text"].startswith(f"{HEADING}\n- {BULLETS}")
    assert "PostgreSQL" in context["text"]
    assert ["cache_control" in block for block in ask.body["system"]] == [True, False, True, True]
    assert json.dumps(ask.body).count('"cache_control"') == 4
    (event,) = [event for event in newest_events(memory) if event.type == "head"]
    assert event.payload["tokens"]["persona"] > 0
    assert BULLETS not in str(event.payload), "the text is kept sealed, and nowhere else"


def test_the_head_is_the_same_all_session_long(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    """Though the user edits their profile, other sessions end and are noticed, and the codebook is fitted anew."""
    pin(memory, BULLETS)
    answers = [chat.send(ASKED)]
    clock.pass_(20_000)
    said = (Draft("user", "Please always answer in German."), Draft("assistant", "Gern."))
    memory.append(Append("other", said, "default", "ann"))
    settle(memory, "other")
    answers.append(chat.send(ASKED))
    clock.pass_(20_000)
    pin(memory, BULLETS, NO_EMOJIS)
    answers.append(chat.send(ASKED))
    memory.profiles.refit()
    clock.pass_(20_000)
    answers += [chat.send(ASKED), chat.send(ASKED)]
    asked = list(fake.requests)
    assert len(asked) == 5
    assert BULLETS in asked[0].system
    assert {request.system for request in asked} == {asked[0].system}
    for before, after in pairwise(asked):
        assert after.body["system"] == before.body["system"]
        assert after.body["tools"] == before.body["tools"]
        blocks_before, blocks_after = (
            [block for message in ask.body["messages"] for block in message["content"]] for ask in (before, after)
        )
        assert blocks_after[: len(blocks_before)] == blocks_before
    for before, after in pairwise(answers):
        assert after.usage.cache_read >= before.usage.tokens_in > 0


def test_another_user_reads_what_all_share(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    pin(memory, BULLETS)
    pin(memory, NO_EMOJIS, user="bob")
    first = chat.send(ASKED)
    other = chat.send(ChatRequest("t", "Hello.", user_id="bob", instructions=ASKED.instructions))
    assert first.usage.cache_read == 0
    assert other.usage.cache_read > 0
    again = chat.send(ChatRequest("u", "Hi.", user_id="ann", instructions=ASKED.instructions))
    assert again.usage.cache_read > other.usage.cache_read, "and the user's own next session their persona too"


def test_what_is_changed_is_told_once_behind_the_users_words(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    pin(memory, BULLETS)
    chat.send(ASKED)
    assert notes(fake.requests[-1]) == []
    pin(memory, NO_EMOJIS)
    answer = chat.send(ASKED)
    (note,) = notes(fake.requests[-1])
    assert NO_EMOJIS in note
    assert BULLETS in note, "it is no longer so"
    last = fake.requests[-1].body["messages"][-1]
    assert [block["text"] for block in last["content"]] == ["Hello.", note]
    _, turns = memory.turns("s")
    assert [(turn.role, turn.is_injected) for turn in turns[2:5]] == [
        ("user", False), ("system", True), ("assistant", False),
    ]  # fmt: skip
    assert json.loads(turns[3].metadata or "")[INJECTED] == "persona"
    assert [place.seq for place in answer.turns] == [3, 4, 5]
    chat.send(ASKED)
    assert notes(fake.requests[-1]) == [note]
    assert ours(memory) == [4]
    pin(memory, BULLETS)
    chat.send(ASKED)
    assert [CHANGES_OVER in text for text in notes(fake.requests[-1])] == [False, True]
    chat.send(ASKED)
    assert len(notes(fake.requests[-1])) == 2
    pin(memory, BULLETS, NO_EMOJIS)
    chat.send(ASKED)
    newest = notes(fake.requests[-1])[-1]
    assert NO_EMOJIS in newest
    assert BULLETS not in newest


def test_an_edit_that_changes_no_line_is_not_told(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    pin(memory, BULLETS)
    chat.send(ASKED)
    memory.profiles.edit("ann", removed=[line(memory, NO_EMOJIS)])
    chat.send(ASKED)
    assert ours(memory) == []


def test_a_user_of_whom_nothing_was_known_is_told_of_at_the_end(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    chat.send(ASKED)
    assert head(fake.requests[-1]) == [ASKED.instructions]
    clock.pass_(1000)
    said = (Draft("user", "Please always use bullet points."), Draft("assistant", "Will do."))
    memory.append(Append("other", said, "default", "ann"))
    settle(memory, "other")
    assert BULLETS in memory.profiles.persona("ann").text
    chat.send(ASKED)
    assert head(fake.requests[-1]) == [ASKED.instructions]
    assert notes(fake.requests[-1]) == [], "nobody edited anything"
    pin(memory, NO_EMOJIS)
    chat.send(ASKED)
    assert head(fake.requests[-1]) == [ASKED.instructions]
    assert NO_EMOJIS in notes(fake.requests[-1])[0]
    chat.send(ChatRequest("next", "Hello.", user_id="ann"))
    assert NO_EMOJIS in fake.requests[-1].system


def test_once_the_session_has_ended_the_head_is_made_anew(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    pin(memory, BULLETS)
    chat.send(ASKED)
    pin(memory, NO_EMOJIS)
    chat.send(ASKED)
    clock.pass_(400_000)
    settle(memory, "s")
    clock.pass_(1000)
    chat.send(ASKED)
    assert NO_EMOJIS in fake.requests[-1].system
    assert BULLETS not in fake.requests[-1].system
    assert CHANGES_OVER in notes(fake.requests[-1])[-1], "the note that still stands there is out of date"


def test_what_was_cut_away_is_told_again(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    trim = {"mode": "trim", "max_user_turns": 3, "keep_last_turns": 1}
    asked = ChatRequest("s", "Hello.", user_id="ann", strategy=trim)
    pin(memory, BULLETS)
    chat.send(asked)
    pin(memory, NO_EMOJIS)
    for n in range(9):
        chat.send(asked)
        assert len(notes(fake.requests[-1])) == 1, f"request {n}"
        assert NO_EMOJIS in notes(fake.requests[-1])[0]
    assert len(ours(memory)) > 1


def test_a_note_of_an_answer_that_failed_is_told_with_the_next(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    pin(memory, BULLETS)
    chat.send(ASKED)
    pin(memory, NO_EMOJIS)
    once = ChatRequest("s", "Hello.", user_id="ann", idempotency_key="k-1")
    fake.refuse_next()
    with pytest.raises(ProviderError):
        chat.send(once)
    chat.send(once)
    (note,) = notes(fake.requests[-1])
    assert NO_EMOJIS in note
    chat.send(ASKED)
    assert notes(fake.requests[-1]) == [note]


def test_nothing_of_it_is_noticed(memory: Carryover, chat: Chat, clock: FrozenClock) -> None:
    pin(memory, BULLETS)
    chat.send(ASKED)
    memory.profiles.edit("ann", texts=["answers in haiku"], pins=[line(memory, NO_EMOJIS)])
    chat.send(ASKED)
    clock.pass_(400_000)
    settle(memory, "s")
    profile = memory.profiles.show("ann")
    assert profile.preferences == 0
    assert [shown for shown in profile.lines if shown.evidence] == []


def test_where_it_is_not_wanted_there_is_none(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, tmp_path: Path
) -> None:
    pin(memory, BULLETS)
    chat.send(ChatRequest("s", "Hello.", user_id="ann", persona=False))
    chat.send(ChatRequest("t", "Hello."))
    with open_chat(tmp_path / "off", fake, persona={"enabled": False}) as off:
        pin(off, BULLETS)
        Chat(off).send(ASKED)
    assert all(BULLETS not in sent(ask) for ask in fake.requests)
    chat.send(ChatRequest("s", "Hello.", user_id="ann"))
    assert BULLETS in fake.requests[-1].system


def test_what_was_erased_is_told_no_more(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    pin(memory, BULLETS)
    chat.send(ASKED)
    memory.profiles.erase("ann")
    chat.send(ASKED)
    assert BULLETS not in sent(fake.requests[-1])


def test_a_lost_key_is_told_and_stops_no_answer(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(memory, BULLETS)

    def lost(*_: Any, **__: Any) -> Any:
        raise KeyLost("the key of user 'ann' is not here; restore the keyring")

    monkeypatch.setattr(type(memory.engine.vault), "open", lost)
    answer = chat.send(ASKED)
    assert answer.text == "Hello."
    (warning,) = answer.warnings
    assert "restore the keyring" in warning
    assert BULLETS not in sent(fake.requests[-1])


@pytest.mark.parametrize("wire", ["openai", "openai-chat"])
def test_every_provider_is_told(tmp_path: Path, wire: str) -> None:
    with Scripted(lambda _body: ("Hello.", [])) as fake:
        named = {"llm": f"{wire}:gpt-5-mini", "llm_api_key": "k", "llm_base_url": fake.openai_url}
        settings = settings_for(tmp_path, fake, **named)  # type: ignore[arg-type]
        with Carryover.open(settings, work=False) as memory:
            pin(memory, BULLETS)
            chat = Chat(memory)
            answers = [chat.send(ASKED)]
            pin(memory, NO_EMOJIS)
            answers += [chat.send(ASKED), chat.send(ASKED)]
        first, second, third = (json.dumps(body) for body in fake.bodies)
        assert BULLETS in first
        assert NO_EMOJIS not in first
        assert second.count(NO_EMOJIS) == third.count(NO_EMOJIS) == 1
        for before, after in pairwise(answers):
            assert after.usage.cache_read == before.usage.tokens_in
