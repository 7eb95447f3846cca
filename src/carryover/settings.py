"""Every setting, from arguments, the environment (`CARRYOVER_...`) or one `carryover.toml`, in this order."""

from __future__ import annotations

import base64
import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from carryover.core.clock import DAY_MS
from carryover.core.errors import Invalid
from carryover.core.tier import Policy
from carryover.core.usage import Cap
from carryover.settings_access import Oidc, checked_rate

PREFIX = "CARRYOVER_"
FILE = "carryover.toml"
# Where the file is; where tests find evaluation data, and how often one kills the process it watches.
_ELSEWHERE = ("CARRYOVER_CONFIG", "CARRYOVER_SHARED", "CARRYOVER_KILLS")
_KEY_BYTES = 32


class Caps(BaseModel):
    """What each tenant may consume in a UTC day; unset is no limit."""

    model_config = ConfigDict(extra="forbid")
    tokens_per_day: int | None = Field(None, ge=0, description="tokens in and out")
    money_per_day: Decimal | None = Field(None, ge=0, description="US dollars")


class Coding(BaseModel):
    """Where coding agents' logs are, and how much of them is kept."""

    model_config = ConfigDict(extra="forbid")
    sources: list[Path] | None = Field(
        None,
        description="folders and files with logs; default: where each coding agent is known to keep them",
    )
    user: str | None = Field(None, description="whose sessions they are")
    raw_soft_cap_bytes: int = Field(
        4 << 30, ge=0, description="size of the archive from which what was digested is thinned out and dropped"
    )
    raw_hard_cap_bytes: int = Field(
        8 << 30, ge=0, description="size that the archive never exceeds, even where that loses data"
    )
    raw_max_age_days: int | None = Field(
        None, gt=0, description="age from which archived logs that were digested are dropped; unset is never"
    )
    distilled_cap_bytes: int = Field(
        1 << 30, ge=0, description="size of the digests and turns of coding sessions that raises an alarm"
    )
    every_s: float = Field(300, gt=0, description="how often `carryover ingest --watch` looks, whatever it is told")
    domains: dict[str, str] = Field(default_factory=dict, description="what each repository belongs to, by its name")
    repos: list[Path] = Field(
        default_factory=list[Path], description="repositories into which patterns may be written by the HTTP API"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Coding:
        if self.raw_soft_cap_bytes > self.raw_hard_cap_bytes:
            raise ValueError("raw_soft_cap_bytes exceeds raw_hard_cap_bytes; lower the first or raise the second")
        return self


class Personas(BaseModel):
    """What is noticed of users, and how long what was worked out of it is kept."""

    model_config = ConfigDict(extra="forbid")
    enabled: bool = Field(True, description="whether preferences are noticed when sessions end")
    strategy: Literal["facets", "user-kmeans"] = Field(
        "facets",
        description="`user-kmeans` is the plain baseline: one vector a user, the three nearest of 128 centroids",
    )
    floor: int = Field(5, ge=2, description="distinct users who must share a word before others may be told it")
    code_ttl_s: int = Field(
        30 * 86_400, gt=0, description="how long what was worked out of a user's preferences is kept"
    )
    facets: dict[str, dict[str, list[str]]] = Field(
        default_factory=dict,
        description="facets of a tenant's own, by tenant and name, each with some of its values",
    )


class Settings(BaseSettings):
    """How carryover runs; the defaults need no key, no server and no network."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    home: Path = Field(Path("~/.carryover"), description="folder of the database, the model and the import cursors")
    database_url: str | None = Field(None, description="the database; default: SQLite in `home`")
    database_pool: int = Field(
        16,
        ge=1,
        description="connections to the database that a process keeps; it opens as many again while it is busy",
    )
    url: str | None = Field(None, description="a carryover server to use instead of a database of one's own")
    api_key: SecretStr | None = Field(None, description="the key for that server")
    tenant: str = Field("default", description="the tenant of embedded use and of the command line")
    host: str = Field("127.0.0.1", description="address that `carryover serve` listens on")
    port: int = Field(8420, ge=0, le=65535, description="port that `carryover serve` listens on; 0 picks one")
    oidc: Oidc | None = Field(None, description="an issuer whose tokens open the server besides API keys: a table")
    idle_s: float = Field(300, gt=0, description="silence after which a session is consolidated")
    llm: str = Field("rules", description="`rules`, or `provider:model`: who extracts, and who chats")
    summarizer_models: list[str] = Field(
        default_factory=list[str], description="models besides `llm` that a strategy may name to make its summaries"
    )
    llm_api_key: SecretStr | None = Field(None, description="the provider's key; default: its own environment variable")
    llm_base_url: str | None = Field(None, description="the provider's address, where it is not the usual one")
    embedder: str = Field("minilm", description="`minilm`, `none`, or `openai:model` for another vector space")
    embedder_api_key: SecretStr | None = Field(None, description="the embedding provider's key")
    embedder_base_url: str | None = Field(None, description="the embedding provider's address")
    embedder_dim: int | None = Field(
        None, gt=0, description="the width of its vectors, where carryover does not know it"
    )
    prices: Path | None = Field(None, description="a TOML file with prices of models that carryover does not know")
    caps: Caps = Field(default_factory=lambda: Caps.model_validate({}), description="daily caps of each tenant")
    coding: Coding = Field(default_factory=lambda: Coding.model_validate({}), description="logs of coding agents")
    persona: Personas = Field(default_factory=lambda: Personas.model_validate({}), description="preferences of users")
    ttl_s: dict[str, int] = Field(default_factory=dict, description="time to live of new sessions, by agent")
    events_days: int | None = Field(
        None, gt=0, description="how long events of the activity stream are kept at least; unset is for ever"
    )
    memory_findings_max: int = Field(
        2_000,
        ge=1,
        description="findings that memory tells one by one of one user with one agent; beyond it the weakest are told "
        "by the gist of their month alone",
    )
    memory_full_max: int = Field(1_000, ge=0, description="how many of them it tells in full; the others are shortened")
    memory_full_days: int | None = Field(
        None, gt=0, description="age from which findings are shortened, however few there are; unset is never"
    )
    snapshot_findings_max: int = Field(400, ge=1, description="live findings that a snapshot of one session holds")
    max_turn_bytes: int = Field(16 << 20, gt=0, description="the largest turn")
    max_body_bytes: int = Field(32 << 20, gt=0, description="the largest request")
    redis_url: SecretStr | None = Field(
        None, description="a Redis for what several processes share in passing: cache, rate limits, news of commits"
    )
    cache_key: SecretStr | None = Field(
        None, description="32 bytes in base64 that encrypt what Redis holds; default: a key kept in the database"
    )
    encryption: bool = Field(True, description="whether new sessions are sealed, each with a key of its own")
    index: Literal["none", "hashed", "plain"] = Field(
        "hashed",
        description="what the text index holds: hashes of words, the words themselves for whoever may look into the "
        "database, or nothing: then search goes by vectors alone",
    )
    keyring_url: str | None = Field(
        None,
        description="the database of the users' data keys; default: `keys.db` beside a SQLite database, a schema of "
        "its own in PostgreSQL",
    )
    master_key: SecretStr | None = Field(
        None,
        description="32 bytes in base64 that wrap the data keys; of several, with commas between, the first wraps and "
        "the others only unwrap",
    )
    master_key_file: Path | None = Field(None, description="a file with such keys, one a line, instead")
    kms: str | None = Field(
        None, description="`package.module:factory` of a key management service that wraps the master key, instead"
    )
    cache_ttl_s: int = Field(3600, gt=0, description="how long a cached answer is kept")
    rate_limit: str | None = Field(
        None, description="requests that each tenant may make, as in `600/minute`; unset is no limit"
    )
    workers: int = Field(1, ge=1, description="processes that `carryover serve` starts; several need PostgreSQL")
    max_requests: int = Field(512, ge=1, description="requests that a process runs or keeps waiting; more get 429")
    drain_wait_s: float = Field(
        0, ge=0, description="how long a server that is to stop still accepts requests; about 5 behind a load balancer"
    )
    drain_s: float = Field(30, ge=0, description="how long jobs in hand may take to end when their process is to stop")
    vector_index: Literal["memory", "pgvector", "sqlite-vec"] = Field(
        "memory",
        description="where vectors are searched: in this process, in PostgreSQL with pgvector, or in SQLite with "
        "sqlite-vec",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="of the process's own log")
    log_format: Literal["text", "json"] = Field("text", description="of its lines: `json` is for machines")
    metrics_open: bool = Field(False, description="whether `GET /metrics` needs no key")
    otlp_endpoint: str | None = Field(
        None, description="a collector of traces that speaks OTLP over HTTP, like `http://127.0.0.1:4318`"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load` has merged the sources already, so that it can say where each value came from.
        return (init_settings,)

    @field_validator("cache_key")
    @classmethod
    def _is_key(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and len(_decoded(given)) != _KEY_BYTES:
            raise ValueError("it is not 32 bytes in base64; make one with `openssl rand -base64 32`")
        return given

    @field_validator("master_key")
    @classmethod
    def _are_keys(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and any(len(key) != _KEY_BYTES for key in _keys(given)):
            raise ValueError("it is not 32 bytes in base64, or several such; make one with `openssl rand -base64 32`")
        return given

    @field_validator("index")
    @classmethod
    def _finds(cls, given: str, info: ValidationInfo) -> str:
        if given == "none" and info.data.get("embedder") == "none":
            raise ValueError("embedder is none too, and nothing could be found; set one of them to something else")
        return given

    @field_validator("master_key_file", "kms")
    @classmethod
    def _from_one_place(cls, given: Any, info: ValidationInfo) -> Any:
        other = next((name for name in ("master_key", "master_key_file") if info.data.get(name) is not None), None)
        if given is not None and other is not None:
            raise ValueError(f"{other} is set too, and master keys come from one place; unset one of them")
        return given

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, given: str | None) -> str | None:
        return given if given is None else checked_rate(given)

    @property
    def shared_key(self) -> bytes | None:
        """The bytes of `cache_key`."""
        return None if self.cache_key is None else _decoded(self.cache_key)

    @property
    def master_keys(self) -> list[bytes]:
        """The bytes of each `master_key`."""
        return [] if self.master_key is None else _keys(self.master_key)

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.folder / 'carryover.db'}"

    @property
    def folder(self) -> Path:
        return self.home.expanduser()

    @property
    def eviction(self) -> Policy:
        full_ms = None if self.memory_full_days is None else self.memory_full_days * DAY_MS
        return Policy(self.memory_findings_max, self.memory_full_max, full_ms)

    @property
    def summarizers(self) -> frozenset[str]:
        """The models that a strategy may name."""
        return frozenset(("rules", self.llm, *self.summarizer_models))

    @property
    def cap(self) -> Cap:
        return Cap(self.caps.tokens_per_day, self.caps.money_per_day)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for each of their names where its value came from."""

    settings: Settings
    origins: dict[str, str]


def load(environment: Mapping[str, str] | None = None, **given: Any) -> Loaded:
    """The settings in force: `given`, then the environment, then the file, then the defaults.

    Raises Invalid for an unknown key (with the nearest known one) or a value that cannot be.
    """
    environment = os.environ if environment is None else environment
    _refuse_unknown(
        (
            name.removeprefix(PREFIX).lower().split("__")[0]
            for name in environment
            if name.startswith(PREFIX) and name not in _ELSEWHERE
        ),
        "environment variable",
        PREFIX,
    )
    from_environment = _environment(environment)
    given = {name: value for name, value in given.items() if value is not None}
    _refuse_unknown(given, "setting", "")
    path = _file({**from_environment, **given}, environment)
    from_file = _read(path) if path else {}
    _refuse_unknown(from_file, f"key in {path}", "")
    merged = {**from_file, **from_environment, **given}
    try:
        settings = Settings(**merged)
    except ValidationError as cause:
        first = cause.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise Invalid(
            f"setting {name}: {said}; correct it in {_origin(first['loc'][0], given, from_environment, path)}",
            field=name,
        ) from cause
    origins = {
        name: _origin(name, given, from_environment, path if name in from_file else None)
        for name in Settings.model_fields
    }
    return Loaded(settings, origins)


def _decoded(key: SecretStr) -> bytes:
    try:
        return base64.b64decode(key.get_secret_value(), validate=True)
    except ValueError:
        return b""


def _keys(keys: SecretStr) -> list[bytes]:
    return [_decoded(SecretStr(key.strip())) for key in keys.get_secret_value().split(",")]


def _environment(environment: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environment.items()}
    try:
        return {name: value for name, value in source().items() if value is not None}
    except ValueError as cause:
        raise Invalid(f"an environment variable cannot be read ({cause}); write lists and tables as JSON") from cause


def _file(found: Mapping[str, Any], environment: Mapping[str, str]) -> Path | None:
    named = environment.get("CARRYOVER_CONFIG")
    if named:
        if not Path(named).is_file():
            raise Invalid(
                f"CARRYOVER_CONFIG names {named!r}, which is no file; correct or unset it", field="CARRYOVER_CONFIG"
            )
        return Path(named)
    home = Path(found.get("home", Settings.model_fields["home"].default)).expanduser()
    return next((path for path in (Path(FILE), home / FILE) if path.is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as cause:
        raise Invalid(f"{path} cannot be read ({cause}); correct it", field=str(path)) from cause


def _refuse_unknown(names: Iterable[str], what: str, prefix: str) -> None:
    known = list(Settings.model_fields)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)
            shown = f"{prefix}{near[0].upper() if prefix else near[0]}"
            mine = f"{prefix}{name.upper() if prefix else name}"
            raise Invalid(f"{mine!r} is an unknown {what}; the nearest known one is {shown!r}", field=mine)


def _origin(name: Any, given: Mapping[str, Any], environment: Mapping[str, Any], path: Path | None) -> str:
    if name in given:
        return "argument"
    if name in environment:
        return f"environment ({PREFIX}{str(name).upper()})"
    return str(path) if path else "default"
