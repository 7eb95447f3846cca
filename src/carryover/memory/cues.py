"""Cues: the turns of phrase that mark a decision, an agreement, and what only looks like a statement.

Those of facts are in `claims`, those of tasks and standing instructions in `wants`. Every pattern is matched against
one sentence of at most `LONGEST` characters, in which quotations are blanked.
"""

from __future__ import annotations

import re

from carryover.memory.cue import any_of

LONGEST = 600

_CHOOSE = (
    r"(?:go(?:ing)? (?:with|for|ahead with)|us(?:e|ing)|stick(?:ing)? (?:with|to)|switch(?:ing)?(?: over)? to"
    r"|adopt(?:ing)?"
    r"|mov(?:e|ing)(?: over)? to|keep(?:ing)? (?:using|to|the|our|my|both)|drop(?:ping)?|standardi[sz](?:e|ing) on"
    r"|migrat(?:e|ing)|target(?:ing)?"
    r"|build(?:ing)? (?:on|with)|replac(?:e|ing)|settl(?:e|ing) on|start(?:ing)? with|default(?:ing)? to"
    r"|deploy(?:ing)? (?:to|on)|host(?:ing)? (?:it |this |them )?on|limit(?:ing)?|postpon(?:e|ing)|skip(?:ping)?"
    r"|rout(?:e|ing)|switch(?:ing)?|combin(?:e|ing)|focus(?:ing)? on|prioriti[sz](?:e|ing))"
)
_NOUN_OBJECT = (
    r"(?!(?:it|this|that|them|these|those|the following)\b[.,!]?$"
    r"|it happen|an? (?:difference|impact|change)|some|sure|the most)"
)
# Someone's name, by its capital: the one place where case tells.
_NAME = (
    r"(?-i:(?!(?:We|You|It|This|That|There|The|What|They|He|She|And|But|So|If|Then|Also|These|Those|Let|Here"
    r"|Everything)\b)"
    r"[A-Z][a-z]+)"
)
_ADV = r"(?:just |now |then |actually |instead |simply |definitely |also |only |rather |probably not |not )?"

