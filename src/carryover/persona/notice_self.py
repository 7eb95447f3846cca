"""What users say of themselves: what they do, what they know, what they work with, what they are interested in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from carryover.core.persona import Polarity
from carryover.persona import lexicon_cues as cues
from carryover.persona.lexicon import Lexicon, bare_words
from carryover.persona.lint import orders, refused

_END = re.compile(
    r"\s*(?:[,;:!?…]|\.(?=\s|$)|\b(?:because|since|so|but|and (?:i|we|my|need|want|have|would|am)|who|which|"
    r"that|at (?:a|an|the|my)|"
    r"for (?:a|an|the|my|over|about|[a-z]+ years)|with|in (?:a|an|my|the)|looking|trying|working|from|by|"
    r"these days|right now|mostly|mainly|myself|here|when|where|"
    r"if|while|though|although|please|now|and it|to (?!be ))\b).*$"
)
_ROLE = re.compile(
    r"\b(?:i (?:am|have been) (?:currently |actually |also |just |only |still |really |basically |merely |simply |"
    r"essentially |by now )?(?:working as |employed as |training as |training to be |"
    r")(?:a|an|the) "
    r"|i work (?:full-time |part-time )?as (?:a|an|the) |^as (?:a|an) |i (?:have )?worked as (?:a|an) "
    r"|my (?:day job|job|profession|occupation) is (?:being )?(?:a |an )?|i am by (?:trade|profession) (?:a |"
    r"an )?|speaking as (?:a|an) "
    r"|we are (?:a (?:team|group|bunch) of )?(?!currently |now |using |also |all |just |not ))(?P<what>.+)"
)
_SHOP = re.compile(
    r"\b(?:we are|this is) (?:a |an )?(?:mostly |pure )?(?P<what>.+?) (?:shop|team|company|house|"
    r"office)\b"
)
_FIELD = re.compile(
    r"\b(?:i (?:currently )?(?:work|am working|am employed|specialize|specialise|have a background|"
    r"have a degree|majored|am a specialist) (?:mainly |mostly )?in"
    r"|my background is in|my field is|i come from) (?P<what>.+)"
)
_TEACH = re.compile(r"\bi teach (?P<what>.+)")
_TOOLS = re.compile(
    r"\b(?:i|we) (?:(?:mostly|mainly|usually|always|only|currently|primarily|normally|all|both|now|just|also|"
    r"do everything|do most things|typically|generally) )*"
    r"(?:work(?:ed)? (?:with|in|on)|use|am using|are using|code in|code with|program in|write (?:most(?:ly)? |"
    r"all |everything |my code |our code |code )*in|write|develop in|"
    r"develop with|develop|build (?:everything |things |apps |our apps |my apps )?(?:with|in|on)|am coding in|"
    r"am on|are on|run(?: everything)? on|run(?: everything)?(?: on)?|deploy(?: everything)? (?:to|on|with)|"
    r"host on|rely on|script in|am working with|am working in|are working with) (?P<what>(?!not |never ).+)"
)
_OURS = re.compile(
    r"\b(?:our|my) (?:main |primary |whole |entire |tech |current )*(?:stack|codebase|code base|code|backend|"
    r"frontend|back end|front end|database|db|project|projects|app|apps|service|services|"
    r"team|company|shop|site|server|servers|pipeline|pipelines|infra|infrastructure|editor|ide|os|"
    r"operating system|machine|laptop|language|framework|setup|environment|work|"
    r"scripts|tests|api|apis|repo|website|cloud|workstation|daily driver)(?: here| at work| language|"
    r" project)? (?:is|are|uses|use|runs on|run on|runs|is built (?:with|on|in|around)|"
    r"are built (?:with|on|in)|is written in|are written in|is in|are in|are all in|is all in|is all|"
    r"was built with|consists of|is based on|is mostly|lives on|is done in|is a|is on) (?P<what>.+)"
)
_SWITCH = re.compile(
    r"\b(?:i|we) (?:have )?(?:recently |just |finally |now )*(?:switched|moved|migrated|changed|converted|"
    r"am switching|are switching|am moving|are moving|are migrating)"
    r"(?: everything| over| our \w+| my \w+)*(?: from (?P<old>.+?))? (?:over )?to (?P<what>.+)"
)
_NEW = re.compile(
    r"\b(?:i|we) (?:am|are) (?:still |very |quite |completely |totally |relatively |pretty |fairly |brand |"
    r"kind of |rather |also |a )*(?:new to|beginner (?:in|at|with|to)|newbie (?:in|at|with|to)|"
    r"novice (?:in|at|with|to)|just (?:starting|getting started|beginning)(?: out)?(?: with| to learn| in|"
    r" learning)?|only just learning|just learning|not (?:very |too |really |that )?(?:familiar|experienced) with|"
    r"unfamiliar with|no expert (?:in|on|at|with)) ?(?P<what>.*)"
    r"|\b(?:i|we) (?:have never|never) (?:really )?(?:used|programmed|coded|touched|worked with|written|done|"
    r"learned)(?: in| any)? ?(?P<never>.*)"
    r"|\b(?:i|we) (?:know|understand) (?:almost |absolutely |next to |basically )?(?:nothing|little|very little|"
    r"not much) about (?P<nothing>.+)"
    r"|\bi (?:just |only |recently )*(?:started|began) (?:learning|to learn|coding|"
    r"programming) ?(?:in )?(?P<started>.*)"
    r"|\bi do not (?:really )?(?:know|understand) (?:much|anything|a lot|a thing) about (?P<much>.+)"
)
_TECHLESS = re.compile(
    r"\bi am not (?:a |an |at all |very |really |particularly |that |so )*(?:technical|tech[- ]savvy|programmer|"
    r"developer|coder|engineer|computer person|tech person|technical person)\b"
    r"|\bi (?:do not|cannot) (?:know how to )?(?:code|program)\b|\bi have no (?:technical|coding|programming|"
    r"tech) (?:background|experience|knowledge|skills)\b"
)
_YEARS = re.compile(
    r"\bi have (?:been |got |over |more than |about |around |nearly |almost )*(?:(?P<doing>[a-z]+ing|"
    r"[a-z]+ing [a-z]+)?.{0,40}?\b)?(?:\d+\+?|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|"
    r"twenty|thirty|"
    r"many|several|some|a few)(?: of)? ?(?:years|decades|yrs)\b(?P<what>.*)"
)
_ABLE = re.compile(
    r"\bi (?:am|feel) (?:very |quite |really |pretty |extremely |already )*(?:experienced|proficient|fluent|"
    r"well versed|well-versed|an expert|advanced|skilled|expert|a veteran|highly experienced) (?:with|in|at|"
    r"of) (?P<what>.+)"
    r"|\bi know (?P<know>.+?) (?:very well|inside out|inside and out|really well|well|like the back of my hand)\b"
    r"|\bi (?:already )?(?:know|understand) (?:all )?the basics\b|\b(?:assume|"
    r"you can assume) (?:that )?i (?:already )?(?:know|understand) (?P<basics>.+)"
)
_JOB = re.compile(
    r"^[a-z -]{0,30}\b(?:[a-z]{2,}(?:er|or|ist|ian|eer|ant|smith|maker|keeper|wright|man|woman|nurse|wife)|nurse|"
    r"chef|pilot|clerk|monk|coach|cop|vet|guide|sheriff|judge|cook|expert|professional|novice|hobbyist|apprentice|"
    r"graduate|trainee|intern|dad|mom|mum|layperson|pro|nun|host|medic|paramedic|mechanic|critic|diplomat|volunteer|"
    r"parent|student|pupil|scholar|academic|pensioner|retiree|baker|tailor|surgeon|dentist|technician|operator|owner|"
    r"specialist|hand)$"
)
_LEVELS = frozenset(("beginner", "newbie", "newcomer", "learner", "starter", "amateur", "rookie", "veteran", "layman"))
_MANNER = frozenset(
    re.findall(
        r"\S+",
        "senior junior freelance full-time part-time certified licensed registered qualified working practicing "
        "practising professional lead principal staff chief newly young old independent self-employed former "
        "trained humble simple mere small-town complete total absolute pure real typical proud",
    )
)
_NO_JOB = frozenset(
    re.findall(
        r"\S+",
        "solver thinker mother father parent brother sister daughter vegetarian vegan pescatarian person "
        "believer lover user customer member speaker listener reader beginner sucker number matter christian "
        "introvert teenager senior newcomer supporter owner player drinker eater smoker thinker learner "
        "importer follower fighter runner hater outsider newsletter computer letter paper chapter "
        "californian canadian australian indian italian russian buyer subscriber minor foreigner visitor "
        "stranger fan winner swimmer traveler traveller bit little couple week month day "
        "vegetarian gamer early-riser riser sleeper worrier perfectionist optimist pessimist man woman bachelor "
        "guitarist tester native walker hiker believer freelancer",
    )
)
_LIKE: Polarity = "like"
_AVOID: Polarity = "avoid"
_PROGRAMMING = frozenset(("stack",))
_TOPIC = frozenset(("domain",))
_WORKER = frozenset(("expertise",))
_CODING = re.compile(
    r"\b(?:programming|programmed|coded|program|coding|code|software|developer|development|"
    r"computers|web dev)\b"
)


def is_change(clause: str) -> bool:
    """Whether it says that something took the place of something else."""
    return _SWITCH.search(clause) is not None


def told(clause: str, lexicon: Lexicon) -> Iterator[tuple[str, str, Polarity]]:
    """Facet, value and polarity of what the user is, knows and works with, and of what they gave up for it."""
    seen: set[tuple[str, str]] = set()
    for facet, value in _all(clause, lexicon):
        known = lexicon.at(bare_words(value), 0, _LIKE, frozenset((facet,))) is not None
        if (facet, value) not in seen and (known or (refused(value) or orders(clause)) is None):
            seen.add((facet, value))
            yield facet, value, _LIKE
    if (match := _SWITCH.search(clause)) and match["old"] and seen:
        for facet, value in _tools(match["old"], lexicon):
            yield facet, value, _AVOID


def _all(clause: str, lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    for pattern, read in (
        (_SWITCH, _tools),
        (_OURS, _tools),
        (_SHOP, _tools),
        (_TOOLS, _tools),
        (_FIELD, _field),
        (_ROLE, _role),
    ):
        match = pattern.search(clause)
        if match is not None and not cues.NOT_MINE.search(clause[: match.start()]):
            yield from read(match["what"], lexicon)
    yield from _level(clause, lexicon)
    if (match := _TEACH.search(clause)) and not cues.NOT_MINE.search(clause[: match.start()]):
        yield "expertise", "teacher"
    if (match := cues.INTERESTS.search(clause)) and not cues.NOT_MINE.search(clause[: match.start()]):
        what = next(text for text in match.groups() if text)
        words = bare_words(_END.sub("", what))[:6]
        yield from ((p.term.facet, p.term.value) for p in lexicon.all(words, "like", _TOPIC) if p.first < 2)


def _tools(what: str, lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    """What stands for a tool, from the first word on: an enumeration ends where none does."""
    words = bare_words(what)
    gap = 0
    at = 0
    while at < len(words) and gap < 3:
        place = lexicon.at(words, at, "like", _PROGRAMMING)
        if place is None:
            gap = gap + 1 if words[at] not in ("and", "with", "plus", "on", "as", "or", "mostly", "in", "for") else gap
            at += 1
        else:
            yield place.term.facet, place.term.value
            at, gap = place.end, 0


def _field(what: str, lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    if found := list(_tools(" ".join(bare_words(what)[:1]), lexicon)):
        yield from found
        return
    words = bare_words(_END.sub("", what))[:4]
    place = lexicon.at(["works", "in", *words], 0, "like", _WORKER) if words else None
    topics = lexicon.all(words, "like", _TOPIC)
    if place is not None:
        yield place.term.facet, place.term.value
    elif topics:
        yield topics[0].term.facet, topics[0].term.value
    elif words:
        yield "domain", " ".join(words)


def _role(what: str, lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    """Who somebody is: known where nothing else is said of it than how long or how they are it, else as said."""
    words = bare_words(_END.sub("", what))[:6]
    plain = [word for word in words if word not in _MANNER]
    for phrase in (words, plain):
        place = lexicon.at(phrase, 0, "like", _WORKER)
        if place is not None and place.end == len(phrase):
            yield place.term.facet, place.term.value
            return
    if len(words) <= 4 and is_role(" ".join(words)):
        yield "expertise", " ".join(words)


def is_role(what: str) -> bool:
    """Whether it ends as the name of what somebody does, or of how well they know their way."""
    words = bare_words(_END.sub("", what))
    last = words[-1].removesuffix("s") if words else ""
    if last in _LEVELS:
        return True
    return bool(words) and last not in _NO_JOB and _JOB.match(" ".join(words).removesuffix("s")) is not None


def _level(clause: str, lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    if match := _TECHLESS.search(clause):
        if not cues.NOT_MINE.search(clause[: match.start()]):
            yield "expertise", "not technical"
        return
    for pattern, programming, otherwise in (
        (_NEW, "new to programming", "new to {}"),
        (_ABLE, "experienced programmer", "experienced in {}"),
        (_YEARS, "experienced programmer", ""),
    ):
        match = pattern.search(clause)
        if match is None or cues.NOT_MINE.search(clause[: match.start()]):
            continue
        what = next((text for name, text in match.groupdict().items() if text and name != "doing"), "")
        words = bare_words(_END.sub("", what))[:4]
        terms = lexicon.all(bare_words(clause), "like", _PROGRAMMING)
        if "never" in match[0] and not re.search(r"\b(?:programmed|coded|programming|coding|code)\b", match[0]):
            return
        if _CODING.search(clause) or terms or words[:1] in ([], ["this"], ["basics"]):
            if otherwise or _CODING.search(clause) or terms:
                yield "expertise", programming
        elif otherwise:
            yield "expertise", otherwise.format(" ".join(words))
        return
