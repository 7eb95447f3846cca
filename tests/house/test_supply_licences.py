"""Which licences we ship with: an unknown one fails, and so does one that nobody accepted."""

from __future__ import annotations

from email.message import Message

import pytest

from supply import licences, locks
from supply.licences import Installed, Known
from supply.locks import Locked

KNOWN = Known.read()
INSTALLED = Installed()


def metadata(**said: str | list[str]) -> Message:
    made = Message()
    for name, value in said.items():
        for one in [value] if isinstance(value, str) else value:
            made[name.replace("_", "-")] = one
    return made


def locked(name: str) -> Locked:
    return Locked(name, "1.0", "", ("0" * 64,), ())


def test_every_locked_package_has_a_licence_that_we_accept() -> None:
    assert licences.problems(locks.read(locks.RUN), locks.read(locks.DEV), KNOWN, INSTALLED) == []


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"License_Expression": "MIT AND PSF-2.0"}, "MIT AND PSF-2.0"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"License": "MIT License\n\nCopyright (c) Somebody"}, "MIT"),
        ({"License": "UNKNOWN", "Classifier": ["License :: OSI Approved :: Apache Software License"]}, "Apache-2.0"),
        # Not which of the two is meant: both.
        (
            {"Classifier": [f"License :: OSI Approved :: {one}" for one in ("MIT License", "Apache Software License")]},
            "MIT AND Apache-2.0",
        ),
        ({"License": "BSD"}, None),
        ({"Classifier": ["License :: OSI Approved :: BSD License"]}, None),
        ({"Classifier": ["License :: OSI Approved :: MIT License", "License :: OSI Approved :: EUPL"]}, None),
        ({"License": "My Own Licence, see LICENSE"}, None),
        ({}, None),
    ],
)
def test_metadata_is_believed_where_it_leaves_no_doubt(said: dict[str, str | list[str]], means: str | None) -> None:
    assert licences.said(metadata(**said)) == means  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 AND (GPL-2.0-only OR BSD-3-Clause)", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
    ],
)
def test_an_expression_is_met_or_not(expression: str, allowed: bool) -> None:
    assert licences.allows(KNOWN.accepted, expression) is allowed


def test_a_package_without_a_licence_fails() -> None:
    (line,) = licences.problems([locked("nobody-knows")], locks.read(locks.DEV), KNOWN, INSTALLED)
    assert line.startswith("nobody-knows 1.0: its metadata names no licence; ")


def test_what_may_be_developed_with_may_not_be_shipped_with() -> None:
    """Hypothesis is under the MPL: accepted for tests, and refused in the runtime lock."""
    dev = locks.read(locks.DEV)
    assert licences.problems([], dev, KNOWN, INSTALLED) == []
    (line,) = licences.problems([one for one in dev if one.name == "hypothesis"], dev, KNOWN, INSTALLED)
    assert "MPL-2.0 is not accepted" in line


def test_an_exception_covers_the_licence_that_it_names_and_no_other() -> None:
    others = {**KNOWN.excepted, "certifi": {"licence": "GPL-3.0-only", "reason": "a test"}}
    changed = Known(KNOWN.accepted, KNOWN.accepted_in_development, others, KNOWN.declared)
    found = licences.problems(locks.read(locks.RUN), locks.read(locks.DEV), changed, INSTALLED)
    assert [line.split(" ", 1)[0] for line in found] == ["certifi"]


def test_what_is_known_of_packages_that_are_gone_is_told() -> None:
    others = {**KNOWN.excepted, "left-long-ago": {"licence": "MPL-2.0", "reason": "a test"}}
    known = Known(KNOWN.accepted, KNOWN.accepted_in_development, others, KNOWN.declared)
    found = licences.problems(locks.read(locks.RUN), locks.read(locks.DEV), known, INSTALLED)
    assert found == ["left-long-ago: no longer locked; remove it from known.toml"]


def test_every_exception_has_its_reason() -> None:
    for one in (*KNOWN.excepted.values(), *KNOWN.declared.values()):
        assert one["licence"]
        assert len(one["reason"]) > 10
