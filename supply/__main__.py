"""`python -m supply check`: what is locked is licensed, has no unknown hole, and is what the bill of materials says."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from supply import audit, licences, locks, sbom


def check_licences() -> list[str]:
    known, installed = licences.Known.read(), licences.Installed()
    return licences.problems(locks.read(locks.RUN), locks.read(locks.DEV), known, installed)


def make_sbom() -> str:
    return sbom.made(locks.read(locks.RUN), licences.Known.read(), licences.Installed())


def check_sbom() -> list[str]:
    same = sbom.FILE.exists() and sbom.FILE.read_text("utf-8") == make_sbom()
    return [] if same else [f"{sbom.FILE.name} is not what is locked; run `make sbom`"]


def check_parts() -> list[str]:
    return [
        f"{path.name} is not what {locks.DEV.name} says; run `python -m supply parts`"
        for path, roots in locks.PARTS.items()
        if not path.exists() or path.read_text("utf-8") != locks.part(locks.DEV, roots)
    ]


def check_holes(service: str | None, must_answer: bool) -> list[str]:
    locked = [*locks.read(locks.RUN), *locks.read(locks.DEV)]
    lived = audit.Lived.read()
    found = audit.expired(lived, {one.name for one in locked}, datetime.now(UTC).date())
    try:
        return found + audit.unaccepted(audit.holes(locked, service), lived)
    except audit.NoAnswer as why:
        silent = f"known vulnerabilities are not looked up: the advisory service does not answer ({why})"
        if must_answer:
            return [*found, silent]
        sys.stdout.write(f"{silent}; with a network, or `--service`, they are\n")
        return found


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m supply", description=__doc__)
    arguments.add_argument("verb", choices=["check", "licences", "audit", "sbom", "parts"])
    arguments.add_argument("--service", help="address that speaks the query protocol of OSV; else pip-audit's own")
    arguments.add_argument("--must-answer", action="store_true", help="fail where the advisory service cannot be asked")
    asked = arguments.parse_args()
    found: list[str] = []
    if asked.verb == "sbom":
        sbom.FILE.write_text(make_sbom(), "utf-8")
    if asked.verb == "parts":
        for path, roots in locks.PARTS.items():
            path.write_text(locks.part(locks.DEV, roots), "utf-8")
    if asked.verb in ("check", "licences"):
        found += check_licences()
    if asked.verb == "check":
        found += check_sbom() + check_parts()
    if asked.verb in ("check", "audit"):
        found += check_holes(asked.service, asked.must_answer)
    sys.stderr.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
