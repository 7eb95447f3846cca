"""Cues of what somebody wants: tasks, promises, requests, days by which, and standing instructions."""

from __future__ import annotations

from carryover.memory.cue import any_of

TASK = any_of(
    r"^(?:todo|to-do|to do|action item|next steps?|follow[- ]?up|reminder|fixme|remaining|open task"
    r"|pending)\b\s?(?:is|are|:|-|—|\()",
    r"\b(?:i|we)(?:['’]ll|['’]ve| will)?(?: also| still| really| just| first| then)? (?:need|have|ought|['’]ve got) to "
    r"(?!(?:know|understand|see|say|ask (?:you|if|whether|why|how|a question)"
    r"|admit|mention|clarify|be honest|confess|agree|go now|run now|tell you)\b)\w",
    r"\b(?:i|we)(?:['’]ve)? gotta (?!say\b|love\b|admit\b)\w",
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
    r"^(?:and |then )?will (?!be\b|you\b|it\b|the\b|that\b|this\b|i\b|me\b|we\b|they\b|he\b|she\b|my\b|there\b)"
    r"(?:\w+) \w",
    r"^(?:still |also |and |just )*(?:(?:need|have|got|ought) to|gotta|must(?: not forget to)?) "
    r"(?!(?:feel|admit|love|know|understand|say|see|be|have|a|an|some|help|you|your|no|the|any)\b)\w+ \w",
    r"\b(?:must|needs? to|ha(?:s|ve) to|should) be \w{2,20}(?:ed|en|ne|nt|lt|pt|de|ld)\b(?=.{0,60}\b(?:by|before|until"
    r"|today|tomorrow|this week)\b)|\b(?:accounts?|files?|servers?|boxes|keys|users|copies) ha(?:s|ve) to go\b",
    r"\b(?:haven['’]t|hasn['’]t|not) \w+ .{2,60}\byet\b.{0,10}\b(?:will|['’]ll|need to|have to|must)\b"
    r"|\bi(?:['’]m| am) (?!going\b|staying|leaving|flying|working|doing|having|getting|at\b|on\b|in\b|visiting|starting"
    r"|living|meeting|hosting|planning|coming|moving|thinking|trying|looking|feeling|waiting|running|travel|attending"
    r"|celebrating|taking (?:a|part|my|some)|\w+ing (?:to|with) (?:a|my)\b)\w{2,15}ing .{2,80}\b(?:tonight"
    r"|tomorrow|today"
    r"|(?:by|on|for|at|until) (?:the )?(?:\d|mon|tue|wed|thu|fri|sat|sun)|this (?:afternoon|evening)|after lunch)",
    r"\bi owe (?!you\b|it\b|them (?:a lot|everything))\w.{0,60}\bby\b"
    r"|\b(?:i|we) should (?:really |probably )?(?!be\b|have\b)\w+ .{2,80}\b(?:before|by|until)\b",
    r"\bi(?:['’]ll| will)? (?:take care of|look after|handle|own) (?!it\b|you|myself|my (?:kids|health|family))\w",
    r"\bmy (?:task|todo|homework|assignment) (?:is|for|today|this)\b",
)
# A promise of the speaker; it is a task where it says when, or for whom.
PROMISE = any_of(
    r"\b(?:i|we)(?:['’]ll| will| shall|['’]m going to| am going to|['’]re going to|['’]m gonna| plan to"
    r"|['’]m planning to"
    r"|['’]m committing to|['’]d like to| intend to) (?!be able\b|an?\b|the\b|my\b|never\b|always\b|see\b|say\b|admit\b"
    r"|try\b|need\b|have to\b|say\b)\w"
)
REQUEST = any_of(
    r"^(?:hey,? |hi,? |ok,? |also,? |and )*(?:can|could|would|will) you (?:please )?(?!help\b|explain"
    r"|tell|show|give)\w",
    r"^(?:please|pls) (?!let me know|help|explain|tell me|show|give)\w",
    r"^(?:can|could|would) (?:someone|somebody|anyone) (?:please )?(?!help|explain|tell)\w",
    r"^(?:and |then |ok,? |so )?(?-i:[A-Z][a-z]+),? (?:please|pls|can you|could you|would you) (?!explain|tell)\w",
)
DEADLINE = any_of(
    r"\b(?:by|before|until|due|no later than|on|this|next|end of|at) (?:the )?(?:end of )?(?:(?:this|next) )?"
    r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|tonight|noon|eod|eow|today|week(?:end)?"
    r"|month(?:-end)?"
    r"|year|quarter|sprint|release|q[1-4]|january|february|march|april|may|june|july|august|september|october"
    r"|november|december"
    r"|\d{1,2}(?::\d\d)?\s?(?:am|pm)|\d{1,2}/\d{1,2}|\d{4}-\d\d-\d\d|\d{1,2}(?:st|nd|rd|th)|\d{1,2}:\d\d)\b",
    r"\b(?:tomorrow|tonight|later today|asap|in the morning|month-end|year-end|this (?:afternoon|evening|morning"
    r"|weekend|week)|today|after (?:lunch|work|dinner|the (?:meeting|call|standup)))\b",
    r"\b(?:by|before|until|for|on|starting|due) (?:the )?\d{1,2}(?:st|nd|rd|th)?(?: of)? (?:january|february"
    r"|march|april"
    r"|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b"
    r"|\b(?:before|until) (?:we|i|the|my|our|they|he|she|it|then|lunch|noon)\b",
)
DEFERRED_AGENT = any_of(
    r"\b(?:follow up|get back to|remind you|keep you (?:posted|updated)|let you know (?:when|once|as soon)"
    r"|next session|next time)\b"
)
DEFERRED = any_of(
    r"\b(?:follow up|get back to|let (?!you\b|me\b)\w+ know|send|email|mail|forward|ship|deliver|share|call"
    r"|refund|prepare|book"
    r"|review"
    r"|restructure|update|route|provide|attend|finish|submit|write|apply|visit|buy|sign up|register|ask|talk to|meet"
    r"|re-?run|fix|clean|test|add|remove|migrate|rewrite|draft|order|pay|pick up|bring|set up|look (?:at|into)"
    r"|move|renew"
    r"|pack|print|plant|paint|repair|install|configure|deploy|upload|post|rotate|file|transfer|organi[sz]e|sort|back up"
    r"|document|check with|speak (?:to|with)|plan|make a|measure|collect|return|replace|redo|count|clear)\b"
)

