"""Cues: the turns of phrase that mark a decision, a fact, a task, a standing instruction, an agreement, an end.

Every pattern is matched against one sentence of at most `LONGEST` characters, in which quotations are blanked.
"""

from __future__ import annotations

import re

LONGEST = 600


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


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

DECISION = _any(
    r"\b(?:have |has |'ve |’ve |'s )?(?:finally |just |all |both |jointly )?(?:decided|agreed|settled|opted"
    r"|concluded|chosen|elected)"
    r" (?:to|on|that|for|not to|against|we|with)\b",
    rf"\b(?:we|i)(?:['’]ll| will| shall| am going to| are going to|['’]re going to|['’]m going to|['’]m gonna"
    rf"|['’]re gonna|"
    rf" gonna) {_ADV}(?:{_CHOOSE}|go ahead (?:and|with)) {_NOUN_OBJECT}",
    rf"\blet(?:['’]?s| us) {_ADV}(?:{_CHOOSE}|make|name|call|set|store|put|ship|remove|rename|schedule|plan|do|have"
    rf"|meet|split|merge|write|implement|hold off|wait) {_NOUN_OBJECT}",
    r"^(?:final |key )?(?:decision|decided|agreed|verdict|resolution|resolved)(?: made)?(?: on [^:]{1,60})?\s?[:—–-]",
    r"\b(?:i|we) (?:went with|went for|chose|picked|selected|switched|moved over|standardi[sz]ed on|migrated|opted) \w",
    r"\b(?:the|our|my) (?:final )?(?:decision|choice|plan|verdict|pick) (?:is|was)(?: now)? (?:to|that|the"
    r"|(?-i:[A-Z]))",
    r"\b(?:it['’]s|it is|that['’]s) (?:decided|settled|agreed)\b",
    r"\bfinal (?:decision|answer|choice|call)\b",
    r"\b(?:signed off on|has been approved|is approved|ruled out|greenlit)\b",
    r"^(?:i|we)['’]?(?:m|re| am| are) (?:now |also )?(?:going with|sticking (?:with|to)|switching (?:over )?(?:to"
    r"|from)|moving over to|dropping|adopting|migrating)\b",
    r"^(?:switching|moving|migrating|adopting|going with|sticking with|dropping|standardi[sz]ing on|replacing) \w",
)
# An order of the user to choose something is a decision of the user.
ORDER = _any(
    r"^(?:please |then |instead,? |no,? |yes,? |ok,? |actually,? )*(?:use|go with|switch(?: over)? to|stick (?:with"
    r"|to)|pick"
    r"|choose|adopt|store|target|default to|replace|drop|move to|name (?:it|the)|call (?:it|the)"
    r"|deploy (?:it )?(?:to|on)"
    r"|prefer) \S+"
)
PROPOSAL = _any(
    r"\b(?:i|we)(?:'d|’d| would)? (?:suggest|recommend|propose|advise)\b",
    rf"\b(?:we|you|i) (?:should|could|can|might want to) {_ADV}{_CHOOSE}\b",
    rf"\b(?:shall|should) (?:we|i) {_ADV}{_CHOOSE}\b",
    rf"\b(?:how|what) about (?:{_CHOOSE}|we|a|an|the|(?-i:[A-Z]))",
    rf"\bi(?:'d|’d| would) {_ADV}(?:{_CHOOSE}|lean towards?|opt for)\b",
    rf"\blet(?:['’]?s| us) {_ADV}(?:{_CHOOSE}|make|name|call|set|store|put|schedule|meet|do)\b",
    r"\bmy (?:suggestion|recommendation|proposal|advice) (?:is|would be)\b",
    rf"\b(?:do you want|would you like) (?:me |us )?to {_CHOOSE}\b",
    r"\bwhy don['’]t we\b",
)
ACCEPT = re.compile(
    r"^\W*(?:(?:yes|yeah|yep|yup|sure|ok|okay|perfect|great|agreed?|absolutely|definitely|good|fine|right|exactly"
    r"|cool|sgtm"
    r"|lgtm|approved|deal|done deal|works for me|that works|sounds (?:good|great|perfect|like a plan)|makes sense"
    r"|do (?:it|that|so)|go (?:ahead|for it|with (?:that|it|this))|let['’]?s (?:do|go with) (?:it|that|this)"
    r"|please(?: do)?"
    r"|i (?:agree|like (?:that|it))|love it|(?:good|great) (?:idea|call|plan|point|choice))"
    r"(?:\b[\s,.!—–-]*|$)){1,5}",
    re.IGNORECASE,
)
REJECT = _any(
    r"^\W*(?:no|nope|nah|not)\b",
    r"\b(?:but|however|don['’]t|do not|rather not|instead|wait|hold on"
    r"|actually)\b",
)

