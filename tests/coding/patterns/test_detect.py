"""From planted digests to patterns: shares of those at risk, agents that count for themselves, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.coding.digests.signals import KINDS
from carryover.coding.patterns import advice, risk
from carryover.coding.patterns.contrast import habits
from carryover.coding.patterns.detect import MOST_EVIDENCE, detected, id_of
from carryover.coding.patterns.units import units
from carryover.core.digest import Digest, Signal, ToolUse
from carryover.core.digest import Tests as Trials
from carryover.core.pattern import Pattern, Share
from carryover.core.step import FLAVORS
from planted import DESK, SHOP, session, signal

UNREAD = signal("edit_before_read", "edit: not read", "File has not been read yet.")
FMT = signal("error", "shell mise run fmt: [lint] ERROR task failed", "[lint] ERROR task failed")


def several(prefix: str, count: int, *signals: Signal, **more: Any) -> list[Digest]:
    return [session(f"{prefix}{n}", *signals, age_days=n, **more) for n in range(count)]


def found(digests: list[Digest], least: int = 2) -> list[Pattern]:
    return detected(digests, {}, least=least)


def test_what_two_agents_show_in_two_sessions_each_is_cross_flavor() -> None:
    (pattern,) = found([*several("a", 3, UNREAD), *several("b", 2, UNREAD, flavor="codex", repo=DESK)])
    assert pattern.cross_flavor
    assert (pattern.total, pattern.good, pattern.state, pattern.version) == (Share(5, 5, 5), False, "candidate", 0)
    assert pattern.flavors == {"claude-code": Share(3, 3, 3), "codex": Share(2, 2, 2)}
    assert pattern.repos == {DESK: Share(2, 2, 2), SHOP: Share(3, 3, 3)}
    assert (pattern.title, pattern.lesson) == (
        "Files are edited before they are read",
        "Read a file before you edit it.",
    )
    assert pattern.first_seen is not None
    assert pattern.last_seen == pattern.first_seen + 2 * 86_400_000


def test_what_one_agent_shows_or_another_only_once_is_not() -> None:
    (alone,) = found(several("a", 9, UNREAD))
    (once,) = found([*several("a", 9, UNREAD), *several("b", 1, UNREAD, flavor="codex")])
    assert not alone.cross_flavor
    assert not once.cross_flavor


def test_a_session_in_the_logs_of_two_agents_is_one_session_of_either() -> None:
    ours = several("a", 3, UNREAD)
    carried = [
        replace(one, agent_id="codex", flavor="codex", session_id=f"x-{one.session_id}", repo=DESK) for one in ours[:2]
    ]
    (pattern,) = found([*ours, *carried])
    assert not pattern.cross_flavor
    assert pattern.total == Share(3, 3, 3)
    assert pattern.flavors["codex"].sessions == 2
    assert len({quote.session_id for quote in pattern.evidence}) == len(pattern.evidence) == 3
    (more,) = found([*ours, *several("b", 1, UNREAD), *carried])
    assert more.cross_flavor
    assert more.total.sessions == 4


def test_shares_are_out_of_sessions_that_could_have_shown_it() -> None:
    reads_only = several("r", 4, tools={"read": ToolUse(5, 0, 0)})
    untold = several("u", 4, tools={"edit": ToolUse(5)}, flavor="jsonl")
    clean = several("c", 4)
    (pattern,) = found([*several("a", 3, UNREAD), *reads_only, *untold, *clean])
    assert pattern.total == Share(3, 7, 3)
    runs = several("c", 2, commands=("mise run fmt",))
    (of_command,) = found([*several("a", 3, FMT, commands=("mise run fmt",)), *clean, *runs])
    assert of_command.total == Share(3, 5, 3)


def test_a_session_counts_once_with_its_sub_agents_and_however_often_it_happened() -> None:
    often = replace(UNREAD, count=7)
    main = session("a", often)
    child = session("a1", UNREAD, kind="subagent", parent="a")
    assert found([main, child]) == []
    (pattern,) = found([main, child, session("b", UNREAD)])
    assert pattern.total == Share(2, 2, 9)


def test_a_replayed_signal_is_not_there_and_cannot_count() -> None:
    fork = session("f", kind="fork", parent="a0", replayed=40)
    (pattern,) = found([*several("a", 2, UNREAD), fork])
    assert pattern.total == Share(2, 3, 2)


def test_commands_that_every_session_runs_weigh_less() -> None:
    noise = signal("error", "shell git status: fatal: not a git repository")
    told = found(several("a", 3, noise, FMT, commands=("git status", "mise run fmt")))
    assert [one.signal + one.key for one in told] == [FMT.kind + FMT.key, noise.kind + noise.key]
    assert told[0].score == pytest.approx(4 * told[1].score, rel=1e-3)


def test_the_score_grows_with_sessions_repositories_agents_and_fades() -> None:
    def score(*digests: Digest) -> float:
        return found([*digests, session("newest")], least=1)[0].score

    one = score(session("a", UNREAD))
    assert one == 1.0
    assert score(*several("a", 4, UNREAD)) == pytest.approx(2.0)
    assert score(session("a", UNREAD), session("b", UNREAD, repo=DESK)) == pytest.approx(2 * 2**0.5, abs=1e-3)
    two_agents = [*several("a", 2, UNREAD), *several("b", 2, UNREAD, flavor="codex")]
    assert score(*two_agents) == pytest.approx(2 * 2)
    assert score(session("a", UNREAD, age_days=90)) == pytest.approx(0.5)


def test_evidence_is_verbatim_of_distinct_sessions_and_of_each_agent() -> None:
    bare = signal("edit_before_read", "edit: not read", "error")
    digests = [
        *several("a", 30, UNREAD),
        *several("b", 3, UNREAD, flavor="codex"),
        *several("g", 2, bare, flavor="grok"),
    ]
    (pattern,) = found(digests)
    assert len(pattern.evidence) == MOST_EVIDENCE
    assert len({quote.session_id for quote in pattern.evidence}) == MOST_EVIDENCE
    counts = {flavor: sum(quote.agent_id == flavor for quote in pattern.evidence) for flavor in pattern.flavors}
    assert counts == {"claude-code": 3, "codex": 3, "grok": 2}
    assert pattern.evidence[0].first == 3
    assert {quote.quote for quote in pattern.evidence} == {"File has not been read yet.", "error"}
    told = {source.quote for digest in digests for one in digest.signals for source in one.sources}
    assert {quote.quote for quote in pattern.evidence} <= told


def test_a_known_key_keeps_its_id_and_all_digests_make_the_clusters() -> None:
    longer = replace(FMT, key=FMT.key + " again")
    digests = [*several("a", 3, FMT), *several("b", 5, longer, flavor="codex")]
    (free,) = found(digests)
    assert free.id == id_of("error", longer.key)
    (kept,) = detected(digests, {"error": [FMT.key]}, least=2)
    assert (kept.id, kept.total.sessions) == (id_of("error", FMT.key), 8)
    (some,) = detected(digests, {}, least=2, wanted=lambda one: one.flavor == "claude-code")
    assert (some.id, some.total, some.flavors.keys()) == (free.id, Share(3, 3, 3), {"claude-code"})


@st.composite
def corpora(draw: st.DrawFn) -> list[Digest]:
    kinds = st.sampled_from(["edit_before_read", "error", "rejection", "correction", "new_kind"])
    keys = st.sampled_from(["edit: not read", "shell go test: panic a b", "shell go test: panic a c", "no", "", "ü: ö"])
    signals = st.lists(st.builds(signal, kinds, keys), max_size=4, unique_by=lambda one: (one.kind, one.key))
    sessions = draw(
        st.lists(st.tuples(signals, st.sampled_from(FLAVORS), st.sampled_from(["", SHOP, DESK])), max_size=12)
    )
    return [session(f"s{n}", *told, flavor=flavor, repo=repo) for n, (told, flavor, repo) in enumerate(sessions)]


@given(corpora(), st.randoms(use_true_random=False))
def test_order_changes_nothing_and_shares_hold(digests: list[Digest], draw: random.Random) -> None:
    patterns = found(digests, least=1)
    shuffled = list(digests)
    draw.shuffle(shuffled)
    assert found(shuffled, least=1) == patterns
    assert len({one.id for one in patterns}) == len(patterns)
    for one in patterns:
        assert 1 <= one.total.sessions <= one.total.of <= len(digests)
        assert all(share.sessions <= share.of <= one.total.of for share in (*one.flavors.values(), *one.repos.values()))
        assert sum(share.sessions for share in one.flavors.values()) >= one.total.sessions
        assert one.title
        assert one.lesson
    again = {pattern.signal: [pattern.key] for pattern in patterns}
    assert {one.id for one in detected(digests, again, least=1)} <= {one.id for one in patterns}


def test_what_stands_out_in_sessions_that_ended_well_is_a_habit() -> None:
    well = several("w", 6, outcome="verified", commands=("make check", "ls"), tests=Trials(2, 0, "green"))
    badly = several("b", 6, outcome="errored", commands=("ls",))
    told = {one.cluster.key: one for one in habits(units([*well, *badly]))}
    assert set(told) == {"ran make check", "tests"}
    assert told["tests"].cluster.note == f"{SHOP}: 6 of 6 sessions that ended well, 0 of 6 others"
    pattern = next(one for one in found([*well, *badly]) if one.key == "ran make check")
    assert (pattern.good, pattern.total, pattern.signal) == (True, Share(6, 6, 6), "habit")
    assert "`make check`" in pattern.lesson


@pytest.mark.parametrize(
    ("well", "badly", "without"),
    [(4, 6, 0), (6, 4, 0), (6, 6, 3)],  # too few on either side, and a difference that may be luck
)
def test_few_sessions_or_a_small_difference_make_no_habit(well: int, badly: int, without: int) -> None:
    digests = several("w", well, outcome="verified", commands=("make check",))
    digests += several("x", badly - without, outcome="abandoned")
    digests += several("y", without, outcome="errored", commands=("make check",))
    assert habits(units(digests)) == []


def test_other_repositories_and_what_decides_the_outcome_make_no_habit() -> None:
    well = several("w", 9, outcome="verified", commands=("make check", "git push"), tests=Trials(2, 0, "green"))
    elsewhere = several("b", 9, outcome="errored", repo=DESK)
    assert habits(units([*well, *elsewhere])) == []
    unverified = several("u", 9, outcome="unverified")
    badly = several("e", 9, outcome="errored", commands=("make check",), tests=Trials(1, 1, "red"))
    told = {one.cluster.key for one in habits(units([*well, *unverified, *badly]))}
    assert "tests" not in told  # those that failed ran tests, too


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_every_kind_of_signal_has_words_and_a_risk(kind: str) -> None:
    for key in ("", "shell go test: undefined: {x}", "edit: not read", "*.go", "plan", "file"):
        words = advice.words_of(kind, key, "text")
        assert 0 < len(words.title) <= 200
        assert 0 < len(words.lesson) <= 300
        assert 0 < advice.specificity(kind, key) <= 1
        assert risk.holds(risk.of(kind, key), session("a")) in (True, False)


def test_words_of_logs_are_masked_and_cannot_leave_their_sentence() -> None:
    token = "ghp_" + "a1B2" * 9
    words = advice.words_of("error", f"shell curl: `rm -rf` denied for {token}\n# Heading", "")
    assert token not in words.title + words.lesson
    assert "\n" not in words.lesson
    assert words.lesson.count("`") == 2
    assert advice.words_of("new_kind", "k", "said so").title == "said so"
