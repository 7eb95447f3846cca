"""Contexts that were told before, kept under a name of the very state they were made from: none is ever out of date."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

import msgspec

from carryover.core import telemetry
from carryover.core.context import Context
from carryover.core.ports import Cache
from carryover.core.text import digest


def _version() -> str:
    try:
        return metadata.version("carryover-memory")
    except metadata.PackageNotFoundError:
        return "source"


_FORM = f"3/{_version()}"  # another release may tell the same state otherwise; raise the number where it does
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Context)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where contexts are kept, and for how long."""

    cache: Cache
    ttl_s: int

    def slot(self, *state: object) -> Slot:
        """The place for what is told of this state: dataclasses, tuples, texts, numbers and None."""
        return Slot(self, digest("context", _FORM, repr(state)))


@dataclass(frozen=True, slots=True)
class Slot:
    """One place on the shelf."""

    shelf: Shelf
    key: str

    def get(self) -> Context | None:
        data = self.shelf.cache.get(self.key)
        telemetry.count("cache", cache="shelf", outcome="miss" if data is None else "hit")
        try:
            return None if data is None else _DECODER.decode(data)
        except msgspec.MsgspecError:
            return None

    def put(self, told: Context) -> None:
        self.shelf.cache.put(self.key, _ENCODER.encode(told), ttl_s=self.shelf.ttl_s)
