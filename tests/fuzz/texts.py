"""Targets: texts that people, models and tools wrote, files that others edit, and what is unpacked or unsealed."""

from __future__ import annotations

import atexit
import base64
import hmac
import json
import os
import sqlite3
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import zstandard

from carryover.coding import repos, tools
from carryover.coding.adapters import cursor_store, opencode
from carryover.coding.digests import fingerprint, lexicon, shell, testing
from carryover.coding.logs import spool
from carryover.coding.logs.reading import _unpack
from carryover.coding.rollout import blocks
from carryover.coding.rollout import targets as rollout
from carryover.core.errors import CarryoverError, Invalid
from carryover.core.sentences import sentences
from carryover.core.session import Turn, to_json
from carryover.core.text import clean, count_tokens, plain
from carryover.guard import redact as secrets
from carryover.integrations import carryover_hook, hook_settings, json_text
from carryover.memory import dates, words
from carryover.memory.rules import Rules as Extractor
from carryover.persona import lint
from carryover.persona.book import packed, starter_book, unpacked
from carryover.persona.links import Claims, made
from carryover.persona.links import opened as link_opened
from carryover.persona.notice import Rules as Noticer
from carryover.persona.starter import seeds as starter_seeds
from carryover.providers import prices
from carryover.recall import when
from carryover.recall import words as recall_words
from carryover.settings import load
from carryover.store import foreign
from carryover.store.keyring import Keyring
from carryover.store.master import parsed as master_keys
from carryover.store.seal import Seal
from carryover.store.sealing import Sealing, key_of
from carryover.store.vault import Vault
from carryover.strategies import sections
from fuzz import seeds
from fuzz.readers import every
from fuzz.target import Target
from fuzz.wires import json_of, text_of

SAID_AT = 1_790_000_000_000


@cache
def folder() -> Path:
    """A folder for what has to be a file, in memory where there is such a place."""
    held = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    atexit.register(held.cleanup)
    return Path(held.name)