DECISION = any_of(
    r"\b(?:have |has |'ve |’ve |'s )?(?:finally |just |all |both |jointly )?(?:decided|agreed|settled|opted"
    r"|concluded|chosen|elected)"
    r" (?:to|on|that|for|not to|against|we|with)\b",
    rf"\b(?:we|i)(?:['’]ll| will| shall| am going to| are going to|['’]re going to|['’]m going to|['’]m gonna"
    rf"|['’]re gonna|"
    rf" gonna) {_ADV}(?:{_CHOOSE}|go ahead (?:and|with)) {_NOUN_OBJECT}",
    rf"\blet(?:['’]?s| us) {_ADV}(?:{_CHOOSE}|make|name|call|set|store|put|ship|remove|rename|schedule|plan|do|have"
    rf"|meet|split|merge|write|implement|hold off|wait) {_NOUN_OBJECT}",
    r"^(?:final |key )?(?:decision|decided|agreed|verdict|resolution|resolved)(?: made)?(?: on [^:]{1,60})?\s?[:—–-]",
    r"\b(?:i|we)['’]ve (?:picked|selected|gone (?:with|for)|settled|opted|switched to|moved to|ruled out|signed) \w",
    r"\b(?:i|we) (?:went with|went for|chose|picked|selected|standardi[sz]ed on|opted) \w"
    r"|\bwe (?:switched|moved over|migrated) \w",
    r"\b(?:the|our|my) (?:final )?(?:decision|choice|plan|verdict|pick) (?:is|was)(?: now)? (?:to|that|the"
    r"|(?-i:[A-Z]))",
    r"\b(?:it['’]s|it is|that['’]s) (?:decided|settled|agreed)\b",
    r"\bfinal (?:decision|answer|choice|call)\b",
    r"\b(?:signed off on|has been approved|is approved|ruled out|greenlit)\b",
    r"^(?:i|we)['’]?(?:m|re| am| are) (?:now |also )?(?:going with|sticking (?:with|to)|switching (?:over )?(?:to"
    r"|from)|moving over to|dropping|adopting|migrating)\b",
    r"^(?:switching|moving|migrating|adopting|going with|sticking with|dropping|standardi[sz]ing on|replacing|keeping"
    r"|skipping|raising|lowering) (?!in\b|up\b|an eye|track)\w",
    r"\b(?:we|i)(?:['’]?re| are|['’]m| am) (?:now |also |all |both |just |still |therefore )*(?:going (?:with"
    r"|for|back to"
    r"|ahead with)|not (?:doing|taking|using|going to (?!be\b|lie\b))"
    r"|(?:hiring|bringing back|dropping|keeping|scrapping|cutting|raising|lowering|cancell?ing|postponing|skipping"
    r"|launching|retiring|rolling (?:out|back)|replacing|switching|sticking (?:with|to)|giving up on|phasing out"
    r"|shutting down|outsourcing|merging|renaming|closing down) (?!my eyes|in on|up with))",
    r"\b(?:we|i)(?: now| all)? (?:take|took) (?!care|part|time|place)\w.{0,60}\b(?:offer|then|instead|in the end"
    r"|after all"
    r"|for now|contract)\b",
    r"\b(?:we|i)(?: now| all)? (?:skip|drop|keep|go (?:with|down to|up to|back to)|stay with"
    r"|stick (?:with|to)|accepted|declined|turned down|hired|postponed|cancell?ed|settled|gave up on)"
    r" (?:on )?(?:the |an? |our |my |their |both )?(?!care|part|time|place|notes?\b|turns|it\b|that\b|them\b|pictures?"
    r"|photos?|walks?\b|trips?\b|up\b|look|break|class|shot|bus|train|in touch|going)(?=.{0,40}(?:offer|then\b|instead"
    r"|in the end|after all|for now|from|until|(?-i:[A-Z])|\d))",
    r"\b(?:we|i)(?:['’]ll| will) (?:take|have|stay with|leave|open|close|stop|no longer|not) (?!care|a look|it\b|that\b"
    r"|you|over\b|notes|part|time|to\b|be\b|fun|some|any\b|a (?:great|good)|forget|let)(?:the |our |my |an? )?\w",
    r"\bwe won['’]t \w+ .{2,60}\b(?:any ?more|any longer|from now on|this (?:year|quarter|month|time))",
    r"^(?:(?:so|then|ok|okay|right|great|yes|yeah|well),? )*(?!(?:what|how|so|that|as|where|here|there|this|when)\b)"
    r"(?!.*\b(?:how|what|that|as|because|than|where|when|i|like|so|if"
    r"|whatever)\b)(?:[\w'’-]+ ){1,4}it is(?: then)?[\s.!]*$",
    r"\b(?:is|are|was|were) (?:off the table|out of the question|settled|rejected|vetoed)\b|\bit['’]s settled\b",
    r"^(?:yes[:,]? |so |ok,? )?no (?!one\b|idea|problem|worries|way\b|need|clue|doubt|thanks|wonder|matter|longer\b"
    r"|reply|answer|luck|news|changes? (?:in|to)\b|more\b)(?:\w+ ){0,3}\w+(?: (?:this|next) (?:year|time|month|week"
    r"|season|quarter)|,? for now|, (?:only|just|too)\b)",
    r"\b(?:roll(?:ing)?|rolled) (?:it |this |them |[\w ]{2,25} )?out to\b|\b(?:the )?(?:final|main) (?:call|word):",
    r"\b[\w'’-]+ (?:goes|go) (?:up|down)? ?to \$?€?£?\d",
)
# An order of the user to choose something is a decision of the user.
ORDER = any_of(
    r"^(?:please |then |and |also |so |instead,? |no,? |yes,? |ok,? |okay,? |actually,? )*(?:use|go with"
    r"|switch(?: over)? to|stick (?:with"
    r"|to)|pick"
    r"|choose|adopt|store|target|default to|replace|drop|move to|name (?:it|the)|call (?:it|the)"
    r"|deploy (?:it )?(?:to|on)"
    r"|prefer|take (?:the|option|number|an?)|skip|stay with|keep (?:the|both|our|my|all|using|\d)|leave (?:the|out)"
    r"|roll (?:it )?out) (?!up the|me\b|you\b|in mind|an eye|care|a (?:look|deep|break|seat|moment)|your)\S+"
)
PROPOSAL = any_of(
    r"\b(?:i|we)(?:'d|’d| would)? (?:suggest|recommend|propose|advise)\b",
    rf"\b(?:we|you|i) (?:should|could|can|might want to) {_ADV}{_CHOOSE}\b",
    rf"\b(?:shall|should) (?:we|i) {_ADV}{_CHOOSE}\b",
    rf"\b(?:how|what) about (?:{_CHOOSE}|we|a|an|the|(?-i:[A-Z]))",
    rf"\bi(?:'d|’d| would) {_ADV}(?:{_CHOOSE}|lean towards?|opt for)\b",
    r"(?:\blet['’]s|^lets|\blet us) (?!keep\b|break down|focus|dive|walk|explore|have fun|have some|celebrate|catch up"
    r"|chat|spread|live|see\b|hope|face\b|be\b|say\b|talk|think|just\b|go\b(?! with)|try\b|start\b|look|play"
    r"|continue)\w",
    r"\bmy (?:suggestion|recommendation|proposal|advice) (?:is|would be)\b",
    rf"\b(?:do you want|would you like) (?:me |us )?to {_CHOOSE}\b",
    r"\bwhy don['’]t we\b|^proposal:",
    r"\b(?:i|we)(?:'d|’d| would) (?:keep|restore|call|write|ask|put|split|add|use|start|move|cache|make|set|run|test"
    r"|leave|book|plan|send|take|pick)\b|\b(?:should|shall|can|could) we \w|\b(?:should|shall) i \w|\bthen\?$",
)
ACCEPT = re.compile(
    r"^\W*(?:(?:yes|yeah|yep|yup|sure|ok|okay|perfect|great|agreed?|absolutely|definitely|good|fine|right|exactly"
    r"|cool|sgtm"
    r"|lgtm|approved|deal|done deal|works for me|that works|sounds (?:good|great|perfect|like a plan)|makes sense"
    r"|do (?:it|that|so)|go (?:ahead|for it|with (?:that|it|this))|let['’]?s (?:do|go with) (?:it|that|this)"
    r"|please(?: do)?|pls(?: do)?|jup|agreed|same here|[+]1|deal|👍|i approve(?: of)?|i['’]m (?:in"
    r"|fine with (?:that|it))"
    r"|book (?:it|her|him|them|that)|ship it|let['’]?s do both|do both|and then"
    r"|i (?:agree|like (?:that|it))|love it|(?:good|great) (?:idea|call|plan|point|choice))"
    r"(?:\b[\s,.!—–-]*|(?<=[👍1])[\s,.!—–-]*|$)){1,6}",
    re.IGNORECASE,
)
REJECT = any_of(
    r"^\W*(?:no|nope|nah|not)\b",
    r"\b(?:but|however|don['’]t|do not|rather not|instead|wait|hold on"
    r"|actually)\b",
)

