"""A key that is lost is told, nothing is shown of what it sealed, and the rest of the memory works."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryover.core.errors import KeyLost
from noticeable import open_memory
from preferring import prefer
from serving import serving

SECRET = "rhymes about zebras"


def test_a_lost_master_key(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        prefer(memory, "ana", SECRET)
        assert SECRET in memory.profiles.persona("ana").text
        assert SECRET in repr(memory.profiles.show("ana"))
    kept = (tmp_path / "master.key").read_bytes()
    (tmp_path / "master.key").unlink()
    with open_memory(tmp_path) as memory, serving(memory) as server, server.http() as http:
        for path in ("/profile", "/persona"):
            got = http.get(path, params={"user_id": "ana"})
            problem = got.json()
            assert (got.status_code, problem["status"]) == (503, 503)
            assert problem["type"] == "/problems/key-lost"
            assert "master.key" in problem["detail"]
            assert SECRET not in got.text
        assert http.patch("/profile", json={"user_id": "ana", "texts": ["x"]}).status_code == 503
        with pytest.raises(KeyLost):
            memory.profiles.persona("ana")
        with pytest.raises(KeyLost, match="put back the one that was there"):  # and nothing is kept readable instead
            memory.log_turn("s1", "user", "hello", user="noor")
        assert list(memory.sessions()[0]) == []
        assert memory.profiles.persona("noor").text == ""  # of whom nothing is known
        (tmp_path / "master.key").write_bytes(kept)
        assert memory.log_turn("s1", "user", "hello", user="noor")
        assert SECRET in http.get("/persona", params={"user_id": "ana"}).text


def test_a_user_whose_key_is_lost_can_be_erased(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        prefer(memory, "ana", SECRET)
        prefer(memory, "noor", SECRET)
    (tmp_path / "master.key").unlink()
    with open_memory(tmp_path) as memory:
        for user in ("ana", "noor"):
            memory.profiles.erase(user)
        prefer(memory, "ana", "bullet points")  # no key is left that a new master key would hide the loss of
        assert "bullet points" in memory.profiles.persona("ana").text.lower()
        assert SECRET not in memory.profiles.persona("ana").text
