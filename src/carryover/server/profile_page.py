"""The page at `/profile`, on which a user sees and corrects what models are told about them.

A handful of hand-written files beside this module. The page holds nothing of anybody: its script fetches the profile
with what the user brings, a link or a key. A strict policy keeps everything else out, so that whatever stands in a
profile is shown as text and runs nowhere.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carryover.core.persona import LONGEST_PHRASE, MOST_TEXTS, MOST_TOKENS, MOST_WEIGHT

ASSETS = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "lines.js": "text/javascript",
    "saving.js": "text/javascript",
    "edits.js": "text/javascript",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # A string never becomes markup: the browser refuses it where our own script would forget to.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_GUARDED = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def wanted(request: Request) -> bool:
    """Whether who asks for a profile is a browser that wants to show the page."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and "application/json" not in accepted.partition("text/html")[0]


def page() -> Response:
    """The page, for anybody: it knows of no user."""
    headers = {**_GUARDED, "Content-Security-Policy": POLICY, "Cache-Control": "no-store", "Vary": "Accept"}
    return Response(_page(), headers=headers, media_type="text/html")


async def asset(request: Request) -> Response:
    """A script or the style of the page; 304 where the browser has it."""
    name = request.url.path.rpartition("/")[2]
    content, etag = _asset(name)
    headers = {**_GUARDED, "Cache-Control": "no-cache", "ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=ASSETS[name])


ROUTES = [Route(f"/profile/{name}", asset) for name in ASSETS]


@cache
def _page() -> str:
    limits = {"tokens": MOST_TOKENS, "texts": MOST_TEXTS, "characters": LONGEST_PHRASE, "weight": MOST_WEIGHT}
    return Template(_read("page.html")).substitute(limits)


@cache
def _asset(name: str) -> tuple[str, str]:
    content = _read(name)
    return content, f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def _read(name: str) -> str:
    return files("carryover.server").joinpath("profile", name).read_text("utf-8")
