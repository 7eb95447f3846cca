"""What Prometheus is told: every metric of carryover, and how a scrape is answered.

Where several processes serve one port, each scrape reaches one of them; they then count together in files of a folder
(`prepare_shared`), and each answers for all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from carryover.core import telemetry
from carryover.core.errors import Invalid, StoreUnavailable
from carryover.core.scope import EVERY_TENANT
from carryover.core.telemetry import Labels
from carryover.server.version import VERSION
from carryover.settings import Settings
from carryover.store.backlog import Backlog, backlog
from carryover.store.store import Store

if TYPE_CHECKING:  # the library decides once, while it is imported, whether processes count together
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import CollectorRegistry

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
CACHED_S = 5.0  # for so long at least the state of the queue is taken to be the same
SHARE = 20  # ... and for so many times as long as it took to find out: that bounds what a long queue costs
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name for it

_QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_TOKENS = (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 1_000_000)
_FAR = (0.01, 0.02, 0.05, 0.08, 0.1, 0.15, 0.25, 0.5, 1)
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, and under which name the rooms tell of it.

    A histogram takes what is observed, and how long spans of that name last (seconds); `open` counts spans that have
    not ended.
    """

    kind: Literal["counter", "histogram", "open"]
    told: str
    name: str
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _QUICK


METRICS = (
    Metric(
        "counter", "requests", "carryover_http_requests_total", "HTTP requests answered.", ("method", "route", "status")
    ),
    Metric(
        "histogram",
        "request_seconds",
        "carryover_http_request_duration_seconds",
        "Time until a request was answered; until the answer began where it is streamed.",
        ("method", "route"),
    ),
    Metric("counter", "appends", "carryover_appends_total", "Appends saved."),
    Metric("counter", "turns", "carryover_turns_total", "Turns of the appends saved."),
    Metric(
        "counter", "append_refusals", "carryover_append_refusals_total", "Appends refused, by kind of error.", ("kind",)
    ),
    Metric("histogram", "commit", "carryover_commit_duration_seconds", "Time of a commit of appends."),
    Metric("histogram", "commit_turns", "carryover_commit_turns", "Turns that one commit saved.", buckets=_SIZES),
    Metric(
        "counter", "jobs", "carryover_jobs_total", "Jobs run: done, failed, dead, lost, waiting.", ("kind", "outcome")
    ),
    Metric("histogram", "job", "carryover_job_duration_seconds", "Time of one run of a job.", ("kind",), _SLOW),
    Metric("counter", "model_calls", "carryover_model_calls_total", "Calls of language models.", ("model", "outcome")),
    Metric("histogram", "model", "carryover_model_call_duration_seconds", "Time of a model call.", ("model",), _SLOW),
    Metric(
        "counter",
        "model_tokens",
        "carryover_model_tokens_total",
        "Tokens of model calls: in (cached ones too), out, cache_read, cache_write.",
        ("model", "kind"),
    ),
    Metric(
        "counter",
        "model_money",
        "carryover_model_money_dollars_total",
        "Price of model calls in US dollars.",
        ("model",),
    ),
    Metric(
        "counter",
        "chat_cache_misses",
        "carryover_chat_cache_misses_total",
        "Requests of the chat that read nothing from the provider's cache where they should: too_short, changed.",
        ("model", "why"),
    ),
    Metric(
        "counter", "digests", "carryover_digests_total", "Digests made of coding sessions, by outcome.", ("outcome",)
    ),
    Metric(
        "counter", "cache", "carryover_cache_requests_total", "Look-ups in a cache: hit, miss.", ("cache", "outcome")
    ),
    Metric(
        "counter", "searches", "carryover_searches_total", "Searches answered, by words alone or hybrid.", ("mode",)
    ),
    Metric(
        "histogram",
        "search",
        "carryover_search_stage_duration_seconds",
        "Time of a stage of a search: words, embed, vectors, fuse.",
        ("stage",),
    ),
    Metric(
        "counter",
        "findings_checked",
        "carryover_findings_checked_total",
        "Findings checked against their turns: holds, fails, unknown.",
        ("outcome",),
    ),
    Metric(
        "counter",
        "transactions_retried",
        "carryover_transactions_retried_total",
        "Database transactions that were begun again.",
    ),
    Metric(
        "counter",
        "transactions_failed",
        "carryover_transactions_failed_total",
        "Database transactions that failed because the database could not do them.",
    ),
    Metric(
        "open",
        "transaction",
        "carryover_transactions_open",
        "Database transactions under way; each holds a connection.",
        ("mode",),
    ),
    Metric("counter", "preferences_noticed", "carryover_preferences_noticed_total", "Preferences of users, noticed."),
    Metric("counter", "persona_fits", "carryover_persona_fits_total", "Codebooks fitted: fit, growth.", ("why",)),
    Metric(
        "histogram",
        "persona_far_share",
        "carryover_persona_far_share",
        "Share of preferences that no label stood for when a codebook was looked at.",
        buckets=_FAR,
    ),
    # Those of views have the names that are common for them.
    Metric(
        "counter",
        "memory_trigger",
        "memory_trigger_total",
        "Cuts and clearings of views, by what set them off.",
        ("strategy", "trigger"),
    ),
    Metric(
        "histogram",
        "memory_tokens_before_after",
        "memory_tokens_before_after",
        "Tokens of a view before and after a cut or clearing.",
        ("strategy", "trigger", "side"),
        _TOKENS,
    ),
    Metric(
        "counter",
        "memory_compaction_items",
        "memory_compaction_items_total",
        "Tool outputs and inputs that a placeholder replaced.",
        ("kind",),
    ),
    Metric(
        "counter",
        "memory_summary_injection",
        "memory_summary_injection_total",
        "Views that were to tell what other sessions settled: used, stale, too_long, none, wrong_scope.",
        ("result",),
    ),
    Metric("counter", "memory_summaries", "memory_summaries_total", "Summaries of turns: ready, failed.", ("outcome",)),
    Metric(
        "histogram",
        "memory_prefix_stability",
        "memory_prefix_stability",
        "Share of a view before the newest user's turn with which the view begins.",
        ("strategy",),
        _SHARES,
    ),
    Metric(
        "histogram",
        "memory_predicted_cost_tokens",
        "memory_predicted_cost_tokens",
        "What a view costs in tokens of full price: 0.1 of those with which the view before began, 1.25 of all others.",
        ("strategy",),
        _TOKENS,
    ),
)
# What is looked up when a scrape comes, rather than counted: name, what it is, its label.
LOOKED_UP = {
    "carryover_queue_jobs": ("Jobs of all tenants that are due, running, dead, or waiting for a cap.", "state"),
    "carryover_queue_oldest_due_age_seconds": ("For how long the job due longest has waited for a worker.", None),
    "carryover_store_up": ("Whether the database answers.", None),
    "carryover_info": ("Always 1; says which version runs.", "version"),
}


