"""The bill of materials: CycloneDX JSON of what the runtime lock installs, the same bytes wherever it is made.

It has no serial number, no time, no path and no address; a line a package, so that a change of the lock reads well.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supply.licences import Installed, Known
from supply.locks import ROOT, Locked

FILE = ROOT / "sbom.cdx.json"
_VERSION = "1.6"


def made(run: Sequence[Locked], known: Known, installed: Installed, project: Path = ROOT / "pyproject.toml") -> str:
    """The document. Raises ValueError for a package without a known licence."""
    ours = tomllib.loads(project.read_text("utf-8"))["project"]
    root = f"{ours['name']}@{ours['version']}"
    metadata = {
        "component": {
            "bom-ref": root,
            "type": "application",
            "name": ours["name"],
            "version": ours["version"],
            "licenses": _licences(ours["license"]),
            "purl": f"pkg:pypi/{root}",
        }
    }
    components = [_component(one, known, installed) for one in run]
    needs = {root: [one for one in run if ours["name"] in one.asked_by]}
    needs |= {one.purl: [other for other in run if one.name in other.asked_by] for one in run}
    dependencies = [{"ref": ref, "dependsOn": [other.purl for other in others]} for ref, others in needs.items()]
    return (
        '{\n"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",\n"bomFormat": "CycloneDX",\n'
        f'"specVersion": "{_VERSION}",\n"version": 1,\n"metadata": {json.dumps(metadata)},\n'
        f'"components": {_lines(components)},\n"dependencies": {_lines(dependencies)}\n}}\n'
    )


def _component(locked: Locked, known: Known, installed: Installed) -> dict[str, Any]:
    licence = installed.licence(locked, known)
    if licence is None:
        raise ValueError(f"{locked.name} {locked.version} has no known licence; see `python -m supply licences`")
    return {
        "bom-ref": locked.purl,
        "type": "library",
        "name": locked.name,
        "version": locked.version,
        "licenses": _licences(licence),
        "purl": locked.purl,
        # Of every file that the release may be installed from: one of them is on the machine.
        "hashes": [{"alg": "SHA-256", "content": one} for one in locked.hashes],
    }


def _licences(expression: str) -> list[dict[str, Any]]:
    return [{"expression": expression}] if " " in expression else [{"license": {"id": expression}}]


def _lines(values: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(json.dumps(value) for value in values) + "\n]"
