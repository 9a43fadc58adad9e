"""Settings: one frozen model per service, read once from the environment and passed down. Unknown names are an error.

`CONSENT_DATABASE__DSN` is the field `database.dsn` of the service whose prefix is CONSENT; lists and maps are JSON.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from servicekit.errors import Invalid

_NESTED = "__"
_FROM_JSON = frozenset({tuple, list, set, frozenset, dict, Mapping, Sequence})


class BadSettings(Invalid):
    """The settings are not right; the text names each variable, and never its value."""

    reason = "BAD_SETTINGS"


class Group(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Group):
    """The service's schema in PostgreSQL. The user of `dsn` owns nothing but may read and write that schema."""

    dsn: str = Field(repr=False, min_length=1)
    min_size: int = Field(default=1, ge=0)
    max_size: int = Field(default=8, ge=1)
    statement_timeout_ms: int = Field(default=5000, gt=0)


class NatsSettings(Group):
    """The message bus. Replies come to `_INBOX.<service>`."""

    servers: tuple[str, ...] = Field(min_length=1)
    user: str | None = None
    password: SecretStr | None = None


class GrpcSettings(Group):
    """The gRPC port. Port 0 takes a free one; with a certificate it speaks TLS, with a client CA it asks for one too."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    max_message_bytes: int = Field(default=4 * 1024 * 1024, gt=0)
    max_concurrent: int = Field(default=1000, gt=0)
    keepalive_seconds: float = Field(default=60, gt=0)
    default_deadline_ms: int = Field(default=10_000, gt=0)


class AuthSettings(Group):
    """Who is believed. `jwks` is a file or an address; `callers` says which scopes each sibling service has here."""

    jwks: str = Field(min_length=1)
    issuer: str = Field(min_length=1)
    audience: str = "assent"
    service_key: Path
    service_keys: Path
    callers: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)


class TelemetrySettings(Group):
    """Traces and metrics leave only when an endpoint is given."""

    otlp_endpoint: str | None = None
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    service_version: str = "0.0.0"
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    export_interval_ms: int = Field(default=10_000, gt=0)


class Schema(NamedTuple):
    """A schema that `migrate` brings up to date: `dsn` is its owner's, the migrations are the package's."""

    dsn: str
    name: str
    package: str


class ServiceSettings(BaseSettings):
    """What every service has: `class Settings(ServiceSettings, prefix="CONSENT")`, with `service: ClassVar[str] = "consent"`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_nested_delimiter=_NESTED, hide_input_in_errors=True
    )

    prefix: ClassVar[str] = ""
    service: ClassVar[str] = ""

    database: DatabaseSettings
    nats: NatsSettings
    grpc: GrpcSettings = GrpcSettings()
    auth: AuthSettings
    telemetry: TelemetrySettings = TelemetrySettings()
    drain_seconds: float = Field(default=10, gt=0)
    instance: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    ready_file: Path | None = None

    def schemas(self) -> Sequence[Schema]:
        """What `migrate` brings up to date, in this order; a service with a further database adds it."""
        return (Schema(self.database.dsn, self.service, f"{self.service}_service"),)

    def __init_subclass__(cls, prefix: str = "", **kwargs: Any) -> None:
        del prefix  # the hook below gets it too, once the model is complete
        super().__init_subclass__(**kwargs)

    @classmethod
    def __pydantic_init_subclass__(cls, prefix: str = "", **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if prefix:
            cls.prefix = prefix
            cls.model_config["env_prefix"] = f"{prefix}_"
            cls.service = cls.__dict__.get("service") or prefix.lower()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed: `read` reads the environment, once, and a test passes values."""
        del settings_cls
        return (init_settings,)

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The settings of the process's environment, or of these variables.

        Raises BadSettings naming each variable that is missing, wrong or unknown.
        """
        environ = os.environ if environ is None else environ
        wrong = [f"{name}: no such setting" for name, field in _ours(cls, environ) if field is None]
        wrong += _not_json(cls, environ)
        if wrong:
            raise BadSettings("; ".join(sorted(wrong)))
        try:
            return cls(**_Variables(cls, environ)())
        except ValidationError as error:
            raise BadSettings("; ".join(_lines(cls, error))) from None
        except SettingsError:
            raise BadSettings(f"{cls.prefix}_*: a value that must be JSON is not") from None


class _Variables(EnvSettingsSource):
    """Reads a mapping instead of the process's environment, so that a file of variables can be checked."""

    def __init__(self, settings_cls: type[ServiceSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}


def _ours(cls: type[ServiceSettings], environ: Mapping[str, str]) -> Iterator[tuple[str, FieldInfo | None]]:
    """The variables with the service's prefix, each with the field it sets; pydantic's `forbid` does not see the others."""
    start = f"{cls.prefix}_"
    for name in environ:
        if name.upper().startswith(start):
            yield name, _field(cls, name[len(start) :].lower().split(_NESTED))


def _field(model: type[BaseModel], path: list[str]) -> FieldInfo | None:
    field = model.model_fields.get(path[0])
    if field is None or len(path) == 1:
        return field
    inner = field.annotation
    return _field(inner, path[1:]) if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _not_json(cls: type[ServiceSettings], environ: Mapping[str, str]) -> Iterator[str]:
    """The variables of lists and maps that are not JSON: pydantic would name their group only."""
    for name, field in _ours(cls, environ):
        if field is not None and get_origin(field.annotation) in _FROM_JSON and not _is_json(environ[name]):
            yield f"{name}: not JSON"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _lines(cls: type[ServiceSettings], error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        for name in _variables(cls, [str(part) for part in problem["loc"]]):
            yield f"{name}: {problem['msg']}"


def _variables(cls: type[ServiceSettings], path: list[str]) -> Iterator[str]:
    """The variable of a field; for a whole group, those of the fields that it cannot do without."""
    field = _field(cls, path)
    group = field.annotation if field else None
    if isinstance(group, type) and issubclass(group, BaseModel):
        for name, inner in group.model_fields.items():
            if inner.is_required():
                yield from _variables(cls, [*path, name])
    else:
        yield f"{cls.prefix}_{_NESTED.join(path).upper()}"


def parse_env_file(text: str) -> dict[str, str]:
    """The variables of lines NAME=value; blank lines and lines that begin with # are skipped. BadSettings names a bad line."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if not equals or not name.strip().isidentifier():
                raise BadSettings(f"line {number}: not NAME=value")
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
