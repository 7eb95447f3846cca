"""Spans arrive at a collector that speaks OTLP over HTTP, with their parents, and hold nothing that was said."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from carryover.core import telemetry
from carryover.core.errors import CarryoverError, Invalid
from carryover.server import traces
from serving import open_memory, serving

TURN = {"role": "user", "content": "We decided to use PostgreSQL."}
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """Speaks OTLP/HTTP on a loopback port and keeps what it is sent."""

    def __init__(self) -> None:
        kept: list[ExportTraceServiceRequest] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
                kept.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.kept = kept
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self) -> list[Any]:
        return [s for request in self.kept for r in request.resource_spans for p in r.scope_spans for s in p.spans]

    def of(self, name: str) -> Any:
        (found,) = [span for span in self.spans() if span.name == name]
        return found

    def resource(self) -> dict[str, Any]:
        return values(self.kept[0].resource_spans[0].resource.attributes)


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        yield made


@contextmanager
def traced(home: Path, endpoint: str) -> Generator[httpx.Client]:
    """A client of a server that sends its spans there; when the block is left it has ended, and sent all."""
    with open_memory(home, otlp_endpoint=endpoint) as memory, serving(memory) as running, running.http() as http:
        yield http


def test_a_request_continues_the_callers_trace(tmp_path: Path, collector: Collector) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-Id": "r-1"}
    with traced(tmp_path, collector.url) as http:
        http.post("/sessions/s/turns", json=TURN)
        http.post("/memory/search", json={"query": "PostgreSQL"}, headers=headers)
        http.get("/memory/default/none/window")
    asked = collector.of("POST /memory/search")
    assert (asked.trace_id.hex(), asked.parent_span_id.hex()) == (TRACE, CALLER)
    assert asked.kind == asked.SPAN_KIND_SERVER
    assert values(asked.attributes) == {
        "http.request.method": "POST",
        "http.route": "/memory/search",
        "http.response.status_code": 200,
        "carryover.request_id": "r-1",
    }
    inside = {span.name: span for span in collector.spans() if span.trace_id.hex() == TRACE}
    assert {"search words", "search fuse", "job index", "transaction read"} <= set(inside)
    assert inside["search words"].parent_span_id == inside["job index"].parent_span_id == asked.span_id
    assert values(inside["job index"].attributes)["carryover.outcome"] == "done"
    assert values(inside["job index"].attributes)["carryover.attempt"] == 1
    assert collector.resource()["service.name"] == "carryover"


def test_a_commit_is_a_trace_of_its_own(tmp_path: Path, collector: Collector) -> None:
    with traced(tmp_path, collector.url) as http:
        http.post("/sessions/s/turns", json=TURN)
    commit, append = collector.of("commit"), collector.of("POST /sessions/{id}/turns")
    assert commit.trace_id != append.trace_id
    assert not append.parent_span_id
    assert values(commit.attributes) == {"carryover.requests": 1}
    (write,) = [s for s in collector.spans() if s.name == "transaction write" and s.parent_span_id == commit.span_id]
    assert write.end_time_unix_nano <= commit.end_time_unix_nano
    assert append.start_time_unix_nano < commit.start_time_unix_nano


def test_nothing_that_was_said_is_in_a_span(tmp_path: Path, collector: Collector) -> None:
    with traced(tmp_path, collector.url) as http:
        http.post("/sessions/s-secret/turns", json={**TURN, "user_id": "u-secret"})
        http.post("/sessions/s-secret/consolidate")
        http.get("/sessions/s-secret/context", params={"query": "PostgreSQL"})
    sent = b"".join(request.SerializeToString() for request in collector.kept)
    assert b"/sessions/{id}/context" in sent
    assert not [secret for secret in (b"PostgreSQL", b"s-secret", b"u-secret") if secret in sent]


def test_a_failure_is_told_by_its_class_alone(collector: Collector) -> None:
    with traces.exporting(collector.url):
        with pytest.raises(CarryoverError), telemetry.span("job", kind="index", attempt=1):
            raise CarryoverError("turn 'x' said too much")
        with telemetry.span("request", method="GET", traceparent=None) as told:
            told |= {"route": "/usage", "status": 503}
        with telemetry.span("request", method="GET", traceparent="no-such-thing") as told:
            told |= {"route": "/health", "status": 404}
    failed, away, missed = (collector.of(name) for name in ("job index", "GET /usage", "GET /health"))
    assert (failed.status.code, values(failed.attributes)["error.type"]) == (2, "CarryoverError")
    assert (away.status.code, values(away.attributes)["error.type"]) == (2, "503")
    assert missed.status.code == 0
    assert not missed.parent_span_id
    assert b"too much" not in b"".join(request.SerializeToString() for request in collector.kept)


def test_an_idle_workers_transactions_are_no_traces(collector: Collector) -> None:
    with traces.exporting(collector.url):
        with telemetry.span("transaction", mode="read"):
            pass
        with telemetry.span("model", model="openai:gpt-4o-mini") as told, telemetry.span("transaction", mode="read"):
            told["tokens_in"] = 12
    assert sorted(span.name for span in collector.spans()) == ["model openai:gpt-4o-mini", "transaction read"]
    assert values(collector.of("model openai:gpt-4o-mini").attributes) == {
        "gen_ai.request.model": "openai:gpt-4o-mini",
        "gen_ai.usage.input_tokens": 12,
    }


def test_without_an_endpoint_nothing_listens() -> None:
    before = telemetry._listeners
    with traces.exporting(None):
        assert telemetry._listeners == before


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(Invalid, match=r"pip install 'carryover-memory\[traces\]'"):
        traces.exporting("http://127.0.0.1:4318")


def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path) -> None:
    gone = "http://127.0.0.1:9"  # the discard port: nobody listens
    with traced(tmp_path, gone) as http:
        assert http.post("/sessions/s/turns", json=TURN).status_code == 201


def test_the_servers_own_requests_make_one_span_each(tmp_path: Path, collector: Collector) -> None:
    with traced(tmp_path, collector.url) as http:
        for _ in range(3):
            http.get("/health")
    assert len([span for span in collector.spans() if span.kind == span.SPAN_KIND_SERVER]) == 3
