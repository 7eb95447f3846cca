"""Digests: what is in them, that they are the same for the same steps, and the job that makes them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from acted import START, Log, spend
from carryover.coding.digests.digest import KIND, Work, digest_of, digesting
from carryover.core.digest import DIGEST_VERSION, Digest, FileUse, ToolUse
from carryover.core.digest import Tests as RunsOfTests
from carryover.core.event import Filter
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.step import FLAVORS, About, Spend, Step, uid
from carryover.core.text import clean
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.store import cursors, digests, events, origins, queue, spends, steps
from carryover.store.cursors import Cursor, Stamp
from carryover.store.store import Store

REMOTE = "git@github.com:acme/shop.git"


def session() -> Log:
    log = Log().prompt("Fix the parser\nof dates").text("I look at it.")
    log.read("src/dates.py").run("pytest -q", "FAILED a\n1 failed, 3 passed", 1)
    log.edit("src/dates.py").run("cd a && pytest -q", "4 passed").prompt("no, also without a year")
    return log.edit("src/dates.py", "b", "c").run("git commit -m x", "[main 1234567] x").text("Now both are read.")


def test_a_digest_says_what_was_asked_what_was_done_and_what_it_took() -> None:
    spent = (spend(100, 10, cache_read=50, model="opus", cost=7), spend(300, 20, model="opus", cost=5))
    about = About(cwd="/work/shop", branch="main", title=None, versions=["2.1"], models=["opus"], kind="main")
    made = session().digest(spends=spent, abouts=(about,), repo="github.com/acme/shop", domain="shop")
    assert (made.goal, made.title) == ("Fix the parser of dates", "Fix the parser of dates")
    assert made.result == "Now both are read."
    assert made.tools == {"edit": ToolUse(2, 0, 0), "read": ToolUse(1, 0, 0), "shell": ToolUse(3, 1, 0)}
    assert made.files == (FileUse("src/dates.py", 1, 2),)
    assert made.tests == RunsOfTests(2, 1, "red green")
    assert made.commands == ("pytest", "git commit")
    assert (made.prompts, made.corrections, made.interrupts, made.rejections) == (2, 1, 0, 0)
    assert (made.repo, made.domain, made.branch, made.versions, made.models) == (
        *("github.com/acme/shop", "shop", "main", ("2.1",), ("opus",)),
    )
    assert made.tokens == Spend("", input=400, cache_read=50, output=30, cost=12)
    assert made.peak_tokens == 300
    assert (made.started_at, made.ended_at) == (START + 1_000, START + 1_000 * len(session().steps))
    assert made.active_s == len(session().steps) - 1
    assert made.steps == len(session().steps)
    assert [source.quote for source in made.errors] == ["FAILED a"]
    assert (made.version, made.unknown) == (DIGEST_VERSION, ("cost",))


def test_what_a_flavor_cannot_tell_is_none_and_named() -> None:
    made = Log("cursor").prompt("Fix").call("Bash", {"command": "make"}).back("x").text("ok").digest()
    assert made.tools == {"shell": ToolUse(1, None, None)}
    assert (made.interrupts, made.rejections, made.compactions, made.tests.failed) == (None, None, None, None)
    assert made.tokens is None
    assert {"errors", "tokens", "times"} <= set(made.unknown)


def test_costs_are_told_only_where_all_are_known() -> None:
    made = session().digest(spends=(spend(1, cost=5), spend(2)))
    assert made.tokens is not None
    assert made.tokens.cost is None


def test_pauses_count_for_five_minutes() -> None:
    log = Log().prompt("Fix").text("Yes").later(3_600_000).text("Back")
    assert log.digest().active_s == 1 + 300


def test_copies_are_counted_and_nothing_else_of_them() -> None:
    log = session()
    made = log.digest(replayed=range(1, 7))
    assert (made.replayed, made.steps) == (6, len(log.steps) - 6)
    assert made.tools["shell"].calls == 2
    assert made.goal == "no, also without a year"


def test_a_prompt_that_is_a_command_of_the_harness_is_no_goal() -> None:
    log = Log().prompt("/clear", detail={"command": "/clear"}).prompt("! ls", detail={"via": "shell"})
    assert log.prompt("/review the parser", detail={"command": "/review"}).digest().goal == "the parser"


def test_the_same_steps_make_the_same_bytes_in_every_process() -> None:
    script = (
        "import sys; sys.path[:0] = ['tests', 'tests/coding/digests']\n"
        "from carryover.store.digests import encode\nfrom test_digest import session\nprint(encode(session().digest()))"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert made == {digests.encode(session().digest()) + "\n"}


def test_the_order_in_which_files_were_read_changes_nothing_but_the_numbers_of_turns(
    store: Store, scope: Scope
) -> None:
    main = session().steps
    told = [
        Step(
            uid("event", str(n)), "outcome", "done", step.at, call_id=step.call_id, status="ok", start=n * 50, length=50
        )
        for n, step in enumerate(main)
        if step.kind == "call"
    ]
    orders: list[list[list[Step]]] = [[main, told], [told, main], [main[:5], told[:2], main[5:], told[2:]]]
    made: list[Digest] = []
    for n, files in enumerate(orders):
        for file in files:
            with store.write(Scope(f"t{n}")) as tx:
                steps.append(tx, "claude-code", "s1", file)
        made.append(run(store, Scope(f"t{n}"), "s1"))
    plain = [digests.encode(unnumbered(digest)) for digest in made]
    assert plain[0] == plain[1] == plain[2]


def unnumbered(value: Any) -> Any:
    """The digest without the numbers of turns."""

    def bare(source: Any) -> Any:
        return replace(source, first=1, last=1)

    signals = tuple(replace(s, sources=tuple(map(bare, s.sources))) for s in value.signals)
    return replace(
        value, signals=signals, because=tuple(map(bare, value.because)), errors=tuple(map(bare, value.errors))
    )


def run(store: Store, scope: Scope, session_id: str, agent: str = "claude-code") -> Digest:
    """What is due is done; the session's digest."""
    Worker(store, {KIND: digesting({"acme/shop": "retail"})}, lambda _: Cap()).drain(tenant=scope.tenant)
    with store.read(scope) as tx:
        digest = digests.get(tx, agent, session_id)
    assert digest is not None
    return digest


