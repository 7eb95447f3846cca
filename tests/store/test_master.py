"""Master keys: from a file, a setting or a KMS, never told, and never made where there is reason to wait."""

from __future__ import annotations

import base64
import sys
import types
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from carryover.core.errors import Invalid, KeyLost, StoreUnavailable
from carryover.core.scope import EVERY_TENANT
from carryover.store.keyring import Keyring, Standing, default_url
from carryover.store.master import FILE, Given, GivenFile, MasterKey, OwnFile, OwnTable
from carryover.store.seal import decrypted, encrypted

KEYS = [bytes([n]) * 32 for n in range(3)]
TEXTS = [base64.b64encode(key).decode() for key in KEYS]


class Service:
    """A key management service: its key never leaves it, and it may refuse."""

    id = "alias/carryover"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    def wrap(self, key: bytes) -> bytes:
        self._ask("wrap")
        return encrypted(b"k" * 32, key, b"")

    def unwrap(self, wrapped: bytes) -> bytes:
        self._ask("unwrap")
        key = decrypted(b"k" * 32, wrapped, b"")
        assert key is not None
        return key

    def _ask(self, verb: str) -> None:
        self.asked.append(verb)
        if self.away:
            raise ConnectionError(f"no route to the service, secret {base64.b64encode(KEYS[1]).decode()}")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    module: Any = types.ModuleType("my_company_kms")
    module.opened, module.number = lambda: made, 7
    monkeypatch.setitem(sys.modules, "my_company_kms", module)
    return made


@pytest.fixture
def url(database_url: str) -> str:
    return default_url(database_url)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "given" / "keys"


def read(ring: Keyring) -> list[bytes]:
    with ring._opened().read(EVERY_TENANT) as tx:
        return [one.key for one in ring.masters.read(tx)]


def test_an_id_follows_from_the_key_and_does_not_tell_it() -> None:
    one = MasterKey.of(KEYS[1])
    assert one == MasterKey.of(KEYS[1])
    assert one.id != MasterKey.of(KEYS[2]).id
    assert KEYS[1].hex() not in one.id * 8
    assert str(KEYS[1]) not in repr(one)
    assert "key=" not in repr(one)


