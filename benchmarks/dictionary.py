"""Trains the dictionary that packs logs, on logs that the tests wrote: it knows how records look, and nobody's words.

`python -m benchmarks.dictionary [FOLDER]` writes it, and says what it saves on the logs below the folder. A new one
needs a new number: what was packed with the old one is unpacked with it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

import zstandard

from carryover.coding.logs import archive

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("CARRYOVER_SHARED", ROOT.parent / "shared"))
GOLDEN = ROOT / "tests" / "coding" / "adapters" / "golden"
SIZE, SAMPLE = 16 << 10, 2 << 10
SMALL = 20_000  # bytes of a log that profits


def samples() -> list[bytes]:
    logs = sorted(path for path in GOLDEN.rglob("*") if path.is_file() and path.name != "expected.json")
    texts = [path.read_bytes() for path in logs]
    return [text[at : at + SAMPLE] for text in texts for at in range(0, len(text), SAMPLE)]


def ratio(logs: Iterable[bytes], packer: zstandard.ZstdCompressor) -> float:
    held = list(logs)
    return sum(map(len, held)) / sum(len(packer.compress(log)) for log in held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED / "corpus")
    given = parser.parse_args()
    trained = zstandard.train_dictionary(SIZE, samples(), dict_id=archive.DICTIONARY_ID)
    path = archive.DICTIONARY
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(trained.as_bytes())
    print(f"wrote {path.name}: {path.stat().st_size:,} bytes")
    logs = [path.read_bytes() for path in given.folder.rglob("*") if path.is_file()]
    plain, known = zstandard.ZstdCompressor(level=archive.LEVEL), archive.packer()
    for name, chosen in (("all", logs), (f"below {SMALL:,} bytes", [log for log in logs if 0 < len(log) < SMALL])):
        if chosen:
            print(f"{name}: {len(chosen)} logs, ratio {ratio(chosen, plain):.2f}, with it {ratio(chosen, known):.2f}")


if __name__ == "__main__":
    main()
