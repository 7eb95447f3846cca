"""Programs out of Debian's packages, unpacked rather than installed: that needs no root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def unpacked(*packages: str) -> Path:
    """The folder that these packages are unpacked in. Raises RuntimeError where they cannot be had."""
    kept = Path(tempfile.gettempdir()) / f"carryover-{packages[0]}-{os.geteuid()}"
    if kept.exists() and kept.stat().st_uid == os.geteuid():
        return kept
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise RuntimeError("there is no apt-get here to fetch it with")
    half = Path(tempfile.mkdtemp(prefix="carryover-deb-"))
    try:
        _fetch(half, packages)
        half.chmod(0o755)
        half.rename(kept)
    except OSError:
        if not kept.exists():  # unless another process was quicker
            raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return kept


def _fetch(folder: Path, packages: tuple[str, ...]) -> None:
    download = ["apt-get", "download", "--quiet", *packages]
    done = subprocess.run(download, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode != 0 and os.geteuid() == 0:  # perhaps there are no lists of packages yet
        subprocess.run(["apt-get", "update", "--quiet"], check=False, capture_output=True)
        done = subprocess.run(download, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{', '.join(packages)} could not be downloaded: {done.stderr.strip()[-300:]}")
    for package in list(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True, capture_output=True)
        package.unlink()
