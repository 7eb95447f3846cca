"""Frames of speech that say of anything whatever that it is a preference, and of which facet. English only.

They are read on one clause in lower case, contractions spoken out. `what` is the value, known or not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from carryover.core.persona import Polarity

_ANSWER = r"(?:answers?|repl(?:y|ies)|responses?|messages?|explanations?|output|summar(?:y|ies)|examples?)"
_LAST = rf"(?:your|the|that|this|my) (?:(?:last|latest|previous|earlier|recent|first|other|whole) )*{_ANSWER}"
_BEFORE = (
    rf"(?:last time|the last time|yesterday|earlier(?: today)?|before|last week|the other day|just now|"
    rf"(?:in|of|from|at the (?:end|start|beginning|top|bottom) of) {_LAST}|"
    r"(?:that )?you (?:gave|used|made|wrote|sent|added|put)(?: me| in| there)*)"
)
_VERY = r"(?:really |quite |so |very |pretty |just |always |exactly |such |especially |actually |all |definitely )*"
_GOOD = (
    rf"(?:{_VERY}(?:worked|works)|{_VERY}helped|(?:was|were|is|are) {_VERY}(?:great|perfect|helpful|useful|clear|nice|"
    r"good|lovely|excellent|handy|spot on|ideal|right|what i (?:wanted|needed)|easy|a (?:big |great |real )?(?:help|"
    r"relief))|made (?:it|that|this|things|everything|me|the [a-z]+)|did the trick|hit the spot|suited me|came in "
    r"handy)"
)
_BAD = (
    rf"{_VERY}(?:got (?:in (?:my|the) way|on my nerves|old)|(?:was|were|is|are|felt|feels?) {_VERY}(?:too much|"
    rf"annoying|"
    r"distracting|unnecessary|unhelpful|confusing|hard|a bit much|not (?:needed|necessary|helpful)|tiring|pointless|"
    r"a distraction|irritating|needless)|(?:annoy|distract|confus|bother|irritat|tir|puzzl)(?:e?d|es?|s)? me|"
    r"(?:put|threw|slowed|wore) me|did not (?:help|add|do)|added nothing|(?:made|makes) (?:it|that|me|things) "
    r"(?:hard|harder|difficult|worse|confusing|lose|cringe|tired|longer|slower|skip))"
)
_GLAD = (
    rf"(?:i {_VERY}(?:liked|loved|enjoyed|appreciated)(?: it when| that| how| when)?|"
    rf"it (?:{_VERY}helped|(?:was|is) {_VERY}(?:nice|good|great|helpful|useful))(?: me)?(?: that| when| how)?|"
    r"(?:thanks|thank you)(?: so much| a lot)? for|glad(?: that)?)"
)
_KEEPS = r"(?:project|setup|set-up|codebase|code base|repo|repository|app|build|deployment|pipeline|cluster|scripts?)"
_CODE = (
    r"(?:(?:all|any|every|the|my|your|our) )*(?:code(?: (?:examples?|samples?|snippets?))?|examples?|snippets?|"
    r"samples|scripts|programs)"
)
_PERIOD = (
    r"(?:weekend|evening|evenings|day|days|afternoon|week|weeks|morning|night|nights|month|year|hours|time|holidays)"
)
_LEVEL = r"(?:someone who is |somebody who is |a person who is |if i (?:were|was|am) |like |to |for )*"


class Frame(NamedTuple):
    """`facet`: what an unknown value belongs to, "" where only its own nouns tell; `by_noun`: these go before.

    `sure`: said outright; `lasting`: only in a sentence that is about more than one answer;
    `known`: only for what a facet knows.
    """

    pattern: re.Pattern[str]
    facet: str
    polarity: Polarity = "like"
    sure: bool = True
    by_noun: bool = False
    lasting: bool = False
    known: bool = False


def _frame(pattern: str, facet: str, polarity: Polarity = "like", **more: bool) -> Frame:
    return Frame(re.compile(pattern), facet, polarity, **more)


# The first that is found, and gives something, counts.
FRAMES: tuple[Frame, ...] = (
    # How an earlier answer was.
    _frame(rf"^(?:all )?(?:the |those |these |your |that )?(?P<what>.{{3,60}}?) {_BEFORE} {_BAD}", "avoid", "avoid",
           sure=False),
    _frame(rf"^{_LAST} (?:had|has|contained|was full of|used) (?:(?:far |way )?too (?:many|much)|so many|so much)"
           r" (?P<what>.+)", "avoid", "avoid"),
    _frame(r"^(?:there (?:were|was|are|is) )?(?:(?:far |way )?too (?:many|much)|so many|all these|all those) "
           rf"(?P<what>.+?)(?: {_BEFORE}| again)$", "avoid", "avoid", sure=False),
    _frame(rf"^{_LAST} (?:with|as|in|that (?:was|had|used)) (?P<what>.{{3,60}}?) {_GOOD}\b", "format", sure=False,
           by_noun=True),
    _frame(rf"^(?:the |your |that |those |these )?(?P<what>.{{3,60}}?) {_BEFORE} {_GOOD}\b", "format", sure=False,
           by_noun=True),
    _frame(rf"^(?:getting|having|receiving|seeing|reading) (?P<what>.{{3,60}}?)(?: {_BEFORE})? {_GOOD}\b", "format",
           sure=False, by_noun=True),
    _frame(rf"{_GLAD} (?:getting|having|receiving|seeing|you (?:used|gave me|wrote|sent)(?: me)?) "
           rf"(?P<what>.+)", "format",
           sure=False, by_noun=True),
    _frame(rf"{_GLAD} (?:the|those|these|all the) (?P<what>.+?) {_BEFORE}$", "format", sure=False, by_noun=True),
    _frame(rf"{_GLAD} (?:you (?:sounded|were|came across as|stayed|kept (?:it|things|your tone))|{_LAST} (?:was|"
           rf"sounded|"
           r"felt|stayed)|being|sounding|your tone was) (?P<what>.+)", "tone", sure=False),
    _frame(rf"^(?:you|{_LAST}|your tone) (?:sounded|were|was|came across as|felt|seemed) (?:a bit |a little |far |way |"
           rf"just |rather )*(?:too|overly) (?P<what>.+?)(?: for (?:my|me).*| there)?$", "tone", "avoid", sure=False),
    _frame(rf"^(?:the|your|that|those|these|this) (?P<what>(?:(?!(?:in|of|on|at)\b)[^ ]+ ){{1,4}}?)(?:really |just "
           rf")?{_GOOD}(?: (?:a lot|me|best part|the best"
           r" part).*)?$", "", sure=False),
    _frame(r"^(?:(?:ah|oh|ugh|hm+|okay|great|wow),? )?(?P<what>[^ ]+(?: [^ ]+){0,4}?),? again(?: and again|, "
           r"really)?$", "", "avoid",
           sure=False),
    _frame(r"^(?:why|what is with|what was with|what is it with|why do i (?:get|see)|must there be|was there a need "
           r"for|who needs) (?:all )?(?:of )?(?:the|those|these|that) (?P<what>.+?)(?: "
           r"again)?$", "avoid", "avoid", sure=False),
    _frame(rf"\bi (?:skipped|scrolled past|ignored|skimmed|stumbled over|tripped over|got lost in|got stuck on|had "
           rf"to (?:skip|scroll past|skim|look past|wade through))(?: over| past)? (?:all |the |those |your "
           rf")*(?P<what>.+?)(?: {_BEFORE})?$",
           "avoid", "avoid", sure=False),
    _frame(rf"^(?:love|loved|nice|great|lovely|good)(?: work on)? (?:the |those |that |your )?(?P<what>.+?)(?: "
           rf"{_BEFORE})?$", "", sure=False),
    _frame(rf"\bi {_VERY}(?:liked|loved|enjoyed|appreciated) (?:the|your|those|these) (?P<what>.+)", "", sure=False),
    _frame(r"\b(?:i (?:liked|loved|enjoyed|appreciated) )?how (?P<what>(?!much|many|long|well|often|to\b)[^ ]+(?: "
           r"and [^ ]+)?) (?:you|your (?:answer|reply|tone|response)) (?:were|was|sounded|came across|are|"
           r"sound)\b", "tone", sure=False),
    _frame(r"^you (?:sounded|came across as)(?: so| very| really| nicely| wonderfully)? (?P<what>[^ ]+(?: [^ "
           r"]+){0,3}?) (?:yesterday|last time|last week|earlier|the other day|before)\b.*$", "tone", sure=False),
    # Tone.
    _frame(r"^(?:drop|lose|stop|skip|no more of|enough of|avoid|ditch|i (?:do not (?:like|want|need)|dislike|hate|"
           r"cannot stand|could do without)) (?:the|that|your|this|with the|with that|an?) (?P<what>.{3,40}?) "
           r"(?:tone|voice|manner|register|attitude)\b",
           "tone", "avoid"),
    _frame(r"^(?:use|adopt|take|keep|keep to|strike|go for|speak|talk|write|answer|reply|i (?:want|prefer|like|need|"
           r"would (?:like|prefer|love)|asked for))(?: to me| me| it| everything| things)*(?: in| with| using)? "
           r"(?:an?|the|your) (?P<what>.{3,40}?) (?:tone|voice|manner|register|attitude)\b", "tone"),
    _frame(r"^(?:an?|the) (?P<what>.{3,40}?) (?:tone|voice|manner|register|attitude)(?: of voice)? (?:is|works|suits|"
           r"helps|would be|feels|does)\b(?! not\b)", "tone"),
    _frame(r"\b(?:i would rather you (?:were|did) not|i (?:do not like|hate|dislike|cannot stand|mind) (?:it "
           r")?(?:when|if) you(?: are| get| sound| act)?|it (?:annoys|bothers|irritates) me when you(?: are| get| "
           r"sound| act)|i do not want you (?:to be|to sound|being)) (?:so |too |all |this )?(?P<what>(?!do |give |"
           r"use |write |include |add |put |start |make |ask |tell |say |keep )[^ ]+(?: [^ "
           r"]+){0,4})$", "tone", "avoid"),
    _frame(r"\bi (?:like|love|prefer|enjoy|appreciate) (?:it )?(?:when|if) you (?:are|sound|stay|act|talk|speak|come "
           r"across as) (?P<what>.+)", "tone"),
    _frame(r"^(?:speak|talk|write|answer|reply)(?: to me| me)? (?P<what>like an? "
           r".+)", "tone", lasting=True),    _frame(r"\b(?:i |me )?(?:do not (?:like|want|need|use)|hate|dislike|"
           r"cannot stand|no|avoid) (?:an? |the |your )?(?:tone|voice|manner) (?:that|which) (?:is|sounds|feels) "
           r"(?P<what>.+)", "tone", "avoid"),
    _frame(r"\b(?:tone|voice|manner|style)(?: of voice)? (?:that|which) (?:is|sounds|feels) (?P<what>.+)", "tone"),
    _frame(r"\b(?:keep|make|want|like|prefer|set|have|hold) (?:your|the) (?:tone|voice|manner|tone of voice|"
           r"way of (?:talking|writing|speaking))(?: of your answers)?(?: to (?:be|sound|stay))? (?P<what>.+)", "tone"),
    _frame(r"\byour (?:tone|voice|manner|tone of voice|way of (?:talking|writing)) (?:should|must|can|could|ought to|"
           r"needs to|has to) (?:always )?(?:be|sound|stay|feel) (?P<what>.+)", "tone"),
    _frame(r"^(?:do not|never|stop|quit)(?: ever)? (?:be|being|sound|sounding|act|acting|get|getting)(?: so| such "
           r"an?| too| overly| all)? (?P<what>(?!(?:sorry|shy|afraid|silly|scared|surprised|mad|angry|at|in|"
           r"on)\b).+)", "tone", "avoid"),
    _frame(r"^(?:i would like you to |i want you to )?(?:be|sound|stay|act|come across as|talk) "
           r"(?P<what>(?!.*\b(?:in|about)\b).+?) (?:with me|to me|when (?:you|we|talking|answering|speaking)\b.*|in "
           r"your .*|towards me)$", "tone"),
    _frame(r"^(?:sound|come across as|be) (?P<what>.+)$", "tone", lasting=True),
    _frame(r"^(?:i (?:would like|want|need|prefer|would prefer) you to|let your tone|let your voice) (?:be|sound|"
           r"stay|act) (?P<what>.+)", "tone"),
    # Who the user is.
    _frame(r"^i am (?P<what>an? .+)", "expertise", lasting=True),
    _frame(rf"\b(?:treat|see|regard|think of|address|picture|consider|take) me (?:as|like) "
           rf"{_LEVEL}(?P<what>.+)", "expertise"),
    _frame(rf"\b(?:explain|describe|phrase|pitch|aim|write) (?:things|everything|your answers|it all|answers)"
           rf"(?: to me)? (?:as (?:for|to|if)|for|at|like i am) {_LEVEL}(?P<what>.+)", "expertise"),
    _frame(r"\bi (?:happen to be|earn my living as|make my living as|make a living as|trained as|have trained as|"
           r"qualified as|have worked for [a-z ]{2,20} as|spent my (?:career|life|working life) as|serve as|am "
           r"employed as|retired as|have always been) (?P<what>an? .+)", "expertise"),
    _frame(r"^(?:answer|explain|talk|write|speak|put things|put it)(?: to me| things| everything)? (?:as|like|the "
           r"way|how) (?:you would|"
           rf"if|one would)(?: do| speak| talk| explain)? (?:to|for|with) {_LEVEL}(?P<what>.+)", "expertise"),
    _frame(r"\b(?:in|with|given|from) my (?:job|work|role|background|experience|daily work|day job|life|position|"
           r"line of work|training) (?:as|being) (?P<what>an? [^,]+)(?:,|$)", "expertise", sure=False),
    _frame(r"\b(?:for|to|with) (?P<what>an? [^,]+?) like (?:me|myself)\b", "expertise", sure=False),
    _frame(r"\bmy (?:level|knowledge|background|profession|trade|occupation|calling) is (?:that of |the one of |"
           r"roughly |about )*(?P<what>an? .+)", "expertise"),
    _frame(r"^(?:working|coming at this|writing|asking|looking at this) as (?P<what>an? .+)", "expertise", sure=False),
    _frame(r"^(?:speaking )?(?:as|being) (?P<what>(?:an?|someone|somebody) .+)", "expertise", sure=False),
    # What they are interested in, and what not.
    _frame(r"\b(?:assume|expect|take it|figure|suppose|you can assume)(?: that)? (?:most of |all of |all )?my "
           r"questions (?:are|will be|concern|deal with)(?: about| on)? (?P<what>.+)", "domain"),
    _frame(r"\b(?:most|many|all|nearly all|half)(?: of)? (?:my questions|what i ask)(?: here)? (?:are|is|will be|"
           r"concern)(?: about| on)? (?P<what>.+)", "domain"),
    _frame(r"\bi (?:am|have (?:always|long) been) (?:mostly |mainly |really |most |primarily |chiefly |very |"
           r"particularly |especially |only |always |deeply |quite |super |also |so |most of all )*(?:interested in|"
           r"fascinated by|curious about|keen on|passionate about|an expert in|specializing in|specialising in) "
           r"(?P<what>(?!(?:[a-z]+ing|knowing) ).+)", "domain"),
    _frame(r"\bi (?:mostly|mainly|usually|often|always|keep|tend to|like to|love to|will mostly|will mainly|will "
           r"usually) (?:ask(?:ing)?|read(?:ing)?|talk|write|think|chat|come to you|come here|discuss|study|"
           r"learn)(?: you| with you)?(?: questions)? (?:about|on|for help with|with questions about) "
           r"(?P<what>.+)", "domain"),
    _frame(r"\b(?:i|we) (?:study|am studying|specialize in|specialise in|do research (?:on|in)|research|have a "
           r"degree in|majored in|wrote my thesis on|read (?:a lot|everything|much|a great deal) (?:about|on)|teach "
           r"myself|have a passion for|collect [a-z]+ on) (?P<what>.+)", "domain"),
    _frame(r"\b(?:what i (?:mostly |mainly |usually |really )?(?:ask|care|read|talk|want to talk|like to talk|want "
           r"to (?:ask|know|hear))(?: (?:you|most))? about|(?:our (?:talks|chats|conversations)|these (?:talks|chats|"
           r"conversations)|my questions|my requests) (?:will (?:mostly |mainly |usually )?(?:be|revolve|circle|"
           r"turn)|are (?:mostly|mainly|usually|always|nearly all)|(?:mostly |mainly )?(?:concern|revolve|circle|"
           r"turn|deal))) ?(?:is|are|about|around|on|with)? (?P<what>.+)", "domain"),
    _frame(r"\bmy (?:main |biggest |chief |great |big )*(?:interests?|subject|field|area|speciality|specialty|focus|"
           r"passion|topic|hobby|thing|pet topic|favou?rite (?:subject|topic|field)|line of work|work|research|"
           r"studies|major|thesis|degree)(?: of (?:study|interest|work|expertise|choice))? (?:is|are|lies in|lie in|"
           r"is in|is about|is on|has always been|revolves around|concerns) (?P<what>.+)", "domain"),
    _frame(r"^(?:do not|never|stop|no more|please do not|i do not want you to|quit)(?: ever)? (?:bring(?:ing)? up|"
           r"mention(?:ing)?|talk(?:ing)? about|discuss(?:ing)?|get(?:ting)? into|go(?:ing)? into|start(?:ing)? on|"
           r"bring(?:ing)? in|talk(?:ing)? to me about) (?P<what>.+)", "domain", "avoid"),
    _frame(r"\bi (?:do not (?:really )?care(?: much| at all)? (?:about|for)|do not (?:want|need|wish|like) to "
           r"(?:hear|read|talk|know|learn)(?: anything| more)? about|would rather not (?:talk|hear|read) about) "
           r"(?P<what>.+)", "domain", "avoid"),
    _frame(r"^(?:let us not|no more|nothing|not another word|please nothing) (?:talk |more |speak )?(?:about|on) "
           r"(?P<what>.+)", "domain",
           "avoid"),
    _frame(r"^(?P<what>(?!(?:it|this|that|he|she|they|you|everything|nothing|which|what)\b).{3,50}?) (?:really |just "
           r"|always |simply )?(?:leaves? me cold|does nothing for me|do nothing for me|puts? me to sleep|(?:is|are) "
           r"of no interest(?: to me)?|(?:do|does) not interest me)\b", "domain", "avoid"),
    _frame(r"^(?P<what>(?!(?:it|this|that|he|she|they|you|everything|what|which|there)\b).{3,50}?) (?:really |just |"
           r"always |simply )?(?:fascinates?|interests?|intrigues?) me\b", "domain"),
    _frame(r"^(?P<what>(?!(?:it|this|that|he|she|they|you|everything|what|which|there|my|our)\b).{3,50}?) (?:is|are) "
           r"(?:really |also |still )?(?:my (?:main |biggest |big |chief |great )?(?:interest|interests|field|"
           r"subject|topic|specialty|speciality|passion|hobby|area)|what (?:interests me|i (?:care about|am "
           r"interested in|mostly ask about|work on|do|study|like to talk about))|close to my heart)\b", "domain"),
    _frame(r"\b(?:i (?:care (?:a lot |deeply |most |mostly )?about|am here (?:for|to talk about)|mostly come here "
           r"for|devote my [a-z]+ to|follow(?=.*\bclosely\b)|keep coming back to|spend (?:most of )?my (?:free |"
           r"spare )?(?:time|evenings|weekends|days) (?:on|with)|have a (?:keen|great|strong|deep|lasting|"
           r"long-standing) interest in)|my (?:interests|heart|main interest) (?:lies?|is|are) (?:in|with)|what "
           r"(?:interests me|i care about)(?: most)? is|i (?:will|am going to) (?:mostly |mainly |usually )?(?:ask|"
           r"be asking)(?: you)?(?: mostly| mainly)?(?: questions)? about) (?P<what>.+)", "domain"),
    _frame(r"\bi (?:picked up|bought|read|finished|started|found|watched|heard|saw|listened to|borrowed|ordered|"
           r"attended|went to|signed up for|enrolled in|took|am taking|am reading|was at|visited|subscribed to)(?: "
           r"yet)? (?:another |a |an |the |this |some |two )?(?:(?:new|great|good|long|old|whole|interesting|online|"
           r"evening) )*(?:books?|articles?|papers?|documentary|documentaries|podcasts?|lectures?|talks?|courses?|"
           r"class|classes|magazine|blog|exhibition|museum|video|videos|film|seminar|workshop|newsletter) (?:about|"
           r"on|of|in) (?P<what>.+)", "domain", sure=False),
    _frame(r"\bi (?:have been|was|am|got|went|kept|keep|stayed up)(?: just| still| all [a-z]+| late| up late| deep| "
           r"lost| caught up| busy| totally| again)* (?:digging into|diving into|deep into|deep in|lost in|busy with|"
           r"absorbed in|caught up in|buried in|down the rabbit hole of|up late with|playing with|tinkering with) "
           r"(?P<what>.+)", "domain", sure=False),
    _frame(r"^(?:back to|so,? back to|let us get back to|returning to|on to|about) (?P<what>[^ ]+(?: [^ ]+){0,3}) "
           r"(?:again|then|once more)$",
           "domain", sure=False),
    _frame(r"^(?:leave|keep) (?P<what>.+?) out of (?:it|this|things|your answers|our (?:talks|chats|conversations))$",
           "domain", "avoid"),
    _frame(r"\bi (?:am|was never|have never been) (?:really |at all |just |simply )*(?:not )?(?:really |at all |very |"
           r"particularly |that )*(?<!am )(?:interested in|curious about) (?P<what>.+)", "domain", "avoid"),
    _frame(r"\bi could not care less about (?P<what>.+)", "domain", "avoid"),
    _frame(r"^(?P<what>(?!(?:it|this|that|he|she|they|you|everything|nothing)\b).{3,50}?) (?:really |just |always "
           r")?bores? me\b",
           "domain", "avoid"),
    _frame(r"\bi (?:was|have been|am|spent [a-z ]{2,20}|kept|keep) (?:just |still |busy )?(?:reading|watching|"
           r"listening to)(?: (?:up|more|a lot|a book|an article|articles|books|a podcast|videos|something))* "
           r"(?:about|on) (?P<what>.+)", "domain", sure=False),
    _frame(r"\bi (?:spent|spend|have spent|was spending|lost) (?:(?:the|my|all|a|most of|half|whole|entire|lot of|last|"
           rf"many|every|some) )*{_PERIOD}(?: (?:long|again|last))* (?:on|with|with my|reading about|reading up on|"
           rf"into) "
           r"(?P<what>.+)", "domain", sure=False),
    _frame(r"\b(?:another|one more|yet another|a quick|next|a new|one last|my next) (?P<what>[a-z][a-z -]{2,40}?) "
           r"(?:question|puzzle|query)\b", "domain", sure=False),
    _frame(r"\b(?:another|one more|yet another|a|an|my|my next|next|now (?:a|for a)) (?:quick |new |last |small |"
           r"little |short |simple )?(?:question|one|puzzle|query) (?:about|on|concerning|regarding|from the "
           r"(?:field|world) of) (?P<what>.+)",
           "domain", sure=False),
    # What they work with.
    _frame(rf"^(?:use|stick (?:to|with)|write in|prefer|go with|keep to|choose|i (?:want|prefer|would like|need)|"
           rf"give me|show me|do)(?: me)? (?P<what>[^ ]+(?: [^ ]+){{0,3}}?) (?:for|in) {_CODE}\b", "stack"),
    _frame(rf"^(?:write|show|give(?: me)?|do|keep|put|i (?:want|prefer|would like|need)) {_CODE} (?:in|with|using) "
           r"(?P<what>.+)", "stack"),
    _frame(r"^(?:i|we) (?:mostly |mainly |only |usually |always )?(?:code|program|develop|script|(?:run|write|build|"
           r"do) (?:everything|all my code|most things|all my projects|my code)) (?:on|in|with|using) "
           r"(?P<what>.+)", "stack"),
    _frame(r"^(?:i|we) (?:mostly |mainly |only |always )?use (?P<what>.+?) for (?:everything|all (?:of )?my (?:code|"
           r"projects|work|programs)|most things|all code|nearly everything)$", "stack"),
    _frame(r"\b(?:my|our) (?:main |preferred |usual |default |primary |go-to |whole )*(?:programming language|"
           r"language|stack|tech stack|framework|database|editor|ide|toolchain|operating system|shell|cloud|build "
           r"tool|backend|toolkit) (?:of choice )?(?:is|are|will be) (?:all |written |built )?(?:in |on |with "
           r")?(?P<what>(?!not\b|in\b).+)", "stack"),
    _frame(r"\b(?:my|our) (?:code|codebase|scripts|programs|projects|apps|services) (?:is|are) (?:all |mostly |"
           r"mainly |only )?(?:written |built |done )?in (?P<what>.+)", "stack"),
    _frame(r"^(?P<what>[^ ]+(?: [^ ]+){0,3}?) is (?:my|our) (?:main |preferred |usual |default |primary "
           r")*(?:programming language|language|stack|tech stack|framework|database|editor|ide|toolchain|operating "
           r"system|shell|tool)\b", "stack"),
    _frame(r"^(?:assume|you can assume|expect)(?: that)? (?:i|we) (?:am using|are using|use|work with|work in|code "
           r"in|am on|run) (?P<what>[^ ]+(?: [^ ]+){0,3}?)(?: for (?:code|coding|everything|examples)| unless .*| "
           r"when .*)?$", "stack"),
    _frame(r"^(?:assume|you can assume|expect|default to) (?P<what>[^ ]+(?: [^ ]+){0,3}?)(?: unless .*| when "
           r".*)?$", "stack",
           known=True),
    _frame(r"\b(?:everything|all) (?:here|we have|i (?:have|write|build|do)|we (?:write|build|do)|at work) (?:is|"
           r"runs) (?:written |built |done )?(?:in|on|with) (?P<what>.+)", "stack"),
    _frame(rf"^{_CODE} (?:should|must|has to|have to|need to|needs to) (?:always )?(?:be|use|run on) (?:in |with )?"
           r"(?P<what>.+)", "stack"),
    _frame(r"\b(?:my|our) (?P<what>(?!(?:last|first|next|new|old|current|whole|side|own|other|little|big|small|"
           r"school|home|final|main|personal|team|existing|legacy|production|local|staging|entire|test|same|latest|"
           r"specific|demo)\b)"
           rf"[^ ']+(?: [^ ']+)?) {_KEEPS}\b(?!')", "stack", sure=False),
    _frame(r"\b(?:do|solve|write|build|handle|implement|achieve|set up|run|test) (?:that|this|it|these) (?:with|in|"
           r"using|on) (?P<what>.+)", "stack", sure=False),
    _frame(r"\b(?:nothing but|only|just|endless|constant) (?:trouble|problems|grief|headaches|pain|issues) with "
           r"(?P<what>.+)", "stack", "avoid", sure=False),
    _frame(r"^(?:do not|never|stop) (?:suggest|recommend|propose|push|offer|suggesting|recommending|proposing)(?: me)? "
           r"(?P<what>.+)", "stack", "avoid"),
    _frame(r"\bi (?:do not|never|will not|no longer|refuse to) (?:really )?(?:use|touch|code in|work with|write|work "
           r"in) (?P<what>.+?)(?: any ?more)?$", "stack", "avoid"),
    _frame(r"^(?:i do not want|keep|no more) (?P<what>[^ ]+(?: [^ ]+){0,3}?) (?:in|near|away from|out of) (?:my|our) "
           r"(?:code|codebase|project|projects|stack|repo)\b", "stack", "avoid"),
    _frame(r"\b(?:i|we) (?:was|were|am|are|have been|had been|just|finally|spent [a-z ]{2,20}) (?:debugging|porting|"
           r"compiling|deploying|refactoring|upgrading|installing|configuring|setting up|rewriting|packaging|"
           r"building|testing|writing|running|learning)(?: (?:an?|the|some|our|my|this))? (?P<what>[^ ]+(?: [^ "
           r"]+)?)(?: (?:code|scripts?|service|server|builds?|tests?|program|module|plugin|library|function|class|"
           r"job|query|queries|container|app|project))?(?: (?:today|again|all day|yesterday|this|last|at work|"
           r"for)\b.*)?$", "stack", sure=False),
    # How answers are to be.
    _frame(r"^(?:(?:keep|hold|limit|cap|restrict|cut|trim|confine) (?:it|things|everything|answers?|your (?:answers?|"
           r"replies|responses)|yourself|replies|responses|each answer|every answer|all answers)(?: down)? (?:to|at|"
           r"within|under|below|around|near) (?:about |at most |roughly |no more than )?|aim for |stay (?:within|"
           r"under|below|near|around) |(?:no|not) (?:more|longer) than |at most |do not (?:exceed|go (?:over|beyond|"
           r"past)|write more than) )(?P<what>.+)", "length"),
    _frame(r"^(?P<what>[^ ]+(?: [^ ]+){0,9}?) (?:at most|at the most|or less|max|maximum|tops|is the limit|is (?:the "
           r"right|a good|my favou?rite|the best|the ideal) length|(?:is|are) all i (?:read|need|want|have time for)|"
           r"(?:will|would) do|(?:is|are) (?:enough|plenty|ideal|best)(?: for me)?|would be (?:nice|great|fine|"
           r"perfect)|suffices?|is sufficient|are sufficient)$", "", by_noun=True),
    _frame(r"\bi (?:only |usually |mostly )?(?:read|have time for|can take in|want to read|have patience for)(?: "
           r"only)? (?:at most |about )?(?P<what>.+?)(?: only| at most)?$", "", by_noun=True),
    _frame(r"\bmy (?:preferred|favou?rite|ideal|default) (?:format|layout|form|length|answer length|style of answer|"
           r"kind of answer|way to read)(?: for answers)? (?:is|are|would be) (?P<what>.+)", "format", by_noun=True),
    _frame(r"^(?P<what>.{3,60}?) (?:is|are) (?:the|my) (?:format|layout|form|way)(?: that)? (?:i (?:like|prefer|want|"
           r"find)|for me)\b.*",
           "format", by_noun=True),
    _frame(rf"^(?:put|lay|set|format|structure|arrange|organi[sz]e|present|deliver|shape)(?: out)? (?:things|"
           rf"everything|{_ANSWER}|your {_ANSWER}|all {_ANSWER}|all your {_ANSWER})(?: out)? (?:as|in|into|with|like|"
           rf"in the form of) (?P<what>.+)", "format", by_noun=True),
    _frame(r"\bi (?:find|follow|read|absorb|digest|understand|remember|take in|get on|do|work|learn|think) "
           r"(?:(?:things|best|better|well|most|more|easily|everything|a lot) )*(?:when (?:it is|they are|things are|"
           r"you use|i get|given|written)|with|from|through|as|in) (?:given |written |put |laid out )?(?:as |in |"
           r"with )?(?P<what>.+?)(?: best| better| most easily)?$", "", by_noun=True),    _frame(rf"^(?:use|try|"
           rf"include|add|put|have|i (?:want|would like|prefer|like|need)) (?P<what>.+?) in (?:all |every |each |any "
           rf"(?:of )?)?(?:of )?(?:your|my|the|all|every|each)? ?{_ANSWER}$", "format", by_noun=True),
    _frame(r"^(?:answer|reply|respond|explain(?: things)?|write|structure|format|present|lay out|deliver|give me)"
           rf"(?: me| it| things| everything| your {_ANSWER}| all {_ANSWER}| {_ANSWER})* (?:with|in|as|using|through|"
           rf"by|in "
           r"the form of) (?P<what>.+)", "format", by_noun=True, lasting=True),
    _frame(r"^(?:(?:i (?:would like|want|need) you to )?(?:give me|send me|show me|stick (?:to|with)|keep to|go "
           r"(?:with|for|back to)|switch to|change to|use (?=.*\b(?:answers?|whenever)\b))|i (?:asked|was asking)(?: "
           r"you)? for|i (?:would (?:like|love|prefer|appreciate|rather have)|want|need|expect)(?: to (?:get|have|"
           r"see|receive))?(?! you\b)) (?P<what>.+)", "format", by_noun=True, lasting=True),
    _frame(r"^(?:give me|use|write|show me|do|make|send me|i (?:would like|want)) (?P<what>.+?) (?:again|once more|"
           r"like (?:last time|before)|as before)$", "format", sure=False, by_noun=True),
    _frame(r"^(?:i (?:would (?:like|love|prefer|appreciate|rather have)|want|need|expect|asked for|prefer)"
           r"(?: to (?:get|have|see|receive))?(?! you\b)|(?:i (?:would like|want|need) you to )?(?:use|give me|write|"
           r"send me|show me|stick (?:to|with)|switch to|change to|keep (?:it |everything |your answers |answers "
           r")?to|go (?:with|for)|default to|limit (?:yourself|it|answers|your answers) to)) "
           r"(?P<what>.+)", "", by_noun=True),
    # What is not to be in them.
    _frame(r"^(?:do not|never|please do not|please never)(?: ever)? (?:use|give me|include|add|write|put in|insert|"
           r"send me|start with|open with|end with|close with|show me|fall back on|resort to|make|bother (?:me "
           r")?with|throw in|slip in|offer(?: me)?) (?P<what>.+)", "avoid", "avoid"),
    _frame(r"^(?:no more|no|without|skip|drop|avoid|leave out|cut|cut out|spare me|enough (?:of|with)|lay off|"
           r"stop (?:with|using|giving me|adding|including|writing|making|it with)|quit (?:with|using)|refrain from|"
           r"omit|lose) (?P<what>.+)", "avoid", "avoid"),
    _frame(r"^(?:i do not (?:want|need)(?: to see)?|i would rather not (?:see|have|read|get)|i can (?:live|do) "
           r"without|you can (?:drop|leave out|spare me)|there is no need for|no need for|kill|hold|keep out|hold "
           r"back on|go easy on|i am (?:so )?(?:tired|sick|weary) of) (?:any |all |the |those |these |your |of "
           r")*(?P<what>.+?)(?: to yourself)?$", "avoid", "avoid"),
    _frame(r"^(?:leave|keep|cut) (?:the |any |all |your |those )*(?P<what>.+?) (?:out|away|to yourself|to a minimum|"
           r"out of your answers|off)$",
           "avoid", "avoid"),
    _frame(r"^(?:the |your |all the |any |those )?(?P<what>[^ ]+(?: [^ ]+){0,4}?) (?:(?:is|are) (?:really |just |"
           r"simply |quite )?(?:not (?:needed|necessary|wanted|welcome|required|helpful|useful)|unnecessary|"
           r"superfluous|unwanted|pointless|a (?:waste|distraction)|wasted)|adds? nothing|(?:do|does) not (?:help|"
           r"add anything|belong)|should go|(?:has|have) to go|must go|can go|are out|gets? in (?:the|my) way|gets? "
           r"on my nerves)\b.*", "avoid", "avoid"),
    _frame(r"^(?:again|still|yet again|not again|more)[,:]? (?:with |the |those |these |all )*(?P<what>.+?)(?: "
           r"again)?$", "", "avoid"),
)  # fmt: skip

# What stands before a request and says nothing of what is wanted.
OPENING = re.compile(
    r"^(?:(?:ok(?:ay)?|so|and|also|but|please|pls|kindly|just|oh|hey|hi|well|now|actually|sorry|honestly|no(?=,)|"
    r"from (?:now|here) on(?: out)?|going forward|in (?:the )?future|by default|in general|generally|as a rule|always|"
    r"(?:can|could|would|will) you(?: please| always)*|again(?=[,:])|for the record|to be clear|one thing|"
    r"(?:keep in mind|remember|note|bear in mind|be aware|know|i told you|i said|as i said|i have said|i mentioned|i "
    r"meant|like i said)(?: before| already| earlier| twice)?(?: that| is)?|(?:that|this) is not (?:what|the "
    r"[a-z]+(?: that)?) i (?:wanted|asked for|meant|need|like)|you got (?:that|it|my [a-z]+|this) wrong|make sure "
    r"(?:to|that you)|be sure to|remember to|try to|i asked (?:you )?(?:for|to)(?= an? (?:tone|voice)))\b[,:.! -]*)+"
)
POLITELY = re.compile(r"(?:,? (?:please|pls|thanks|thank you|thx|okay|ok|will you|would you|for once))+$")
# What stands behind a value and does not belong to it.
CLOSING = re.compile(
    r"(?:,? ?\b(?:please|pls|by default|from now on|from here on|always|instead|again|as usual|as before|whenever "
    r"(?:you|it) (?:can|fits|makes sense|is possible)|where(?:ver)? (?:you can|possible|it fits|it makes sense)|when "
    r"(?:you|i) [a-z]+(?: [a-z]+){0,3}|with me|to me|for me|here|there|then|too|as well|every time|each time|at all "
    r"times|in general|"
    rf"(?:in|for|of|at|with) (?:all |any |every |each )?(?:your|my|the|all|every|each|future|our) ?(?:last |future "
    rf")?{_ANSWER}|"
    r"for (?:everything|all of this|my questions|now)|last (?:time|night|week|month)|yesterday|this (?:morning|week|"
    r"evening|weekend|afternoon)|today|lately|recently|these days|the other day|all day|unless i [a-z ]+|for my taste|"
    r"to be honest|if (?:you can|possible)|thanks|thank you|ever|ever again|any ?more|at all|okay|ok|myself|"
    r"on (?:every|each|any) occasion|for you|for a change|tonight|as (?:your|my|the) default|until i [a-z ]+|"
    r"(?:will|would|can|could) you|a lot|so (?:much|often)|the whole time|on the side|in particular))+$"
)
