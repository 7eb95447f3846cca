"""How good the rules are: on labelled conversations that they were not tuned on, and on other people's texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from carryover.core.session import Draft, Turn, to_json
from carryover.evals.labelled import beam, locomo
from carryover.memory import ground
from carryover.memory.rules import Rules
from gold_talks import ALIKE, GOLD, alike, findings, half_of, score, table, talks


def test_what_the_rules_were_not_tuned_on() -> None:
    result = score(talks("held"))
    totals = table(result)
    assert result.overall.precision >= 0.85, totals
    assert result.overall.recall >= 0.70, totals


def test_what_the_rules_were_tuned_on() -> None:
    result = score(talks("tune"))
    assert result.overall.precision >= 0.88, "\n".join(result.wrong)
    assert result.overall.recall >= 0.76, "\n".join(result.missed)


def test_a_name_alone_decides_the_half_and_half_of_all_turns_hold_nothing() -> None:
    halves = {half: talks(half) for half in ("tune", "held")}
    names = [talk.name for half in halves.values() for talk in half]
    assert len(names) == len(set(names)) >= 130
    assert all(half_of(talk.name) == half for half, some in halves.items() for talk in some)
    for some in halves.values():
        turns = sum(len(session) for talk in some for session in talk.sessions)
        labelled = {(talk.name, label.session, label.last) for talk in some for label in talk.labels}
        assert turns >= 400
        assert 2 * len(labelled) < 1.1 * turns


def test_every_finding_in_the_labelled_conversations_is_grounded() -> None:
    for half in GOLD.iterdir():
        for talk in talks(half.name) if half.is_dir() else ():
            for session, finding in findings(talk, Rules()):
                turns = talk.sessions[session - 1]
                for source in finding.sources:
                    assert ground.holds(source.quote, turns, source.first, source.last)
                cited = [t for t in turns for s in finding.sources if s.first <= t.seq <= s.last]
                assert not ground.unsupported(finding.text, cited), finding.text


def test_the_score_counts_what_is_alike() -> None:
    assert alike("Mara: we moved the launch to 3 May", "Launch moved to 3 May") >= ALIKE
    assert alike("we moved the launch to 3 May", "The cert expires on 2 May") < ALIKE


def test_texts_with_labels_of_others(shared: Path) -> None:
    """20 short texts: so few that this is a floor and no claim."""
    folder = shared / "eval" / "memory_extraction"
    labels = {row["id"]: row["memories"] for row in _rows(folder / "memory_extraction.labels.jsonl")}
    right = found = hit = wanted = 0
    for row in _rows(folder / "memory_extraction.dataset.jsonl"):
        (text, id) = row["text"], row["id"]
        turn = Turn(1, "t1", "user", to_json(text), "message", 0, 1, 0)
        texts = [f.text for f in Rules().extract([turn], [])[0].found]
        wants = [memory["content"] for memory in labels[id] if memory["type"] != "opinion"]
        right += sum(any(alike(one, want) >= ALIKE for want in wants) for one in texts)
        hit += sum(any(alike(one, want) >= ALIKE for one in texts) for want in wants)
        found, wanted = found + len(texts), wanted + len(wants)
    figures = f"precision {right / found:.2f} of {found}, recall {hit / wanted:.2f} of {wanted}"
    assert right / found >= 0.60, figures
    assert hit / wanted >= 0.75, figures


def test_real_conversations_give_findings_that_are_grounded_and_not_too_many(shared: Path) -> None:
    folder = shared / "eval"
    for conversations, most in ((locomo(folder / "locomo"), 0.4), (islice(beam(folder / "beam"), 4), 0.6)):
        turns = found = 0
        for conversation in conversations:
            for drafts in conversation.sessions.values():
                said = [_turn(n, draft) for n, draft in enumerate(drafts, 1)]
                made = Rules().extract(said, [])[0].found
                turns, found = turns + len(said), found + len(made)
                assert all(ground.holds(one.quote, said, one.first, one.last) for one in made)
        assert 0.2 * turns < found < most * turns, f"{found} findings in {turns} turns"


def _turn(seq: int, draft: Draft) -> Turn:
    at = draft.created_at or 0
    return Turn(seq, f"t{seq}", draft.role, to_json(draft.content), draft.kind, at, 1, at, draft.name)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())
