"""Links: they open one user's profile, for as long as they say, and nothing that was signed elsewhere does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.core.errors import KeyLost, Unauthorized
from carryover.core.scope import Scope
from carryover.opening import open_vault
from carryover.persona import links
from carryover.persona.links import PREFIX, Claims, made, opened
from carryover.settings import Settings
from carryover.store.store import Store
from carryover.store.vault import Vault

KEY = b"k" * 32
NOW = 1_000_000
CLAIMS = Claims("acme", "ana", NOW + 60_000, may_write=True)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    home = Settings(home=tmp_path)
    with Store.open(home.store_url) as store:
        vault = open_vault(home, store)
        yield vault
        vault.close()


def refused(vault: Vault, token: str, key: bytes = KEY, now: int = NOW) -> str:
    with pytest.raises(Unauthorized) as refusal:
        opened(vault, key, token, now)
    assert "; " in refusal.value.message
    return refusal.value.message


def test_a_link_says_whose_profile_it_opens_and_what_may_be_done(vault: Vault) -> None:
    token = made(vault, KEY, CLAIMS)
    assert token.startswith(PREFIX)
    assert opened(vault, KEY, token, NOW) == CLAIMS
    assert CLAIMS.scope == Scope("acme", None, "ana", frozenset(("write",)))
    assert Claims("acme", "ana", NOW, may_write=False).scope.rights == {"read"}
    assert len(token) < 400


def test_a_link_expires_to_the_millisecond(vault: Vault) -> None:
    token = made(vault, KEY, CLAIMS)
    assert opened(vault, KEY, token, CLAIMS.until - 1) == CLAIMS
    assert "expired" in refused(vault, token, now=CLAIMS.until)


def test_another_installation_s_link_opens_nothing(vault: Vault) -> None:
    assert "made here" in refused(vault, made(vault, b"x" * 32, CLAIMS))


def test_erasing_a_user_ends_the_links_that_were_made_before_and_no_others(vault: Vault) -> None:
    mine, theirs = made(vault, KEY, CLAIMS), made(vault, KEY, Claims("acme", "bo", CLAIMS.until, may_write=True))
    assert vault.drop("acme", "ana")
    assert "erased" in refused(vault, mine)
    assert opened(vault, KEY, theirs, NOW).user == "bo"
    assert opened(vault, KEY, made(vault, KEY, CLAIMS), NOW) == CLAIMS


def test_where_the_keyring_is_lost_a_link_says_so(vault: Vault, tmp_path: Path) -> None:
    token = made(vault, KEY, CLAIMS)
    other = Settings(home=tmp_path / "other")
    other.folder.mkdir()
    with Store.open(other.store_url) as store:
        empty = open_vault(other, store)
        with pytest.raises(KeyLost):
            opened(empty, KEY, token, NOW)
        empty.close()


@pytest.mark.parametrize(
    "token",
    ["cl_", "cl_.", "cl_a.b", "cl_é.ü", "cl_\ud800.\ud800", "cl_" + "A" * 5_000, "co_x", "", "cl_W10.W10", "cl_e30"],
)
def test_what_is_no_link_opens_nothing(vault: Vault, token: str) -> None:
    refused(vault, token)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 10_000), to=st.characters(codec="utf-8"))
def test_whatever_is_changed_in_a_link_it_opens_nothing(vault: Vault, at: int, to: str) -> None:
    token = made(vault, KEY, CLAIMS)
    at = len(PREFIX) + at % (len(token) - len(PREFIX))
    changed = token[:at] + to + token[at + 1 :]
    if changed != token:
        refused(vault, changed)


def test_a_claim_that_is_changed_is_no_longer_signed(vault: Vault) -> None:
    payload, _, signature = made(vault, KEY, CLAIMS).removeprefix(PREFIX).partition(".")
    told = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    told[1] = "bo"
    forged = base64.urlsafe_b64encode(json.dumps(told, separators=(",", ":")).encode()).decode().rstrip("=")
    refused(vault, f"{PREFIX}{forged}.{signature}")


def test_the_key_is_the_installation_s(store: Store) -> None:
    first = links.secret_of(store)
    assert len(first) == 32
    assert links.secret_of(store) == first
