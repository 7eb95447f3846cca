"""Labelled conversations, and how far what an extractor finds in them agrees with the labels.

`memory/gold/{tune,held}` hold them, half of them each, split by a hash of the conversation's name; the README there
says how they are written. Rules are tuned on one half; of the other only totals are ever looked at.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from math import sqrt
from pathlib import Path

from carryover.core.session import Kind, Role, Turn, to_json
from carryover.core.snapshot import Finding, nothing
from carryover.memory.merge import merge
from carryover.memory.rules import Rules

GOLD = Path(__file__).parent / "memory" / "gold"
ALIKE = 0.5  # content-word F1 from which a finding says what a label says
KINDS = ("decision", "fact", "task", "wish", "ended")

_TURN = re.compile(r"(\w[\w .-]{0,30}): (.*)")
_LABEL = re.compile(
    r"  (?P<mark>[=?]) (?P<kinds>[a-z/]+)(?: (?P<id>[a-z-]+))?(?: > (?P<ends>[a-z-]+))?(?: @(?P<back>-\d))?"
    r"(?:: (?P<text>.+))?"
)
_TOOLS: dict[str, tuple[Role, Kind]] = {
    "assistant": ("assistant", "message"),
    "user": ("user", "message"),
    "system": ("system", "message"),
    "call": ("assistant", "tool_call"),
    "tool": ("tool", "tool_result"),
}
_WORD = re.compile(r"\w+(?:[.,:'’/@-]\w+)*")
_STOP = frozenset(
    _WORD.findall("""a an and are as at be been but by do does did for from had has have he her his i i'd i'll i'm i've
    if in is it it's its me my no not of on or our she so that the their them then there they this to up us
    was we we'd we'll we're we've were will with you you're your user assistant now just also please""")
)


@dataclass(frozen=True, slots=True)
class Label:
    """What turns `first`..`last` of a session say; without `must`, to find it is neither right nor wrong."""

    kinds: tuple[str, ...]
    text: str
    session: int
    first: int
    last: int
    must: bool = True


@dataclass(slots=True)
class Talk:
    """The sessions of one conversation, its labels, and which of them the conversation itself ends."""

    name: str
    day: str
    phenomena: str
    sessions: list[list[Turn]] = field(default_factory=list[list[Turn]])
    labels: list[Label] = field(default_factory=list[Label])
    ended: set[Label] = field(default_factory=set[Label])


@dataclass(slots=True)
class Tally:
    """Of one kind: findings that were right and all, labels that were found and all."""

    right: int = 0
    found: int = 0
    hit: int = 0
    labels: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.right + other.right, self.found + other.found, self.hit + other.hit, self.labels + other.labels
        )

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.hit / self.labels if self.labels else 1.0


@dataclass(slots=True)
class Score:
    """A tally by kind; `wrong` and `missed` say what to look at, in the half that may be looked at."""

    by_kind: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    wrong: list[str] = field(default_factory=list[str])
    missed: list[str] = field(default_factory=list[str])

    @property
    def overall(self) -> Tally:
        return sum(self.by_kind.values(), Tally())


def half_of(name: str) -> str:
    """Which half a conversation belongs to, by its name alone."""
    return "held" if hashlib.sha256(name.encode()).digest()[0] % 2 else "tune"


def talks(half: str) -> list[Talk]:
    """The conversations of one half, in order. Raises ValueError where a line is neither a turn nor a label."""
    return [talk for file in sorted((GOLD / half).glob("*.txt")) for talk in _talks_of(file)]


def _talks_of(file: Path) -> Iterator[Talk]:
    for part in re.split(r"(?m)^(?=# )", file.read_text("utf-8")):
        if part.strip():
            head, *lines = part.rstrip().split("\n")
            name, day, phenomena = head[2:].split(" ", 2)
            yield _read(Talk(name, day, phenomena), lines, f"{file.name}, {name}")


def _read(talk: Talk, lines: Sequence[str], where: str) -> Talk:
    at = _ms(talk.day)
    named: dict[str, Label] = {}
    talk.sessions.append([])
    drafts: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        label, turn = _LABEL.fullmatch(line), _TURN.fullmatch(line)
        if line.startswith("---"):
            drafts.append([])
            talk.sessions.append([])
            at = _ms(line[3:].strip())
        elif line.startswith("|"):
            speaker, text = drafts[-1][-1]
            drafts[-1][-1] = (speaker, f"{text}\n{line[2:]}")
            talk.sessions[-1][-1] = _turn(drafts[-1], at)
        elif label:
            _label(talk, label, len(drafts[-1]), named)
        elif turn:
            drafts[-1].append((turn[1], turn[2]))
            talk.sessions[-1].append(_turn(drafts[-1], at))
        elif line.strip():
            raise ValueError(f"{where}: cannot read {line!r}; write 'speaker: text' or '  = kind: text'")
    return talk


def _label(talk: Talk, match: re.Match[str], seq: int, named: dict[str, Label]) -> None:
    if match["ends"]:
        talk.ended.add(named[match["ends"]])
    if match["kinds"] == "done":
        if match["mark"] == "=":
            talk.ended.add(named[match["id"]])
        return
    first = seq + int(match["back"] or 0)
    label = Label(tuple(match["kinds"].split("/")), match["text"], len(talk.sessions), first, seq, match["mark"] == "=")
    talk.labels.append(label)
    if match["id"]:
        named[match["id"]] = label


