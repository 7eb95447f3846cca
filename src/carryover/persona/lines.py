"""How each line of a persona is told: fixed sentences, and the user's own words between quotation marks."""

from __future__ import annotations

from carryover.core.persona import HEADING, MOST_TOKENS, Label, Polarity
from carryover.core.text import count_tokens
from carryover.persona.lint import harmless

_PHRASES: dict[Polarity, str] = {
    "like": "Likes, in the user's own words: “{}”.",
    "avoid": "Does not want, in the user's own words: “{}”.",
}
_TEXT = "The user wrote: “{}”."
ROOM = MOST_TOKENS - count_tokens(HEADING)  # tokens that the lines of a persona may have


def sentence(label: Label, polarity: Polarity) -> str:
    """How a label is told; empty where it is not to be told so."""
    return label.likes if polarity == "like" else label.avoids


def phrase_told(phrase: str, polarity: Polarity) -> str:
    """How a phrase of the user's is told."""
    return _PHRASES[polarity].format(harmless(phrase))


def text_told(text: str) -> str:
    """How what the user wrote for their profile is told."""
    return _TEXT.format(harmless(text))


def item(text: str) -> str:
    """The line as it stands in the persona."""
    return f"- {text}"


def cost(text: str) -> int:
    """Tokens that the line adds to a persona, at most."""
    return count_tokens(f"\n{item(text)}")
