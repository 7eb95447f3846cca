"""Digests of real sessions, against what a person reads in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.coding.digests.digest import KIND, digesting
from carryover.coding.logs import discover
from carryover.coding.logs.sweep import Options, sweep
from carryover.core.digest import Digest
from carryover.core.page import TOKENS, page
from carryover.core.scope import Scope
from carryover.core.text import count_tokens
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.store import digests, turns
from carryover.store.store import Store

SCOPE = Scope("acme")
# By the first letters of its id: how it ended, how its tests went, tool errors, refusals, compactions.
READ = {
    "0790": ("unverified", "", 0, 0, 0),  # a file was written by a sub-agent, nobody looked
    "0a03": ("verified", "green", 1, 0, 0),
    "0a76": ("verified", "green red green red green", 0, 1, 0),  # committed and pushed
    "0cd9": ("unverified", "green", 2, 1, 0),  # ends in the middle of an explanation
    "1b3e": ("unverified", "", 0, 0, 0),
    "1ecb": ("verified", "red green", 1, 1, 0),
    "3de1": ("verified", "green", 2, 0, 0),
    "48f4": ("unverified", "", 0, 5, 0),  # four plans and a question were refused
    "4f8c": ("verified", "red green", 2, 0, 1),
    "53ea": ("abandoned", "", 0, 0, 0),  # its only sub-agent never came back
    "8b41": ("verified", "green", 1, 1, 0),
    "9700": ("verified", "green red green", 2, 0, 0),
    "9ff9": ("unverified", "", 4, 0, 0),  # a plan was written
    "acdd": ("verified", "green", 0, 0, 0),
    "cf56": ("unverified", "", 0, 1, 0),
    "d563": ("verified", "green", 1, 1, 0),
}


def digested(store: Store, scope: Scope, folder: Path, *, backwards: bool = False) -> dict[str, Digest]:
    files = sorted(discover.files_in(discover.given_places([folder])), reverse=backwards)
    sweep(store, scope, files, Options(archived=False))
    Worker(store, {KIND: digesting()}, lambda _: Cap()).drain(tenant=scope.tenant)
    with store.read(scope) as tx:
        return {f"{digest.agent_id}/{digest.session_id}": digest for digest in digests.every(tx)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('corpus') / 'carryover.db'}") as opened:
        yield opened


def test_real_sessions_are_read_as_a_person_reads_them(store: Store, shared: Path) -> None:
    found = digested(store, SCOPE, shared / "corpus/claude/entire")
    for start, told in READ.items():
        digest = next(one for one in found.values() if one.session_id.startswith(start))
        errors = sum(use.errors or 0 for use in digest.tools.values())
        assert (digest.outcome, digest.tests.arc, errors, digest.rejections, digest.compactions) == told, start


@pytest.mark.parametrize("flavor", ["claude", "codex", "grok", "gemini", "opencode", "copilot", "cursor"])
def test_every_quote_stands_in_its_turn_and_every_page_fits(store: Store, shared: Path, flavor: str) -> None:
    scope = Scope(flavor)
    found = digested(store, scope, shared / "corpus" / flavor)
    assert found
    with store.read(scope) as tx:
        for digest in found.values():
            assert count_tokens(page(digest)) < TOKENS
            quoted = [*digest.because, *digest.errors, *(q for signal in digest.signals for q in signal.sources)]
            for source in quoted:
                (turn,) = turns.between(tx, digest.agent_id, digest.session_id, source.first, source.last)
                assert source.quote in turn.text
                assert len(source.quote) <= 200


@pytest.mark.parametrize("flavor", ["claude", "codex"])
def test_logs_that_are_read_in_another_order_have_the_same_digests(store: Store, shared: Path, flavor: str) -> None:
    there = digested(store, Scope(f"{flavor}-there"), shared / "corpus" / flavor)
    back = digested(store, Scope(f"{flavor}-back"), shared / "corpus" / flavor, backwards=True)
    assert there.keys() == back.keys()
    different = [key for key in there if unnumbered(there[key]) != unnumbered(back[key])]
    assert different == []


def unnumbered(digest: Digest) -> tuple[object, ...]:
    """What a digest says, without the numbers of turns: those follow the order of reading."""
    signals = [(one.kind, one.key, one.count, one.of, [q.quote for q in one.sources]) for one in digest.signals]
    return (
        *(digest.steps, digest.replayed, digest.goal, digest.result, digest.outcome, digest.confidence, digest.tests),
        *(digest.tools, digest.files, digest.commands, digest.tokens, digest.kind, digest.title, signals),
    )
