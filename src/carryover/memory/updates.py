"""Updates: facts and decisions that a later statement sets right in other words.

"We moved the launch to 3 May" ends "launch is 20 April" though it has another form. It has to say that something
changed, to be about the same, and to carry another value of the same sort, or name the old one as given up. Where two
statements could be meant none ends: a wrongly retired fact is worse than a repeated one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from carryover.core.snapshot import Closed, Finding, Found
from carryover.memory import cues
from carryover.memory.speech import shorten
from carryover.memory.words import MONTH, WEEKDAY, content, stem, words

_NAME = r"(?:the |our |my |a |an |her |his )?[\w.+#/`-]+(?:\s(?-i:[A-Z\d])[\w.+#-]*){0,2}"
_GIVEN_UP = re.compile(
    r"\b(?:instead of|rather than|replac(?:e|es|ed|ing)|from(?= [\w$€£.,:]+(?: \w+)? to )|drop(?:ped|ping)?"
    r"|away from|no more"
    r"|no longer (?:use|using|on|with|in|at|a|an|have|eat|work(?:ing)? (?:at|for)|need)"
    r"|(?:stopped|quit|tired of|sick of|done with|cancell?ed|scrapped|sold|left|ditched|retired|got rid of|swapped"
    r"|switched (?:from|off|away from))(?: using| with| eating| doing)?"
    rf"|no(?= \w+ since)) (?P<old>{_NAME})",
    re.IGNORECASE,
)
_OVER = re.compile(
    rf"\b(?P<old>{_NAME}) (?:(?:has |have |was |were |is |got )?(?:been )?(?:cancell?ed|scrapped|dropped"
    rf"|replaced|no longer)"
    r"|(?:is|are) (?:gone|over|history)|can['’]t make|is leaving|takes over)\b",
    re.IGNORECASE,
)
# A statement that something differs from what was said before.
_CHANGED = re.compile(
    r"\b(?:now|actually|no longer|not any ?more|any ?more|instead|correction|changed?|moved|moves|moving"
    r"|updated?|new|raised"
    r"|lowered|increased|decreased|reduced|extended|extension|postponed|pushed|brought forward|bumped|renamed|swapped"
    r"|switch(?:ed|ing)?|replac\w+|rather than|changed my mind|scratch that|turns out|reverted|reschedul\w+|migrat\w+"
    r"|went (?:up|down)|goes (?:up|down|to)|(?:cut|going|go|down|up) to|going to be|cancell?ed|from .{1,40} to"
    r"|from this"
    r"|for good|takes over|took over|is leaving|no more|tired of|go(?:ing)? back to)\b|^(?:no|update|heads[- ]up)\b",
    re.IGNORECASE,
)
_WORKS_AGAIN = re.compile(
    r"\b(?:running|working|up|back|online|fine|available|works?|runs?) again\b|\b(?:fixed|repaired|back up"
    r"|back online)\b"
    r"|\bno \w+ since\b",
    re.IGNORECASE,
)
_BROKEN = re.compile(
    r"\b(?:out of order|broken|down|drops?|fail(?:s|ing|ed)?|crash(?:es|ing)?|blocked|unavailable|does(?:n['’]t| not)"
    r" work|leak(?:s|ing)?|offline)\b",
    re.IGNORECASE,
)
_MONTHS = "|".join(sorted(MONTH, key=len, reverse=True))
_DAYS = "|".join(sorted(WEEKDAY, key=len, reverse=True))
_VALUE = re.compile(
    rf"(?P<date>\b\d{{4}}-\d\d-\d\d\b|\b(?:\d{{1,2}}(?:st|nd|rd|th)? ?(?:to|-|–|and|until) ?)?\d{{1,2}}(?:st|nd"
    rf"|rd|th)?(?: of)? (?:{_MONTHS})\b|\b(?:{_MONTHS}) \d{{1,2}}\b"
    rf"|\bthe \d{{1,2}}(?:st|nd|rd|th)\b|\b(?:{_DAYS})s?\b)"
    r"|(?P<clock>\b\d{1,2}:\d\d\b|\b\d{1,2} ?[ap]m\b)"
    r"|(?P<number>[$€£]?\d+(?:[.,]\d+)*(?:k\b|m\b)?)(?: ?(?P<unit>%|[a-zA-Z]{1,14}))?",
    re.IGNORECASE,
)
LONGEST = 14  # content words of a statement that can update another, or be updated: a longer one says several things
# Words that say that a value is there or changed, and not of what.
_FRAME = frozenset(
    stem(word)
    for word in words("""now actually correction update change changed new moved move raise raised lower lowered
    increase increased reduce reduced extend extended extension postpone postponed push pushed rename renamed switch
    switched turn start starts started end ends run runs cost costs take takes week month year day today
    yesterday morning evening
    already time set due date plan planned euro euros dollar usd eur percent per around about roughly user assistant
    back longer anymore instead""")
)


@dataclass(frozen=True, slots=True)
class _Said:
    """A statement as far as updates go: the words that name its subject, every word, and its values by sort."""

    about: frozenset[str]
    every: frozenset[str]
    values: frozenset[tuple[str, str]]
    before: dict[str, str]  # the word that qualifies each word of `about`

    @property
    def sorts(self) -> frozenset[str]:
        return frozenset(sort for sort, _ in self.values)


def replaced(n: int, new: Found, live: Sequence[Finding], found: Sequence[Found]) -> list[Closed]:
    """What the `n`th statement ends among earlier ones, which is one at most."""
    told = _bare(new.text)
    if not (_CHANGED.search(told) or _WORKS_AGAIN.search(told) or any(_given_up(told))):
        return []
    earlier: list[tuple[str, int | None, Finding | Found]] = [(f.id, None, f) for f in live]
    earlier += [("", k, f) for k, f in enumerate(found) if f.last < new.first]
    some = [(_likeness(new, f), id, k) for id, k, f in earlier if not (f.subject and f.subject == new.subject)]
    best = sorted((one for one in some if one[0] > 0), key=lambda one: -one[0])
    if not best or (len(best) > 1 and best[1][0] == best[0][0]):
        return []
    reason = f"turn {new.last}: {shorten(' '.join(new.quote.split()), 160)}"
    _, id, k = best[0]
    return [Closed(id, "superseded", new.quote, new.first, new.last, reason, found=k, replaced_by=n)]


def _likeness(new: Found, old: Finding | Found) -> float:
    """How surely `new` replaces an older statement; 0 where it does not."""
    if old.kind == "task" or (old.pinned != new.pinned and (old.pinned or old.kind != new.kind)):
        return 0.0
    newer, older = _bare(new.text), _bare(old.text)
    mine, theirs = _said(newer), _said(older)
    if len(mine.every) > LONGEST or len(theirs.every) > LONGEST:
        return 0.0
    shared = mine.about & theirs.about
    if _gives_up(newer, theirs, older) and (shared or old.kind == new.kind):
        return 2.0 + len(shared)
    if not shared or _differ(mine, theirs, shared):
        return 0.0
    if _BROKEN.search(older) and _WORKS_AGAIN.search(newer) and not _BROKEN.search(_WORKS_AGAIN.sub("", newer)):
        return 1.0 + len(shared)
    if not _CHANGED.search(newer) or not _same_sort(mine, theirs) or mine.values == theirs.values:
        return 0.0
    part = len(shared) / min(len(mine.about), len(theirs.about))
    exact = 0.3 if (mine.sorts & theirs.sorts) - {"number"} else 0.0
    return part + 0.1 * len(shared) + exact if part >= 0.5 else 0.0


def _same_sort(mine: _Said, theirs: _Said) -> bool:
    """Values of one sort; a plain number fits one with a unit."""
    units = {sort for sort in mine.sorts if sort.startswith("number")}
    other = {sort for sort in theirs.sorts if sort.startswith("number")}
    plain = bool(units) and bool(other) and ("number" in units | other or bool(units & other))
    return plain or bool((mine.sorts & theirs.sorts) - {"number"})


def _gives_up(newer: str, theirs: _Said, older: str) -> bool:
    ended = [named for named in _given_up(newer) if named <= theirs.every]
    # What an older statement gave up itself is not what it stated.
    return bool(ended) and any(not any(named <= old for old in _given_up(older)) for named in ended)


def _given_up(text: str) -> Iterator[frozenset[str]]:
    for pattern in (_GIVEN_UP, _OVER):
        for match in pattern.finditer(text):
            named = frozenset(content(match["old"])) - _FRAME
            if named:
                yield named


def _differ(mine: _Said, theirs: _Said, shared: frozenset[str]) -> bool:
    """Whether a shared word is qualified in two ways ("staging port", "production port")."""
    for word in shared:
        one, other = mine.before.get(word, ""), theirs.before.get(word, "")
        if one and other and one != other and one not in theirs.every and other not in mine.every:
            return True
    return False


@lru_cache(maxsize=2048)
def _said(text: str) -> _Said:
    values: set[tuple[str, str]] = set()
    units: set[str] = set()
    for match in _VALUE.finditer(text):
        sort = match.lastgroup or ""
        if match["number"]:
            unit = stem(match["unit"].lower()) if match["unit"] else ""
            sort = f"number {unit}" if unit and unit not in _FRAME and unit in _UNITS else "number"
            units.add(unit if sort != "number" else "")
            values.add((sort, match["number"].lower()))
        else:
            values.add((sort, match[0].lower()))
    bare = _VALUE.sub(lambda m: " " + (m["unit"] or "") + " ", text)
    every = frozenset(content(text))
    about = frozenset(content(bare)) - _FRAME - units
    return _Said(about, every, frozenset(values), _qualified(bare))


def _qualified(text: str) -> dict[str, str]:
    """Each content word with the one just before it, or, after "for" and "of", with the one before that."""
    result: dict[str, str] = {}
    last, gap = "", False
    for word in words(text):
        bare = content(word)
        if bare:
            if last and not gap:
                result[bare[0]] = last
            elif last and gap:
                result.setdefault(last, bare[0])
            last, gap = bare[0], False
        elif word in ("for", "of"):
            gap = True
        else:
            last, gap = "", False
    return result


_UNITS = frozenset(
    stem(word)
    for word in words("""ms s sec second minute min hour h day kg g mg km m cm mm l ml gb mb kb tb row user people seat
    ticket request error degree word page bed guest box boxes step point point hz watt kwh mph usd eur euro dollar
    percent version member visitor""")
)


def _bare(text: str) -> str:
    """Without who said it."""
    return cues.unquoted(re.sub(r"^[^:\n]{1,42}: (?=\S)", "", text, count=1) if text[:1].isupper() else text)
