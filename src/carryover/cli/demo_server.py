"""A carryover server in a process of its own and a home of its own, for as long as a `with` lasts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from carryover.core.errors import StoreUnavailable
from carryover.settings import PREFIX

_START_S, _STOP_S = 30, 20
_ADDRESS = re.compile(r"listens on (http://\S+)")


@contextmanager
def serving(home: Path, **settings: str) -> Generator[str]:
    """The address of a server on this machine, with these settings alone; at the end it is stopped.

    Raises StoreUnavailable, with what it said last, when it does not start.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}
    own["ORT_DISABLE_TELEMETRY"] = "1"  # without it, onnxruntime calls its maker when it is loaded
    process = subprocess.Popen(
        [sys.executable, "-m", "carryover.cli.main", "serve", "--host", "127.0.0.1", "--port", "0"],
        env={**inherited, **own, f"{PREFIX}HOME": str(home)},
        cwd=home,  # where no settings file lies
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl+C reaches the demo, which then stops the server
    )
    listener = _Listener(process)
    try:
        yield listener.address()
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listener.close()


class _Listener:
    """Reads what the server says, so that it is never blocked, and keeps the end of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._said: deque[str] = deque(maxlen=20)
        self._address: str | None = None
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._read, name="demo-server", daemon=True)
        self._thread.start()

    def address(self) -> str:
        self._known.wait(_START_S)
        if self._address is None:
            last = "".join(self._said).strip() or f"it said nothing in {_START_S} s"
            raise StoreUnavailable(f"the demo's server did not start ({last}); run `carryover doctor`")
        return self._address

    def close(self) -> None:
        self._thread.join()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self._said.append(line)
            found = _ADDRESS.search(line)
            if found:
                self._address = found[1]
                self._known.set()
        self._known.set()
