"""`python -m carryover` is the command `carryover`."""

from __future__ import annotations

from carryover.cli.main import main

main()
