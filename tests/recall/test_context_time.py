"""Contexts and time: what was known then, what no longer holds, and what the sessions were about."""

from __future__ import annotations

from datetime import UTC, datetime

from carryover.core.chunk import Hit, Hits
from carryover.core.context import Context, Wanted
from carryover.core.headings import MORE_TALK, TALK
from carryover.core.scope import Scope
from carryover.core.session import Draft, Source
from carryover.core.snapshot import Theme
from carryover.memory.rules import Rules
from carryover.recall.context import OVERTAKEN, context
from carryover.recall.context_known import Told
from carryover.recall.context_text import Sheet
from carryover.recall.context_themes import tell, weighed
from carryover.store import snapshots
from carryover.store.snapshots import Link
from carryover.store.store import Store
from talk import consolidate, note, remember, say


def at(month: int, day: int) -> int:
    return int(datetime(2026, month, day, 12, tzinfo=UTC).timestamp() * 1000)


def said(store: Store, scope: Scope, session: str, when: int, *lines: str) -> None:
    """A session of that day, consolidated now."""
    roles = ("user", "assistant")
    drafts = [Draft(roles[n % 2], line, created_at=when) for n, line in enumerate(lines)]  # type: ignore[arg-type]
    say(store, scope, session, drafts)
    consolidate(store, scope, session, Rules())


def asked(store: Store, scope: Scope, **wanted: object) -> Context:
    return context(store, scope, Wanted("next", agent_id="ada", **wanted))  # type: ignore[arg-type]


def told_at(store: Store, scope: Scope, when: int) -> str:
    return asked(store, scope, as_of=when).markdown


def test_as_of_tells_what_was_known_then(store: Store, scope: Scope) -> None:
    said(store, scope, "march", at(3, 2), "We decided to use MySQL for the ledger.", "Fine.")
    said(store, scope, "april", at(4, 6), "We decided to use PostgreSQL for the ledger instead of MySQL.", "Done.")
    assert told_at(store, scope, at(3, 1)) == ""
    then = told_at(store, scope, at(3, 20))
    assert "use MySQL for the ledger" in then
    assert "PostgreSQL" not in then
    later = told_at(store, scope, at(4, 7))
    assert "PostgreSQL" in later
    assert "We decided to use MySQL for the ledger." not in later
    assert asked(store, scope).markdown == later


def test_as_of_reads_a_session_as_far_as_it_had_come(store: Store, scope: Scope) -> None:
    said(store, scope, "s1", at(3, 2), "Remind me to renew the harbour permit.", "I will.")
    said(store, scope, "s1", at(5, 2), "I renewed the harbour permit.", "Good.")
    assert "renew the harbour permit" in told_at(store, scope, at(4, 1)).partition("## Open tasks")[2]
    made = asked(store, scope, as_of=at(4, 1))
    assert made.through == {"s1": 2}
    assert "## Open tasks" not in told_at(store, scope, at(5, 3))
    assert asked(store, scope).through == {"s1": 4}


def test_as_of_is_of_one_reach(store: Store, scope: Scope) -> None:
    said(store, scope, "s1", at(3, 2), "We decided to use MySQL for the ledger.")
    other = context(store, scope, Wanted("next", agent_id="bob", as_of=at(4, 1)))
    assert other.markdown == ""
    mine = context(store, scope, Wanted("s1", agent_id="ada", reach="session", as_of=at(4, 1)))
    assert "MySQL" in mine.markdown
    assert context(store, Scope("other"), Wanted("next", agent_id="ada", as_of=at(4, 1))).markdown == ""


def test_a_quoted_turn_says_that_it_was_replaced(store: Store, scope: Scope) -> None:
    old = note("We use MySQL.", session="s1")
    new = note("We use PostgreSQL.", session="s2", at=2)
    for session, finding, links in (("s1", old, []), ("s2", new, [Link(old.id, "superseded", new.id, "turn 1")])):
        say(store, scope, session, [finding.text])
        remember(store, scope, session, [finding], links=links)
    source = Source("s1", 1, 1, "We use MySQL.")
    hits = Hits((Hit("t1", "turn", "We use MySQL.", 1.0, "ada", "s1", 1, (source,)),), "text")
    made = context(store, scope, Wanted("next", agent_id="ada", query="database?"), search=lambda _: hits)
    answer = made.markdown.partition("## On the question")[2]
    assert f'user: "We use MySQL." ({OVERTAKEN})' in answer
    assert "- We use PostgreSQL." in answer
    assert made.sources == (source,)
    assert new in made.findings


def test_a_summary_does_not_repeat_what_another_session_replaced(store: Store, scope: Scope) -> None:
    old = note("We use MySQL.", session="s1")
    for session, finding, links, summary in (
        ("s1", old, [], "We use MySQL. The harbour is full of boats."),
        ("s2", note("We use PostgreSQL.", session="s2", at=2), [Link(old.id, "superseded", None, "turn 1")], ""),
    ):
        say(store, scope, session, [finding.text])
        remember(store, scope, session, [finding], links=links, summary=summary)
    made = asked(store, scope).markdown
    assert "The harbour is full of boats." in made
    assert "MySQL" not in made


def test_a_snapshot_keeps_what_its_session_is_about(store: Store, scope: Scope) -> None:
    said(store, scope, "s1", at(3, 2), "The harbour permit is late.", "Indeed.", "Ask Otto about the harbour permit.")
    said(store, scope, "s1", at(3, 3), "Otto says that the harbour permit needs a stamp.")
    with store.read(scope) as tx:
        first, second = snapshots.get(tx, "ada", "s1", 1), snapshots.get(tx, "ada", "s1", 2)
    assert Theme("harbour permit", 2) in first.themes
    assert Theme("harbour permit", 3) in second.themes
    assert Theme("Otto", 2) in second.themes
    made = asked(store, scope)
    assert "- Jan to Mar 2026: Otto, " in made.markdown
    assert "harbour permit" in made.markdown.partition(TALK)[2]
    assert made.stable_tokens <= made.tokens


def test_themes_are_told_by_what_they_weigh(store: Store) -> None:
    def session(name: str, when: int, *themes: tuple[str, int]) -> Told:
        return Told("ada", name, 1, 1, when, "", tuple(Theme(text, count) for text, count in themes))

    sessions = [
        session("s1", at(1, 5), ("surfing", 8), ("wave", 2), ("Lisbon", 2)),
        session("s2", at(5, 5), ("wave", 2), ("chess club", 6), ("chess", 6), ("club", 6)),
        session("s3", at(5, 9), ("wave", 2)),
    ]
    sheet, told = Sheet(500), set[str]()
    tell(sheet, TALK, weighed(sessions), 500, told)
    assert sheet.text([TALK]) == (
        "## Talked about\n- Apr to Jun 2026: chess club\n- Jan to Mar 2026: surfing, Lisbon, wave\n"
    )
    small, told = Sheet(500), set[str]()
    tell(small, TALK, weighed(sessions), 24, told)
    assert small.used <= 24
    assert told
    rest = set(told)
    tell(small, MORE_TALK, weighed(sessions), 500, told)
    assert all(word not in small.text([MORE_TALK]) for word in rest)
