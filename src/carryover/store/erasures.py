"""Erasures as they go on, and their receipts: what was asked for is kept in plain only until it is done."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.core.erasure import ErasureKey, Receipt, Selection
from carryover.core.errors import NotFound
from carryover.core.ids import new_id
from carryover.core.text import canonical_json
from carryover.core.wire import decode, encode
from carryover.store.keyring import ID_BYTES
from carryover.store.secrets import known, secret
from carryover.store.store import Tx
from carryover.store.trust_tables import erasures as rows

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SECRET = "erasures"  # the name of the seed that receipts are signed with
# `pending`: rows are still to go; `erased`: keys are still to be dropped; `done`: there is a receipt.
PENDING, ERASED, DONE = "pending", "erased", "done"


@dataclass(slots=True)
class Progress:
    """How far an erasure has come; `quiet` ones leave no receipt, because nobody asked for them.

    `agent` and `user` are whose alone all of it is; None where it is of several, or of nobody.
    """

    id: str
    asked: Selection
    state: str
    begun_at: Time
    agent: str | None = None
    user: str | None = None
    counts: Counter[str] = field(default_factory=Counter[str])
    keys: set[bytes] = field(default_factory=set[bytes])
    sessions: int = 0
    turns: int = 0
    readable: int = 0  # sessions that something was erased of and that were not sealed
    logs: int = 0  # of coding sessions, which are not sealed as a whole
    holds: tuple[str, ...] = ()
    quiet: bool = False

    def took(self, counts: Mapping[str, int]) -> None:
        self.counts.update(counts)


def begin(tx: Tx, asked: Selection, *, owner: str | None = None, quiet: bool = False) -> Progress:
    """The erasure is under way: whoever comes upon it finishes it. `owner` is the user of the session that is named."""
    agent, user = asked.agent_id or tx.scope.agent, asked.user_id or tx.scope.user or owner
    made = Progress(new_id("erasure"), asked, PENDING, tx.now, agent, user, quiet=quiet)
    row = {"tenant": tx.tenant, "id": made.id, "state": PENDING, "keys": b"", "begun_at": tx.now}
    tx.conn.execute(rows.insert().values(row | _told(made) | {"changed_at": tx.now}))
    return made


def put(tx: Tx, progress: Progress) -> None:
    """The erasure has come so far."""
    keys = b"".join(sorted(progress.keys))
    state = {"state": progress.state, "keys": keys, "changed_at": tx.now}
    tx.conn.execute(rows.update().where(*_is(tx, progress.id)).values(_told(progress) | state))


def held(tx: Tx, id: str) -> Progress | None:
    """The erasure as it stands, and until the transaction ends nobody else goes on with it; None once it is done."""
    wanted = sa.select(rows).where(*_is(tx, id), rows.c.state != DONE).with_for_update()
    row = tx.conn.execute(wanted).first()
    return None if row is None else _progress(row)


def unfinished(tx: Tx, before: Time | None = None) -> list[str]:
    """The ids of the tenant's erasures that are not done, the oldest first; only those last touched before then."""
    wanted = sa.select(rows.c.id).where(rows.c.tenant == tx.tenant, rows.c.state != DONE)
    if before is not None:
        wanted = wanted.where(rows.c.changed_at < before)
    return list(tx.conn.execute(wanted.order_by(rows.c.begun_at, rows.c.id)).scalars())


def under_way(tx: Tx, asked: Selection) -> Progress | None:
    """The oldest erasure of just this that is not done, where the scope may know of it."""
    same = rows.c.tenant == tx.tenant, rows.c.state != DONE, rows.c.request == _request(asked)
    oldest = sa.select(rows).where(*same).order_by(rows.c.begun_at, rows.c.id)
    found = (_progress(row) for row in tx.conn.execute(oldest))
    return next((one for one in found if not one.quiet and _may_know(tx, one)), None)


def tenants_unfinished(tx: Tx) -> list[str]:
    """In `EVERY_TENANT`, the tenants that have erasures which are not done."""
    wanted = sa.select(rows.c.tenant).where(rows.c.tenant.is_not(None), rows.c.state != DONE)
    return list(tx.conn.execute(wanted.distinct()).scalars())


def end(tx: Tx, progress: Progress, keys: int, remains: tuple[str, ...]) -> Receipt:
    """The erasure is done: its receipt names what was asked for, and what is kept of it does not."""
    seed = secret(tx, _SECRET)
    plain = Receipt(
        agent_id=progress.asked.agent_id,
        session_id=progress.asked.session_id,
        erased_at=tx.now,
        counts=dict(progress.counts),
        user_id=progress.asked.user_id,
        since=progress.asked.since,
        until=progress.asked.until,
        first=progress.asked.first,
        last=progress.asked.last,
        id=progress.id,
        subject=_subject(seed, tx.tenant, progress.asked),
        sessions=progress.sessions,
        turns=progress.turns,
        keys=keys,
        holds=progress.holds,
        backups=_backups(progress),
        remains=remains,
    )
    nameless = signed(seed, replace(plain, **dict.fromkeys(f.name for f in fields(Selection))))
    if progress.quiet:
        tx.conn.execute(rows.delete().where(*_is(tx, progress.id)))
    else:
        whose = _hashed(seed, tx.tenant, progress.agent, progress.user)
        kept = {"request": _done(plain.subject, whose), "receipt": canonical_json(encode(nameless))}
        done = {"state": DONE, "keys": b"", "changed_at": tx.now}
        tx.conn.execute(rows.update().where(*_is(tx, progress.id)).values(kept | done))
    return signed(seed, plain)


