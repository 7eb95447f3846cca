"""The OpenAPI document tells the truth: examples are accepted. (`tests/fuzz/test_api.py` makes requests from it.)"""

from __future__ import annotations

import httpx


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
