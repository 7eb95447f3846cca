"""Recalled text that cannot act: it ends no delimiter, speaks for nobody, loads no picture, and is said in the open."""

from __future__ import annotations

import re

from carryover.guard.redact import redact
from carryover.guard.visible import visible

# What chat templates and programs put between voices.
_TOKENS = re.compile(
    r"<\|[^|<>\n]{0,40}\|>|<\uff5c[^<>\n]{0,40}\uff5c>|\[/?(?:INST|SYS|SYSTEM(?:_PROMPT)?)\]|<</?SYS>>|</?s>(?!\w)"
    r"|<(?:start|end)_of_turn>|<\|?(?:eot|bos|eos|im_start|im_end)[^>\n]{0,20}\|?>",
    re.IGNORECASE,
)
# Lines that begin as a voice does in a transcript; the mark of a role stays to be read, as a word.
_ROLE = re.compile(
    r"^(?P<before>[\s>*#_-]{0,12})(?P<role>system|assistant|human|user|developer|tool)(?P<end>\s{0,2}[*_]{0,2}\s{0,2})"
    r"[:\uff1a](?=\s|\Z|[*_])",
    re.IGNORECASE | re.MULTILINE,
)
_BARE = re.compile(r"[*_#]+")
# Tags that delimit what we and others tell models, or that pages run and load. Those of plain code stay.
_TAGS = (
    r"memory|carryover|context|recalled|turn|entry|system|system-reminder|system_prompt|assistant|user|human|developer|"
    r"instructions?|important|untrusted\w*|tool\w*|function\w*|antml\w*|document|documents|search_results?|thinking|"
    r"answer|admin|notes?|user_profile|memories|memory_policy|prompt|img|image|script|iframe|object|embed|svg|style|link|"
    r"meta|base|form|video|audio|source|frame|applet|xml"
)
_OPENS = "[<\uff1c\u2039\u276e\u3008]"
_TAG = re.compile(rf"(?:(?<!\w){_OPENS}|{_OPENS}(?=\s*/))\s{{0,4}}(?=/?\s{{0,4}}(?:{_TAGS})\b)", re.IGNORECASE)
_WIDE = re.compile("[\uff1c\ufe64\u276e\u3008\u2329](?=/?[A-Za-z!])")
_COMMENT = re.compile(r"<!--|-->|<!\[CDATA\[|<\?")
_IMAGE = re.compile(r"!+\s?(?=\[)")
# A link is shown as what it says and where it leads; so it is seen, and nothing renders it.
_LINK = re.compile(r"\]\(\s*<?([a-zA-Z][a-zA-Z0-9+.-]{1,20}:[^)\s>]{0,2000})>?(?:\s[^)\n]{0,200})?\)")
_REFERENCE = re.compile(r"^(\s{0,3}\[[^\]\n]{1,80}\]):(?=\s*<?(?:[a-zA-Z][a-zA-Z0-9+.-]*:|/))", re.MULTILINE)
_ACTIVE = re.compile(r"\b(javascript|vbscript|data)\s{0,2}:(?=\s{0,2}(?:text/|image/svg|[a-z]+\())", re.IGNORECASE)
_LEAST = re.compile(r"[<\[\]!\uff1c\u2039\u276e\u3008\u2329\ufe64:\uff1a]")


def inert(text: str, *, labels: bool = False) -> str:
    """`text` with its secrets masked and nothing hidden in it, so that no reader takes it for more than words.

    Ordinary text is the same object, and what is inert stays as it is. With `labels`, who speaks stays before what is
    said: for text that becomes one line, inside of an item.
    """
    return redact(defused(visible(text), labels=labels))


def defused(text: str, *, labels: bool = False) -> str:
    """`text` whose tags, marks of roles, pictures and links are shown, and work no more."""
    if not _LEAST.search(text):
        return text
    made = text
    if "<" in made or "[" in made:
        made = _TOKENS.sub(lambda token: token[0].translate(_SHOWN), made)
        made = _COMMENT.sub(lambda mark: mark[0].translate(_SHOWN), made)
    made = _TAG.sub("\u2039", _WIDE.sub("\u2039", made))
    if not labels and (":" in made or "\uff1a" in made):
        made = _ROLE.sub(lambda role: f"{_BARE.sub('', role['before'])}({role['role']})", made)
    if ":" in made:
        made = _ACTIVE.sub(r"\1 ", made)
    if "[" in made:
        made = _REFERENCE.sub(r"\1 ", _LINK.sub(r"] (\1)", _IMAGE.sub("", made)))
    return text if made == text else made


_SHOWN = str.maketrans({"<": "\u2039", ">": "\u203a", "[": "(", "]": ")", "|": "\u00a6", "\uff5c": "\u00a6"})