def test_a_file_holds_a_key_a_line_the_current_one_first(url: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(f"\n{TEXTS[2]}\r\n  {TEXTS[1]}\n\n")
    with closing(Keyring(url, GivenFile(file))) as ring:
        assert read(ring) == [KEYS[2], KEYS[1]]
        assert str(file) in ring.masters.said
        ring.current("acme", "mara")
        assert not ring.renew()
        assert read(ring) == [KEYS[2], KEYS[1]]


@pytest.mark.parametrize("content", [TEXTS[0] + "\nnot base64", TEXTS[0][:-4], "ü", base64.b64encode(b"x" * 31)])
def test_a_file_that_cannot_be_understood_is_told_without_its_words(url: str, file: Path, content: str | bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with closing(Keyring(url, GivenFile(file))) as ring, pytest.raises(KeyLost) as lost:
        ring.current("acme", "mara")
    assert str(file) in lost.value.message
    assert TEXTS[0][:10] not in lost.value.message


def test_a_given_file_that_is_absent_or_empty_is_not_made(url: str, file: Path) -> None:
    with closing(Keyring(url, GivenFile(file))) as ring:
        with pytest.raises(KeyLost, match=r"No such file.*put it back"):
            ring.current("acme", "mara")
        file.parent.mkdir()
        file.touch()
        with pytest.raises(KeyLost, match="holds no master key"):
            ring.current("acme", "mara")
        assert file.read_bytes() == b""


def test_a_file_of_our_own_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    own = OwnFile(tmp_path / FILE)
    with closing(Keyring(f"sqlite:///{tmp_path}/keys.db")) as ring, ring._opened().write(EVERY_TENANT) as tx:
        assert own.read(tx) == []
        own.make(tx)
        (first,) = own.read(tx)
        own.make(tx)
        assert own.read(tx)[1:] == [first]
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
        own.trim(tx, 1)
        assert len(own.read(tx)) == 1
        own.trim(tx, 0)
        own.trim(tx, 0)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("keys.db")] == []


def test_a_folder_that_takes_no_file_is_told_and_leaves_no_rest(tmp_path: Path) -> None:
    own = OwnFile(tmp_path / "absent" / FILE)
    with (
        closing(Keyring(f"sqlite:///{tmp_path}/keys.db")) as ring,
        ring._opened().write(EVERY_TENANT) as tx,
        pytest.raises(StoreUnavailable, match=r"cannot be written \(No such file or directory\)"),
    ):
        own.make(tx)


def test_a_kms_wraps_one_key_and_is_asked_once(url: str, service: Service) -> None:
    with closing(Keyring(url, kms="my_company_kms:opened")) as ring:
        assert service.asked == []
        keys = [ring.current("acme", f"u{n}") for n in range(20)]
        assert service.asked == ["wrap", "unwrap"]
        assert not ring.masters.is_beside
    with closing(Keyring(url, kms="my_company_kms:opened")) as other:
        assert [other.current("acme", f"u{n}") for n in range(20)] == keys
    assert service.asked == ["wrap", "unwrap", "unwrap"]
    with closing(Keyring(url)) as without, pytest.raises(KeyLost, match="not in"):
        without.current("acme", "u0")


def test_a_kms_takes_over_from_a_key_that_was_made_here(url: str, service: Service) -> None:
    with closing(Keyring(url)) as ring:
        key = ring.current("acme", "mara")
        assert ring.masters.is_beside == url.startswith("postgresql")
        old = read(ring)
    with closing(Keyring(url, kms="my_company_kms:opened")) as ring:
        assert ring.current("acme", "mara") == key
        assert ring.renew()
        assert ring.rewrap() == 1
        assert ring.rewrap() == 0
        assert ring.look() == Standing(keys=1, dropped=0, older=0, lost=0)
        assert len(read(ring)) == 1
        assert read(ring) != old
    if url.startswith("sqlite"):
        assert not (Path(url.removeprefix("sqlite:///")).parent / FILE).exists()


def test_rotating_under_a_kms_throws_the_old_key_away(url: str, service: Service) -> None:
    with closing(Keyring(url, kms="my_company_kms:opened")) as ring:
        key = ring.current("acme", "mara")
        before = read(ring)
        assert ring.renew()
        assert ring.rewrap() == 1
        assert ring.rewrap() == 0
        assert read(ring) != before
        assert len(read(ring)) == 1
    with closing(Keyring(url, kms="my_company_kms:opened")) as ring:
        assert ring.current("acme", "mara") == key


def test_a_kms_that_is_away_is_told_without_what_it_said(url: str, service: Service) -> None:
    with closing(Keyring(url, kms="my_company_kms:opened")) as ring:
        key = ring.current("acme", "mara")
    service.away = True
    with closing(Keyring(url, kms="my_company_kms:opened")) as ring:
        with pytest.raises(KeyLost, match=r"'alias/carryover' did not unwrap a master key \(ConnectionError\)") as lost:
            ring.current("acme", "mara")
        assert base64.b64encode(KEYS[1]).decode() not in lost.value.message
        service.away = False
        assert ring.current("acme", "mara") == key


def test_a_kms_that_unwraps_something_else_is_told(url: str, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Keyring(url, kms="my_company_kms:opened")) as ring:
        monkeypatch.setattr(service, "unwrap", lambda wrapped: b"short")
        with pytest.raises(KeyLost, match="unwrapped 5 bytes"):
            ring.current("acme", "mara")


@pytest.mark.parametrize("name", ["nowhere:at_all", "my_company_kms:absent", "my_company_kms", "", ":", "a..b:c"])
@pytest.mark.usefixtures("service")
def test_a_kms_that_cannot_be_had_is_told(tmp_path: Path, name: str) -> None:
    told = pytest.raises(Invalid, match=r"package\.module:factory")
    with closing(Keyring(f"sqlite:///{tmp_path}/keys.db", kms=name)) as ring, told:
        ring.current("acme", "mara")


def test_no_source_shows_a_key(tmp_path: Path) -> None:
    sources: list[Any] = [Given(KEYS), GivenFile(tmp_path), OwnFile(tmp_path)]
    with closing(Keyring(f"sqlite:///{tmp_path}/keys.db", Given(KEYS))) as ring:
        ring.current("acme", "mara")
        sources += [ring, ring.masters, OwnTable(ring._keys, None)]
        told = " ".join(repr(one) for one in sources)
    assert not any(form in told for key in KEYS for form in (key.hex(), str(key), base64.b64encode(key).decode()))
