"""What the flows share."""

from browsing import browser

__all__ = ["browser"]
