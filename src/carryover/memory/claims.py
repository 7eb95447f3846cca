"""Cues of facts: what people say of themselves and of things, and what agents report of their work."""

from __future__ import annotations

from carryover.memory.cue import any_of

FACT_MARK = any_of(
    r"^(?:fyi|note(?: that|:)|(?:just )?confirmed|for (?:the record|your (?:information|reference))"
    r"|remember(?: that)?|keep in mind"
    r"|heads[- ]up|(?:it )?turns out|important:|just so you know|correction|good to know|context:|background:)(?!\w)",
    r"\b(?:it turns out|turned out|root cause|the culprit)\b",
)
# A person about himself or herself: what is, has been or was done.
SELF = any_of(
    r"\bi(?:['’]m| am) (?:a|an|the|from|based|allergic|vegan|vegetarian|married|single|in|on|at|with|off|working"
    r"|studying"
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
OWN = any_of(
    r"\b(?:my|our)\s+(?:[\w'’+#./-]+\s+){1,6}?(?:is|are|was|were|has|have|had|lives?|works?|runs?|uses?|needs?"
    r"|costs?|fails?|breaks?|crash(?:es)?|\w{2,20}ed|loves?"
    r"|likes?|wants?|got|made|went|came|gave|turned|starts?|begins?|ends?|passed|moved|said|will be|contains?"
    r"|includes?)\b",
    r"\bi(?:['’]m| am) (?:currently |now )?(?:building|working on|writing|developing"
    r"|designing|organi[sz]ing|launching|migrating|planning an?)\b",
    r"^(?:my|our)\s+[\w'’+#./ -]{2,60}\s?[:=]\s?\S",
)
STATE = any_of(
    r"\b(?:is|are|was|were|isn['’]t|aren['’]t|has|have|had|lives?|runs?|uses?|costs?|takes?|requires?|needs?"
    r"|supports?|contains?"
    r"|stores?|returns?|points? to|listens? on|expires?|starts?|begins?|ends?|launch(?:es|ed)?|depends on|equals"
    r"|holds?|owns?"
    r"|moved|changed|prefers?|wants?|works?|belongs?|limits?|allows?|opens?|closes?|goes|go|became|joined|left"
    r"|became|wrote"
    r"|got|bought|increased|decreased|dropped|rose|fell|grew|won|lost|born|scheduled|located|hosted|deployed)\b",
    r"^(?!https?:)[\w`'’. -]{2,50}\s?[:=]\s?\S",
)
YOUR = any_of(r"^your\s+(?:[#\w'’-]+\s+){0,5}?(?:is|are|was|has|will|expires?|ships?|renews?|starts?|ends?)\b")
# Anything said of something or somebody, by the look of its words: enough only where it carries details.
ANY = any_of(
    r"^(?:and |but |so |then )?(?:the|a|an|my|our|his|her|their|this|each|every|all|both|no|two|three|\d[\d.,]*"
    r"|last|next"
    r"|today|yesterday|this|(?-i:[A-Z][\w'’-]+)|[\w'’-]{3,20}) (?:[\w'’.-]+ ){0,6}?(?!this\b|yes\b|plus\b|us\b"
    r"|always\b)"
    r"(?:[a-z]{3,18}(?:s|ed)\b|(?:can['’]t|won['’]t|don['’]t|['’]s|was|were|is|are|had|has|went|got|came|came"
    r"|cost|met|ran|put|cut|set|hit|won|lost"
    r"|swallowed|said)\b)",
    r"^i (?:also |really |usually |mostly |never |always |only )?(?!think|guess|mean|hope|know|see|understand"
    r"|agree|wonder"
    r"|believe|feel|suppose|would|could|should|might|may|can|will|do\b|did|don|just|appreciate|need|have to|am"
    r"|was|was|bet"
    r"|want to (?:know|see)|try|get it|saw|said|love (?:it|that|this|how|your))[a-z]+ \w",
    r"^[\w'’-]+['’]s \w+ \w|\b(?:it|he|she|there)['’]s (?!so\b|really|been|great|a (?:great|good)|such)\w",
)
# What people think of something, rather than what is so.
OPINION = any_of(
    r"\b(?:i (?:think|guess|feel|believe|suppose|bet|mean|doubt|hope)|imo|imho|honestly|probably|hopefully"
    r"|kind of|sort of"
    r"|seems?|looks? like|sounds? like|apparently|basically)\b",
    r"\b(?:amazing|awesome|great|nice|cool|fun|beautiful|lovely|wonderful|incredible|fantastic|inspiring"
    r"|so (?:good|much"
    r"|happy|proud|excited|cute|true)|perfect|ugly|boring|weird|best (?:thing|part|day)|worth it|important"
    r"|helps? (?:me|you"
    r"|us)|feels?|makes? (?:me|you|it|us))\b",
)
# What hearts are full of: nothing is decided or promised by it.
FEELING = any_of(
    r"\b(?:inspir\w+|joy\w*|passion\w*|meaningful|fulfilling|thankful|grateful|proud|emotion\w*|memor(?:y|ies)"
    r"|memorable"
    r"|dreams?|journey|special|unforgettable|reminds|reminded|motivat\w+|vibes?|bonds?|strength|happiness|feeling"
    r"|loved ones|life['’]s|obsessed|magical|rewarding|therapeutic|relax\w*|peaceful|heart\w*|hope|thrill\w*|excit\w+"
    r"|energy|connected|connection|determin\w+|worth|bring(?:s|ing)? (?:me|us|people|out))\b",
)
# What an agent reports of its own work.
REPORT = any_of(
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
    r"^(?:booked|reserved|scheduled|ordered|sent|done|set|cancell?ed|fixed)\b\s?[:,]?\s\w",
    r"\b(?:i['’]ve|i have) (?:now |also |just |already )?(?:\w{3,20}ed|put|made|written|built|run|set)\b",
    r"\b(?:is|are|takes?|has|have|allows?|supports?|returns?|runs?|uses?) now\b|\bnow (?:is|are|takes?|has|have|allows?"
    r"|supports?|returns?|runs?|uses?|costs?)\b|\bwent (?:up |down )?from\b.{1,40}\bto\b|\bgoes now\b",
    r"^(?:a|an|the|your) (?:\w+ ){1,4}will (?:visit|call|arrive|ship|come|contact|expire|start|end"
    r"|be (?:delivered|sent))",
    r"\b(?:is|are) (?:limited|restricted|capped) to\b|\b(?:prefix|limit|version|port|path|endpoint|name|total"
    r"|result|sum"
    r"|reference|number) (?:is|was) (?:now )?[`\d$€£(]|\b(?:takes?|took) \d",
    r"^(?:it )?turns out\b|^confirmed\b|\bhas been (?:deployed|merged|published|released|booked|scheduled"
    r"|cancell?ed|sent)\b",
)
