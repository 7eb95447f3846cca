"""Grounding: whether a quote stands in the turns, and which details of a text they do not carry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from carryover.core.sentences import MOST_CHARS
from carryover.core.session import Turn
from carryover.core.snapshot import Finding, Found
from carryover.memory.speech import LONGEST_NAME
from carryover.memory.words import MONTH, STOP, WEEKDAY, stem, words

_DATES = "|".join(
    sorted((name for name in (*MONTH, *WEEKDAY) if len(name) > 3 and name != "march"), key=len, reverse=True)
)
_CODE = re.compile(
    r"""
    `(?P<code>[^`\n]{1,80})`
  | "(?P<quoted>[^"\n]{1,80})" | “(?P<curly>[^”\n]{1,80})”
  | (?P<url>https?://[^\s<>"')\]]{1,300}) | (?P<mail>[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,32}){1,4})
  | (?P<hex>\b(?=[0-9a-f-]{0,40}\d)(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[0-9]{0,40}[a-f])[0-9a-f]{7,40})\b)
  | (?P<flag>(?<![\w-])--?[A-Za-z][\w-]{0,40})
  | (?P<path>(?<![\w/])(?:~|\.{1,2})?(?:/[\w.@-]{1,80}){2,20}/? | \b[\w.@-]{1,80}(?:/[\w.@-]{1,80}){1,20}\.\w{1,8}\b)
  | (?P<file>\b[\w-]{1,80}(?:\.[\w-]{1,40}){0,4}\.(?:py|js|ts|tsx|jsx|go|rs|java|kt|rb|php|c|h|cc|cpp|cs|sh|sql|md|txt
      |json|ya?ml|toml|ini|cfg|env|lock|html|css|csv|pdf|png|jpe?g|svg|xml|db|log|conf|ipynb|docx?|xlsx?)\b)
  | (?P<name>\b(?:v\d{1,4}(?:\.\d{1,6}){1,4} | [A-Za-z]\w{0,60}_\w{1,60} | [a-z]{1,30}[A-Z]\w{0,60}
      | [A-Z]{1,3}[a-z]{1,30}[A-Z]\w{0,60}
      | [A-Z][A-Z0-9]{1,30} | [A-Za-z]{1,20}(?:-[A-Za-z0-9]{1,20}){0,4}-\d[\w.]{0,10}
      | [A-Za-z]{1,12}\d{1,8})\b(?:\(\))? | \b[A-Za-z_]\w{0,60}\(\))
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+){0,6}")
_DATE_WORD = re.compile(rf"\b(?:{_DATES})\b", re.IGNORECASE)
_CAPITAL = re.compile(r"(?<![\w.-])[A-Z][\w'’]*(?:\ [A-Z][\w'’]*){0,4}")
_OPENS = re.compile(r"(?:^|[.!?:;\n—•]\s*|[\"'“(*\[-])\Z")
# A capitalised word that opens a sentence is a name where it does what people do, unless it is one of these.
_PERSON_VERB = re.compile(
    r"['’]s\b|\ (?:decided|prefers|wants|said|asked|works|lives|likes|promised|agreed|put|chose|picked|plans"
    r"|manages|leads"
    r"|joined|left|sent|told|moved|bought|met|called|wrote|owns|thinks|hates|loves|suggested|proposed|confirmed"
    r"|accepted)\b"
)
_NO_NAMES = STOP | {"user", "assistant", "team", "client", "customer", "company", "group", "management"}
_SPACE = re.compile(r"\s+")


def holds(quote: str, turns: Sequence[Turn], first: int, last: int) -> bool:
    """Whether the quote stands, character by character, in the text of one turn between `first` and `last`."""
    return bool(quote.strip()) and any(quote in turn.text for turn in turns if first <= turn.seq <= last)


def verbatim(quote: str, turns: Sequence[Turn], first: int, last: int) -> str | None:
    """The turn's own characters for a quote that differs from them in white space only; None where there are none."""
    if holds(quote, turns, first, last):
        return quote
    wanted = _SPACE.sub(" ", quote).strip()
    if not wanted:
        return None
    for turn in turns:
        if first <= turn.seq <= last:
            found = _up_to_space(wanted, turn.text)
            if found is not None:
                return found
    return None


def atoms(text: str) -> frozenset[str]:
    """The details that must not be invented: numbers, dates, quoted strings, identifiers, paths and names.

    Each is in lower case; a number is without its thousands separators and its unit. A lone capitalised word that
    opens a sentence is taken for a name only where it acts like one ("Ana prefers ...").
    """
    found: set[str] = set()
    rest: list[str] = []
    at = 0
    for match in _CODE.finditer(text):
        rest += text[at : match.start()], " … " if match.lastgroup in ("quoted", "curly", "code") else match[0]
        at = match.end()
        found.add((match[match.lastgroup] if match.lastgroup else match[0]).strip().lower())
    bare = "".join((*rest, text[at:]))
    found.update(_plain_number(number) for number in _NUMBER.findall(_CODE.sub(" ", bare)))
    found.update(word.lower() for word in _DATE_WORD.findall(bare))
    found.update(_names(bare))
    return frozenset(atom for atom in found if atom)


def unsupported(text: str, turns: Sequence[Turn]) -> frozenset[str]:
    """Atoms of `text` that occur neither in the text of the turns nor as the name of a speaker."""
    wanted = atoms(text)
    if not wanted:
        return wanted
    missing = wanted - carried(wanted, "\n".join(part for turn in turns for part in _spoken(turn)).lower())
    return missing.difference(*(atoms(turn.text) for turn in turns)) if missing else missing


def strays(text: str, turns: Sequence[Turn]) -> frozenset[str]:
    """Words of `text`, but numbers, that neither the turns nor the names of their speakers have, in whatever form."""
    spoken = "\n".join(part for turn in turns for part in _spoken(turn)).lower()
    stems = {stem(word) for word in words(spoken)}
    named = (word for word in words(text) if not word[0].isdigit())
    return frozenset(word for word in named if stem(word) not in stems and not _stands(word, spoken))


def uncovered(turns: Sequence[Turn], findings: Sequence[Found | Finding]) -> dict[int, frozenset[str]]:
    """By turn, the atoms that people and agents said and that no finding carries in its text or quotes."""
    parts: list[str] = []
    for finding in findings:
        quotes = [finding.quote] if isinstance(finding, Found) else [source.quote for source in finding.sources]
        parts += [finding.text, *quotes]
    kept = "\n".join(parts).lower()
    open_atoms: dict[int, frozenset[str]] = {}
    for turn in turns:
        if turn.kind == "message" and turn.role in ("user", "assistant"):
            said = atoms(turn.text[:MOST_CHARS])
            missing = said - carried(said, kept)
            if missing:
                open_atoms[turn.seq] = missing
    return open_atoms


def carried(wanted: frozenset[str], lowered: str) -> frozenset[str]:
    """Those atoms that stand in a text in lower case, as whole words or numbers: 2.9 carries neither 2 nor 9."""
    numbers = {reading for number in _NUMBER.findall(lowered) for reading in _readings(number)}
    return frozenset(
        atom for atom in wanted if (atom in numbers if _NUMBER.fullmatch(atom) else _stands(atom, lowered))
    )


def _readings(number: str) -> Iterator[str]:
    """A number as it may be named: whole, the parts of a date, a time, a range or a list, a version's beginnings."""
    yield _plain_number(number)
    for part in re.split("[:/-]", number):
        yield _plain_number(part)
        if _plain_number(part) == part and "," in part:
            yield from part.split(",")
        steps = part.split(".")
        if len(steps) > 2:
            yield from (".".join(steps[:n]) for n in range(1, len(steps)))


def _stands(atom: str, lowered: str) -> bool:
    at = lowered.find(atom)
    while at >= 0:
        before, after = lowered[at - 1 : at], lowered[at + len(atom) : at + len(atom) + 1]
        if not (before.isalnum() and atom[0].isalnum()) and not (after.isalnum() and atom[-1].isalnum()):
            return True
        at = lowered.find(atom, at + 1)
    return False


def _spoken(turn: Turn) -> tuple[str, ...]:
    """What the turn says, and who speaks: by name, also as a statement cuts it, and by role."""
    name = turn.name or ""
    return _bare(turn.text), name, name[:LONGEST_NAME], turn.role


def _bare(text: str) -> str:
    return " ".join(text.replace("**", "").split())


def _plain_number(number: str) -> str:
    return number.replace(",", "") if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", number) else number


def _names(text: str) -> set[str]:
    names: set[str] = set()
    for match in _CAPITAL.finditer(text):
        words = match[0].split(" ")
        if _OPENS.search(text[max(0, match.start() - 3) : match.start()]):
            acts = _PERSON_VERB.match(text, match.end()) or words[0].endswith(("'s", "’s"))
            if words[0].lower() in _NO_NAMES or (len(words) == 1 and not acts):
                words = words[1:]
        name = " ".join(words).lower().removesuffix("'s").removesuffix("’s")
        if name and name not in STOP and not name.startswith(("i'", "i’")):
            names.add(name)
    return names


def _up_to_space(wanted: str, text: str) -> str | None:
    """The stretch of `text` that reads as `wanted` once every run of white space is one space."""
    squeezed: list[str] = []
    places: list[int] = []
    for match in re.finditer(r"\S+|\s+", text):
        piece = " " if match[0].isspace() else match[0]
        squeezed.append(piece)
        places.extend(range(match.start(), match.start() + len(piece)))
    at = "".join(squeezed).find(wanted)
    return None if at < 0 else text[places[at] : places[at + len(wanted) - 1] + 1]
