"""What users ask of the answers themselves: standing orders, and requests for one answer, which weigh less."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from carryover.core.persona import PERSONAL, Polarity
from carryover.persona import lexicon_cues as cues
from carryover.persona.lexicon import Lexicon, Place, bare_words
from carryover.persona.lint import orders


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request comes to."""

    facet: str
    value: str
    polarity: Polarity
    explicit: bool
    correction: bool = False


POLITE = re.compile(
    r"^(?:(?:please|ok|okay|hey|hi|so|also|and|then|well|thanks|thank you|great|cool|nice|"
    r"perfect)[, ]+)*(?:can|could|would|will) (?:you|we)\b"
)
_THANKS = re.compile(
    r"for (?:example|instance)\b|(?:ok,? |okay,? |great,? |wow,? |perfect,? )?(?:many )?(?:thanks|thank you|"
    r"thx)(?: so much| a lot| very much| again)? for\b"
)
_LEAD = re.compile(
    r"^(?:(?:ok(?:ay)?|hey|hi|hello|so|and|also|then|now|well|alright|all right|(?:thanks|thank you)(?: a lot|"
    r" so much| very much)?(?= ?[,!.]| but)|great|cool|nice|perfect|good|sure|yes|yeah|yep|no(?=,)|nope|"
    r"oh|actually|please|pls|plz|kindly|just(?! the| code| answer)|maybe|perhaps|for me|btw|by the way|"
    r"one more thing|quick note|note|fyi|next time|ps|p\.s\.|but|wait|sorry|again|ideally|preferably|instead|"
    r"one thing|a reminder|reminder|in your (?:answers|replies|responses)|when you (?:answer|reply|respond|"
    r"explain|write)(?: [a-z]+){0,3}|when (?:answering|replying|explaining|writing)(?: [a-z]+){0,2}|"
    r"for (?:all|every|each|any|future|the rest)[a-z ]{0,40}?(?=,)|if anything|seriously|honestly|in short|"
    r"with me|i said|as i said|like i said|i told you|i asked for|i meant|i wanted|"
    r"i already said|i already told you|to)\b[,!.: ]*)+"
)
_WRAP = re.compile(
    r"^(?:(?:can|could|would|will) (?:you|we) (?:please |kindly |maybe |just |also |try to |perhaps |always |"
    r"at least )*|would you mind (?=not )|would you mind |"
    r"i (?:would like|would really like|want|need|expect|would love|would appreciate|would prefer|prefer|ask|"
    r"asked|told) (?:it if you (?:could |would )?|that you |for you to |you to |if you (?:could |would )?)|"
    r"(?:make sure|be sure|remember|try|feel free|take care|ensure|it is best)(?: to| that you| you| that)? |"
    r"you (?:should|must|can|could|need to|have to|may|ought to) |let us |"
    r"it (?:really |would )?(?:helps?|is better|is best|be (?:great|nice|good|helpful|best|"
    r"better))(?: me)?(?: a lot)?(?: if| when)? you (?:could |would )?|"
    r"i (?:really )?(?:like|love|prefer|enjoy|appreciate) it (?:when|if) you |you do not (?:have|need) to (?=\b))+"
)
_DISLIKED = re.compile(
    r"^(?:i (?:really )?(?:hate|dislike|do not like|cannot stand) (?:it )?(?:when|"
    r"how) you (?:always |keep )?|you do not (?:have|need) to |no need to |there is no need to |no need for )"
)
_NOT = re.compile(
    r"^(?:d(?:o|id) not(?: ever)?|never(?: ever)?|not|stop|quit|avoid|skip|drop|omit|leave (?:out|off)|cut (?:out|"
    r"down on)?|no more|no|lose|ditch|spare me|refrain from|enough (?:with|of)|enough|less|fewer|without|hold|"
    r"remove|cease|minimi[sz]e|limit|go easy on|lay off|ease up on|forget(?: about)?|keep out|get rid of|"
    r"eliminate|hold off on|please no|zero|reduce|cut back on|tone down) (?P<what>.+)"
)
_FRAME = re.compile(
    r"^(?:(?:use|using|include|including|add|adding|give me|giving me|give|giving|write|writing|put|putting|"
    r"start(?:ing)? (?:with|every answer with)|end(?:ing)? with|be|being|make|show|showing|send|sending|need|"
    r"the|any|so many|"
    r"too many|too much|so much|all|these|those|your|with|more|so|too|a|an|me|it|that|such|overly|unnecessary|"
    r"constant|excessive|constantly|always|every time|bother with|bother|even|about|talk(?:ing)? in|"
    r"answer(?:ing)? (?:in|with)|respond(?:ing)? (?:in|with)|reply(?:ing)? (?:in|with)|speak(?:ing)? in|"
    r"explain(?:ing)? (?:in|with)|get|getting|sound|sounding|everything|things|stuff|of|in|as|for|to|keep|"
    r"throwing|throw|insert|inserting|"
    r"want to see|want|doing|do|ever|silly|endless|stupid|fancy|long-winded)\b ?)+"
)
_VERB = (
    r"(?:use|prefer|include|keep|make|be|sound|stay|remain|answer|reply|respond|explain|write|speak|talk|give|"
    r"show|start|begin|lead|open|go|stick|format|structure|organi[sz]e|present|put|list|provide|aim|describe|"
    r"phrase|word|limit|treat|assume|summari[sz]e|break|walk|return|render|lay|get|do|code|tell|help|compare|"
    r"outline|draft|create|generate|build|design|rewrite|rephrase|translate|convert|implement|"
    r"fix|add|shorten|simplify|elaborate|expand|continue|turn|stop|let|act|approach|teach|guide|back up|cite|"
    r"quote|state|type|more|challenge|push|skip)"
)
_DO = re.compile(rf"^(?P<verb>{_VERB})\b(?P<what>.*)")
_OF_ANSWERS = re.compile(
    r"^(?:your|the|all|all your|these|any|my|all my|all the|every|the length of your|each)? ?(?:answers?|"
    r"repl(?:y|ies)|responses?|explanations?|messages?|output|outputs|tone|language|style|code|code examples|"
    r"examples|summaries|"
    r"everything|feedback|sentences|paragraphs|instructions|wording) (?:should|must|need to|needs to|has to|"
    r"have to|can|could|ought to|is best|are best|to|in|as|with|without|should always|should never|must always|"
    r"must never|please)(?: always| never| only| generally)?"
    r"(?: be| have| use| contain| include| come| start| read| sound| stay| look)?(?: with| in| as|"
    r" like)? ?(?P<what>.*)"
)
_GENERIC = re.compile(
    r"\b(?:answers?|repl(?:y|ies)|responses?|explanations?|messages?|it|things|everything|text|output|tone|"
    r"language|wording|sentences|yourself|feedback|summaries|instructions|your|lists|code examples|"
    r"comparisons|options|advice)\b"
)
_GOVERNED = re.compile(
    r"(?:^|\b)(?:in|as|with|using|by|into|like|via|through|at|to|for|it|them|things|"
    r"everything|answers?|replies|responses|explanations?|tone|language|be|more|very|is|nice and|sound|stay|"
    r"yourself|me)$"
)
_MAKES = frozenset(
    (
        "turn",
        "write",
        "make",
        "create",
        "generate",
        "build",
        "draft",
        "design",
        "add",
        "implement",
        "do",
        "fix",
        "code",
        "help",
        "convert",
        "get",
        "let",
        "compare",
        "translate",
        "rewrite",
        "rephrase",
        "put",
        "tell",
        "list",
    )
)
_TASKS = _MAKES | frozenset(
    (
        "summarize",
        "summarise",
        "explain",
        "describe",
        "outline",
        "shorten",
        "simplify",
        "elaborate",
        "expand",
        "rephrase",
        "show",
        "give",
        "break",
        "walk",
        "continue",
        "provide",
    )
)
_PASSED = frozenset(
    re.findall(
        r"\S+",
        "me it them things everything answers answer replies reply responses response "
        "explanations explanation your you all my our more very a bit nice and please always is be in as with "
        "using by into like via through at to of "
        "so just only really super extra much some plain simple that this tone language style lots of "
        "plenty code output text sentences any for quite pretty rather fairly short-term yourself down "
        "up on out instead examples wording mostly "
        "every both clear clean proper good from generally usually only ever messages as-is feedback "
        "simply preferably lots",
    )
)
_JOINS = frozenset(
    re.findall(
        r"\S+",
        "and or with when about if where wherever but tone style format formatting language way manner first "
        "last at instead over unless before after during please each throughout",
    )
)
_STYLE = frozenset(("format", "length", "tone", "avoid"))
_ALL = frozenset(("format", "length", "tone", "expertise", "stack"))
_BY_VERB = {
    "elaborate": ("length", "detailed answers"),
    "expand": ("length", "detailed answers"),
    "shorten": ("length", "short answers"),
    "condense": ("length", "short answers"),
    "simplify": ("tone", "simple language"),
}
_VERBS = re.compile(
    rf"^({'|'.join(_BY_VERB)})(?: (?:a (?:bit|little)|more|further|on|it|this|that|please|your|"
    rf"the|answers?|things|my)\b.*)?$"
)
LANGUAGE = re.compile(
    r"(?:^|\b(?:answers?|reply|replies|respond|responses?|talk|speak|write|explanations?|me|"
    r"be) (?:\w+ ){0,2}?)(?:only |always |preferably )?in (?P<what>(?:(?:british|american|simple|plain|"
    r"brazilian|mexican|swiss|canadian) )?"
    r"(?:english|french|german|spanish|italian|portuguese|dutch|polish|russian|ukrainian|turkish|arabic|hindi|"
    r"chinese|mandarin|japanese|korean|swedish|norwegian|danish|finnish|greek|czech|hungarian|romanian|hebrew|"
    r"vietnamese|thai|indonesian|catalan))\b"
)
# Standing orders that no facet knows, kept as they were said.
_OWN_WORDS = re.compile(
    r"^(?:(?:use|include|give me|give) (?P<what>(?!me\b|it\b|that\b|this\b)[a-z][a-z -]{2,60})|"
    r"(?P<all>(?:call me|address me|refer to me|ask|check|spell|convert|round|test|sign|greet|cite|confirm|wait|"
    r"keep|run|number|date) [a-z][a-z' -]{2,60}))$"
)
_ANSWERS = re.compile(r"\b(?:answers|repl(?:y|ies)|responses|explanations|messages|everything)\b")
_STATES = re.compile(r"^(?:my|our|here|i|we|you|it|that|this|as an?) |\b(?:is|are|was|were)\b")
_ONE_EXAMPLE = re.compile(r"\b(?:an?|the|one|another|this) (?:[a-z]+ )?example\b")
_TURN = re.compile(r"(?:put|turn|make|convert|rewrite|rephrase|translate|summari[sz]e|get) (?:it|them)\b")
_TAIL = re.compile(r"(?:,? (?:please|pls|thanks|thank you|thx|if possible|ok|okay|for me))+$")
_MILD = re.compile(
    r"\b(?:shorter|longer|simpler|briefer|friendlier|warmer|easier|nicer|more [a-z-]+|"
    r"less [a-z-]+|fewer [a-z-]+|bit)\b"
)
_WITHOUT = re.compile(r"\b(?:without|with no|no|minus|leave out|leaving out|and not|not|avoiding) (?P<what>.+)")
_NOT_BUT = re.compile(
    r"^(?:no,? )?(?:not|no) (?P<rival>[^,]{2,40}), (?:but |rather |just )?(?P<what>.+)|"
    r"^(?P<other>[^,]{2,40}),? (?:not|instead of|rather than|over) (?P<otherrival>[^,]+)$"
)


