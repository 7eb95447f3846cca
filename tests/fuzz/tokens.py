"""Targets: tokens of an issuer, and the keys that an issuer publishes."""

from __future__ import annotations

import asyncio
import json
import time
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode

from carryover.core.errors import CarryoverError, Unauthorized
from carryover.core.ids import check_id
from carryover.core.scope import Scope
from carryover.server.tokens import Issuer
from carryover.settings_access import Oidc
from fuzz.target import Target
from fuzz.wires import json_of, text_of

ISSUER, AUDIENCE, UNTIL = "https://issuer.example", "carryover", 4_000_000_000
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "exp": UNTIL, "sub": "u", "tenant": "acme", "scope": "read write"}


@cache
def signer() -> tuple[Any, dict[str, Any]]:
    key = ec.derive_private_key(7, ec.SECP256R1())
    return key, json.loads(ECAlgorithm.to_jwk(key.public_key()))


@cache
def settings() -> Oidc:
    return Oidc(issuer=ISSUER, audience=AUDIENCE, tenant_claim="tenant", algorithms=["ES256"], rights_claim="scope",
                rights={"read": "read", "write": "write"})  # fmt: skip


def issuer(keys: dict[str, Any]) -> Issuer:
    """An issuer whose keys were fetched just now, and are not fetched again."""
    made = Issuer(settings())
    made._keys, made._fetched_at, made._tried_at = keys, time.monotonic(), time.monotonic()
    return made


def signed(head: bytes, claims: bytes) -> str:
    told = base64url_encode(head) + b"." + base64url_encode(claims)
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(told, signer()[0])
    return (told + b"." + base64url_encode(signature)).decode()


@cache
def good() -> str:
    return signed(b'{"alg":"ES256","kid":"k"}', json.dumps(CLAIMS).encode())


def admitted(token: str, keys: dict[str, Any]) -> Scope:
    scope, left_s = asyncio.run(issuer(keys).admitted(token))
    check_id(scope.tenant, "tenant")
    assert left_s > 0
    return scope


def forged(data: bytes) -> None:
    """A token that the issuer did not make lets nobody in."""
    text = text_of(data)
    try:
        admitted(text, {"k": signer()[1]})
    except Unauthorized:
        return
    # The last character of a signature says bits that nobody reads.
    assert text[:-1] == good()[:-1], f"{text!r} was not made by the issuer"


def claims(data: bytes) -> None:
    """Whatever the issuer signs is a scope, or is refused."""
    head, _, rest = data.partition(b"\n")
    admitted(signed(head, rest), {"k": signer()[1]})


def published(data: bytes) -> None:
    """Whatever stands where the issuer's keys should."""
    given = json_of(data)
    keys = given.get("keys") if isinstance(given, dict) else None
    for one in keys if isinstance(keys, list) else []:
        if isinstance(one, dict):
            try:
                admitted(good(), {"k": one})
            except CarryoverError:
                continue


def targets() -> list[Target]:
    head = b'{"alg":"ES256","kid":"k","typ":"JWT"}\n'
    jwks = lambda: [json.dumps({"keys": [{**signer()[1], "kid": "k", "use": "sig"}]}).encode()]  # noqa: E731
    return [
        Target("token/forged", forged, lambda: [good().encode()], share=0.5),
        Target("token/claims", claims, lambda: [head + json.dumps(CLAIMS).encode()], share=0.5),
        Target("token/published-keys", published, jwks, share=0.5),
    ]