def ingest(store: Store, scope: Scope, session_id: str, made: list[Step], content: str = "x", first: int = 1) -> None:
    """The steps were read of a log with this content."""
    path = f"/logs/{session_id}.jsonl"
    with store.write(scope) as tx:
        steps.append(tx, "claude-code", session_id, made, user="eve")
        origins.put(tx, [("claude-code", session_id, path, About(remote=REMOTE, cwd="/work/shop", first_at=first))])
        cursors.put(tx, [Cursor(path, "claude-code", Stamp(1, 2, 3, 4), 3, "p", content)])


def test_the_job_makes_the_digest_tells_of_it_and_arms_the_index(store: Store, scope: Scope) -> None:
    ingest(store, scope, "s1", session().steps)
    with store.write(scope) as tx:
        spends.put(tx, [("claude-code", "s1", spend(100, 10))])
        queue.cancel(tx, "nothing")
    made = run(store, scope, "s1")
    assert (made.repo, made.domain, made.outcome) == ("github.com/acme/shop", "retail", "verified")
    assert made.tokens == Spend("", input=100, output=10)
    with store.read(scope) as tx:
        assert made.source_hash == origins.source_hash(tx, "claude-code", "s1")
        assert queue.get(tx, "index", "claude-code/s1") is not None
        (event,) = events.newest(tx, "claude-code", Filter(action="digest"), limit=9)
        assert (event.session_id, event.user_id, event.detail["outcome"]) == ("s1", "eve", "verified")
        assert digests.stale(tx) == []
    with store.read(Scope("acme", user="bob")) as tx:
        assert digests.get(tx, "claude-code", "s1") is None


def test_a_session_that_grew_has_a_new_digest_and_an_unchanged_one_no_news(store: Store, scope: Scope) -> None:
    log = session()
    ingest(store, scope, "s1", log.steps)
    before = run(store, scope, "s1")
    with store.write(scope) as tx:
        queue.arm(tx, [(KIND, "claude-code/s1", tx.now)])
    assert run(store, scope, "s1") == before
    with store.read(scope) as tx:
        assert len(events.newest(tx, "claude-code", Filter(action="digest"), limit=9)) == 1
    ingest(store, scope, "s1", log.prompt("And the docs?").text("Done.").steps, "y")
    after = run(store, scope, "s1")
    assert (after.steps, after.result) == (before.steps + 2, "Done.")
    assert after.source_hash != before.source_hash


