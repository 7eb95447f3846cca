"""What the documents say of each flavor is what its adapters say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from carryover.coding.adapters.catalog import ADAPTERS
from carryover.core.step import FLAVORS, Supply

PAGE = (Path(__file__).parent.parent.parent / "docs" / "explain" / "coding.md").read_text("utf-8")


def tables() -> list[list[list[str]]]:
    """The tables of the page: rows of cells, the first of them the head."""
    blocks = [block for block in PAGE.split("\n\n") if block.startswith("|")]
    return [
        [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in block.splitlines()] for block in blocks
    ]


def test_what_each_flavor_can_tell() -> None:
    head, _, *rows = tables()[1]
    assert tuple(head[1:]) == get_args(Supply)
    assert tuple(row[0] for row in rows) == FLAVORS
    for flavor, *cells in rows:
        supplied = frozenset[str]().union(*(adapter.supplies for adapter in ADAPTERS if adapter.flavor == flavor))
        assert {name for name, cell in zip(head[1:], cells, strict=True) if cell == "yes"} == supplied, flavor
        assert set(cells) <= {"yes", "–"}


def test_where_each_flavor_is_looked_for() -> None:
    _, _, *rows = tables()[0]
    assert tuple(row[0] for row in rows) == FLAVORS
    for flavor, where, _ in rows:
        places = {place for adapter in ADAPTERS if adapter.flavor == flavor for place in adapter.places}
        named = {place.strip("` ") for place in where.split(",")} if places else set[str]()
        below = {place for place in places if any(place.startswith(f"{other}/") for other in named)}
        assert places - below == named, flavor
