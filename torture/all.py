"""All scenarios, in the order in which they are begun: the longest first."""

from __future__ import annotations

from torture import clocks, clusters, databases, disks, kills, lines, providers, workers
from torture.run import SCENARIOS

__all__ = ["SCENARIOS", "clocks", "clusters", "databases", "disks", "kills", "lines", "providers", "workers"]