def written(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


def turn_of(text: str, role: str = "user") -> Turn:
    return Turn(1, "t_1", role, to_json(text), "message", SAID_AT, 1, SAID_AT)  # type: ignore[arg-type]


def masked(data: bytes) -> None:
    """Masking twice is masking once, in texts and in what JSON can say."""
    text = text_of(data)
    once = secrets.redact(text)
    assert secrets.redact(once) == once
    with suppress(Invalid):
        json.dumps(secrets.redacted(json_of(data)))


def sentence(data: bytes) -> None:
    text = clean(text_of(data))
    for one in sentences(text):
        assert one.quote in text
    count_tokens(text)


def extracted(data: bytes) -> None:
    """Every quote stands verbatim in the turn that it cites."""
    turn = turn_of(text_of(data))
    found, _ = Extractor().extract([turn], ())
    for one in (*found.found, *found.closed):
        assert one.quote in turn.text


def noticed(data: bytes) -> None:
    turn = turn_of(text_of(data)[:20_000])
    for one in noticer().notice([turn])[0]:
        assert one.quote in turn.text


@cache
def noticer() -> Noticer:
    return Noticer()


def understood(data: bytes) -> None:
    """Questions and statements: their words, their times, and whether they may be told."""
    text = text_of(data)
    recall_words.terms(text)
    when.periods(text)
    dates.named(text, SAID_AT)
    dates.valid_from(text, SAID_AT)
    words.content(text)
    words.is_english(text)
    lint.refused(text)
    assert isinstance(lint.harmless(text), str)
    sections.parsed(text)
    assert "\n" not in sections.one_line(text)


def content(data: bytes) -> None:
    """Any content as one would read it."""
    assert isinstance(plain(json_of(data)), str)


def printed(data: bytes) -> None:
    """What a tool was given and printed, as a digest looks at it."""
    text = text_of(data)
    for run in shell.runs(text)[:3]:
        testing.is_test(run)
        testing.passed(run, text, failed=None, exit_code=None)
    testing.sums_up(text)
    fingerprint.of_error(text)
    fingerprint.of_path(text)
    lexicon.correction(text)
    lexicon.approval(text)
    tools.patched(text)
    tools.canonical(text)
    repos.remote_name(text)


def block(data: bytes) -> None:
    """What is put into a file comes out again, and all else is as it was."""
    lines = ["- Read a file before you edit it."]
    there = blocks.found(data, "CLAUDE.md")
    made = blocks.put(data, lines, "CLAUDE.md")
    assert blocks.put(made, lines, "CLAUDE.md") == made
    if there is None:
        assert blocks.taken_out(made, "CLAUDE.md") == data
    else:
        blocks.taken_out(made, "CLAUDE.md")


def settings_json(data: bytes) -> None:
    """Hooks in an agent's settings: put in twice is put in once, and taking them out leaves what was said."""
    text = text_of(data)
    before = hook_settings.without_hooks(text)
    made = hook_settings.json_with(text, seeds.HOOKS)
    assert json.loads(hook_settings.json_with(made, seeds.HOOKS)) == json.loads(made)
    after = hook_settings.without_hooks(made)
    assert not before.strip() or json.loads(after) == json.loads(before) or "hooks" in json.loads(before)
    json_text.parsed(made)


def settings_toml(data: bytes) -> None:
    text = text_of(data)
    made = hook_settings.toml_with(text, seeds.HOOKS)
    assert hook_settings.toml_with(made, seeds.HOOKS) == made
    tomllib.loads(hook_settings.toml_without(made))


def hook(data: bytes) -> None:
    """What an agent tells a hook on standard input, and what stands in a repository's configuration."""
    before, (out, into) = os.dup(0), os.pipe()
    try:
        os.write(into, data[: 32 << 10])
        os.close(into)
        os.dup2(out, 0)
        os.close(out)
        said = carryover_hook.told()
    finally:
        os.dup2(before, 0)
        os.close(before)
    assert isinstance(said, dict)
    carryover_hook.text(said, "cwd")
    text = data.decode("utf-8", "replace")
    carryover_hook.remotes(text)
    json.loads(carryover_hook.as_context(text))
    rollout._remote(written("config", data))


def spooled(data: bytes) -> None:
    """What hooks left behind: read, or removed."""
    home = folder() / "home"
    into = home / spool.FOLDER
    into.mkdir(parents=True, exist_ok=True)
    (into / "one.json").write_bytes(data)
    spool.spooled(home)
    spool.remove(spool.take(home))
    assert list(into.iterdir()) == []


def settings_file(data: bytes) -> None:
    load({"CARRYOVER_CONFIG": str(written("carryover.toml", data))}, home=folder())


def environment(data: bytes) -> None:
    pairs = (line.partition("=") for line in text_of(data).split("\n")[:8])
    known = {name: said for name, _, said in pairs if name.startswith("CARRYOVER_") and name != "CARRYOVER_CONFIG"}
    load(known, home=folder())


def price_table(data: bytes) -> None:
    prices._read(written("prices.toml", data))


def key_file(data: bytes) -> None:
    master_keys(text_of(data).splitlines(), "the file")


@cache
def vault() -> Vault:
    held = Vault(Keyring(f"sqlite:///{folder() / 'keyring.db'}"))
    atexit.register(held.close)
    return held


@cache
def sealing() -> tuple[Sealing, bytes]:
    held = Sealing(vault())
    return held, held.draw("t")


def unsealed(data: bytes) -> None:
    """Whatever stands where something sealed should: it opens as what was sealed, or is refused."""
    held, _ = sealing()
    text = text_of(data)
    for kept in (text, "\x01" + text):
        with suppress(CarryoverError):
            key_of(kept)
        if kept.startswith("\x01"):
            with suppress(CarryoverError):
                assert held.opened("t", [("bodies/a/s/1", kept)]) in ([b"words"], [None])
    assert Seal(b"k" * 32).open("name", data) is None
    with suppress(CarryoverError):
        assert vault().open("t", "u", "place", data) in (None, b"words")


def sealed() -> list[bytes]:
    held, key = sealing()
    kept = held.sealed("t", key, "bodies/a/s/1", b"words")
    return [kept.encode(), kept[1:].encode(), vault().seal("t", "u", "place", b"words")]


def link(data: bytes) -> None:
    """A link that was changed opens nothing."""
    text = text_of(data)
    if text not in links():
        claims = link_opened(vault(), b"k" * 32, text, SAID_AT)
        raise AssertionError(f"a link that nobody made opened {claims}")


@cache
def links() -> tuple[str, ...]:
    return tuple(made(vault(), b"k" * 32, Claims("t", "u", SAID_AT + 1_000, write)) for write in (True, False))


def signed(data: bytes) -> None:
    """What is signed with our own key is read, whatever it says: keys leak, and versions differ."""
    payload = base64.urlsafe_b64encode(data).decode().rstrip("=")
    signature = base64.urlsafe_b64encode(hmac.digest(b"k" * 32, b"carryover link " + payload.encode(), "sha256"))
    link_opened(vault(), b"k" * 32, f"{links()[0][:3]}{payload}.{signature.decode().rstrip('=')}", SAID_AT)


def codebook(data: bytes) -> None:
    """A book that is not whole is refused, and one that is whole is what was packed."""
    book = unpacked(data)
    with suppress(UnicodeEncodeError, TypeError):  # of a head in which something else stands, and that cannot be packed
        again = packed(book)
        assert packed(unpacked(again)) == again


def compressed(data: bytes) -> None:
    """A log that is packed as a whole: unpacked, or refused."""
    with tempfile.SpooledTemporaryFile(1 << 20) as into:
        _unpack(written("log.jsonl.zst", data), into, 1 << 20)  # type: ignore[arg-type]


def database(data: bytes) -> None:
    """Another program's database: its rows as JSON, or refused."""
    path = written("store.db", data)
    foreign.tables(path)
    for adapter in (opencode, cursor_store):
        for row in adapter.rows(path):
            json.loads(row)


@cache
def databases() -> tuple[bytes, ...]:
    path = folder() / "seed.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE session (id TEXT PRIMARY KEY, data TEXT, time_created INT, time_updated INT);"
            "CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, data TEXT, time_created INT);"
            "CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, data TEXT, time_created INT);"
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT); CREATE TABLE blobs (id TEXT PRIMARY KEY, data BLOB);"
            "INSERT INTO session VALUES ('s', '{}', 1, 1);"
            "INSERT INTO message VALUES ('m', 's', '{\"role\":\"user\"}', 1);"
            "INSERT INTO part VALUES ('p', 'm', 's', '{\"type\":\"text\",\"text\":\"hi\"}', 1);"
            "INSERT INTO meta VALUES ('0', '7b7d'); INSERT INTO blobs VALUES ('b', x'7b7d');"
        )
    return (path.read_bytes(),)