FACT_MARK = _any(
    r"^(?:fyi|note(?: that|:)|(?:just )?confirmed|for (?:the record|your (?:information|reference))"
    r"|remember(?: that)?|keep in mind"
    r"|heads[- ]up|(?:it )?turns out|important:|just so you know|correction|good to know|context:|background:)(?!\w)",
    r"\b(?:it turns out|turned out|root cause|the culprit)\b",
)
# A person about himself or herself: what is, has been or was done.
SELF = _any(
    r"\bi(?:['’]m| am) (?:a|an|the|from|based|allergic|vegan|vegetarian|married|single|in|on|at|working|studying"
    r"|living|using"
    r"|running|building|\d|planning|currently|now|trying|preparing|training|writing|learning|developing|getting"
    r"|dealing|one"
    r"|not (?:a|an|in)|new to|responsible|the|looking|excited|worried|concerned|interested|(?-i:[A-Z]))",
    r"\bi (?:live|work|study|own|have|had|run|teach|manage|lead|play|speak|drive|use|got|bought|went|started|moved"
    r"|joined"
    r"|graduated|grew|met|visited|finished|made|took|signed|adopted|lost|won|found|created|wrote|built|read|saw"
    r"|tried|ran"
    r"|learned|learnt|became|quit|left|sold|attended|hosted|painted|planted|booked|volunteer(?:ed)?|spent|received"
    r"|applied"
    r"|passed|failed|switched|hired|completed|set up|added|named|called|earn|make|weigh|usually|always|often|love"
    r"|like|enjoy"
    r"|hate|dislike|want|plan|hope|used|installed|deployed|configured|chose|interviewed|scheduled|estimated|reduced"
    r"|increased"
    r"|improved|implemented|updated|reached|organi[sz]ed|submitted|can't stand|prefer|consider)\b",
    r"\bi(?:['’]ve| have) (?:been|got|had|never|already|just|recently|always|started|decided|seen|read|made|done"
    r"|set|built|\w+ed)\b",
    r"\bwe(?:['’]ve|['’]re|['’]ll be| (?:also |only |currently |still |now )?"
    r"(?!(?:also|only|currently|still|now|could|should|can|might|would"
    r"|may|will|shall|need|must|do|don|can['’]?t|all|both|want|should)\b)[a-z]+)\b",
    r"^(?:just |recently |last \w+ (?:i |we )?|yesterday )?(?:finished|started|got|bought|joined|went|signed up"
    r"|confirmed|took|moved) ",
)
OWN = _any(
    r"\b(?:my|our)\s+(?:[\w'’+#./-]+\s+){1,6}?(?:is|are|was|were|has|have|had|lives?|works?|runs?|uses?|needs?"
    r"|costs?|fails?|breaks?|crash(?:es)?|\w{2,20}ed|loves?"
    r"|likes?|wants?|got|made|went|came|gave|turned|starts?|begins?|ends?|passed|moved|said|will be|contains?"
    r"|includes?)\b",
    r"\bi(?:['’]m| am) (?:currently |now )?(?:building|working on|writing|developing"
    r"|designing|organi[sz]ing|launching|migrating|planning an?)\b",
    r"^(?:my|our)\s+[\w'’+#./ -]{2,60}\s?[:=]\s?\S",
)
STATE = _any(
    r"\b(?:is|are|was|were|isn['’]t|aren['’]t|has|have|had|lives?|runs?|uses?|costs?|takes?|requires?|needs?"
    r"|supports?|contains?"
    r"|stores?|returns?|points? to|listens? on|expires?|starts?|begins?|ends?|launch(?:es|ed)?|depends on|equals"
    r"|holds?|owns?"
    r"|moved|changed|prefers?|wants?|works?|belongs?|limits?|allows?|opens?|closes?|goes|go|became|joined|left"
    r"|became|wrote"
    r"|got|bought|increased|decreased|dropped|rose|fell|grew|won|lost|born|scheduled|located|hosted|deployed)\b",
    r"^(?!https?:)[\w`'’. -]{2,50}\s?[:=]\s?\S",
)
YOUR = _any(r"^your\s+(?:[#\w'’-]+\s+){0,5}?(?:is|are|was|has|will|expires?|ships?|renews?|starts?|ends?)\b")
# What an agent reports of its own work.
REPORT = _any(
    r"\b(?:i['’]ve|i have|we['’]ve|i) (?:now |also |just |successfully )?(?:added|created|implemented|fixed|updated"
    r"|removed"
    r"|renamed|replaced|moved|refactored|configured|deployed|migrated|merged|committed|pushed|published|booked"
    r"|scheduled|sent"
    r"|ordered|cancell?ed|opened|closed|installed|set up|wrote|converted|extracted|switched|changed|found)\b",
    r"^(?:added|created|implemented|fixed|updated|removed|renamed|replaced|moved|refactored|configured|deployed"
    r"|migrated"
    r"|merged|committed|pushed|published) (?!by\b)",
    r"\b(?:root cause|(?:the|this) (?:bug|issue|problem|failure|error|culprit|regression|crash) (?:is|was|comes?"
    r"|came|happens?))\b",
    r"\b(?:all )?\d+ tests? (?:now )?pass",
    r"^(?:it )?turns out\b|^confirmed\b|\bhas been (?:deployed|merged|published|released|booked|scheduled"
    r"|cancell?ed|sent)\b",
)

