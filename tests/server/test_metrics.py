"""What a scrape says: every metric, of one process or of several, and what the dashboard and the rules ask of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from carryover.core import telemetry
from carryover.core.errors import Invalid, ProviderUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.providers.llm import open_llm
from carryover.server import metrics as module
from carryover.server.metrics import LOOKED_UP, METRICS, Metrics, serve
from carryover.store import queue
from commands import line_of, started
from fakes.openai_api import FakeOpenAI
from serving import Running, open_memory, serving

ROOT = Path(__file__).parents[2]
TURN = {"role": "user", "content": "We decided to use PostgreSQL."}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


class Scrape:
    """One scrape; asked for a sample it answers its value, 0 where there is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = samples(text)

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples.get((name, frozenset(labels.items())), 0.0)


def scrape(http: httpx.Client) -> Scrape:
    got = http.get("/metrics")
    assert got.status_code == 200
    assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scrape(got.text)


def test_requests_are_counted_by_route_and_never_by_path(http: httpx.Client) -> None:
    for n in range(3):
        http.post(f"/sessions/s{n}/turns", json=TURN)
        http.get(f"/memory/default/s{n}?turns=false")
    http.get("/memory/default/none")
    http.get("/nowhere/at/all")
    got = scrape(http)
    total, seconds = "carryover_http_requests_total", "carryover_http_request_duration_seconds"
    assert got(total, method="POST", route="/sessions/{id}/turns", status="201") == 3
    assert got(total, method="GET", route="/memory/{agent_id}/{session_id}", status="200") == 3
    assert got(total, method="GET", route="/memory/{agent_id}/{session_id}", status="404") == 1
    assert got(total, method="GET", route="unmatched", status="404") == 1
    assert got(f"{seconds}_count", method="GET", route="/memory/{agent_id}/{session_id}") == 4
    assert got(f"{seconds}_sum", method="POST", route="/sessions/{id}/turns") > 0
    assert "nowhere" not in got.text
    assert "s1" not in got.text


def test_a_stream_is_timed_to_its_beginning(running: Running) -> None:
    with running.http() as http, http.stream("GET", "/stream/default/live") as lines:
        said = lines.iter_lines()
        next(said)
        http.post("/sessions/s/turns", json=TURN)
        assert any("append" in line for line in said)
        stayed = "carryover_http_request_duration_seconds_count"
        assert scrape(http)(stayed, method="GET", route="/stream/{agent_id}/live") == 0
    with running.http() as http:
        while True:  # the server notices at its next word that the reader is gone
            http.post("/sessions/s/turns", json=TURN)
            got = scrape(http)
            if got("carryover_http_request_duration_seconds_count", method="GET", route="/stream/{agent_id}/live"):
                break
        within = "carryover_http_request_duration_seconds_sum"
        assert got(within, method="GET", route="/stream/{agent_id}/live") < 0.5


def test_appends_are_counted_once_they_are_saved(http: httpx.Client) -> None:
    http.post("/sessions/s/turns", json={"turns": [TURN, {**TURN, "idempotency_key": "k"}]})
    http.post("/sessions/s/turns", json={**TURN, "idempotency_key": "k"})
    assert http.post("/sessions/s/turns", json={**TURN, "expected_version": 9}).status_code == 409
    assert http.post("/sessions/s/turns", json={"turns": []}).status_code == 422
    got = scrape(http)
    assert got("carryover_appends_total") == 1
    assert got("carryover_turns_total") == 2
    assert got("carryover_commit_turns_sum") == 2
    assert got("carryover_commit_turns_count") == 1
    assert got("carryover_commit_duration_seconds_count") == 3
    assert got("carryover_append_refusals_total", kind="VersionConflict") == 1
    assert got("carryover_append_refusals_total", kind="Invalid") == 1
    assert got("carryover_transactions_open", mode="write") == 0


