"""What a summary by rules keeps of a conversation, against its last turns of the same size.

    python -m benchmarks.summaries [data]

Each conversation is summarised once, and once as a chain: a summary every so many turns, each from the one before.
Kept is the share of the words of the answers, over the questions whose answer is a detail that somebody said.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.__main__ import SHARED
from carryover.core.session import Draft, Turn, to_json
from carryover.core.text import estimate_tokens
from carryover.evals import labelled
from carryover.evals.labelled import Conversation
from carryover.memory.rules import Rules
from carryover.memory.words import content
from carryover.strategies.extractive import sections_of
from carryover.strategies.sections import rendered

SIZES = (300, 600, 1500)
CHARS = 100_000
STEP = 60  # turns of one link of a chain
LINKS = 4  # and then it begins anew


def main(data: Path) -> None:
    sets = {"LoCoMo": list(labelled.locomo(data / "locomo")), "BEAM": list(labelled.beam(data / "beam"))}
    print(
        "| set | talks | tokens of a talk | room | tokens of a summary | kept | kept by a chain | by the last turns |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, talks in sets.items():
        for size in SIZES:
            rows = [_row(talk, size) for talk in talks if any(asked.answer for asked in talk.questions)]
            told = [statistics.mean(column) for column in zip(*rows, strict=True)]
            shares = " | ".join(f"{share:.3f}" for share in told[2:])
            print(f"| {name} | {len(rows)} | {told[0]:.0f} | {size} | {told[1]:.0f} | {shares} |", flush=True)


def _row(talk: Conversation, size: int) -> tuple[float, ...]:
    turns = _turns(draft for drafts in talk.sessions.values() for draft in drafts)
    whole = _summary(turns, "", size)
    answers = [set(content(asked.answer)) for asked in talk.questions]
    answers = [words for words in answers if words]
    tokens = estimate_tokens(whole)
    kept = (_kept(answers, text) for text in (whole, _chain(turns, size), _last(turns, tokens)))
    return (sum(turn.tokens for turn in turns), tokens, *kept)


def _turns(drafts: Iterable[Draft]) -> list[Turn]:
    made: list[Turn] = []
    for n, draft in enumerate(drafts, 1):
        at = draft.created_at or n
        body = to_json(draft.content)
        made.append(Turn(n, f"t{n}", draft.role, body, draft.kind, at, estimate_tokens(body), at, draft.name))
    return made


def _summary(turns: Sequence[Turn], base: str, size: int) -> str:
    return rendered(sections_of(Rules(), turns, base, 4 * size), tokens=size, chars=CHARS)


def _chain(turns: Sequence[Turn], size: int) -> str:
    text = ""
    for n, start in enumerate(range(0, len(turns), STEP)):
        anew = n % (LINKS + 1) == 0
        text = _summary(turns[0 if anew else start : start + STEP], "" if anew else text, size)
    return text


def _last(turns: Sequence[Turn], tokens: int) -> str:
    """The last turns, and of the one that does not fit as a whole its end."""
    kept: list[str] = []
    for turn in reversed(turns):
        kept.append(f"{turn.name or ''} {turn.text[-4 * tokens :]}")
        tokens -= turn.tokens
        if tokens <= 0:
            break
    return "\n".join(kept)


def _kept(answers: Sequence[set[str]], text: str) -> float:
    said = set(content(text))
    return statistics.mean(len(words & said) / len(words) for words in answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "eval")
