"""The bill of materials is what the runtime lock says, and the same wherever it is made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from supply import licences, locks, sbom

ROOT = Path(__file__).parents[2]
TEXT = sbom.FILE.read_text("utf-8")
BILL = json.loads(TEXT)
RUN = locks.read(locks.RUN)


def test_it_is_what_is_locked() -> None:
    assert sbom.made(RUN, licences.Known.read(), licences.Installed()) == TEXT, "run `make sbom`"


def test_it_is_valid_by_the_schema() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(TEXT) is None


def test_every_release_is_there_with_name_version_licence_hashes_and_package_url() -> None:
    found = {
        (one["name"], one["version"], one["purl"], *(hash["content"] for hash in one["hashes"]))
        for one in BILL["components"]
        if one["licenses"]
    }
    assert found == {(one.name, one.version, f"pkg:pypi/{one.name}@{one.version}", *one.hashes) for one in RUN}


def test_it_says_who_needs_whom() -> None:
    needs = {one["ref"]: one["dependsOn"] for one in BILL["dependencies"]}
    root = BILL["metadata"]["component"]["bom-ref"]
    assert set(needs) == {root, *(one["bom-ref"] for one in BILL["components"])}
    assert any(ref.startswith("pkg:pypi/httpx@") for ref in needs[root])
    assert set().union(*needs.values()) == {one["bom-ref"] for one in BILL["components"]}


def test_it_names_no_time_no_place_and_no_address() -> None:
    bare = TEXT.replace('"http://cyclonedx.org/schema/bom-1.6.schema.json"', "")
    assert re.findall(r"\w+://[^\"]*|urn:uuid:[^\"]*|timestamp|serialNumber", bare) == []
    assert str(ROOT) not in TEXT
    assert str(Path.home()) not in TEXT


def test_another_process_makes_the_same_bytes() -> None:
    script = (
        "from supply import licences, locks, sbom;"
        "print(sbom.made(locks.read(locks.RUN), licences.Known.read(), licences.Installed()), end='')"
    )
    # Seeded otherwise, sets and dictionaries of that process are in another order.
    made = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={"PYTHONHASHSEED": "7"}, capture_output=True, check=True,
        timeout=60,
    )  # fmt: skip
    assert made.stdout.decode() == TEXT
