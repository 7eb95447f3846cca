"""Published conversations with labelled evidence, as sessions to log and questions to ask."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from carryover.core.errors import Invalid
from carryover.core.session import ROLES, Draft

Place = tuple[str, int]  # session, seq

# Questions whose answer is a detail that was said: elsewhere a date is worked out, or a whole story told.
_DETAILS = ("c1", "c3", "c4", "information_extraction", "knowledge_update", "multi_session_reasoning")
_UPDATES = ("knowledge_update", "contradiction_resolution", "knowledge-update")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, its category, and the turns that hold the answer.

    `sessions` are those of these turns; some sets know no more than them. `answer` is "" where its words need not
    stand in a turn. Of an `update` the newest turn holds, and the ones before it are out of date.
    """

    text: str
    category: str
    gold: frozenset[Place]
    answer: str = ""
    sessions: frozenset[str] = frozenset()

    @property
    def update(self) -> bool:
        return self.category in _UPDATES and len(self.gold) > 1


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
    except (ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError) as cause:
        raise Invalid(
            f"{path} is not of the shape that its name says ({type(cause).__name__}: {cause}); correct or remove it",
            field=str(path),
        ) from cause


def locomo(folder: Path) -> Iterator[Conversation]:
    """LoCoMo (Maharana et al., ACL 2024): a file a conversation, or all in one list. Those without evidence are out.

    Evidence ids are read leniently: several in one string, leading zeros, a colon too many.
    """
    for path in sorted([*folder.glob("conv-*.json"), *folder.glob("locomo*.json")]):
        with readable(path):
            data = json.loads(path.read_text("utf-8"))
            items = cast("list[dict[str, Any]]", data) if isinstance(data, list) else [data]
            made = [_locomo(item, str(item.get("sample_id", path.stem))) for item in items]
        yield from made


def _locomo(data: dict[str, Any], name: str) -> Conversation:
    talk = data["conversation"]
    numbers = sorted(int(key.split("_")[1]) for key in talk if re.fullmatch(r"session_\d+", key))
    sessions = {
        f"session-{n}": [_said(turn, talk[f"session_{n}_date_time"]) for turn in talk[f"session_{n}"]] for n in numbers
    }
    questions = [
        _question(qa["question"], f"c{qa['category']}", _evidence(qa.get("evidence", [])), qa.get("answer", ""))
        for qa in data["qa"]
    ]
    return Conversation(name, sessions, _answerable(sessions, questions))


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
            said.append(Draft(role=_role(message["role"]), content=text, created_at=at))
            places[message["id"]] = (session, len(said))
    questions = [
        _question(
            probe["question"], kind, (places[id] for id in _ids(probe.get("source_chat_ids"))), probe.get("answer", "")
        )
        for kind, probes in data["probing_questions"].items()
        for probe in probes
    ]
    return Conversation(path.stem, sessions, _answerable(sessions, questions))


def longmemeval(folder: Path) -> Iterator[Conversation]:
    """LongMemEval (Wu et al., ICLR 2025), one haystack or a list of them a file; abstention questions are out.

    As its authors do: a session counts as gold only where a turn of the user in it is flagged. Where no turn of any
    gold session is flagged, the sessions are all that is known.
    """
    for path in sorted(folder.glob("*.json")):
        with readable(path):
            data = json.loads(path.read_text("utf-8"))
            items = cast("list[dict[str, Any]]", data) if isinstance(data, list) else [data]
            made = [_haystack(item) for item in items if not str(item["question_id"]).endswith("_abs")]
        yield from (conversation for conversation in made if conversation.questions)


def _haystack(data: dict[str, Any]) -> Conversation:
    sessions: dict[str, list[Draft]] = {}
    flagged: dict[str, frozenset[Place]] = {}
    by_user: set[str] = set()
    for id, when, messages in zip(
        data["haystack_session_ids"], data["haystack_dates"], data["haystack_sessions"], strict=True
    ):
        at = int(datetime.strptime(when, "%Y/%m/%d (%a) %H:%M").replace(tzinfo=UTC).timestamp() * 1000)
        sessions[id] = [Draft(role=_role(m["role"]), content=m["content"], created_at=at) for m in messages]
        flagged[id] = frozenset((id, n) for n, m in enumerate(messages, 1) if m.get("has_answer"))
        if any(m.get("has_answer") and m["role"] == "user" for m in messages):
            by_user.add(id)
    several = "questions" in data
    asked = data["questions"] if several else [data["question"]]
    answers = data["answers"] if several else [data["answer"]]
    gold = data["answer_session_ids"] if several else [data["answer_session_ids"]]
    questions: list[Question] = []
    for text, answer, ids in zip(asked, answers, gold, strict=True):
        turns = frozenset(place for id in ids for place in flagged.get(id, ()))
        within = frozenset(ids) & by_user if turns else frozenset(id for id in ids if id in sessions)
        if within:
            questions.append(Question(text, data["question_type"], turns, str(answer), within))
    return Conversation(str(data["question_id"]), sessions, tuple(questions))


def _question(text: str, category: str, gold: Iterator[Place], answer: object) -> Question:
    return Question(text, category, frozenset(gold), str(answer) if category in _DETAILS else "")


def _role(given: str) -> Any:
    if given not in ROLES:
        raise ValueError(f"{given!r} is no role")
    return given


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
    kept: list[Question] = []
    for asked in questions:
        gold = frozenset((s, seq) for s, seq in asked.gold if 1 <= seq <= len(sessions.get(s, ())))
        if gold:
            kept.append(replace(asked, gold=gold, sessions=frozenset(session for session, _ in gold)))
    return tuple(kept)
