"""One question is measured, on answers small enough to work out by hand."""

from __future__ import annotations

import pytest

from carryover.core.chunk import Hit, Hits, Query
from carryover.core.context import Context
from carryover.core.session import Source
from carryover.evals.asking import HITS, Memory, Told, ask, times
from carryover.evals.labelled import Question

HERON = "The heron nests by the old mill at the lake, as it does every year."
EAGLE = "Since May the eagle nests there instead, on the tower of the mill."
TEXTS = {("one", 1): "Hello!", ("one", 2): HERON, ("two", 1): EAGLE}


def hit(session: str, first: int, last: int | None = None) -> Hit:
    sources = (Source(session, first, last or first),)
    return Hit("x", "turn", "some text", 1.0, "a", session, 0, sources)


def context(markdown: str) -> Context:
    return Context("new", markdown, 42, 0, {}, {}, (), "")


def memory(*hits: Hit, told: str = "") -> Memory:
    return Memory(lambda query: Hits(hits[: query.k], "text"), lambda _asked: context(told))


def question(*gold: tuple[str, int], category: str = "c4", answer: str = "") -> Question:
    return Question("Where?", category, frozenset(gold), answer, frozenset(session for session, _ in gold))


def values(asked: Question, *hits: Hit, told: str = "", known: Told | None = None) -> dict[str, float]:
    return ask(memory(*hits, told=told), asked, known or Told(TEXTS), contexts=True).values


def test_a_hit_that_cites_many_turns_uses_many_places() -> None:
    asked = question(("one", 31))
    far = ask(memory(hit("one", 1, 30), hit("one", 31)), asked, Told(TEXTS), contexts=False).values
    near = ask(memory(hit("one", 31)), asked, Told(TEXTS), contexts=False).values
    assert (far["R@10"], far["R@20"], far["R@50"]) == (0.0, 0.0, 1.0)
    assert near["R@1"] == near["B250"] == 1.0


def test_turns_are_measured_one_by_one_and_all_together_and_by_session() -> None:
    found = values(question(("one", 2), ("two", 1)), hit("one", 2), hit("one", 1))
    assert (found["R@5"], found["all@5"], found["S@5"], found["S all@5"]) == (0.5, 0.0, 0.5, 0.0)
    assert (found["B500"], found["B250"]) == (0.5, 0.5)


def test_where_only_sessions_are_known_only_sessions_are_measured() -> None:
    asked = Question("Where?", "c4", frozenset(), "", frozenset({"two"}))
    found = ask(memory(hit("one", 1), hit("two", 1)), asked, Told(TEXTS), contexts=False).values
    assert found["S@5"] == 1.0
    assert "R@5" not in found


def test_evidence_is_in_a_context_where_its_own_words_stand_there() -> None:
    quoted = f'- 7 May 2023, Nora: "{HERON[:50]}…"'
    assert values(question(("one", 2), ("two", 1)), told=quoted)["QC"] == 0.5
    assert values(question(("one", 2)), told="- A heron lives at a lake with a mill.")["QC"] == 0.0
    assert values(question(("one", 2)))["QC"] == 0.0


def test_a_neighbour_with_the_answer_counts_as_the_turn_itself() -> None:
    known = Told(TEXTS, alike={("one", 2): ("two", 1)})
    found = values(question(("two", 1)), hit("one", 2), told=f"- {HERON}", known=known)
    assert (found["R@1"], found["QC"]) == (1.0, 1.0)


def test_the_answers_words_are_looked_for_in_every_context() -> None:
    known = Told(TEXTS, static="- The lake is old.", random=("The old mill", "nothing"))
    found = values(question(("one", 2), answer="by the mill at the lake"), told="mill lake", known=known)
    assert (found["answer"], found["answer static"], found["answer by chance"]) == (1.0, 0.5, 0.25)
    assert "answer" not in values(question(("one", 2), answer="the"))


@pytest.mark.parametrize(
    ("hits", "told", "newest", "stale"),
    [
        ([("two", 1), ("one", 2)], f"- {EAGLE}\n- {HERON}", 1.0, 0.0),
        ([("one", 2), ("two", 1)], f"- {HERON}", 0.0, 1.0),
        ([("one", 1)], "", 0.0, 0.0),
    ],
)
def test_of_an_update_the_newest_turn_should_come_first(
    hits: list[tuple[str, int]], told: str, newest: float, stale: float
) -> None:
    asked = question(("one", 2), ("two", 1), category="knowledge_update")
    found = values(asked, *(hit(*place) for place in hits), told=told)
    assert (found["newest first"], found["stale"]) == (newest, stale)
    assert "stale" not in values(question(("one", 2), category="knowledge_update"))


def test_what_was_found_instead_is_kept_short() -> None:
    long = Hit("x", "turn", "many\nlines " * 99, 1.0, "a", "one", 0, (Source("one", 1, 1),))
    found = ask(memory(*[long] * 9), question(("two", 1)), Told(TEXTS), contexts=False).found
    assert len(found) == 3
    assert all(len(text) <= 160 and "\n" not in text for text in found)


def test_times_are_taken_of_the_usual_size_after_a_warm_up() -> None:
    sizes: list[int] = []

    def search(query: Query) -> Hits:
        sizes.append(query.k)
        return Hits((), "text")

    taken = times(Memory(search, lambda _asked: context("")), [question(("one", 2))] * 5, contexts=True)
    assert len(sizes) == 3 + 5
    assert set(sizes) == {10} != {HITS}
    assert {what for what, _ in taken} == {"search", "context", "context with a question"}
    assert len(taken) == 15
    assert all(ms >= 0 for _, ms in taken)
