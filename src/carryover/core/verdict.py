"""What came of checking a finding against the turns that it cites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carryover.core.clock import Time

Outcome = Literal["holds", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the finding stands in its turns; `unknown` where the content of one is gone.

    `faults` say what does not, one sentence each; `missing` are details of its text that its turns do not say.
    `checker` is the version of the check.
    """

    outcome: Outcome
    checked_at: Time
    checker: int
    faults: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
