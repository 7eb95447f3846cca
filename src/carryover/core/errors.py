"""Every error that carryover raises on purpose.

    CarryoverError
    ├── Invalid             a value that cannot be accepted        `field`
    │   └── TooLarge        ... because of its size                `limit`
    ├── Unauthorized        no key, or one that is unknown
    ├── Forbidden           the key lacks the right
    ├── NotFound            nothing there, or not yours
    ├── Conflict            the state is not the one expected
    │   ├── VersionConflict                                        `current_version`
    │   ├── LeaseLost       another worker has the job now
    │   ├── OverBudget      a cap on tokens or money would break   `until`
    │   ├── Held            a legal hold forbids the erasure       `hold_id`, `reason`
    │   └── Cancelled       whoever asked for it gave it up        `usage`
    ├── TooMany             slow down                              `retry_after`
    ├── DataLoss            bytes that should be there are not
    ├── KeyLost             what was encrypted cannot be read
    ├── StoreUnavailable    the database did not answer            `retry_after`
    └── ProviderError       a model or embedder failed             `usage`
        └── ProviderUnavailable    ... and may answer later        `retry_after`

A docstring is the default message; facts travel as keywords and become members of the problem document.
"""

from __future__ import annotations

from typing import Any


class CarryoverError(Exception):
    """Something went wrong in carryover; the log of the process says more."""

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        super().__init__(message or type(self).__doc__)
        self.facts = facts

    @property
    def message(self) -> str:
        return str(self.args[0])


class Invalid(CarryoverError):
    """A value cannot be accepted; correct it and try again."""


class TooLarge(Invalid):
    """The value is too large; split it and try again."""


class Unauthorized(CarryoverError):
    """No valid API key was given; send `Authorization: Bearer <key>`."""


class Forbidden(CarryoverError):
    """The API key lacks the right; ask an admin for one that has it."""


class NotFound(CarryoverError):
    """There is no such thing here; check the id and the agent."""


class Conflict(CarryoverError):
    """The state is not the one expected; read it again and retry."""


class VersionConflict(Conflict):
    """The session is at another version; read it again and retry."""


class LeaseLost(Conflict):
    """Another worker holds this job now; this result was dropped."""


class OverBudget(Conflict):
    """A daily cap would be passed; the job waits until the cap is renewed or raised."""


class Held(Conflict):
    """A legal hold forbids this erasure; whoever may release it lists it with `carryover hold list`."""


class Cancelled(Conflict):
    """The answer was given up before it was whole; ask again if it is wanted after all."""


class TooMany(CarryoverError):
    """Too many requests; wait and retry."""


class DataLoss(CarryoverError):
    """Data that should be there is missing; restore it from a backup."""


class KeyLost(CarryoverError):
    """A key that encrypted data needs is not here; restore the keyring or the master key from where it is kept."""


class StoreUnavailable(CarryoverError):
    """The database did not answer; nothing was saved, retry with the same idempotency key."""


class ProviderError(CarryoverError):
    """A model provider refused the call; check its settings."""


class ProviderUnavailable(ProviderError):
    """A model provider did not answer; the call will be tried again."""