HYPOTHETICAL = any_of(
    r"\b(?:could|might|maybe|perhaps|possibly|would be|would have|should we|shall we|what if|suppose|supposing"
    r"|imagine|pretend"
    r"|hypothetically|i wonder|wondering|let['’]?s say|in theory|say we|had we|were we|not sure (?:if|whether"
    r"|about)|unsure|undecided"
    r"|if (?:i|we|you|they|it|he|she|the|there|only|that|my|our|someone|anyone)\b)",
    r"\b(?:considering|thinking (?:about|of)|toying with|leaning towards?|tempted to|debating|brainstorming"
    r"|for example|e\.g\.|for instance)",
    r"\b(?:haven['’]t|hasn['’]t|have not|has not|not yet|didn['’]t|did not|never) (?:yet |actually "
    r"|really )?(?:decided?|agreed?|settled?|chosen|choose|chose|made up)\b",
    r"\b(?:need|have|want|trying|help me|able) to (?:decide|choose|agree|settle)\b|\bstill deciding\b|\bno decision\b",
)
REPORTED = any_of(
    rf"\b(?:he|she|they|someone|somebody|people|everyone|{_NAME}|(?:my|his|her|their|the|a"
    rf"|our) (?:\w+ )?\w+) (?:said|says|told (?:me|us)|thinks?|thought"
    r"|suggest(?:s|ed)|proposed?s?|wants? to|claims?|claimed|argued?s?|asked|keeps? saying|insists?|recommend(?:s"
    r"|ed)|is going to|are going to|will|plans? to|mentioned)\b",
    r"\b(?:according to|apparently|rumou?r|supposedly|allegedly)\b",
    r"\b(?:their|his|her) (?:team|company|plan|decision|group)\b",
)
SARCASM = any_of(
    r"^(?:yeah,? right|sure,? (?:because|let['’]?s (?:just|all))|oh,? (?:great|sure|yeah|yes|wonderful"
    r"|brilliant)[,!.]? |right,? because)",
    r"(?:\B/s|\blol|\blmao|\bhaha+|🙄|😂|🤣)\W*$",
    r"\b(?:just kidding|jk|joking|as if)\b",
)
CHATTER = any_of(
    r"^\W*(?:thanks?|thank you|wow|awesome|great|cool|nice|congrats|congratulations|good (?:luck|morning|night"
    r"|evening|to)|hey|hi|hello"
    r"|bye|take care|see you|haha|lol|yay|woo|omg|aww?|oh|no problem|no worries|sounds|glad|happy to"
    r"|you['’]re welcome|my pleasure"
    r"|absolutely|definitely|totally|exactly|same here|me too|of course|that['’]s|it['’]s (?:so|really|been|great"
    r"|awesome|amazing)"
    r"|i(?:['’]m| am) (?:so |really |very )?(?:glad|happy (?:for|to)|sorry|proud of you|sure|here for|impressed"
    r"|curious|excited to (?:see|hear)|looking forward)"
    r"|i (?:hope|bet|agree|guess|think|know|see|appreciate|understand|can['’]t wait|totally|completely|love (?:that"
    r"|this|it|how|your)|wish you|feel you|wonder)"
    r"|(?:can['’]t|cannot) wait|hope|let me know|talk (?:soon|later)|keep (?:it )?up|what a|so (?:cool|great|happy"
    r"|proud)|looks?|sounds?)\b",
    r"\b(?:let me know|i appreciate|thanks? (?:so much|a lot|again|for)|appreciate (?:it|your)|proud of you"
    r"|good luck|best of luck)\b",
)
IMPERATIVE = any_of(
    r"^(?:please |first,? |then,? |next,? |now,? )*(?:ensure|make sure|check|run|install|create|add"
    r"|replace|update|open|click|consider|try"
    r"|set|use|verify|review|start|go to|define|call|import|remember|note|avoid|keep|test|see|refer"
    r"|visit|copy|paste|write|fix"
    r"|implement|change|show|help|explain|give|tell|find|look|read|do|continue|commit|push|let['’]?s"
    r"|build|rewrite|remove|rename|delete|scale|convert|draft|translate|summari[sz]e|compare|calculate|list|sort"
    r"|suggest|recommend|plan|pick|rank|count|describe|outline|format|shorten|expand|rephrase|proofread|teach"
    r"|ask)\b(?! (?:is|are|was|were|has|had|at|of)\b)"
)

