"""Keys that say the same are one, and traps are not, whatever order they come in."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.coding.patterns.clusters import clusters, key_of, merged
from carryover.coding.patterns.units import units
from planted import session, signal

GO = "shell go build: cannot find package <path> in any of the known roots"
KEYS = st.lists(
    st.builds(
        lambda about, said: f"{about}: {' '.join(said)}",
        st.sampled_from(["edit", "shell go build", "read"]),
        st.lists(st.sampled_from("abcdefgh"), max_size=6),
    ),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (GO, GO.replace("known", "listed")),
        (GO, GO.replace("cannot", "Cannot")),
        ("plan ExitPlanMode", "plan exitplanmode"),
        ("edit: a, b; c d e", "edit: e d c b a"),
    ],
)
def test_what_says_the_same_is_one(a: str, b: str) -> None:
    assert merged({a: 2, b: 1}) == {a: a, b: a}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (GO, GO.replace("go build", "go vet")),
        ("shell go build: undefined: foo", "shell go build: undefined: bar"),
        ("shell rg", "shell sed"),
        ("edit: text not found", "edit: several matches"),
        ("shell npm run test: no such service web", "shell npm run test: no such service db"),
        ("edit", "edit: not read"),
    ],
)
def test_what_only_looks_alike_is_not(a: str, b: str) -> None:
    assert merged({a: 2, b: 1}) == {a: a, b: b}


def test_a_known_key_stands_for_the_cluster_however_it_grows() -> None:
    other = GO.replace("known", "listed")
    assert merged({GO: 1, other: 90}) == {GO: other, other: other}
    assert merged({GO: 1, other: 90}, [GO]) == {GO: GO, other: GO}
    assert merged({other: 90}, [GO]) == {other: GO}


def test_clusters_do_not_drift() -> None:
    chain = [f"edit: {' '.join('abcdefghijklmnop'[n : n + 8])}" for n in range(9)]
    found = merged({key: 9 - n for n, key in enumerate(chain)})
    assert found[chain[1]] == chain[0]
    assert len(set(found.values())) > 2


@given(KEYS, st.randoms(use_true_random=False))
def test_order_changes_nothing(keys: list[str], draw: random.Random) -> None:
    counts = {key: keys.count(key) for key in keys}
    shuffled = list(counts.items())
    draw.shuffle(shuffled)
    found = merged(counts)
    assert merged(dict(shuffled)) == found
    assert all(found[stands_for] == stands_for for stands_for in found.values())


@given(KEYS)
def test_each_joins_the_most_alike_as_if_all_were_compared(keys: list[str]) -> None:
    """Looking only where a rare word is shared misses nothing."""
    counts = {key: keys.count(key) for key in keys}

    def words(key: str) -> frozenset[str]:
        return frozenset(key.partition(": ")[2].split()) or frozenset(("",))

    standing: list[str] = []
    expected: dict[str, str] = {}
    for key in sorted(counts, key=lambda key: (-counts[key], key)):
        about = key.partition(": ")[0]
        near = {
            other: len(words(key) & words(other)) / len(words(key) | words(other))
            for other in standing
            if other.partition(": ")[0] == about
        }
        most = max(near, key=lambda other: (near[other], other), default=None)
        expected[key] = most if most is not None and near[most] >= 0.7 else key
        if expected[key] == key:
            standing.append(key)
    assert merged(counts) == expected


def test_a_key_keeps_only_what_tells_of_a_habit() -> None:
    assert key_of(signal("wrong_path", "read: *.go")) == key_of(signal("wrong_path", "shell: path")) == "file"
    assert key_of(signal("error", "shell go test: tests failed")) == "tests: tests failed"
    assert key_of(signal("error", "shell go test: panic")) == "shell go test: panic"


def test_an_error_that_has_a_name_is_told_once_and_rates_are_no_patterns() -> None:
    same = signal("error", "edit: File has not been read yet", "File has not been read yet")
    named = signal("edit_before_read", "edit: not read", "File has not been read yet")
    other = signal("error", "shell go build: undefined", "undefined: x")
    elsewhere = signal("error", "shell go vet: undefined", "undefined: x")
    found = [
        session("a", same, named, signal("tool_errors", "edit")),
        session("b", elsewhere),
        session("c", other, signal("idle_gap", "gap")),
    ]
    told = {(cluster.kind, cluster.key) for cluster in clusters(units(found), {})}
    assert told == {
        ("edit_before_read", "edit: not read"),
        ("error", "shell go vet: undefined"),
        ("error", "shell go build: undefined"),
    }