def test_jobs_caches_and_searches_are_counted(http: httpx.Client) -> None:
    http.post("/sessions/s/turns", json=TURN)
    http.post("/sessions/s/consolidate")
    http.post("/memory/search", json={"query": "PostgreSQL"})
    for _ in range(3):
        http.get("/sessions/t/context")
    got = scrape(http)
    assert got("carryover_jobs_total", kind="consolidate", outcome="done") == 1
    assert got("carryover_job_duration_seconds_count", kind="consolidate") == 1
    assert got("carryover_jobs_total", kind="index", outcome="done") >= 1
    assert got("carryover_searches_total", mode="text") == 1
    assert {
        stage: got("carryover_search_stage_duration_seconds_count", stage=stage)
        for stage in ("words", "embed", "vectors", "fuse")
    } == {"words": 1, "embed": 0, "vectors": 0, "fuse": 1}
    hits = got("carryover_cache_requests_total", cache="contexts", outcome="hit")
    misses = got("carryover_cache_requests_total", cache="contexts", outcome="miss")
    assert (hits, misses) == (2, 1)


def test_views_are_counted_under_the_names_that_are_common_for_them(http: httpx.Client) -> None:
    trim = {"memory_strategy": {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}}
    for n in range(5):
        http.post("/sessions/s/turns", json={"role": "user", "content": f"question {n}"})
        http.post("/sessions/s/turns", json={"role": "assistant", "content": f"answer {n}"})
        for _ in range(2):  # what is asked again is not counted again
            assert http.post("/api/v1/conversations/s/view", json=trim).status_code == 200
    got = scrape(http)
    assert got("memory_trigger_total", strategy="trim", trigger="turns") == 1
    sides = {
        side: got("memory_tokens_before_after_sum", strategy="trim", trigger="turns", side=side)
        for side in ("before", "after")
    }
    assert sides["before"] > sides["after"] > 0
    assert got("memory_prefix_stability_count", strategy="trim") == 4
    assert got("memory_prefix_stability_bucket", strategy="trim", le="0.1") == 1
    assert got("memory_predicted_cost_tokens_count", strategy="trim") == 5
    assert got("memory_compaction_items_total", kind="output") == 0


def test_the_queue_of_all_tenants_is_looked_up_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_memory(tmp_path) as memory:
        store = memory.engine.store
        metrics = Metrics(store)
        assert Scrape(metrics.render().decode())("carryover_queue_jobs", state="due") == 0
        for tenant in ("acme", "globex"):
            with store.write(Scope(tenant)) as tx:
                queue.arm(tx, [("index", "a/s", tx.now - 5_000)])
        assert Scrape(metrics.render().decode())("carryover_queue_jobs", state="due") == 0  # as it was just now
        monkeypatch.setattr(module, "CACHED_S", 0.0)
        got = Scrape(Metrics(store).render().decode())
        assert got("carryover_queue_jobs", state="due") == 2
        assert 5 <= got("carryover_queue_oldest_due_age_seconds") < 60
        assert got("carryover_store_up") == 1


