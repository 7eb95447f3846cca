"""Which licence each locked package is under, read from what is installed, and whether we accept it.

`known.toml` beside this file says what we accept, and what we know of packages that do not say it in their metadata.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageMetadata, distributions
from pathlib import Path
from typing import Any

from license_expression import AND, OR, ExpressionError, get_spdx_licensing

from supply.locks import Locked, canonical

KNOWN = Path(__file__).with_name("known.toml")
_SPDX = get_spdx_licensing()
# How metadata of before SPDX expressions spells what it means without doubt; "BSD" alone would leave one.
_SPELLINGS = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "bsd-3": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "mit license apache license version 2.0": "MIT OR Apache-2.0",
    "the mit license": "MIT",
    "psf": "PSF-2.0",
    "psfl": "PSF-2.0",
}
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True)
class Known:
    """`accepted` are SPDX ids; `excepted` and `declared` go by the package's name, each with its reason."""

    accepted: frozenset[str]
    accepted_in_development: frozenset[str]
    excepted: Mapping[str, Mapping[str, str]]
    declared: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path = KNOWN) -> Known:
        told: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        run, dev = frozenset(told["accepted"]), frozenset(told["accepted_in_development"])
        return cls(run, run | dev, told["excepted"], told["declared"])


class Installed:
    """What the packages of this environment say of their licences."""

    def __init__(self) -> None:
        self._said = {canonical(one.metadata["Name"]): said(one.metadata) for one in distributions()}

    def licence(self, locked: Locked, known: Known) -> str | None:
        """Its SPDX expression, where we can tell: by the release of it that is here, or as it was declared."""
        return self._said.get(locked.name) or known.declared.get(locked.name, {}).get("licence")


def said(metadata: PackageMetadata) -> str | None:
    """The licence as an SPDX expression, where the metadata leaves no doubt: its expression, its field, its classes."""
    field = metadata.get("License") or ""
    field = " ".join(field.strip().split("\n\n")[0].replace(",", " ").split())
    classes = [
        one.split(" :: ")[-1] for one in metadata.get_all("Classifier") or [] if one.startswith("License :: OSI")
    ]
    by_class = [_CLASSIFIERS.get(one) for one in classes]
    # Two classes may mean both or either; both is the safe reading.
    joined = " AND ".join(one for one in by_class if one) if by_class and None not in by_class else None
    return _spdx(metadata.get("License-Expression")) or _spdx(_SPELLINGS.get(field.lower(), field)) or joined


def problems(run: Iterable[Locked], dev: Iterable[Locked], known: Known, installed: Installed) -> list[str]:
    """What keeps us from shipping these (`run`) or working with them (`dev`): a line each."""
    run, dev = list(run), list(dev)
    shipped = {(one.name, one.version) for one in run}
    found = [_problem(one, known.accepted, known, installed) for one in run]
    found += [
        _problem(one, known.accepted_in_development, known, installed)
        for one in dev
        if (one.name, one.version) not in shipped
    ]
    gone = ({*known.excepted, *known.declared}) - {one.name for one in (*run, *dev)}
    return [line for line in found if line] + [
        f"{name}: no longer locked; remove it from {KNOWN.name}" for name in gone
    ]


def allows(accepted: frozenset[str], licence: str) -> bool:
    """Whether the expression can be met with accepted licences alone."""

    def met(node: Any) -> bool:
        if isinstance(node, OR):
            return any(map(met, node.args))
        return all(map(met, node.args)) if isinstance(node, AND) else str(node) in accepted

    return met(_SPDX.parse(licence, validate=True))


def _problem(locked: Locked, accepted: frozenset[str], known: Known, installed: Installed) -> str | None:
    licence = installed.licence(locked, known)
    if licence is None:
        return (
            f"{locked.name} {locked.version}: its metadata names no licence; read its LICENSE file, then declare it "
            f"in {KNOWN.name}"
        )
    excepted = known.excepted.get(locked.name, {}).get("licence")
    if allows(accepted, licence) or licence == excepted:
        return None
    return f"{locked.name} {locked.version}: {licence} is not accepted; leave it out, or except it in {KNOWN.name}"


def _spdx(text: str | None) -> str | None:
    try:
        parsed = _SPDX.parse(text or "", validate=True)
    except ExpressionError:
        return None
    return None if parsed is None else str(parsed)
