"""WEBHOOK: whoever asked for something with a `callback_url` is told how it has ended.

No Base service: each delivery goes to the URL of its request, signed by Standard Webhooks. What it
tells is read when it is sent. Nothing that one receiver does holds up what others get, so there is
no pause of the whole service, and its failures do not count for the breaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from agent import outcomes
from agent.answers import batch_answer, read_answer
from agent.errors import (
    ConfigurationError,
    ContextNotFound,
    Draining,
    RequestNotSendable,
    StoreUnavailable,
)
from agent.intake.callbacks import is_batch
from agent.models import Document, ErrorRecord
from agent.outcomes import SERVICE_AT_FAULT, Kind, Outcome
from agent.rendering import iso, to_bytes
from agent.replies import Reply, parse_retry_after
from agent.services import WEBHOOK
from agent.settings import Settings, load_settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.webhooks import Address, Webhooks
from agent.workers.call import Attempt, ServiceRequest, part, user_agent
from agent.workers.transport import Transport
from agent.workers.worker_base import ClientWorker

MAX_BYTES = 1024 * 1024
"""With the results of its request; a message that were larger goes without."""
GONE = 410
"""The receiver wants nothing more."""


class WebhookWorker(ClientWorker):
    """Delivers what is to be told of requests."""

    service = WEBHOOK
    _calls_by_http = True

    def __init__(self, repository: Any = None, **given: Any) -> None:
        super().__init__(repository, **given)
        self._ways: dict[str, Transport] = {}
        self._own_repository: MongoContextRepository | None = None

    def check(self) -> None:
        """Look at the settings before the first context comes.

        Raises:
            ConfigurationError: one is missing or wrong; the message names the variable.
        """
        _ = self.service_settings
        if not self._webhooks.hosts:
            raise ConfigurationError(
                "AGENT_WEBHOOK_HOSTS is not set; set it to the hosts that may be called back"
            )

    def close(self) -> None:
        """Close its connections."""
        with self._lock:
            for way in self._ways.values():
                way.close()
            if self._own_repository is not None:
                self._own_repository.close()

    def build_request(self, context: Document) -> ServiceRequest:
        """What has become of its request, as whoever asks for it is told now.

        Raises:
            RequestNotSendable: it is no delivery, its URL may not be called any more, or its
                request is gone.
            Draining: MongoDB does not answer, so that it cannot be sent now.
        """
        callback = part(context, "callback")
        self._address_of(callback.get("url"))
        body = {
            "type": callback.get("type"),
            "timestamp": callback.get("ended_at"),
            "data": self._answer_of(callback.get("of")),
        }
        return ServiceRequest(str(callback["url"]), body)

    def call(self, context: Document, request: ServiceRequest, *, attempt: Attempt) -> Reply:
        """Send it, signed for this try.

        Raises:
            CallError: it brought no reply.
        """
        address = self._address_of(request.path)
        payload = payload_of(request.body)
        headers = {
            "content-type": "application/json",
            "accept": "*/*",
            "user-agent": user_agent(),
            **self._webhooks.headers_of(
                str(context["_id"]), int(attempt.now().timestamp()), payload
            ),
        }
        return self._way_to(address).send(
            "POST",
            address.target,
            headers,
            payload,
            deadline=attempt.deadline,
            before_send=attempt.before_send,
        )

    def read_reply(self, context: Document, reply: Reply, *, attempt: Attempt) -> Outcome:
        """Whether the receiver has it. What it says beside the status is not looked at."""
        status = reply.status_code
        if 200 <= status < 300:
            return outcomes.completed({"status_code": status})
        error = ErrorRecord(
            type="CallbackRefused", message=f"the receiver answered {status}", status_code=status
        )
        if status == GONE:
            return outcomes.failed(error)
        if 300 <= status < 400:
            moved = f"the receiver answered {status}, and redirects are not followed"
            return outcomes.failed(
                error.model_copy(update={"type": "UnexpectedRedirect", "message": moved})
            )
        after = parse_retry_after(reply.headers.get("retry-after"), attempt.now())
        return replace(outcomes.retry(error), delay=after or None)

    def carry_out(self, context: Document, *, attempt: Attempt) -> Outcome:
        """One attempt; a receiver that cannot be reached is no fault of the whole service."""
        outcome = super().carry_out(context, attempt=attempt)
        error = outcome.error
        if outcome.kind is not Kind.RETRY or error is None or error.type not in SERVICE_AT_FAULT:
            return outcome
        return replace(outcome, error=error.model_copy(update={"type": "ReceiverUnavailable"}))

    # Its settings, and its ways to MongoDB and to receivers

    @cached_property
    def _settings(self) -> Settings:
        if self.settings is not None:
            return self.settings
        given = self.repository
        return given.settings if isinstance(given, MongoContextRepository) else load_settings()

    @cached_property
    def _webhooks(self) -> Webhooks:
        return self._settings.webhooks

    def _answer_of(self, request_id: Any) -> Document:
        try:
            repository = self._store()
            request = repository.find_context(request_id)
            if is_batch(request):
                return batch_answer(request, repository.now())
            return read_answer(repository, request)
        except ContextNotFound as exc:
            raise RequestNotSendable("its request is not there any more") from exc
        except StoreUnavailable as exc:
            raise Draining("MongoDB does not say what has become of its request") from exc

    def _store(self) -> MongoContextRepository:
        if isinstance(self.repository, MongoContextRepository):
            return self.repository
        with self._lock:
            if self._own_repository is None:
                self._own_repository = MongoContextRepository.connect(self._settings)
            return self._own_repository

    def _address_of(self, url: object) -> Address:
        try:
            return self._webhooks.address_of(url)
        except ValueError as exc:
            raise RequestNotSendable(f"callback_url: {exc}") from exc

    def _way_to(self, address: Address) -> Transport:
        with self._lock:
            found = self._ways.get(address.origin)
            if found is None:
                found = self._ways[address.origin] = Transport(
                    address.origin,
                    timeout=self.service_settings.timeout,
                    max_response_bytes=self.service_settings.max_response_bytes,
                    keep_alive=False,
                )
            return found


def payload_of(body: Mapping[str, Any]) -> bytes:
    """A message as it is sent: without results where these make it too large."""
    ended_at = body["timestamp"]
    message = {**body, "timestamp": iso(ended_at) if ended_at is not None else None}
    payload = to_bytes(message)
    if len(payload) <= MAX_BYTES:
        return payload
    data = {**body["data"], "results": None, "results_omitted": True}
    return to_bytes({**message, "data": data})