def test_a_scrape_is_answered_while_the_database_is_not(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        metrics = Metrics(memory.engine.store)
    os.rename(tmp_path / "carryover.db", tmp_path / "away.db")
    (tmp_path / "carryover.db").mkdir()
    with metrics.listening():
        metrics.render()
        got = Scrape(metrics.render().decode())
    assert ("carryover_store_up", frozenset[Any]()) in got.samples
    assert got("carryover_store_up") == 0
    assert got("carryover_transactions_failed_total") == 1
    assert "carryover_queue_jobs{" not in got.text


def test_model_calls_are_counted_with_what_they_cost(tmp_path: Path) -> None:
    model = "openai:gpt-4o-mini"
    with FakeOpenAI("Done.") as fake, open_memory(tmp_path) as memory:
        metrics = Metrics(memory.engine.store)
        llm = open_llm(model, api_key="k", base_url=fake.url)
        with metrics.listening():
            used = llm.complete(system="Be brief.", prompt="What was decided?").usage
            fake.fail_next(500)
            with pytest.raises(ProviderUnavailable):
                llm.complete(system="", prompt="And then?")
        llm.close()
        got = Scrape(metrics.render().decode())
    assert got("carryover_model_calls_total", model=model, outcome="answered") == 1
    assert got("carryover_model_calls_total", model=model, outcome="failed") == 1
    assert got("carryover_model_call_duration_seconds_count", model=model) == 2
    assert got("carryover_model_tokens_total", model=model, kind="in") == used.tokens_in > 0
    assert got("carryover_model_tokens_total", model=model, kind="out") == used.tokens_out > 0
    assert got("carryover_model_money_dollars_total", model=model) == pytest.approx(float(used.money))
    assert used.money > 0


def test_it_needs_an_admins_key_unless_it_is_open(tmp_path: Path) -> None:
    for name, is_open in (("closed", False), ("open", True)):
        with (
            open_memory(tmp_path / name, metrics_open=is_open) as memory,
            serving(memory, open_door=False) as running,
        ):
            statuses: list[int] = []
            for key in (None, running.key("read"), running.key("write"), running.key("admin")):
                with running.http(key) as http:
                    statuses.append(http.get("/metrics").status_code)
            assert statuses == ([200] * 4 if is_open else [401, 403, 403, 200])


def test_a_worker_serves_its_own(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        memory.log_turn("s", "user", "We decided to use PostgreSQL.")
        with serve(memory.engine.store, memory.engine.settings, 0) as port:
            memory.engine.worker.drain(["index"])
            got = Scrape(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
            with (
                pytest.raises(Invalid, match="choose another port"),
                serve(memory.engine.store, memory.engine.settings, port),
            ):
                pass
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert got("carryover_jobs_total", kind="index", outcome="done") == 1
    assert got("process_resident_memory_bytes") > 0


def test_the_worker_command_serves_them_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path))
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    with started("worker", "--metrics-port", "0") as process:
        found = None
        while found is None:
            said = line_of(process.stderr)
            assert said
            found = re.search(r"http://\S+/metrics", said)
        got = Scrape(httpx.get(found[0]).text)
        process.terminate()
        assert process.wait(30) == 0
    assert got("carryover_store_up") == 1
    assert got("carryover_queue_jobs", state="due") == 0


_CHILD = """
import sys
from pathlib import Path
from carryover.core import telemetry
from carryover.opening import open_store
from carryover.server.metrics import Metrics
from carryover.settings import Settings
with open_store(Settings(home=Path(sys.argv[1]))) as store:
    metrics = Metrics(store)
    with metrics.listening(), telemetry.span("transaction", mode="read"):
        telemetry.count("turns", int(sys.argv[2]))
        telemetry.observe("commit_turns", 7)
        print("counted", flush=True)
        sys.stdin.readline()
        sys.stdout.buffer.write(metrics.render())
"""


@pytest.fixture
def shared_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "counts"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"of another time")
    module.prepare_shared(folder)
    yield folder
    del os.environ["PROMETHEUS_MULTIPROC_DIR"]


def test_processes_that_share_a_folder_answer_for_each_other(tmp_path: Path, shared_folder: Path) -> None:
    def child(turns: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _CHILD, str(tmp_path), str(turns)]
        made = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert made.stdout is not None
        assert made.stdout.readline() == "counted\n"
        return made

    with child(2) as killed, child(3) as alive, child(5) as asked:
        killed.kill()
        killed.wait()
        module.ended(killed.pid)
        got = Scrape(asked.communicate("\n", timeout=60)[0])
        alive.communicate("\n", timeout=60)
    assert got("carryover_turns_total") == 10
    assert got("carryover_commit_turns_count") == 3
    assert got("carryover_commit_turns_bucket", le="10.0") == 3
    assert got("carryover_transactions_open", mode="read") == 2
    assert got("carryover_store_up") == 1
    assert not [name for name, _ in got.samples if name.startswith("process_")]


