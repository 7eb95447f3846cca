"""A store of LangGraph over the log: what graphs put there, find there, and what of it the log still knows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import GetOp, InvalidNamespaceError, Item, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from carryover.core.errors import Invalid
from carryover.core.ids import is_id
from carryover.integrations.langgraph_store import CarryoverStore
from carryover.memories import Memory
from carryover.runtime import Carryover
from carryover.settings import Settings
from clocks import FrozenClock
from serving import open_memory
from waiting import until

MINUTE_MS = 60_000


@pytest.fixture
def store(memory: Memory) -> CarryoverStore:
    return CarryoverStore(memory)


def keys(items: list[Any]) -> list[str]:
    return [item.key for item in items]


def test_items_are_put_read_and_deleted(memory: Memory, store: CarryoverStore) -> None:
    value = {"theme": "dark", "nested": {"a": [1, 2.5, None, True]}, "ünï": "🎈"}
    store.put(("users", "ada"), "settings", value)
    found = store.get(("users", "ada"), "settings")
    assert isinstance(found, Item)
    assert (found.value, found.key, found.namespace) == (value, "settings", ("users", "ada"))
    assert found.created_at == found.updated_at
    found.value["theme"] = "light"
    again = store.get(("users", "ada"), "settings")
    assert again is not None
    assert again.value["theme"] == "dark"
    store.put(("users", "ada"), "settings", {"theme": "light"})
    newer = store.get(("users", "ada"), "settings")
    assert newer is not None
    assert (newer.value, newer.created_at) == ({"theme": "light"}, found.created_at)
    assert store.get(("users", "ada"), "other") is None
    assert store.get(("users", "bob"), "settings") is None
    store.delete(("users", "ada"), "settings")
    assert store.get(("users", "ada"), "settings") is None
    # The log has all three.
    _, turns = memory.turns("users.ada", agent=store.agent)
    assert [turn.content[0].get("value") for turn in turns] == [value, {"theme": "light"}, None]
    store.delete(("users", "ada"), "settings")  # nothing is there, and nothing is noted
    store.delete(("users", "nobody"), "settings")
    assert memory.session("users.ada", agent=store.agent).version == 3
    assert store.list_namespaces() == []


def test_another_process_sees_the_same(memory: Memory, store: CarryoverStore) -> None:
    other = CarryoverStore(memory)
    store.put(("a",), "k", {"n": 1})
    assert other.get(("a",), "k") == store.get(("a",), "k")
    other.put(("a",), "k", {"n": 2})
    assert store.get(("a",), "k") == other.get(("a",), "k")
    assert CarryoverStore(memory, agent="elsewhere").get(("a",), "k") is None
    # A namespace that is erased, and begun anew.
    memory.delete_session(store.session_of(("a",)), agent=store.agent)
    assert store.get(("a",), "k") is None
    store.put(("a",), "other", {"n": 3})
    assert keys(store.search(("a",))) == keys(other.search(("a",))) == ["other"]


def test_what_else_is_logged_there_is_no_item(memory: Memory, store: CarryoverStore) -> None:
    store.put(("a",), "k", {"n": 1})
    memory.log_turn("a", "user", "Hello", agent=store.agent)
    memory.log_turn("a", "user", [{"type": "text", "text": "Hello"}], agent=store.agent)
    memory.log_turn("a", "system", [{"type": "item", "namespace": ["a"], "key": "x", "used": True}], agent=store.agent)
    memory.log_turn("other", "user", "Hello", agent=store.agent)
    assert keys(store.search(())) == ["k"]
    assert store.list_namespaces() == [("a",)]


def test_namespaces_of_any_name(memory: Memory, store: CarryoverStore) -> None:
    odd = [("a",), ("a", "b"), ("sessions",), ("Ü ber", "x/y"), ("l" * 200,), ("a:b", "c@d_e-f"), ("a b",), ("a", " b")]
    for n, namespace in enumerate(odd):
        store.put(namespace, "k", {"n": n})
    assert len({store.session_of(namespace) for namespace in odd}) == len(odd)
    assert all(is_id(store.session_of(namespace)) for namespace in odd)
    assert store.session_of(("users", "ada")) == "users.ada"
    assert CarryoverStore(memory).list_namespaces() == sorted(odd)
    for n, namespace in enumerate(odd):
        found = store.get(namespace, "k")
        assert found is not None
        assert found.value == {"n": n}


def test_what_is_refused(store: CarryoverStore) -> None:
    for wrong in ((), ("a.b",), ("",), ("langgraph", "x")):
        with pytest.raises(InvalidNamespaceError):
            store.put(wrong, "k", {"n": 1})
    with pytest.raises(InvalidNamespaceError):
        store.batch([PutOp(("a.b",), "k", {"n": 1})])
    with pytest.raises(Invalid, match="JSON"):
        store.put(("a",), "k", {"n": object()})
    store.put(("a",), "k", {"n": 1})
    with pytest.raises(ValueError, match=r"\$eq"):
        store.search(("a",), filter={"n": {"$in": [1]}})


def test_filters_pages_and_prefixes(store: CarryoverStore) -> None:
    for n in range(10):
        store.put(("docs", "a" if n % 2 else "b"), f"k{n}", {"n": n, "kind": "even" if n % 2 == 0 else "odd"})
    store.put(("docsx",), "k", {"n": 5})
    assert len(store.search(("docs",), limit=100)) == 10
    assert keys(store.search(("docs", "a"), limit=2, offset=1)) == ["k3", "k5"]
    assert keys(store.search(("docs",), filter={"kind": "even", "n": {"$gte": 4, "$lt": 8}})) == ["k4", "k6"]
    assert keys(store.search(("docs",), filter={"n": {"$ne": 1, "$lte": 3}})) == ["k3", "k0", "k2"]
    assert keys(store.search(("docs",), filter={"n": {"$eq": 7}})) == ["k7"]
    assert store.search(("docs",), filter={"kind": {"$gt": 3}}) == []  # not to be compared
    assert keys(store.search(("docs", "a"), filter={"kind": {"$gt": "even"}}, limit=1)) == ["k1"]
    assert keys(store.search((), limit=100, filter={"n": 5})) == ["k5", "k"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=4,
)
LABELS = st.lists(st.sampled_from(["a", "b", "*x"]), min_size=1, max_size=3).map(tuple)
PATHS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).map(tuple)
PUTS = st.lists(st.tuples(LABELS, st.sampled_from("kl"), st.dictionaries(st.sampled_from("xyz"), JSON, max_size=2)))


@pytest.fixture(scope="module")
def one_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    with open_memory(tmp_path_factory.mktemp("memory")) as memory:
        yield memory


_agents = iter(range(1_000_000))


@given(PUTS, PATHS, PATHS, st.integers(1, 3), st.dictionaries(st.sampled_from("xyz"), JSON, max_size=1))
def test_it_answers_as_the_store_in_memory(
    one_memory: Memory, puts: list[Any], prefix: Any, suffix: Any, depth: int, wanted: dict[str, Any]
) -> None:
    ours, theirs = CarryoverStore(one_memory, agent=f"a{next(_agents)}"), InMemoryStore()
    for namespace, key, value in puts:
        for one in (ours, theirs):
            one.put(namespace, key, value)
    for max_depth in (None, depth):
        for want in ({"prefix": prefix}, {"suffix": suffix}, {"prefix": prefix, "suffix": suffix}):
            assert ours.list_namespaces(**want, max_depth=max_depth) == sorted(
                theirs.list_namespaces(**want, max_depth=max_depth)
            )
    plain = tuple(label for label in prefix if label != "*")

    def said(one: Any) -> list[Any]:
        found = one.search(plain, filter=wanted, limit=100)
        return sorted((item.namespace, item.key, str(item.value)) for item in found)

    assert said(ours) == said(theirs)


def test_a_search_ranks_what_the_filters_leave(memory: Memory) -> None:
    store = CarryoverStore(memory)
    told = {"tea": "Ada drinks green tea in the morning", "cat": "The cat is called Schrödinger", "db": "PostgreSQL"}
    for key, text in told.items():
        store.put(("users", "ada"), key, {"text": text, "n": len(text)})
    store.put(("users", "bob"), "cat", {"text": "Bob has a cat, too"})
    store.put(("users", "ada"), "secret", {"text": "Schrödinger's cat"}, index=False)
    question = "What is the name of the cat?"
    until(lambda: store.search(("users", "ada"), query=question)[0].score)  # what was put just before is indexed
    found = store.search(("users", "ada"), query=question)
    assert found[0].key == "cat"
    assert found[0].score is not None
    assert found[0].score > 0
    assert {item.key for item in found} == {"tea", "cat", "db", "secret"}  # the query ranks, and excludes nothing
    assert {item.key: item.score for item in found}["secret"] is None
    both = {("users", "ada"), ("users", "bob")}
    until(lambda: {item.namespace for item in store.search(("users",), query="cat", limit=2)} == both)
    # What a key says now is what it is found by.
    store.put(("users", "ada"), "cat", {"text": "The dog is called Pavlov"})
    until(lambda: store.search(("users", "ada"), query="Pavlov")[0].value == {"text": "The dog is called Pavlov"})


def test_which_fields_a_search_looks_at(memory: Memory) -> None:
    store = CarryoverStore(memory, fields=["title", "parts[*].text"])
    store.put(
        ("docs",), "a", {"title": "Tea", "note": "umbrella", "parts": [{"text": "Darjeeling"}, {"text": "Assam"}]}
    )
    until(lambda: store.search(("docs",), query="Assam")[0].score is not None)
    assert [item.score is not None for item in store.search(("docs",), query="umbrella")] == [False]
    store.put(("docs",), "a", {"title": "Tea", "note": "umbrella"}, index=["note"])
    until(lambda: store.search(("docs",), query="umbrella")[0].score is not None)


@pytest.fixture
def timed(tmp_path: Path, clock: FrozenClock) -> Iterator[Carryover]:
    settings = Settings(home=tmp_path, embedder="none")
    with Carryover.open(settings, clock=clock, work=False) as memory:
        yield memory


def test_items_live_as_long_as_they_are_used(timed: Carryover, clock: FrozenClock) -> None:
    store = CarryoverStore(timed, ttl={"default_ttl": 10}, clock=clock)
    store.put(("a",), "kept", {"n": 1}, ttl=None)
    store.put(("a",), "used", {"n": 2})
    store.put(("a",), "idle", {"n": 3}, ttl=15)
    for _ in range(3):
        clock.pass_(6 * MINUTE_MS)
        assert store.get(("a",), "used") is not None
    assert keys(store.search(("a",))) == ["kept", "used"]
    clock.pass_(9 * MINUTE_MS)
    assert store.get(("a",), "used", refresh_ttl=False) is not None
    clock.pass_(2 * MINUTE_MS)
    assert store.get(("a",), "used") is None
    assert CarryoverStore(timed, clock=clock).search(("a",))[0].key == "kept"
    store.delete(("a",), "kept")
    assert store.list_namespaces() == []
    # What comes anew under an old name is new.
    store.put(("a",), "used", {"n": 4})
    found = store.get(("a",), "used")
    assert found is not None
    assert found.created_at == found.updated_at


def test_reading_again_and_again_does_not_fill_the_log(timed: Carryover, clock: FrozenClock) -> None:
    store = CarryoverStore(timed, ttl={"default_ttl": 20, "refresh_on_read": True}, clock=clock)
    store.put(("a",), "k", {"n": 1})
    for _ in range(600):  # ten minutes
        clock.pass_(1000)
        assert store.get(("a",), "k") is not None
    assert timed.session("a", agent=store.agent).version == 11
    still = CarryoverStore(timed, ttl={"default_ttl": 20, "refresh_on_read": False}, clock=clock)
    clock.pass_(10 * MINUTE_MS)
    assert still.search(("a",)) != []
    assert timed.session("a", agent=store.agent).version == 11


def test_threads_that_put_lose_nothing(memory: Memory) -> None:
    stores = [CarryoverStore(memory) for _ in range(4)]
    start = threading.Barrier(20)
    failures: list[BaseException] = []

    def put(n: int) -> None:
        try:
            start.wait()
            for m in range(5):
                stores[n % 4].put(("shared",), f"k{n}-{m}", {"n": n, "m": m})
                stores[n % 4].put(("shared",), "last", {"n": n, "m": m})
                assert stores[(n + 1) % 4].get(("shared",), f"k{n}-{m}") is not None
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for one in stores:
        assert len(one.search(("shared",), limit=1000)) == 101
    assert len({str(one.get(("shared",), "last")) for one in stores}) == 1
    assert memory.session("shared", agent=stores[0].agent).version == 200


def test_a_batch_reads_first_and_puts_then(store: CarryoverStore) -> None:
    store.put(("a",), "k", {"n": 1})
    ops = [
        PutOp(("a",), "k", {"n": 2}),
        GetOp(("a",), "k"),
        PutOp(("a",), "k", {"n": 3}),
        SearchOp(("a",)),
        ListNamespacesOp(),
        PutOp(("b",), "k", {"n": 4}),
    ]
    answers: list[Any] = asyncio.run(store.abatch(ops))
    assert answers[1].value == {"n": 1}
    assert [item.value for item in answers[3]] == [{"n": 1}]
    assert answers[4] == [("a",)]
    assert [answers[n] for n in (0, 2, 5)] == [None] * 3
    found = store.get(("a",), "k")
    assert found is not None
    assert found.value == {"n": 3}


class State(TypedDict, total=False):
    said: str
    answer: str


def test_a_graph_remembers_across_threads(memory: Memory) -> None:
    def node(state: State, runtime: Runtime[None]) -> State:
        store = runtime.store
        assert store is not None
        if name := state.get("said", ""):
            store.put(("users", "ada"), "name", {"name": name})
        known = store.get(("users", "ada"), "name")
        return {"answer": known.value["name"] if known else "nobody"}

    def build() -> Any:
        builder = StateGraph(State)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        return builder.compile(store=CarryoverStore(memory))

    assert build().invoke({"said": ""})["answer"] == "nobody"
    assert build().invoke({"said": "Ada"})["answer"] == "Ada"
    assert asyncio.run(build().ainvoke({"said": ""}))["answer"] == "Ada"
