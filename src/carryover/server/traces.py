"""What a trace collector is told: spans, over OTLP/HTTP, where an endpoint is configured."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from carryover.core import telemetry
from carryover.core.errors import Invalid
from carryover.core.telemetry import Labels
from carryover.server.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_INNER = ("transaction",)  # told only inside another span: an idle worker looks into the database all the time
# Which attribute says most about a span, and stands in its name.
_TITLES = {"search": "stage", "job": "kind", "model": "model", "transaction": "mode"}
# The standard's names, where it has some (semantic conventions of HTTP and of generative AI).
_STANDARD = {
    "request": {
        "method": "http.request.method",
        "route": "http.route",
        "status": "http.response.status_code",
        "request_id": "carryover.request_id",
    },
    "model": {
        "model": "gen_ai.request.model",
        "tokens_in": "gen_ai.usage.input_tokens",
        "tokens_out": "gen_ai.usage.output_tokens",
    },
}


def exporting(endpoint: str | None) -> AbstractContextManager[None]:
    """Inside the block spans go to the collector at `endpoint` (its base, like `http://127.0.0.1:4318`), if it is set.

    Raises Invalid where OpenTelemetry is not installed.
    """
    if endpoint is None:
        return nullcontext()
    try:
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as cause:
        raise Invalid(
            f"otlp_endpoint is {endpoint!r} and OpenTelemetry is not installed; "
            "install it with `pip install 'carryover-memory[traces]'`",
            field="otlp_endpoint",
        ) from cause
    return _exporting(endpoint)


@contextmanager
def _exporting(endpoint: str) -> Generator[None]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "carryover")
    resource = Resource.create({"service.name": name, "service.version": VERSION})
    # The sampler is the library's own, and so set as everywhere: OTEL_TRACES_SAMPLER.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=5)))
    listener = Traces(provider.get_tracer("carryover", VERSION))
    telemetry.install(listener)
    try:
        yield
    finally:
        telemetry.remove(listener)
        provider.shutdown()


class Traces:
    """A listener that makes OpenTelemetry's spans of ours."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def count(self, name: str, by: float, labels: Labels) -> None:
        """Counts are no matter of traces."""

    def observe(self, name: str, value: float, labels: Labels) -> None:
        """Nor are measurements."""

    def span(self, name: str, attributes: dict[str, Any]) -> AbstractContextManager[object] | None:
        from opentelemetry.trace import get_current_span

        if name in _INNER and not get_current_span().get_span_context().is_valid:
            return None
        return self._spanned(name, attributes)

    @contextmanager
    def _spanned(self, name: str, attributes: dict[str, Any]) -> Generator[None]:
        from opentelemetry.context import attach, detach
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        traceparent = attributes.get("traceparent")
        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
        kind = {"request": SpanKind.SERVER, "model": SpanKind.CLIENT}.get(name, SpanKind.INTERNAL)
        span = self._tracer.start_span(_title(name, attributes), parent, kind)
        token = attach(set_span_in_context(span))
        try:
            yield
        except BaseException as failure:
            _blame(span, type(failure).__name__)
            raise
        finally:
            detach(token)
            span.update_name(_title(name, attributes))
            standard = _STANDARD.get(name, {})
            for key, value in attributes.items():
                if value is not None and key != "traceparent":
                    span.set_attribute(standard.get(key, f"carryover.{key}"), value)
            if attributes.get("status", 0) >= 500:
                _blame(span, str(attributes["status"]))
            span.end()


def _title(name: str, attributes: dict[str, Any]) -> str:
    if name == "request":
        return f"{attributes['method']} {attributes.get('route', '')}".rstrip()
    return f"{name} {attributes[_TITLES[name]]}" if name in _TITLES else name


def _blame(span: Span, kind: str) -> None:
    """The span failed, with this class of error: messages may quote what a trace should not hold."""
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))
