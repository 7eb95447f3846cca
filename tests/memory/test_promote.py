"""Promotion: a new extractor takes over for a tenant only if the tenant's memory answers no less for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from carryover.core.errors import Conflict, Forbidden, Invalid, NotFound
from carryover.core.extractor import Comparison, ExtractorState, Tally
from carryover.core.ports import Extractor
from carryover.core.scope import Scope
from carryover.core.session import Turn
from carryover.core.snapshot import Extraction, Finding, Found, Snapshot
from carryover.core.usage import Cap, Usage
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.memory import prompts
from carryover.memory.choice import PROMOTE, Extractors, decide, listed
from carryover.memory.consolidate import KIND, consolidation
from carryover.memory.extract import ModelExtractor, named
from carryover.memory.promote import promotion
from carryover.memory.questions import probes
from carryover.memory.rules import Rules
from carryover.providers.llm import LibraryLLM, open_llm
from carryover.store import extractors, queue, snapshots, turns, usages
from carryover.store.store import Store
from clocks import FrozenClock
from fakes.messages_api import FakeMessages
from fakes.server import Ask
from talk import consolidate, say

MODEL = "anthropic:claude-haiku-5-5"
ID = named(MODEL)
KNOWN = "known/1"
PLACES = ("harbour", "market", "castle", "station", "river", "abbey", "garden", "mill", "bridge", "tower")
TURN = re.compile(r'<turn n="(\d+)" role="user"[^>]*>\n(.*?)\n</turn>', re.DOTALL)


def lines(place: str) -> list[str]:
    """Three statements, each of which can be asked about."""
    n = PLACES.index(place)
    return [
        f"The card fee of the {place} bakery is {n + 2}.9% this year.",
        "Noted.",
        f"Nadia Petrova keeps the books of the {place} bakery on Thursdays.",
        "Noted.",
        f"The oven at the {place} bakery is a Miwe{n} ideal, bought in 20{n + 10}.",
    ]


def telling(most: int) -> Callable[[Ask], dict[str, Any]]:
    """A model that takes down the first statements of each session, word for word."""

    def answer(ask: Ask) -> dict[str, Any]:
        found = [
            {
                **{"kind": "fact", "text": text, "quote": text, "first": int(n), "last": int(n)},
                **{"subject": "", "pinned": False, "salience": 0.5},
            }
            for n, text in TURN.findall(ask.prompt)[:most]
        ]
        return {"found": found if "Details:" not in ask.prompt else [], "closed": [], "summary": "Bakeries."}

    return answer


BETTER, AS_WELL, WORSE = telling(3), telling(2), telling(1)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeMessages]:
    with FakeMessages(BETTER) as fake:
        yield fake


@pytest.fixture
def fake(server: FakeMessages) -> FakeMessages:
    server.reset()
    return server


@pytest.fixture
def model(fake: FakeMessages) -> Iterator[LibraryLLM]:
    llm = open_llm(MODEL, api_key="k", base_url=fake.url)
    yield llm
    llm.close()


@dataclass
class Known:
    """An extractor that needs no model: it takes down the first statements, word for word."""

    most: int = 2
    id: str = "known/1"
    ending: str = ""
    name: str = "known"

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        return Usage()

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        said = [turn for turn in turns if turn.role == "user"][: self.most]
        found = (Found("fact", turn.text + self.ending, turn.text, turn.seq, turn.seq) for turn in said)
        return Extraction(tuple(found), by=self.name), Usage()


def earlier(id: str) -> Extractor | None:
    return Known(id=id) if id.startswith("known/") else None


def answered(store: Store, scope: Scope, sessions: Sequence[str], most: int) -> tuple[int, int]:
    """How many questions these sessions' turns make, and how many of them the first statements answer."""
    asked = [
        (question, [turn.seq for turn in said if turn.role == "user"][:most])
        for session in sessions
        for said in (turns_of(store, scope, session),)
        for question in probes(said, most=20, agent_id="ada", session_id=session)
    ]
    return len(asked), sum(question.seq in told for question, told in asked)


