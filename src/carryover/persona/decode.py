"""The persona: a user's code, the labels and the user's own edits as the few lines that a model is told.

A pure function of these: fixed sentences in a fixed order, and no digit, id, date or weight, so that the same code
gives the same bytes in every process. What a line says is a shipped or a shared sentence; only phrases and texts are
the user's own words, quoted, and only if nothing in them reads as an instruction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from carryover.core.headings import CHANGED
from carryover.core.persona import (
    FACETS,
    HEADING,
    MOST_TEXTS,
    MOST_TOKENS,
    PERSONAL,
    SINGLE,
    Code,
    Edits,
    Label,
    Line,
    Persona,
    Polarity,
    Vote,
    line_id,
)
from carryover.core.text import count_tokens
from carryover.persona.book import current
from carryover.persona.lines import item, phrase_told, sentence, text_told
from carryover.persona.lint import refused
from carryover.persona.votes import SEVERAL, Standing, selected

_NOW, _NO_LONGER = "From now on:", "No longer so:"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A line that may be told, with what its vote says."""

    line: Line
    vote: Vote | None
    label: Label | None


def lines_of(code: Code, labels: Mapping[int, Label], edits: Edits, *, agent: str | None = None) -> tuple[Line, ...]:
    """Every line there is to tell of the user, in the order of a persona; `shown` says which ones are told.

    With an `agent`, what the user said in their own words to others is not among them.
    """
    edits = forwarded(edits, labels)
    phrases = list(_phrases(code, edits, agent))
    candidates = [*_labels(code, labels, edits), *sorted(phrases, key=lambda one: one.line.text)]
    told = _told(candidates)
    texts = tuple(_text(text) for text in edits.texts)
    room = max(MOST_TEXTS - len(texts), 0)
    strongest = sorted((one for one in phrases if one.line.id in told), key=_strength, reverse=True)
    told -= {one.line.id for one in strongest[room:]}
    chosen = [replace(one.line, shown=one.line.id in told) for one in candidates]
    return _within([*chosen, *texts], {one.line.id: _strength(one) for one in candidates})


def decoded(
    code: Code, labels: Mapping[int, Label], edits: Edits, *, user: str, version: int, agent: str | None = None
) -> Persona:
    """The persona of the user at this version of their profile."""
    return made_of(lines_of(code, labels, edits, agent=agent), user=user, version=version)


def made_of(lines: Sequence[Line], *, user: str, version: int) -> Persona:
    """The persona that tells those of the lines that are to be told."""
    left_out = [line for line in lines if line.pinned and not line.shown]
    warnings = (f"{len(left_out)} pinned lines do not fit into {MOST_TOKENS} tokens; unpin some",) if left_out else ()
    return persona_of(user, version, text_of(lines), warnings=warnings)


def persona_of(user: str, version: int, text: str, *, tail: str = "", warnings: tuple[str, ...] = ()) -> Persona:
    etag = hashlib.sha256(text.encode()).hexdigest()
    return Persona(user, text, etag, count_tokens(text), version, tail, warnings)


def text_of(lines: Sequence[Line]) -> str:
    """The lines that are told, as a model is told them; empty where there are none."""
    told = [item(line.text) for line in lines if line.shown]
    return "\n".join((HEADING, *told)) if told else ""


def tail_of(before: str, after: str) -> str:
    """What the user's change comes to, for the end of a conversation that began with the text `before`."""
    old, new = before.split("\n")[1:], after.split("\n")[1:]
    gone, come = [line for line in old if line not in new], [line for line in new if line not in old]
    if not gone and not come:
        return ""
    parts = [CHANGED, *((_NOW, *come) if come else ()), *((_NO_LONGER, *gone) if gone else ())]
    return "\n".join(parts)


def forwarded(edits: Edits, labels: Mapping[int, Label]) -> Edits:
    """The edits of labels that were retired hold for those that stand for them since."""

    def now(id: str) -> str:
        number, sign = id[:-1], id[-1:]
        label = current(labels, int(number)) if number.isdecimal() else None
        return id if label is None else f"{label.id}{sign}"

    # What the user decided about the label itself goes before what is forwarded to it.
    weights = {now(id): weight for id, weight in edits.weights.items() if now(id) != id}
    weights |= {id: weight for id, weight in edits.weights.items() if now(id) == id}
    pins, removed = (tuple(dict.fromkeys(map(now, ids))) for ids in (edits.pins, edits.removed))
    # A line banned under one name and pinned under another is banned: what is hidden does no harm.
    return Edits(weights, tuple(id for id in pins if id not in removed), removed, edits.texts)


