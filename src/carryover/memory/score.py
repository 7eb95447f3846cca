"""How much of a session a snapshot still tells, counted without a model, and whether one tells less than another."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from carryover.core.extractor import Comparison, Tally
from carryover.core.session import Turn
from carryover.core.snapshot import Finding, Snapshot
from carryover.memory import ground
from carryover.memory.questions import Probe
from carryover.memory.words import content

RESAMPLES = 4_000
SEED = 20
SURE = 0.95  # so large a share of the resamples must be below zero before a difference counts as a loss
FEW_QUESTIONS, FEW_SESSIONS = 30, 5  # with fewer, chance cannot be told from loss: then nothing may be lost at all


def tally(snapshot: Snapshot, turns: Sequence[Turn], questions: Sequence[Probe]) -> Tally:
    """What the snapshot makes of turns 1 to `through`: answers, details that it keeps, details that are made up."""
    live = [finding for finding in snapshot.findings if finding.live]
    by_seq = {turn.seq: turn for turn in turns}
    said = _details(turns, ())
    return Tally(
        asked=len(questions),
        answered=sum(answers(snapshot, question) for question in questions),
        said=said,
        kept=said - _details(turns, live),
        unsupported=sum(len(ground.unsupported(f.text, _cited(f, snapshot, by_seq))) for f in live),
    )


def answers(snapshot: Snapshot, question: Probe) -> bool:
    """Whether the answer's words stand in a live finding that cites the turn, or in the summary."""
    wanted = frozenset(content(question.answer))
    texts = (f.text for f in snapshot.findings if f.live and _cites(f, snapshot.session_id, question.seq))
    return any(_holds(text, wanted, question.answer) for text in (*texts, snapshot.summary))


def loses(pairs: Sequence[tuple[Tally, Tally]]) -> bool:
    """Whether less is answered after than before, session by session, beyond what chance does.

    A bootstrap over sessions: questions about one session stand or fall together. The same pairs always give the
    same answer. Where there is nothing to ask, the details that are kept decide.
    """
    asked = [(before, after) for before, after in pairs if after.asked]
    if not asked:
        return sum(after.kept - before.kept for before, after in pairs) < 0
    changes = [after.answered - before.answered for before, after in asked]
    if sum(changes) >= 0:
        return False
    if few(pairs):
        return True
    dice = random.Random(SEED)
    below = sum(sum(dice.choices(changes, k=len(changes))) < 0 for _ in range(RESAMPLES))
    return below >= SURE * RESAMPLES


def few(pairs: Sequence[tuple[Tally, Tally]]) -> bool:
    """Whether there are too few questions, or sessions that they are about, to tell chance from loss."""
    asked = [after.asked for _, after in pairs if after.asked]
    return sum(asked) < FEW_QUESTIONS or len(asked) < FEW_SESSIONS


def percent(shares: Sequence[float | None]) -> list[str]:
    """Shares as `94 %`, with as many digits as it takes to tell those that differ from each other."""
    shown: list[str] = []
    for digits in range(3):
        shown = ["none" if share is None else f"{share * 100:.{digits}f} %" for share in shares]
        if len(set(shown)) == len(set(shares)):
            break
    return shown


def found(candidate: str, known: str, comparison: Comparison) -> str:
    """The comparison in a sentence without its verdict: `rules/3 answers 94 % of 180 questions, rules/2 97 %`."""
    before, after = comparison.before, comparison.after
    if after.asked:
        new, old = percent((after.score, before.score))
        questions = "question" if after.asked == 1 else "questions"
        return f"extractor {candidate} answers {new} of {after.asked} {questions}, {known} answers {old}"
    if after.said:
        new, old = percent((after.kept / after.said, before.kept / after.said))
        details = "detail" if after.said == 1 else "details"
        return f"extractor {candidate} keeps {new} of {after.said} {details}, {known} keeps {old}"
    return f"there is nothing yet to ask extractor {candidate} and {known}"


def invented(before: Tally, after: Tally) -> str:
    """The end of a sentence where more is made up than was before, else nothing."""
    if after.unsupported <= before.unsupported:
        return ""
    details = "a detail" if after.unsupported == 1 else f"{after.unsupported} details"
    return f", but its findings hold {details} that their turns lack"


def _details(turns: Sequence[Turn], kept: Sequence[Finding]) -> int:
    return sum(map(len, ground.uncovered(turns, kept).values()))


def _cited(finding: Finding, snapshot: Snapshot, by_seq: Mapping[int, Turn]) -> list[Turn]:
    own = (source for source in finding.sources if source.session_id == snapshot.session_id)
    seqs = {seq for source in own for seq in range(source.first, source.last + 1)}
    return [by_seq[seq] for seq in sorted(seqs & by_seq.keys())]


def _cites(finding: Finding, session_id: str, seq: int) -> bool:
    return any(s.session_id == session_id and s.first <= seq <= s.last for s in finding.sources)


def _holds(text: str, wanted: frozenset[str], answer: str) -> bool:
    if not wanted:
        return answer.lower() in text.lower()
    return wanted <= set(content(text))
