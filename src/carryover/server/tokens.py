"""Tokens of a company's own issuer (OpenID Connect): whose they are and what they may do, checked with its public keys.

The issuer's keys are fetched when a token needs them and kept. A token that names an unknown key has them fetched
again, but only so often: whoever sends made-up names cannot have the issuer asked without end. While the issuer does
not answer, the keys that are known stay good for a day.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, cast

import httpx
import jwt
from jwt.algorithms import get_default_algorithms
from starlette.concurrency import run_in_threadpool

from carryover.core.errors import Invalid, StoreUnavailable, Unauthorized
from carryover.core.ids import check_id
from carryover.core.scope import RIGHTS, Caller, Scope
from carryover.jobs.logger import logger_for
from carryover.settings_access import Oidc, is_safe

logger = logger_for(__name__)

DISCOVERY = "/.well-known/openid-configuration"
CACHED_S = 10.0  # for so long a token that was checked is not checked again
MOST_CHARS = 8_192  # of a token
_MOST_BYTES = 256 << 10  # of what the issuer answers
_SUBJECT_CHARS = 128
_NEVER, _LAST_S = float("-inf"), 1 << 40
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)

Jwk = Mapping[str, Any]


class Issuer:
    """The issuer that the settings name, and the keys that it signs with. Close it, in the loop that it was used in."""

    def __init__(self, oidc: Oidc) -> None:
        self._oidc = oidc
        self._keys: Mapping[str, Jwk] = {}
        self._made: dict[tuple[str, str], Any] = {}  # of these, ready to check signatures with
        self._fetched_at = self._tried_at = _NEVER
        self._fetching: asyncio.Task[None] | None = None
        self._ended = False

    async def admitted(self, token: str) -> tuple[Scope, float]:
        """What the token's bearer may do, and for how many seconds that need not be asked again.

        Raises Unauthorized, and says why; StoreUnavailable while the issuer's keys are not known and it is away.
        """
        kid, algorithm = self._head(token)
        named, jwk = await self._key_of(kid)
        claims = self._claims(token, self._ready(named, jwk, algorithm))
        left_s = min(int(claims["exp"]), _LAST_S) + self._oidc.leeway_s - time.time()
        return self._scope(claims), min(CACHED_S, left_s)

    async def close(self) -> None:
        """Nothing is fetched any more."""
        self._ended = True
        if self._fetching is not None:
            await asyncio.wait((self._fetching,))

    def _head(self, token: str) -> tuple[str | None, str]:
        try:
            head = jwt.get_unverified_header(token) if len(token) <= MOST_CHARS else {}
            kid, algorithm = head.get("kid"), str(head["alg"])
        except _UNREADABLE as cause:
            raise Unauthorized("this token cannot be read; send one as its issuer made it") from cause
        if algorithm not in self._oidc.algorithms:
            allowed = ", ".join(self._oidc.algorithms)
            raise Unauthorized(f"this token is signed by {algorithm[:20]!r}, which is not accepted; use {allowed}")
        return kid, algorithm

    async def _key_of(self, kid: str | None) -> tuple[str, Jwk]:
        """The issuer's key of this name; of its only key the name may be left out."""
        found, age_s = self._known(kid), time.monotonic() - self._fetched_at
        if found is None or age_s >= self._oidc.keys_s:
            fetching = self._begin_fetching()
            # Old keys are as good as new ones for now: who comes with one of them does not wait.
            if fetching is not None and (found is None or age_s >= self._oidc.keys_most_s):
                await asyncio.wait((fetching,))
                found, age_s = self._known(kid), time.monotonic() - self._fetched_at
        if age_s >= self._oidc.keys_most_s:
            wait_s = self._oidc.refresh_s
            raise StoreUnavailable(
                "the issuer of tokens does not answer; retry, or send an API key", retry_after=wait_s
            )
        if found is None:
            raise Unauthorized("this token is signed with a key that its issuer does not have; get a new one")
        return found

    def _known(self, kid: str | None) -> tuple[str, Jwk] | None:
        if kid is None:
            return next(iter(self._keys.items())) if len(self._keys) == 1 else None
        jwk = self._keys.get(kid)
        return None if jwk is None else (kid, jwk)

    def _begin_fetching(self) -> asyncio.Task[None] | None:
        """One fetch at a time, and not before the last one is old enough: None then."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._ended or time.monotonic() - self._tried_at < self._oidc.refresh_s:
            return None
        self._tried_at = time.monotonic()
        self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            self._keys = await run_in_threadpool(_fetched, self._oidc)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as cause:
            logger.warning("the issuer's keys could not be fetched", reason=f"{type(cause).__name__}: {cause}"[:200])
        else:
            self._made = {}
            self._fetched_at = time.monotonic()

    def _ready(self, kid: str, jwk: Jwk, algorithm: str) -> Any:
        """The key as the library takes it, for this algorithm alone."""
        made = self._made.get((kid, algorithm))
        if made is None:
            if not _suits(jwk, algorithm):
                raise Unauthorized(f"this token is signed by {algorithm}, for which its key is not; get a new one")
            try:
                made = get_default_algorithms()[algorithm].from_jwk(dict(jwk))
            except _UNREADABLE as cause:
                raise Unauthorized("the issuer's key of this token cannot be used; ask whoever runs it") from cause
            self._made[kid, algorithm] = made
        return made

    def _claims(self, token: str, key: Any) -> dict[str, Any]:
        oidc = self._oidc
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(oidc.algorithms),
                audience=oidc.audience,
                issuer=oidc.issuer,
                leeway=oidc.leeway_s,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as cause:
            raise Unauthorized("this token has expired; get a new one from its issuer") from cause
        except jwt.ImmatureSignatureError as cause:
            raise Unauthorized(
                "this token is not valid yet; compare the clocks of its issuer and this server"
            ) from cause
        except jwt.InvalidAudienceError as cause:
            raise Unauthorized(f"this token is for another audience; get one for {oidc.audience!r}") from cause
        except jwt.InvalidIssuerError as cause:
            raise Unauthorized(f"this token is of another issuer; get one from {oidc.issuer}") from cause
        except jwt.MissingRequiredClaimError as cause:
            raise Unauthorized(f"this token lacks the claim {cause.claim!r}; get one that has it") from cause
        except jwt.InvalidSignatureError as cause:
            raise Unauthorized("this token's signature is wrong; send it as its issuer made it") from cause
        except _UNREADABLE as cause:
            raise Unauthorized("this token cannot be used; get a new one from its issuer") from cause

    def _scope(self, claims: Mapping[str, Any]) -> Scope:
        oidc = self._oidc
        tenant = oidc.tenant or _id(claims, oidc.tenant_claim)
        agent = None if oidc.agent_claim is None else _id(claims, oidc.agent_claim)
        user = None if oidc.user_claim is None else _id(claims, oidc.user_claim)
        said = _claim(claims, oidc.rights_claim)
        words = said.split() if isinstance(said, str) else cast("list[object]", said) if isinstance(said, list) else []
        held = (oidc.rights[word] for word in words if isinstance(word, str) and word in oidc.rights)
        highest = max((RIGHTS.index(right) for right in held), default=-1)
        by = Caller(f"token {_subject(claims)}", "http")
        return Scope(tenant, agent, user, frozenset(RIGHTS[: highest + 1]), by)


def _fetched(oidc: Oidc) -> dict[str, Jwk]:
    """The issuer's keys by their names. Raises an HTTP error, or ValueError for what is no set of keys."""
    until = time.monotonic() + oidc.timeout_s
    with httpx.Client(timeout=oidc.timeout_s) as http:
        url = oidc.jwks_url or _discovered(http, oidc, until)
        given = _document(http, url, until).get("keys")
    listed = cast("list[object]", given) if isinstance(given, list) else []
    keys = [cast("Jwk", one) for one in listed if isinstance(one, dict)]
    # A private key that was published by mistake opens nothing, and one for encryption signs nothing.
    public = [one for one in keys if "d" not in one and "k" not in one and one.get("use", "sig") == "sig"]
    if not public:
        raise ValueError(f"{url} lists no public key that signs")
    return {str(one.get("kid", "")): one for one in public}


