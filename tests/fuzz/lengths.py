"""How long state machines run: seconds in `make test`, minutes in `make fuzz` (CARRYOVER_FUZZ=long)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("CARRYOVER_FUZZ") == "long"


def lasting(examples: int, steps: int) -> settings:
    """So many sequences of at most so many steps; forty times as many, and longer ones, in the long run."""
    return settings(
        max_examples=examples * (40 if LONG else 1),
        stateful_step_count=steps * (2 if LONG else 1),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


TIMEOUT_S = 3_600 if LONG else 120
