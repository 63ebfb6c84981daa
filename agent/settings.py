"""Every setting, read from the environment, checked against each other at start.

`docs/settings.md` is made from this module by `make docs`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent.durations import read_kept
from agent.errors import ConfigurationError
from agent.services import OnAmbiguous, ServiceRegistry, ServiceType
from agent.webhooks import Webhooks, read_hosts, read_secrets

QUEUE_WAIT_MARGIN = timedelta(seconds=30)
"""A queued context may wait behind its process's calls: its lease is the timeout and this."""
LEADER_LEASE = timedelta(seconds=10)

_Settings = TypeVar("_Settings", bound=BaseSettings)
NOT_BUILT_YET: tuple[str, ...] = ()
NOT_BUILT_YET_PER_SERVICE = ("RATE_LIMIT",)

Words = Annotated[tuple[str, ...], NoDecode]


class _Environment(BaseSettings):
    """What is read from the environment, and given in code by the names of the fields."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    def __init__(self, **given: Any) -> None:
        # not `populate_by_name`: it has the environment read by field names, too, where platforms
        # have a WORKERS or an ENV of their own
        super().__init__(**{_variable_of(type(self), name): given[name] for name in given})


def _variable_of(model: type[BaseSettings], name: str) -> str:
    """What a field is read from: the first of its variables."""
    field = model.model_fields.get(name)
    variables = _variables(field) if field is not None else ()
    return variables[0] if variables else name


def _variables(field: FieldInfo) -> tuple[str, ...]:
    """The variables that a field itself names; the first that is set counts."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias,) if isinstance(alias, str) else ()


