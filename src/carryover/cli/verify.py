"""The verb that looks for what was erased, and checks receipts."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AsJson, example
from carryover.core.canary import SHORTEST, Canaries, Hit
from carryover.core.erasure import ErasureKey, Receipt
from carryover.core.errors import Invalid
from carryover.core.wire import decode
from carryover.settings import Settings, load

app = typer.Typer(rich_markup_mode=None)

_SHOWN = 50
_EXAMPLES = (
    'carryover verify-erasure --canary "the account number 4711"',
    "carryover verify-erasure --canary-file words.txt /srv/backups/monday",
    "carryover verify-erasure --receipt ana.json",
)


@app.command("verify-erasure", epilog=example(*_EXAMPLES))
def verify_erasure(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...", exists=True, help="Files and folders; by default all that the settings name."
        ),
    ] = None,
    canary: Annotated[list[str] | None, typer.Option(help="Words that must be nowhere; may be repeated.")] = None,
    canary_file: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="The same, a line each.")
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Check its signature, and look for the user."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The public key to check it with; by default that of the installation.")
    ] = None,
    redis: Annotated[str | None, typer.Option(metavar="URL", help="Look through this Redis too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look for words in every file, table and cache, in any form they may have; exit 1 where they are found.

    They are looked for as UTF-8, UTF-16, JSON, base64 and hex, also in what is packed. What is found is told by place
    and byte, never by what it says.
    """
    words = [*(canary or ()), *(canary_file.read_text("utf-8").splitlines() if canary_file else ())]
    told: dict[str, Any] = {}
    if receipt is not None:
        found = _checked(receipt, key)
        told["receipt"] = {"id": found.id, "genuine": True}
        whole = found.user_id is not None and found.session_id is None
        words += [found.user_id or ""] if whole and len(found.user_id or "") >= SHORTEST else []
        show.note(f"receipt {found.id} is genuine: {found.turns} turns, {found.sessions} sessions, {found.keys} keys")
    looked: list[str] = []
    hits: list[Hit] = []
    canaries = Canaries(word for word in words if word)
    if canaries.words:
        hits = list(_scanned(load().settings, paths, redis, canaries, looked))
    elif receipt is None:
        raise typer.BadParameter("say what must be nowhere: --canary, --canary-file or --receipt")
    if as_json:
        show.as_json({**told, "looked_at": looked, "canaries": len(canaries.words), "hits": hits})
    elif canaries.words:
        for hit in hits[:_SHOWN]:
            show.out(f"canary {hit.canary} in {hit.where} at {hit.offset} ({hit.form})")
        show.out(f"{show.counted(len(hits), 'hit')} in {show.counted(len(looked), 'place')}")
    if hits:
        raise typer.Exit(1)


def _scanned(
    settings: Settings, paths: list[Path] | None, redis: str | None, canaries: Canaries, looked: list[str]
) -> Iterator[Hit]:
    """The hits, place by place; the places are noted in `looked`."""
    # By name: a receipt alone is checked without the database layer.
    scan = importlib.import_module("carryover.store.scan")
    unpack = importlib.import_module("carryover.coding.logs.archive").unpack
    for path in paths or _own(settings):
        for one in scan.files(path):
            looked.append(str(one))
            show.note(f"looking at {one}")
            yield from scan.file(one, canaries, unpack)
    if paths is None:
        for url in _databases(settings):
            looked.append(show.without_password(url))
            show.note(f"looking at all tables of {looked[-1]}")
            store = importlib.import_module("carryover.store.store").Store.at(url, pool=1)
            with closing(store):
                yield from scan.tables(store, canaries, unpack)
        redis = redis or (settings.redis_url.get_secret_value() if settings.redis_url else None)
    if redis is not None:
        looked.append(show.without_password(redis))
        yield from scan.redis(redis, canaries)


def _own(settings: Settings) -> list[Path]:
    """The home folder, and the folders of databases that are files elsewhere."""
    home = settings.folder
    found = [home] if home.is_dir() else []
    for url in (settings.store_url, settings.keyring_url):
        if url is not None and url.startswith("sqlite"):
            file = Path(url.partition("///")[2])
            if not file.is_relative_to(home):
                found += sorted(file.parent.glob(f"{file.name}*"))
    return found


def _databases(settings: Settings) -> list[str]:
    urls = dict.fromkeys(url for url in (settings.store_url, settings.keyring_url) if url is not None)
    return [url for url in urls if url.startswith("postgresql")]


def _checked(path: Path, key: str | None) -> Receipt:
    """The receipt in the file. Raises Invalid where it is none, or not as it was signed."""
    try:
        said: object = json.loads(path.read_text("utf-8"))
    except ValueError as cause:
        raise Invalid(f"{path} is no receipt ({cause}); name a file that `forget --receipt` wrote") from cause
    if not isinstance(said, dict):
        raise Invalid(f"{path} is no receipt; name a file that `forget --receipt` wrote")
    receipt = cast("dict[str, Any]", said)
    if key is None:
        with memory() as opened:
            public = opened.erasures.key()
    else:
        public = ErasureKey("", key)
    if not importlib.import_module("carryover.store.erasures").is_genuine(receipt, public):
        raise Invalid(f"{path} is not as it was signed, or another installation's; ask for it again by its id")
    return decode(Receipt, receipt)
