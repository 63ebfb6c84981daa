"""One attempt of a worker, from a stored context to an outcome, without a service."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from agent.errors import ConfigurationError, Draining, OutcomeUnknown, ServiceUnavailable
from agent.outcomes import Kind, Outcome
from agent.replies import Reply
from agent.services import ServiceType
from agent.workers.analysis_worker import AnalysisWorker
from agent.workers.call import Attempt, ServiceRequest, call_headers
from agent.workers.communication_worker import CommunicationWorker
from agent.workers.generative_worker import GenerativeWorker
from agent.workers.worker_base import ClientWorker

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"
STATUS_URL = "http://base.example/api/v1/contexts/1"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)  # no .env
    for name in ("GENERATION", "ANALYSIS", "COMMUNICATION"):
        for variable in ("URL", "API_KEY", "PATH", "ON_AMBIGUOUS", "TIMEOUT"):
            monkeypatch.delenv(f"{name}_BASE_{variable}", raising=False)


def a_context(**changes: Any) -> dict[str, Any]:
    return {
        "_id": "ctx_1",
        "service_type": "GENERATIVE",
        "status": "processing",
        "template": {"id": "t1", "service_template": {"prompt": "Hi"}},
        "request": {"id": "req_1", "data": {}},
        "lease": {"token": "secret"},
        "attempts": [{"number": 1}],
        **changes,
    }


def an_attempt(**changes: Any) -> Attempt:
    attempt = Attempt(number=2, deadline=time.monotonic() + 5, now=lambda: NOW, trace_id=TRACE)
    return replace(attempt, **changes)


def a_reply(status: int = 200, body: object = None, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps({} if body is None else body).encode())


class Line:
    """Stands in for the transport: gives an answer, and keeps what was sent."""

    def __init__(self, answer: Reply | Exception) -> None:
        self.answer = answer
        self.sent: list[tuple[str, str, Mapping[str, str], bytes | None]] = []

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, **_: Any
    ) -> Reply:
        self.sent.append((method, url, headers, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answering(
    answer: Reply | Exception, kind: type[ClientWorker] = GenerativeWorker
) -> tuple[ClientWorker, Line]:
    worker = kind(base_url="http://base.example", api_key="k-123")
    line = Line(answer)
    worker._transport = line  # type: ignore[assignment]
    return worker, line


def test_a_call_says_what_the_service_needs() -> None:
    """The body has the template, the context without its lease, and the request's id."""
    worker, line = answering(a_reply(200, {"text": "Hello"}))

    outcome = worker.carry_out(a_context(), attempt=an_attempt())

    method, path, headers, body = line.sent[0]
    assert (method, path) == ("POST", "/api/v1/generate")
    assert {
        "template_id": "t1",
        "template_data": {"prompt": "Hi"},
        "context": {k: v for k, v in a_context().items() if k not in ("lease", "attempts")},
        "request_id": "req_1",
    } == json.loads(body or b"")
    assert (
        headers["idempotency-key"],
        headers["x-request-id"],
        headers["x-attempt"],
    ) == ("ctx_1", "req_1", "2")
    assert Outcome(Kind.COMPLETED, results={"text": "Hello"}) == outcome


def test_a_trace_goes_on_in_the_service() -> None:
    """`traceparent` carries the attempt's trace and a span of its own for each call."""
    first, second = (call_headers(a_context(), an_attempt())["traceparent"] for _ in range(2))

    assert first.startswith(f"00-{TRACE}-")
    assert first.endswith("-01")
    assert (len(first), first != second) == (55, True)
    assert "traceparent" not in call_headers(a_context(), an_attempt(trace_id="none"))


def test_a_context_of_another_program_has_a_request_id() -> None:
    """Without an id of the request, the context's own stands in."""
    context = a_context(_id=ObjectId("65f000000000000000000001"), request={"text": "ü"})

    headers = call_headers(context, an_attempt())

    assert headers["x-request-id"] == "ObjectId:65f000000000000000000001"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": None}, "template is missing"),
        ({"template": "t1"}, "template is no object but str"),
        ({"template": {"service_template": [1]}}, "template.service_template is no object"),
        ({"request": None}, "request is missing"),
        ({"request": ["x"]}, "request is no object but list"),
        ({"metadata": {"a": "\ud800"}}, "context.metadata.a: has a character"),
        ({"remote": {"status_url": 7}}, "remote.status_url is missing"),
        ({"remote": "there"}, "remote.status_url is missing"),
    ],
)
@pytest.mark.parametrize("kind", [GenerativeWorker, AnalysisWorker, CommunicationWorker])
def test_a_malformed_context_fails_with_a_reason(
    kind: type[ClientWorker], changes: dict[str, Any], message: str
) -> None:
    """What a service could never understand is not sent, and crashes nothing."""
    worker, line = answering(a_reply(), kind)

    outcome = worker.carry_out(a_context(**changes), attempt=an_attempt())

    assert outcome.error is not None
    assert (outcome.kind, outcome.error.type) == ("failed", "RequestNotSendable")
    assert message in outcome.error.message
    assert line.sent == []