def asked(clause: str, lexicon: Lexicon, *, standing: bool) -> Iterator[Asked]:
    """What a clause asks of answers. `standing`: its sentence says that it is meant for all of them."""
    if _THANKS.match(clause):
        return
    lead = _LEAD.match(clause)
    bare = clause[lead.end() :] if lead else clause
    bare = cues.ALWAYS.sub("", bare).strip(" ,.:!") if standing else bare
    bare = _LEAD.sub("", bare) if bare else bare
    told = lead is not None and re.search(r"\bi (?:said|told|asked|meant|wanted|already)", lead[0]) is not None
    turned = False
    if match := _DISLIKED.match(bare):
        bare, turned, standing = bare[match.end() :], True, True
    elif match := _WRAP.match(bare):
        wants = bare.startswith(("i ", "you ", "make sure", "be sure", "remember", "it "))
        bare, standing = bare[match.end() :], standing or wants
    if cues.NOT_MINE.search(bare.split(":")[0]) and ":" in bare:
        return
    turned = turned or (standing and re.search(r"\bnever\b", clause) is not None)
    bare = _TAIL.sub("", bare)
    found = list(_request(bare, lexicon, standing=standing, turned=turned, told=told))
    if not found and standing and not turned and orders(bare) is None and (own := _OWN_WORDS.match(bare)):
        found = [Asked(PERSONAL, own["what"] or own["all"], "like", True, told)]
    asks = POLITE.match(clause) is not None and not standing and _ANSWERS.search(clause) is None
    one = _ONE_EXAMPLE.search(clause) is not None
    for each in found:
        if not (one and each.value == "worked examples"):
            yield replace(each, explicit=False) if asks and each.polarity == "like" else each


