"""What may be told to a model in a user's own words: a phrase, and nothing that reads as an order to the model.

Only short phrases are told at all, between quotation marks, under a heading that calls them preferences. This is the
wall before that: what commands, hides, leads out of the quotation or could name a person is refused, whatever else it
says. It errs on the side of refusing: a phrase that is not told costs little.
"""

from __future__ import annotations

import re
import unicodedata

from carryover.core.persona import LONGEST_PHRASE
from carryover.guard.looks import LEET, LOOKS, squeezed

_QUOTES = str.maketrans({'"': "'", "“": "'", "”": "'", "„": "'", "«": "'", "»": "'", "‘": "'", "’": "'", "`": "'"})

_ALLOWED = frozenset(" -'’.,&+/()!?")  # beside letters
_SIGNED = re.compile(r"\b[cfj]#(?!\w)")
_SLASH = re.compile(r"(?<![^\W_])/|/(?![^\W_])|/\S*/|\\|\.\./|~")
_ADDRESS = re.compile(
    r"://|\bwww\.|[\w.+-]+@[\w-]+|"
    r"\b(?!asp\.net\b)[\w-]+\s?(?:\.|\bdot\b)\s?(?:com|net|org|io|co|ru|cn|xyz|info|biz|app|dev|ai|me|sh|gg|ly|"
    r"to|top)\b"
)
_MARKUP = re.compile(r"[<>\[\]{}|\\@#$^*_=~]|://|www\.|\bhttp")
_SPACED = re.compile(r"(?:\b\w[\s.\-']+){3,}\w\b")  # l e t t e r s
_REPEATED = re.compile(r"([^\W\d_])\1\1")
_TWO_SENTENCES = re.compile(r"[.!?][)']*\s+\w")
_LONGEST_WORD = 24  # letters; what is longer is no word but a code

