"""What a model on this machine answers: notes that quote the turns which it was shown."""

from __future__ import annotations

import re
from typing import Any

from tests.fakes.server import Ask

_TURN = re.compile(r"<turn n=\"?(\d+)\"?[^>]*>\s*(.*?)\s*</turn>", re.DOTALL)
_ABOUT = re.compile(r"k\.[\w-]+\.\d+\.\d+")


def notes(ask: Ask) -> dict[str, Any]:
    """A finding for every fifth turn, one that quotes nothing that was said, and a summary."""
    found: list[dict[str, Any]] = []
    for number, text in _TURN.findall(ask.prompt)[::5]:
        about = _ABOUT.search(text)
        found.append(_finding(f"It was said: {text}", text, int(number), about[0] if about else number))
    found.append(_finding("Somebody wants Oracle.", "we all want Oracle", 1, "oracle"))
    return {"found": found, "closed": [], "summary": "Ledgers and their steps."}


def model(url: str) -> dict[str, Any]:
    """The settings of a memory whose model is there."""
    return {"llm": "anthropic:claude-haiku-5-5", "llm_api_key": "k", "llm_base_url": url}


def _finding(text: str, quote: str, turn: int, subject: str) -> dict[str, Any]:
    place = {"quote": quote[:200], "first": turn, "last": turn}
    return {"kind": "fact", "text": text, "subject": subject, "pinned": False, "salience": 0.5, **place}