def _request(bare: str, lexicon: Lexicon, *, standing: bool, turned: bool, told: bool) -> Iterator[Asked]:
    once = not standing and cues.ONCE.search(bare) is not None
    if match := LANGUAGE.search(bare):
        yield Asked(PERSONAL, f"answers in {match['what']}", "avoid" if turned else "like", not once, told)
        return
    if match := _VERBS.match(bare):
        facet, value = _BY_VERB[match[1]]
        yield Asked(facet, value, "like", standing)
        return
    if found := list(_set_right(bare, lexicon)):
        yield from found
        return
    phrase = lexicon.at(bare_words(bare), 0, "like", _ALL)  # "no explanations" is a way to be wanted, not a thing
    if phrase is not None and phrase.end == len(bare_words(bare)) and not turned and _fits(phrase, bare):
        mild = _MILD.search(bare) is not None or (phrase.end < 2 and _DO.match(bare) is None)
        yield Asked(phrase.term.facet, phrase.term.value, "like", standing or told or not (mild or once), told)
        return
    match = _NOT.match(bare)
    if match is not None or turned:
        what = match["what"] if match else bare
        stops = bare.startswith(("stop", "quit", "no more", "enough", "cease", "lay off", "tone down"))
        yield from _unwanted(what, lexicon, explicit=not once, correction=stops or told)
        return
    yield from _wanted(bare, lexicon, standing=standing, once=once, told=told)