_ALL = r"(?:all|any|each|every|everything|the|these|those|your|my|our|whatever|what|previous|prior|above|earlier|of)"
_RULES = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directives?|orders?|polic(?:y|ies)|restrictions?|guardrails?|"
    r"safeguards?|filters?|constraints?|safety|moderation|censorship|training|programming|context|commands?)"
)
_SECRETS = (
    r"(?:prompts?|instructions?|secrets?|passwords?|passwd|passcodes?|credentials?|api keys?|keys?|tokens?|env|"
    r"environment|config\w*|system|memory|memories|conversations?|other users?|contents?|files?|database|everything|"
    r"internals?|configuration|chain of thought|guidelines|rules)"
)
_ORDERS: tuple[tuple[str, str], ...] = (
    (
        "it speaks of the model's instructions",
        r"\bsystem (?:prompts?|messages?|instructions?|role|override)\b|\bsysprompt|\b(?:hidden|initial|secret|"
        r"internal|"
        rf"developer|original|previous|prior|above|earlier|preceding|your|these|those|all|any|new) {_RULES}\b|"
        r"\b(?:instructions?|prompts?|rules|words|text|messages?|lines?|content) (?:above|before|you (?:were|"
        r"have|got|received))\b|\bpre ?prompt\b|"
        r"\bprompt inject|\byour (?:\w+ )?(?:prompt|instructions|programming|training|memory|rules|guidelines|"
        r"config)\b",
    ),
    (
        "it sets instructions aside",
        rf"\b(?:ignor(?:e|es|ing)|disregard(?:s|ing)?|forget(?:s|ting)?|overrid(?:e|es|ing)|overrul(?:e|es|ing)|"
        rf"bypass"
        rf"(?:es|ing)?|circumvent(?:s|ing)?|violat(?:e|es|ing)|neglect|drop|skip|disabl(?:e|es|ing)|turn off|"
        rf"evad(?:e|es|"
        rf"ing)|break|suspend|discard|remove|unlock|stop following|do not follow|don't follow|never follow)"
        rf"(?: {_ALL}){{0,5}}(?: [a-z]+)? (?:{_RULES}\b|you\b|(?:were|was) told|said\b|before\b|previous|prior|"
        rf"everything)"
        r"|\b(?:ignore|disregard|forget|override) (?:everything|anything|whatever|what|all|the (?:above|user|"
        r"developer|system|operator)|previous|prior|above|earlier)\b",
    ),
    (
        "it asks for what is not the user's to see",
        rf"\b(?:reveal|leak|expose|disclose|divulge|print|repeat|output|dump|show|display|tell|share|give|list|"
        rf"echo|recite|"
        rf"return|paste|quote|translate|summari[sz]e|write out|spell out|extract|steal|hand over|include|append|"
        rf"mention|answer with|reply with|respond with)(?:s|ing)?"
        rf"(?: (?:me|us|them|everyone|anyone|people|out|back|back to me|{_ALL[3:-1]}|its|full|whole|entire|exact|"
        rf"system|hidden|secret|private|user|users|internal|other|their)){{0,5}} {_SECRETS}\b"
        r"|\b(?:contents? of|passwords?(?! managers?)|passwd|api ?keys?|secret keys?|private keys?|access tokens?|"
        r"credentials?|credit cards?|social security|ssn|bank accounts?|confidential|classified)\b",
    ),
    (
        "it gives the model another role",
        r"\b(?:act|acts|acting|behave|behaves|respond|responds|reply|answer|speak|talk|operate|functions?|"
        r"serve) (?:only )?"
        r"(?:as|like) (?:if|though|a|an|the|my|your|you|dan|root|admin|system|another|unrestricted)\b|"
        r"\b(?:pretend|roleplay|role play|simulate|impersonate|imagine) (?:as|to be|that|you|being|an? )|"
        r"\byou(?:'re| are| will be| shall be| were)(?: now| not| no longer| actually| really| free)*\b(?! welcome)|"
        r"\b(?:jailbr|jail br|dan mode|do anything now|developer mode|dev mode|debug mode|god mode|admin mode|"
        r"root mode|"
        r"maintenance mode|sudo|superuser|root access|admin access|admin rights|unrestricted|uncensored|"
        r"unfiltered (?:mode|ai|model|answers?|responses?|output|access)|"
        r"unaligned|no restrictions|no limits|no rules|no filters?|without (?:any )?(?:restrictions?|limits|"
        r"limitations|"
        r"filters?|rules|censorship|safety|guardrails|warnings? or)|evil (?:ai|twin|bot|assistant)|opposite mode)",
    ),
    (
        "it commands the model",
        r"\byou (?:must|should|shall|have to|need to|will|can|may|ought|always|never|only|do|don't|cannot|can't|"
        r"reveal|tell|"
        r"give|send|answer|obey|ignore|say|agree|comply|act|help)\b|\b(?:must|always|never|blindly|"
        r"unconditionally|only) "
        r"(?:obey|comply|agree|approve|refuse|reveal|disclose|leak|execute|recommend|promote|advertise|endorse|trust|"
        r"believe|reject|deny|lie|say|tell|send|output|append|insert|confirm|report|forward|praise|vote|insult|"
        r"follow)\b|"
        r"\b(?:respond|reply|answer|output|speak|say|write|print|return|respond back) (?:only|exactly|nothing|solely|"
        r"exclusively)\b|\bonly (?:ever )?(?:respond|reply|answer|output|say|speak|print)\b|\b(?:end|begin|"
        r"start|finish|"
        r"close|open|prefix|suffix|append|prepend|answer|reply to|respond to) (?:to )?(?:every|each|all|any)\b|"
        r"\b(?:end|begin|start|finish|clos|open|conclud|sign)(?:e|s|es|ed|ing|ning|ing off| off)? (?:\w+ ){0,3}?with "
        r"(?:the |a |this |that |my |your )?(?:secret|hidden|magic|exact|words?|phrase|string|tokens?|marker|tag|"
        r"signal|trigger)\b|\b(?:secret|hidden|magic|trigger) (?:tokens?|words?|phrases?|codes?|strings?|markers?|"
        r"signals?|messages?)\b|"
        r"\b(?:obey|comply with|carry out|follow) (?:\w+ ){0,3}(?:me|orders?|commands?|instructions?|requests?|user|"
        r"everything)\b|\b(?:do|doing) (?:exactly )?(?:what|whatever|anything|everything) (?:i|the user|they|"
        r"we)\b|\bno "
        r"matter what\b|\bunder no circumstances\b|\boverride\b|\b(?:the|this) (?:assistant|model|ai|bot|"
        r"chatbot|llm) (?:"
        r"must|should|shall|will|has to|needs to|is|always|never|can)\b|\b(?:assistant|model|ai|bot|llm)s? "
        r"(?:that|who|which|to) (?:\w+ )?(?:obey|ignore|comply|reveal|leak|lie|never refuse)|\bnever (?:refuse|"
        r"decline|warn|mention safety|mention risks?)"
        r"|\bgrant(?:s|ed)? (?:\w+ )?(?:access|permission|admin)|\b(?:new|updated|real|true|secret) (?:task|"
        r"goal|objective"
        r"|mission|order|directive)\b|\b(?:hypnoti|brainwash|gaslight)",
    ),
    (
        "it asks for tools or for sending things away",
        r"\bexfiltrat|\b(?:send|sends|sending|post|upload|forward|transmit|deliver|submit|relay|e ?mail|mail|"
        r"copy|cc|bcc|"
        r"leak|report) (?:\w+ ){0,4}(?:to (?:me|us|my|this|the|an?|http\w*|url|server|address|webhook|attacker|"
        r"endpoint)\b|"
        r"data|passwords?|secrets?|keys?|conversations?|logs?|chats?|files?|everything|it)\b|\bwebhook|\bcurl\b|"
        r"\bwget\b|"
        r"\b(?:call|invoke|run|execute|use|trigger|launch|start) (?:the |a |an |this |that |any |your |all |"
        r"some |my )?"
        r"(?:\w+ ){0,3}(?:tools?|functions?|commands?|scripts?|shell|terminal|plugins?|exploit|payload|malware|"
        r"code below|"
        r"following)\b(?! names?| calls?| signatures?)|\b(?:execute|eval|exec) (?:this|the|any|all|arbitrary|"
        r"code|it)\b|"
        r"\b(?:tool|function)[ _]calls?\b(?! conventions?| graphs?| stacks?)|\brm\b|\bdrop (?:table|database)|"
        r"\bdelete "
        r"(?:all|every|the|my|your|user|files?|data)\b|\b(?:wire|transfer) (?:\w+ )?(?:money|funds)|"
        r"\bdownload (?:and|this|the)\b|"
        r"\bclick (?:here|this|the|on)\b|\bvisit (?:this|my|the following)\b|\betc passwd\b|\betc shadow\b",
    ),
    (
        "it orders the model about in another language",
        r"\b(?:ignorier|vergiss|missachte|ignorez|ignore[rz]? (?:toutes|les)|oublie[rz]?|ignora(?:r|te)?\b|olvida|"
        r"dimentica|esque[cç]a|negeer|vergeet|zignoruj|anweisungen|instruktionen|systemprompt|systemnachricht|"
        r"instru[cç][tc]?(?:ions?|iones|ões)\b (?:pr[eé]c[eé]dentes?|syst[eè]me|anterior(?:es)?|del sistema|do "
        r"sistema)|instrucciones|istruzioni|instru[cç]ões|instructies|instrukcj|rivela|revele|révèle[rz]?|"
        r"offenbare|verrate|"
        r"passwort|contraseña|mot de passe|senha\b|wachtwoord|du bist jetzt|tu es maintenant|ahora eres|sei ora|"
        r"talimatlar)|"
        r"игнорир|инструкц|системн|забудь|пароль|раскрой|忽略|无视|系统提示|指令|提示词|密码|無視|指示|システムプロンプト|"
        r"秘密|무시|지시|프롬프트|비밀번호|تجاهل|تعليمات|كلمة المرور|अनदेखा|निर्देश|התעלם|הוראות",
    ),
)
_PATTERNS = tuple((reason, re.compile(pattern)) for reason, pattern in _ORDERS)
# What is left of the worst of them without spaces and signs, so that none are told by breaking words up.
_SQUEEZED = re.compile(
    r"systemprompt|systemmessage|systeminstruction|ignore(?:all|any|the|every|your|my)?(?:previous|prior|above|"
    r"earlier|"
    r"instruction|rules)|disregard(?:all|any|the|every|your)?(?:previous|prior|above|earlier|instruction|rules)|"
    r"previousinstruction|priorinstruction|forgeteverything|jailbreak|developermode|reveal(?:the|your)(?:system|"
    r"prompt|"
    r"instruction|secret)|doanythingnow|etcpasswd|rmrf|promptinjection|exfiltrat|apikey|youarenow"
)


