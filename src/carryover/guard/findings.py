"""What may become of an extraction: each statement with the voice that it stands on, and what no voice may have.

Only what the user said can bind, and only what the user or the agent said can be decided or left to do. What came from
a tool, a page or a program stays as data: a fact that begins with `MARK`, which whoever quotes it later carries along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from carryover.core.session import Turn
from carryover.core.snapshot import Closed, Extraction, Finding, Found
from carryover.core.voice import MARK, Voice, is_marked, is_outside, most_trusted, unmarked, voice_of
from carryover.guard.echo import Echo
from carryover.guard.inert import inert
from carryover.guard.orders import claims, commands, overrides
from carryover.guard.redact import longest_clean, redact
from carryover.guard.visible import visible

_SALIENCE = 0.3  # at most, of what stands on tool output


def voice_in(turns: Sequence[Turn], first: int, last: int, quote: str) -> Voice:
    """Whose words the quote is, out of the turns that it may stand in; the user's where the user says it too."""
    cited = [turn for turn in turns if first <= turn.seq <= last]
    saying = [turn for turn in cited if quote and quote in turn.text] or cited
    # A person's agreement makes what an agent offered theirs. Of a tool's nothing is made but what it said.
    return most_trusted(map(_voice, saying))


def _voice(turn: Turn) -> Voice:
    return "injected" if turn.is_injected else voice_of(turn.role, turn.kind, turn.name)


def guarded(extraction: Extraction, turns: Sequence[Turn], live: Sequence[Finding] = ()) -> Extraction:
    """The extraction without what would act on a model, secrets masked, and marked what stands on tool output.

    `live` are the findings known before; `turns` those that were read.
    """
    check = _Check(turns, live)
    kept: list[Found] = []
    places: dict[int, int] = {}
    for n, found in enumerate(extraction.found):
        made = check.found(found)
        if made is not None:
            places[n] = len(kept)
            kept.append(made)
    closed = [made for one in extraction.closed if (made := check.closed(one, extraction.found)) is not None]
    moved = [
        replace(
            one,
            found=None if one.found is None else places[one.found],
            replaced_by=None if one.replaced_by is None else places.get(one.replaced_by),
        )
        for one in closed
        if one.found is None or one.found in places
    ]
    dropped = len(extraction.found) - len(kept) + len(extraction.closed) - len(moved)
    summary = told(extraction.summary)
    return replace(
        extraction, found=tuple(kept), closed=tuple(moved), summary=summary, dropped=extraction.dropped + dropped
    )


def told(text: str) -> str:
    """A text in somebody's words as it may be kept: nothing hidden, secrets masked, and nothing where it overrides."""
    seen = visible(text)
    return "" if not seen or overrides(seen) else redact(seen)


@dataclass(frozen=True, slots=True)
class _Said:
    voice: Voice
    quote: str


class _Check:
    """The same turns, asked about many statements."""

    def __init__(self, turns: Sequence[Turn], live: Sequence[Finding]) -> None:
        self._turns = turns
        self._by_seq = {turn.seq: turn for turn in turns}
        self._live = {finding.id: finding for finding in live}
        outside = [turn.text for turn in turns if is_outside(_voice(turn)) and turn.role != "system"]
        self._echo = Echo([*outside, *(unmarked(f.text) for f in live if is_marked(f.text))])

    def found(self, one: Found) -> Found | None:
        said = self._said(one.quote, one.first, one.last)
        if overrides(one.quote) or overrides(one.text):
            return None
        quote = longest_clean(one.quote)
        if not quote.strip():
            return None
        # Whoever reads findings as JSON may tell them to a model as they are.
        text, subject = inert(one.text, labels=True), inert(one.subject, labels=True)
        made = replace(one, text=text, quote=quote, subject=subject)
        if is_outside(said.voice):
            return None if commands(one.quote) or commands(one.text) or claims(one.text) else _marked(made)
        if said.voice == "assistant" and one.kind != "fact" and commands(one.quote) and not self._is_agreed(one):
            return None
        return made if said.voice == "user" else replace(made, pinned=False)

    def closed(self, one: Closed, found: Sequence[Found]) -> Closed | None:
        """What the user wants ends by the user's word alone, and nothing but a task by a tool's."""
        voice = self._said(one.quote, one.first, one.last).voice
        target = self._live.get(one.finding_id) if one.found is None else found[one.found]
        binding = target is not None and target.pinned
        if (binding and voice != "user") or (is_outside(voice) and (target is None or target.kind != "task")):
            return None
        return replace(one, quote=longest_clean(one.quote) or "", reason=told(one.reason))

    def _said(self, quote: str, first: int, last: int) -> _Said:
        voice = voice_in(self._turns, first, last, quote)
        if voice == "assistant" and self._echo.repeats(quote):
            voice = "tool"
        return _Said(voice, quote)

    def _is_agreed(self, one: Found) -> bool:
        """Whether what the agent offered is cited together with the user's answer to it."""
        last = self._by_seq.get(one.last)
        return one.first < one.last and last is not None and _voice(last) == "user"


def _marked(one: Found) -> Found:
    text = one.text if is_marked(one.text) else f"{MARK}{one.text}"
    return replace(one, kind="fact", text=text, subject="", pinned=False, salience=min(one.salience, _SALIENCE))
