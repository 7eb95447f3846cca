"""What nobody sees is taken out of texts: hidden letters, signs that turn lines around, codes that terminals obey."""

from __future__ import annotations

import re

# Control characters beside tabs and line ends; signs without width; directions; fillers; tags and private letters,
# which spell whole sentences that only a program reads. One selector behind a sign belongs to it, several hide a text.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff\ue000-\uf8ff\U000f0000-\U0010fffd]"
    "|(?:[\ufe00-\ufe0f\U000e0100-\U000e01ef]){2,}|(?<=[A-Za-z])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
    # Joiners belong into some scripts, and between pictures, never beside our letters.
    "|(?<=[\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f]|\\Z)|[\u200c\u200d]{2,}"
)
_ESCAPE = re.compile("(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]{0,400}(?:\x07|\x1b\\\\)|\x1b[@-Z\\\\-_]")
# Left to right and back again: on a terminal they make a line read as another one.
_TURNING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """`text` without what cannot be seen; one that can be seen whole is the same object. Line ends stay."""
    if text.isascii() and text.isprintable():
        return text
    if "\r" in text or "\u2028" in text or "\u2029" in text or "\x85" in text:
        text = re.sub("\r\n?|[\u2028\u2029\x85]", "\n", text)
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPE.sub("", text)
    return _HIDDEN.sub("", text) if _HIDDEN.search(text) else text


def printable(text: str) -> str:
    """`text` as a terminal may have it: nothing in it moves the cursor, colours, or turns a line around."""
    if text.isprintable():
        return text
    return _TURNING.sub("", _ESCAPE.sub("", text)) if _TURNING.search(text) else text
