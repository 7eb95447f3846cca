"""Views as they were sent last: one that has not changed, and is long, is not put into words again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from carryover.core.strategy import View
from carryover.core.strategy_wire import show_view
from carryover.server.answers import json_bytes

VIEWS, BYTES = 16, 32 << 20


class Sent:
    """The bodies of the views that were asked for last, up to so many, and so many bytes."""

    def __init__(self, views: int = VIEWS, size: int = BYTES) -> None:
        self._most, self._size = views, size
        self._lock = threading.Lock()
        self._bodies: OrderedDict[Any, bytes] = OrderedDict()

    def body(self, tenant: str, view: View) -> bytes:
        """The view as JSON. What is kept of one is used for views that say the same."""
        key = (tenant, view.agent_id, view.session_id, view.format, view.etag)
        with self._lock:
            found = self._bodies.get(key)
            if found is not None:
                self._bodies.move_to_end(key)
                return found
        made = json_bytes(show_view(view))
        with self._lock:
            self._bodies[key] = made
            while len(self._bodies) > self._most or sum(map(len, self._bodies.values())) > self._size:
                self._bodies.popitem(last=False)
        return made