TASK = _any(
    r"^(?:todo|to-do|to do|action item|next steps?|follow[- ]?up|reminder|fixme|remaining|open task"
    r"|pending)\b\s?(?:is|are|:|-|—|\()",
    r"\b(?:i|we)(?:['’]ll|['’]ve| will)?(?: also| still| really| just| first| then)? (?:need|have|ought|['’]ve got) to "
    r"(?!(?:know|understand|see|say|ask (?:you|if|whether|why|how|a question)"
    r"|admit|mention|clarify|be honest|confess|agree|go now|run now|tell you)\b)\w",
    r"\b(?:i|we)(?:['’]ve)? gotta \w",
    r"\b(?:i|we) (?:still |also )?must (?:not forget to )?(?!have\b|be\b|say\b|admit\b|confess\b)\w",
    r"(?:^|\b(?:please|you|and|also|to) )(?:remind me|remember) (?:to|about|that i|that we)\b"
    r"|\b(?:don['’]t let me forget|don['’]t forget|do not forget)\b",
    r"\b(?:still|yet|left|remains?) to (?:be )?(?:do|done|write|fix|implement|finish|decide|test|review|add|check"
    r"|migrate)\b",
    r"\b(?:the |my |our )next (?:step|thing|task|milestone) (?:is|will be)\b",
    r"\bstill (?:needs?|missing|pending|outstanding|open|todo)\b|\bneeds? to be (?:done|fixed|written|reviewed"
    r"|updated|finished|sent)\b",
    r"\b(?:before|until) we (?:can )?(?:ship|release|launch|merge)\b.*\b(?:need|must|have to)\b",
    r"\b(?:promised|pledged|volunteered|undertook)(?: (?!to\b)\w+){0,3}? (?:to|i['’]d|i would|that i['’]d"
    r"|that i would) \w",
    r"(?<!to )\bcommit(?:ted|ting) to (?!(?:main|master|git|the|a|this|branch|it|that)\b)\w",
    r"^will (?!be\b|you\b|it\b|the\b|that\b|this\b|i\b|me\b)(?:\w+) ",
    r"\bmy (?:task|todo|homework|assignment) (?:is|for|today|this)\b",
)
# A promise of the speaker; it is a task where it says when, or for whom.
PROMISE = _any(
    r"\b(?:i|we)(?:['’]ll| will| shall|['’]m going to| am going to|['’]re going to|['’]m gonna| plan to"
    r"|['’]m planning to"
    r"|['’]m committing to|['’]d like to| intend to) (?!be able\b|never\b|always\b|see\b|say\b|admit\b"
    r"|try\b|need\b|have to\b|say\b)\w"
)
REQUEST = _any(
    r"^(?:hey,? |hi,? |ok,? |also,? |and )*(?:can|could|would|will) you (?:please )?(?!help\b|explain"
    r"|tell|show|give)\w",
    r"^(?:please|pls) (?!let me know|help|explain|tell me|show|give)\w",
)
DEADLINE = _any(
    r"\b(?:by|before|until|due|no later than|on|this|next|end of|at) (?:the )?(?:end of )?(?:(?:this|next) )?"
    r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|tonight|noon|eod|eow|today|week(?:end)?"
    r"|month(?:-end)?"
    r"|year|quarter|sprint|release|q[1-4]|january|february|march|april|may|june|july|august|september|october"
    r"|november|december"
    r"|\d{1,2}(?::\d\d)?\s?(?:am|pm)|\d{1,2}/\d{1,2}|\d{4}-\d\d-\d\d|\d{1,2}(?:st|nd|rd|th))\b",
    r"\b(?:tomorrow|tonight|later today|asap|in the morning|month-end|year-end)\b",
)
DEFERRED_AGENT = _any(
    r"\b(?:follow up|get back to|remind you|keep you (?:posted|updated)|let you know (?:when|once|as soon)"
    r"|next session|next time)\b"
)
DEFERRED = _any(
    r"\b(?:follow up|get back to|let \w+ know|send|email|mail|forward|ship|deliver|share|call|refund|prepare|book"
    r"|review"
    r"|restructure|update|route|provide|attend|finish|submit|write|apply|visit|buy|sign up|register|ask|talk to|meet)\b"
)

