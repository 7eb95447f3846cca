"""Responses: values as JSON bytes, and what ETag, If-Match and If-None-Match say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from carryover.core.errors import Invalid
from carryover.core.session import Appended, Session, Turn
from carryover.core.wire import encode, turn_text
from carryover.server.bodies import one_of
from carryover.server.errors import Malformed

JSON = "application/json"
_VERSION = re.compile(r'"(\d{1,15})"')


def to_bytes(value: Any) -> bytes:
    """A value of carryover as JSON in UTF-8."""
    return json_bytes(encode(value))


def json_bytes(shown: Any) -> bytes:
    """Decoded JSON as UTF-8."""
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can say
        return json.dumps(shown, separators=(",", ":")).encode()


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_bytes(value), status, headers, media_type=JSON)


def encoded(shown: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """As `answer`, of what is encoded already."""
    return Response(json_bytes(shown), status, headers, media_type=JSON)


def etag(version: int | str) -> dict[str, str]:
    return {"ETag": f'"{version}"'}


def of_session(session: Session, status: int = 200, **more: Any) -> Response:
    """The session with its version as ETag.

    The version is for `If-Match`: a session may close, or be erased and begun anew, at the same version.
    """
    return encoded({**encode(session), **more}, status, etag(session.version))


def with_turns(session: Session, turns: list[Turn], **more: Any) -> Response:
    """The session with these turns, their content byte for byte."""
    text = "".join(turns_text({**encode(session), **more}, turns))
    return Response(text, 200, etag(session.version), media_type=JSON)


def turns_text(members: dict[str, Any], turns: Iterable[Turn]) -> Iterator[str]:
    """The pieces of a JSON object of these members and `turns`."""
    yield json.dumps(members, separators=(",", ":"))[:-1] + ',"turns":['
    comma = ""
    for turn in turns:
        yield comma + turn_text(turn)
        comma = ","
    yield "]}"


def appended(done: Appended, status: int) -> Response:
    turns = ",".join([f'{{"seq":{place.seq},"id":"{place.id}"}}' for place in done.turns])
    text = (
        f'{{"session_id":"{done.session_id}","agent_id":"{done.agent_id}","version":{done.version},"turns":[{turns}]}}'
    )
    return Response(text, status, etag(done.version), media_type=JSON)


def expected_version(request: Request) -> int | None:
    """The version that `If-Match` demands. Raises Malformed unless it is one strong ETag of ours."""
    asked = request.headers.get("if-match")
    if asked is None:
        return None
    version = _VERSION.fullmatch(asked.strip())
    if version is None:
        raise Malformed(
            f'If-Match {asked[:80]!r} is no version; send one as it was answered, like "3"', field="If-Match"
        )
    return int(version[1])


def expected(request: Request, given: dict[str, Any]) -> int | None:
    """The version that `If-Match` or the body expects, which is no member of the body any more.

    Raises Malformed, and Invalid for what is no version or where the two differ.
    """
    version = given.pop("expected_version", None)
    if version is not None and (type(version) is not int or not 0 <= version < 2**53):
        raise Invalid("expected_version is no version; send one as it was answered, like 3", field="expected_version")
    return one_of(version, expected_version(request), "expected_version")


def is_known(request: Request, version: int | str) -> bool:
    """Whether `If-None-Match` names this version (RFC 9110 compares weakly here)."""
    asked = request.headers.get("if-none-match")
    if asked is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    return f'"{version}"' in tags or "*" in tags
