"""Sessions and the turns of their logs."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from carryover.core.clock import Time
from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT
from carryover.core.text import plain

Role = Literal["user", "assistant", "system", "tool"]
Kind = Literal["message", "tool_call", "tool_result", "reasoning", "retraction"]
Status = Literal["active", "idle", "closed"]
ROLES: tuple[Role, ...] = get_args(Role)
KINDS: tuple[Kind, ...] = get_args(Kind)
Content = str | list[Any]
ERASED = "erased"  # the kind of what stands where a turn was erased; nobody appends it, and nobody is shown it
INJECTED = "injected"  # of the metadata of a turn that carryover put into a session, and what it is


class Json(str):
    """JSON text exactly as it arrived: number formats, key order and unknown members are kept byte for byte."""

    __slots__ = ()


def to_json(value: Any, field: str = "content") -> Json:
    """`value` as JSON text; text that is JSON already stays as it is.

    Raises Invalid when it cannot be said in JSON. A lone surrogate is kept as its escape.
    """
    if isinstance(value, Json):
        return value
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except RecursionError as cause:
        raise Invalid(f"{field} is nested too deeply for JSON; flatten it", field=field) from cause
    except (TypeError, ValueError) as cause:
        raise Invalid(
            f"{field} cannot be said in JSON ({cause}); use strings, numbers, lists and dicts", field=field
        ) from cause
    return Json(text)


# Idempotency keys that begin so are made of what is said, as imports and frameworks make them: they name no request.
OF_CONTENT = ("b2:", "row:", "line:")


@dataclass(frozen=True, slots=True)
class Draft:
    """A turn before it has a place in the log.

    `content` is a string or a list of parts; a `Json` text is kept byte for byte. `created_at` is when it was
    said (default: when it is received). `idempotency_key` makes a repeated append harmless.
    """

    role: Role
    content: Content | Json
    kind: Kind = "message"
    name: str | None = None
    call_id: str | None = None
    created_at: Time | None = None
    metadata: dict[str, Any] | Json | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One entry of a session's log: `seq` is dense from 1 and never changes, nor does anything else here.

    `body` is the content as JSON text; `content` and `text` read it.
    """

    seq: int
    id: str
    role: Role
    body: Json
    kind: Kind
    received_at: Time
    tokens: int
    created_at: Time
    name: str | None = None
    call_id: str | None = None
    metadata: Json | None = None
    idempotency_key: str | None = None

    @property
    def content(self) -> Content:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """What a reader would read of it."""
        try:
            return plain(json.loads(self.body))
        except RecursionError:
            return ""

    @property
    def is_injected(self) -> bool:
        """Whether it is what carryover told a model, and nobody said it: nothing is learned from it, or found in it."""
        return self.metadata is not None and f'"{INJECTED}"' in self.metadata and INJECTED in json.loads(self.metadata)

    @property
    def retracts(self) -> tuple[int, int] | None:
        """The first and the last of the turns that it takes back; None unless it is a retraction."""
        if self.kind != "retraction":
            return None
        try:
            told = json.loads(self.body)[0]
            return int(told["first"]), int(told["last"])
        except (ValueError, TypeError, LookupError):
            return None


def retraction(first: int, last: int) -> Draft:
    """What takes the turns `first` to `last` back: they stay in the log, and nobody is shown them any more."""
    return Draft("system", [{"type": "retraction", "first": first, "last": last}], kind="retraction")


def live(turns: Iterable[Turn], taken: Iterable[tuple[int, int]] = ()) -> list[Turn]:
    """The turns that were not taken back, in order and without the retractions among them.

    `taken` are the runs that retractions elsewhere take back.
    """
    given = list(turns)
    gone = [*taken, *(turn.retracts for turn in given if turn.retracts is not None)]
    if not gone:
        return [turn for turn in given if turn.kind != "retraction"]
    runs: list[tuple[int, int]] = []
    for first, last in sorted(gone):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))

    def is_gone(seq: int) -> bool:
        at = bisect_right(runs, (seq + 1,)) - 1
        return at >= 0 and seq <= runs[at][1]

    return [turn for turn in given if turn.kind != "retraction" and not is_gone(turn.seq)]


def genuine(turns: Iterable[Turn], taken: Iterable[tuple[int, int]] = ()) -> list[Turn]:
    """The live turns but for those that carryover put among them: what can be learned from."""
    return [turn for turn in live(turns, taken) if not turn.is_injected]


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation of one agent; `version` is the number of its turns."""

    agent_id: str
    session_id: str
    user_id: str | None
    version: int
    created_at: Time
    updated_at: Time
    token_count: int
    status: Status
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    ttl_s: int | None = None
    expires_at: Time | None = None

    @property
    def turn_count(self) -> int:
        return self.version


@dataclass(frozen=True, slots=True)
class Append:
    """A request to append one batch, atomically."""

    session_id: str
    drafts: tuple[Draft, ...]
    agent_id: str = DEFAULT
    user_id: str | None = None
    expected_version: int | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a draft ended up."""

    seq: int
    id: str


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append answers; `saved` is False when idempotency keys showed that all of it was there already."""

    session_id: str
    agent_id: str
    version: int
    turns: tuple[Place, ...]
    saved: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """A run of turns that supports a derived statement; the quote stands verbatim in one of them."""

    session_id: str
    first: int
    last: int
    quote: str = ""