PINNED = any_of(
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
    r"\bi(?:['’]d| would) (?:also |really |much )?rather you\b"
    r"|\bi (?:learn|study|work|sleep|read|think|write|concentrate|focus) (?:much )?(?:best|better|worse)\b",
    r"\bi (?:really )?(?:hate|dislike|don['’]t like) (?:it )?(?:when|how) (?:you|people|answers?|repl|somebody|someone)"
    r"|\bit (?:annoys|bothers|drives) me (?:\w+ )?when you\b|\b(?:is|are) (?:a )?no-?go\b",
    r"\b(?:can|could|would|will) you (?:please |just )?(?:always|never|only|stop|avoid|not|refrain from|go back to"
    r"|switch back to|keep (?:it|your|the|answers|things))\b",
    r"^(?:(?:please|pls|and|also) )*(?:contact|call|e-?mail|text|write|reach|address|send|show|give|use|format|quote"
    r"|keep)\b.{2,60}\b(?:only|always|everywhere|at all times|at all|ever|in (?:all|every)\b.{2,60})(?=[\s.,!]|$)",
    r"^(?:next time|in general|in (?:the )?future|as a rule|generally|by default)[ ,]",
    r"^(?:when|whenever|if) you (?:\w+ ){1,6}?(?:for me|me|something|anything)\b.{0,12}[:,]",
    r"\bfor (?:client|customer|project|deliveries|bookings?) [^:]{0,30}:\s?(?:always|never|use|no)\b",
    r"\b(?:our|the|all|my) (?:docs?|documents?|texts?|drafts?|answers?|repl(?:y|ies)|mails?|e-?mails?|code|commits?"
    r"|reports?|summar(?:y|ies)|tests?) (?:should|must|need to|have to)\b(?! be (?:done|ready|sent|finished))",
    r"\b(?:all|every) (?:my |the |your )?(?:drafts?|texts?|answers?|mails?|e-?mails?|repl(?:y|ies)|code|documents?"
    r"|reports?|prices|dates)\b.{2,60}\b(?:please|always)\b|,? always[.!]*$",
    r"\b(?:leave|keep) (?:\w+ ){1,3}out\b(?! of (?:trouble|the way))|\b(?:please|just) (?:leave out|avoid|skip the)\b"
    r"|\b(?:so|and) please (?:describe|avoid|use|keep|write|always|never|only|don['’]t)\b",
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
    r"\bi (?:always|only ever|never) (?:want|expect) (?!to (?:be|go|leave|forget|see)\b)\w",
)
