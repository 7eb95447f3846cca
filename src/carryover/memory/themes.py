"""What a session is about: the words and pairs of words that its people say, counted.

What an agent answers is left out: it is long, and its headings look like names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from carryover.core.snapshot import Theme
from carryover.guard.redact import redact, unmasked
from carryover.memory.speech import Spoken
from carryover.memory.words import MONTH, STOP, WEEKDAY, stem, words

MOST = 120  # of a session: the most frequent ones, of equals those said first
# A term is a word that begins with letters, three at least; what stands between the two words of a pair is one space.
_WORD = re.compile(r"[^\W\d_]{3,20}[^\W_]{0,8}(?:[-'’.][^\W_]{1,20})*")
_TIMES = frozenset(MONTH) | frozenset(WEEKDAY) | {"today", "yesterday", "tomorrow", "week", "month", "year", "time"}
# Words of any conversation, whatever it is about: how one feels, greets, agrees and praises, and verbs of any object.
_CHATTER = frozenset(
    stem(word)
    for word in words("""able absolutely agree amazing answer appreciate area awesome bad beautiful believe best better
    big bit bring buddy bye care catch chance change chat check cheer cool couple crazy curious cute dear deal decide
    deep definitely difference different difficult easy end energy enjoy exactly example excite exciting experience
    explain face fact fair fantastic favorite feel feeling figure find fine finish focus forget forward friend full fun
    future glad good gorgeous gotta great guess guy happen happy hard hear hello help helpful hold honest hope hopefully
    huge idea imagine important impressive incredible inspire inspiration inspiring interest interesting issue join joy
    keep kinda learn leave life little live long look love lovely luck main matter mean meaning memory mention mind
    moment motivate move nah new nice ok old open option pass passion past pay people perfect person photo pic picture
    piece plan plus point positive pretty problem progress proud push question reach read ready real realize
    reason recent relax remember remind rest result right rock share show side simple sound special spend stand start
    stay step stop story strong stuff style super support surprise sweet talk tell text thought thrill today topic
    totally touch tough treat true trust try turn understand unique update vibe view wait want watch welcome wish
    wonder wonderful word work world always next sometimes often day days everyone everybody nobody
    else happen making seeing taking one ones lately past usual usually far whole half worry worth wow
    wrong yay yummy""")
)

Key = tuple[str, ...]  # the stems of a term


def themes(before: Sequence[Theme], spoken: Sequence[Spoken]) -> tuple[Theme, ...]:
    """What people talk of in the turns, added to what the session was about before; a turn counts a term once."""
    counts: Counter[Key] = Counter()
    forms: dict[Key, Counter[str]] = {}
    for theme in before:
        counts[_key(theme.text)] += theme.count
        forms.setdefault(_key(theme.text), Counter())[theme.text] += theme.count
    for one in spoken:
        if one.person:
            terms = {_key(text): text for sentence in one.sentences for text in _terms(sentence.text)}
            masked = redact(one.turn.text)
            if masked is not one.turn.text:
                clean = {_key(text) for text in _terms(unmasked(masked))}
                terms = {key: text for key, text in terms.items() if key in clean}
            counts.update(terms.keys())
            for key, text in terms.items():
                forms.setdefault(key, Counter())[text] += 1
    kept = [key for key in counts if len(key) == 1 or counts[key] > 1]
    kept.sort(key=lambda key: -counts[key])
    return tuple(Theme(_form(forms[key]), counts[key]) for key in kept[:MOST])


def _form(forms: Counter[str]) -> str:
    """The commonest one. A word that begins a sentence is in small letters here: a name is one seen elsewhere."""
    named = sum(count for form, count in forms.items() if not form.islower())
    fit = [form for form in forms if form.islower() != (2 * named >= forms.total())]
    return max(fit or forms, key=lambda form: forms[form])


def _terms(text: str) -> Iterator[str]:
    last: re.Match[str] | None = None
    for match in _WORD.finditer(text):
        word = match.group()
        if not _tells(word.lower()):
            last = None
            continue
        yield word if match.start() > 1 else word.lower()
        if last is not None and text[last.end() : match.start()] == " ":
            yield f"{last.group() if last.start() > 1 else last.group().lower()} {word}"
        last = match


@lru_cache(maxsize=8192)
def _tells(word: str) -> bool:
    if word in STOP or word in _TIMES or stem(word) in _CHATTER:
        return False
    return not (word.isascii() and len(word) > 4 and word.endswith(("ly", "ed")))


def _key(text: str) -> Key:
    return tuple(stem(word) for word in text.lower().split())
