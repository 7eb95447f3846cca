"""The process's own log: who makes its lines, what stands in each of them, and how they look."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal

import structlog
from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.typing import EventDict

from carryover.core.clock import rfc3339
from carryover.core.job import Job

Form = Literal["text", "json"]

_text = structlog.processors.KeyValueRenderer(key_order=["event"])


def logger_for(name: str) -> structlog.stdlib.BoundLogger:
    """A logger into the standard library's logging, so that whoever embeds carryover decides what is shown, and where.

    Its lines hold what is bound around them: the request's id, the job. A traceback is told without the variables of
    its frames: they hold keys and turns.
    """
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            _as_record,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


@contextmanager
def bound_to(job: Job) -> Generator[None]:
    """Every line that is made inside the block names the job and its tenant."""
    named = {"kind": job.kind, "subject": job.subject, "attempt": job.attempt}
    with bound_contextvars(job=named, tenant=job.tenant):
        yield


def to_stderr(level: str, form: Form) -> None:
    """The log of this process, the libraries' lines too, goes to standard error: results stay alone on the output."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class TextLines(logging.Formatter):
    """Lines for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        around = get_contextvars()
        if not around or hasattr(record, "told"):
            return line
        return f"{line} {' '.join(f'{name}={value!r}' for name, value in around.items())}"


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "told", None)
        if told is None:
            told = {"event": record.getMessage(), **get_contextvars()}
            if record.exc_info:
                told["exception"] = self.formatException(record.exc_info)
        head = {"time": rfc3339(int(record.created * 1000)), "level": record.levelname.lower(), "logger": record.name}
        return json.dumps({**head, **told}, default=str)


def _as_record(logger: Any, name: str, told: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    # The message is text for whatever handler there is; ours finds the members beside it.
    return (_text(logger, name, dict(told)),), {"extra": {"told": told}}