def json_seeds() -> list[bytes]:
    return [line for seed in every()[::7] for line in seed.split(b"\n") if line][:200]


# The standard library's reader of TOML is quadratic in dotted keys; these files are the operator's own.
_TOML = ("file/hooks-toml", "file/settings", "file/prices")


def targets() -> list[Target]:
    log = [b"%b" % zstandard.ZstdCompressor(level=1).compress(b'{"type":"user"}\n' * n) for n in (1, 1_000)]
    told = lambda: [json.dumps(["t", "u", SAID_AT + 1, True, "AAAA"]).encode()]  # noqa: E731
    book = lambda: [packed(starter_book(starter_seeds(), None))]  # noqa: E731
    made: list[
        tuple[str, Callable[[bytes], None], Callable[[], Sequence[bytes]], tuple[type[Exception], ...], float]
    ] = [
        ("text/secrets", masked, lambda: [*seeds.PROSE, *json_seeds()], (), 2.0),
        ("text/sentences", sentence, lambda: seeds.PROSE, (), 1.0),
        ("text/extraction", extracted, lambda: seeds.PROSE, (), 1.0),
        ("text/preferences", noticed, lambda: seeds.PROSE, (), 1.0),
        ("text/words-and-times", understood, lambda: seeds.PROSE, (), 1.0),
        ("text/content", content, json_seeds, (CarryoverError,), 1.0),
        ("text/shell-and-output", printed, lambda: seeds.SHELL, (), 1.0),
        ("file/instructions", block, lambda: seeds.MARKDOWN, (CarryoverError,), 1.0),
        ("file/hooks-json", settings_json, lambda: seeds.JSON_SETTINGS, (ValueError,), 1.0),
        ("file/hooks-toml", settings_toml, lambda: seeds.TOML, (ValueError,), 1.0),
        ("file/settings", settings_file, lambda: seeds.TOML, (CarryoverError,), 0.5),
        ("file/environment", environment, lambda: seeds.ENVIRONMENT, (CarryoverError,), 0.5),
        ("file/prices", price_table, lambda: seeds.PRICES, (CarryoverError,), 0.5),
        ("file/master-keys", key_file, lambda: [base64.b64encode(b"k" * 32)], (CarryoverError,), 0.5),
        ("file/packed-log", compressed, lambda: log, (OSError,), 0.5),
        ("file/agent-database", database, databases, (CarryoverError,), 0.3),
        ("hook/standard-input", hook, lambda: seeds.STDIN, (), 0.5),
        ("hook/spool", spooled, lambda: seeds.SPOOLED, (), 0.5),
        ("sealed/records", unsealed, sealed, (CarryoverError,), 1.0),
        ("sealed/links", link, lambda: [one.encode() for one in links()], (CarryoverError,), 1.0),
        ("sealed/link-claims", signed, told, (CarryoverError,), 1.0),
        ("sealed/codebook", codebook, book, (CarryoverError,), 0.1),
    ]
    return [
        Target(name, run, seeds, allowed, share=share, grows=name not in _TOML)
        for name, run, seeds, allowed, share in made
    ]
