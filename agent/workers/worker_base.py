"""What the workers of all service types share: one attempt, from a stored context to an outcome.

A service type of one's own is a subclass. What is sent (`build_request`), how it is done (`call`)
and what a reply means (`read_reply`) are the three methods that it may replace.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import SecretStr

from agent import outcomes
from agent.errors import CallError, ConfigurationError, RequestNotSendable
from agent.models import Document, ErrorRecord
from agent.outcomes import Kind, Outcome
from agent.replies import Reply, safe_text
from agent.services import OnAmbiguous, ServiceType
from agent.settings import ServiceSettings, Settings, load_service_settings
from agent.workers.call import Attempt, ServiceRequest, call_headers, part, request_id, sent_context
from agent.workers.encoding import encode_body
from agent.workers.transport import Transport

if TYPE_CHECKING:
    from agent.workers.alone import Alone

_Returned = TypeVar("_Returned")


class ClientWorker:
    """Carries out the contexts of one service type.

    Args:
        repository: where contexts are, for a worker that runs alone.
        base_url, api_key, poll_interval, batch_size, timeout: beat the environment when given.
        settings: what all workers of this process share.

    A worker is shared by threads; its connections are opened by the thread that first calls.
    """

    service: ClassVar[ServiceType]

    def __init__(
        self,
        repository: Any = None,
        *,
        base_url: str | None = None,
        api_key: str | SecretStr | None = None,
        poll_interval: float | None = None,
        batch_size: int | None = None,
        timeout: float | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.repository = repository
        self.settings = settings
        given = {
            "url": base_url,
            "api_key": api_key,
            "poll_interval": poll_interval,
            "batch_size": batch_size,
            "timeout": timeout,
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        self._service_settings: ServiceSettings | None = None
        self._transport: Transport | None = None
        self._alone: Alone | None = None
        self._lock = Lock()

    @property
    def service_settings(self) -> ServiceSettings:
        """The settings of its service: what was given, then the environment."""
        if self._service_settings is None:
            self._service_settings = load_service_settings(self.service, **self._given)
        return self._service_settings

    @property
    def on_ambiguous(self) -> OnAmbiguous:
        return self.service_settings.on_ambiguous or self.service.on_ambiguous

    @property
    def transport(self) -> Transport:
        """Its connections to the Base service.

        Raises:
            ConfigurationError: nothing says where the service is.
        """
        with self._lock:
            if self._transport is None:
                self._transport = self._new_transport()
            return self._transport

    def given(self) -> dict[str, Any]:
        """What was given in place of the environment: arguments for another one like it."""
        given = {"base_url" if name == "url" else name: v for name, v in self._given.items()}
        key = given.get("api_key")
        return given | ({"api_key": key.get_secret_value()} if isinstance(key, SecretStr) else {})

    def check(self) -> None:
        """Look at the settings before the first context comes.

        Raises:
            ConfigurationError: one is missing or wrong; the message names the variable.
        """
        if self._calls_by_http:
            self._check_api_key()
            _ = self.transport
        else:
            _ = self.service_settings

    # Alone, with no broker

    async def start(self) -> None:
        """Poll, claim and carry out by itself, in threads, until `stop`. Returns at once.

        Raises:
            ConfigurationError: it has no repository, or a setting is wrong.
        """
        from agent.workers.alone import alone

        if self._alone is not None:
            return
        loop = alone(self)
        loop.start()
        self._alone = loop

    async def stop(self) -> None:
        """Claim nothing more, and return when its calls have ended or are settled."""
        loop, self._alone = self._alone, None
        if loop is not None:
            await asyncio.to_thread(loop.stop)

    def close(self) -> None:
        """Close its connections."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()

    # The three parts that a subclass may replace

    def build_request(self, context: Document) -> ServiceRequest:
        """What is sent for a context.

        Raises:
            RequestNotSendable: the context does not say enough.
        """
        template = part(context, "template")
        part(context, "request")
        template_id = template.get("id", context.get("template_id"))
        template_data = (
            {}
            if template.get("service_template") is None
            else part(template, "service_template", "template.")
        )
        body = {
            "template_id": template_id,
            "template_data": template_data,
            "context": sent_context(context),
            "request_id": request_id(context),
        }
        return ServiceRequest(self.service_settings.path or self.service.path, body)

    def call(
        self, context: Document, request: ServiceRequest, *, attempt: Attempt
    ) -> Reply | Mapping[str, Any]:
        """Do it: here by HTTP. Plain Python instead may return a reply, or the results at once.

        Raises:
            CallError: it brought no reply; what else is raised counts as a failure.
        """
        headers = call_headers(context, attempt)
        headers |= {name.lower(): value for name, value in request.headers.items()}
        return self.transport.send(
            "POST",
            request.path,
            headers,
            encode_body(request.body),
            deadline=attempt.deadline,
            before_send=attempt.before_send,
        )

    def read_reply(self, context: Document, reply: Reply, *, attempt: Attempt) -> Outcome:
        """What a reply means."""
        return outcomes.read_reply(
            reply,
            on_ambiguous=self.on_ambiguous,
            now=attempt.now(),
            base_url=self.service_settings.url or "",
            status_path=self.service_settings.status_path,
        )

    # One attempt

    def carry_out(self, context: Document, *, attempt: Attempt) -> Outcome:
        """One attempt: build, call and read; or ask for what the service has accepted.

        Never raises an `Exception`: each has its outcome.
        """
        outcome = (
            self._ask(context, attempt) if context.get("remote") else self._do(context, attempt)
        )
        return outcomes.without_secret(outcome, self._api_key)

    def poll(self, context: Document, *, attempt: Attempt) -> Outcome:
        """Ask for work that the service has accepted.

        Raises:
            CallError: there was no reply.
        """
        url = _status_url(context)
        headers = call_headers(context, attempt)
        del headers["content-type"], headers["idempotency-key"]
        reply = self.transport.send(
            "GET",
            url,
            headers,
            None,
            deadline=attempt.deadline,
            before_send=attempt.before_send,
        )
        return outcomes.read_poll(reply, now=attempt.now())

    def _do(self, context: Document, attempt: Attempt) -> Outcome:
        try:
            request = _checked(self.build_request(context), ServiceRequest, "build_request")
        except Exception as exc:
            return self.outcome_of(exc)
        try:
            if not self._calls_by_http and attempt.before_send is not None:
                attempt.before_send()  # what a call of one's own does may have its effect at once
            return self._read(context, self.call(context, request, attempt=attempt), attempt)
        except (CallError, ConfigurationError) as exc:
            return self.outcome_of(exc)
        except Exception as exc:
            return outcomes.ambiguous(_record(exc), self.policy)

    def outcome_of(self, exc: Exception) -> Outcome:
        """What an error means that came before the call, or instead of it."""
        if isinstance(exc, CallError):
            return outcomes.read_error(exc, on_ambiguous=self.policy)
        return outcomes.retry(_record(exc))

    def _read(
        self, context: Document, reply: Reply | Mapping[str, Any], attempt: Attempt
    ) -> Outcome:
        if isinstance(reply, Reply):
            outcome = self.read_reply(context, reply, attempt=attempt)
            return _checked(outcome, Outcome, "read_reply")
        if isinstance(reply, Mapping):
            return outcomes.completed(dict(reply))
        raise TypeError(f"call returned {type(reply).__name__}, no Reply and no dict")

    def _ask(self, context: Document, attempt: Attempt) -> Outcome:
        try:
            outcome = self.poll(context, attempt=attempt)
        except CallError as exc:
            outcome = outcomes.read_error(exc, on_ambiguous=self.policy, polling=True)
        except Exception as exc:
            outcome = outcomes.accepted(error=_record(exc))
        if outcome.kind is not Kind.ACCEPTED:
            return outcome
        if self._is_overdue(context, attempt.now()):
            return outcomes.accepted_timeout()
        return replace(outcome, remote_url=outcome.remote_url or _known_url(context))

    def _is_overdue(self, context: Document, now: datetime) -> bool:
        since = context["remote"].get("accepted_at") if _is_remote(context) else None
        if not isinstance(since, datetime):
            return False
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
        return now - since >= timedelta(seconds=self.service_settings.accepted_timeout)

    # Its settings

    @property
    def _calls_by_http(self) -> bool:
        return type(self).call is ClientWorker.call

    @property
    def _api_key(self) -> str:
        try:
            key = self.service_settings.api_key
        except ConfigurationError:
            return ""
        return key.get_secret_value().strip() if key is not None else ""

    @property
    def policy(self) -> OnAmbiguous:
        """What to do with an ambiguous outcome, even while the settings cannot be read."""
        try:
            return self.on_ambiguous
        except ConfigurationError:
            return self.service.on_ambiguous

    def _check_api_key(self) -> None:
        key = self._api_key
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError(
                f"{self.service.variable_prefix}API_KEY: has a character that a header cannot "
                "carry; copy the key again"
            )

    def _new_transport(self) -> Transport:
        found = self.service_settings
        if found.url is None:
            raise ConfigurationError(
                f"{self.service.variable_prefix}URL is not set; set it to where the "
                f"{self.service.name} service is, such as https://host.example"
            )
        return Transport(
            found.url,
            found.api_key,
            timeout=found.timeout,
            max_response_bytes=found.max_response_bytes,
            keep_alive=self.on_ambiguous == "retry",
        )


def _is_remote(context: Document) -> bool:
    return isinstance(context.get("remote"), Mapping)


def _known_url(context: Document) -> str | None:
    url = context["remote"].get("status_url") if _is_remote(context) else None
    return url if isinstance(url, str) else None


def _status_url(context: Document) -> str:
    url = _known_url(context)
    if not url:
        raise RequestNotSendable("remote.status_url is missing")
    return url


def _checked(value: object, kind: type[_Returned], method: str) -> _Returned:
    """What a method of a subclass returned, which may be anything."""
    if not isinstance(value, kind):
        raise TypeError(f"{method} returned {type(value).__name__}, no {kind.__name__}")
    return value


def _record(exc: Exception) -> ErrorRecord:
    """What code raised and where; its message might carry the payload, so it stays out."""
    if isinstance(exc, ConfigurationError):
        return ErrorRecord(type=type(exc).__name__, message=safe_text(str(exc)))
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    name = frames[-1].filename.rpartition("/")[2] if frames else ""
    return ErrorRecord(type=type(exc).__name__, message=f"raised{where} of {name}")