def worker(store: Store, configured: Extractor, cap: Cap | None = None, **given: Any) -> Worker:
    known = Extractors(configured, given.pop("earlier", earlier))
    made = {KIND: consolidation(known), PROMOTE: promotion(known)}
    return Worker(store, made, lambda _: cap or Cap(), **given)


def remembered(store: Store, scope: Scope, places: Sequence[str] = PLACES) -> None:
    """A session about each place, as the known extractor remembers it."""
    for place in places:
        say(store, scope, place, lines(place))
        consolidate(store, scope, place, Known())


def news(store: Store, scope: Scope, session: str = "news") -> None:
    """One more session that is due."""
    say(store, scope, session, ["The flour of the ferry bakery costs 71 cents."])
    lifecycle.close(store, scope, "ada", session)


def turns_of(store: Store, scope: Scope, session: str) -> list[Turn]:
    with store.read(scope) as tx:
        return turns.after(tx, "ada", session, 0, 100)


def newest(store: Store, scope: Scope, session: str) -> Snapshot:
    with store.read(scope) as tx:
        made = snapshots.latest(tx, "ada", session)
    assert made is not None
    return made


def state(store: Store, scope: Scope, name: str = ID) -> ExtractorState | None:
    with store.read(scope) as tx:
        return extractors.find(tx, name)


def reason(store: Store, scope: Scope, name: str = ID) -> tuple[str, str]:
    known = state(store, scope, name)
    assert known is not None
    return known.state, known.reason


def promoted(store: Store, scope: Scope) -> str | None:
    with store.read(scope) as tx:
        known = extractors.promoted(tx)
    return None if known is None else known.name


def armed(store: Store, scope: Scope, name: str = ID) -> bool:
    with store.read(scope) as tx:
        return queue.get(tx, PROMOTE, name) is not None


def test_the_first_extractor_is_promoted_silently(store: Store, scope: Scope) -> None:
    remembered(store, scope, PLACES[:1])
    (first,) = listed(store, scope)
    assert (first.name, first.state, first.score, first.comparison) == (KNOWN, "promoted", None, Comparison())
    made = newest(store, scope, PLACES[0])
    assert (made.by, made.extractor) == ("known", KNOWN)
    assert not armed(store, scope, KNOWN)


def test_one_that_answers_more_is_promoted_and_the_old_snapshots_stay(
    store: Store, scope: Scope, model: LibraryLLM
) -> None:
    remembered(store, scope)
    kept = {place: newest(store, scope, place) for place in PLACES}
    news(store, scope)
    at_work = worker(store, ModelExtractor(model))
    assert at_work.run_one([KIND], tenant="acme")
    assert newest(store, scope, "news").extractor == KNOWN  # until the other has proved itself
    assert armed(store, scope)
    at_work.drain()
    asked, before = answered(store, scope, [*PLACES, "news"], 2)
    assert asked > before > asked / 2
    assert reason(store, scope) == (
        "promoted",
        f"extractor {ID} answers 100 % of {asked} questions, {KNOWN} answers {before * 100 / asked:.0f} %: promoted",
    )
    known = state(store, scope)
    assert known is not None
    assert known.comparison.sessions == 11
    assert known.score == 1.0
    old = state(store, scope, KNOWN)
    assert old is not None
    assert old.state == "former"
    assert not armed(store, scope)
    news(store, scope, "later")
    at_work.drain()
    assert (newest(store, scope, "later").by, newest(store, scope, "later").extractor) == (MODEL, ID)
    assert {place: newest(store, scope, place) for place in PLACES} == kept


def test_one_that_answers_less_is_not(store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages) -> None:
    fake.answer = WORSE
    remembered(store, scope)
    news(store, scope)
    at_work = worker(store, ModelExtractor(model))
    at_work.drain()
    asked, before = answered(store, scope, [*PLACES, "news"], 2)
    _, after = answered(store, scope, [*PLACES, "news"], 1)
    assert asked > before > after > 0
    assert reason(store, scope) == (
        "refused",
        f"extractor {ID} answers {after * 100 / asked:.0f} % of {asked} questions, "
        f"{KNOWN} answers {before * 100 / asked:.0f} %: not promoted",
    )
    assert promoted(store, scope) == KNOWN
    asked = len(fake.requests)
    news(store, scope, "later")
    at_work.drain()
    assert newest(store, scope, "later").extractor == KNOWN
    assert len(fake.requests) == asked  # it is not compared again, and makes nothing
    with store.read(scope) as tx:
        assert {s.version for place in PLACES for s in snapshots.listed(tx, "ada", place)} == {1}