def prepare_shared(folder: Path) -> None:
    """Processes that are started from now on count together in `folder`, which is emptied.

    For whoever starts several processes that serve one port; `ended` follows for each that ends.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.glob("*.db"):
        file.unlink()
    os.environ[_FOLDER] = str(folder)


def ended(pid: int) -> None:
    """A process that shared its counts is gone: what it had counted stays, what it had open does not."""
    from prometheus_client.multiprocess import mark_process_dead  # pyright: ignore[reportUnknownVariableType]

    mark_process_dead(pid)


class Metrics:
    """The metrics of this process (or of all that share a folder); it hears what is told while it is `listening`."""

    def __init__(self, store: Store) -> None:
        import prometheus_client as library

        library.disable_created_metrics()
        self._folder = os.environ.get(_FOLDER)
        self._registry = library.CollectorRegistry()
        self._looked_up = _LookedUp(store)
        own = None if self._folder else self._registry
        made = {"counter": library.Counter, "histogram": library.Histogram, "open": library.Gauge}
        self._metrics: dict[str, tuple[Metric, Any]] = {}
        for metric in METRICS:
            more: dict[str, Any] = {"buckets": metric.buckets} if metric.kind == "histogram" else {}
            if metric.kind == "open":
                more = {"multiprocess_mode": "livesum"}
            kind = made[metric.kind]
            self._metrics[metric.told] = (metric, kind(metric.name, metric.about, metric.labels, registry=own, **more))
        self._children: dict[tuple[Any, ...], Any] = {}
        self._registry.register(self._looked_up)
        if own is not None:
            library.ProcessCollector(registry=own)

    @contextmanager
    def listening(self) -> Generator[None]:
        """What is told inside the block is counted."""
        telemetry.install(self)
        try:
            yield
        finally:
            telemetry.remove(self)

    def render(self) -> bytes:
        """The answer to a scrape, in Prometheus's text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry())

    def registry(self) -> CollectorRegistry:
        """What a scrape reads; of all processes that share the folder, where there is one."""
        if self._folder is None:
            return self._registry
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        shared = CollectorRegistry()
        MultiProcessCollector(shared, self._folder)
        shared.register(self._looked_up)
        return shared

    def count(self, name: str, by: float, labels: Labels) -> None:
        child = self._child(name, labels)
        if child is not None:
            child.inc(by)

    def observe(self, name: str, value: float, labels: Labels) -> None:
        child = self._child(name, labels)
        if child is not None:
            child.observe(value)

    def span(self, name: str, attributes: dict[str, Any]) -> AbstractContextManager[object] | None:
        child = self._child(name, attributes)
        if child is None:
            return None
        return _Open(child, self) if self._metrics[name][0].kind == "open" else child.time()

    def _child(self, name: str, labels: Labels) -> Any:
        """The metric with these labels; those that it does not have are left out. None where nothing is counted."""
        known = self._metrics.get(name)
        if known is None:
            return None
        metric, whole = known
        if not metric.labels:
            return whole
        key = (name, *[labels.get(label, "") for label in metric.labels])
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = whole.labels(*key[1:])
        return child