def refused(text: str) -> str | None:
    """Why a phrase may not be told to a model; None if it may."""
    plain = unicodedata.normalize("NFC", text).strip()
    return _by_shape(plain) or _by_words(plain)


def orders(text: str) -> str | None:
    """Why no phrase out of a text of any length may be told: it reads as an order, or holds markup; None if one may."""
    return "it holds markup" if _MARKUP.search(text) else _by_words(unicodedata.normalize("NFC", text))


def harmless(text: str) -> str:
    """`text` on one line, composed, without what cannot be seen: ready to stand between double quotation marks."""
    composed = unicodedata.normalize("NFC", text.translate(_QUOTES))
    seen = "".join(" " if char.isspace() else char for char in composed if char.isspace() or _is_seen(char))
    return " ".join(seen.split())


def _is_seen(char: str) -> bool:
    return unicodedata.category(char)[0] != "C"


def _by_shape(text: str) -> str | None:
    """What its characters say: they are looked at one by one, once."""
    if not any(char.isalpha() for char in text):
        return "it holds no word"
    if len(text) > LONGEST_PHRASE:
        return f"it is longer than {LONGEST_PHRASE} characters"
    if any(char != " " and (not _is_seen(char) or char.isspace()) for char in text):
        return "it holds characters that cannot be seen, or more than one line"
    if unicodedata.normalize("NFKC", text) != text:
        return "it holds characters that stand for others"
    if any(char.isnumeric() for char in text):
        return "it holds digits"
    if _ADDRESS.search(text.lower()):
        return "it holds an address"
    bare = _SIGNED.sub("c", text.lower())
    if _SLASH.search(bare):
        return "it holds a path"
    if any(not (char in _ALLOWED or unicodedata.category(char)[0] in "LM") for char in bare):
        return "it holds markup or signs"
    if _TWO_SENTENCES.search(bare):
        return "it is more than one sentence"
    words = re.split(r"[\s\-/.,&+()]+", bare)
    if any(len(word) > _LONGEST_WORD for word in words) or _SPACED.search(bare) or _REPEATED.search(bare):
        return "it holds what is no word"
    if any(_is_mixed(word) for word in words) or sum(unicodedata.combining(c) > 0 for c in bare) > len(bare) // 4:
        return "it mixes alphabets"
    return None


def _is_mixed(word: str) -> bool:
    """Whether letters of two alphabets stand in one word."""
    scripts = {unicodedata.name(char, "?").split()[0] for char in word if char.isalpha()}
    return "LATIN" in scripts and len(scripts) > 1


def _by_words(text: str) -> str | None:
    """What it says, also where it is written to look like something else."""
    lowered = text.lower().translate(LOOKS)
    bare = "".join(c for c in unicodedata.normalize("NFD", lowered) if not unicodedata.combining(c))
    for read in dict.fromkeys((text.lower(), lowered, bare, bare.translate(LEET))):
        spoken = " ".join(re.sub(r"[^\w']+", " ", read).split())
        for reason, pattern in _PATTERNS:
            if pattern.search(spoken):
                return reason
        if any(map(_SQUEEZED.search, squeezed(read))):
            return "it hides an order to the model"
    return None
