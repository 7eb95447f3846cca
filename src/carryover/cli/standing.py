"""How index and vectors stand, in the words of `carryover doctor`: a state, what was found, and what to do about it."""

from __future__ import annotations

from typing import Literal

from carryover.cli import show
from carryover.recall import embed
from carryover.recall.embed import Models
from carryover.store import damage, spaces
from carryover.store.check import State
from carryover.store.store import Tx

Standing = tuple[Literal["ok", "note", "broken"], str, str]
_CATCHES_UP = "run `carryover worker` where none runs; searches index what they need meanwhile"


def index(tx: Tx, found: State) -> Standing:
    """Whether the index says what the log says, and how far behind it is."""
    if wrong := [one.about for one in damage.look(tx)]:
        return (
            "broken",
            f"damaged: {'; '.join(wrong)}",
            "a worker rebuilds it within the hour; `carryover db reindex` lets it begin at once",
        )
    return _behind(found.unindexed_turns, "turn")


def vectors(tx: Tx, found: State, models: Models) -> Standing:
    """Which vectors answer searches, and how many are missing."""
    if models.space is None:
        return "ok", "none are wanted", ""
    under_way = embed.progress(tx, models)
    if under_way is not None:
        return "note", under_way, "run `carryover worker` where none runs; searches change over once all is done"
    serving = spaces.serving(tx)
    if serving in (None, models.space):
        return _behind(found.unembedded_chunks, "chunk")
    said = f"search answers from {serving}, and the settings name {models.space}"
    if models.of(serving) is None:
        said = f"search answers by words: vectors are of {serving}, whose model cannot be had, not of {models.space}"
    return "note", said, "run `carryover worker` or `carryover serve` with these settings: they embed everything anew"


def _behind(lag: int, noun: str) -> Standing:
    return ("note", f"{show.counted(lag, noun)} behind", _CATCHES_UP) if lag else ("ok", "up to date", "")
