"""Gemini CLI, the newer form: a header, then messages and changes of what is known, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carryover.coding.adapters import gemini
from carryover.coding.adapters.base import Form, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import message, record_of
from carryover.core.step import Flavor, Supply

flavor: Flavor = gemini.flavor
form: Form = "lines"
supplies: frozenset[Supply] = gemini.supplies
places: tuple[str, ...] = gemini.places
files: tuple[str, ...] = gemini.files


def claims(head: bytes, path: Path) -> bool:
    """Whether it begins with the header of a session."""
    return gemini.is_log(head)


def read(reading: Reading, line: bytes) -> None:
    """A message, or what changed: nothing that was there before is taken back."""
    record = record_of(line)
    session = str(reading.state.get("session") or session_id(reading.path.stem))
    if "$set" in record:
        _changed(reading, session, table(record["$set"]))
    elif "$rewindTo" in record:
        reading.saw(None, "$rewindTo")
        to = first_text(record["$rewindTo"])
        identity = ("gemini", session, str(reading.start))
        said = message(reading, "note", identity, f"went back to before message {to}", detail={"rewind_to": to})
        reading.of(session).add(said)
    elif "sessionId" in record and "type" not in record:
        reading.saw(None, "header")
        session = reading.state["session"] = session_id(first_text(record["sessionId"], reading.path.stem))
        gemini.headed(reading, session, record)
        gemini.told_all(reading, session, record.get("messages"), f"{session}/{reading.start}")
    else:
        gemini.told(reading, session, record, f"{session}/{reading.start}")


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def _changed(reading: Reading, session: str, now: Mapping[str, Any]) -> None:
    reading.saw(None, "$set")
    gemini.headed(reading, session, now)
    # The context as it is after a compression: what it no longer holds was said all the same.
    gemini.told_all(reading, session, now.get("messages"), f"{session}/{reading.start}")
