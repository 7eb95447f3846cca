"""Running the command line inside the test, or as it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from typer.testing import CliRunner

from carryover.cli.main import app

ENTRY = str(Path(sys.executable).with_name("carryover"))


def run(*args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command as it is installed."""
    return subprocess.run([ENTRY, *args], capture_output=True, text=True, input=stdin, timeout=60, check=False)


@contextmanager
def started(*args: str) -> Generator[subprocess.Popen[str]]:
    """The command as it is installed, while it runs; it has ended when the block is left, however that happens."""
    pipe = subprocess.PIPE
    with subprocess.Popen([ENTRY, *args], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def rest_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.read()


class Commands:
    """Runs verbs through the application and checks how they end."""

    def __init__(self) -> None:
        self._runner = CliRunner()
        self.err = ""

    def __call__(self, *args: str, code: int = 0, stdin: str | bytes | None = None) -> str:
        """What the verb prints; `err` holds its notes afterwards."""
        done = self._runner.invoke(app, list(args), input=stdin, prog_name="carryover")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, (
            f"carryover {' '.join(args)}: exit {done.exit_code}\n{done.stdout}\n{done.stderr}"
        )
        self.err = done.stderr
        return done.stdout

    def json(self, *args: str, code: int = 0) -> Any:
        """What the verb prints with --json, decoded."""
        return json.loads(self(*args, "--json", code=code))
