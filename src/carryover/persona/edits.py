"""What a user decides about their profile: checked when it is said, and kept as constraints on lines.

An edit names a line by its id, never a centroid: whatever is noticed or fitted later, a banned line stays banned. A
label that was retired hands its edits on to the one that stands for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from carryover.core.errors import Invalid
from carryover.core.persona import (
    LONGEST_PHRASE,
    MOST_TEXTS,
    MOST_WEIGHT,
    Edits,
    Label,
    Polarity,
    Preference,
    line_id,
)
from carryover.persona.book import current
from carryover.persona.decode import forwarded
from carryover.persona.lines import sentence
from carryover.persona.lint import refused

MOST = 200  # lines that are weighted, pinned or removed, each
_OF_LABEL = re.compile(r"([0-9]{1,15})([+-])")
_LIST = "send a list of line ids, like ['12+']"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asks for; None leaves things as they are. Lists replace; weights merge, and None clears one."""

    weights: Mapping[str, float | None] | None = None
    pins: Sequence[str] | None = None
    removed: Sequence[str] | None = None
    texts: Sequence[str] | None = None


def edited(before: Edits, asked: Asked, labels: Mapping[int, Label], own: Collection[str]) -> Edits:
    """The edits as they are from now on; `own` are the ids of the user's lines of their own words.

    Raises Invalid, naming the field, for what cannot be; nothing is changed then.
    """
    before = forwarded(before, labels)
    known = {*own, *before.weights, *before.pins, *before.removed}
    weights = dict(before.weights)
    if asked.weights is not None:
        weights |= _weights(asked.weights, labels, known)
    pins = before.pins if asked.pins is None else _lines(asked.pins, "pins", labels, known)
    removed = before.removed if asked.removed is None else _lines(asked.removed, "removed", labels, known)
    both = sorted(set(pins) & set(removed))
    if both:
        field = "pins" if asked.pins is not None else "removed"
        raise Invalid(f"line {both[0]!r} would be pinned and removed at once; leave it out of one", field=field)
    texts = before.texts if asked.texts is None else _texts(asked.texts)
    kept = {id: factor for id, factor in sorted(weights.items()) if factor != 1.0}
    for field, lines in (("weights", kept), ("pins", pins), ("removed", removed)):
        if len(lines) > MOST:
            raise Invalid(f"{field} has {len(lines)} lines; keep to {MOST}", field=field)
    return Edits(kept, pins, removed, texts)


def moved(edits: Edits, preferences: Iterable[Preference]) -> Edits:
    """The edits with those of phrases at the labels that stand for them by now; `preferences` are all of the user's.

    A phrase of a user's own falls under a label once enough users share it: what they decided about it still holds.
    """
    heirs: dict[str, str] = {}
    alone: set[str] = set()  # phrases that something is still counted under
    for one in preferences:
        phrase = line_id(one.polarity, phrase=one.value)
        if one.label is None:
            alone.add(phrase)
        else:
            heirs[phrase] = line_id(one.polarity, label=one.label)
    if not any(id in heirs for id in (*edits.weights, *edits.pins, *edits.removed)):
        return edits

    def now(id: str) -> tuple[str, ...]:
        kept = () if id in heirs and id not in alone else (id,)
        return (*kept, heirs[id]) if id in heirs else kept

    weights = {line: factor for id, factor in edits.weights.items() for line in now(id)} | {
        id: factor for id, factor in edits.weights.items() if id not in heirs
    }
    pins, removed = (
        tuple(dict.fromkeys(line for id in ids for line in now(id))) for ids in (edits.pins, edits.removed)
    )
    return Edits(weights, tuple(id for id in pins if id not in removed), removed, edits.texts)


def labelled(id: str) -> tuple[int, Polarity] | None:
    """The label and the polarity that a line's id names; None for a line of one's own words."""
    found = _OF_LABEL.fullmatch(id)
    return None if found is None else (int(found[1]), "like" if found[2] == "+" else "avoid")


def _weights(asked: Any, labels: Mapping[int, Label], known: Collection[str]) -> dict[str, float]:
    if not isinstance(asked, Mapping):
        raise Invalid("weights is no object; send factors by line id, like {'12+': 0.5}", field="weights")
    found: dict[str, float] = {}
    for id, factor in cast("Mapping[Any, Any]", asked).items():
        field = f"weights.{id}"[:140]
        line = _line(id, field, labels, known)
        if factor is not None and (isinstance(factor, bool) or not isinstance(factor, (int, float))):
            raise Invalid(f"{field} is {str(factor)[:40]!r}; use a number from 0 to {MOST_WEIGHT:g}", field=field)
        if factor is not None and not 0 <= factor <= MOST_WEIGHT:
            raise Invalid(f"{field} is out of range; use a number from 0 to {MOST_WEIGHT:g}", field=field)
        found[line] = 1.0 if factor is None else float(factor)
    return found


def _lines(asked: Any, field: str, labels: Mapping[int, Label], known: Collection[str]) -> tuple[str, ...]:
    ids = _listed(asked, field, MOST, _LIST)
    return tuple(dict.fromkeys(_line(id, f"{field}[{n}]", labels, known) for n, id in enumerate(ids)))


def _line(id: Any, field: str, labels: Mapping[int, Label], known: Collection[str]) -> str:
    """The id of the line that is meant: of a retired label's heir where it has one."""
    if not isinstance(id, str):
        raise Invalid(f"{field} is no line id; {_LIST}", field=field)
    named = labelled(id)
    label = None if named is None else labels.get(named[0])
    heir = None if label is None else current(labels, label.id)
    if id in known and (heir is None or heir is label):
        return id  # also of what has vanished since: whatever was decided can be taken back
    if named is None or label is None:
        raise Invalid(f"there is no line {id[:40]!r}; see the ids in the profile and in its choices", field=field)
    if heir is None:
        raise Invalid(
            f"line {id!r} is of a label that was retired, and none stands for it; leave it out, or write a text",
            field=field,
        )
    if not sentence(heir, named[1]):
        raise Invalid(f"line {id!r} cannot be told; see the lines that can in the profile's choices", field=field)
    return line_id(named[1], label=heir.id)


def _texts(asked: Any) -> tuple[str, ...]:
    texts = _listed(asked, "texts", MOST_TEXTS, "send a list of texts")
    return tuple(dict.fromkeys(_text(text, f"texts[{n}]") for n, text in enumerate(texts)))


def _text(text: Any, field: str) -> str:
    """The text on one line. Raises Invalid where it is nothing that a model may be told of a user."""
    if not isinstance(text, str):
        raise Invalid(f"{field} is no text; write what a model should know, in a few words", field=field)
    line = " ".join(unicodedata.normalize("NFC", text[: 8 * LONGEST_PHRASE]).split())
    if not 0 < len(line) <= LONGEST_PHRASE:
        raise Invalid(f"{field} has {len(line)} characters; use 1 to {LONGEST_PHRASE}", field=field)
    reason = refused(line) if line.isprintable() else "it holds characters that cannot be seen"
    if reason is not None:
        raise Invalid(f"{field} may not be told to a model: {reason}; say it differently", field=field)
    return line


def _listed(asked: Any, field: str, most: int, remedy: str) -> Sequence[Any]:
    if isinstance(asked, str) or not isinstance(asked, Sequence):
        raise Invalid(f"{field} is no list; {remedy}", field=field)
    found = cast("Sequence[Any]", asked)
    if len(found) > most:
        raise Invalid(f"{field} has {len(found)} entries; keep to {most}", field=field)
    return found
