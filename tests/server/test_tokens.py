"""Tokens of a company's issuer: what opens, what does not and why, and an issuer that rotates, lies or is away."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from carryover.client.client import Client
from carryover.core.errors import Forbidden, Invalid, Unauthorized
from carryover.core.scope import Scope
from carryover.server.app import bind
from carryover.settings import load
from fakes.issuer import AUDIENCE, DISCOVERY, KEYS, Issuer, edwards, elliptic
from serving import Running, open_memory, serving
from waiting import until

TURN = {"role": "user", "content": "We decided to use PostgreSQL."}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@contextmanager
def trusting(home: Path, issuer: Issuer, **oidc: Any) -> Iterator[Running]:
    with open_memory(home, oidc={**issuer.oidc, **oidc}) as memory, serving(memory) as running:
        yield running


@pytest.fixture
def running(tmp_path: Path, issuer: Issuer) -> Iterator[Running]:
    with trusting(tmp_path, issuer, algorithms=["RS256", "PS256", "ES256", "EdDSA"]) as server:
        yield server


def asked(running: Running, token: str, path: str = "/memory/default/sessions") -> httpx.Response:
    # Without certificates: loading them takes longer than all else here.
    return httpx.get(running.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=30, verify=False)


def refusal(running: Running, token: str) -> str:
    got = asked(running, token)
    assert (got.status_code, got.json()["type"]) == (401, "/problems/unauthorized"), got.text
    assert got.headers["www-authenticate"] == 'Bearer realm="carryover"'
    return got.json()["detail"]


def test_a_token_opens_its_tenant_with_the_rights_that_it_lists(running: Running, issuer: Issuer) -> None:
    with Client(running.url, api_key=issuer.token()) as client:
        client.log_turn("s", "user", "of acme")
        assert client.get_context("other") is not None
        with pytest.raises(Forbidden, match="may not admin"):
            client.extractors()
    assert [one.session_id for one in running.memory.seen_by(Scope("acme")).sessions()[0]] == ["s"]
    reader = issuer.token(scope=["openid", "carryover:read"])
    assert asked(running, reader).json()["sessions"][0]["session_id"] == "s"
    with running.http(reader) as http:
        assert http.post("/sessions/s/turns", json=TURN).status_code == 403
    assert asked(running, issuer.token(tenant="zeta")).json()["sessions"] == []
    for nothing in (None, "", "openid", ["x"], 7, {"carryover:admin": True}):
        assert asked(running, issuer.token(scope=nothing)).status_code == 403


@pytest.mark.parametrize(
    ("make", "algorithm"), [(elliptic, "ES256"), (edwards, "EdDSA"), (lambda: None, "RS256"), (lambda: None, "PS256")]
)
def test_each_way_of_signing_that_is_allowed(running: Running, issuer: Issuer, make: Any, algorithm: str) -> None:
    issuer.rotate("other", make())
    assert asked(running, issuer.token(algorithm=algorithm)).status_code == 200


def test_a_key_opens_beside_tokens_and_nothing_opens_without_either(running: Running) -> None:
    assert asked(running, running.key("read")).status_code == 200
    with running.http() as http:
        assert http.get("/usage").status_code == 401


def test_claims_narrow_a_token_to_its_user_and_agent(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, user_claim="sub", agent_claim="app.name", tenant="acme") as running:
        app = {"name": "planner"}
        with running.http(issuer.token(sub="u1", app=app, tenant=None)) as http:
            assert http.post("/sessions/s/turns?agent_id=planner", json=TURN).status_code == 201
            assert http.post("/sessions/s/turns?agent_id=other", json=TURN).status_code == 404
            assert (
                http.post("/sessions/t/turns", json={**TURN, "agent_id": "planner", "user_id": "v"}).status_code == 404
            )
        session = running.memory.seen_by(Scope("acme")).session("s", agent="planner")
        assert session.user_id == "u1"
        assert "'sub'" in refusal(running, issuer.token(sub=None, app=app))
        assert "'sub' is no legal name" in refusal(running, issuer.token(sub="no name/at all", app=app))
        assert "'app.name'" in refusal(running, issuer.token(sub="u1"))


def test_a_claim_may_have_a_dot_in_its_name(tmp_path: Path, issuer: Issuer) -> None:
    names = {"tenant_claim": "https://example.org/tenant", "rights_claim": "realm.roles", "rights": {"boss": "admin"}}
    with trusting(tmp_path, issuer, **names) as running:
        claims = {"https://example.org/tenant": "acme", "realm": {"roles": ["boss"]}}
        assert asked(running, issuer.token(tenant=None, **claims), "/extractors").status_code == 200


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("has expired", {"exp": 1}),
    ("has expired", {"exp": int(time.time()) - 31}),
    ("not valid yet", {"nbf": 4_102_444_800}),
    ("another audience", {"aud": "somebody-else"}),
    ("another audience", {"aud": ["a", "b"]}),
    ("another audience", {"aud": [1, {}]}),
    ("lacks the claim 'aud'", {"aud": None}),
    ("lacks the claim 'exp'", {"exp": None}),
    ("lacks the claim 'iss'", {"iss": None}),
    ("lacks the claim 'tenant'", {"tenant": None}),
    ("another issuer", {"iss": "https://evil.example"}),
    *(("no legal name", {"tenant": name}) for name in ("*", "", "a b", "a/b", "a\u0000", "x" * 129, 7, ["acme"], {})),
    *(("cannot be used", claims) for claims in ({"exp": "soon"}, {"nbf": []}, {"sub": 5}, {"jti": {}}, {"exp": {}})),
]


def test_what_is_wrong_with_a_token_is_said(running: Running, issuer: Issuer) -> None:
    for said, claims in WRONG:
        assert said in refusal(running, issuer.token(**claims)), claims


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(issuer: Issuer, head: dict[str, Any], secret: bytes) -> str:
    """A token signed with a shared secret."""
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    signed = f"{part(head)}.{part(claims)}"
    made = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"


def pem(issuer: Issuer) -> bytes:
    public = issuer.keys["k1"].public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_nobody_signs_with_the_public_key_as_a_secret_or_not_at_all(running: Running, issuer: Issuer) -> None:
    for algorithm in ("HS256", "none", "None", "hs256", "RS256", ""):
        head = {"alg": algorithm, "kid": "k1"}
        for token in (forged(issuer, head, pem(issuer)), forged(issuer, head, b"").rpartition(".")[0] + "."):
            assert asked(running, token).status_code == 401
    assert "which is not accepted" in refusal(running, forged(issuer, {"alg": "HS256", "kid": "k1"}, pem(issuer)))
    with pytest.raises(Invalid, match=r"oidc\.algorithms"):
        load(oidc={**issuer.oidc, "algorithms": ["HS256"]})


def test_a_signature_is_of_its_key_and_its_words(running: Running, issuer: Issuer) -> None:
    head, claims, signature = issuer.token().split(".")
    other = part({**jwt.decode(issuer.token(), options={"verify_signature": False}), "tenant": "zeta"})
    assert "signature is wrong" in refusal(running, f"{head}.{other}.{signature}")
    assert "signature is wrong" in refusal(running, f"{head}.{claims}.{signature[:-8]}AAAAAAAA")
    issuer.keys = {"k1": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
    assert "signature is wrong" in refusal(running, issuer.token(sub="mallory"))


def test_a_key_serves_the_algorithm_that_it_is_for(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, algorithms=["RS256", "ES256", "PS256"]) as running:
        issuer.raw = lambda _path: json.dumps({"keys": [{**issuer.public()[0], "alg": "RS256"}]}).encode()
        with trusting(tmp_path / "b", issuer, algorithms=["RS256", "PS256"], jwks_url=issuer.url + KEYS) as strict:
            assert asked(strict, issuer.token()).status_code == 200
            assert "for which its key is not" in refusal(strict, issuer.token(algorithm="PS256"))
        issuer.raw = None
        token = issuer.token(head={"alg": "RS256"})
        swapped = f"{part({'alg': 'ES256', 'kid': 'k1', 'typ': 'JWT'})}.{token.partition('.')[2]}"
        assert "for which its key is not" in refusal(running, swapped)


def test_a_weak_key_is_not_accepted(running: Running, issuer: Issuer) -> None:
    issuer.rotate("weak", rsa.generate_private_key(public_exponent=65537, key_size=1024))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.token()
    assert "cannot be used" in refusal(running, token)


HEADS: list[Any] = [
    *([], "x", {}, {"alg": 5}, {"alg": "RS256", "kid": 7}, {"alg": "RS256"}, {"alg": "RS256", "kid": "k1"}),
    *({"alg": "RS256", "kid": "k1", **odd} for odd in ({"crit": ["x"]}, {"crit": []}, {"b64": False})),
]
GARBAGE = [
    *("..", "a.b.c", ".a.", "=.=.=", "\u00e9.\u00e9.\u00e9", "e30.e30.", "A" * 9000 + ".b.c"),
    *(f"{part(head)}.{rest}" for head in HEADS for rest in ("e30.e30", ".", f"{part([])}.e30")),
    base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30.e30",
]


def test_garbage_is_401(running: Running, issuer: Issuer) -> None:
    assert asked(running, issuer.token()).status_code == 200
    with running.http() as http:
        for token in GARBAGE:
            http.headers["Authorization"] = f"Bearer {token}".encode("latin-1").decode("latin-1")
            assert http.get("/usage").status_code == 401, token[:80]


def test_numbers_beyond_all_bounds_are_no_fault(running: Running, issuer: Issuer) -> None:
    for exp in (10**18, 10**400, 1e300):
        assert asked(running, issuer.token(exp=exp)).status_code == 200
    assert asked(running, issuer.token(exp=float("inf"))).status_code == 401
    assert asked(running, issuer.token(exp=float("nan"))).status_code == 401


def test_made_up_names_of_keys_do_not_have_the_issuer_asked_without_end(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, refresh_s=600) as running, ThreadPoolExecutor(8) as pool:
        made_up = [issuer.token(head={"kid": f"made-up-{n}"}) for n in range(32)]
        assert asked(running, issuer.token()).status_code == 200
        assert {got.status_code for got in pool.map(lambda token: asked(running, token), made_up)} == {401}
        assert issuer.asked == [DISCOVERY, KEYS]


def test_a_new_key_is_known_at_the_first_token_that_names_it(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, refresh_s=0.05) as running:
        old, older = issuer.token(sub="a"), issuer.token(sub="b")
        assert asked(running, old).status_code == 200
        issuer.rotate("k2")
        until(lambda: asked(running, issuer.token()).status_code == 200)
        assert "a key that its issuer does not have" in refusal(running, older)


def test_while_the_issuer_is_away_known_keys_stay_good_for_a_time(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, keys_s=0.01, refresh_s=0.01) as running:
        assert asked(running, issuer.token()).status_code == 200
        issuer.go_away()
        time.sleep(0.02)
        assert [asked(running, issuer.token(sub=f"u{n}")).status_code for n in range(3)] == [200] * 3
        assert "does not have" in refusal(running, issuer.token(head={"kid": "other"}))
        issuer.come_back()
        issuer.rotate("k2")
        until(lambda: asked(running, issuer.token()).status_code == 200)


def test_keys_that_are_too_old_open_nothing(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, keys_s=0.01, keys_most_s=0.02, refresh_s=0.01) as running:
        assert asked(running, issuer.token()).status_code == 200
        issuer.go_away()
        until(lambda: asked(running, issuer.token(sub="x")).status_code == 503)
        got = asked(running, issuer.token(sub="y"))
        assert got.headers["retry-after"] == "1"
        assert "issuer of tokens does not answer" in got.json()["detail"]
        issuer.come_back()
        until(lambda: asked(running, issuer.token(sub="z")).status_code == 200)


def test_a_slow_issuer_holds_up_nobody_whose_key_is_known(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, keys_s=0.01, refresh_s=0.01) as running:
        assert asked(running, issuer.token()).status_code == 200
        issuer.hold = threading.Event()
        waiting = threading.Thread(target=asked, args=(running, issuer.token(head={"kid": "unknown"})))
        waiting.start()
        until(lambda: len(issuer.asked) > 2)
        assert [asked(running, issuer.token(sub=f"u{n}")).status_code for n in range(3)] == [200] * 3
        assert len([path for path in issuer.asked if path == DISCOVERY]) <= 2
        issuer.hold.set()
        waiting.join(30)
        assert not waiting.is_alive()


def lies(issuer: Issuer) -> dict[str, bytes]:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"}
    return {
        "nothing": b"",
        "no JSON": b"<html>",
        "a list": b"[]",
        "no keys": b"{}",
        "keys of no kind": json.dumps({"keys": [None, 5, "x", []]}).encode(),
        "a shared secret": json.dumps({"keys": [secret]}).encode(),
        "another issuer": json.dumps({"issuer": "https://evil.example", "jwks_uri": issuer.url + KEYS}).encode(),
        "keys elsewhere": json.dumps({"issuer": issuer.url, "jwks_uri": "http://evil.example/keys"}).encode(),
        "a file": json.dumps({"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}).encode(),
        "too deep": b"[" * 100_000,
        # All that is asked for, and too much beside.
        "too much": json.dumps({"issuer": issuer.url, "jwks_uri": issuer.url + KEYS, "keys": issuer.public()}).encode()
        + b" " * (257 << 10),
        "half a letter": b'{"keys": "\xff',
    }


def test_whatever_an_issuer_answers_is_no_500(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, refresh_s=0.001) as running:
        for name, lie in lies(issuer).items():
            issuer.raw = lambda _path, lie=lie: lie
            before = len(issuer.asked)
            until(
                lambda before=before: asked(running, issuer.token()).status_code == 503 and len(issuer.asked) > before
            )
            assert asked(running, issuer.token()).status_code == 503, name
        issuer.raw, issuer.status = None, 500
        assert asked(running, issuer.token()).status_code == 503
        issuer.status = 200
        until(lambda: asked(running, issuer.token()).status_code == 200)
        for name, lie in lies(issuer).items():
            issuer.raw = lambda _path, lie=lie: lie
            assert "does not have" in refusal(running, issuer.token(head={"kid": "other"})), name
            assert asked(running, issuer.token(sub=name)).status_code == 200, name


def test_a_key_of_the_issuer_that_is_none_is_401(tmp_path: Path, issuer: Issuer) -> None:
    odd = [{"kty": "RSA", "kid": "k1"}, {"kty": "RSA", "kid": "k1", "n": "!", "e": "AQAB"}, {"kty": "EC", "kid": "k1"}]
    for n, jwk in enumerate(odd):
        with trusting(tmp_path / str(n), issuer, jwks_url=issuer.url + KEYS) as running:
            issuer.raw = lambda _path, jwk=jwk: json.dumps({"keys": [jwk]}).encode()
            assert asked(running, issuer.token()).status_code == 401


def test_each_subject_has_a_rate_of_its_own(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, rate_limit="2/hour") as running:
        assert [asked(running, issuer.token(sub="a")).status_code for _ in range(3)] == [200, 200, 429]
        assert asked(running, issuer.token(sub="b")).status_code == 200
        assert asked(running, issuer.token(sub="a", tenant="zeta")).status_code == 200


def test_a_token_that_expires_is_not_kept_longer(tmp_path: Path, issuer: Issuer) -> None:
    with trusting(tmp_path, issuer, leeway_s=0) as running:
        token = issuer.token(exp=int(time.time()) + 2)
        assert asked(running, token).status_code == 200
        until(lambda: asked(running, token).status_code == 401)


def test_a_server_with_an_issuer_may_listen_anywhere_and_has_no_open_door(tmp_path: Path, issuer: Issuer) -> None:
    with open_memory(tmp_path, oidc=issuer.oidc, host="0.0.0.0", port=0) as memory:
        bind(memory, lambda _line: None).close()


@pytest.mark.parametrize(
    ("oidc", "said"),
    [
        ({"issuer": "http://example.org", "audience": AUDIENCE}, "no address to trust"),
        ({"issuer": "ftp://example.org", "audience": AUDIENCE}, "no address to trust"),
        ({"issuer": "https://", "audience": AUDIENCE}, "no address to trust"),
        ({"issuer": "https://example.org"}, "oidc.audience"),
        ({"issuer": "https://example.org", "audience": ""}, "oidc.audience"),
        ({"issuer": "https://example.org", "audience": "a", "jwks_url": "http://[x"}, "no address to trust"),
        ({"issuer": "https://example.org", "audience": "a", "algorithms": []}, "oidc.algorithms"),
        ({"issuer": "https://example.org", "audience": "a", "rights": {"x": "own"}}, "oidc.rights.x"),
        ({"issuer": "https://example.org", "audience": "a", "rate_limit": "many"}, "no rate"),
        ({"issuer": "https://example.org", "audience": "a", "leeway_s": 301}, "oidc.leeway_s"),
        ({"issuer": "https://example.org", "audience": "a", "isuer": 1}, "oidc.isuer"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_start(oidc: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said.replace(".", r"\.")):
        load(oidc=oidc)


def test_no_token_stands_in_an_error_or_a_log(
    running: Running, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.token(aud="other")
    with pytest.raises(Unauthorized) as caught, Client(running.url, api_key=token) as client:
        client.sessions()
    assert token.split(".")[2] not in caught.value.message + caplog.text
