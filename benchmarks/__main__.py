"""Runs every benchmark in turn, each as its own process. Those that need evaluation data say so where it is absent."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("CARRYOVER_SHARED", ROOT.parent / "shared"))


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        runs = [["benchmarks.append", folder], ["benchmarks.server", "--model"]]
        runs += [["benchmarks.postgres"], ["benchmarks.fairness"], ["benchmarks.drain"], ["benchmarks.vectors"]]
        runs += [["benchmarks.detect"], ["benchmarks.hooks"], ["benchmarks.views"], ["benchmarks.codebook"]]
        runs += [["benchmarks.persona_open"], ["benchmarks.encryption"], ["benchmarks.sealed_context"]]
        runs += [["carryover", "eval", "strategies", "--made-up", "5"]]
        if SHARED.is_dir():
            runs += [["benchmarks.search"], ["benchmarks.contexts"], ["benchmarks.ablation"]]
            runs += [["benchmarks.ingest", "--large"], ["benchmarks.summaries"]]
            runs += [["carryover", "eval", "recall", f"{SHARED}/eval"]]
            runs += [["carryover", "eval", "strategies", f"{SHARED}/eval", f"{SHARED}/corpus"]]
        else:
            print(f"no evaluation data at {SHARED}: search, contexts, ablation, ingest and recall are left out")
        for run in runs:
            print(f"\n# {run[0]}\n", flush=True)
            failed += subprocess.run([sys.executable, "-m", *run], cwd=ROOT, check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
