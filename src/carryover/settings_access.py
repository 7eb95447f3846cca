"""What settings say of who may come in: tokens of a company's own issuer, and how often somebody may ask."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from carryover.core.ids import check_id
from carryover.core.scope import Right

# Signed with a private key that only the issuer has. With a shared secret whoever checks tokens could make them.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Oidc(BaseModel):
    """Whose tokens open the server besides API keys, and what their claims mean here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    issuer: str = Field(description="the address of the issuer, as its tokens name it in `iss`")
    audience: str = Field(min_length=1, description="what tokens for this server name in `aud`")
    jwks_url: str | None = Field(None, description="where the issuer's keys are; default: where its discovery says")
    algorithms: list[Algorithm] = Field(
        ["RS256", "ES256"], min_length=1, description="how tokens may be signed; none of it with a shared secret"
    )
    tenant_claim: str = Field("tenant", description="the claim that names the tenant")
    tenant: str | None = Field(None, description="the tenant of all tokens, instead of a claim")
    user_claim: str | None = Field(
        None, description="the claim that names the user whom a token is narrowed to, like `sub`; unset narrows none"
    )
    agent_claim: str | None = Field(None, description="the claim that names the agent whom a token is narrowed to")
    rights_claim: str = Field("scope", description="the claim that lists what a token may do, as a list or as words")
    rights: dict[str, Right] = Field(
        {f"carryover:{right}": right for right in ("read", "write", "admin")},  # type: ignore[arg-type]
        description="what the entries of that claim mean; the highest right counts, and without one nothing is allowed",
    )
    rate_limit: str | None = Field(None, description="requests that each subject may make, as in `100/minute`")
    leeway_s: float = Field(30, ge=0, le=300, description="by how much the issuer's clock may differ from this one")
    keys_s: float = Field(600, gt=0, description="age from which the issuer's keys are fetched anew")
    keys_most_s: float = Field(86_400, gt=0, description="age at which they are used no more though it does not answer")
    refresh_s: float = Field(10, gt=0, description="how often at most it is asked, whatever keys tokens name")
    timeout_s: float = Field(5, gt=0, le=60, description="how long it may take to answer")

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _is_safe(cls, given: str | None) -> str | None:
        if given is not None and not is_safe(given):
            raise ValueError(f"{given!r} is no address to trust; write an https one (http only on loopback)")
        return given

    @field_validator("tenant")
    @classmethod
    def _is_tenant(cls, given: str | None) -> str | None:
        return given if given is None else check_id(given, "tenant")

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, given: str | None) -> str | None:
        return given if given is None else checked_rate(given)


def checked_rate(given: str) -> str:
    """`given`, once it is known to be a rate like `600/minute`. Raises ValueError."""
    from limits import parse_many  # takes longer to import than all of the settings, and few use it

    try:
        rates = [rate.amount for rate in parse_many(given)]
    except ValueError:
        rates = []
    if len(rates) != 1 or rates[0] < 1:
        raise ValueError(f"{given!r} is no rate; write one number and one time, as in 600/minute")
    return given


def is_safe(text: str) -> bool:
    """Whether what is read at the address can be trusted: nobody on the way can have changed it."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    try:
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False
