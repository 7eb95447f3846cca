"""Whatever is asked, and whatever was said: search answers or refuses with a reason, by every way in."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carryover.core.chunk import Hits, Query
from carryover.core.errors import Invalid
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.core.text import clean
from carryover.engine import Engine
from carryover.guard.visible import visible
from carryover.providers import minilm
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import check
from commands import ENTRY, Commands
from lettered import first
from serving import serving

chance = random.Random(7)
MANY_WORDS = " ".join("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(10_000))
NOTHING = ("", " ", "\t\n\u2028", "?!... ,;:", "'\"`", "(((", "\u200b\u200d\ufeff", "\x00", "\ud800", "-*^~")
ODD = (
    "the of and", "what is it", "x" * 100_000, "tom " * 25_000, "東京" * 50_000, "🦜" * 25_000, MANY_WORDS,
    "glazier AND NOT tom OR (NEAR(a b, 2))", '"unbalanced glazier', "terms : glazier", "owner:x", "glaz*", "^glazier",
    "glazier & !tom | <-> :*", "'; DROP TABLE turns; --", "%s %(x)s {} \\ $1 :name ?", "نص عربي", "עברית", "ไทย",
    "한국어", "gl\u0430zier", "gla\u200bzier", "\u202ereizalg", "ｇｌａｚｉｅｒ", "g\u0301l\u0301a\u0301zier",
    "\x00glazier", "glazier\ud800", "\U0010ffff", "1e400", "-1", "null", "[]", "🏳\ufe0f\u200d🌈",
    "ﷺ" * 1000, "a\u0300" * 30_000,
)  # fmt: skip
SAID = (
    "The glazier comes on Monday.", "東京の機房に移行しました。", "العقد يوقع يوم الخميس",
    "החוזה נחתם ביום שלישי", "สวัสดีชาวโลก", "The parrot 🦜 sings.", "a AND b OR NOT c NEAR d",
    'He said "never" and \'ever\'.', "NUL \x00 inside", "half a pair \ud800!",
    "p\u0430yp\u0430l is not paypal", "soft\u00adhyphen and zero\u200bwidth", "\u202eright to left", "%s {} $1 \\",
)  # fmt: skip

Ask = Callable[..., Hits]


@pytest.fixture
def memory(database_url: str, tmp_path: Path) -> Iterator[Carryover]:
    settings = Settings(home=tmp_path, database_url=database_url, embedder="none")
    with Carryover(Engine.open(settings, embedder=first()), Scope()) as opened:
        opened.append(Append("odd", tuple(Draft("user", text) for text in SAID)))
        opened.engine.worker.drain()
        yield opened


def http(memory: Carryover, query: str, k: int = 5) -> Any:
    with serving(memory) as running, running.http() as client:
        body = json.dumps({"query": query, "k": k})
        return client.post("/memory/search", content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("embedded", [True, False], ids=["hybrid", "text"])
def test_every_query_has_an_answer(memory: Carryover, embedded: bool) -> None:
    if not embedded:
        memory.engine.models.embedder = None
    for query in (*NOTHING, *ODD, *SAID):
        hits = memory.search(Query(query))
        assert hits == memory.search(Query(query))
        if query in NOTHING:
            assert hits == Hits((), "text"), query
    assert check.check(memory.engine.store) == []


def test_what_was_said_is_found_by_its_own_words(memory: Carryover) -> None:
    memory.engine.models.embedder = None
    asked = {
        "glazier": 1, "ｇｌａｚｉｅｒ": 1, "gla\u200bzier": 1, "機房": 2, "العقد": 3, "החוזה": 4, "🦜": 6,
        "never ever": 8, "NUL inside": 9, "half pair": 10, "softhyphen": 12, "zerowidth": 12, "soft\u00adhyphen": 12,
    }  # fmt: skip
    for query, seq in asked.items():
        hits = memory.search(Query(query))
        (hit,) = [hit for hit in hits.results[:2] if hit.sources[0].first == seq]
        assert clean(hit.text) in visible(clean(SAID[seq - 1]))
        assert hit.sources[0].quote in clean(SAID[seq - 1]), "the source is quoted as it was said"
    for alike in ("paypal", "p\u0430yp\u0430l"):
        assert memory.search(Query(alike)).results[0].sources[0].first == 11


def test_every_query_over_http(memory: Carryover) -> None:
    with serving(memory) as running, running.http() as client:

        def post(body: str) -> Any:
            return client.post("/memory/search", content=body, headers={"content-type": "application/json"})

        for query in (*NOTHING, *ODD):
            got = post(json.dumps({"query": query}))
            assert got.status_code in (200, 422), (query[:20], got.text)
            if got.status_code == 422:  # half a pair of surrogates is no text
                assert "\ud800" in query
            elif query in NOTHING:
                assert got.json() == {"results": [], "mode": "text"}
        for k in ("0", "-1", "201", "1e400", "99999999999999999999", '"5"', "null", "2.5", "true", "[1]"):
            got = post(f'{{"query": "glazier", "k": {k}}}')
            assert got.status_code == 422, (k, got.text)
            assert got.headers["content-type"] == "application/problem+json"
        assert post('{"query": "glazier", "k": 200}').json()["results"]
        assert post(json.dumps({"query": "x" * (40 << 20)})).status_code == 413


def test_every_query_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path))
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    carryover = Commands()
    for n, text in enumerate(SAID):
        carryover("log", f"s{n}", text)
    for query in (*NOTHING, *ODD):
        found = json.loads(carryover("search", "--json", "--", query))
        assert found["mode"] == "text"
        assert not (query in NOTHING and found["results"]), query
    for k in ("0", "201", "-1", "x", "9" * 30):
        carryover("search", "glazier", "-k", k, code=2)
    # As it is installed: what the terminal hands over need be no text at all.
    for raw in (b"glazier \xff\xfe", "東京".encode(), b"\xed\xa0\x80"):
        done = subprocess.run([ENTRY, "search", "--", raw], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("k", [0, -1, 201, 10**30])
def test_k_out_of_range_is_refused(memory: Carryover, k: int) -> None:
    with pytest.raises(Invalid, match="use 1 to 200"):
        memory.search(Query("glazier", k))


def test_an_enormous_turn_is_one_turn_among_others(database_url: str, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, database_url=database_url, embedder="none", max_turn_bytes=64 << 20, max_body_bytes=128 << 20
    )
    filler = "lorem ipsum dolor 東京 \U0001f99c " * 1_100_000
    enormous = f"The lighthouse keeper wrote it all down. {filler} The end of the log."
    assert len(enormous.encode()) > 30 << 20
    with Carryover(Engine.open(settings, embedder=first()), Scope()) as memory:
        with serving(memory) as running, running.http() as client:
            for text in ("The heron nests here.", enormous, "x" * (20 << 20), "The walrus sleeps."):
                sent = client.post("/sessions/s/turns", json={"role": "user", "content": text}, timeout=120)
                assert sent.status_code == 201, sent.text
            memory.engine.worker.drain()
            asked = ("lighthouse keeper", 2), ("heron nests", 1), ("walrus sleeps", 4), ("end of the log", 2)
            for query, seq in asked:
                got = client.post("/memory/search", json={"query": query}).json()
                assert got["mode"] == "hybrid"
                assert got["results"][0]["sources"][0]["first"] == seq
                assert len(json.dumps(got)) < 100_000
        assert check.check(memory.engine.store) == []


@pytest.mark.parametrize("damage", ["absent", "cut off"])
def test_without_its_model_every_way_in_says_that_words_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    package = pytest.importorskip(minilm.PACKAGE)
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    if damage == "cut off":
        folder = tmp_path / "models" / minilm.MODEL
        folder.mkdir(parents=True)
        for name in minilm.HASHES:
            whole = (Path(package.__path__[0]) / "model" / name).read_bytes()
            (folder / name).write_bytes(whole[: len(whole) // 2])
    for name, value in {"HOME": str(tmp_path), "EMBEDDER": "minilm"}.items():
        monkeypatch.setenv(f"CARRYOVER_{name}", value)
    carryover = Commands()
    with Carryover.open(Settings(home=tmp_path), work=False) as memory:
        memory.log_turn("s", "user", "The glazier comes on Monday.")
        assert memory.search(Query("glazier")).mode == "text"
        assert memory.search(Query("glazier")).results
        got = http(memory, "glazier").json()
        assert got["mode"] == "text"
        assert len(got["results"]) == 1
    found = carryover.json("search", "glazier")
    assert (found["mode"], len(found["results"])) == ("text", 1)
    report = carryover.json("doctor", code=1)
    (embedder,) = [one for one in report["checks"] if one["name"] == "embedder"]
    assert embedder["state"] == "broken"
    assert embedder["said"].endswith("search matches words only")
    assert "carryover model pull" in embedder["remedy"]
