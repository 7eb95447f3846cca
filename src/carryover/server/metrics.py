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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carryover.core import telemetry
from carryover.core.errors import Invalid, StoreUnavailable
from carryover.core.scope import EVERY_TENANT
from carryover.core.telemetry import Labels
from carryover.server.metric_names import LOOKED_UP, METRICS, Metric
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
