"""An issuer of tokens on loopback: it signs, publishes its keys, rotates them, and gets into trouble when told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "carryover"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
# Made once: an RSA key takes a while.
_RSA = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


class Issuer:
    """A context manager; `url` stays the same while it is away."""

    def __init__(self) -> None:
        self.asked: list[str] = []  # the paths of all requests
        self.keys: dict[str, Any] = {}
        self.raw: Callable[[str], bytes] | None = None  # what it answers instead, for a path
        self.status = 200
        self.hold: threading.Event | None = None  # what it waits for before it answers
        self._port = 0
        self.rotate("k1", _RSA[0])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def oidc(self) -> dict[str, Any]:
        """Settings that trust it."""
        return {"issuer": self.url, "audience": AUDIENCE}

    def rotate(self, kid: str, key: Any = None) -> None:
        """From now on it has this key alone."""
        self.keys = {kid: key or _RSA[1]}

    def token(self, *, kid: str | None = None, algorithm: str = "RS256", head: Any = None, **claims: Any) -> str:
        """A token that is good for a while; what is None is left out."""
        kid = kid or next(iter(self.keys))
        usual = {
            "iss": self.url, "aud": AUDIENCE, "exp": int(time.time()) + 600, "sub": "ana@example.org",
            "tenant": "acme", "scope": "carryover:write",
        }  # fmt: skip
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(said, self.keys[kid], algorithm, headers={"kid": kid, **(head or {})})

    def public(self) -> list[dict[str, Any]]:
        """Its keys as it publishes them."""
        return [{**_jwk(key.public_key()), "kid": kid, "use": "sig"} for kid, key in self.keys.items()]

    def go_away(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def come_back(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.issuer = self
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.hold is not None:
            self.hold.wait(30)
        if self.raw is not None:
            return self.status, self.raw(path)
        if path == DISCOVERY:
            return self.status, json.dumps({"issuer": self.url, "jwks_uri": self.url + KEYS}).encode()
        return self.status, json.dumps({"keys": self.public()}).encode()

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        if self.hold is not None:
            self.hold.set()
        self.go_away()


def elliptic() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def edwards() -> Any:
    return ed25519.Ed25519PrivateKey.generate()


def _jwk(key: Any) -> dict[str, Any]:
    kinds = {rsa.RSAPublicKey: RSAAlgorithm, ec.EllipticCurvePublicKey: ECAlgorithm}
    algorithm = next((made for kind, made in kinds.items() if isinstance(key, kind)), OKPAlgorithm)
    return json.loads(algorithm.to_jwk(key))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    issuer: Issuer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        status, content = self.server.issuer.answer(self.path)
        try:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True  # whoever asked has given up

    def log_message(self, format: str, *args: Any) -> None:
        pass