# A later statement that sets an earlier one right.
CHANGE = any_of(
    r"\b(?:now|actually|no longer|not anymore|any more|anymore|instead|correction|changed|moved|updated|raised"
    r"|lowered|increased"
    r"|decreased|reduced|extended|postponed|pushed (?:back|to)|bumped|renamed|switch(?:ed|ing)?|replac(?:ed|es|ing"
    r"|e)|rather than"
    r"|new|changed my mind|scratch that|turns out|reverted|reschedul\w+|migrat\w+|from .{1,40} to)\b"
)
ADDITION = any_of(r"\b(?:also|too|as well|in addition|additionally|another|both|plus|besides|second|third)\b")
_OPEN = re.compile(r"(?:(?<=\s)|^)[\"“«](?=\w)[^\"”»…]*$|^[^\"“«…]*(?<=[\w.!?,])[\"”»](?=\s|$)")  # goes on elsewhere
EVERY = re.compile(r"«[^»\n]{1,200}»|\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|(?<!\w)'[^'\n]{2,120}'(?!\w)|‘[^’\n]{2,120}’")


def unquoted(text: str) -> str:
    """`text` with what stands in quotation marks blanked, so that quoted speech gives no cue."""
    if not any(q in text for q in "\"'“‘«"):
        return text
    return _OPEN.sub("…", EVERY.sub(lambda m: m[0][0] + "…" * (len(m[0]) - 2) + m[0][-1], text))
