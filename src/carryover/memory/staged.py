"""What is said, but not in earnest: texts that were asked for, pasted or translated, plays and rehearsals.

A mail that an assistant drafts promises nothing, and a handbook that a user pastes decides nothing. Whoever asks for a
text makes the answer one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from carryover.core.sentences import Sentence
from carryover.memory.speech import Spoken, statement

_TEXT = (
    r"(?:e-?mails?|mails?|letters?|toasts?|speech|stor(?:y|ies)|poems?|songs?|lyrics|jokes?|dialogues?|essays?"
    r"|posts?|tweets?"
    r"|captions?|slogans?|paragraphs?|para|sentences?|scenes?|chapters?|bio|blurb|invitations?|announcements?|messages?"
    r"|press release|release notes|newsletters?|abstracts?|cover letters?|replies|reply|flash ?cards?|summar(?:y"
    r"|ies)|texts?)"
)
# The user wants a text, which is no report of anybody's doings.
_COMPOSE = re.compile(
    rf"^(?:(?:please|pls|ok|now|and|then|also|can you|could you|would you|help me(?: to)?)[ ,]+)*"
    rf"(?:write|draft|compose|make|create|generate|help me with|give me)\b[^.?!:]{{0,40}}\b{_TEXT}\b"
    rf"|^(?:(?:please|pls|ok|now|and|can you|could you)[ ,]+)*(?:translate|rephrase|reword|rewrite|paraphrase|proofread"
    rf"|summari[sz]e|correct)\b|\bhelp me with an? {_TEXT}\b",
    re.IGNORECASE,
)
_SHORTER = re.compile(
    r"^\W*(?:(?:a bit |much )?(?:shorter|longer|funnier|warmer|more formal)|make (?:it|her|him|them)|and \W"
    r"|remove|again)",
    re.IGNORECASE,
)
# What follows was written elsewhere.
_PASTE = re.compile(
    r"\b(?:from|in|this|these|below|following|text|e-?mail|mail|letter|handbook|polic(?:y|ies)|contract|article"
    r"|paragraph"
    r"|notes?|lecture|for me|got|says|wrote|reads)\b[^:?!]{0,40}[:?]$",
    re.IGNORECASE,
)
_INLINE = re.compile(r"\b(?:translate|rephrase|reword|rewrite|proofread|correct)\b[^:]{0,40}:", re.IGNORECASE)
_PLAY = re.compile(
    r"\b(?:let['’]?s (?:play|rehearse|role-?play|pretend|practi[sc]e)|role-?play|you(?:['’]re| are) (?:a|an|the) \w+"
    r"(?: \w+)? and i(?:['’]m| am)|pretend (?:that )?(?:you|we|i)|act as (?:if|a|an|the|my)|mock interview)\b",
    re.IGNORECASE,
)
_REAL = re.compile(
    r"\b(?:stop|enough|real question|seriously|back to|end of (?:the )?(?:game|play|scene)|that['’]s it|let['’]?s stop"
    r"|thanks?|thank you|in real life)\b",
    re.IGNORECASE,
)
_LETTER = re.compile(r"^(?:subject:|dear |hi [A-Z]\w+,$|to whom)", re.IGNORECASE)
_LONGEST_PLAY = 40  # turns after which nobody still plays


def in_earnest(spoken: Iterable[Spoken]) -> list[Spoken]:
    """The turns without the sentences that are only shown, wanted or played."""
    result: list[Spoken] = []
    wanted, playing = False, 0
    for one in spoken:
        if one.turn.role == "user":
            ends = one.sentences if len(one.sentences) < 7 else (*one.sentences[:3], *one.sentences[-3:])
            opening = [statement(s.text[:300]) for s in ends]
            if playing and any(_REAL.search(text) for text in opening):
                playing = 0
                one = _after(one, next(n for n, s in enumerate(one.sentences) if _REAL.search(s.text[:300])))
            elif any(_PLAY.search(text) for text in opening[:4]):
                playing = _LONGEST_PLAY
            wanted = any(_COMPOSE.search(text) for text in opening) or (
                wanted and bool(opening) and _SHORTER.search(opening[0]) is not None
            )
            result.append(_after(one, len(one.sentences)) if playing else _own(one))
        else:
            result.append(
                _after(one, len(one.sentences)) if playing or (wanted and not one.turn.name) else _no_letter(one)
            )
        playing = max(0, playing - 1)
    return result


def _after(one: Spoken, n: int) -> Spoken:
    return replace(one, sentences=one.sentences[n:])


def _own(one: Spoken) -> Spoken:
    """A user's turn without what follows a lead-in like "from our handbook:"."""
    kept: list[Sentence] = []
    for n, sentence in enumerate(one.sentences):
        rest = len(one.sentences) - n - 1
        if rest and not sentence.item and _PASTE.search(sentence.text[-120:]) and _is_lead(one, n):
            return replace(one, sentences=(*kept, sentence))
        if not _INLINE.search(sentence.text[:120]):
            kept.append(sentence)
        elif not sentence.text.endswith(":"):
            return replace(one, sentences=tuple(kept))
    return one if len(kept) == len(one.sentences) else replace(one, sentences=tuple(kept))


def _is_lead(one: Spoken, n: int) -> bool:
    """Whether a line of its own opens what was pasted: what follows begins a line, and is no list."""
    text, sentence, following = one.turn.text, one.sentences[n], one.sentences[n + 1]
    at = text.find(sentence.quote)
    after = text[at + len(sentence.quote) :] if at >= 0 else ""
    return after.lstrip(" \t").startswith("\n") and not following.item


def _no_letter(one: Spoken) -> Spoken:
    """An agent's turn up to where a letter begins."""
    if one.turn.name:
        return one
    at = next((n for n, s in enumerate(one.sentences) if _LETTER.search(s.text)), None)
    return one if at is None else replace(one, sentences=one.sentences[:at])