def receipt(tx: Tx, id: str, asked: Selection | None = None) -> Receipt:
    """What is kept of a receipt: all but the names of what was erased, unless it is told them.

    Raises NotFound, also for one of what lies outside the transaction's scope.
    """
    wanted = sa.select(rows.c.receipt, rows.c.request).where(*_is(tx, id), rows.c.state == DONE)
    row, seed = tx.conn.execute(wanted).first(), known(tx, _SECRET)
    if row is None or seed is None or not _is_for(tx, seed, row.request):
        raise NotFound(f"there is no receipt {id!r} here; an erasure that is under way has none yet")
    kept = decode(Receipt, json.loads(row.receipt))
    if asked is None:
        return kept
    return signed(seed, replace(kept, **{one.name: getattr(asked, one.name) for one in fields(Selection)}))


def was_asked(tx: Tx, asked: Selection) -> bool:
    """Whether the same was erased before, where the scope may know of it."""
    seed = known(tx, _SECRET)
    if seed is None:
        return False
    begins = _done(_subject(seed, tx.tenant, asked), None).removesuffix("}")
    wanted = sa.select(rows.c.request).where(rows.c.tenant == tx.tenant, rows.c.request.startswith(begins))
    return any(_is_for(tx, seed, request) for request in tx.conn.execute(wanted).scalars())


def public_key(tx: Tx) -> ErasureKey:
    """The key that receipts of this installation are checked with; the transaction must be a writing one."""
    raw = _private(secret(tx, _SECRET)).public_key().public_bytes_raw()
    return ErasureKey(_key_id(raw), base64.b64encode(raw).decode())


def signed(seed: bytes, plain: Receipt) -> Receipt:
    """The receipt with its signature."""
    private = _private(seed)
    named = replace(plain, key_id=_key_id(private.public_key().public_bytes_raw()))
    return replace(named, signature=base64.b64encode(private.sign(_message(encode(named)))).decode())


def is_genuine(receipt: Mapping[str, Any], key: ErasureKey) -> bool:
    """Whether the receipt, as decoded JSON, is as whoever holds the private half of the key signed it."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_key, validate=True))
        public.verify(base64.b64decode(str(receipt.get("signature")), validate=True), _message(receipt))
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(receipt: Mapping[str, Any]) -> bytes:
    return canonical_json({name: value for name, value in receipt.items() if name != "signature"}).encode()


def _private(seed: bytes) -> Ed25519PrivateKey:
    # Loaded by those who erase something: most commands do not.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)


def _key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def _subject(seed: bytes, tenant: str, asked: Selection) -> str:
    """What two erasures of the same have in common, and without the installation's secret names nobody."""
    told = canonical_json([tenant, encode(asked)])
    return hmac.digest(hmac.digest(seed, b"subjects", "sha256"), told.encode(), "sha256").hex()


def _hashed(seed: bytes, tenant: str, agent: str | None, user: str | None) -> tuple[str | None, str | None]:
    """Whose alone what was erased is, told to those who know the names."""
    key = hmac.digest(seed, b"owners", "sha256")
    told = (None if one is None else canonical_json([tenant, kind, one]) for kind, one in (("a", agent), ("u", user)))
    of_agent, of_user = (None if one is None else hmac.digest(key, one.encode(), "sha256").hex() for one in told)
    return of_agent, of_user


def _may_know(tx: Tx, progress: Progress) -> bool:
    """Whether all of it lies within the scope."""
    return tx.scope.agent in (None, progress.agent) and tx.scope.user in (None, progress.user)


def _is_for(tx: Tx, seed: bytes, request: str) -> bool:
    """Whether the scope may know of the erasure of which this is kept."""
    of_agent, of_user = json.loads(request)["whose"]
    own_agent, own_user = _hashed(seed, tx.tenant, tx.scope.agent, tx.scope.user)
    return own_agent in (None, of_agent) and own_user in (None, of_user)


def _backups(progress: Progress) -> str:
    if not progress.turns and not progress.sessions and not progress.keys:
        return "nothing was there to erase; backups of before an earlier erasure are as its receipt says"
    told: list[str] = []
    if progress.readable:
        told.append(f"{progress.readable} sessions that were not sealed")
    if progress.logs:
        told.append("archived logs")
    if (progress.asked.of_user is None or progress.holds) and any(
        progress.counts[name] for name in ("preferences", "personas_shown")
    ):
        told.append("what was noticed of users there, which is sealed with their own keys")
    if told:
        return f"backups of before can still tell {' and '.join(told)}; let them expire, or erase there as well"
    return "backups of before cannot tell what was erased: the keys that it was sealed with are dropped"


def _request(asked: Selection) -> str:
    """What is kept of what was asked until it is done."""
    return canonical_json({"selection": encode(asked)})


def _done(subject: str, whose: tuple[str | None, str | None] | None) -> str:
    """What is kept of it then."""
    return canonical_json({"subject": subject} | ({} if whose is None else {"whose": whose}))


def _told(progress: Progress) -> dict[str, str]:
    done = {name: getattr(progress, name) for name in ("agent", "user", "sessions", "turns", "readable", "logs")}
    said = done | {"counts": dict(progress.counts), "holds": list(progress.holds), "quiet": progress.quiet}
    return {"request": _request(progress.asked), "receipt": canonical_json(said)}


def _progress(row: Any) -> Progress:
    said = json.loads(row.receipt)
    keys = bytes(row.keys)
    return Progress(
        id=row.id,
        asked=decode(Selection, json.loads(row.request)["selection"]),
        state=row.state,
        begun_at=row.begun_at,
        counts=Counter(said.pop("counts")),
        keys={keys[n : n + ID_BYTES] for n in range(0, len(keys), ID_BYTES)},
        holds=tuple(said.pop("holds")),
        **said,
    )


def _is(tx: Tx, id: str) -> Iterable[sa.ColumnElement[bool]]:
    return (rows.c.tenant == tx.tenant, rows.c.id == id)