def test_a_fork_counts_only_what_it_added_whichever_was_read_first(store: Store, scope: Scope) -> None:
    log = session()
    fork = [*log.steps, Step(uid("own"), "prompt", "Try it another way", log.at + 5_000)]
    for tenant, order in (("a", ("old", "new")), ("b", ("new", "old"))):
        for name in order:
            ingest(store, Scope(tenant), name, log.steps if name == "old" else fork, name, 1 if name == "old" else 9)
    made = [[run(store, Scope(tenant), name) for name in ("old", "new")] for tenant in ("a", "b")]
    assert made[0] == made[1]
    assert (made[0][0].replayed, made[0][0].steps) == (0, len(log.steps))
    assert (made[0][1].replayed, made[0][1].steps) == (len(log.steps), 1)


def test_there_is_no_digest_of_what_is_no_coding_session_or_is_gone(store: Store, scope: Scope) -> None:
    job = Job("acme", KIND, "ada/s1", 0, 1)
    with store.read(scope) as tx:
        assert digesting().load(tx, job) is None
        assert digesting().load(tx, replace(job, subject="codex/s1")) is None


KINDS = ("prompt", "text", "thinking", "call", "result", "outcome", "interrupt", "compaction", "failure", "note")
NAMES = ("Bash", "Read", "Edit", "Write", "Grep", "Task", "TodoWrite", "apply_patch", "mcp__x__y", "?")
TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "Exit code 1\nerror: no rule",
            "1 failed, 3 passed",
            "4 passed",
            "no, that's wrong",
            "thanks!",
            "All tests pass now.",
            "token ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5",
            "\x1b[31mFAIL\x1b[0m \ud83d",
        ]
    ),
)
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.integers(),
    st.lists(TEXTS, max_size=2),
    st.lists(st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2),
)
INPUTS = st.dictionaries(
    st.sampled_from(["command", "file_path", "old_string", "new_string", "edits", "todos", "files", "offset", "patch"]),
    st.one_of(VALUES, st.sampled_from(["pytest -q | tail", "git commit -m 'x", "cat a.py && rg x", "a/b.py", "<<EOF"])),
    max_size=4,
)


@st.composite
def random_steps(draw: st.DrawFn) -> list[Step]:
    made: list[Step] = []
    for n in range(draw(st.integers(0, 25))):
        kind = draw(st.sampled_from(KINDS))
        called = kind in ("call", "result", "outcome")
        made.append(
            Step(
                uid(str(n)),
                kind,  # type: ignore[arg-type]
                draw(TEXTS),
                draw(st.one_of(st.none(), st.integers(0, 10**13))),
                call_id=draw(st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))) if called else None,
                name=draw(st.one_of(st.none(), st.sampled_from(NAMES))) if called else None,
                input=draw(st.one_of(st.none(), INPUTS)) if kind == "call" else None,
                status=draw(st.sampled_from([None, "ok", "error", "rejected", "cancelled", "unknown"])),
                exit_code=draw(st.one_of(st.none(), st.integers(0, 2))),
                branch=draw(st.sampled_from(["main", "main", "sidechain", "abandoned"])),
                detail=draw(st.one_of(st.none(), st.dictionaries(st.sampled_from(["via", "pr", "micro"]), VALUES))),
                start=draw(st.integers(0, 300)),
            )
        )
    return made


@given(random_steps(), st.sampled_from(FLAVORS), st.sets(st.integers(1, 25)))
def test_any_steps_have_a_digest_whose_sources_stand_in_the_log(
    made: list[Step], flavor: Any, copies: set[int]
) -> None:
    log = Log(flavor, made)
    facts = log.facts(copies=copies & set(range(1, len(made) + 1)))
    work = Work(facts, tuple(log.acts()), frozenset(copies), 0)
    digest = digest_of(work)
    assert digest == digest_of(work)
    assert digests.encode(digest)
    assert 0 <= digest.confidence <= 1
    assert "ghp_" not in repr(digest)
    quoted = [*digest.because, *digest.errors, *(source for signal in digest.signals for source in signal.sources)]
    for source in quoted:
        assert 1 <= source.first == source.last <= len(made)
        assert source.quote in clean(made[source.first - 1].text)
        assert len(source.quote) <= 200