def test_one_that_answers_as_much_is(store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages) -> None:
    fake.answer = AS_WELL
    remembered(store, scope, PLACES[:2])
    news(store, scope)
    worker(store, ModelExtractor(model)).drain()
    asked, both = answered(store, scope, [*PLACES[:2], "news"], 2)
    share = f"{both * 100 / asked:.0f} %"
    assert reason(store, scope) == (
        "promoted",
        f"extractor {ID} answers {share} of {asked} questions, {KNOWN} answers {share}: promoted",
    )


def test_what_loses_on_little_is_compared_over_sessions_to_come(
    store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages
) -> None:
    fake.answer = WORSE
    remembered(store, scope, PLACES[:2])
    news(store, scope)
    at_work = worker(store, ModelExtractor(model))
    at_work.drain()
    asked, before = answered(store, scope, [*PLACES[:2], "news"], 2)
    _, after = answered(store, scope, [*PLACES[:2], "news"], 1)
    assert reason(store, scope) == (
        "candidate",
        f"extractor {ID} answers {after * 100 / asked:.0f} % of {asked} questions, "
        f"{KNOWN} answers {before * 100 / asked:.0f} %: not promoted as long as there is no more to go by",
    )
    assert not armed(store, scope)
    fake.answer = BETTER
    read = len(fake.requests)
    for place in PLACES[2:8]:
        say(store, scope, place, lines(place))
        lifecycle.close(store, scope, "ada", place)
    at_work.drain()
    known = state(store, scope)
    assert known is not None
    assert (known.state, known.comparison.sessions) == ("promoted", 9)
    assert len(fake.requests) - read == 6  # each session once