class Settings(_Environment):
    """The settings that all processes share. Lists are separated by spaces."""

    mongodb_uri: SecretStr = Field(
        default=SecretStr("mongodb://127.0.0.1:27017"),
        validation_alias=AliasChoices("MONGODB_URI", "MONGO_URL"),
        description="Where MongoDB is: a replica set, 6.0 or later.",
    )
    mongodb_database: str | None = Field(
        default=None,
        validation_alias="MONGODB_DATABASE",
        description="The database; without it the URI's own, then `agent`.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        validation_alias=AliasChoices("REDIS_TLS_URL", "REDIS_URL"),
        description="Where Redis is: 6.2 or later, with `maxmemory-policy noeviction`.",
    )
    redis_tls_verify: bool = Field(
        default=True,
        validation_alias="REDIS_TLS_VERIFY",
        description="Whether a `rediss://` server must show a certificate that is trusted. "
        "Heroku's own does not.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, validation_alias="PORT", description="Where `web` listens."
    )
    env: Literal["production", "development"] = Field(
        default="production",
        validation_alias="AGENT_ENV",
        description="`development` writes logs for people instead of JSON lines.",
    )
    namespace: str = Field(
        default="agent",
        pattern=r"^[a-z][a-z0-9_-]{0,30}$",
        validation_alias="AGENT_NAMESPACE",
        description="The first word of every key and channel in Redis. With the default, "
        "Dramatiq's own keys begin with `dramatiq`; with another, with `NAMESPACE.dramatiq`.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias="AGENT_LOG_LEVEL", description="What is logged."
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        validation_alias="AGENT_PROCESSES",
        description="Worker processes of one `dramatiq` master. When one dies the master stops "
        "the others, so prefer more process instances of one each.",
    )
    threads: int = Field(
        default=64,
        ge=1,
        le=1000,
        validation_alias="AGENT_THREADS",
        description="Threads of one worker process: calls that it makes at once.",
    )
    workers: Words = Field(
        default=(),
        validation_alias="AGENT_WORKERS",
        description="Worker classes of one's own, `module:Class`.",
    )
    poll_interval: float = Field(
        default=1.0,
        ge=0.05,
        le=60,
        validation_alias="AGENT_POLL_INTERVAL",
        description="Seconds between two looks at MongoDB; the doorbell makes it quicker.",
    )
    batch_size: int = Field(
        default=200,
        ge=1,
        le=1000,
        validation_alias="AGENT_BATCH_SIZE",
        description="Contexts that one claim takes at most.",
    )
    lease_seconds: float = Field(
        default=30.0,
        ge=3,
        le=600,
        validation_alias="AGENT_LEASE",
        description="Seconds that a running context belongs to its worker without a sign of life. "
        "The same for every process.",
    )
    heartbeat_seconds: float | None = Field(
        default=None,
        gt=0,
        validation_alias="AGENT_HEARTBEAT",
        description="Seconds between two signs of life; without it a third of `AGENT_LEASE`, "
        "which is the most it may be.",
    )
    templates: Words = Field(
        default=(),
        validation_alias="AGENT_TEMPLATES",
        description="Folders of templates (JSON files), beside the collection `templates`.",
    )
    api_keys: SecretStr | None = Field(
        default=None,
        validation_alias="AGENT_API_KEYS",
        description="The keys of the HTTP API, `name:scope+scope:secret`; scopes are `read`, "
        "`submit`, `operate` and `admin`. In production `web` does not start without these or "
        "`AGENT_DASHBOARD_USERS`.",
    )
    api_rate_limit: float = Field(
        default=200.0,
        gt=0,
        le=100_000,
        validation_alias="AGENT_API_RATE_LIMIT",
        description="Requests a second that one key may make of one `web` process; twice as many "
        "at once.",
    )
    max_upload_bytes: int = Field(
        default=1024 * 1024 * 1024,
        ge=1024 * 1024,
        validation_alias="AGENT_MAX_UPLOAD_BYTES",
        description="The most that one upload of a batch may have; any other body has 16 MB.",
    )
    dashboard_users: SecretStr | None = Field(
        default=None,
        validation_alias="AGENT_DASHBOARD_USERS",
        description="Who may sign in to the dashboard, `name:role:hash`; roles are `viewer`, "
        "`operator` and `admin`, and `agent hash-password` makes the hash.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        validation_alias="AGENT_SECRET_KEY",
        description="Signs the dashboard's sessions: 32 characters or more, the same for every "
        "`web`. A new one signs everybody out.",
    )
    webhook_hosts: Words = Field(
        default=(),
        validation_alias="AGENT_WEBHOOK_HOSTS",
        description="Hosts that a request may name in its `callback_url`, `host` or `host:port`. "
        "Without any, none may.",
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        validation_alias="AGENT_WEBHOOK_SECRET",
        description="Signs what is sent there: `whsec_` and 24 to 64 bytes as base64. Each of "
        "several signs.",
    )

    retention_completed: str = Field(
        default="30d",
        validation_alias="AGENT_RETENTION_COMPLETED",
        description="How long completed contexts and requests are kept: `30d`, `12h`, `never`.",
    )
    retention_failed: str = Field(
        default="never",
        validation_alias="AGENT_RETENTION_FAILED",
        description="How long failed ones are kept; `never` deletes none.",
    )
    retention_cancelled: str = Field(
        default="30d",
        validation_alias="AGENT_RETENTION_CANCELLED",
        description="How long cancelled ones are kept.",
    )
    retention_adopted: bool = Field(
        default=False,
        validation_alias="AGENT_RETENTION_ADOPTED",
        description="Whether that holds for documents of other programs, too, which are else never "
        "deleted.",
    )

    @field_validator("workers", "templates", "webhook_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("mongodb_uri")
    @classmethod
    def _check_mongodb_uri(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("retention_completed", "retention_failed", "retention_cancelled")
    @classmethod
    def _check_retention(cls, value: str) -> str:
        read_kept(value)
        return value

    @field_validator("webhook_hosts")
    @classmethod
    def _check_webhook_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read_hosts(value)
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_secrets(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _check_webhooks(self) -> Self:
        if self.webhook_hosts and self.webhook_secret is None:
            raise ValueError(
                "AGENT_WEBHOOK_SECRET: is not set, and AGENT_WEBHOOK_HOSTS is: nobody could tell "
                "what we send there from what others do; set it to whsec_ and the output of "
                "`openssl rand -base64 32`"
            )
        return self

    @model_validator(mode="after")
    def _check_heartbeat(self) -> Self:
        if self.heartbeat_seconds is not None and self.heartbeat_seconds * 3 > self.lease_seconds:
            # named by hand: an error of the whole model has no field of its own
            raise ValueError(
                f"AGENT_HEARTBEAT: {self.heartbeat_seconds:g} s is more than a third of "
                f"AGENT_LEASE ({self.lease_seconds:g} s), so that a late beat or two would "
                "cost a living worker its contexts; lower it, or raise AGENT_LEASE"
            )
        return self

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def heartbeat(self) -> timedelta:
        seconds = self.heartbeat_seconds
        return self.lease / 3 if seconds is None else timedelta(seconds=seconds)

    @property
    def dramatiq_namespace(self) -> str:
        return "dramatiq" if self.namespace == "agent" else f"{self.namespace}.dramatiq"

    @property
    def registry(self) -> ServiceRegistry:
        return _registry(self.workers, bool(self.webhook_hosts))

    @property
    def webhooks(self) -> Webhooks:
        secret = self.webhook_secret
        return Webhooks(
            hosts=read_hosts(self.webhook_hosts),
            keys=() if secret is None else read_secrets(secret.get_secret_value()),
            development=self.env == "development",
        )

    def service(self, service: ServiceType) -> ServiceSettings:
        """The settings of one service type, read from `{env}_BASE_*`."""
        return load_service_settings(service)


class ServiceSettings(_Environment):
    """The settings of one service type; each variable begins with `{SERVICE}_BASE_`."""

    url: str | None = Field(default=None, description="Where the Base service is.")
    api_key: SecretStr | None = Field(default=None, description="Sent as a bearer token.")
    path: str | None = Field(default=None, description="Where calls are posted, below the URL.")
    status_path: str = Field(
        default="/api/v1/contexts/{id}",
        description="Where accepted work is asked for when the reply has no `Location`.",
    )
    timeout: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds that a whole call may take."
    )
    accepted_timeout: float = Field(
        default=86400.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that accepted work may take.",
    )
    max_response_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=1024,
        le=15 * 1024 * 1024,
        description="A larger reply is a failure; a document holds 16 MB.",
    )
    max_in_flight: int = Field(
        default=1000, ge=1, description="Contexts queued or processing at once, everywhere."
    )
    max_remote: int = Field(
        default=10000, ge=1, description="Contexts that the service has accepted and not finished."
    )
    max_attempts: int = Field(
        default=20, ge=1, le=1000, description="Failures after which a context fails for good."
    )
    on_ambiguous: OnAmbiguous | None = Field(
        default=None,
        description="A call with an unknown outcome: `retry` under the same key, or `park`.",
    )
    poll_interval: float | None = Field(
        default=None, ge=0.05, le=60, description="Overrides `AGENT_POLL_INTERVAL`."
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=1000, description="Overrides `AGENT_BATCH_SIZE`."
    )
    retention_completed: str | None = Field(
        default=None, description="Overrides `AGENT_RETENTION_COMPLETED`."
    )
    retention_failed: str | None = Field(
        default=None, description="Overrides `AGENT_RETENTION_FAILED`."
    )
    retention_cancelled: str | None = Field(
        default=None, description="Overrides `AGENT_RETENTION_CANCELLED`."
    )

    @field_validator("retention_completed", "retention_failed", "retention_cancelled")
    @classmethod
    def _check_retention(cls, value: str | None) -> str | None:
        if value is not None:
            read_kept(value)
        return value

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018 - reading it checks it
        except ValueError:  # its words may quote a password that was taken for a port
            raise ValueError("is no URL; write http://host:port/path") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL with a host")
        if parts.username or parts.password:
            raise ValueError("must not carry a user or password; use the API_KEY variable")
        if parts.query or parts.fragment:
            raise ValueError("must have no query and no fragment")
        return value.rstrip("/")

    @field_validator("path", "status_path")
    @classmethod
    def _check_path(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/"):
            raise ValueError("must begin with /")
        return value

    @property
    def call_timeout(self) -> timedelta:
        return timedelta(seconds=self.timeout)

    @property
    def queue_lease(self) -> timedelta:
        return self.call_timeout + QUEUE_WAIT_MARGIN

    @property
    def longest_run(self) -> timedelta:
        """From its start until a hung thread loses its context."""
        return self.call_timeout + QUEUE_WAIT_MARGIN


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process.

    Raises:
        ConfigurationError: one line for each variable that is wrong, with what to do.
    """
    _refuse_unbuilt(NOT_BUILT_YET)
    settings = _load(Settings, "", overrides)
    for service in settings.registry.values():
        settings.service(service)
    return settings


def load_service_settings(service: ServiceType, **overrides: Any) -> ServiceSettings:
    """The settings of one service type, with its own defaults filled in.

    Raises:
        ConfigurationError: a variable is wrong; the message names it.
    """
    prefix = service.variable_prefix
    _refuse_unbuilt(tuple(prefix + name for name in NOT_BUILT_YET_PER_SERVICE))
    loaded = _load(ServiceSettings, prefix, overrides)
    return loaded.model_copy(
        update={
            "path": loaded.path or service.path,
            "on_ambiguous": loaded.on_ambiguous or service.on_ambiguous,
        }
    )


@lru_cache(maxsize=8)
def _registry(workers: tuple[str, ...], webhooks: bool) -> ServiceRegistry:
    return ServiceRegistry.load(workers, webhooks=webhooks)


def _load(model: type[_Settings], prefix: str, overrides: dict[str, Any]) -> _Settings:
    try:
        return model(_env_prefix=prefix, _env_file=_env_file(), **overrides)
    except ValidationError as exc:
        lines = [_explain(model, prefix, error) for error in exc.errors(include_input=False)]
        raise ConfigurationError("\n".join(lines)) from None


def _explain(model: type[BaseSettings], prefix: str, error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return str(message)
    where = str(error["loc"][0])
    for name, field in model.model_fields.items():
        variables = _variables(field) or (prefix + name.upper(),)
        if where == name or where in variables:
            given = _given()  # the message names the one that was set
            variable = next((each for each in variables if given.get(each)), variables[0])
            return f"{variable}: {message} ({field.description})"
    return f"{where}: {message}"


def _env_file() -> str | None:
    """The file that is read beside the environment, in development only."""
    return ".env" if os.environ.get("AGENT_ENV") == "development" else None


def _given() -> dict[str, str | None]:
    """What is set, in the environment or in the file beside it; what is empty says nothing."""
    file = _env_file()
    in_file = dotenv_values(file) if file else {}
    return {**in_file, **{name: value for name, value in os.environ.items() if value}}


def _refuse_unbuilt(names: tuple[str, ...]) -> None:
    given = _given()
    for name in names:
        if given.get(name):
            raise ConfigurationError(
                f"{name} is set, but what it configures is not built yet; unset it"
            )
