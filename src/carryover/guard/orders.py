"""What reads as an order to a model: what sets its instructions aside, whoever says it, and what commands it at all.

`overrides` is asked of everybody's words and is narrow: users do say "always use tabs". `commands` is asked of what
tools and pages say, and of what agents say after them: there a standing order is never anybody's wish. Neither is the
wall. That is where a text came from; these keep what is plainly an attack from being told at all.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from carryover.guard.looks import LEET, LOOKS, squeezed
from carryover.guard.visible import visible

MOST_CHARS = 4_000  # looked at of a text

_NOT_WORDS = re.compile(r"[^\w']+")

_RULES = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directives?|orders?|polic(?:y|ies)|restrictions?|guardrails?|"
    r"safeguards?|safety filters?|programming|constraints?)"
)
_EARLIER = r"(?:previous|prior|above|earlier|preceding|existing|original|initial|foregoing|system|developer|operator)"
_AGENTS = r"(?:ai|ais|llm|llms|language models?|assistants?|ai agents?|agents?|chatbots?|bots?|copilots?)"
_MODELS = r"(?:ais?|llms?|language models?|ai (?:assistants?|agents?|models?|systems?)|chatbots?|copilots?)"
_OVERRIDES: tuple[str, ...] = (
    # Instructions are set aside.
    rf"\b(?:ignor|disregard|overrid|overrul|bypass|circumvent|discard|forget|neglect|supersed|cancel)\w*(?: "
    rf"\w+){{0,3}}?"
    rf" (?:{_EARLIER}|your|any of your|all|safety)(?: \w+){{0,2}}? {_RULES}\b(?! in (?:the|this|our)\b| of the \w+ "
    rf"file)",
    rf"\b(?:do not|don't|stop|never|no longer) (?:follow|obey|heed)\w*(?: \w+){{0,2}}? (?:{_EARLIER}|your)(?: "
    rf"\w+){{0,2}}? "
    rf"{_RULES}\b",
    r"\b(?:ignore|disregard|forget) (?:everything|all|anything|whatever|what)(?: that)? (?:above|before this|you "
    r"(?:were|"
    r"have been|had been|are|know|learned|ve been) ?(?:told|given|instructed|taught)?|was said before this|"
    r"previously)\b",
    rf"\b{_RULES} (?:above|before this)(?: \w+){{0,2}} (?:are|is|were|was) (?:\w+ )?(?:void|cancell?ed|wrong|obsolete|"
    rf"superseded|invalid|outdated|a test)",
    # What the model was told is asked for.
    r"\b(?:reveal|print|repeat|leak|disclose|recite|dump|expose|output|display|paste|write out|spell out)(?: "
    r"\w+){0,3}? "
    r"(?:your|the) (?:\w+ ){0,2}?(?:system|initial|hidden|developer|secret|original) (?:prompts?|messages?|"
    r"instructions?)",
    # The model is given another role.
    r"\byou are (?:now|no longer|hereby|from now on)(?: \w+){0,4}? (?:dan|unrestricted|uncensored|unfiltered|"
    r"jailbroken|"
    r"root|admin\w*|without (?:any )?(?:restrictions?|limits|rules|filters)|(?:developer|debug|god|admin|dan) mode|"
    r"bound|"
    r"restricted|an? (?:ai|assistant|model|agent|bot) (?:that|without|who))\b",
    r"\bdo anything now\b|\b(?:god|dan|jailbreak|unrestricted) mode\b|\bjailbr(?:oken|eak (?:yourself|the))|"
    r"\bno (?:ethical|content|safety) (?:restrictions|guidelines|limits|filters)\b",
    # Somebody speaks to models over the user's head.
    rf"\b(?:instructions?|notice|notes?|message|memo|attention|important|reminder|guidance|directives?|hint) (?:to|"
    rf"for) "
    rf"(?:(?:the |all |any |every |other |whichever |whatever |an? )?(?:\w+ )?{_MODELS}|(?:all |any |every )?"
    rf"(?:assistants?|agents?|bots?))\b(?! (?:of|at|in|on|from|who work)\b)",
    rf"\battention (?:all )?{_AGENTS}\b|\bif you are an? (?:\w+ )?{_AGENTS}\b|\bas an ai (?:\w+ ){{0,3}}you must\b",
    rf"\b(?:all |the |any )?{_AGENTS} (?:reading|processing|summari[sz]ing|parsing|who read|that read)\b",
    r"\b(?:system|security|priority|emergency|admin\w*|developer) override\b|\bnew system (?:prompt|instructions?|"
    r"message)s?\b|"
    r"\b(?:new|updated|real|true|actual|revised|hidden) (?:instructions|directives?) (?:follow|below|begin|start|"
    r"are)\b|"
    r"\b(?:begin|start|end) (?:of )?(?:the )?(?:new |hidden |secret )?(?:system|admin|developer) (?:prompt|message|"
    r"instructions?|block|override)\b",
    # The user is kept in the dark.
    r"\b(?:do not|don't|never|without|avoid) (?:tell|telling|inform|informing|alert|alerting|notify|notifying|warn|"
    r"warning) "
    r"(?:the |this to the )?(?:user|human|operator) (?:about|of|that|this|you)\b|"
    r"\b(?:hide|conceal|keep|withhold) (?:this|these|it|that|them)(?: \w+){0,3}? (?:from|secret from|hidden from) "
    r"(?:the )?"
    r"(?:user|human|operator)s?\b|\b(?:mention|reveal|show|disclose) (?:this|these|it|that)(?: \w+){0,2}? to the "
    r"(?:user|human)\b|\bwithout (?:the user|the human) (?:knowing|noticing|being told)\b",
    # What is said is to leave with every answer.
    r"\b(?:append|include|insert|embed|add|render|load|attach|put|end|prefix)\w*(?: \w+){0,12}? (?:every|each|all|"
    r"any|your|"
    r"the next) (?:\w+ )?(?:repl(?:y|ies)|answers?|responses?|messages?|outputs?|urls?|links?)(?: \w+){0,14}? "
    r"(?:https?|image"
    r"|pixel|tracking)\b|\b(?:append|include|insert|embed|render|load|attach|display|show|output)\w* (?:\w+ ){0,5}?"
    r"(?:image|pixel|img|markdown image|link)s? (?:\w+ ){0,6}?https? (?:\w+ ){0,10}?(?:conversation|history|"
    r"memor(?:y|ies)|"
    r"secrets?|keys?|passwords?|tokens?|data|everything|summary|name|email)\b",
    # An order is wrapped up.
    r"\b(?:decode|decrypt|unscramble|base ?64|rot ?13|reverse|deobfuscate)\w*\b(?: \w+){0,12}? (?:follow|obey|"
    r"execute|carry "
    r"out|act on|do what|comply)\w*\b",
)
# The same in other languages.
_FOREIGN = re.compile(
    r"\b(?:ignorier\w*|vergiss|missachte\w*) (?:\w+ ){0,4}?(?:anweisungen|instruktionen|vorgaben|regeln)\b|"
    r"\b(?:ignora\w*|olvida\w*) (?:\w+ ){0,4}?(?:instrucciones|istruzioni|instru\w+es|reglas)\b|"
    r"\b(?:ignore[rz]?|oublie[rz]?) (?:\w+ ){0,4}?(?:instructions|consignes|directives)\b(?= \w*(?:pr|ant|ci)|$)|"
    r"\b(?:negeer|vergeet) (?:\w+ ){0,4}?(?:instructies|opdrachten)\b|\bzignoruj (?:\w+ ){0,4}?(?:instrukcj|polece)\w*|"
    r"(?:\u0438\u0433\u043d\u043e\u0440\u0438\u0440|\u0437\u0430\u0431\u0443\u0434\u044c)\w* (?:\w+ ){0,4}?"
    r"(?:\u0438\u043d\u0441\u0442\u0440\u0443\u043a\u0446|\u0443\u043a\u0430\u0437\u0430\u043d)\w*|"
    r"(?:\u5ffd\u7565|\u65e0\u89c6|\u5ffd\u8996|\u7121\u8996).{0,10}(?:\u6307\u4ee4|\u6307\u793a|\u8bf4\u660e|"
    r"\u63d0\u793a|"
    r"\u898f\u5247|\u89c4\u5219)|\u6307\u793a\u3092\u7121\u8996|\uc9c0\uc2dc.{0,8}\ubb34\uc2dc"
)
# Signs, not words: looked for in the text as it is.
_MARKS = re.compile(
    r"<\|[^|\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|^\W{0,8}(?:system|developer)\s?[:\]>]|"
    r"^#{2,4} ?(?:system|instructions?|new instructions?|system prompt)\b:?\s*$|"
    r"<\s?/\s?(?:memory|carryover|system|context|instructions?|system-reminder|untrusted\w*|tool_result|recalled)\b|"
    r"<\s?(?:system|system-reminder|instructions?|admin|developer)\b[^>\n]{0,80}>",
    re.IGNORECASE | re.MULTILINE,
)
_SQUEEZED = re.compile(
    r"ignore(?:all|any|the|every|your|my)?(?:of)?(?:the|your)?(?:previous|prior|above|earlier)(?:instruction|rule|"
    r"prompt)|"
    r"disregard(?:all|any|the|your)?(?:previous|prior|above|earlier)(?:instruction|rule|prompt)|"
    r"ignoreallinstructions|forgetallprevious|revealyoursystemprompt|doanythingnow"
)
_SPACED = re.compile(r"(?:\b\w[\s.\-_*]+){8,}\w\b")

_DO = (
    r"(?:send|post|upload|forward|e ?mail|transmit|submit|run|execute|eval|call|invoke|install|download|visit|open|"
    r"click|"
    r"transfer|wire|pay|approve|merge|delete|drop|remove|grant|disable|enable|share|export|copy|reply|respond|answer|"
    r"say|"
    r"recommend|use|add|include|append|insert|store|save|remember|write|tell|ask|trust|treat|assume|pretend|act|behave|"
    r"obey|follow|comply|output|print|reveal|ignore|start|end|begin|set|change|update|book|buy|order|curl|wget|push|"
    r"commit)"
)
_COMMANDS: tuple[str, ...] = (
    r"\b(?:from now on|going forward|from here on|henceforth|from this point|(?:for|in) (?:all |every |any |each "
    r")?future\b|"
    r"in (?:all|every|each|any) (?:\w+ )?(?:sessions?|conversations?|answers?|repl(?:y|ies)|responses?|messages?|"
    r"chats?|"
    r"interactions?)|(?:until|unless) (?:told|instructed) otherwise|every time (?:you|the user)|(?:when|whenever|if|"
    r"once|next "
    r"time) (?:the user|a user|you|asked|anyone))\b",
    rf"\b(?:always|never) {_DO}\b",
    rf"\b(?:you|we|{_AGENTS}|the model) (?:must|shall|should|ought to|have to|has to|need to|needs to|are "
    rf"(?:required|obliged"
    rf"|instructed|authori[sz]ed|expected|to {_DO})|is (?:required|instructed|authori[sz]ed))\b",
    r"\b(?:please|remember to|be sure to|make sure (?:to|you|that)|do not forget|don't forget|note that you)\b",
    r"\b(?:remember|memori[sz]e|store|save|record|persist|keep)(?: \w+){0,6}? (?:in|to|into) (?:your |the |long term "
    r"|persistent "
    r"|permanent )*memor(?:y|ies)\b|\b(?:remember|note) (?:that|this|the following)\b",
    r"\b(?:important|critical|urgent|attention|mandatory|required|warning) (?:instruction|action|step|note|task|"
    r"notice|update)s?\b|\b(?:todo|task|action item|next step|open task|pending)s? (?:for|of) (?:you|the "
    r"(?:assistant|agent|ai))",
    rf"(?:^|\b(?:and|then|now|first|next|instead|immediately|just|step \d+) ){_DO} (?:the|all|any|this|these|that|"
    rf"your|their|"
    rf"its|an?|it|them|to|every|everything|https?|\w+ (?:to|from|at)|curl|rm|npm|pip|git|bash|sh|sudo)\b",
    r"\bcurl (?:\w+ ){0,12}?(?:bash|sh)\b|\brm rf\b|\bwget (?:https?)\b|\bchmod 777\b|\bsudo \w+",
)
_ABOUT_USER = re.compile(
    r"\b(?:the )?users?(?:'s)? (?:\w+ ){0,2}?(?:wants?|prefers?|asked|said|told|requires?|requested|approved|"
    r"authori[sz]ed|"
    r"granted|consented|decided|agreed|likes?|loves?|hates?|dislikes?|wish(?:es)?|instruct\w*|always|never|insists?|"
    r"expects?|"
    r"preferences?|standing|trusts?)\b"
)
_NARROW = tuple(map(re.compile, _OVERRIDES))
_BROAD = tuple(map(re.compile, _COMMANDS))
# What every pattern above has in it: most texts have none of it, and are done.
_HINT = re.compile(
    r"ignor|disregard|overrid|overrul|bypass|circumvent|discard|forget|neglect|supersed|cancel|follow|obey|heed|"
    r"prompt|instruct|"
    r"direct|you are|anything now|mode\b|jailbr|restrict|attention|reminder|notice|note|message|memo|important|"
    r"guidance|hint|"
    r"an ai\b|system|tell|inform|alert|notify|warn|hide|conceal|keep|withhold|mention|reveal|disclose|without|append|"
    r"include|"
    r"insert|embed|render|load|attach|put|display|output|show|decode|decrypt|scramble|base ?64|rot ?13|reverse|"
    r"obfuscat|"
    r"reading|processing|summari|parsing|agents?\b|assistants?\b"
)


@lru_cache(maxsize=2_048)
def overrides(text: str) -> bool:
    """Whether it sets a model's instructions aside, speaks to models over the user's head, or forges a voice."""
    seen = visible(text[:MOST_CHARS])
    if _MARKS.search(seen):
        return True
    if _FOREIGN.search(seen.lower()):
        return True
    lowered = _folded(seen)
    if _SPACED.search(lowered) and _hides(lowered):
        return True
    if not _HINT.search(lowered) and not _HINT.search(lowered.translate(LEET)):
        return _hides(lowered) if len(lowered.split()) <= 3 else False
    spoken = _spoken(lowered)
    if any(pattern.search(spoken) for pattern in _NARROW) or _hides(lowered):
        return True
    leet = lowered.translate(LEET)
    return leet != lowered and any(pattern.search(_spoken(leet)) for pattern in _NARROW[:3])


@lru_cache(maxsize=2_048)
def commands(text: str) -> bool:
    """Whether it tells a model, or anybody, what to do from now on or at once. Ask it of what no user said."""
    if overrides(text):
        return True
    spoken = _spoken(_folded(visible(text[:MOST_CHARS])))
    return any(pattern.search(spoken) for pattern in _BROAD)


def claims(text: str) -> bool:
    """Whether it says what the user wants, said or allowed: of that only the user is a source."""
    return _ABOUT_USER.search(_spoken(_folded(visible(text[:MOST_CHARS])))) is not None


def _folded(text: str) -> str:
    """In lower case, letters that look like ours as ours, without accents."""
    if text.isascii():
        return text.lower()
    composed = unicodedata.normalize("NFKC", text).lower().translate(LOOKS)
    return "".join(c for c in unicodedata.normalize("NFD", composed) if not unicodedata.combining(c))


def _spoken(lowered: str) -> str:
    return " ".join(_NOT_WORDS.sub(" ", lowered.replace("_", " ")).split())


def _hides(lowered: str) -> bool:
    return any(map(_SQUEEZED.search, squeezed(lowered)))
