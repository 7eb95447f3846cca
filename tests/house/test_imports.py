"""The import contracts of pyproject.toml hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_import_contracts_hold(tmp_path: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    made = subprocess.run(
        [str(lint), "--cache-dir", str(tmp_path)], cwd=ROOT, text=True, capture_output=True, timeout=100, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "0 broken" in made.stdout
