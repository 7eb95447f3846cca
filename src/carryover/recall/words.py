"""Text to terms: the same words, folded and stemmed, for what is indexed and for what is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

LONGEST = 40  # characters of a word that count: enough to tell two hashes apart
# Letters and digits; or one symbol that is said instead of a word (arrows, dingbats, pictographs).
_WORD = re.compile(r"[^\W_]+|[\u2190-\u21ff\u2600-\u27bf\U0001f300-\U0001faff]")
_UNSEEN = frozenset("\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff")
_HUMP = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Scripts that are written without spaces: their words are looked for as pairs of neighbouring characters.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]+"
)


def terms(text: str) -> list[str]:
    """The terms of a text in order: `Running teamNames` gives run, teamnam, team, name."""
    return [term for word in words(text) for term in _terms_of(word[:LONGEST])]


def words(text: str) -> Iterator[str]:
    """The words of a text as they stand there, without their accents."""
    if not text.isascii():
        folded = unicodedata.normalize("NFKD", text)
        text = unicodedata.normalize("NFC", "".join(c for c in folded if not _is_accent(c)))
    return (match.group() for match in _WORD.finditer(text))


def _is_accent(char: str) -> bool:
    """Also what nobody sees: soft hyphens, joiners and marks of direction would cut a word in two."""
    return "\u0300" <= char <= "\u036f" or char in _UNSEEN


@lru_cache(maxsize=1 << 16)
def _terms_of(word: str) -> tuple[str, ...]:
    if not word.isascii():
        return tuple(_unspaced(word))
    whole = stem(word.lower())
    if word.islower() or word.isdigit() or word[1:].islower():
        return (whole,)
    humps = [stem(hump.lower()) for hump in _HUMP.findall(word)]
    return (whole, *humps) if len(humps) > 1 else (whole,)


def _unspaced(word: str) -> Iterator[str]:
    start = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > start:
            yield word[start : run.start()].casefold()
        characters = run.group()
        if len(characters) == 1:
            yield characters
        for i in range(len(characters) - 1):
            yield characters[i : i + 2]
        start = run.end()
    if start < len(word):
        yield word[start:].casefold()


_C, _V = "[^aeiou][^aeiouy]*", "[aeiouy][aeiou]*"
_MORE_THAN_0 = re.compile(f"^(?:{_C})?{_V}{_C}")
_MORE_THAN_1 = re.compile(f"^(?:{_C})?{_V}{_C}{_V}{_C}")
_EXACTLY_1 = re.compile(f"^(?:{_C})?{_V}{_C}(?:{_V})?$")
_HAS_VOWEL = re.compile(f"^(?:{_C})?[aeiouy]")
_SHORT = re.compile(f"^{_C}[aeiouy][^aeiouwxy]$")
_DOUBLE = re.compile(r"([^aeiouylsz])\1$")
_STEP_2 = {
    "ational": "ate",
    "tional": "tion",
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "bli": "ble",
    "alli": "al",
    "entli": "ent",
    "eli": "e",
    "ousli": "ous",
    "ization": "ize",
    "ation": "ate",
    "ator": "ate",
    "alism": "al",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "aliti": "al",
    "iviti": "ive",
    "biliti": "ble",
    "logi": "log",
}
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_ENDS_2 = re.compile(f"^(.+?)({'|'.join(_STEP_2)})$")
_ENDS_3 = re.compile(f"^(.+?)({'|'.join(_STEP_3)})$")
_ENDS_4 = re.compile("^(.+?)(al|ance|ence|er|ic|able|ible|ant|ement|ment|ent|ou|ism|ate|iti|ous|ive|ize|(?<=[st])ion)$")


def stem(word: str) -> str:
    """The stem of an English word in lower case; other words lose little.

    (M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980.)
    """
    if len(word) <= 2 or not word.isalpha():
        return word
    first = word[0]
    if first == "y":  # a consonant at the start of a word
        word = "Y" + word[1:]
    word = _inflected(word)
    if word.endswith("y") and _HAS_VOWEL.match(word[:-1]):
        word = word[:-1] + "i"
    for ends, by in ((_ENDS_2, _STEP_2), (_ENDS_3, _STEP_3)):
        match = ends.match(word)
        if match and _MORE_THAN_0.match(match[1]):
            word = match[1] + by[match[2]]
    match = _ENDS_4.match(word)
    if match and _MORE_THAN_1.match(match[1]):
        word = match[1]
    if word.endswith("e"):
        rest = word[:-1]
        if _MORE_THAN_1.match(rest) or (_EXACTLY_1.match(rest) and not _SHORT.match(rest)):
            word = rest
    if word.endswith("ll") and _MORE_THAN_1.match(word):
        word = word[:-1]
    return first + word[1:]


def _inflected(word: str) -> str:
    """Without its plural, past or -ing ending (Porter's step 1a and 1b)."""
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("eed"):
        return word[:-1] if _MORE_THAN_0.match(word[:-3]) else word
    rest = word[:-2] if word.endswith("ed") else word[:-3] if word.endswith("ing") else ""
    if not rest or not _HAS_VOWEL.match(rest):
        return word
    if rest.endswith(("at", "bl", "iz")) or _SHORT.match(rest):
        return rest + "e"
    return rest[:-1] if _DOUBLE.search(rest) else rest
