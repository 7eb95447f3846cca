"""The one shape of background work: load, think, save. No transaction is open while it thinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from carryover.core.job import Job
from carryover.core.usage import Usage
from carryover.store.store import Tx

Work = TypeVar("Work")
Made = TypeVar("Made")


def _nothing(_work: object) -> Usage:
    return Usage()


def _none(_tx: Tx) -> Iterable[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class Derivation(Generic[Work, Made]):
    """How one kind of derived view is made.

    `load` reads what there is to work on (None: nothing), `think` computes without a transaction, `save` writes in
    the transaction that ends the job. `estimate` bounds from above what `think` will consume. `overdue` is asked every
    hour, over all tenants, for (tenant, subject) pairs that have to be worked on though nothing has armed them.
    """

    kind: str
    load: Callable[[Tx, Job], Work | None]
    think: Callable[[Work], tuple[Made, Usage]]
    save: Callable[[Tx, Job, Work, Made], None]
    estimate: Callable[[Work], Usage] = _nothing
    overdue: Callable[[Tx], Iterable[tuple[str, str]]] = _none