def _set_right(bare: str, lexicon: Lexicon) -> Iterator[Asked]:
    """`not tables, bullet points` and `bullet points, not tables`."""
    match = _NOT_BUT.match(bare)
    if match is None:
        return
    what, rival = match["what"] or match["other"], match["rival"] or match["otherrival"]
    wanted, unwanted = _covered(what, "like", lexicon), _covered(rival, "avoid", lexicon)
    if wanted and unwanted:
        yield from (Asked(p.term.facet, p.term.value, "like", True, True) for p in wanted)
        yield from (Asked(p.term.facet, p.term.value, "avoid", True, True) for p in unwanted)


def _covered(what: str, polarity: Polarity, lexicon: Lexicon) -> list[Place]:
    """The terms of a phrase that says hardly anything else."""
    do = _DO.match(what)
    words = bare_words(re.sub(r"(?<=\w) (?:for|when) .*", "", do["what"] if do else what))
    places = lexicon.all(words, polarity, (_ALL | _STYLE) - {"expertise"})
    covered = sum(place.end - place.first for place in places)
    rest = sum(word not in _PASSED for word in words) - sum(
        word not in _PASSED for place in places for word in words[place.first : place.end]
    )
    return places if covered and rest <= 0 else []


def _unwanted(what: str, lexicon: Lexicon, *, explicit: bool, correction: bool) -> Iterator[Asked]:
    words = bare_words(what)
    at = 0
    frame = _FRAME.match(what)
    if frame is not None and lexicon.at(words, 0, "avoid", _ALL | _STYLE) is None:
        words = bare_words(what[frame.end() :])
    wordy: list[Place] = []
    while at < len(words):
        place = lexicon.at(words, at, "avoid", _ALL | _STYLE)
        if place is not None:
            wordy.append(place)
            at = place.end
        elif words[at] in ("and", "or", "any", "all", "nor", "use", "using"):
            at += 1
        else:
            break
    for place in wordy:
        if not place.term.unsure:
            yield Asked(place.term.facet, place.term.value, "avoid", explicit, correction)