def _discovered(http: httpx.Client, oidc: Oidc, until: float) -> str:
    found = _document(http, oidc.issuer.rstrip("/") + DISCOVERY, until)
    if found.get("issuer") != oidc.issuer:
        raise ValueError(f"{oidc.issuer} describes another issuer")
    url = str(found.get("jwks_uri"))
    if not is_safe(url):
        raise ValueError(f"{oidc.issuer} keeps its keys at {url[:200]!r}, which is no address to trust")
    return url


def _document(http: httpx.Client, url: str, until: float) -> dict[str, Any]:
    raw = bytearray()
    with http.stream("GET", url, headers={"Accept": "application/json"}) as got:
        if got.status_code != 200:
            raise ValueError(f"{url} answered {got.status_code}")
        for piece in got.iter_bytes():
            raw += piece
            if len(raw) > _MOST_BYTES or time.monotonic() > until:
                raise ValueError(f"{url} answers too much, or too slowly")
    found = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError(f"{url} answered no JSON object")
    return cast("dict[str, Any]", found)


def _suits(jwk: Jwk, algorithm: str) -> bool:
    """Whether the key may check signatures by this algorithm: what a token says of itself decides nothing."""
    return (
        jwk.get("kty") == _KINDS[algorithm[:2]]
        and jwk.get("crv") == _CURVES.get(algorithm)
        and jwk.get("alg", algorithm) == algorithm
    )


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """The claim of this name; in `a.b` it is `b` within `a`, unless one is called so as a whole."""
    if name in claims:
        return claims[name]
    first, _, rest = name.partition(".")
    inner = claims.get(first)
    return _claim(cast("dict[str, Any]", inner), rest) if rest and isinstance(inner, dict) else None


def _id(claims: Mapping[str, Any], name: str) -> str:
    found = _claim(claims, name)
    if found is None:
        raise Unauthorized(f"this token lacks the claim {name!r}; get one that has it")
    try:
        return check_id(found if isinstance(found, str) else "", name)
    except Invalid as cause:
        raise Unauthorized(
            f"what this token says in {name!r} is no legal name; use 1 to 128 of A-Z a-z 0-9 . _ : @ -"
        ) from cause


def _subject(claims: Mapping[str, Any]) -> str:
    """Who the token is of, as it may stand in a log."""
    said = str(claims.get("sub", "-"))[:_SUBJECT_CHARS]
    return "".join(letter if letter.isprintable() and letter != " " else "?" for letter in said)
