"""Which carryover this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    try:
        return metadata.version("carryover-memory")
    except metadata.PackageNotFoundError:
        return "0+source"


VERSION = version()