def test_a_template_may_lack_its_service_template() -> None:
    """Then the template data are empty."""
    request = GenerativeWorker().build_request(a_context(template={"id": "t1"}))

    assert request.body["template_data"] == {}


def a_notification(**changes: Any) -> dict[str, Any]:
    notification = {"recipient": "a@b.example", "message": "Hi", "channel": "mail", **changes}
    return a_context(template={"id": "n", "service_template": {"notification": notification}})


def test_a_notification_goes_to_its_own_endpoint() -> None:
    """Its body has the parts of the notification, and nothing of the context."""
    request = CommunicationWorker().build_request(a_notification())

    assert request.path == "/api/v1/notify"
    assert request.body == {
        "recipient": "a@b.example",
        "message": "Hi",
        "channel": "mail",
        "metadata": None,
        "request_id": "req_1",
    }


def test_a_message_without_a_notification_goes_the_usual_way() -> None:
    """COMMUNICATION posts to its path like the others."""
    assert CommunicationWorker().build_request(a_context()).path == "/api/v1/communicate"


@pytest.mark.parametrize("changes", [{"recipient": None}, {"recipient": " "}, {"message": 7}])
def test_a_notification_needs_a_recipient_and_a_message(changes: dict[str, Any]) -> None:
    """A notification to nobody fails with the name of the field."""
    worker, _ = answering(a_reply(), CommunicationWorker)

    outcome = worker.carry_out(a_notification(**changes), attempt=an_attempt())

    assert outcome.error is not None
    assert f"notification.{next(iter(changes))} must be a text" in outcome.error.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceUnavailable("x"), Kind.RETRY),
        (OutcomeUnknown("x"), Kind.FAILED),
        (Draining("x"), Kind.RELEASED),
    ],
)
def test_an_error_of_the_transport_is_an_outcome(error: Exception, kind: Kind) -> None:
    """A service that parks has its ambiguous calls parked."""
    worker, _ = answering(error, CommunicationWorker)

    assert kind == worker.carry_out(a_context(), attempt=an_attempt()).kind


def test_a_key_that_the_service_echoes_is_not_kept() -> None:
    """No error message holds the API key."""
    worker, _ = answering(a_reply(400, {"error": "k-123 is wrong"}))

    outcome = worker.carry_out(a_context(), attempt=an_attempt())

    assert outcome.error is not None
    assert outcome.error.message == "… is wrong"


# Workers of one's own


class Translation(ClientWorker):
    service = ServiceType("TRANSLATION", "TRANSLATION", "/translate", "tests:Translation")

    def call(self, context: Any, request: ServiceRequest, *, attempt: Attempt) -> Any:
        answer = context["request"]["answer"]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Mailing(Translation):
    service = ServiceType("MAILING", "MAILING", "/mail", "tests:Mailing", on_ambiguous="park")


def carry_out(kind: type[ClientWorker], answer: Any, **changes: Any) -> Outcome:
    context = a_context(request={"answer": answer})
    return kind().carry_out(context, attempt=an_attempt(**changes))


def test_plain_python_gives_results_at_once() -> None:
    """A dict is the results of a success; a reply is read like any other."""
    assert Outcome(Kind.COMPLETED, results={"a": 1}) == carry_out(Translation, {"a": 1})
    assert carry_out(Translation, a_reply(429)).kind == Kind.SNOOZE


@pytest.mark.parametrize("answer", [ValueError("the payload"), RecursionError(), None, "text"])
def test_a_fault_in_ones_own_code_is_retried(answer: object) -> None:
    """The error names the class and the place, not the message, which may quote the payload."""
    outcome = carry_out(Translation, answer)

    assert outcome.error is not None
    assert (outcome.kind, outcome.definite) == ("retry", False)
    name = type(answer).__name__ if isinstance(answer, Exception) else "TypeError"
    assert name == outcome.error.type
    assert outcome.error.message.startswith("raised in ")
    assert "payload" not in outcome.error.message


def test_a_fault_amid_a_call_of_a_service_that_parks_is_ambiguous() -> None:
    """It may have come after the effect, so an operator decides."""
    outcome = carry_out(Mailing, ValueError("x"))

    assert outcome.error is not None
    assert (
        outcome.kind,
        outcome.error.type,
        outcome.definite,
    ) == ("failed", "OutcomeUnknown", False)


def test_a_fault_before_the_call_is_definite() -> None:
    """A request that cannot be built because of a fault was never sent."""

    class Broken(Mailing):
        def build_request(self, context: Any) -> ServiceRequest:
            raise KeyError("x")

    outcome = carry_out(Broken, {})

    assert (outcome.kind, outcome.definite) == ("retry", True)


