"""Coverage chooses the inputs of one target, in a process of its own: `campaign.py` starts it.

libFuzzer ends the process itself; so counts are written as they grow, and a crash ends nothing.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path


def main(name: str, told: Path, folder: Path, seed: int, runs: int, corpus: str) -> None:
    import atheris

    with atheris.instrument_imports(include=["carryover"], exclude=["carryover.store.migrations"]):
        from fuzz import campaign
    from fuzz.mutate import LARGEST, Mutator
    from fuzz.target import HANG_S, tried

    target = campaign.named(name)
    mutator = Mutator(name, target.seeds(), target.words, seed)
    inputs, crashes = 0, dict[str, int]()

    def note() -> None:
        told.write_text(json.dumps({"inputs": inputs, "crashes": crashes}))

    def one(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        crash = tried(target, data)
        if crash is not None:
            count = crashes[crash.place] = crashes.get(crash.place, 0) + 1
            if count <= 3:
                campaign.keep(folder, target, data, crash, count)
        if inputs % 500 == 0 or inputs >= runs:
            note()

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        made = mutator.mutated(rng, bytes(data)) if rng.random() < 0.7 else atheris.Mutate(data, most)
        return made[:most]

    arguments = [
        name,
        f"-runs={runs}",
        f"-seed={seed + 1}",
        f"-max_len={min(LARGEST, 16_384)}",
        "-detect_leaks=0",
        # Its own watch, which ends the process: libFuzzer has taken the signal that `watched` would need.
        f"-timeout={6 * HANG_S:.0f}",
        f"-artifact_prefix={folder}/crashes/{name.replace('/', '-')}-",
        corpus,
    ]
    atheris.Setup(arguments, one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
