"""The costs of a persona: no token is lost, the provider's rules hold, and small cases come out as by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from carryover.core.errors import ProviderError
from carryover.evals.persona_cost import (
    CACHED,
    MODEL,
    OURS,
    UNCACHED,
    WAYS,
    Case,
    Kept,
    Making,
    Tokens,
    caching_pays,
    change_costs,
    cost_report,
    costs,
    dollars,
    flow,
    hour_pays,
    persona_pays,
)
from carryover.evals.persona_traffic import Requests, Stream, Way, World, requests, stream
from carryover.providers.prices import Price, find

SMALL = World(users=4, sessions=6)
BY_NAME = {way.name: way for way in WAYS}
PERSONA_FIRST, OURS_WAY = BY_NAME["persona before the shared prefix"], WAYS[OURS]
PRICE = Price(
    100_000, Decimal(2), Decimal(10), cache_read=Decimal("0.1"), cache_write=Decimal("1.25"), cache_least=1000
)


def asked(*rows: tuple[float, int, int, int]) -> Requests:
    """Requests at (seconds, user, session, place), each of 10 tokens said and 100 answered, in order of time."""
    past: dict[int, int] = {}
    before: dict[int, int] = {}
    columns: list[tuple[float, ...]] = []
    opened: dict[tuple[int, int], int] = {}
    for n, (at, user, session, place) in enumerate(rows):
        history = opened.setdefault((user, session), past.get(user, 0))
        within = 110 * place
        columns.append((at, user, session, place, 10, 100, history, min(history, 1100), within, before.get(user, -1)))
        past[user] = past.get(user, 0) + 110
        before[user] = n
    at, *counts = (np.array(column) for column in zip(*columns, strict=True))
    return Requests(at.astype(float), *(column.astype(np.int64) for column in counts))


def rows_of(found: Stream) -> list[tuple[int, int, int]]:
    return list(zip(found.total.tolist(), found.read.tolist(), found.written.tolist(), strict=True))


def of(
    found: Requests, way: Way, shared: int = 3000, least: int = 1000, ttl_s: int = 300
) -> list[tuple[int, int, int]]:
    return rows_of(stream(found, way, shared, 50, least=least, ttl_s=ttl_s))


TWO_USERS = asked((0, 1, 0, 0), (60, 1, 0, 1), (100, 2, 0, 0), (1000, 1, 1, 0), (1100, 2, 1, 0), (1160, 2, 1, 1))


def test_by_hand_a_persona_behind_the_shared_prefix() -> None:
    assert of(TWO_USERS, OURS_WAY) == [
        (3010, 0, 3010),  # nothing there yet
        (3120, 3010, 110),  # all of the last request
        (3010, 3000, 10),  # another user reads what they share
        (3060, 0, 3060),  # after a quarter of an hour, nothing is left
        (3060, 3000, 60),  # another user's persona, the same prefix
        (3170, 3060, 110),
    ]


def test_by_hand_a_persona_before_the_shared_prefix() -> None:
    """As soon as there is one, nothing is shared with other users."""
    assert of(TWO_USERS, PERSONA_FIRST) == [
        (3010, 0, 3010),
        (3120, 3010, 110),
        (3010, 3000, 10),
        (3060, 0, 3060),
        (3060, 0, 3060),
        (3170, 3060, 110),
    ]


def test_by_hand_a_history() -> None:
    found = asked((0, 1, 0, 0), (60, 1, 0, 1), (200, 1, 1, 0), (700, 1, 2, 0))
    assert of(found, WAYS[CACHED]) == [
        (3010, 0, 3010),
        (3120, 3010, 110),
        (3230, 3120, 110),  # the last session's last request is where it goes on
        (3340, 0, 3340),
    ]
    assert of(found, WAYS[UNCACHED]) == [(3010, 0, 0), (3120, 0, 0), (3230, 0, 0), (3340, 0, 0)]


@pytest.mark.parametrize("name", ["last 10 turns, cached", "summary of 500 tokens, cached"])
def test_what_is_made_anew_for_a_session_is_read_only_within_it(name: str) -> None:
    found = asked((0, 1, 0, 0), (100, 1, 1, 0), (160, 1, 1, 1))
    first, opened, second = of(found, BY_NAME[name])
    assert first == (3010, 0, 3010)
    assert opened[1] == 3000
    assert second == (opened[0] + 110, opened[0], 110)


def test_a_session_that_is_opened_again_in_time_reads_its_persona() -> None:
    found = asked((0, 1, 1, 0), (200, 1, 2, 0))
    assert of(found, OURS_WAY)[1] == (3060, 3050, 10)
    assert of(found, PERSONA_FIRST)[1] == (3060, 3050, 10)


@pytest.mark.parametrize(("ttl_s", "read"), [(60, 3010), (59, 0), (3600, 3010)])
def test_what_the_cache_held_too_long_ago_is_not_read(ttl_s: int, read: int) -> None:
    assert of(asked((0, 1, 0, 0), (60, 1, 0, 1)), OURS_WAY, ttl_s=ttl_s)[1][1] == read


@pytest.mark.parametrize(
    ("shared", "least", "rows"),
    [
        (990, 1000, [(1000, 0, 1000), (1110, 1000, 110), (1000, 0, 1000)]),  # the shared part alone is too short
        (1000, 1000, [(1010, 0, 1010), (1120, 1010, 110), (1010, 1000, 10)]),
        (880, 1000, [(890, 0, 0), (1000, 0, 1000), (890, 0, 0)]),  # the first request is below, the second is not
        (3000, 4000, [(3010, 0, 0), (3120, 0, 0), (3010, 0, 0)]),
    ],
)
def test_what_is_below_the_minimum_is_neither_kept_nor_read(
    shared: int, least: int, rows: list[tuple[int, int, int]]
) -> None:
    found = asked((0, 1, 0, 0), (60, 1, 0, 1), (100, 2, 0, 0))
    assert of(found, OURS_WAY, shared=shared, least=least) == rows


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize(("shared", "least", "ttl_s"), [(200, 1024, 300), (3000, 1024, 3600), (3000, 4096, 300)])
def test_no_token_is_lost(way: Way, shared: int, least: int, ttl_s: int) -> None:
    found = requests(SMALL)
    one = stream(found, way, shared, 110, least=least, ttl_s=ttl_s)
    fresh = one.total - one.read - one.written
    assert (one.read >= 0).all()
    assert (one.written >= 0).all()
    assert (fresh >= 0).all()
    assert ((one.read == 0) | (one.read >= least)).all()
    assert ((one.written == 0) | (one.total >= least)).all()
    assert ((fresh == 0) | (one.total < least) | (not way.cached)).all()
    summed = flow(found, way, shared, 110, Kept(least, ttl_s, 2000))
    assert sum(part.fresh + part.read + part.written for part in summed.all) == one.total.sum()
    assert summed.all[0].fresh + summed.all[0].read + summed.all[0].written == one.total[one.total <= 2000].sum()


def test_the_world_is_what_it_says() -> None:
    found = requests(SMALL)
    again = requests(replace(SMALL))
    assert (found.at == again.at).all()
    assert (np.diff(found.at) >= 0).all()
    assert (found.place == 0).sum() == SMALL.users * SMALL.sessions
    assert found.place.max() < SMALL.turns[1]
    for user in range(SMALL.users):
        mine = np.flatnonzero(found.user == user)
        spoken = (found.said + found.answered)[mine]
        assert (found.history[mine] + found.within[mine] == np.cumsum(spoken) - spoken).all()
        assert (found.window[mine] <= found.history[mine]).all()
        assert found.before[mine].tolist() == [-1, *mine[:-1].tolist()]
        assert (np.diff(found.session[mine]) >= 0).all()


def test_more_users_keep_the_shared_prefix_warm() -> None:
    few, many = (
        flow(requests(World(users=users, sessions=5)), OURS_WAY, 3000, 110, Kept(1024, 300)) for users in (2, 80)
    )
    assert many.processed < few.processed / 2


def test_money_by_hand() -> None:
    parts = (Tokens(fresh=100, read=1000, written=200), Tokens(0, 0, 0))
    assert dollars(parts, PRICE) == Decimal(100 + 100 + 250) * 2 / 1_000_000
    hourly = replace(PRICE, cache_write_hour=Decimal(2))
    assert dollars(parts, hourly, 3600) == Decimal(100 + 100 + 400) * 2 / 1_000_000
    assert dollars(parts, hourly) == dollars(parts, PRICE)


def test_requests_above_a_step_cost_more_as_a_whole() -> None:
    stepped = find("anthropic:claude-haiku-5-5")
    below, above = Tokens(1000, 0, 0), Tokens(200_000, 0, 0)
    assert dollars((below, above), stepped) == (1000 * stepped.input + 200_000 * Decimal("0.5")) / 1_000_000


def test_ways_compare_with_a_full_history() -> None:
    case = Case(MODEL, 3000, SMALL.users, 300, 1024, least_known=True)
    rows = costs(requests(SMALL), case, find(MODEL))
    assert [row.way for row in rows] == [way.name for way in WAYS]
    assert rows[UNCACHED].uncached == rows[CACHED].cached == 1
    for row in rows:
        assert row.uncached == pytest.approx(rows[UNCACHED].input / row.input)
        assert row.cached_last == pytest.approx(rows[CACHED].last / row.last)
        assert row.making == 0
        assert row.last < row.input
    by_name = {row.way: row for row in rows}
    assert by_name["nothing remembered"].input <= rows[OURS].input
    assert rows[OURS].input <= by_name["persona before the shared prefix"].input < by_name["persona, no cache"].input


def test_what_a_model_takes_to_make_it_is_told_apart() -> None:
    case = Case(MODEL, 3000, SMALL.users, 300, 1024, least_known=True)
    found = requests(SMALL)
    rows = {row.way: row for row in costs(found, case, find(MODEL), making=Making(PRICE, instructions=100))}
    spoken = int((found.said + found.answered).sum())
    sessions = SMALL.users * SMALL.sessions
    ours = rows[OURS_WAY.name]
    assert ours.making == pytest.approx(((spoken + 100 * sessions) * 2 + 200 * sessions * 10) / 1_000_000)
    assert rows["nothing remembered"].making == rows["full history, cached"].making == 0
    assert ours.input == costs(found, case, find(MODEL))[OURS].input


def test_the_report_meets_its_goals_at_the_traffic_that_it_states() -> None:
    report = cost_report([MODEL], sizes=[3000], traffic=[50])
    assert report.headline["cost_ratio_uncached"] >= 25
    assert report.headline["cost_ratio_cached"] >= 10
    assert report.at == f"{MODEL}, 3,000 shared tokens, 50 users with 30 sessions each, cache of 5 minutes"
    assert report.headline["cost_ratio_uncached"] == report.of()[OURS].uncached
    assert report.of()[OURS].uncached_last > report.of()[OURS].uncached  # the history goes on growing
    assert len(report.of(ttl_s=3600)) == len(WAYS)


def test_a_report_without_the_headlines_case_has_none() -> None:
    report = cost_report(["openai:gpt-5-mini", "anthropic:claude-sonnet-5-5"], sizes=[200], traffic=[2])
    assert (dict(report.headline), report.at) == ({}, "")
    assert {(row.case.model, row.case.ttl_s) for row in report.rows} == {
        ("openai:gpt-5-mini", 300),
        ("anthropic:claude-sonnet-5-5", 300),
        ("anthropic:claude-sonnet-5-5", 3600),
    }
    unknown = report.of("anthropic:claude-sonnet-5-5", 200, 2)[0].case
    assert (unknown.least, unknown.least_known) == (4096, False)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ProviderError, match="nobody:nothing"):
        cost_report(["nobody:nothing"], sizes=[200], traffic=[1])


@pytest.mark.parametrize(
    ("read", "write", "more"), [(0.1, 1.25, 1.2778), (0.05, 1.25, 1.2632), (0.1, 2, 2.1111), (0.05, 2, 2.0526)]
)
def test_caching_pays_from_the_second_or_third_request(read: float, write: float, more: float) -> None:
    assert caching_pays(read, write) == pytest.approx(more, abs=1e-4)
    even = caching_pays(read, write)
    assert write + (even - 1) * read == pytest.approx(even)


def test_an_hour_pays_for_people_who_come_back_within_it() -> None:
    assert hour_pays(0.1, 1.25, 2) == pytest.approx(0.652, abs=1e-3)
    assert hour_pays(0.05, 1.25, 2) == pytest.approx(0.625)


@pytest.mark.parametrize(
    ("model", "more"), [("anthropic:claude-haiku-5-5", 92), ("anthropic:claude-haiku-4-5", 919), (None, 0)]
)
def test_a_persona_pays_from_the_first_returning_session(model: str | None, more: int) -> None:
    making = None if model is None else Making(find(model))
    even = persona_pays(find(MODEL), 110, requests=7, making=making, given=2400, made=200)
    assert even == pytest.approx(110 + more, abs=0.5)


def test_changing_a_persona_in_mid_session_is_dear() -> None:
    assert change_costs(find(MODEL), 110 + 5000) == pytest.approx(0.01175, abs=1e-5)
