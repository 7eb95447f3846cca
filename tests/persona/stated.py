"""Sentences of users and what each says of how they want to be served: written by hand before the rules were tuned.

Each line: the sentence, then what should be noticed, as `facet value +` or `facet value -`, with `?` where it is only
implied; several are parted by `;`, and nothing after the bar means that nothing should be noticed. `own` is the facet
of what belongs to none. Every third line is held out: the rules were not tuned on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from carryover.core.persona import PERSONAL, Polarity

_LINES = """
Please use bullet points from now on. | format bullet points +
From now on, answer me in bullet points. | format bullet points +
Could you always put comparisons in a table? | format tables +
I'd rather have a table than a wall of text. | format tables +; avoid long answers -
No bullet points, please. | format bullet points -
Don't use tables, they break on my phone. | format tables -
Give me the code first and the explanation after. | format code first +
Just the code, please. | format code only +
Step by step instructions work best for me. | format numbered steps +
Write your answers as plain prose. | format plain prose +
I prefer numbered lists over bullets. | format numbered steps +; format bullet points -
Summarise this article as bullet points. | format bullet points + ?
Start every answer with a short summary. | format summary first +
Always give me the TL;DR first. | format summary first +
Put the summary at the end, not at the beginning. | format summary last +
I love diagrams, they help me understand. | format diagrams +
Please include sources in your answers. | format links to sources +
Show me diffs instead of whole files. | format diffs +; format complete files -
I want complete files, not snippets. | format complete files +
Markdown is fine, but skip the headings. | format headings -
Stop formatting everything as lists. | avoid lists -
Use JSON for structured results from here on. | format json +
I learn best from worked examples. | format worked examples +
Analogies really help me. | format analogies +
Put it in a table. | format tables + ?
Can you turn this into a checklist? | format checklists + ?
Explain it with an analogy. | format analogies + ?
I hate it when you use tables. | format tables -
In your replies, use headings for each section. | format headings +
Not tables, bullet points. | format bullet points +; format tables -
Actually, I'd prefer a numbered list. | format numbered steps +
I said bullet points! | format bullet points +
Keep it short. | length short answers +
Keep your answers short and to the point. | length short answers +; tone direct +
Please be brief. | length short answers +
Be concise from now on. | length short answers +
That's way too long. | length short answers +
Your last answer was too short, I need more depth. | length detailed answers +
I like long, detailed explanations. | length detailed answers +
Thanks, but shorter. | length short answers + ?
Shorter please. | length short answers + ?
Make this paragraph shorter. | length short answers + ?
One sentence answers are enough for me. | length one line answers +
Answer in one sentence. | length one line answers +
I don't need long explanations. | avoid long answers -
Don't hold back on detail, I want in-depth answers. | length detailed answers +
In general I prefer short replies. | length short answers +
Always show your reasoning. | length reasoning shown +
I just want the answer, no explanations. | length answer without explanation +
More detail please. | length detailed answers + ?
No walls of text. | avoid long answers -
I can't stand long-winded answers. | avoid long answers -
Could you elaborate a bit more on this? | length detailed answers + ?
Only give me the key facts. | length key facts only +
Brevity matters to me, so keep replies concise. | length short answers +
I asked for a short answer. | length short answers +
Be more formal, please. | tone formal + ?
Use a formal tone in all your replies. | tone formal +
That's too formal. | tone casual +
You sound too casual, this is for work. | tone formal +
Talk to me like a friend. | tone casual +
I'd like you to be direct with me. | tone direct +
Be blunt, I can take it. | tone direct +
Don't sugarcoat it, I want honest feedback. | tone critical +
A bit of humor is welcome. | tone humorous +
I enjoy a playful tone. | tone humorous +
Please stay neutral and objective. | tone neutral +
I need an encouraging tone, I get discouraged quickly. | tone encouraging +
I don't like an overly enthusiastic tone. | tone enthusiastic -
Explain like I'm five. | tone simple language +
Use plain English, please. | tone simple language +
Explain things in simple terms. | tone simple language +
Don't dumb it down, you can be technical. | tone technical language +
That's too technical for me. | tone simple language +
I prefer precise technical language. | tone technical language +
Less formal, please. | tone casual + ?
Guide me with questions instead of answers. | tone guiding questions +
Challenge me, I like devil's advocate. | tone critical +
Please write in a friendly tone. | tone friendly +
I'd rather you were straightforward than polite. | tone direct +; tone polite -
I'm a complete beginner at programming. | expertise new to programming +
I'm new to coding. | expertise new to programming +
I've never programmed before. | expertise new to programming +
I'm a senior developer with ten years of experience. | expertise experienced programmer +
You can skip the basics. | expertise experienced programmer +
I'm a nurse. | expertise health professional +
I work as a lawyer. | expertise legal professional +
I'm an accountant by trade. | expertise finance professional +
As a teacher, I need clear material. | expertise teacher + ?
I'm a PhD student. | expertise student +
I'm not a technical person. | expertise not technical +
I can't code at all. | expertise not technical +
I am a data scientist. | expertise data scientist +
I've been writing software for fifteen years. | expertise experienced programmer +
I'm a product manager at a small startup. | expertise manager +
I work as a beekeeper. | expertise beekeeper +
I teach chemistry at a high school. | expertise teacher +
I'm new to gardening. | expertise new to gardening +
We are designers. | expertise designer +
My job is being a paramedic. | expertise health professional +
I have no coding experience. | expertise not technical +
I'm just starting to learn Python. | expertise new to programming +
I'm a backend engineer. | expertise backend developer +
I'm an undergrad. | expertise student +
I work in finance. | expertise finance professional +
I work in marketing. | expertise marketer +
I'm interested in astronomy. | domain space +
Most of my questions are about investing. | domain investing +
My hobby is photography. | domain photography +
I'm really into cooking. | domain cooking +
I've been learning about machine learning. | domain machine learning +
I love gardening. | domain gardening +
I'm studying law. | domain law +
I'm passionate about climate change. | domain climate and environment +
I mostly ask about personal finance. | domain personal finance +
I'm curious about philosophy. | domain philosophy and religion +
We use Django and Postgres. | stack django +; stack postgresql +
I work in Python. | stack python +
I mostly write TypeScript. | stack typescript +
I code in Rust. | stack rust +
Our backend is written in Go. | stack go +
Our stack is React, Node and MongoDB. | stack react +; stack node.js +; stack mongodb +
I prefer Vue over React. | stack vue +; stack react -
I don't like Java. | stack java -
I hate PHP. | stack php -
I'm on Linux. | stack linux +
My editor is Vim. | stack vim +
We deploy everything on Kubernetes. | stack kubernetes +
I'm using FastAPI with SQLite. | stack fastapi +; stack sqlite +
Please use Python for all code examples. | stack python +
Always use TypeScript, never JavaScript. | stack typescript +; stack javascript -
Write a function in Python that reverses a string. | stack python + ?
We've switched from MySQL to Postgres. | stack postgresql +; stack mysql -
I no longer use Windows. | stack windows -
I don't use jQuery anymore. | own jquery -
I love Rust, the compiler is great. | stack rust +
I'd rather use polars than pandas. | stack polars +; stack pandas -
No C++ please. | stack c++ -
We're a Ruby on Rails shop. | stack ruby +
I run everything on AWS. | stack aws +
My team uses GitLab. | stack gitlab +
I avoid ORMs, plain SQL is better. | own orms -
Can you give me the example in C#? | stack c# + ?
I write my papers in LaTeX. | stack latex +
I'm fluent in Go. | expertise experienced programmer +
Stop using emojis. | avoid emojis -
Please don't use emojis. | avoid emojis -
No emojis. | avoid emojis -
No more apologies, please. | avoid apologies -
Stop apologizing. | avoid apologies -
Don't apologize so much. | avoid apologies -
Avoid jargon. | avoid jargon -
I can't stand buzzwords. | avoid buzzwords -
Skip the disclaimers. | avoid disclaimers -
Spare me the flattery. | avoid flattery -
Please never repeat my question. | avoid repeating the question -
I could do without the exclamation marks. | avoid exclamation marks -
Enough with the follow-up questions. | avoid follow-up questions -
Don't lecture me. | avoid unrequested advice -
Less fluff, please. | avoid filler -
Without filler, please. | avoid filler -
I'm tired of all the caveats. | avoid disclaimers -
Too many emojis! | avoid emojis -
Leave out the pleasantries. | avoid small talk -
Please avoid em dashes. | avoid em dashes -
Write a poem without emojis. | avoid emojis - ?
I find buzzwords annoying. | avoid buzzwords -
Quit telling me great question. | avoid flattery -
I don't want placeholders in code. | avoid placeholder code -
Never give me pseudocode. | avoid pseudocode -
No spoilers, ever. | avoid spoilers -
Please don't use metaphors. | avoid metaphors and analogies -
You don't have to apologize. | avoid apologies -
Jargon drives me crazy. | avoid jargon -
I'd appreciate fewer exclamation points. | avoid exclamation marks -
Slang is not my thing. | avoid slang -
I'm allergic to peanuts. | own peanuts -
I'm vegan. | own vegan +
I follow a gluten-free diet. | own gluten-free diet +
I love spicy food. | own spicy food +
I can't stand cilantro. | own cilantro -
I don't eat meat. | own meat -
I never drink coffee after lunch. | own coffee after lunch -
I have a severe shellfish allergy. | own shellfish -
I'm not a fan of jazz. | own jazz -
I'm a huge fan of science fiction novels. | own science fiction novels +
I can't get enough of sushi. | own sushi +
Nothing beats a window seat. | own window seat +
Country music is not my cup of tea. | own country music -
I'd rather take the train than fly. | own train +; own fly -
I prefer small hotels to big resorts. | own small hotels +; own big resorts -
I avoid crowded places. | own crowded places -
I'm afraid of heights. | own heights -
I have a soft spot for old bookshops. | own old bookshops +
I have no interest in football. | own football -
I only buy second-hand clothes. | own second-hand clothes +
I refuse to fly with budget airlines. | own fly with budget airlines -
I wouldn't mind a bit of rain. | own bit of rain + ?
I like anything but horror films. | own horror films -
My favourite colour is green. | own green +
My kids love pancakes. |
I'm more of a tea person. | own tea +
I hate getting up early. | own getting up early -
I dislike loud restaurants because I hear badly. | own loud restaurants -
I'm not into team sports. | own team sports -
I prefer not to travel by car. | own travel by car -
I don't hate opera. | own opera + ?
I could never live without music. | domain music +
I tend to avoid dairy. | own dairy -
I stick to low-carb meals. | own low-carb meals +
Mushrooms make me sick. | own mushrooms -
I find museums boring. | own museums -
I'm lactose intolerant. | own lactose -
I have an aversion to strong perfume. | own strong perfume -
I'm fed up with streaming services. | own streaming services -
Rock climbing scares me. | own rock climbing -
I enjoy quiet beaches and long walks. | own quiet beaches and long walks +
I adore baroque music. | own baroque music +
I'm obsessed with mechanical keyboards. | own mechanical keyboards +
I don't like it. |
I like this idea. |
I love it, thanks! |
Do you like jazz? |
What do people dislike about Java? |
If I liked opera, I would go more often. |
Suppose I hated emojis, what would you do? |
My boss prefers tables. |
She said she hates bullet points. |
He told me that I like to argue. |
Translate: I love spicy food. |
Write a story about a man who hates music. |
The client wants a formal tone. |
How do I make a table in LaTeX? | stack latex + ?
I used to love horror films. |
What is the difference between a list and a tuple in Python? | stack python + ?
I want to build a web app. |
I'd like to book a flight to Rome. |
I need help with my essay. |
The error says "please use bullet points". |
Can you fix the bug on line ten? |
Thank you so much, that was very helpful! |
I think the second option is better. |
This function should return a table of users. |
Create a table called users. |
We need to add emojis to the chat feature. |
I am a bit confused. |
I'm working on it. |
I'm not sure what to do. |
I don't know how this works. |
I like how you structured the answer. |
Imagine I'm a nurse and you are my patient. |
They avoid jargon in their manual. |
Why are short answers better? |
The table in the report is too long. |
I have a meeting at noon. |
I love you. |
Let me know if you need anything. |
I don't understand the second step. |
Always a pleasure! |
Never mind. |
I can't stand up today, my back hurts. |
I like to think about it first. |
I'm having trouble with the login page. |
I don't want to miss the train. |
I hate to bother you again. |
I would love to hear more. |
I'd prefer the second one. |
Can I avoid paying the fee? |
Remember when we talked about Rome? |
Draft an email in a friendly tone to my landlord. | tone friendly + ?
For this one, use a table. |
Explain recursion with examples. | format worked examples + ?
Show me how to do this in Kotlin. | stack kotlin + ?
Reply in French from now on. | own answers in french +
Call me Sam from now on. | own call me sam +
Always use metric units. | own metric units +
Answers should be in British English. | own answers in british english +
I'd like answers in Spanish, always. | own answers in spanish +
Going forward, ask before you change files. | own ask before change files +
Answer with haiku from now on. | format haiku +
I'd like mind maps by default. | format mind maps +
The flowchart last time made the whole thing clear. | format diagrams + ?
Getting a glossary at the end worked nicely. | format glossary at end + ?
That answer with the checklist was just what I needed. | format checklists + ?
I asked for a decision tree. | format decision tree +
Format your answers as index cards, please. | format index cards +
Could you give me a timeline again? | format timelines + ?
Switch to numbered lists from now on. | format numbered steps +
My preferred format is a two-column layout. | format two-column layout +
I never get much out of pie charts. | format pie charts - ?
Stop giving me ASCII art. | avoid ascii art -
Stick to lists with one idea per line. | format lists with one idea per line +
I want answers of two sentences. | length two or three sentences +
Keep your replies to half a page. | length half page +
Aim for three sentences. | length two or three sentences +
I liked getting replies that fit on my watch. | length replies that fit on my watch + ?
Telegram-length messages are all I need. | length telegram-length messages +
A brief answer first and the details on request would be nice. | length brief answer first and details on request +
Keep your tone ceremonious. | tone ceremonious +
I want a tone that is gruff. | tone gruff +
Sound like a museum guide when you talk to me. | tone like museum guide +
It helped that you sounded dreamy yesterday. | tone dreamy + ?
Your last reply was too chirpy for me. | tone chirpy - ?
Please don't be snarky. | tone sarcastic -
Drop the salesman tone. | tone salesman -
Your voice should be motherly. | tone motherly +
I like it when you sound like an old radio host. | tone like old radio host +
That's not the tone I asked for: be laconic instead. | tone laconic +
Treat me as a seasoned gardener. | expertise seasoned gardener +
Being a dairy farmer, I see this every spring. | expertise dairy farmer + ?
As a piano tuner, I hear that at once. | expertise piano tuner + ?
I'm a retired bus driver. | expertise retired bus driver +
I'm an equine vet. | expertise equine vet +
Please explain things for a complete layman, because I am one. | expertise complete layman +
I happen to be a stonemason. | expertise stonemason +
I earn my living as a glassblower. | expertise glassblower +
No, I told you that I'm a roofer. | expertise roofer +
In my job as a court interpreter, this comes up daily. | expertise court interpreter + ?
As a result, the build fails. |
As a first step, open the door. |
Assume my questions are about beekeeping. | domain beekeeping +
Most of my questions are about sourdough. | domain cooking +
I'm mostly interested in medieval tapestries. | domain medieval tapestries +
I spent all evening on crossword setting. | domain crossword setting + ?
Here's another falconry question. | domain falconry + ?
Please don't bring up celebrity gossip. | domain celebrity gossip -
Cricket bores me to tears. | domain sports -
I'm not interested in horoscopes. | domain astrology -
Numismatics is my field. | domain numismatics +
I watched a documentary on coral reefs. | domain coral reefs + ?
I spent the whole morning on the phone. |
I spent all day on this bug. |
Stick to COBOL in the examples. | stack cobol +
Code examples should be in Nim. | stack nim +
Everything here is written in Ada. | stack ada +
I was fixing a crash in our Erlang setup. | stack elixir + ?
My Haskell project needs another module. | stack haskell + ?
How would I do that with Rust? | stack rust + ?
I had nothing but trouble with Docker. | stack docker - ?
My kitchen project needs another shelf. |
No nautical puns, please. | avoid nautical puns -
I told you before: no rhetorical questions. | avoid rhetorical questions -
Please don't use phrases from the stock market. | avoid phrases from stock market -
I could do without comparisons with chess. | avoid comparisons with chess -
The semicolons in your last answer got in my way. | avoid semicolons - ?
There are too many caveats in your last answer. | avoid disclaimers -
Why all the exclamation marks? | avoid exclamation marks - ?
Again those footnotes! | format links to sources -
No problem, go on. |
No idea, please help. |
Just this once, use a table. |
Use Python for this one only. |
Only for this answer: be formal. |
Today only, keep it short. |
My colleague wants everything in Rust. |
A friend of mine likes bullet points. |
"""

_SIGNS: dict[str, Polarity] = {"+": "like", "-": "avoid"}


@dataclass(frozen=True, slots=True)
class Stated:
    """A sentence and what should be noticed in it: facet, value, polarity, and whether it is explicit."""

    sentence: str
    expected: frozenset[tuple[str, str, Polarity, bool]]
    held_out: bool


def _stated(n: int, line: str) -> Stated:
    sentence, _, expected = line.partition(" |")
    return Stated(sentence, frozenset(_one(part.split()) for part in expected.split(";") if part.strip()), n % 3 == 2)


def _one(words: list[str]) -> tuple[str, str, Polarity, bool]:
    explicit = words[-1] != "?"
    words = words if explicit else words[:-1]
    facet = PERSONAL if words[0] == "own" else words[0]
    return facet, " ".join(words[1:-1]), _SIGNS[words[-1]], explicit


STATED = tuple(_stated(n, line) for n, line in enumerate(_LINES.strip().splitlines()))
