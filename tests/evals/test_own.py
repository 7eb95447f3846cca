"""Your own log is asked about, and nothing of it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from carryover.core.errors import Forbidden
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Append, Draft
from carryover.evals import own
from carryover.evals.own import Plan, run
from carryover.evals.report import Report
from carryover.providers.llm import open_llm
from carryover.recall.embed import Models
from carryover.runtime import Carryover
from carryover.settings import Settings
from fakes.openai_api import FakeOpenAI

SAID = {
    "boats": ("Hello!", "We rent out 14 kayaks to families during the whole summer season.",
              "The soft opening of the boat house is on 1 June 2026."),
    "house": ("Our harbour master Hedwig Osterkamp checks every life jacket before Easter.",
              "I saved the price list under `prices.toml` in the shared folder of the club."),
}  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path, database_url: str) -> Iterator[Carryover]:
    settings = Settings.model_validate({"home": tmp_path, "embedder": "none", "database_url": database_url})
    with Carryover.open(settings, work=False) as opened:
        yield opened


def fill(memory: Carryover, *, agent: str = "default", user: str | None = None) -> None:
    for session, lines in SAID.items():
        memory.append(Append(session, tuple(Draft("user", line) for line in lines), agent, user))
        memory.consolidate(session, agent=agent)
    memory.engine.worker.drain(("index",), tenant=memory.scope.tenant)


def asked(memory: Carryover, plan: Plan | None = None, **more: object) -> Report:
    return run(memory.engine.store, memory.scope, models=Models(), plan=plan or Plan(), **more)  # pyright: ignore


def everything(memory: Carryover) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with memory.engine.store.read(EVERY_TENANT) as tx:
        names = sa.inspect(tx.conn).get_table_names()
        rows = {name: tx.conn.execute(sa.text(f'SELECT * FROM "{name}"')).all() for name in names}
    return {name: sorted(map(tuple, found), key=repr) for name, found in rows.items()}


def test_questions_about_every_session_are_asked_and_found(memory: Carryover) -> None:
    fill(memory)
    report = asked(memory)
    assert {result.cluster for result in report.results} == {"default/boats", "default/house"}
    assert {result.mode for result in report.results} == {"text"}
    means = report.of(own.DATASET, "text")
    assert means["R@10"] == means["QC"] == means["answer"] == 1.0
    assert {kept.cluster for kept in report.kept} == {"default/boats", "default/house"}
    assert sum(kept.statements for kept in report.kept) > 0
    assert all(kept.unsupported == () for kept in report.kept)
    assert report.about["asked by"] == "rules"
    assert report.about["turns"] == "5"


def test_nothing_in_the_store_changes(memory: Carryover) -> None:
    fill(memory)
    memory.log_turn("boats", "user", "The ferry to the northern island leaves at 17:45 from the second pier.")
    before = everything(memory)
    assert asked(memory).results
    assert everything(memory) == before
    assert before["turns"]
    assert before["events"]
    assert before["jobs"]


def test_a_read_only_scope_is_enough_and_one_that_may_not_read_is_refused(memory: Carryover) -> None:
    fill(memory)
    reader = memory.seen_by(Scope(memory.scope.tenant, rights=frozenset({"read"})))
    assert asked(reader).results
    with pytest.raises(Forbidden):
        asked(memory.seen_by(Scope(memory.scope.tenant, rights=frozenset())))


def test_sessions_of_other_agents_and_users_are_asked_as_theirs(memory: Carryover) -> None:
    fill(memory, agent="bo", user="mara")
    fill(memory, agent="cy", user="jonas")
    report = asked(memory)
    assert {result.cluster for result in report.results} <= {"bo/boats", "bo/house", "cy/boats", "cy/house"}
    assert report.of(own.DATASET, "text")["QC"] == 1.0


def test_the_seed_and_the_limit_choose_the_questions(memory: Carryover) -> None:
    fill(memory)
    chosen = {tuple(r.question for r in asked(memory, Plan(most=1, seed=seed)).results) for seed in range(6)}
    assert all(len(questions) == 1 for questions in chosen)
    assert len(chosen) > 1
    assert asked(memory, Plan(seed=3)).results == asked(memory, Plan(seed=3)).results


def test_a_long_log_is_read_in_part(memory: Carryover, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(memory)
    monkeypatch.setattr(own, "TURNS", 2)
    assert asked(memory).about["turns"] == "2"


def test_an_empty_log_says_so(memory: Carryover) -> None:
    report = asked(memory)
    assert report.results == ()
    assert "too little" in report.notes[0]
    assert "too little" in report.markdown()


def test_one_turn_is_few(memory: Carryover) -> None:
    memory.log_turn("one", "user", "We rent out 14 kayaks to families during the whole summer season.")
    report = asked(memory)
    assert len(report.results) == 1
    told = " ".join(report.notes)
    assert "Only 1 questions" in told
    assert "1 of 1 sessions have no snapshot yet" in told
    assert "1 sessions wait to be indexed" in told


def test_a_turn_that_is_not_indexed_is_not_found(memory: Carryover) -> None:
    memory.log_turn("one", "user", "We rent out 14 kayaks to families during the whole summer season.")
    (missed,) = asked(memory).results
    assert missed.values["R@50"] == 0.0


def test_a_model_asks_only_where_it_is_given(memory: Carryover) -> None:
    fill(memory)
    with FakeOpenAI({"questions": [{"turn": 2, "question": "How large is the fleet?", "answer": "14"}]}) as fake:
        llm = open_llm("openai:gpt-4o-mini", api_key="k", base_url=fake.url)
        asked(memory)
        assert fake.requests == []
        before = everything(memory)
        report = asked(memory, llm=llm)
        llm.close()
        assert len(fake.requests) == 2  # one of each session
    assert {result.question for result in report.results} == {"How large is the fleet?"}
    assert report.about["asked by"].startswith("openai:gpt-4o-mini, which read ")
    assert everything(memory) == before
