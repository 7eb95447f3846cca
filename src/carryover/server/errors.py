"""What a refusal looks like: RFC 9457 problem documents, for our own errors and for everybody else's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from carryover.core import errors
from carryover.core.errors import CarryoverError
from carryover.core.wire import encode_error
from carryover.jobs.logger import logger_for

logger = logger_for(__name__)

MEDIA = "application/problem+json"


class Malformed(errors.Invalid):
    """The request cannot be read; correct it and send it again."""


class NotAllowed(CarryoverError):
    """The route does not know this method; see `GET /` for those there are."""


class Stopping(CarryoverError):
    """The server is about to stop; send the request to another one."""


STATUS: dict[type[CarryoverError], int] = {
    CarryoverError: 500,
    Malformed: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    NotAllowed: 405,
    errors.Conflict: 409,
    errors.VersionConflict: 409,
    errors.LeaseLost: 409,
    errors.OverBudget: 409,
    errors.Cancelled: 409,
    errors.TooLarge: 413,
    errors.Held: 423,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.DataLoss: 500,
    errors.ProviderError: 502,
    Stopping: 503,
    errors.KeyLost: 503,
    errors.StoreUnavailable: 503,
    errors.ProviderUnavailable: 503,
}

_WAIT = (429, 503)  # statuses that say when to come back


def status_of(error: CarryoverError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(error: CarryoverError, headers: Mapping[str, str] | None = None) -> Response:
    """The error as a response: its type, what happened and the remedy, and its facts as members."""
    status = status_of(error)
    more = dict(headers or {})
    if status == 401:
        more["WWW-Authenticate"] = 'Bearer realm="carryover"'
    if status in _WAIT:
        more["Retry-After"] = str(max(1, round(error.facts.get("retry_after") or 1)))
    document = {**encode_error(error), "status": status}
    return Response(json.dumps(document, default=str), status, more, media_type=MEDIA)


def install(app: FastAPI) -> None:
    """Whatever a route raises, and whatever no route answers, leaves as a problem document."""
    app.add_exception_handler(CarryoverError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_: Request, error: Exception) -> Response:
    refusal = cast("CarryoverError", error)
    if status_of(refusal) >= 500:
        logger.warning("request failed", reason=refusal.message, kind=type(refusal).__name__)
    return problem(refusal)


async def _invalid(_: Request, error: Exception) -> Response:
    first = cast("RequestValidationError", error).errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return problem(errors.Invalid(f"{field}: {first['msg']}; correct it and send it again", field=field))


async def _http(request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    path = request.url.path[:200]
    if refusal.status_code == 404:
        return problem(errors.NotFound(f"there is no route {path!r}; see GET / for those there are"))
    if refusal.status_code == 405:
        return problem(
            NotAllowed(f"{path!r} does not know {request.method}; see GET / for the methods it knows"),
            refusal.headers,
        )
    detail = re.sub(r"[.;]*$", "", str(refusal.detail))
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": detail,
        "status": refusal.status_code,
        "detail": f"{detail}; correct the request and send it again",
    }
    return Response(json.dumps(document), refusal.status_code, refusal.headers, media_type=MEDIA)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("request failed unexpectedly", method=request.method, path=request.url.path, exc_info=error)
    failure = CarryoverError("something went wrong that should not; the server's log says more, please report it")
    # The error goes on to uvicorn, which then closes the connection: the client must not use it again.
    return problem(failure, {"Connection": "close"})
