"""Where a provider is reached."""

from __future__ import annotations

from urllib.parse import urlsplit

from carryover.core.errors import Invalid


def check_url(url: str) -> str:
    """`url`, once it is known to name a host by http or https; raises Invalid otherwise."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise Invalid(f"base URL {url!r} names no host; write it as https://host/path", field="base_url")
    return url
