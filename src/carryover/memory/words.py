"""Words: which ones carry content, and their stems."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:[.'’_/#+-][^\W_]+)*[#+]{0,2}")

# Words that say nothing about what a statement is about: English function words and the filler of chats.
STOP = frozenset(
    _WORD.findall("""a about above after again all almost alone along already also although am an and another any anyone
    anything anyway are aren't around as ask at away back be became because become been before being below between both
    but by
    came can can't cannot come could couldn't did didn't do does doesn't doing don't done down during each either else
    even ever every few for from further gave get gets getting give given go goes going gone gonna got had has hasn't
    have haven't having he her here hers herself hey hi him himself his how however i i'd i'll i'm i've if in indeed
    instead into is isn't it it's its itself just keep kind know last least less let let's lets like lot lots made make
    makes many may maybe me might mine more most much must my myself near need needs neither never no nor not nothing
    now of off oh ok okay on once one only onto or other others our ours ourselves out over own per perhaps please
    possible put quite rather really right said same say see seem seems shall she should since so some someone something
    soon still stuff such sure take than thank thanks that that's the their theirs them themselves then there there's
    these they they're thing things think this those though through thus to together too toward under until up upon us
    use used using usually various very via wanna want was wasn't way we we'd we'll we're we've well went were weren't
    what what's when where whether which while who whom whose why will with within without won't would wouldn't wow yeah
    yep yes yet you you'd you'll you're you've your yours yourself""")
)
# Words of other languages that are none in English: enough of them, and a sentence is not ours to judge.
_FOREIGN = frozenset(
    _WORD.findall("""der das und ist nicht ich wir sie ihr haben hat mit für auf ein eine einen dem den des zu von bei
    wird werden sind war auch noch schon nur aber oder wenn dass que los las una uno por para con del pero como más muy
    est les des une nous vous je il elle pas pour avec dans sur sont c'est j'ai qui mais gli che sono per di della nel
    non anche più het een van ik wij zijn niet met voor naar maar bij ook nog är och jag inte det som på til og jeg ikke
    não uma você são eu nós em ao já hemos tengo quiero mi su el la le y et à il io nie się na jest w z""")
)
_MONTHS = _WORD.findall("january february march april may june july august september october november december")
_DAYS = _WORD.findall("monday tuesday wednesday thursday friday saturday sunday")
MONTH = {name: n for n, full in enumerate(_MONTHS, 1) for name in (full, full[:3])} | {"sept": 9}
WEEKDAY = {name: n for n, full in enumerate(_DAYS) for name in (full, full[:3])} | {"tues": 1, "thur": 3, "thurs": 3}


def words(text: str) -> list[str]:
    """The words of `text` in lower case, in order; an identifier, path or version is one word."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def content(text: str) -> list[str]:
    """Stems of the words of `text` that carry content, in order."""
    return [stem(word) for word in words(text) if word not in STOP and (len(word) > 1 or word.isdigit())]


def is_english(text: str) -> bool:
    """Whether `text` may be English: false where other languages' small words, or scripts, outweigh its own."""
    said = words(text)
    foreign = sum(word in _FOREIGN for word in said)
    if foreign > 1 and foreign > sum(word in STOP and word not in _FOREIGN for word in said):
        return False
    return text.isascii() or 2 * sum(map(str.isascii, filter(str.isalpha, text))) >= sum(map(str.isalpha, text))


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """`word` without its commonest English endings, so that *emailed*, *emailing* and *emails* are one."""
    word = word.removesuffix("'s")
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    for ending, instead in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        bare = word.removesuffix(ending)
        if bare != word and len(bare) > 2 and any(vowel in bare for vowel in "aeiouy"):
            word = bare[:-1] if bare[-1] == bare[-2] and bare[-1] not in "lsz" else bare
            break
    return word[:-1] if word.endswith("e") and len(word) > 4 else word