def _turn(drafts: Sequence[tuple[str, str]], at: int) -> Turn:
    seq = len(drafts)
    speaker, text = drafts[-1]
    role, kind = _TOOLS.get(speaker, ("user", "message"))
    name = None if speaker in _TOOLS else speaker
    return Turn(seq, f"t{seq}", role, to_json(text), kind, at, 1, at + seq * 60_000, name)


def _ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


def findings(talk: Talk, rules: Rules) -> list[tuple[int, Finding]]:
    """What the rules make of a conversation, session by session, each finding in its last state with its session."""
    ids = count(1)
    kept: dict[str, tuple[int, Finding]] = {}
    over: set[str] = set()
    for n, turns in enumerate(talk.sessions, 1):
        live = [f for id, (_, f) in kept.items() if f.live and id not in over]
        extraction, _ = rules.extract(turns, live)
        now = turns[-1].created_at
        merged = merge(nothing("a", f"s{n}"), live, extraction, turns, now=now, new_id=lambda: f"f_{next(ids)}")
        kept |= {f.id: (n, f) for f in merged.findings}
        for link in merged.links:
            session, ended = kept[link.finding_id]
            kept[ended.id] = (session, _ended(ended))
            over.add(ended.id)
    return list(kept.values())


def _ended(finding: Finding) -> Finding:
    return replace(finding, status="done" if finding.kind == "task" else "superseded")


def score(part: Iterable[Talk], rules: Rules | None = None) -> Score:
    """How far the findings agree with the labels of `part`."""
    total = Score()
    for talk in part:
        _score_talk(talk, findings(talk, rules or Rules()), total)
    return total


def _score_talk(talk: Talk, found: Sequence[tuple[int, Finding]], total: Score) -> None:
    said = _matched(talk, found)
    of_label = {label: finding for finding, label in said.items() if talk.labels[label].must}
    for n, label in enumerate(talk.labels):
        if label.must:
            _count_label(talk, label, found[of_label[n]][1] if n in of_label else None, total)
    for n, (session, finding) in enumerate(found):
        label = talk.labels[said[n]] if n in said else None
        if label is None or label.must:
            _count_finding(talk, label, session, finding, total)


def _matched(talk: Talk, found: Sequence[tuple[int, Finding]]) -> dict[int, int]:
    """Which label each finding says, the likest pairs first; a label that must be found is said by one finding only."""
    pairs = sorted(
        (-alike(finding.text, label.text), n, k)
        for n, label in enumerate(talk.labels)
        for k, (session, finding) in enumerate(found)
        if _fits(finding, session, label)
    )
    said: dict[int, int] = {}
    for must in (True, False):
        for unlike, n, k in pairs:
            free = k not in said and (not must or n not in said.values())
            if talk.labels[n].must is must and -unlike >= ALIKE and free:
                said[k] = n
    return said


def _count_label(talk: Talk, label: Label, finding: Finding | None, total: Score) -> None:
    where = f"{talk.name} {label.session}.{label.last}"
    tally = total.by_kind[label.kinds[0]]
    tally.labels += 1
    tally.hit += finding is not None
    if finding is None:
        total.missed.append(f"{where} {'/'.join(label.kinds)}: {label.text}")
    if label in talk.ended:
        ended = finding is not None and not finding.live
        total.by_kind["ended"].labels += 1
        total.by_kind["ended"].hit += ended
        if not ended:
            total.missed.append(f"{where} end of: {label.text}")


def _count_finding(talk: Talk, label: Label | None, session: int, finding: Finding, total: Score) -> None:
    group = "wish" if finding.pinned else finding.kind
    where = f"{talk.name} {session}.{finding.sources[0].last} {group}: {finding.text}"
    total.by_kind[group].found += 1
    total.by_kind[group].right += label is not None
    if label is None:
        total.wrong.append(where)
    elif not finding.live:
        total.by_kind["ended"].found += 1
        total.by_kind["ended"].right += label in talk.ended
        if label not in talk.ended:
            total.wrong.append(f"{where} ended by {finding.reason}")


def _fits(finding: Finding, session: int, label: Label) -> bool:
    kind = finding.kind in label.kinds or (finding.pinned and "wish" in label.kinds)
    near = any(source.first <= label.last and label.first <= source.last for source in finding.sources[:1])
    return kind and session == label.session and near


def alike(one: str, other: str) -> float:
    """F1 of the content words of two texts."""
    mine, theirs = _content(one), _content(other)
    shared = len(mine & theirs)
    return 2 * shared / (len(mine) + len(theirs)) if shared else 0.0


def _content(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower().replace("’", "'")) if word not in _STOP}


def _stem(word: str) -> str:
    for ending in ("'s", "ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) > 2:
            return word.removesuffix(ending)
    return word


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    z, share = 1.96, right / n
    middle, half = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def table(result: Score) -> str:
    """The totals by kind, with their intervals."""
    lines: list[str] = []
    for kind, tally in [*result.by_kind.items(), ("overall", result.overall)]:
        precise, complete = wilson(tally.right, tally.found), wilson(tally.hit, tally.labels)
        lines.append(
            f"{kind:9} precision {tally.precision:.3f} [{precise[0]:.2f}, {precise[1]:.2f}] of {tally.found:4}"
            f"   recall {tally.recall:.3f} [{complete[0]:.2f}, {complete[1]:.2f}] of {tally.labels:4}"
        )
    return "\n".join(lines)


def main(half: str) -> None:
    """Print the totals of a half; of the half that rules are tuned on also what is wrong and what is missed."""
    result = score(talks(half))
    if half == "tune":
        sys.stdout.write("\n".join(("WRONG", *result.wrong, "", "MISSED", *result.missed, "")) + "\n")
    sys.stdout.write(table(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tune")
