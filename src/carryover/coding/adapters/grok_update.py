"""One of Grok Build's updates, and what became of its pieces: a message in several, a call and what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carryover.coding.adapters.base import Part, Reading, first_text, table
from carryover.coding.adapters.messages import message, plain, remember
from carryover.core.clock import Time
from carryover.core.step import LONGEST, TAIL, Step, StepKind, excerpt, uid

CHUNKS: Mapping[str, StepKind] = {
    "user_message_chunk": "prompt",
    "agent_message_chunk": "text",
    "agent_thought_chunk": "thinking",
}
QUERY = re.compile(r"\A\s*<user_query>\s*(.*?)\s*</user_query>\s*\Z", re.DOTALL)
INJECTED = re.compile(r"\A\s*<(?:system[-_]reminder|user_info|project_instructions|environment_context|git_status)\b")


@dataclass(slots=True)
class Update:
    """One update: what it says, when, and by what it is known in every copy of it."""

    reading: Reading
    part: Part
    said: Mapping[str, Any]
    meta: Mapping[str, Any]
    at: Time | None
    identity: str

    @property
    def kind(self) -> str:
        return first_text(self.said.get("sessionUpdate"))

    @property
    def state(self) -> dict[str, Any]:
        return self.reading.state

    def add(self, kind: StepKind, text: str, **more: Any) -> None:
        """A step of this update."""
        self.put(message(self.reading, kind, ["grok", self.identity], text, self.at, **more))

    def put(self, step: Step) -> None:
        """The step is there, and before it the message that came in pieces until now."""
        flush(self.reading)
        self.part.add(step)

    def note(self, via: str, text: str = "", **detail: Any) -> None:
        """The harness says this of itself; `via` is its sort."""
        known = {name: value for name, value in detail.items() if value not in (None, "", [], {})}
        self.add("note", text, detail={"via": via, **known})

    def answers_as(self, model: Any) -> None:
        """From this update on, that model answers."""
        if isinstance(model, str) and model:
            self.state["model"] = model
            remember(self.part.about.models, model)


def chunk(update: Update) -> None:
    """A piece of a message waits for its other pieces; `flush` makes the message a step."""
    kind, said, state = CHUNKS[update.kind], update.said, update.state
    content, meta = table(said.get("content")), table(said.get("_meta"))
    text = first_text(table(content.get("_meta")).get("displayText")) or plain(content)
    if not text and content.get("type") not in (None, "text"):
        text = f"[{content['type']}]"
    update.answers_as(meta.get("modelId"))
    prompt, index = first_text(update.meta.get("promptId")), meta.get("promptIndex")
    piece = state.get("piece")
    if piece is not None and _goes_on(piece, kind, prompt, index) and not meta.get("interjection"):
        piece["text"] += text
        piece["length"] = update.reading.start + update.reading.length - piece["start"]
        return
    flush(update.reading)
    state["piece"] = {
        "kind": kind,
        "prompt": prompt,
        "index": index,
        "text": text,
        "first": text,
        "identity": update.identity,
        "at": update.at,
        "start": update.reading.start,
        "length": update.reading.length,
        "via": _via(kind, meta),
    }


def flush(reading: Reading) -> None:
    """The message that came in pieces is a step, as far as it is there."""
    piece = reading.state.pop("piece", None)
    if piece is None or not piece["text"].strip():
        return
    kind, text, via = piece["kind"], piece["text"], piece["via"]
    if kind == "prompt":
        if (wrapped := QUERY.match(text)) is not None:
            text = wrapped[1]
        elif via is None and INJECTED.match(text):
            via = "context"
        kind = "prompt" if via in (None, "queued") else "note"
    # It is known by its first piece: when the log is read again there may be more of them.
    step = Step(
        uid("grok", piece["identity"], kind, piece["first"]),
        kind,
        excerpt(text, LONGEST - TAIL, TAIL),
        piece["at"],
        size=len(text.encode("utf-8", "replace")),
        model=reading.state.get("model") if kind in ("text", "thinking") else None,
        detail={"via": via} if via else None,
        start=piece["start"],
        length=piece["length"],
    )
    reading.of(reading.state["session"]).add(step)


def _via(kind: StepKind, meta: Mapping[str, Any]) -> str | None:
    """By what way a message came that nobody typed as a prompt; None for all others."""
    if kind != "prompt":
        return None
    reason = first_text(meta.get("synthetic_reason"), meta.get("syntheticReason"))
    return "queued" if meta.get("interjection") is True or reason == "interjection" else reason or None


def _goes_on(piece: Mapping[str, Any], kind: StepKind, prompt: str, index: Any) -> bool:
    """Whether a piece belongs to the one before it: what it does not say of its prompt has not changed."""
    return (
        piece["kind"] == kind
        and (not prompt or not piece["prompt"] or prompt == piece["prompt"])
        and (index is None or index == piece["index"])
    )
