"""PgBouncer in transaction mode before a PostgreSQL: from PATH, else from Debian's package, unpacked without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import debian, postgres

_START_S = 20


@contextmanager
def running(server: postgres.Server, size: int = 3) -> Generator[int]:
    """The port of a pooler that shares `size` sessions of the server between all its clients."""
    port = postgres.free_port()
    with tempfile.TemporaryDirectory(prefix="carryover-bouncer-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text(f'"{postgres.ROLE}" ""\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users.txt\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nmax_client_conn = 200\n"
            f"ignore_startup_parameters = extra_float_digits\n"
        )
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        own: dict[str, Any] = {} if os.geteuid() else {"user": "nobody", "extra_groups": []}  # it refuses to be root
        process = subprocess.Popen([*_program(), "-q", folder / "ini"], stderr=subprocess.PIPE, cwd="/", **own)
        try:
            _await(port, process)
            yield port
        finally:
            process.terminate()
            process.communicate()


def _program() -> list[str | Path]:
    """The command. Raises RuntimeError, saying what to install, where there is none."""
    if found := shutil.which("pgbouncer"):
        return [found]
    try:
        unpacked = [debian.unpacked(name) for name in ("pgbouncer", "libc-ares2", "libevent-2.1-7")]
    except RuntimeError as cause:
        raise RuntimeError(f"there is no PgBouncer: {cause}; install it (Debian: apt-get install pgbouncer)") from cause
    libraries = ":".join(str(path) for folder in unpacked for path in folder.glob("usr/lib/*"))
    return ["env", f"LD_LIBRARY_PATH={libraries}", unpacked[0] / "usr/sbin/pgbouncer"]


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    asked = [postgres.binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(asked, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise RuntimeError(f"PgBouncer did not start: {process.communicate()[1].decode(errors='replace')}")
        time.sleep(0.02)