def _wanted(bare: str, lexicon: Lexicon, *, standing: bool, once: bool, told: bool) -> Iterator[Asked]:
    words = bare_words(bare)
    if (fragment := _covered(bare, "like", lexicon)) and not _STATES.search(bare):
        mild = _MILD.search(bare) is not None or (_DO.match(bare) is None and len(words) < 2) or _TURN.match(bare)
        sure = standing or told or (not mild and not once)
        yield from (Asked(p.term.facet, p.term.value, "like", sure, told) for p in fragment if _fits(p, bare))
        return
    once = once or (not standing and cues.A_THING.search(bare) is not None)
    match = _OF_ANSWERS.match(bare)
    if match is not None:
        standing = standing or re.search(r"\b(?:should|must|need|have to)\b", bare) is not None
        yield from _governed(bare_words(match["what"]), lexicon, "", explicit=not once or standing)
        yield from _left_out(bare, lexicon, explicit=not once or standing)
        return
    match = _DO.match(bare)
    if match is None:
        return
    generic = _GENERIC.search(match["what"]) is not None
    task = (
        match["verb"] in _TASKS and not standing and not (generic and not once and match["verb"] not in ("put", "turn"))
    )
    explicit = standing or (not task and not once and not _MILD.search(bare))
    yield from _governed(bare_words(match["what"]), lexicon, match["verb"], explicit=explicit)
    yield from _left_out(bare, lexicon, explicit=explicit)


def _fits(place: Place, bare: str) -> bool:
    return not place.term.unsure or bare.startswith(("use ", "in "))


def _governed(words: Sequence[str], lexicon: Lexicon, verb: str, *, explicit: bool) -> Iterator[Asked]:
    """Terms at the beginning, and those that a preposition leads in: `in a table`, `as bullet points`."""
    at, open_, found = 0, verb not in _MAKES, False
    stop = next(
        (n for n, word in enumerate(words) if word in ("without", "not", "no", "minus", "instead", "unless")),
        len(words),
    )
    words = words[:stop]
    while at < len(words):
        place = lexicon.at(words, at, "like", _ALL) if open_ else None
        if place is not None and _tells(place, words, verb):
            yield Asked(place.term.facet, place.term.value, "like", explicit)
            at, found = place.end, True
            open_ = at < len(words) and words[at] in ("and", "or", "with", "plus", "in", "as", "using")
            at += at < len(words) and words[at] in ("and", "or", "with", "plus")
            continue
        word = words[at]
        if found and word in ("for", "when", "about", "on", "of", "to"):
            return
        open_ = (open_ and word in _PASSED) or word in ("in", "as", "with", "using", "into", "like", "through", "via")
        at += 1


def _tells(place: Place, words: Sequence[str], verb: str) -> bool:
    """Whether a term there is about the answer, and no part of what is asked about."""
    facet, after = place.term.facet, words[place.end : place.end + 1]
    if words[place.first : place.end] == ["example"]:
        return False
    if facet == "expertise":
        return verb in ("treat", "assume", "talk", "explain", "speak", "skip")
    if place.term.unsure and verb not in ("use", "code", "write", "stick", "do"):
        return False
    if facet in ("tone", "format") and place.end - place.first == 1 and after and after[0] not in _PASSED | _JOINS:
        return False
    if after and after[0] in ("table", "list", "of") and facet != "length":
        return False
    return not (facet == "format" and place.first > 0 and words[place.first - 1] == "to")


def _left_out(bare: str, lexicon: Lexicon, *, explicit: bool) -> Iterator[Asked]:
    if match := _WITHOUT.search(bare):
        yield from _unwanted(match["what"], lexicon, explicit=explicit, correction=False)
