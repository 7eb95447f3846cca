"""`carryover chat`: one turn or a conversation, embedded and on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.cli.demo_server import serving
from chatting import HAIKU, in_turn, reading
from commands import Commands, run
from fakes.messages_stream import FakeMessagesStream


@pytest.fixture
def fake() -> Iterator[FakeMessagesStream]:
    with FakeMessagesStream("Hello there.") as opened:
        yield opened


@pytest.fixture(params=["embedded", "remote"])
def talking(
    request: pytest.FixtureRequest,
    home: Path,
    fake: FakeMessagesStream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Commands]:
    model = {"llm": HAIKU, "llm_api_key": "k-1", "llm_base_url": fake.url}
    if request.param == "embedded":
        for name, value in model.items():
            monkeypatch.setenv(f"CARRYOVER_{name.upper()}", value)
        yield Commands()
    else:
        folder = tmp_path / "server"
        folder.mkdir()
        with serving(folder, embedder="none", **model) as url:
            monkeypatch.setenv("CARRYOVER_URL", url)
            yield Commands()


def test_one_turn(talking: Commands, fake: FakeMessagesStream) -> None:
    assert talking("chat", "s1", "-m", "Hi.", "--instructions", "Be short.") == "Hello there.\n"
    assert fake.requests[0].system == "Be short."
    told = talking.json("chat", "s1", "--message", "Hi again.", "--strategy", '{"mode": "trim"}')
    assert (told["text"], told["strategy"]["mode"], told["strategy"]["source"]) == ("Hello there.", "trim", "request")
    assert "Hi again." in talking("window", "s1")


def test_each_line_is_a_turn(talking: Commands, fake: FakeMessagesStream) -> None:
    fake.answer = in_turn("One.", reading("c1", 1, 1), "Two.")
    done = run("chat", "s1", stdin="first\nsecond\n\nnever\n")
    assert (done.returncode, done.stdout) == (0, "One.\nTwo.\n")
    assert '[read_turns {"first":1,"last":1}]' in done.stderr.replace(" ", "").replace("read_turns", "read_turns ")
    lines = run("chat", "s1", "--json", stdin="third\n").stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["Two."]
    assert len(fake.requests) == 4


def test_what_goes_wrong_is_told(talking: Commands, fake: FakeMessagesStream) -> None:
    fake.fail_next(401)
    talking("chat", "s1", "-m", "Hi.", code=1)
    assert "check the key" in talking.err
    talking("chat", "s1", "-m", "Hi.", "--strategy", "{no", code=1)
    assert "--strategy is no JSON" in talking.err
    talking("chat", "s1", "-m", "Hi.", "--strategy", "[]", code=1)
    assert "--strategy is no JSON object" in talking.err


def test_without_a_model(carryover: Commands) -> None:
    carryover("chat", "s1", "-m", "Hi.", code=1)
    assert "set `llm` (CARRYOVER_LLM)" in carryover.err


def test_it_tells_the_model_how_the_user_likes_to_be_served(talking: Commands, fake: FakeMessagesStream) -> None:
    talking("profile", "edit", "ann", "--text", "reads on a small screen")
    talking("chat", "s1", "-m", "Hi.", "--user", "ann")
    talking("chat", "s1", "-m", "Hi.", "--user", "ann", "--no-persona")
    assert ["small screen" in request.system for request in fake.requests] == [True, False]
