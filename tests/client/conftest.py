"""One suite over both: the memory in this process, and the same one on a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carryover.client.client import Client
from carryover.runtime import Carryover
from serving import Running


@pytest.fixture(params=["embedded", "remote"])
def memory(request: pytest.FixtureRequest, running: Running) -> Iterator[Carryover | Client]:
    """What `running` serves, directly and over HTTP; each module says what is in it."""
    if request.param == "embedded":
        yield running.memory
    else:
        with Client(running.url) as client:
            yield client
