"""Where what a record of Claude Code tells belongs: its session, its time, its identity, its title."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Part, Reading, session_id
from carryover.coding.adapters.claude_records import Record, time_of
from carryover.core.clock import Time
from carryover.core.step import LONGEST, TAIL, Branch, Step, StepKind, excerpt, uid

# How much a title counts: one that a person gave before one of the model before a summary of what was resumed.
CUSTOM, GENERATED, SUMMARY = 3, 2, 1
_RECENT, _SUMMARIES, _TITLES = 32, 32, 16  # how many are remembered
_LONGEST_ID, _LONGEST_TITLE = 200, 500  # characters of what is remembered


@dataclass(slots=True)
class Told:
    """One record, and where its steps go. `own` says that the session is a sub-agent's own."""

    reading: Reading
    record: Record
    line: bytes
    session: str
    own: bool
    at: Time | None
    branch: Branch
    identity: str = ""

    def step(self, kind: StepKind, text: str, index: int = 0, **more: Any) -> None:
        """The record told this; `index` is the part of its message that did."""
        made: dict[str, Any] = {
            "uid": self.uid(index),
            "at": self.at,
            "branch": self.branch,
            "start": self.reading.start,
            "length": self.reading.length,
            **more,
        }
        self.part().add(Step(kind=kind, text=excerpt(text, LONGEST - TAIL, TAIL), **made))

    def uid(self, index: int) -> str:
        """Of a part of the message: the same in every copy, which has the record's id and message, but a session id
        of its own. What has no id of its own is what its line says."""
        if not self.identity:
            record = self.record
            told = (self.line,) if record.uuid is None else (record.uuid, bytes(record.message) or record.type or "")
            self.identity = uid(*told)
        return uid(self.identity, str(index)) if index else self.identity

    def part(self) -> Part:
        """What the file holds of the session, with what the record says about it."""
        record = self.record
        part = self.reading.parts.get(self.session) or self._begun()
        about = part.about
        about.cwd = about.cwd or record.cwd
        about.branch = about.branch or record.git_branch or None
        if record.version and record.version not in about.versions:
            about.versions.append(record.version)
        if record.entrypoint and about.entry is None:
            about.entry = record.entrypoint
            if about.kind == "main" and (record.entrypoint.startswith("sdk") or record.prompt_source == "sdk"):
                about.kind = "headless"
        return part

    def _begun(self) -> Part:
        state, part = self.reading.state, self.reading.of(self.session)
        before = state.get("main")
        if self.own:
            part.about.kind, part.about.parent = "subagent", _parent(self.record, self.reading)
        else:
            part.about.kind = "main"
            if before is not None and before != self.session:
                part.about.kind, part.about.parent = "fork", before
        if not self.own:
            state["main"] = self.session
        if (title := state.get("titles", {}).get(self.session)) is not None:
            part.about.title = title[1]
        return part

    def know(self, name: str, key: str, value: Any, most: int) -> None:
        """`key` is remembered in the table `name` of the reading's state, and of what is there the last `most`."""
        if len(key) > _LONGEST_ID:
            return
        known = self.reading.state.setdefault(name, {})
        known[key] = value
        if len(known) > most:
            del known[next(iter(known))]

    def linked(self) -> None:
        """The record is a link of the conversation: a summary may name it as the end of what it sums up."""
        if self.record.uuid is None:
            return
        state = self.reading.state
        self.know("recent", self.record.uuid, self.session, _RECENT)
        waiting = state.get("summaries")
        if waiting and (summary := waiting.pop(self.record.uuid, None)) is not None:
            self.titled(summary, SUMMARY, self.session)

    def summed_up(self, summary: str, leaf: str) -> None:
        """A summary stands in the file; it is the session's title if what it sums up is in this file, too."""
        session = self.reading.state.get("recent", {}).get(leaf)
        if session is not None:
            self.titled(summary, SUMMARY, session)
        else:
            self.know("summaries", leaf, summary[:_LONGEST_TITLE], _SUMMARIES)

    def titled(self, title: str, weight: int, session: str) -> None:
        """A session is called that, unless something that counts more has named it, or an earlier summary."""
        known = self.reading.state.get("titles", {}).get(session, (0, ""))[0]
        title = title[:_LONGEST_TITLE]
        if not title or weight < known or (weight == known == SUMMARY):
            return
        self.know("titles", session, [weight, title], _TITLES)
        if session in self.reading.parts:
            self.reading.parts[session].about.title = title


def told(reading: Reading, record: Record, line: bytes) -> Told:
    """The record with its place: the session that it names, or the sub-agent's own below that one."""
    native = record.session_id or record.stream_session or reading.state.get("native") or reading.path.stem
    if record.session_id and bytes(record.message):
        reading.state["native"] = session_id(record.session_id)
    sidechain = record.is_sidechain is True
    own = record.agent_id is not None and (sidechain or _of_an_agent(reading.path))
    session = _session(native, record.agent_id) if own else _session(native, None)
    branch: Branch = "sidechain" if sidechain and not own else "main"
    return Told(reading, record, line, session, own, time_of(record.timestamp), branch)


@lru_cache(1_024)
def _session(native: str, agent: str | None) -> str:
    """A sub-agent's session is called after the one that spawned it, unless it has an id that is its alone."""
    if agent is None or native == f"agent-{agent}":
        return session_id(native)
    return session_id(f"{native}:{agent}")


def _parent(record: Record, reading: Reading) -> str | None:
    """The session that spawned the sub-agent: the one that the record names, or the folder in which the file lies."""
    native = record.session_id
    if native is not None and native != f"agent-{record.agent_id}":
        return session_id(native)
    folders = reading.path.parts
    below = folders.index("subagents") if "subagents" in folders else 0
    return session_id(folders[below - 1]) if below else None


def _of_an_agent(path: Path) -> bool:
    return path.name.startswith("agent-")
