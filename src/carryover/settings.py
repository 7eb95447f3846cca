"""Every setting, from arguments, the environment (`CARRYOVER_...`) or one `carryover.toml`, in this order."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from carryover.core.errors import Invalid
from carryover.core.usage import Cap

PREFIX = "CARRYOVER_"
FILE = "carryover.toml"
# Where the file is; where tests find evaluation data, and how often one kills the process it watches.
_ELSEWHERE = ("CARRYOVER_CONFIG", "CARRYOVER_SHARED", "CARRYOVER_KILLS")


class Caps(BaseModel):
    """What each tenant may consume in a UTC day; unset is no limit."""

    model_config = ConfigDict(extra="forbid")
    tokens_per_day: int | None = Field(None, ge=0, description="tokens in and out")
    money_per_day: Decimal | None = Field(None, ge=0, description="US dollars")


class Settings(BaseSettings):
    """How carryover runs; the defaults need no key, no server and no network."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    home: Path = Field(Path("~/.carryover"), description="folder of the database, the model and the import cursors")
    database_url: str | None = Field(None, description="the database; default: SQLite in `home`")
    url: str | None = Field(None, description="a carryover server to use instead of a database of one's own")
    api_key: SecretStr | None = Field(None, description="the key for that server")
    tenant: str = Field("default", description="the tenant of embedded use and of the command line")
    host: str = Field("127.0.0.1", description="address that `carryover serve` listens on")
    port: int = Field(8420, ge=0, le=65535, description="port that `carryover serve` listens on; 0 picks one")
    idle_s: float = Field(300, gt=0, description="silence after which a session is consolidated")
    llm: str = Field("rules", description="`rules`, or `provider:model` for extraction by a model")
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
    ttl_s: dict[str, int] = Field(default_factory=dict, description="time to live of new sessions, by agent")
    max_turn_bytes: int = Field(16 << 20, gt=0, description="the largest turn")
    max_body_bytes: int = Field(32 << 20, gt=0, description="the largest request")
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="of the process's own log")

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

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.folder / 'carryover.db'}"

    @property
    def folder(self) -> Path:
        return self.home.expanduser()

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
        raise Invalid(
            f"setting {name}: {first['msg']}; correct it in {_origin(first['loc'][0], given, from_environment, path)}",
            field=name,
        ) from cause
    origins = {
        name: _origin(name, given, from_environment, path if name in from_file else None)
        for name in Settings.model_fields
    }
    return Loaded(settings, origins)


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as cause:
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
