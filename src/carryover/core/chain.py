"""The hash chain of a session's turns: a turn that was changed, moved, taken out or put in shows.

Each link is a hash over the link before it and the leaf of its turn (as in Haber and Stornetta, "How to Time-Stamp a
Digital Document", 1991). A leaf is a keyed hash: without its salt, which goes with the turn's content, it tells nobody
what was said. So an erased turn leaves its leaf behind, and the chain still holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

SALT_BYTES = 16
_BYTES = 32


def leaf(salt: bytes, turn: Mapping[str, Any]) -> bytes:
    """What stands for the turn in its chain; `turn` has the members of a row of the log, and its `body`."""
    return blake2b(_told(turn).encode("utf-8", "surrogatepass"), key=salt, digest_size=_BYTES).digest()


def link(before: bytes | None, leaf: bytes) -> bytes:
    """The chain after a turn with this leaf; `before` is None for a session's first turn."""
    return blake2b((before or b"") + leaf, digest_size=_BYTES).digest()


def linked(rows: Sequence[dict[str, Any]], before: bytes | None) -> list[dict[str, Any]]:
    """Rows of new turns of one session, in order, each with its `salt` and `chain`."""
    made: list[dict[str, Any]] = []
    salts = os.urandom(SALT_BYTES * len(rows))
    for n, row in enumerate(rows):
        salt = salts[n * SALT_BYTES : (n + 1) * SALT_BYTES]
        before = link(before, leaf(salt, row))
        made.append({**row, "salt": salt, "chain": before})
    return made


def _told(turn: Mapping[str, Any]) -> str:
    """The turn as one text: where it stands, its numbers, how long each of its texts is (-1: none), and the texts.

    Written out because every append pays for it: in one piece it costs half of what a loop over the fields does. No
    id has a space in it, and the body comes last, so no two turns are told alike.
    """
    name, call_id, metadata, key = turn["name"], turn["call_id"], turn["metadata"], turn["idempotency_key"]
    id, role, kind = turn["id"], turn["role"], turn["kind"]
    return (
        f"{turn['agent']} {turn['session']} {turn['seq']} {turn['created_at']} {turn['received_at']} {turn['tokens']} "
        f"{len(id)} {len(role)} {len(kind)} "
        f"{-1 if name is None else len(name)} {-1 if call_id is None else len(call_id)} "
        f"{-1 if metadata is None else len(metadata)} {-1 if key is None else len(key)} "
        f"{id}{role}{kind}{name or ''}{call_id or ''}{metadata or ''}{key or ''}{turn['body']}"
    )
