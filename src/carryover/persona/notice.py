"""Preferences out of what a user said, by rules: no model, no key, the same turns give the same preferences.

Only what the user says is read: no assistant, no tool, nothing that we told the model before, nothing that a program
put into the user's mouth, no code, no log, no quotation. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from carryover.core.persona import EXPLICIT, IMPLIED, LONGEST_QUOTE, Noticed
from carryover.core.sentences import INJECTED, Sentence, sentences
from carryover.core.session import Turn
from carryover.core.usage import Usage
from carryover.guard.ours import without_ours
from carryover.persona.lexicon import Lexicon, bare_words, is_everyday, words_of
from carryover.persona.lexicon_cues import THIS_ONCE
from carryover.persona.lint import refused
from carryover.persona.notice_said import Said, said, spoken_out
from carryover.persona.notice_value import is_code

MOST_CHARS = 20_000  # looked at of a turn
MOST_HINTS = 3  # of each kind in a session
OFTEN, SHARE = 5, 0.35  # turns in which a topic comes up, and of all
LEAST_TOLD = 3  # words of a sentence that repeats what was told: shorter ones are everybody's
_PART = re.compile(
    r"[.;:] |\n|,? (?=(?:and|but|so|because|while|which) (?:i|we|my|it|the|then|please|do|can)\b)", re.IGNORECASE
)
_USED = frozenset(("in", "with", "using", "my", "our", "from", "and"))
_NOT_IN_EARNEST = re.compile(
    r"\b(?:instead of|not|never|versus|vs|better than|compare|"
    r"(?:my|our|the|a) (?:[a-z]+ )?(?:boss|manager|colleagues?|friends?|team ?mates?|co-?workers?|client|customer|"
    r"wife|husband|partner|brother|sister|mother|father|son|daughter|teacher|professor|neighbou?r|roommate|lead) "
    r"(?:[a-z]+ )?(?:wants?|likes?|loves?|uses?|prefers?|insists?|hates?|asked|needs?|swears|says))\b"
)


class Rules:
    """The noticer without a model (see `persona.noticing.Noticer`); `facets` are a tenant's own, with values."""

    id = "rules/1"

    def __init__(self, facets: Mapping[str, Sequence[str]] | None = None) -> None:
        self._lexicon = Lexicon(facets)

    def estimate(self, turns: Sequence[Turn]) -> Usage:
        """Nothing: the rules ask no model."""
        return Usage()

    def notice(self, turns: Sequence[Turn], told: Sequence[str] = ()) -> tuple[list[Noticed], Usage]:
        """What the user's turns say, in their order; every quote stands in its turn. `told` is what we put there."""
        ours = Told(told)
        noticed: list[Noticed] = []
        hints = Hints(self._lexicon)
        for turn in turns:
            if is_users(turn):
                noticed += self._of_turn(turn, ours, hints)
        known = {(one.facet, one.value) for one in noticed}
        noticed += [one for one in hints.noticed() if (one.facet, one.value) not in known]
        return sorted(noticed, key=lambda one: one.seq), Usage()

    def _of_turn(self, turn: Turn, ours: Told, hints: Hints) -> Iterator[Noticed]:
        seen: set[tuple[str, str]] = set()
        for text, quote in heard(turn, ours):
            found = said(text, self._lexicon)
            if not found:
                hints.add(text, turn.seq, quote)
            for one in found:
                if (one.facet, one.value) not in seen and refused(one.value) is None:
                    seen.add((one.facet, one.value))
                    yield _noticed(one, turn.seq, quote)


class Hints:
    """What a user works with and asks about without saying so: told by how they speak of it, once a session."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._stack: dict[str, tuple[int, str]] = {}
        self._topics: dict[str, list[tuple[int, str]]] = {}
        self._turns: set[int] = set()

    def add(self, text: str, seq: int, quote: str) -> None:
        """A sentence that states nothing."""
        self._turns.add(seq)
        spoken = spoken_out(text)
        if _NOT_IN_EARNEST.search(spoken) or THIS_ONCE.search(spoken):
            return
        words = bare_words(spoken)
        for place in self._lexicon.all(words, "like", frozenset(("stack", "domain"))):
            if place.term.facet == "domain":
                self._topics.setdefault(place.term.value, []).append((seq, quote))
            elif (
                words[max(0, place.first - 1)] in _USED
                and not is_everyday(words[place.first : place.end])
                and (not place.term.unsure or is_code(spoken, self._lexicon))
            ):
                self._stack.setdefault(place.term.value, (seq, quote))

    def noticed(self) -> Iterator[Noticed]:
        """A tool that was used, and a topic that came up in several turns."""
        for value, (seq, quote) in list(self._stack.items())[:MOST_HINTS]:
            yield Noticed("stack", value, "like", False, seq, quote)
        turns = {value: len({seq for seq, _ in said_in}) for value, said_in in self._topics.items()}
        often = max(turns, key=lambda value: turns[value], default="")
        if often and turns[often] >= max(OFTEN, SHARE * len(self._turns)):
            yield Noticed("domain", often, "like", False, *self._topics[often][0])


def _noticed(one: Said, seq: int, quote: str) -> Noticed:
    weight = EXPLICIT if one.explicit else IMPLIED
    polarity = "avoid" if one.facet == "avoid" else one.polarity
    return Noticed(one.facet, one.value, polarity, one.explicit, seq, quote, one.correction, weight)


def is_users(turn: Turn) -> bool:
    """Whether the user said it: no other role, no call, and nothing that a program or we put into their mouth."""
    return (
        turn.role == "user" and turn.kind == "message" and not turn.is_injected and not INJECTED.match(turn.text[:200])
    )


class Told:
    """The texts that we put into a session, to tell what repeats them from what a user says."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = " ".join(f" {' '.join(words_of(text))} " for text in texts)

    def repeats(self, text: str) -> bool:
        """Whether the words of a sentence stand there, in their order."""
        words = words_of(text)
        return len(words) >= LEAST_TOLD and f" {' '.join(words)} " in self._words


def heard(turn: Turn, ours: Told) -> Iterator[tuple[str, str]]:
    """The sentences that are the user's own: each on one line, and as it stands there, cut to a quote's length."""
    for sentence in sentences(without_ours(turn.text[:MOST_CHARS])):
        if not sentence.quoted and not ours.repeats(sentence.text):
            yield from _pieces(sentence)


def _cut(text: str) -> int:
    """Where a long sentence is cut: where a part of it ends, else at a comma, else between words."""
    half = LONGEST_QUOTE // 2
    ends = [match.start() for match in _PART.finditer(text, half, LONGEST_QUOTE)]
    at = ends[-1] if ends else max(text.rfind(", ", half, LONGEST_QUOTE), text.rfind(" ", 1, LONGEST_QUOTE))
    return at + 1 if at > 0 else LONGEST_QUOTE


def _pieces(sentence: Sentence) -> Iterator[tuple[str, str]]:
    rest = sentence.quote
    if len(rest) <= LONGEST_QUOTE:
        yield sentence.text, rest
        return
    while rest:
        piece = rest
        if len(rest) > LONGEST_QUOTE:
            piece = rest[: _cut(rest)]
        rest = rest[len(piece) :]
        if piece.strip():
            yield " ".join(piece.split()), piece.strip()
