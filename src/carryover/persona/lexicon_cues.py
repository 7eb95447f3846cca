"""How people say what they like and what they do not: the patterns, apart from what is done with them. English only.

They are read on one clause in lower case, contractions spoken out, of at most a few hundred characters. In a pattern,
`what` is what it is said of, and `rival` what that is preferred to.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from carryover.core.persona import Polarity

_ADV = (
    r"(?:(?:really|only|strongly|absolutely|just|usually|always|generally|personally|do|also|still|definitely|"
    r"honestly|"
    r"actually|deeply|greatly|truly|kind of|kinda|sort of|very much|much|totally|genuinely|quite|rather|especially|"
    r"particularly|simply|completely|intensely|secretly|typically|normally|often|mostly|mainly|adamantly|strictly|"
    r"utterly|very|so|too|pretty|even|now|currently|tend to|try to|almost|basically|truthfully|certainly|severely|"
    r"extremely|super|highly|deathly|firmly|fairly|all|at times|sometimes|somewhat|frankly|have always|will always|"
    r"wholly|fully|increasingly|all that|particularly|that|overly|exactly|necessarily|the biggest) )*"
)
_I = r"\b(?:i|we) "
_WHAT = r"(?P<what>.+)"
# What people do with things by habit: "I never eat", "I only buy".
_HABIT = (
    r"(?:eat|drink|consume|wear|buy|purchase|watch|read|listen to|use|play|order|drive|fly|fly with|ride|"
    r"stay at|stay in|"
    r"book|attend|visit|travel|travel by|take|feed|adopt|follow|cook|cook with|work with|write|write in|code in|"
    r"keep|own|"
    r"go to|shop at|shop for|touch|do|choose|pick|support|join|engage with|engage in|participate in|dine at|rent)"
)
_THING = (
    r"(?!(?:i|we|you|it|this|that|he|she|they|can|could|will|would|please|what|how|if|when|so|my|there|here|thanks)\b)"
    r"(?:(?!\b(?:i|you|we|will|can|could|would|should)\b).){3,60}?"
)
_ADJ = r"(?:[a-z-]+ (?:and [a-z-]+ )?){0,2}"


class Cue(NamedTuple):
    """A way to say something. `sure`: said outright; `closed`: it counts only for what a facet knows.

    `topic`: what it is said of may be a topic that the user is interested in.
    """

    pattern: re.Pattern[str]
    polarity: Polarity
    sure: bool = True
    closed: bool = False
    correction: bool = False
    topic: bool = False


def _cue(pattern: str, polarity: Polarity, **more: bool) -> Cue:
    return Cue(re.compile(pattern), polarity, **more)


# The first that is found in a clause counts: what turns a meaning round stands before what it turns.
CUES: tuple[Cue, ...] = (
    # Twice no is a weak yes; and some idioms say the contrary of their words.
    _cue(rf"{_I}(?:cannot|could not|can never|could never) (?:get enough of|live without|do without|resist|"
        rf"go without) {_WHAT}", "like", topic=True),
    _cue(rf"{_I}(?:would not|do not|will not|never) {_ADV}(?:mind|object to|say no to|"
        rf"turn down) {_WHAT}", "like", sure=False),
    _cue(rf"{_I}(?:do not|would not|never) {_ADV}(?:hate|dislike|despise) {_WHAT}", "like", sure=False),
    _cue(rf"{_I}(?:am not|have nothing) {_ADV}(?:against|averse to|opposed to) {_WHAT}", "like", sure=False),
    _cue(rf"{_I}never {_ADV}(?:get tired|tire|get bored) of {_WHAT}", "like"),
    _cue(rf"\b(?:nothing beats|nothing is better than|there is nothing (?:better than|like)|"
        rf"you cannot beat) {_WHAT}", "like"),
    _cue(r"\bgive me (?P<what>.+) (?:any|every) (?:day|time)\b", "like"),
    _cue(rf"\banything but {_WHAT}", "avoid"),
    _cue(rf"{_I}no longer {_ADV}(?:like|love|enjoy|want|need|prefer|{_HABIT}) {_WHAT}", "avoid", correction=True),
    _cue(rf"{_I}(?:have )?(?:stopped|quit|given up|gave up)(?: using| eating| drinking|"
        rf" watching)? {_WHAT}", "avoid", correction=True),
    _cue(r"\b(?:i|we) do not (?:use|eat|drink|like|want|do) (?P<what>.+?) any ?more\b", "avoid", correction=True),
    # Not wanted.
    _cue(rf"{_I}{_ADV}(?:would )?{_ADV}(?:rather|sooner|prefer|prefer to|like to|opt to|"
        rf"choose to) not (?:to )?{_WHAT}", "avoid"),
    _cue(rf"{_I}{_ADV}(?:would )?{_ADV}(?:prefer|rather have|rather see|like) no {_WHAT}", "avoid"),
    _cue(rf"{_I}{_ADV}(?:try|need|have|want|like|tend|prefer|would prefer|would rather|would like|must|"
        rf"aim) ?(?:to )?{_ADV}"
         rf"(?:avoid|avoiding|stay away from|steer clear of|limit|cut down on|cut out|minimize|skip|"
         rf"keep away from) {_WHAT}", "avoid"),
    _cue(rf"{_I}(?:do not|never|cannot) {_ADV}get (?:much|anything|a lot|a thing|any use)(?: useful)? (?:out of|"
         rf"from) {_WHAT}", "avoid", sure=False),
    _cue(rf"{_I}(?:could|can) {_ADV}(?:do|live) without {_WHAT}", "avoid"),
    _cue(rf"{_I}(?:do|did|would|have)? ?(?:not|never) {_ADV}(?:think|"
        rf"believe) (?:that )?i (?:would )?{_ADV}(?:like|enjoy|want|love) {_WHAT}", "avoid"),
    _cue(rf"{_I}{_ADV}(?:do not|never|have never|cannot say i|would not|can hardly say i) {_ADV}(?:like|liked|"
        rf"enjoy|enjoyed|love|loved|care for|cared for|appreciate|"
         rf"fancy|dig|trust|trusted|believe in|get along with|do well with|respond well to|see the point of|"
         rf"rate) {_WHAT}", "avoid"),
    _cue(rf"{_I}(?:do not|never|will not) {_ADV}(?:want|need|wish|expect) (?:to (?:see|get|have|read|"
        rf"hear) )?{_WHAT}", "avoid", closed=True),
    _cue(rf"{_I}am {_ADV}not {_ADV}(?:a |an |much of a )?(?:big |huge |great |real )?(?:fan of|lover of|"
        rf"friend of|fond of|into|keen on|interested in|"
         rf"comfortable with|crazy about|big on|one for|wild about|partial to|happy with|"
         rf"comfortable around) {_WHAT}", "avoid"),
    _cue(r"\bnot (?:really )?(?:a|the biggest) (?:big |huge )?fan of (?P<what>.+)", "avoid"),
    _cue(r"\bi am not (?:really )?an? (?P<what>[a-z-]+(?: [a-z-]+)?) (?:person|lover|guy|gal|drinker|eater|"
        r"fan)\b", "avoid"),
    _cue(rf"{_I}am {_ADV}(?:uninterested in|allergic to|intolerant of|intolerant to|sick of|tired of|"
        rf"fed up with|opposed to|against|averse to|afraid of|"
         rf"scared of|terrified of|uncomfortable (?:with|using|in|around)|bored by|bored of|annoyed by|"
         rf"put off by|sick and tired of|done with|anti) {_WHAT}", "avoid"),
    _cue(rf"{_I}(?:have|had|got) (?:a |an |such a )?{_ADJ}(?:aversion to|aversion for|aversion against|"
        rf"dislike for|dislike of|distaste for|hatred for|hatred of|"
         rf"disdain for|contempt for|allergy to|fear of|phobia of|objection to|objections to|intolerance to|"
         rf"intolerance for|sensitivity to|allergies to|"
         rf"a problem with|trouble with) {_WHAT}", "avoid"),
    _cue(rf"{_I}(?:have|got) (?:absolutely )?(?:no|zero|little|not much|very little) (?:real )?(?:interest in|"
        rf"patience for|patience with|tolerance for|time for|"
         rf"love for|appetite for|desire to|desire for|use for|stomach for) {_WHAT}", "avoid"),
    _cue(r"\b(?:i|we) (?:have|suffer from) (?:a |an )?(?:severe |bad |serious |mild |"
        r"strong )?(?P<what>[a-z-]+(?: (?:and )?[a-z-]+){0,3}?) (?:allergy|allergies|"
         r"intolerance|phobia|sensitivity)\b", "avoid"),
    _cue(r"\bi am (?:severely |very )?(?P<what>lactose|gluten|dairy|histamine|fructose)[ -]intolerant", "avoid"),
    _cue(rf"{_I}(?:cannot|could not|can not|can never|can hardly|can barely) {_ADV}(?:stand|bear|tolerate|"
        rf"stomach|abide|handle|deal with|eat|drink|consume|digest|"
         rf"have|take|put up with|be around) {_WHAT}", "avoid"),
    _cue(rf"{_I}(?:would )?{_ADV}(?:hate|dislike|loathe|detest|despise|abhor|avoid|refuse|refuse to|resent|shun|"
        rf"boycott|steer clear of|stay away from|"
         rf"keep away from|keep clear of|stay clear of|oppose|distrust|dread|cringe at|disapprove of|am against|"
         rf"reject|have it in for) {_WHAT}", "avoid"),
    _cue(rf"{_I}(?:would |will )?{_ADV}(?:do not|will not|would not|cannot|never|would never|will never|rarely|"
        rf"seldom|hardly ever|barely ever|barely|hardly)"
         rf" {_ADV}(?:{_HABIT}|consider|go near|touch|allow|attend) {_WHAT}", "avoid"),
    _cue(rf"{_I}{_ADV}find (?P<what>.+?) (?:to be )?{_ADV}(?:annoying|irritating|boring|distracting|confusing|"
        rf"ineffective|disorienting|distressing|unhelpful|"
         r"useless|tedious|patronizing|condescending|gross|disgusting|overwhelming|exhausting|unpleasant|"
         r"hard to \w+|difficult to \w+|off-putting|cringe|cringey|"
         r"unengaging|demotivating|childish|uncomfortable|stressful|pointless|painful|offensive|too \w+|dull|"
         r"tacky|ugly|unbearable|grating|cheesy|dated|"
         r"monotonous|repetitive|unsettling|intimidating|noisy|creepy|silly)\b", "avoid"),
    _cue(rf"{_I}{_ADV}get {_ADV}(?:sick|nauseous|anxious|uncomfortable|annoyed|bored|headaches|lost|confused|"
        rf"seasick|carsick) (?:from|by|in|with|around|on|of|at|when) {_WHAT}", "avoid"),
    _cue(rf"\bmy (?:biggest |greatest |main )?(?:pet peeve|pet peeves|least favou?rite [a-z ]+?|"
        rf"biggest turn-?off|nightmare|phobia) (?:is|are|has always been) {_WHAT}", "avoid"),
    _cue(rf"^(?P<what>{_THING}) (?:is|are) (?:just |really |simply |definitely |so )?not (?:really |exactly |"
        rf"quite |so much )?(?:my (?:thing|cup of tea|jam|style|bag|kind of [a-z]+)|"
         r"for me|to my (?:taste|liking))\b", "avoid"),
    _cue(rf"^(?P<what>{_THING}) (?:really |just |always |absolutely |totally )?(?:drives?|annoys?|bores?|"
        rf"irritates?|bothers?|bugs?|scares?|terrif(?:y|ies)|stress(?:es)?|distracts?|overwhelms?|"
         r"disgusts?|confuses?|exhausts?|puts?|turns?|frustrates?|freaks?|grates?|makes? me (?:sick|nauseous|"
         r"anxious|uncomfortable|cringe|dizzy|ill|sad|want to)|"
         r"gives? me (?:headaches|a headache|anxiety|the creeps|migraines|hives))(?: (?:on )?me\b|"
         r" on my nerves|$)", "avoid"),
    _cue(rf"^(?P<what>{_THING}) (?:really |just )?(?:do|does) not (?:really )?(?:work|do it|do anything|do much|"
        rf"interest|appeal|agree|suit|sit well)(?: (?:for|to|with))? me\b", "avoid"),
    _cue(r"^(?P<what>.{3,60}?),? no,? (?:thanks|thank you)$|^no,? (?:thanks|thank you),? to (?P<other>.+)", "avoid"),
    # Wanted.
    _cue(rf"{_I}(?:would )?{_ADV}(?:prefer|favou?r|like|love|enjoy|rather have|rather use|rather see|rather|"
        rf"sooner|choose|take|pick|go for|opt for|lean towards?|go with) "
         r"(?P<what>.+?) (?:over|rather than|instead of|more than|better than|than|above|as opposed to|"
         r"in place of|compared to|versus|vs) (?P<rival>.+)", "like"),
    _cue(rf"{_I}(?:would )?{_ADV}prefer (?!to )(?P<what>(?:[\w'#+.-]+ ){{1,4}}?)to "
         r"(?P<rival>(?!\w+(?:i[sz]e|ate|ify|en) |see |use |have |"
        rf"be |do |go |work |read |write |learn |get |help |make |keep |stay |avoid |"
         r"live |explore |eat |buy |drive |travel |watch |play |book |interact |understand |save |ensure |"
         r"track |manage |find |improve |reduce |maintain |handle |create |build |start |know |feel |achieve |"
         r"fully )\w.+)", "like"),
    _cue(rf"{_I}have (?:a |an |such a )?{_ADJ}(?:preference for|soft spot for|weakness for|thing for|love for|"
        rf"love of|fondness for|liking for|taste for|passion for|interest in|"
         rf"obsession with|sweet tooth for) {_WHAT}", "like"),
    _cue(rf"{_I}(?:would )?{_ADV}(?:prefer|favou?r|adore|lean towards?|gravitate towards?|opt for|"
        rf"tend to (?:choose|pick|go for|like)|swear by|stick to|stick with|"
         rf"go for|rather|thrive (?:in|on|with)|crave|cherish|prioriti[sz]e|only want|choose) {_WHAT}", "like"),
    _cue(rf"{_I}would {_ADV}(?:like|love|appreciate|want) {_WHAT}", "like", closed=True),
    _cue(rf"{_I}{_ADV}(?:like|love|enjoy|adore|dig|relish|treasure) {_WHAT}", "like", topic=True),
    _cue(rf"{_I}{_ADV}(?:want|need|appreciate|value|expect) {_WHAT}", "like", closed=True),
    _cue(rf"{_I}am {_ADV}(?:a |an |such a )?(?:big |huge |massive |avid |great |lifelong |die-hard |real |true |"
        rf"strong |firm )?(?:fan|lover|devotee|admirer|enthusiast|supporter|advocate|believer) (?:of|"
        rf"for) {_WHAT}", "like", topic=True),
    _cue(r"\bi am more of an? (?P<what>[a-z-]+(?: [a-z-]+)?) (?:person|guy|gal|lover|drinker|fan)\b", "like"),
    _cue(r"\bi am (?:a |an |such a )?(?:big |huge |total |real |true )?(?P<what>(?!people|good|nice|busy|"
        r"private|very)[a-z-]+(?: [a-z-]+)?) (?:lover|person|enthusiast|fan|addict|fanatic|buff|aficionado|nerd|"
        r"geek|junkie)\b", "like"),
    _cue(rf"{_I}am {_ADV}(?:into|fond of|keen on|passionate about|obsessed with|crazy about|in love with|"
        rf"partial to|hooked on|addicted to|big on|all about|"
         rf"all for|a sucker for|drawn to|mad about|nuts about|only comfortable (?:in|with)|"
         rf"most comfortable with|happiest with) {_WHAT}", "like", topic=True),
    _cue(rf"{_I}{_ADV}(?:learn|work|understand|think|concentrate|perform|study|focus) {_ADV}(?:best|better|well|"
        rf"most) (?:with|through|by|from|in|when i get|when there are|using|via) {_WHAT}", "like"),
    _cue(rf"{_I}(?:will |would )?(?:only|exclusively|strictly|always|usually|mostly|mainly|solely|"
        rf"generally) (?:ever )?{_HABIT} (?:only )?{_WHAT}", "like"),
    _cue(rf"{_I}{_ADV}believe in {_WHAT}", "like"),
    _cue(rf"{_I}{_HABIT} (?:only|exclusively|nothing but) {_WHAT}", "like"),
    _cue(r"\b(?:i|we) (?:strictly |currently )?(?:follow|adhere to|keep|keep to|stick to|observe|maintain|am on|"
        r"eat|have|must follow|need to follow)(?: to)? (?:a |an |my )?(?:strict |mostly |fully |"
        r"medically-prescribed )?"
         r"(?P<what>(?:[a-z-]+ (?:and )?){1,4}?(?:diet|lifestyle))\b", "like"),
    _cue(r"\bi am (?:a |an )?(?:strict |ethical |lifelong |mostly |fully |committed |"
        r"practicing )?(?P<what>vegan|vegetarian|pescatarian|flexitarian|kosher|halal)\b", "like"),
    _cue(rf"{_I}{_ADV}find (?P<what>.+?) (?:to be )?{_ADV}(?:helpful|useful|easy to \w+|easier to \w+|clearer|"
        rf"clearest|best|delightful|relaxing|engaging|effective|fascinating|enjoyable|"
         r"refreshing|fun|soothing|satisfying|charming|delicious|easiest|inspiring|comforting|calming)\b", "like"),
    _cue(rf"\bmy (?:all-time |absolute |personal |current )?favou?rite (?:[a-z-]+ ){{0,3}}?(?:is|are|"
        rf"has always been|will always be|would be) {_WHAT}", "like"),
    _cue(rf"\bmy (?:go-to|passion|preference|preferred [a-z]+|hobby|hobbies|big love)(?: [a-z]+)? (?:is|are|"
        rf"has always been|would be|include) {_WHAT}", "like"),
    _cue(rf"^(?P<what>{_THING}) (?:is|are) (?:just |really |definitely |totally |so |absolutely |"
        rf"still )?(?:my (?:favou?rites?|jam|thing|cup of tea|go-to|passion|weakness|comfort food)|"
        rf"right up my alley|the best|where it is at)\b", "like", topic=True),
    _cue(rf"^(?P<what>{_THING}) (?:is|are) (?:always |more than |perfectly |absolutely |very |much |"
        rf"quite )*(?:enough|plenty|perfect|ideal|welcome|preferred|appreciated)(?: for me| with me|"
        rf" by me)?$", "like", closed=True),
    _cue(rf"^(?P<what>{_THING}) (?:matters?|goes a long way|is important|is key)(?: (?:a lot )?(?:to|for|"
        rf"with) me)?$", "like", closed=True),
    _cue(rf"^(?P<what>{_THING}) (?:is|are) (?:really |just |simply )?(?:not (?:necessary|needed|welcome|"
        rf"required|helpful)|unnecessary|unneeded|unwelcome)(?: for me)?$", "avoid", closed=True),
    _cue(rf"^(?P<what>{_THING}) (?:really |just |always )?(?:works? (?:best|well|better|great|wonders) for me|"
        rf"helps? me (?:a lot|understand|learn|focus|think|relax|remember|concentrate|most|the most)|"
        rf"really helps? me|makes? me happy|relaxes me|suits? me|fascinates? me|appeals? to me|calms? me|"
        rf"inspires? me)\b", "like"),
    _cue(rf"\bwhat (?:i|we) {_ADV}(?:like|love|enjoy|prefer|want)(?: most| best| the most)? (?:is|"
        rf"are) {_WHAT}", "like"),
    _cue(rf"\b(?:what|the thing|one thing) (?:i|we) {_ADV}(?:hate|dislike|cannot stand|do not like)(?: most|"
        rf" the most)? (?:is|are) {_WHAT}", "avoid"),
)  # fmt: skip
INTERESTS = re.compile(
    rf"(?<!when )(?<!whenever )(?<!if ){_I}(?:am|have been|will be) {_ADV}(?:interested in|curious about|"
    rf"fascinated by|passionate about|into|learning about|"
    rf"reading (?:up )?(?:on|about)|asking (?:you )?about|studying|working on) {_WHAT}"
    rf"|(?<!when )(?<!whenever )(?<!if ){_I}{_ADV}(?:study|ask(?: you)?(?: a lot)? about|talk about|"
    rf"read (?:a lot )?about|want to learn about) (?P<studied>.+)"
    r"|\b(?:most|many|all|a lot) of my questions (?:are|will be) (?:about|on) (?P<asked>.+)"
    r"|\bmy (?:field|main interest|interests?|area|focus|specialty|speciality|subject|hobby|hobbies|"
    r"passion)(?: of \w+)? (?:is|are|include) (?P<field>.+)"
)
# Before a statement these say that it is not made in earnest, or not by the user.
NOT_MINE = re.compile(
    r"\b(?:if|whether|unless|says?|said|saying|thinks?|thought|told|tells|claims?|claimed|wrote|suppose|"
    r"supposing|imagine|assuming|"
    r"pretend|who|whose|how|why|where|translate|rewrite|rephrase|paraphrase|proofread|sentence|character|"
    r"characters|lyrics|quote|poem|story|"
    r"dialogue|he|she|they|people|customers?|users?|wish|example|phrase|text|email|prompt|message|caption|title|"
    r"until|before)\b"
)
HYPOTHETICAL = re.compile(
    r"\b(?:suppose|supposing|imagine|let us say|what if|hypothetically|pretend (?:that )?(?:i|we|you)|if (?:i|"
    r"we) (?:were|had|liked|loved|hated|wanted|preferred|could|was)|"
    r"would have (?:liked|loved|preferred|hated)|i used to|we used to|role-?play)\b"
)
_ALWAYS = (
    r"from now on|from here on(?: out)?|going forward|moving forward|in (?:the )?future|always|never|in general|"
    r"generally|by default|"
    r"every time|each time|whenever|at all times|as a rule|henceforth|from this point(?: on)?|any time|"
    r"ever again|as a general rule|"
    r"remember(?: that| to|:)?|for good|as (?:your|my|our) default|across all"
)
ALWAYS = re.compile(rf"\b(?:{_ALWAYS})\b,?:?")
STANDING = re.compile(
    rf"\b(?:{_ALWAYS}|(?:in|for|with|to|on) (?:all|every|each|any|your)(?: of)?(?: your| my| our|"
    rf" the)? (?:answers?|repl(?:y|ies)|responses?|"
    r"explanations?|messages?|questions?|conversations?|sessions?|code|examples|outputs?))\b"
)
THIS_ONCE = re.compile(
    r"\b(?:for (?:just )?(?:this|that|the next) (?:one|time|answer|question|reply|message|email|task|case|single|file)|"
    r"(?:just|only) (?:for )?(?:this|now|today|tonight|once)(?! (?:point|on)\b)|(?:this|today|tonight) only|this "
    r"(?:one )?time|for now|for today|for once|only once|(?:in|with) this (?:one )?(?:answer|reply|case|instance)(?: "
    r"only|$)|one-off|as an exception|exceptionally)\b"
)
CORRECTS = re.compile(
    r"^(?:actually|no|nope|wait|sorry|scratch that|on second thought|i (?:have )?changed my mind|i meant|"
    r"correction|again|like i said|as i said|"
    r"i (?:already )?(?:said|told you|asked(?: you)? for|wanted|meant)|i asked)\b"
    r"|\b(?:i (?:have )?changed my mind|on second thought|i (?:already )?told you|as i said|like i said|"
    r"instead of what i said|scratch that|i (?:have )?switched|"
    r"i take (?:it|that) back|i was wrong)\b"
)
ONCE = re.compile(
    r"\b(?:this|that|these|those|here|above|below|following|for now|this time|just once|today|it for|"
    r"my (?:essay|email|code|text|letter|resume|cv|draft|report|function|paragraph|article|post|speech|story|"
    r"poem|notes))\b"
)
A_THING = re.compile(
    r"\b(?:the (?!answers?|tone|repl|responses?|"
    r"explanations?|basics|point|question|code first|same|emojis|jargon|fluff|apologies|disclaimers|bullet|"
    r"short|long|steps|details?|chit|small talk|sugarcoating)"
    r"[a-z]+)\b"
)
