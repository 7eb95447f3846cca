"""What people said in a turn, sentence by sentence; code, logs, tables and quotations are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_CHARS = 24_000  # looked at per turn: two thirds from its head, the rest from its tail
LONGEST_LINE = 4_000  # a longer line is data, not speech

_FENCE = re.compile(r"[ \t]*(```|~~~)")
_TAG = re.compile(r"[ \t]*<([A-Za-z][\w-]{0,40})(?:\s[^<>]{0,200})?>")
_ITEM = re.compile(r"[ \t]*(?:[-*+•–—]|\(?\d{1,3}[.)]|[a-zA-Z]\))[ \t]+(?:\[([ xX])\][ \t]+)?")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+|[ \t]*\*\*[^*]{1,80}\*\*:?[ \t]*$|[ \t]*[-=_*]{3,}[ \t]*$")
_NOT_SPEECH = re.compile(
    r"""[ \t]*(?:[|>] | \$\ | >>>\ | \.\.\.\ | @@ | diff\ --git | \+\+\+\ | ---\ | File\ " | Traceback\ \( |
    \d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d | \[?\d\d:\d\d:\d\d | at\ [\w.$<>]+\ ?\( |
    (?:[\w.]+)?(?:Error|Exception|Warning):\s | (?:INFO|DEBUG|WARN|WARNING|ERROR|FATAL|TRACE)\b |
    (?:npm|pip|git|docker|kubectl|sudo|curl|cd|ls|def|func|const|var|SELECT|INSERT)
    \ [^\s,.]+(?:\s[^\s,.]+){0,3}\s*[;:({)}]*$ | from\ \S+\ import\b | import\ [\w.]+(?:\ as\ \w+)?;?$ |
    export\ \w+= | class\ \w+[(:{] | return\b[^\n]{0,80}[;)(\]\[{}=]$ | \#!/ | // | /\*)""",
    re.VERBOSE,
)
_SYMBOL = re.compile(r"[{}();=<>\[\]|\\$&]")
_END = re.compile(r"[.!?…]+[)\"'”’*_\]]*(?=\s|$)|;(?=\s)")
_QUOTATION = re.compile(r"(?<!\w)\"[^\"\n]{1,1200}\"|“[^”\n]{1,1200}”|«[^»\n]{1,1200}»|„[^“”\n]{1,1200}[“”]")
_TITLE = re.compile(r"(?<!\w)[\"“](?=\w)[^\"”\n]{1,80}[^\"”\n.!?][\"”]")  # a quotation that is no sentence
_INLINE_CODE = re.compile(r"`[^`\n]{1,400}`")
_MARKS = re.compile(r"\*\*|^\*|\*$|^_(?=\w[^_]* )|(?<=\w)_$|(?<=[.!?])_$")
_INITIALS = re.compile(r"(?:[a-z]\.){1,4}[a-z]$")
_LETTER = re.compile(r"[^\W\d_]")
# Texts that programs put into the user's mouth: they are nobody's speech.
INJECTED = re.compile(
    r"\s*(?:\[request interrupted|operation stopped by hook|this session is being continued from"
    r"|caveat: the messages below|\[image|api error)",
    re.IGNORECASE,
)
# After these a full stop ends no sentence; after the second set it does when a capital follows.
_NEVER_LAST = frozenset(
    re.findall(r"\S+", "e.g i.e vs mr mrs ms dr prof st fig figs approx cf al eq sec ch vol resp incl excl est")
)
_RARELY_LAST = frozenset(
    re.findall(
        r"\S+",
        "etc a.m p.m u.s u.k inc ltd co corp jr sr dept no jan feb mar apr jun jul aug sep sept oct nov dec "
        "mon tue wed thu fri sat sun min max avg",
    )
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a turn: `quote` is the turn's own characters, `text` the same on one line without marks.

    `under` is the heading or lead-in that it stands under; `box` is the mark of a check box, " " or "x"; `quoted`
    says that most of it stands in quotation marks, which may open in one sentence and close in another.
    """

    text: str
    quote: str
    under: str = ""
    item: bool = False
    box: str | None = None
    quoted: bool = False


def sentences(text: str) -> list[Sentence]:
    """The sentences of `text` in order; time is linear in `MOST_CHARS`, whatever the text."""
    found: list[Sentence] = []
    for part in _looked_at(text):
        found += _of_part(part)
    return found


def _looked_at(text: str) -> Iterator[str]:
    if len(text) <= MOST_CHARS:
        yield text
        return
    head, tail = text[: MOST_CHARS * 2 // 3], text[-MOST_CHARS // 3 :]
    yield head[: head.rfind("\n") + 1] or head[: head.rfind(" ") + 1]  # ends on a border, so that nothing is cut in two
    yield tail[tail.find("\n") + 1 :] if "\n" in tail else tail[tail.find(" ") + 1 :]


def _of_part(text: str) -> Iterator[Sentence]:
    under = ""
    for start, end, item, box in _paragraphs(text):
        if not item and not box and _HEADING.match(text, start, end):
            under = _clean(text[start:end]).strip("#: ")
            continue
        pieces = list(_split(text, start, end))
        marks = [m.span() for m in _QUOTATION.finditer(text, start, end)]
        for first, last in pieces:
            quote = text[first:last]
            cleaned = _clean(quote)
            if cleaned:
                yield Sentence(cleaned, quote, under, item, box, _mostly(marks, first, last))
        if text[start:end].rstrip().endswith(":") and pieces:
            under = _clean(text[slice(*pieces[-1])]).strip("#: ")
        elif not item:
            under = ""


def _mostly(marks: list[tuple[int, int]], first: int, last: int) -> bool:
    within = sum(max(0, min(last, b) - max(first, a)) for a, b in marks)
    return within * 5 > (last - first) * 3


def _paragraphs(text: str) -> Iterator[tuple[int, int, bool, str | None]]:
    """(start, end, is an item, its box) of each run of lines that reads as one; what is not speech is left out."""
    waiting: tuple[int, int, bool, str | None] | None = None
    for start, end in _lines(text):
        item = _ITEM.match(text, start, end)
        if waiting and not item and _continues(text, waiting[0], waiting[1], start, end):
            waiting = (waiting[0], end, waiting[2], waiting[3])
            continue
        if waiting:
            yield waiting
        waiting = (item.end(), end, True, item[1] and item[1].lower()) if item else (start, end, False, None)
    if waiting:
        yield waiting


def _continues(text: str, start: int, end: int, next_start: int, next_end: int) -> bool:
    """Whether the line goes on with a sentence that was broken to fit a width."""
    if next_start - end > 1 or end - (text.rfind("\n", start, end) + 1 or start) < 55:
        return False
    first = text[next_start:next_end].lstrip()[:1]
    return text[end - 1] not in ".!?:;|" and (first.islower() or first.isdigit() or first in "(`\"'")


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Lines of speech as (start, end)."""
    at, fence, after_item = 0, "", False
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        start, at = at, end + 1
        mark = _FENCE.match(text, start, end)
        if mark:
            fence = "" if fence == mark[1] else fence or mark[1]
        elif not fence and start < end:
            tag = _TAG.match(text, start, end)
            closing = text.find(f"</{tag[1]}>", tag.end()) if tag else -1
            if tag and closing >= 0:
                at = min(len(text), closing + len(tag[1]) + 3)
                continue
            mark = _ITEM.match(text, start, end)
            said = mark.end() if mark else start
            if not _is_code(text, said, end, bool(mark) or after_item):
                yield start, end
            after_item = bool(mark) or (after_item and text[start : start + 1].isspace())


def _is_code(text: str, start: int, end: int, item: bool) -> bool:
    if end - start > LONGEST_LINE or _NOT_SPEECH.match(text, start, end):
        return True
    line = text[start:end]
    if not item and line.startswith(("    ", "\t")):
        return True
    bare = line.strip()
    symbols = len(_SYMBOL.findall(_INLINE_CODE.sub("", bare)))
    return not _LETTER.search(bare) or symbols * 9 > len(bare) > 6 or bare.endswith(("{", "};", ");"))


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    masked = _INLINE_CODE.sub(lambda m: "x" * len(m[0]), text[start:end])
    masked = _TITLE.sub(lambda m: "x" * len(m[0]), masked) if '"' in masked or "“" in masked else masked
    first = 0
    for mark in _END.finditer(masked):
        if _ends(masked, first, mark):
            yield from _trim(text, start + first, start + mark.end())
            first = mark.end()
    yield from _trim(text, start + first, end)


def _ends(masked: str, first: int, mark: re.Match[str]) -> bool:
    following = masked[mark.end() :].lstrip()[:1]
    if mark[0].startswith(("..", "…")):
        return not following.islower()
    if mark[0] != ".":
        return True
    before = masked[first : mark.start()].rsplit(None, 1)[-1:] or [""]
    word = before[0].lstrip("(\"'“‘[").lower()
    if word in _RARELY_LAST:
        return not following.isdigit() if word == "no" else following.isupper()
    if (
        word in _NEVER_LAST
        or _INITIALS.match(word)
        or (len(word) == 1 and word.isalpha() and before[0].isupper() and word != "i")
    ):
        return False
    return not (word.isdigit() and mark.start() - first == len(before[0]))


def _trim(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] == ";"):
        end -= 1
    if start < end:
        yield start, end


def _clean(text: str) -> str:
    return _MARKS.sub("", " ".join(text.split())).strip()
