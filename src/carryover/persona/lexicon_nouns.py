"""What answers are made of, by which a value that nobody knows shows what it is about. English only, singular."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What is answered with.
SPOKEN = _words("answer reply response explanation message output text replie writeup write-up")
SIZES = _words(
    "short long brief terse concise compact lengthy extended extensive thorough detailed in-depth exhaustive quick "
    "shorter longer briefer fuller full-length long-form short-form tiny complete bite-sized succinct comprehensive"
)
MEASURES = _words("sentence paragraph page word line one-liner essay length syllable treatise article")
TONES = _words("tone voice manner accent attitude humor humour warmth irony sarcasm")
FORMS = _words(
    "list bullet outline note heading subheading section table diagram chart flowchart graph snippet template column "
    "row footnote checklist timeline sketch step layout format markdown html json yaml csv q&a faq mindmap mind-map "
    "storyboard script screenplay dialogue infographic blockquote tldr notation pseudocode transcript"
)
# What answers are full of, and people do not want in them.
ORNAMENTS = _words(
    "anecdote aside comparison reference allusion phrase expression idiom sentence semicolon comma colon dash "
    "punctuation opening ending greeting sign-off preamble recap summary question quote quotation praise pun joke "
    "footnote warning hedge hedging moralizing moralising lecture advice filler repetition restatement abbreviation "
    "acronym emoji emoticon parenthesis parenthese bracket analogie analogy metaphor simile superlative cliché "
    "cliche word jargon slang disclaimer caveat apology apologie compliment flattery pleasantry pleasantrie "
    "interjection hashtag caps italics bold rhyme proverb saying adverb exclamation digression tangent platitude "
    "intro introduction conclusion reminder lecturing restating repeating preaching hyperbole"
)
# "no problem": nobody asks for fewer of them.
NOT_UNWANTED = _words(
    "idea problem problems worries need way doubt one thanks thank matter rush hurry pressure offense offence clue "
    "reason more longer wonder luck kidding joke chance big not no yes sure sir it that this them wait sorry please "
    "i you we biggie stress fear bother comment other else further there"
)