PINNED = _any(
    r"^(?:please |and |also |but |so |ok,? |remember,? |remember to |note:? |important:? |just )*(?:always|never"
    r"|don['’]t ever|do not ever)"
    r" (?!mind\b|been\b|was\b|had\b|\w+ed\b|knew\b"
    r"|thought\b|heard\b|seen\b|saw\b|felt\b|got\b|went\b|came\b|did\b|made\b|ever\b|gonna\b|really\b|again\b"
    r"|fails?\b|a\b|the\b"
    r"|in\b|nice\b|good\b|great\b|fun\b|too\b|enough\b|easy\b|happy\b|glad\b|here\b|there\b|so\b|give up\b|forget\b"
    r"|stop (?:be|dream|learn))\w",
    r"\b(?:you (?:should|must|need to|have to|can)|make sure (?:to|you|that)|be sure to|i(?:['’]d)? (?:want|like"
    r"|need) you to|please)\b"
    r".{0,50}\b(?:always|never|every time|whenever|all future|from now on)\b",
    r"\b(?:from now on|going forward|from here on|for (?:all )?future (?:answers|replies|reference|sessions)"
    r"|in (?:the )?future,)",
    r"^(?:please |also |and )*(?:always |only )?(?:answer|respond|reply|speak|talk|write)(?: to me"
    r"| back)?(?: only)? (?:in|with|using|as|like) \w",
    r"^(?:please |also |and )*(?:keep|make) (?:your |the |all )?(?:answers?|repl(?:y|ies)|responses?|explanations?"
    r"|messages?|code|commits?)\b",
    r"^(?:please |also |and |so |no,? |but )*(?:don['’]t|do not|stop|avoid|no more|never|refrain from) (?:use|using"
    r"|add|adding|write|writing"
    r"|includ|commit|push|call|say|ask|apologi[sz]|put|mention|start|end|generat|creat|suggest|recommend|explain"
    r"|repeat|mock|delet|touch)\w*",
    r"\b(?:i|we)(?:['’]d| would)? (?:really |generally |usually |much |strongly |always |also |just "
    r"|actually )?prefer\b(?! not to say)",
    r"\b(?:i|we)(?:['’]d| would) rather\b(?! not say)",
    r"\b(?:i|we) (?:don['’]t|do not|never|can['’]?t|cannot) (?:eat|drink)\b",
    r"\bi(?:['’]m| am) (?:\w+ )?(?:allergic|vegan|vegetarian|lactose|gluten|colou?r[- ]?blind|diabetic|left-handed"
    r"|dyslexic)",
    r"\bmy (?:preferred|favou?rite)\b[^,.]{1,40}\b(?:is|are)\b|\bmy preference\b|\bcall me (?-i:[A-Z])|\bmy pronouns\b",
    r"^(?:whenever|every time|each time|when|if) (?:i|you|we) .{3,80}, ?(?:please |then )?(?:always|never|make sure"
    r"|include|use|provide|add|remember|do not|don['’]t)\b",
    r"^(?:please )?(?:use|format|include|provide|show|give|explain|cite|mention|highlight|add|list|present|describe"
    r"|focus on|ensure|confirm|remind me"
    r"|break down|specify) .{3,120}\b(?:when(?:ever)? (?:i|you|we|asked|discussing|explaining|providing)|every time"
    r"|each time|in (?:all|every) (?:your )?(?:answers?|repl|responses?|code))",
    r"\bi (?:want|like|expect|need) (?:all |your |my |every )?(?:answers?|repl(?:y|ies)|responses?|explanations?"
    r"|code|commits?|examples?)\b",
    r"\bi (?:really )?(?:want|like|expect) (?:you )?(?:to (?:see|have|get) )?(?:.{2,60})\b(?:every time|each time"
    r"|always|whenever)\b",
)

