"""What can be asked in this process can be asked of a server, in the same words."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from carryover.client import coding, erasures, profiles, strategies
from carryover.coding.verbs import Coding
from carryover.log.erasing import Erasures, Holds
from carryover.persona.verbs import Profiles
from carryover.strategies.verbs import Strategies


def verbs(kind: type[Any]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: [(p.name, p.kind, p.default) for p in inspect.signature(member).parameters.values()]
        for name, member in vars(kind).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


WORD_FOR_WORD = [
    (Strategies, strategies.Strategies),
    (Strategies, strategies.AsyncStrategies),
    (Profiles, profiles.Profiles),
    (Profiles, profiles.AsyncProfiles),
    (Erasures, erasures.Erasures),
    (Erasures, erasures.AsyncErasures),
    (Holds, erasures.Holds),
    (Holds, erasures.AsyncHolds),
]
# A server writes into its own repositories: what these clients say of it differs.
ALL = [*WORD_FOR_WORD, (Coding, coding.Coding), (Coding, coding.AsyncCoding)]


@pytest.mark.parametrize(("embedded", "client"), ALL)
def test_the_clients_have_every_verb_with_the_same_parameters(embedded: type[Any], client: type[Any]) -> None:
    assert verbs(client) == verbs(embedded)


@pytest.mark.parametrize(("embedded", "client"), WORD_FOR_WORD)
def test_they_promise_the_same(embedded: type[Any], client: type[Any]) -> None:
    for name in verbs(client):
        assert getattr(client, name).__doc__ == getattr(embedded, name).__doc__, name