class _Open:
    """A span of a kind of which it is counted how many are open; a class, because every transaction pays for it."""

    __slots__ = ("_gauge", "_metrics")

    def __init__(self, gauge: Any, metrics: Metrics) -> None:
        self._gauge = gauge
        self._metrics = metrics

    def __enter__(self) -> None:
        self._gauge.inc()

    def __exit__(self, _kind: object, failure: BaseException | None, _where: object) -> None:
        self._gauge.dec()
        if isinstance(failure, StoreUnavailable):
            self._metrics.count("transactions_failed", 1, {})


class _LookedUp:
    """A collector of what the database knows: asked now and then only, however often a scrape comes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asking = threading.Lock()
        self._found: Backlog | None = None
        self._until = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = self._look()
        yield _gauge("carryover_info", {VERSION: 1})
        yield _gauge("carryover_store_up", {"": 0 if found is None else 1})
        if found is not None:
            yield _gauge("carryover_queue_jobs", found.jobs)
            yield _gauge("carryover_queue_oldest_due_age_seconds", {"": found.oldest_ms / 1000})

    def _look(self) -> Backlog | None:
        with self._asking:
            began = time.monotonic()
            if began >= self._until:
                try:
                    with self._store.read(EVERY_TENANT) as tx:
                        self._found = backlog(tx)
                except StoreUnavailable:
                    self._found = None
                ended = time.monotonic()
                self._until = ended + max(CACHED_S, SHARE * (ended - began))
            return self._found


def _gauge(name: str, values: dict[str, float] | dict[str, int]) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    about, label = LOOKED_UP[name]
    made = GaugeMetricFamily(name, about, labels=[label] if label else [])
    for value, amount in values.items():
        made.add_metric([value] if label else [], amount)
    return made


@contextmanager
def serve(store: Store, settings: Settings, port: int) -> Generator[int]:
    """Inside the block this process counts, and answers scrapes on the port that it is given (0 picks one).

    For a worker, which has no other door. There are no keys at this one: without `metrics_open` it can be reached from
    this machine only. Raises Invalid when it cannot listen there.
    """
    from prometheus_client import start_http_server

    metrics = Metrics(store)
    host = settings.host if settings.metrics_open else "127.0.0.1"
    try:
        server, thread = start_http_server(port, host, metrics.registry())
    except OSError as cause:
        raise Invalid(
            f"metrics cannot be served on {host}:{port} ({cause.strerror or cause}); choose another port",
            field="metrics_port",
        ) from cause
    try:
        with metrics.listening():
            yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