def test_a_new_prompt_has_to_prove_itself_too(
    store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(prompts.HEADS, "p2", "Be brief.")
    fake.answer = lambda ask: (WORSE if ask.system == "Be brief." else BETTER)(ask)
    old, new = ModelExtractor(model), ModelExtractor(model, "p2")
    for place in PLACES[:3]:
        say(store, scope, place, lines(place))
        lifecycle.close(store, scope, "ada", place)
    worker(store, old).drain()
    assert newest(store, scope, PLACES[0]).extractor == f"{MODEL}@p1"
    news(store, scope)
    worker(store, new, earlier=lambda id: old if id == old.id else None).drain()
    assert newest(store, scope, "news").extractor == f"{MODEL}@p1"
    assert (promoted(store, scope), reason(store, scope, new.id)[0]) == (old.id, "candidate")


def test_what_is_made_up_is_never_promoted(store: Store, scope: Scope) -> None:
    remembered(store, scope, PLACES[:3])
    news(store, scope)
    worker(store, Known(3, "dreamer/1", " Since 1871.")).drain()
    asked, before = answered(store, scope, [*PLACES[:3], "news"], 2)
    assert reason(store, scope, "dreamer/1") == (
        "refused",
        f"extractor dreamer/1 answers 100 % of {asked} questions, {KNOWN} answers {before * 100 / asked:.0f} %, "
        "but its findings hold 10 details that their turns lack: not promoted",
    )


def test_where_there_is_nothing_to_ask_it_is_promoted(store: Store, scope: Scope, model: LibraryLLM) -> None:
    say(store, scope, "s1", ["Hello."])
    consolidate(store, scope, "s1", Known())
    news(store, scope, "s2")
    with store.write(scope) as tx:
        queue.cancel(tx, "ada/s2")
    decide(store, scope, Extractors(ModelExtractor(model), earlier), ID, "try")
    worker(store, ModelExtractor(model)).drain()
    assert reason(store, scope) == (
        "promoted",
        f"there is nothing yet to ask extractor {ID} and {KNOWN}: promoted",
    )


def test_the_sample_is_bounded(store: Store, scope: Scope, model: LibraryLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carryover.memory.promote.SESSIONS", 3)
    remembered(store, scope, PLACES[:6])
    news(store, scope)
    worker(store, ModelExtractor(model)).drain()
    known = state(store, scope)
    assert known is not None
    assert known.comparison.sessions == 3


def test_of_a_long_session_an_earlier_snapshot_is_compared(
    store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carryover.memory.promote.SESSION_TOKENS", 30)
    monkeypatch.setattr("carryover.memory.promote.PAGE_TURNS", 2)
    for place in PLACES[:2]:
        say(store, scope, "long", lines(place))
        consolidate(store, scope, "long", Known())
    say(store, scope, "long", ["The cellar holds 512 sacks of rye."])
    lifecycle.close(store, scope, "ada", "long")
    worker(store, ModelExtractor(model)).drain()
    seen = [int(n) for n, _ in TURN.findall(fake.requests[0].prompt)]
    assert seen == [1, 3, 5]
    assert reason(store, scope)[0] == "promoted"


def test_a_cap_is_waited_for_in_the_middle(
    store: Store, scope: Scope, clock: FrozenClock, model: LibraryLLM, fake: FakeMessages
) -> None:
    remembered(store, scope, PLACES[:4])
    news(store, scope)
    candidate = ModelExtractor(model)
    needed = candidate.estimate(turns_of(store, scope, PLACES[0]), ())
    cap = Cap(money=needed.money * Decimal("1.001"))  # for one, and hardly more than that
    worker(store, candidate, cap).drain()
    known = state(store, scope)
    assert known is not None
    assert known.state == "candidate"
    assert 0 < known.comparison.sessions < 5
    with store.read(scope) as tx:
        job = queue.get(tx, PROMOTE, ID)
        spent = usages.spent(tx, tx.now)
        assert usages.reserved(tx, tx.now).calls == 0
    assert job is not None
    assert job.waiting
    assert job.reason is not None
    assert "would pass the cap" in job.reason
    assert cap.money is not None
    assert 0 < spent.money <= cap.money
    assert newest(store, scope, "news").extractor == KNOWN
    asked = len(fake.requests)
    clock.pass_(86_400_000)
    worker(store, candidate).drain()
    assert len(fake.requests) - asked == 5 - known.comparison.sessions  # none is compared twice
    assert reason(store, scope)[0] == "promoted"
    with store.read(scope) as tx:
        jobs = usages.totals(tx, 0, tx.now + 1, "job")
    assert [(total.group, total.jobs) for total in jobs if total.usage.calls] == [("promote", 5)]


@dataclass
class Slow:
    """An extractor that waits at one session to be told to go on."""

    at: int = 3
    name: str = "slow"
    id: str = "slow/1"
    read: list[str] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        return Usage()

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        self.read.append(turns[0].text)
        if len(self.read) == self.at:
            self.reached.set()
            assert self.go_on.wait(20)
        return Known(3).extract(turns, live)


def test_a_worker_that_dies_loses_one_session(store: Store, scope: Scope, clock: FrozenClock) -> None:
    remembered(store, scope, PLACES[:5])
    news(store, scope)
    slow = Slow()
    dying = worker(store, slow, lease_ms=600_000)
    thread = threading.Thread(target=dying.drain)
    thread.start()
    assert slow.reached.wait(20)
    clock.pass_(600_001)  # nobody has heard of it since
    other = Slow(at=0)
    worker(store, other).drain()
    known = state(store, scope, "slow/1")
    assert known is not None
    assert (known.state, known.comparison.sessions) == ("promoted", 6)
    assert slow.read[2] == other.read[0]
    assert len(other.read) == 4
    slow.go_on.set()
    thread.join()
    assert state(store, scope, "slow/1") == known  # what the first one still made was dropped


def test_two_workers_compare_each_session_once(store: Store, scope: Scope) -> None:
    remembered(store, scope, PLACES[:5])
    news(store, scope)
    slow = Slow(at=0)
    workers = [worker(store, slow) for _ in range(2)]
    threads = [threading.Thread(target=one.drain) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    workers[0].drain()
    assert len(slow.read) == len(set(slow.read)) == 6
    known = state(store, scope, "slow/1")
    assert known is not None
    assert known.state == "promoted"


def test_a_provider_that_fails_keeps_nobody_from_remembering(
    store: Store, scope: Scope, clock: FrozenClock, model: LibraryLLM, fake: FakeMessages
) -> None:
    remembered(store, scope, PLACES[:2])
    news(store, scope)
    fake.fail_next(529, times=1)
    worker(store, ModelExtractor(model)).drain()
    assert newest(store, scope, "news").extractor == KNOWN
    with store.read(scope) as tx:
        job = queue.get(tx, PROMOTE, ID)
    assert job is not None
    assert job.reason is not None
    assert job.reason.startswith("ProviderUnavailable")
    news(store, scope, "later")
    with store.read(scope) as tx:
        due = job.due
    worker(store, ModelExtractor(model)).drain()
    with store.read(scope) as tx:
        again = queue.get(tx, PROMOTE, ID)
    assert again is not None
    assert (again.due, again.attempt) == (due, 1)  # a snapshot wakes nothing that backs off
    clock.pass_(60_000)
    worker(store, ModelExtractor(model)).drain()
    assert reason(store, scope)[0] == "promoted"


def test_each_tenant_decides_for_itself(store: Store, model: LibraryLLM, fake: FakeMessages) -> None:
    def answer(ask: Ask) -> dict[str, Any]:
        return (WORSE if "harbour" in ask.prompt else BETTER)(ask)

    fake.answer = answer
    acme, bell, new = Scope("acme"), Scope("bell"), Scope("new")
    remembered(store, acme, PLACES[:1])
    remembered(store, bell, PLACES[1:2])
    at_work = worker(store, ModelExtractor(model))
    for scope in (acme, bell, new):
        news(store, scope)
    at_work.drain()
    assert [promoted(store, scope) for scope in (acme, bell, new)] == [KNOWN, ID, ID]
    assert reason(store, acme)[0] == "candidate"
    assert reason(store, new)[1] == "none was promoted before it"
    assert [len(listed(store, scope)) for scope in (acme, bell, new)] == [2, 2, 1]


def test_settings_that_are_changed_back_leave_everything_as_it_was(
    store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages
) -> None:
    remembered(store, scope, PLACES[:4])
    news(store, scope)
    with_model, as_before = worker(store, ModelExtractor(model)), worker(store, Known())
    assert with_model.drain(most=3) == 3  # the snapshot, and two sessions
    asked = len(fake.requests)
    assert as_before.drain() == 1  # it has no candidate, and leaves it at that
    assert not armed(store, scope)
    news(store, scope, "known")
    as_before.drain()
    assert len(fake.requests) == asked
    assert promoted(store, scope) == KNOWN
    assert reason(store, scope)[0] == "candidate"
    news(store, scope, "model")
    with_model.drain()  # and forward again: it goes on where it was
    assert reason(store, scope)[0] == "promoted"
    assert len(fake.requests) - asked == 5
    # What was promoted once is a candidate like any other when the settings name it again.
    say(store, scope, "tower", lines("tower"))
    lifecycle.close(store, scope, "ada", "tower")
    with_model.drain()
    news(store, scope, "back")
    worker(store, Known(), earlier=lambda id: ModelExtractor(model) if id == ID else None).drain()
    assert newest(store, scope, "back").extractor == ID
    assert (promoted(store, scope), reason(store, scope, KNOWN)[0]) == (ID, "candidate")


def test_what_cannot_be_had_any_more_is_taken_over_from(
    store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages
) -> None:
    say(store, scope, "s1", lines(PLACES[0]))
    lifecycle.close(store, scope, "ada", "s1")
    worker(store, ModelExtractor(model)).drain()
    asked = len(fake.requests)
    news(store, scope)
    worker(store, Rules()).drain()  # no model is named any more
    assert newest(store, scope, "news").extractor == Rules.id
    assert len(fake.requests) == asked
    assert reason(store, scope, Rules.id) == (
        "promoted",
        f"it took over from {ID}, which cannot be had any more; the two were not compared",
    )
    assert reason(store, scope)[0] == "away"
    news(store, scope, "later")
    worker(store, ModelExtractor(model), earlier=lambda _: Rules()).drain()  # it is named again
    assert newest(store, scope, "later").extractor == ID
    assert reason(store, scope) == ("promoted", f"it can be had again, and took its place back from {Rules.id}")
    assert reason(store, scope, Rules.id)[0] == "former"
    assert len(fake.requests) == asked + 1  # nothing was compared


def test_the_rules_of_another_version_take_over_while_a_model_is_compared(
    store: Store, scope: Scope, model: LibraryLLM
) -> None:
    remembered(store, scope, PLACES[:2])
    with store.write(scope) as tx:
        extractors.promote(tx, "rules/1", "none was promoted before it")
    news(store, scope)
    worker(store, ModelExtractor(model), earlier=lambda _: Rules()).drain()
    assert newest(store, scope, "news").extractor == Rules.id
    assert {one.name: one.state for one in listed(store, scope) if one.name != KNOWN} == {
        "rules/1": "former",
        Rules.id: "former",
        ID: "promoted",
    }


def test_who_has_the_right_decides(store: Store, scope: Scope, model: LibraryLLM, fake: FakeMessages) -> None:
    fake.answer = WORSE
    known = Extractors(ModelExtractor(model), earlier)
    with pytest.raises(NotFound):
        decide(store, scope, known, "nobody/1", "promote")
    with pytest.raises(Conflict, match="nothing to compare"):
        decide(store, scope, known, ID, "try")
    remembered(store, scope, PLACES[:2])
    with pytest.raises(Conflict, match="promoted already"):
        decide(store, scope, known, KNOWN, "refuse")
    assert decide(store, scope, known, ID, "refuse").reason == "it was refused by hand"
    news(store, scope)
    worker(store, known.configured).drain()
    assert fake.requests == []
    assert decide(store, scope, known, ID, "try").state == "candidate"
    worker(store, known.configured).drain()
    assert reason(store, scope)[1].endswith("not promoted as long as there is no more to go by")
    assert decide(store, scope, known, ID, "promote").reason == "it was promoted by hand"
    news(store, scope, "later")
    worker(store, known.configured).drain()
    assert newest(store, scope, "later").extractor == ID
    assert decide(store, scope, known, KNOWN, "promote").state == "promoted"
    assert reason(store, scope) == ("refused", f"{KNOWN} was promoted by hand in its place")
    asked = len(fake.requests)
    news(store, scope, "at-last")
    worker(store, known.configured).drain()
    assert newest(store, scope, "at-last").extractor == KNOWN
    assert len(fake.requests) == asked  # whoever decided by hand is not overruled
    with pytest.raises(Invalid, match="cannot be had"):
        decide(store, scope, Extractors(Known()), ID, "promote")
    for narrowed in (Scope("acme", agent="ada"), Scope("acme", rights=frozenset(["write"]))):
        with pytest.raises(Forbidden):
            decide(store, narrowed, known, ID, "promote")
        with pytest.raises(Forbidden):
            listed(store, narrowed)


def test_a_decision_by_hand_ends_a_comparison(store: Store, scope: Scope) -> None:
    remembered(store, scope, PLACES[:4])
    news(store, scope)
    slow = Slow()
    thread = threading.Thread(target=worker(store, slow).drain)
    thread.start()
    assert slow.reached.wait(20)
    decide(store, scope, Extractors(slow, earlier), "slow/1", "refuse")
    slow.go_on.set()
    thread.join()
    assert reason(store, scope, "slow/1") == ("refused", "it was refused by hand")
    assert len(slow.read) == 3


def test_an_erased_session_leaves_no_name_in_a_comparison(store: Store, scope: Scope) -> None:
    remembered(store, scope, PLACES[:4])
    news(store, scope)
    worker(store, Slow(at=0)).drain(most=4)
    lifecycle.delete(store, scope, "ada", PLACES[3])
    with store.read(scope) as tx:
        done = extractors.compared(tx, "slow/1")
    assert len(done) == 3
    assert PLACES[3] not in repr(done)
    assert sum((one.after.asked for one in done), 0) > 0
    worker(store, Slow(at=0)).drain()
    known = state(store, scope, "slow/1")
    assert known is not None
    assert known.comparison.after.plus(Tally()) == known.comparison.after
    assert known.state == "promoted"
