"""Secrets as people say them, in words and in commands: `the password for staging is ...`, `mysql -p...`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_PASSWORDS = (
    *("password", "passwd", "passcode", "passphrase", "pwd", "pw", "_pass", "passwort", "kennwort", "contrase\u00f1a"),
    *("contrasena", "mot de passe", "senha", "wachtwoord", "has\u0142o", "\u043f\u0430\u0440\u043e\u043b\u044c"),
    *("\u5bc6\u7801", "\u5bc6\u78bc", "\u30d1\u30b9\u30ef\u30fc\u30c9", "\ube44\ubc00\ubc88\ud638"),
)
_TOKENS = ("token", "secret", "api key", "access key", "secret key", "signing key", "private key")
# What it is for, what says that the next word is it, and the word.
_AFTER = re.compile(
    r"s?(?: (?:for|of|to|on|at|in|from|f\u00fcr|von|zum?r?|del?|pour|para|do|da|di)"
    r" (?:[\w.'-]{1,30} ){0,3}?[\w.'-]{1,30})?"
    r"(?:\s{1,2}(?:is|was|ist|war|lautet|es|est|\u00e9|jest)\s{0,2}[:=]?|\s{0,2}[:=\uff1a])\s{0,2}"
    r"[\"'`\u201c\u201e]?(?P<s>[^\s\"'`\u201c\u201d,;\[\]]{6,200})",
    re.IGNORECASE,
)
_PIN = re.compile(r"\bPIN(?: code| number)?(?: (?:is|was|ist))?\s?[:=]?\s(?P<s>\d{4,8})\b", re.IGNORECASE)
_PHRASE = re.compile(r"phrase: ?(?P<s>[a-z]{3,12}(?: [a-z]{3,12}){3,23})\b", re.IGNORECASE)
_OF_DATABASE = re.compile(r"\b(?:mysql\w*|mariadb|sshpass)\b[^\n|;]{0,80}? -p ?['\"]?(?P<s>[^\s'\"$-][^\s'\"]{5,80})")
_OF_WEB = re.compile(r"\b(?:curl|wget)\b[^\n|;]{0,120}? (?:-u|--user)[ =]['\"]?[\w.@-]{1,60}:(?P<s>[^\s'\"$]{4,80})")
_SURE = (
    *((" pin", _PIN), ("phrase:", _PHRASE), ("mysql", _OF_DATABASE), ("mariadb", _OF_DATABASE)),
    *(("sshpass", _OF_DATABASE), ("curl ", _OF_WEB), ("wget ", _OF_WEB)),
)
_END = ".!?:)"

Span = tuple[int, int, str]


def spoken(text: str, lowered: str, is_one: Callable[[str], bool]) -> Iterator[Span]:
    """Where such secrets stand, and of what kind they are; `is_one` says whether something else stands there."""
    for kind, names, least in (("password", _PASSWORDS, 6), ("token", _TOKENS, 16)):
        for name in names:
            at = lowered.find(name)
            while at >= 0:
                found = _AFTER.match(text, at + len(name)) if _begins(lowered, name, at) else None
                secret = "" if found is None else found["s"].rstrip(_END)
                if found is not None and _is_random(secret, least) and is_one(secret):
                    yield found.start("s"), found.start("s") + len(secret), kind
                at = lowered.find(name, at + len(name))
    for hint, pattern in _SURE:
        if hint in lowered:
            yield from ((*found.span("s"), "password") for found in pattern.finditer(text) if is_one(found["s"]))


def _begins(lowered: str, name: str, at: int) -> bool:
    """Whether the name begins there, and is no part of a mask."""
    return at == 0 or name[0] == "_" or not (lowered[at - 1].isalnum() or lowered[at - 1] == "[")


def _is_random(secret: str, least: int) -> bool:
    """Whether it looks drawn: letters and digits, and no path and no words that are joined."""
    if len(secret) < least or secret[0] == "/" or re.fullmatch(r"[a-z]+(?:[-_.][a-z0-9]{1,12})+", secret):
        return False
    return bool(re.search(r"[^\W\d_]", secret) and re.search(r"[0-9]", secret))