def _labels(code: Code, labels: Mapping[int, Label], edits: Edits) -> list[_Candidate]:
    found: dict[str, _Candidate] = {}
    for vote in code.votes:
        label = None if vote.label is None else current(labels, vote.label)
        if label is None or not sentence(label, vote.polarity):
            continue
        line = _line(label, vote.polarity, edits, vote)
        before = found.get(line.id)
        if before is None or (before.vote is not None and before.vote.votes < vote.votes):
            found[line.id] = _Candidate(line, vote, label)
    for id in (*edits.pins, *edits.removed):
        label = labels.get(int(id[:-1])) if id[:-1].isdecimal() else None
        polarity: Polarity = "like" if id.endswith("+") else "avoid"
        if label is not None and label.retired is None and sentence(label, polarity) and id not in found:
            found[id] = _Candidate(_line(label, polarity, edits), None, label)
    return sorted(found.values(), key=lambda one: (_place(one.line), one.label.id if one.label else 0, one.line.id))


def _phrases(code: Code, edits: Edits, agent: str | None) -> Iterator[_Candidate]:
    for vote in code.votes:  # the strongest first
        if vote.phrase is None or (agent is not None and agent not in vote.agents):
            continue
        if refused(vote.phrase) is None:
            id = line_id(vote.polarity, phrase=vote.phrase)
            text = phrase_told(vote.phrase, vote.polarity)
            line = Line(id, vote.facet, vote.polarity, text, "phrase", vote.shown)
            yield _Candidate(_edited(line, edits, vote), vote, None)


def _text(text: str) -> Line:
    shown = refused(text) is None  # it was looked at when it was written; the rules may know more by now
    return Line(line_id("like", phrase=text), PERSONAL, "like", text_told(text), "text", shown)


def _line(label: Label, polarity: Polarity, edits: Edits, vote: Vote | None = None) -> Line:
    id, text = line_id(polarity, label=label.id), sentence(label, polarity)
    return _edited(Line(id, label.facet, polarity, text, "label", shown=False), edits, vote)


def _edited(line: Line, edits: Edits, vote: Vote | None) -> Line:
    return replace(
        line,
        pinned=line.id in edits.pins,
        removed=line.id in edits.removed,
        weight=edits.weights.get(line.id, 1.0),
        votes=0.0 if vote is None else vote.votes,
        evidence=0 if vote is None else vote.evidence,
    )


def _told(candidates: Sequence[_Candidate]) -> set[str]:
    """The ids of what is told: as the code has it, but for the facets that the user had a hand in."""
    told: set[str] = set()
    for pool in _pools(candidates):
        if not any(one.line.pinned or one.line.removed or one.line.weight != 1.0 for one in pool):
            told |= {one.line.id for one in pool if one.vote is not None and one.vote.shown}
            continue
        pinned = [one for one in pool if one.line.pinned]
        told |= {one.line.id for one in pinned}
        free = [_standing(one) for one in pool if not (one.line.pinned or one.line.removed) and one.line.weight > 0]
        before = frozenset(one.order for one in free if one.shown)
        facet = pool[0].line.facet
        single = facet in SINGLE and pool[0].line.origin == "label"
        room = max((1 if single else SEVERAL) - len(pinned), 0)
        chosen = selected([one for one in free if one.votes > 0], single=single, before=before)[:room]
        told |= {line_id(one.polarity, label=one.label, phrase=one.phrase) for one in chosen}
    return told


def _pools(candidates: Sequence[_Candidate]) -> list[list[_Candidate]]:
    pools: dict[tuple[str, str, str], list[_Candidate]] = {}
    for one in candidates:
        line = one.line
        facet = line.facet if line.origin == "label" else PERSONAL
        pools.setdefault((line.origin, facet, line.polarity if facet in SINGLE else ""), []).append(one)
    return list(pools.values())


def _standing(one: _Candidate) -> Standing:
    vote, line = one.vote, one.line
    votes, shown = (0.0, False) if vote is None else (vote.votes * line.weight, vote.shown)
    label = None if one.label is None else one.label.id
    phrase = None if vote is None else vote.phrase
    return Standing(line.facet, line.polarity, label, phrase, votes, shown=shown)


def _strength(one: _Candidate) -> float:
    return float("inf") if one.line.pinned else one.line.votes * one.line.weight


def _within(lines: list[Line], strengths: Mapping[str, float]) -> tuple[Line, ...]:
    """The lines, with those not told for whom there is no room: the weakest first, then pins from the end."""
    while count_tokens(text_of(lines)) > MOST_TOKENS:
        told = [n for n, line in enumerate(lines) if line.shown]
        weakest = min(told, key=lambda n: (strengths.get(lines[n].id, float("inf")), -n))
        lines[weakest] = replace(lines[weakest], shown=False)
    return tuple(lines)


def _place(line: Line) -> tuple[int, str]:
    """Facets in their order, then a tenant's own by name."""
    return (FACETS.index(line.facet), "") if line.facet in FACETS else (len(FACETS), line.facet)