HYPOTHETICAL = _any(
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
REPORTED = _any(
    rf"\b(?:he|she|they|someone|somebody|people|everyone|{_NAME}|(?:my|his|her|their|the|a"
    rf"|our) (?:\w+ )?\w+) (?:said|says|told (?:me|us)|thinks?|thought"
    r"|suggest(?:s|ed)|proposed?s?|wants? to|claims?|claimed|argued?s?|asked|keeps? saying|insists?|recommend(?:s"
    r"|ed)|is going to|are going to|will|plans? to|mentioned)\b",
    r"\b(?:according to|apparently|rumou?r|supposedly|allegedly)\b",
    r"\b(?:their|his|her) (?:team|company|plan|decision|group)\b",
)
SARCASM = _any(
    r"^(?:yeah,? right|sure,? (?:because|let['’]?s (?:just|all))|oh,? (?:great|sure|yeah|yes|wonderful"
    r"|brilliant)[,!.]? |right,? because)",
    r"(?:\B/s|\blol|\blmao|\bhaha+|🙄|😂|🤣)\W*$",
    r"\b(?:just kidding|jk|joking|as if)\b",
)
CHATTER = _any(
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
IMPERATIVE = _any(
    r"^(?:please |first,? |then,? |next,? |now,? )*(?:ensure|make sure|check|run|install|create|add"
    r"|replace|update|open|click|consider|try"
    r"|set|use|verify|review|start|go to|define|call|import|remember|note|avoid|keep|test|see|refer"
    r"|visit|copy|paste|write|fix"
    r"|implement|change|show|help|explain|give|tell|find|look|read|do|continue|commit|push|let['’]?s"
    r"|build|rewrite|remove|rename|delete)\b"
)

# A later statement that sets an earlier one right.
CHANGE = _any(
    r"\b(?:now|actually|no longer|not anymore|any more|anymore|instead|correction|changed|moved|updated|raised"
    r"|lowered|increased"
    r"|decreased|reduced|extended|postponed|pushed (?:back|to)|bumped|renamed|switch(?:ed|ing)?|replac(?:ed|es|ing"
    r"|e)|rather than"
    r"|new|changed my mind|scratch that|turns out|reverted|reschedul\w+|migrat\w+|from .{1,40} to)\b"
)
ADDITION = _any(r"\b(?:also|too|as well|in addition|additionally|another|both|plus|besides|second|third)\b")
_ENDED = (
    r"(?:done|finished|completed|fixed|resolved|solved|shipped|merged|sent|submitted|paid|booked|handled|deployed|delivered"
    r"|closed|implemented|wrapped up|taken care of|took care of|sorted(?: out)?|called|emailed|renewed|migrated|added"
    r"|updated"
    r"|wrote|written|bought|ordered|reviewed|published|released|returned|picked up|checked off|cleaned up|set up"
    r"|scheduled"
    r"|uploaded|pushed|restructured|signed|posted|created|removed|refactored|installed|passed|tested|filed|replied|answered"
    r"|translated|rotated|rewritten|documented|cancell?ed|moved|changed|found|made)"
)
DID = _any(
    rf"\b(?:i|we)(?:['’]ve| have|['’]m| am)?(?: just| already| now| finally| also| both| all)* {_ENDED}\b",
    rf"^(?:just |finally |all |already )?{_ENDED}\b",
)
IS_DONE = _any(
    rf"\b(?:is|are|was|were|has been|have been|['’]s been)(?: now| already| all| finally| \w+ly)* {_ENDED}\b",
)
DROPPED = _any(
    r"^\W*(?:ok(?:ay)?,? |actually,? |oh,? )*(?:never ?mind|forget (?:about |it)|scrap|cancel|call off|skip"
    r"|drop) (?!by\b)\w",
    r"\b(?:i|we)(?: no longer|['’]ve|\s(?:don['’]t|do not|won['’]t)) (?:have to|need(?: to)?|want to|cancell?ed"
    r"|scrapped|dropped) \w",
    r"\b(?:is|are|was|has been) (?:cancell?ed|called off|no longer (?:needed|necessary))\b",
)
NOT_DONE = _any(
    r"\b(?:not|n['’]t|never|almost|nearly|half|partly|partially|barely|haven['’]t|hasn['’]t|isn['’]t|to be|will be"
    r"|can be|must be"
    r"|needs? to|have to|want to|going to|once|when|after|until|before|if|unless|should|would|could|might|get"
    r"|by)\b[^.;]{0,30}\b"
    r"(?:done|finished|complete[ds]?|fixed|resolved|solved|shipped|merged|sent|submitted|paid|booked|handled"
    r"|deployed|delivered)\b",
    r"\b(?:i|we) (?:still|need|have to|must|should|will|'ll|might)\b|['’]ll\b",
)
EVERY = re.compile(r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|(?<!\w)'[^'\n]{2,120}'(?!\w)|‘[^’\n]{2,120}’")


def unquoted(text: str) -> str:
    """`text` with what stands in quotation marks blanked, so that quoted speech gives no cue."""
    return (
        EVERY.sub(lambda m: m[0][0] + "…" * (len(m[0]) - 2) + m[0][-1], text)
        if any(q in text for q in "\"'“‘")
        else text
    )
