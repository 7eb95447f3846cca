"""Server-sent events, read line by line, and where to go on when the line breaks. No I/O here.

(WHATWG HTML, "Server-sent events", section "Interpreting an event stream".)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from carryover.client.wire import Call, said
from carryover.core.event import Event
from carryover.core.wire import decode


@dataclass(slots=True)
class Following:
    """How far a stream was read: `seen` is the id of the last event, or what the server began with."""

    call: Call[None]
    seen: int | None
    began: bool = False  # whether the server ever answered
    _data: list[str] = field(default_factory=list[str])
    _id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        known = {} if self.seen is None else {"Last-Event-ID": str(self.seen)}
        return {"Accept": "text/event-stream", **known}

    def heard(self, line: str) -> Event | None:
        """The event that this line completes, if it does."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "id":
                self._id = value
            return None
        if self._id.isascii() and self._id.isdigit() and len(self._id) < 20:
            self.seen = int(self._id)
        data, self._data = "\n".join(self._data), []
        return decode(Event, said(data)) if data else None

    def broken(self) -> None:
        """What was heard of an event that is not complete is forgotten: it comes again."""
        self._data.clear()
        self._id = ""
