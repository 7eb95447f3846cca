"""How strategies and views look as JSON: with the source of the mode, and operations as ranges of turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from carryover.core.errors import Invalid
from carryover.core.strategy import Effective, View
from carryover.core.wire import decode, encode


def show_view(view: View) -> dict[str, Any]:
    """The view, its items as they are."""
    return {
        **_show(replace(view, items=(), system=(), operations=())),
        "system": list(view.system),
        "items": list(view.items),
        "operations": [{"op": o.op, "range": [o.first, o.last], "reason": o.reason} for o in view.operations],
    }


def show_effective(effective: Effective) -> dict[str, Any]:
    return _show(effective)


def read_view(data: Mapping[str, Any]) -> View:
    """The view that `show_view` showed. Raises Invalid where it did not."""
    try:
        told = [{**one, "first": one["range"][0], "last": one["range"][1]} for one in data.get("operations", ())]
    except (LookupError, TypeError) as cause:
        raise Invalid(
            "operations are no list of ranges; check that client and server are of the same version"
        ) from cause
    return decode(View, {**data, "operations": told})


def read_effective(data: Mapping[str, Any]) -> Effective:
    return decode(Effective, data)


def _show(value: View | Effective) -> dict[str, Any]:
    shown: dict[str, Any] = encode(value)
    return {**shown, "strategy": {**shown["strategy"], "source": value.sources.get("mode", "default")}}