def test_whichever_process_is_scraped_answers_for_all(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": str(tmp_path), "DATABASE_URL": postgres_url, "EMBEDDER": "none"}.items():
        monkeypatch.setenv(f"CARRYOVER_{name}", value)
    with started("serve", "--port", "0", "--workers", "2", "--no-worker") as process:
        found = re.search(r"http://\S+", line_of(process.stderr))
        assert found is not None
        answered: list[float] = []
        for n in range(8):
            with httpx.Client(base_url=found[0], timeout=30) as http:  # a new connection: any process may have it
                assert http.post(f"/sessions/s{n}/turns", json=TURN).status_code == 201
                answered.append(scrape(http)("carryover_turns_total"))
        process.terminate()
        assert process.wait(60) == 0
    assert answered == [1, 2, 3, 4, 5, 6, 7, 8]


def test_every_metric_is_told_somewhere_and_what_is_told_has_a_metric() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    told = set(re.findall(r"telemetry\.(?:count|observe|span)\(\s*\"(\w+)\"", sources))
    known = {metric.told for metric in METRICS}
    assert known - told == {"transactions_failed"}  # counted where an open transaction fails
    assert told - known == {"request", "summarize", "fit"}  # a matter of traces


def test_names_say_their_unit_and_labels_are_few() -> None:
    for metric in METRICS:
        assert metric.name.startswith(("carryover_", "memory_"))
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.about.endswith(".")
        assert not {"tenant", "session", "user", "agent", "path"} & set(metric.labels)


def exposed() -> set[str]:
    """Every name that a query may ask for."""
    names = set(LOOKED_UP) | {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
    for metric in METRICS:
        names |= (
            {f"{metric.name}_{end}" for end in ("bucket", "count", "sum")}
            if metric.kind == "histogram"
            else {metric.name}
        )
    return names


def asked_for(query: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", query)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    words = set(re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()", bare))
    return words - {"or", "and", "unless", "bool", "by"}


def queries_of_the_dashboard() -> list[str]:
    board = json.loads((ROOT / "deploy" / "grafana" / "carryover.json").read_text("utf-8"))
    panels = [panel for row in board["panels"] for panel in (row, *row.get("panels", ()))]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def queries_of_the_rules() -> list[str]:
    text = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text("utf-8")
    return [found.strip() for found in re.findall(r"expr: (.+)$", text, re.MULTILINE)]


def test_dashboard_and_rules_ask_for_metrics_that_exist() -> None:
    board, rules = queries_of_the_dashboard(), queries_of_the_rules()
    assert len(board) > 15
    assert len(rules) >= 5
    for query in (*board, *rules):
        assert asked_for(query) <= exposed(), query
        assert asked_for(query), query
    shown = set[str]().union(*map(asked_for, board))
    missing = {metric.name for metric in METRICS if not any(name.startswith(metric.name) for name in shown)}
    assert missing == set()


def test_the_guide_lists_every_metric_with_its_labels() -> None:
    guide = (ROOT / "docs" / "howto" / "observe.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `((?:carryover|memory)_\w+)` \| (.*?) \|", guide, re.MULTILINE))
    labels = {metric.name: list(metric.labels) for metric in METRICS}
    labels |= {name: [label] if label else [] for name, (_, label) in LOOKED_UP.items()}
    assert {name: re.findall(r"`(\w+)`", cell) for name, cell in rows.items()} == labels


def test_what_it_does_not_know_is_no_error(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        metrics = Metrics(memory.engine.store)
        with metrics.listening(), telemetry.span("unheard of", of=1):
            telemetry.count("unheard of", 2, of="it")
            telemetry.observe("unheard of", 0.5)
            telemetry.count("jobs", kind="index", session="s")
        with memory.engine.store.read(EVERY_TENANT):
            pass
        got = Scrape(metrics.render().decode())
    assert got("carryover_jobs_total", kind="index", outcome="") == 1
    assert "unheard" not in got.text
    assert got("carryover_transactions_open", mode="read") == 0
