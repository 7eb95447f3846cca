"""The process's own log of what goes on behind the requests."""

from __future__ import annotations

import logging

import structlog


def logger_for(name: str) -> structlog.stdlib.BoundLogger:
    """A logger into the standard library's logging, so that whoever embeds carryover decides what is shown, and where.

    A traceback is told without the variables of its frames: they hold keys and turns.
    """
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
