"""Published conversations with labelled evidence, as sessions to log and questions to ask."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from carryover.core.errors import Invalid
from carryover.core.session import Draft

Place = tuple[str, int]  # session, seq


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, its category, and the turns that hold the answer."""

    text: str
    category: str
    gold: frozenset[Place]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One history, in a scope of its own: its sessions in order, and questions about it."""

    name: str
    sessions: dict[str, list[Draft]]
    questions: tuple[Question, ...]


@contextmanager
def readable(path: Path) -> Generator[None]:
    """What a file of another shape gives rise to leaves as Invalid, with its name."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise Invalid(
            f"{path} is not of the shape that its name says ({type(cause).__name__}: {cause}); correct or remove it",
            field=str(path),
        ) from cause


def locomo(folder: Path) -> Iterator[Conversation]:
    """LoCoMo, one file a conversation (Maharana et al., ACL 2024). Questions without evidence are left out.

    Evidence ids are read leniently: several in one string, leading zeros, a colon too many.
    """
    for path in sorted(folder.glob("conv-*.json")):
        with readable(path):
            yield _locomo(path)


def _locomo(path: Path) -> Conversation:
    data = json.loads(path.read_text("utf-8"))
    talk = data["conversation"]
    numbers = sorted(int(key.split("_")[1]) for key in talk if re.fullmatch(r"session_\d+", key))
    sessions = {
        f"session-{n}": [_said(turn, talk[f"session_{n}_date_time"]) for turn in talk[f"session_{n}"]] for n in numbers
    }
    questions = [
        Question(qa["question"], f"c{qa['category']}", frozenset(_evidence(qa.get("evidence", []))))
        for qa in data["qa"]
    ]
    return Conversation(path.stem, sessions, _answerable(sessions, questions))


def beam(folder: Path) -> Iterator[Conversation]:
    """BEAM, chats of 100K tokens (Tavakoli et al., arXiv 2510.27246). Abstention has no evidence and is left out."""
    for path in sorted(folder.glob("100K-*.json")):
        with readable(path):
            yield _beam(path)


def _beam(path: Path) -> Conversation:
    data = json.loads(path.read_text("utf-8"))
    sessions: dict[str, list[Draft]] = {}
    places: dict[int, Place] = {}
    for batch in data["chat"]:
        session = f"batch-{batch['batch_number']}"
        said = sessions.setdefault(session, [])
        at = _anchored(batch.get("time_anchor"), 0)
        for message in (message for group in batch["turns"] for message in group):
            at = _anchored(message.get("time_anchor"), at)
            text = re.sub(r"\s*->->[\s\d,]*$", "", message["content"])
            said.append(Draft(role=message["role"], content=text, created_at=at))
            places[message["id"]] = (session, len(said))
    questions = [
        Question(probe["question"], kind, frozenset(places[id] for id in _ids(probe.get("source_chat_ids"))))
        for kind, probes in data["probing_questions"].items()
        for probe in probes
    ]
    return Conversation(path.stem, sessions, _answerable(sessions, questions))


def _said(turn: dict[str, Any], when: str) -> Draft:
    at = datetime.strptime(when, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
    parts = [{"type": "text", "text": turn["text"]}]
    if turn.get("blip_caption"):
        parts.append({"type": "image", "caption": turn["blip_caption"]})
    return Draft(role="user", content=parts, name=turn["speaker"], created_at=int(at.timestamp() * 1000))


def _evidence(given: list[str]) -> Iterator[Place]:
    for text in given:
        for session, turn in re.findall(r"D:?(\d+):(\d+)", text):
            yield f"session-{int(session)}", int(turn)


def _anchored(given: str | None, otherwise: int) -> int:
    if not given:
        return otherwise
    return int(datetime.strptime(given, "%B-%d-%Y").replace(tzinfo=UTC).timestamp() * 1000)


def _ids(given: object) -> Iterator[int]:
    if isinstance(given, int):
        yield given
    elif isinstance(given, dict):
        for inner in cast("dict[str, object]", given).values():
            yield from _ids(inner)
    elif isinstance(given, list):
        for inner in cast("list[object]", given):
            yield from _ids(inner)


def _answerable(sessions: dict[str, list[Draft]], questions: list[Question]) -> tuple[Question, ...]:
    """Those whose evidence exists; some labels name turns that do not."""
    kept = (
        Question(q.text, q.category, frozenset((s, seq) for s, seq in q.gold if 1 <= seq <= len(sessions.get(s, ()))))
        for q in questions
    )
    return tuple(q for q in kept if q.gold)
