"""Sessions compared: who counts where, what is settled before, and which verdicts follow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest

from carryover.coding import statistics
from carryover.coding.rollout import compare
from carryover.coding.rollout.compare import Comparison, Goal, Registered
from carryover.coding.rollout.measure import effects, told_as
from carryover.coding.rollout.observe import Observed
from carryover.core.clock import DAY_MS
from carryover.core.pattern import Effect, Exposure

DETECTED, TOLD = 60 * DAY_MS, 62 * DAY_MS
NOW = 100 * DAY_MS
OTHERS = [(float(k), 100.0) for k in (2, 5, 9, 17, 30, 40)]


def one(at: float, shows: bool = False, **more: object) -> Observed:
    seen = Observed("shop", "codex", int(at * DAY_MS), int(shows), 0, 100_000, 600, 0, False, ("1.2", "gpt-5"))
    return replace(seen, **more)  # type: ignore[arg-type]


def period(start: float, end: float, shows: int, of: int, **more: object) -> list[Observed]:
    """So many sessions spread over these days, of which so many show it, evenly mixed."""
    order = [n * shows // of != (n + 1) * shows // of for n in range(of)]
    return [one(start + (end - start) * n / of, shown, **more) for n, shown in enumerate(order)]


def exposures(
    seen: Sequence[Observed], *, goal: Goal | None = None, good: bool = False, **more: object
) -> list[Exposure]:
    plan = compare.register(seen, DETECTED, good, goal or Goal(), [])
    told = Exposure("p", 2, "/shop/AGENTS.md", "shop", "codex", TOLD)
    told = replace(told, detail={"repos": ["shop"], "readers": ["codex", "grok"], "registered": asdict(plan)})
    return [replace(told, **more)]  # type: ignore[arg-type]


def look(seen: Sequence[Observed], told: Sequence[Exposure] | None = None, now: int = NOW) -> tuple[Comparison, Effect]:
    found = compare.compared("p", 2, seen, told or exposures(seen), now)
    return found, effects([found], now)[0]


def test_what_helped_is_found() -> None:
    seen = period(0, 60, 100, 300) + period(62, 95, 20, 150)
    found, effect = look(seen)
    assert (effect.verdict, effect.design, effect.measure) == ("helped", "before and after", "incidence")
    assert effect.high < 0
    assert effect.missing == 0
    assert (effect.before.sessions, effect.before.of) == (100, 300)
    assert found.information >= 1
    assert told_as(effect).startswith("100 of 300 sessions before, ")


def test_once_enough_is_known_later_sessions_change_nothing() -> None:
    seen = period(0, 60, 100, 300) + period(62, 80, 20, 150)
    first = look(seen)[1]
    later = look(seen + period(80, 99, 140, 150))[1]
    assert first.after == later.after
    assert first.after.of < 150
    assert (first.estimate, first.low, first.high) == (later.estimate, later.low, later.high)


def test_what_got_worse_is_to_be_withdrawn() -> None:
    effect = look(period(0, 60, 60, 300) + period(62, 95, 100, 150))[1]
    assert effect.verdict == "harmful"
    assert effect.notes[-1] == "withdraw it: `carryover patterns withdraw p`"


def test_what_changed_nothing_is_no_evidence_once_enough_is_known() -> None:
    effect = look(period(0, 60, 100, 300) + period(62, 95, 50, 150))[1]
    assert (effect.verdict, effect.missing) == ("no evidence", 0)
    assert effect.low < 0 < effect.high


@pytest.mark.parametrize("of", [0, 3, 20, 60])
def test_too_few_sessions_say_how_many_are_missing(of: int) -> None:
    before = period(0, 60, 60, 600)
    _, effect = look(before + period(62, 95, of // 10, of) if of else before)
    assert effect.verdict == "underpowered"
    # 10 % is to be halved: that takes some 440 sessions on each side, and fewer where before is known well.
    assert 400 < of + effect.missing < 800
    assert told_as(effect).endswith(f", {effect.missing:,} more sessions would tell")
    enough = look(before + period(62, 95, (of + effect.missing) // 10, of + effect.missing))[0]
    assert enough.information == pytest.approx(1, abs=0.02)
    if not of:
        assert "no session with a baseline was told it yet" in effect.notes
        assert (effect.low, effect.estimate, effect.high) == (-1, 0, 1)


def test_a_short_baseline_asks_for_as_many_as_both_sides_take() -> None:
    effect = look(period(50, 60, 3, 30) + period(62, 95, 2, 40))[1]
    assert effect.verdict == "underpowered"
    assert effect.missing > statistics.sessions_for_share(0.1, 0.05)
    assert "30 sessions before it was detected are too few to compare with" in effect.notes
    always = compare.register(period(0, 60, 4, 4), DETECTED, False, Goal(), [])
    assert (always.base, always.before) == (1, pytest.approx(0.9 * 0.1))


def test_good_patterns_are_to_become_more_frequent() -> None:
    seen = period(0, 60, 90, 300) + period(62, 95, 90, 150)
    assert look(seen, exposures(seen, good=True))[1].verdict == "helped"
    assert look(seen)[1].verdict == "harmful"


def test_events_are_counted_per_call_where_there_are_calls() -> None:
    def calls(start: float, end: float, of: int, events: int) -> list[Observed]:
        return [
            replace(seen, events=events + n % 2, chances=60 + n % 17)
            for n, seen in enumerate(period(start, end, 0, of))
        ]

    seen = calls(0, 60, 200, 3) + calls(62, 95, 60, 1)
    found, effect = look(seen)
    assert (effect.verdict, effect.measure) == ("helped", "rate")
    assert effect.estimate == pytest.approx(1.5 / 3.5 - 1, abs=0.02)
    assert -1 < effect.low < effect.estimate < effect.high < 0
    assert found.registered.base == pytest.approx(3.5 / 68, abs=0.001)
    assert "% (" in told_as(effect)


def test_who_counts_where() -> None:
    seen = [
        *period(0, 60, 30, 100),
        one(61, True),  # after it was detected, before anybody was told
        one(61.9, True),
        *period(63, 70, 2, 20),
        *period(71, 75, 4, 10),  # it was taken out in between
        *period(76, 80, 1, 10),
        *period(95, 99, 9, 10, repo="desk"),  # has no baseline
        *period(0, 60, 5, 8, flavor="cursor"),  # is not told, and too few to compare with
        *period(63, 80, 5, 8, flavor="cursor"),
    ]
    (told,) = exposures(seen)
    both = [replace(told, until=70 * DAY_MS), replace(told, since=76 * DAY_MS)]
    found, _ = look(seen, both)
    assert (found.before.sessions, found.before.of) == (30, 100)
    assert (found.after.sessions, found.after.of) == (3, 30)
    assert found.design == "before and after"
    everywhere = look(seen, [replace(told, detail={**told.detail, "repos": ["*"]})])[0]
    assert everywhere.after.of == 40  # in any repository, but of its readers only


def test_the_window_ends_when_it_was_said_to() -> None:
    seen = period(0, 60, 20, 100) + period(62, 99, 5, 60)
    found, effect = look(seen, exposures(seen, goal=Goal(days=10)))
    assert found.after.of == sum(TOLD <= s.at < TOLD + 10 * DAY_MS for s in seen)
    assert effect.verdict == "underpowered"
    assert "its 10 days are over" in effect.notes


def test_those_who_are_not_told_are_compared_with() -> None:
    def everywhere(told: tuple[int, int], untold: tuple[int, int]) -> list[Observed]:
        return [
            *period(0, 60, 100, 300),
            *period(62, 95, *told),
            *period(0, 60, 100, 300, repo="desk"),
            *period(62, 95, *untold, repo="desk"),
        ]

    # All became rarer by themselves: without the others it would have helped.
    drifting = everywhere((60, 300), (60, 300))
    found, effect = look(drifting)
    assert effect.design == "difference in differences"
    assert effect.verdict in ("no evidence", "underpowered")
    assert effect.estimate == pytest.approx(0, abs=0.03)
    assert look([s for s in drifting if s.repo == "shop"])[1].verdict == "helped"
    helped = everywhere((30, 300), (100, 300))
    assert look(helped)[1].verdict == "helped"
    assert found.detail["control"][0] == [100, 300, 100]
    (told,) = exposures(helped)
    drawn = replace(told, detail={**told.detail, "assignment": {"told": ["shop"], "held_back": ["desk"]}})
    assert look(helped, [drawn])[1].design == "randomised by repository"


def test_other_versions_make_before_and_after_no_comparison() -> None:
    seen = period(0, 60, 100, 300) + period(62, 95, 20, 150, written_by=("1.3", "gpt-5"))
    found, effect = look(seen)
    assert found.void
    assert effect.verdict == "no evidence"
    assert "100% of the sessions are written by other versions or models than before: no comparison" in effect.notes
    mixed = period(0, 60, 100, 300) + [
        replace(s, written_by=("1.3", "gpt-5")) if n % 6 == 0 else s for n, s in enumerate(period(62, 95, 20, 150))
    ]
    assert look(mixed)[1].verdict == "helped"


@pytest.mark.parametrize(
    ("rail", "worse"),
    [
        ("tokens", {"tokens": 900_000}),
        ("time", {"active_s": 6_000}),
        ("interrupted", {"interrupts": 2}),
        ("failed", {"failed": True}),
    ],
)
def test_help_that_makes_sessions_worse_is_none(rail: str, worse: dict[str, object]) -> None:
    draw = random.Random(5)

    def noisy(sessions: list[Observed]) -> list[Observed]:
        return [
            replace(
                s,
                tokens=int(s.tokens * draw.lognormvariate(0, 0.5)),
                active_s=int(s.active_s * draw.lognormvariate(0, 0.5)),
            )
            for s in sessions
        ]  # type: ignore[operator]

    seen = noisy(period(0, 60, 100, 300)) + noisy(period(62, 95, 20, 150, **worse))
    effect = look(seen)[1]
    assert effect.verdict == "harmful"
    assert f"sessions are worse by {rail}" in effect.notes
    low = effect.detail["guard_rails"][rail][1]
    assert low > 0


def test_many_patterns_allow_for_each_other() -> None:
    seen = period(0, 60, 100, 300) + period(62, 95, 29, 150)
    found = compare.compared("p", 2, seen, exposures(seen), NOW)
    assert 0.002 < found.p < 0.05
    assert effects([found], NOW)[0].verdict == "helped"
    others = [replace(found, pattern=f"q{n}", p=0.9) for n in range(40)]
    assert {e.pattern: e.verdict for e in effects([found, *others], NOW)}["p"] == "no evidence"


def test_what_was_picked_for_being_frequent_counts_for_less() -> None:
    seen = period(0, 60, 60, 100)
    plain = compare.register(seen, DETECTED, False, Goal(), [])
    picked = compare.register(seen, DETECTED, False, Goal(), OTHERS)
    assert plain.luck == 1
    assert 0.8 < picked.luck < 1
    assert picked.base == pytest.approx(0.6 * picked.luck)
    told = [replace(exposures(seen)[0], detail={"repos": ["shop"], "readers": ["codex"], "registered": asdict(picked)})]
    notes = look(seen + period(62, 70, 2, 10), told)[1].notes
    assert any("it was picked because it was frequent" in note for note in notes)


def test_what_is_settled_survives_as_json() -> None:
    plan = compare.register(period(0, 60, 10, 100), DETECTED, True, Goal(0.3, 14), OTHERS)
    assert Registered(**asdict(plan)) == plan
    assert plan.factor == 1.3
    nothing = compare.register([], DETECTED, False, Goal(), [])
    assert nothing.base == 0
    assert nothing.information > 0
    found, effect = look([], [replace(exposures([])[0])])
    assert effect.verdict == "underpowered"
    assert found.after.of == 0
