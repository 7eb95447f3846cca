"""Whether the same preferences and codebook give the same bytes: again and again, in other processes, in another
order, and after a fit that only appends.

    python -m carryover.evals.persona_stability FOLDER

prints the hash of all personas that the folder holds.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from carryover.core.persona import Preference
from carryover.evals.persona_information import FLOOR
from carryover.evals.persona_population import Ears, Heard, persona, placed
from carryover.evals.persona_world import User, World, mixed
from carryover.persona.book import Codebook, packed, unpacked
from carryover.persona.fit import fit, grow

SEEDS = ("0", "1", "2", "random")  # of hashes
_BOOK, _SAID = "book", "said"
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(dict[str, list[Preference]])


@dataclass(frozen=True, slots=True)
class Stability:
    """By what was varied, how many different hashes there were, of how many runs."""

    hashes: Mapping[str, tuple[int, int]]
    users: int

    @property
    def same(self) -> bool:
        return all(different == 1 for different, _ in self.hashes.values())


def run(users: int, repeats: int, seed: int, book: Codebook, ears: Ears) -> Stability:
    """`book` is the shipped codebook; the personas are told by one that is fitted to the first half of the users."""
    everyone = ears.hear(World(seed=seed + 4_000, name="b").users(2 * users))
    fitted = fit(book, [one for of in placed(book, everyone[:users]) for one in of.preferences], floor=FLOOR)
    fitted = unpacked(packed(fitted))
    first, later = placed(fitted, everyone[:users]), placed(fitted, everyone[users:])
    grown = grow(fitted, [one for of in (*first, *later) for one in of.preferences], floor=FLOOR)
    one = hashed(fitted, first)

    def told(hashes: Sequence[str]) -> tuple[int, int]:
        return len({one, *hashes}), len(hashes)

    # Few users at a time: what is repeated is the whole of them, so often that each persona is made `repeats` times.
    found = {
        "repeated": told([hashed(fitted, first) for _ in range(-(-repeats // users))]),
        "other processes and hash seeds": told(_processes(fitted, first)),
        "preferences and labels in another order": told([hashed(*_shuffled(fitted, first, n)) for n in range(5)]),
        "after a fit that only appends": told([hashed(grown, first)]),
    }
    return Stability(found, users)


def hashed(book: Codebook, heard: Sequence[Heard]) -> str:
    """One hash of the bytes of all personas."""
    return hashlib.sha256("\0".join(persona(book, of).text for of in heard).encode()).hexdigest()


def _shuffled(book: Codebook, heard: Sequence[Heard], seed: int) -> tuple[Codebook, list[Heard]]:
    draw = np.random.default_rng(seed)
    ids = list(book.labels)
    labels = {ids[n]: book.labels[ids[n]] for n in mixed(draw, len(ids))}
    other = [Heard(of.user, tuple(of.preferences[n] for n in mixed(draw, len(of.preferences)))) for of in heard]
    return replace(book, labels=labels), other


def _processes(book: Codebook, heard: Sequence[Heard]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, _BOOK).write_bytes(packed(book))
        Path(folder, _SAID).write_bytes(_ENCODER.encode({of.user.id: of.preferences for of in heard}))
        command = [sys.executable, "-m", __name__, folder]
        return [
            subprocess.run(
                command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
            ).stdout.strip()
            for seed in SEEDS
        ]


def _main(folder: Path) -> None:
    said = _DECODER.decode((folder / _SAID).read_bytes())
    heard = [Heard(User(user, 0, (), ()), tuple(preferences)) for user, preferences in said.items()]
    sys.stdout.write(hashed(unpacked((folder / _BOOK).read_bytes()), heard))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
