"""The OpenAPI document tells the truth: requests made from it meet no 5xx, and examples are accepted."""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from serving import Running


def test_examples_are_accepted(http: httpx.Client) -> None:
    body = http.get("/openapi.json").json()["paths"]["/sessions/{id}/turns"]["post"]["requestBody"]
    for name, example in body["content"]["application/json"]["examples"].items():
        assert http.post(f"/sessions/{name.replace(' ', '-')}/turns", json=example["value"]).status_code == 201


def test_every_reference_has_its_schema(http: httpx.Client) -> None:
    document = http.get("/openapi.json")
    names = set(document.json()["components"]["schemas"])
    used = {piece.split('"')[0] for piece in document.text.split("#/components/schemas/")[1:]}
    assert used <= names
    for operations in document.json()["paths"].values():
        for operation in operations.values():
            assert "default" in operation["responses"]


@pytest.mark.slow
def test_requests_made_from_the_document_meet_no_5xx(running: Running) -> None:
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json").exclude(path_regex="/live$")
    asked = 0
    for found in schema.get_all_operations():

        @given(case=found.ok().as_strategy())
        @settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        def holds(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            got = case.call(base_url=running.url)
            assert got.status_code < 500, (case.as_curl_command(), got.text)

        holds()
    assert asked > 100
