"""Finding by meaning: the query as a vector."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence

from carryover.core.errors import ProviderError
from carryover.core.ports import Embedder, Vector
from carryover.recall.lexical import QUESTION

_READ = 2_000  # characters of a query that are embedded
_REMEMBERED = 512  # queries
_lock = threading.Lock()
_remembered: OrderedDict[tuple[str, str], Vector] = OrderedDict()
_logger = logging.getLogger(__name__)


def stripped(written: Sequence[str], names: Collection[str]) -> str:
    """The query's words without those that ask and without the speakers' names, unless nothing else is left.

    A name in the question pulls its vector towards every turn that names someone, away from what is asked about.
    """
    kept = [word for word in written if word.lower() not in QUESTION and word.lower() not in names]
    return " ".join(kept or written)[:_READ]


def embedded(embedder: Embedder, text: str) -> Vector | None:
    """The vector of the text; None while the model cannot be had, which is logged and is no error."""
    key = (embedder.name, text)
    with _lock:
        known = _remembered.get(key)
        if known is not None:
            _remembered.move_to_end(key)
            return known
    try:
        vector = embedder.embed([text])[0]
    except ProviderError as cause:
        _logger.warning("searching by words alone: %s", cause.message)
        return None
    with _lock:
        _remembered[key] = vector
        while len(_remembered) > _REMEMBERED:
            _remembered.popitem(last=False)
    return vector