def test_a_request_that_is_none_is_a_fault_before_the_call() -> None:
    """Nothing was sent, so that nothing has to be looked at."""

    class Forgetful(Mailing):
        def build_request(self, context: Any) -> ServiceRequest:
            return None  # type: ignore[return-value]

    outcome = carry_out(Forgetful, {})

    assert outcome.error is not None
    assert (outcome.kind, outcome.error.type, outcome.definite) == ("retry", "TypeError", True)


@pytest.mark.parametrize(("kind", "expected"), [(Translation, "retry"), (Mailing, "failed")])
def test_an_outcome_that_is_none_is_ambiguous(kind: type[ClientWorker], expected: str) -> None:
    """The service has replied, and nobody knows what."""

    class Forgetful(kind):  # type: ignore[misc, valid-type]
        def read_reply(self, context: Any, reply: Any, *, attempt: Attempt) -> Outcome:
            return "fine"  # type: ignore[return-value]

    outcome = carry_out(Forgetful, a_reply(200))

    assert (outcome.kind, outcome.definite) == (expected, False)


def test_a_call_of_ones_own_begins_with_before_send() -> None:
    """Its effect may come at once, so a shutdown can take it back only before it begins."""

    def drain() -> None:
        raise Draining("stopping")

    assert carry_out(Translation, {"a": 1}, before_send=drain).kind == Kind.RELEASED


def test_what_ends_the_process_is_let_through() -> None:
    """Only an `Exception` has an outcome."""
    with pytest.raises(KeyboardInterrupt):
        carry_out(Translation, KeyboardInterrupt())


# Accepted work


def accepted_context(minutes: float = 1) -> dict[str, Any]:
    since = NOW - timedelta(minutes=minutes)
    return a_context(remote={"status_url": STATUS_URL, "accepted_at": since})


def test_accepted_work_is_asked_for() -> None:
    """A poll is a GET without a key of its own, and keeps its URL."""
    worker, line = answering(a_reply(200, {"status": "running"}))

    outcome = worker.carry_out(accepted_context(), attempt=an_attempt())

    method, url, headers, body = line.sent[0]
    assert (method, url, body) == ("GET", STATUS_URL, None)
    assert "idempotency-key" not in headers
    assert (outcome.kind, outcome.remote_url) == (Kind.ACCEPTED, STATUS_URL)


def test_trouble_with_a_poll_is_another_poll() -> None:
    """The service has the work; asking again is all there is to do."""
    worker, _ = answering(OutcomeUnknown("cut"), CommunicationWorker)

    outcome = worker.carry_out(accepted_context(), attempt=an_attempt())

    assert (outcome.kind, outcome.remote_url) == (Kind.ACCEPTED, STATUS_URL)


def test_accepted_work_does_not_wait_for_ever() -> None:
    """After the accepted timeout it fails; a final answer still counts."""
    late = accepted_context(minutes=24 * 60 + 1)
    running, _ = answering(a_reply(202))
    done, _ = answering(a_reply(200, {"text": "x"}))

    outcome = running.carry_out(late, attempt=an_attempt())

    assert outcome.error is not None
    assert (outcome.kind, outcome.error.type) == (Kind.FAILED, "AcceptedTimeout")
    assert done.carry_out(late, attempt=an_attempt()).kind == Kind.COMPLETED


# Settings


def test_a_missing_url_names_its_variable() -> None:
    """A worker can be made without one; the first use says what to set."""
    worker = GenerativeWorker()

    with pytest.raises(ConfigurationError, match=r"^GENERATION_BASE_URL is not set"):
        worker.check()


def test_given_values_beat_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the constructor was given counts; the environment gives the rest."""
    monkeypatch.setenv("GENERATION_BASE_URL", "http://env.example")
    monkeypatch.setenv("GENERATION_BASE_TIMEOUT", "7")
    worker = GenerativeWorker(base_url="http://given.example/", batch_size=3)
    worker.check()

    found = worker.service_settings
    assert (found.url, found.timeout, found.batch_size) == ("http://given.example", 7.0, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base_url": "ftp://x"}, "GENERATION_BASE_URL: must be"),
        ({"base_url": "http://x", "timeout": -1}, "GENERATION_BASE_TIMEOUT: "),
        ({"base_url": "http://x", "api_key": "schlüssel"}, "GENERATION_BASE_API_KEY: "),
    ],
)
def test_a_wrong_setting_names_its_variable(given: dict[str, Any], message: str) -> None:
    """One line says which variable is wrong, and never what a secret is."""
    with pytest.raises(ConfigurationError, match=f"^{message}") as caught:
        GenerativeWorker(**given).check()

    assert "schlüssel" not in str(caught.value)


def test_plain_python_needs_no_url() -> None:
    """A worker that does not call by HTTP has nothing to be told about a service."""
    Translation().check()
