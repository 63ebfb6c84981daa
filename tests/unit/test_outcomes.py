"""The table of outcomes, row by row."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.errors import (
    CallError,
    Draining,
    OutcomeUnknown,
    ReplyTooLarge,
    RequestNotSendable,
    ServiceUnavailable,
    TlsFailed,
)
from agent.outcomes import (
    Kind,
    Outcome,
    Reply,
    accepted_timeout,
    parse_json,
    parse_retry_after,
    poll_delay,
    read_error,
    read_poll,
    read_reply,
    retry_delay,
    snooze_delay,
    without_secret,
)
from agent.services import OnAmbiguous

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BASE = "https://base.example/v2"
MINUTE = timedelta(minutes=1)


def a_reply(status: int = 200, body: object = b"", **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): text for name, text in headers.items()}, raw)


def read(reply: Reply, on_ambiguous: OnAmbiguous = "retry") -> Outcome:
    return read_reply(
        reply,
        on_ambiguous=on_ambiguous,
        now=NOW,
        base_url=BASE,
        status_path="/api/v1/contexts/{id}",
    )


def summary(outcome: Outcome) -> tuple[str, str | None, bool]:
    return outcome.kind.value, outcome.error.type if outcome.error else None, outcome.definite


OK: dict[str, Any] = {"text": "done"}
REFUSED = {"success": False, "error": "no such voice"}

TABLE = [
    # reply, then the outcome where ambiguous calls are retried, and where they are parked
    (a_reply(200, OK), ("completed", None, True), None),
    (a_reply(201, {"success": True}), ("completed", None, True), None),
    (a_reply(202, OK), ("completed", None, True), None),
    (a_reply(200, {"success": None}), ("completed", None, True), None),
    (a_reply(200, {"status": "accepted"}), ("completed", None, True), None),
    (a_reply(200, {"status": "accepted", "id": ".."}), ("completed", None, True), None),
    (a_reply(200, REFUSED), ("failed", "ServiceRefused", True), None),
    (a_reply(202, REFUSED, location="/x"), ("failed", "ServiceRefused", True), None),
    (a_reply(200, {**REFUSED, "retryable": True}), ("retry", "ServiceRefused", True), None),
    (a_reply(200, {**REFUSED, "retryable": "yes"}), ("failed", "ServiceRefused", True), None),
    (a_reply(200, {"status": "accepted", "id": "w1"}), ("accepted", None, True), None),
    (a_reply(202, b"", location="/status/1"), ("accepted", None, True), None),
    (
        a_reply(202, OK, location="https://elsewhere.example/1"),
        ("failed", "UnexpectedRedirect", False),
        None,
    ),
    (a_reply(401), ("snooze", "Unauthorized", True), None),
    (a_reply(403), ("failed", "Forbidden", True), None),
    (a_reply(404), ("failed", "ServiceRejected", True), None),
    (a_reply(422), ("failed", "ServiceRejected", True), None),
    (a_reply(408), ("retry", "ServiceFailed", True), None),
    (a_reply(425), ("retry", "ServiceFailed", True), None),
    (a_reply(429), ("snooze", "TooManyRequests", True), None),
    (a_reply(429, retry_after="7"), ("snooze", "TooManyRequests", True), None),
    (a_reply(503, retry_after="7"), ("snooze", "ServiceFailed", True), None),
    (a_reply(503), ("retry", "ServiceFailed", True), None),
    (a_reply(503, retry_after="soon"), ("retry", "ServiceFailed", True), None),
    (a_reply(500), ("retry", "ServiceFailed", False), ("failed", "OutcomeUnknown", False)),
    (a_reply(502), ("retry", "ServiceFailed", False), ("failed", "OutcomeUnknown", False)),
    (a_reply(504, OK), ("retry", "ServiceFailed", False), ("failed", "OutcomeUnknown", False)),
    (a_reply(200), ("retry", "UnreadableReply", False), ("failed", "OutcomeUnknown", False)),
    (a_reply(204), ("retry", "UnreadableReply", False), ("failed", "OutcomeUnknown", False)),
    (a_reply(200, [1]), ("retry", "UnreadableReply", False), ("failed", "OutcomeUnknown", False)),
    (
        a_reply(200, b'{"a": '),
        ("retry", "UnreadableReply", False),
        ("failed", "OutcomeUnknown", False),
    ),
    (
        a_reply(302, location="/login"),
        ("failed", "UnexpectedRedirect", False),
        ("failed", "OutcomeUnknown", False),
    ),
]


@pytest.mark.parametrize(("reply", "retried", "parked"), TABLE)
def test_a_reply_has_its_row_in_the_table(
    reply: Reply, retried: tuple[str, str, bool], parked: tuple[str, str, bool] | None
) -> None:
    """Each reply means one outcome; only what is ambiguous depends on the service's policy."""
    assert retried == summary(read(reply))
    assert (parked or retried) == summary(read(reply, "park"))


def test_a_success_keeps_the_reply_as_it_came() -> None:
    """Nothing is added to the results, and nothing is taken away."""
    body = {"success": True, "deep": {"list": [1, 2.5, None, 2**70]}}

    assert body == read(a_reply(200, body)).results


@pytest.mark.parametrize(
    ("reply", "url"),
    [
        (a_reply(202, location="/jobs/1"), "https://base.example/jobs/1"),
        (a_reply(202, location="jobs/1"), "https://base.example/v2/jobs/1"),
        (a_reply(202, location="https://BASE.example:443/j"), "https://BASE.example:443/j"),
        (a_reply(202, location="/j?x=1#part"), "https://base.example/j?x=1"),
        (a_reply(202, location="/j\xe9 k"), "https://base.example/j%C3%A9%20k"),
        (
            a_reply(200, {"status": "ACCEPTED", "id": "a/../b?c"}),
            BASE + "/api/v1/contexts/a%2F..%2Fb%3Fc",
        ),
        (a_reply(202, {"status": "accepted", "id": 7}), BASE + "/api/v1/contexts/7"),
    ],
)
def test_accepted_work_is_asked_for_at_its_own_url(reply: Reply, url: str) -> None:
    """A `Location` is resolved, an id is percent-encoded into the status path."""
    assert url == read(reply).remote_url


@pytest.mark.parametrize(
    "location",
    [
        "http://base.example/x",
        "https://base.example:8443/x",
        "//evil.example/x",
        "https://user@base.example/x",
        "https://base.example.evil.example/x",
        "https://[broken",
        "file:///etc/passwd",
        "/" + "x" * 3000,
    ],
)
def test_a_location_on_another_origin_is_never_followed(location: str) -> None:
    """The API key goes to the service's own origin alone."""
    assert read(a_reply(202, location=location)).kind == Kind.FAILED


def test_a_first_poll_waits_as_long_as_the_service_says() -> None:
    """`Retry-After` beside an acceptance delays the poll and pauses nobody."""
    outcome = read(a_reply(202, location="/jobs/1", retry_after="9"))

    assert (timedelta(seconds=9), None) == (outcome.delay, outcome.pause)


@pytest.mark.parametrize(
    ("reply", "delay", "pause"),
    [
        (a_reply(401), MINUTE, MINUTE),
        (a_reply(429), None, None),
        (a_reply(429, retry_after="60"), MINUTE, MINUTE),
        (a_reply(429, retry_after="0"), None, None),
        (a_reply(503, retry_after="Sun, 01 Mar 2026 12:01:00 GMT"), MINUTE, MINUTE),
    ],
)
def test_a_snooze_says_how_long_and_who_waits(
    reply: Reply, delay: timedelta | None, pause: timedelta | None
) -> None:
    """A named time pauses the whole service; a wait of nothing is left to the back-off."""
    outcome = read(reply)

    assert (delay, pause) == (outcome.delay, outcome.pause)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("12", 12),
        (" 1.5 ", 1.5),
        ("-3", 0),
        ("99999999999999999999", 3600),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2026 12:00:30", 30),
        ("Sun, 01 Mar 9999 12:00:30 GMT", 3600),
        ("Sun, 41 Mar 2026 12:00:30 GMT", None),
        ("\u0661\u0662", None),
        ("1, 2", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """Whatever stands there, the wait is nothing, or between 0 s and one hour."""
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert expected == parse_retry_after(value, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"NaN",
        b'{"a": Infinity}',
        b"-Infinity",
        b"1e999",
        b"[" * 100_000,
        b"1" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'{"a": "\xed\xa0\x80"}',
    ],
)
def test_what_is_no_strict_json_does_not_parse(body: bytes) -> None:
    """Every way in which JSON can be broken is one and the same error."""
    with pytest.raises(ValueError, match=r"^does not parse$"):
        parse_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"n": 18446744073709551616}', {"n": 2**64}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"\xef\xbb\xbf{}", {}),
        (b"1.5e3", 1500.0),
    ],
)
def test_unusual_json_parses(body: bytes, value: object) -> None:
    """What is valid is read, even where storing may refuse it later."""
    assert value == parse_json(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "no\x00 such\nvoice\u202e"}, "no such voice"),
        ({"detail": [{"loc": ["body", "age"], "msg": "bad", "input": "SECRET"}]}, "body.age: bad"),
        ({"error": {"message": "quota", "code": 7}}, "quota"),
        ({"message": "m", "error": ""}, "m"),
        ({"detail": [[[["x"]]]]}, "the service answered 400"),
        ("text", "the service answered 400"),
        (b"<html>", "the service answered 400"),
    ],
)
def test_an_error_says_what_the_service_says(body: object, message: str) -> None:
    """Of an error's structure only its words are kept, on one line, never the input it quotes."""
    error = read(a_reply(400, body)).error

    assert error is not None
    assert (message, 400) == (error.message, error.status_code)


def test_a_long_message_is_cut() -> None:
    """A message has 500 characters at most."""
    error = read(a_reply(500, {"error": "x" * 9000}), "park").error

    assert error is not None
    assert len(error.message) == 500


def test_an_echoed_key_does_not_stay_in_the_message() -> None:
    """A service that quotes the key in its error gives nothing away."""
    outcome = without_secret(read(a_reply(400, {"error": "bad key k-123"})), "k-123")

    assert outcome.error is not None
    assert outcome.error.message == "bad key …"


@pytest.mark.parametrize(
    ("kind", "retryable"), [(400, False), (500, True), (401, True), (429, True)]
)
def test_an_error_says_whether_a_retry_can_help(kind: int, retryable: bool) -> None:
    """`retryable` stands beside each error for operators and programs."""
    error = read(a_reply(kind)).error

    assert error is not None
    assert retryable == error.retryable


POLLS = [
    (a_reply(202), ("accepted", None, True)),
    (a_reply(202, {"status": "failed"}), ("failed", "ServiceRefused", True)),
    *(
        (a_reply(200, {"status": word}), ("accepted", None, True))
        for word in (
            "accepted",
            "pending",
            "QUEUED",
            "processing",
            "running",
            "in_progress",
            "started",
        )
    ),
    *(
        (a_reply(200, {"status": word}), ("failed", "ServiceRefused", True))
        for word in ("failed", "error", "cancelled")
    ),
    (a_reply(200, {"success": False}), ("failed", "ServiceRefused", True)),
    (a_reply(200, {"status": "failed", "retryable": True}), ("retry", "ServiceRefused", True)),
    (a_reply(200, {"status": "done", "text": "x"}), ("completed", None, True)),
    (a_reply(200, b"garbage"), ("accepted", "UnreadableReply", True)),
    (a_reply(302), ("failed", "UnexpectedRedirect", False)),
    (a_reply(401), ("accepted", "Unauthorized", True)),
    (a_reply(403), ("failed", "Forbidden", False)),
    (a_reply(404), ("failed", "ServiceRejected", False)),
    (a_reply(410), ("failed", "ServiceRejected", False)),
    (a_reply(408), ("accepted", "ServiceFailed", True)),
    (a_reply(429), ("accepted", "TooManyRequests", True)),
    (a_reply(500), ("accepted", "ServiceFailed", True)),
    (a_reply(503), ("accepted", "ServiceFailed", True)),
]


@pytest.mark.parametrize(("reply", "expected"), POLLS)
def test_a_poll_has_its_row_in_the_table(reply: Reply, expected: tuple[str, str, bool]) -> None:
    """Asking changes nothing: only the service's own word ends accepted work."""
    assert expected == summary(read_poll(reply, now=NOW))


def test_a_final_poll_gives_its_whole_body_as_results() -> None:
    """The results are the reply as it came, its status included."""
    body = {"status": "completed", "result": {"a": 1}}

    assert body == read_poll(a_reply(200, body), now=NOW).results


@pytest.mark.parametrize(
    ("reply", "delay", "pause"),
    [
        (a_reply(202, retry_after="60"), MINUTE, None),
        (a_reply(202), None, None),
        (a_reply(429, retry_after="60"), MINUTE, MINUTE),
        (a_reply(401), MINUTE, MINUTE),
        (a_reply(500), None, None),
    ],
)
def test_a_poll_waits_as_long_as_the_service_says(
    reply: Reply, delay: timedelta | None, pause: timedelta | None
) -> None:
    """Progress delays this context alone; overload and a refused key pause the service."""
    outcome = read_poll(reply, now=NOW)

    assert (delay, pause) == (outcome.delay, outcome.pause)


class Overloaded(CallError):
    """A service's own error, for the test."""

    retryable = True


ERRORS: list[tuple[CallError, tuple[str, str | None, bool], tuple[str, bool]]] = [
    # error, outcome of a call, outcome of a poll
    (ServiceUnavailable("x"), ("retry", "ServiceUnavailable", True), ("accepted", True)),
    (OutcomeUnknown("x"), ("retry", "OutcomeUnknown", False), ("accepted", True)),
    (TlsFailed("x"), ("failed", "TlsFailed", True), ("accepted", True)),
    (RequestNotSendable("x"), ("failed", "RequestNotSendable", True), ("failed", False)),
    (ReplyTooLarge("x"), ("failed", "ReplyTooLarge", False), ("failed", False)),
    (Draining("x"), ("released", None, True), ("released", True)),
    (CallError("x"), ("failed", "CallError", False), ("accepted", True)),
    (Overloaded("x"), ("retry", "Overloaded", False), ("accepted", True)),
]


@pytest.mark.parametrize(("error", "called", "polled"), ERRORS)
def test_an_error_of_a_call_has_its_row(
    error: CallError, called: tuple[str, str | None, bool], polled: tuple[str, bool]
) -> None:
    """What was never sent is definite; what trouble a poll has costs nothing."""
    poll = read_error(error, on_ambiguous="park", polling=True)

    assert called == summary(read_error(error, on_ambiguous="retry"))
    assert polled == (poll.kind, poll.definite)


def test_an_unknown_outcome_is_parked_where_the_service_says_so() -> None:
    """A message is not sent twice on a guess; what was never sent is sent again."""
    unknown = read_error(OutcomeUnknown("cut"), on_ambiguous="park")
    unsent = read_error(ServiceUnavailable("refused"), on_ambiguous="park")

    assert summary(unknown) == ("failed", "OutcomeUnknown", False)
    assert summary(unsent) == ("retry", "ServiceUnavailable", True)


def test_accepted_work_that_never_ends_is_a_failure() -> None:
    """Whether the work was done stays open."""
    assert summary(accepted_timeout()) == ("failed", "AcceptedTimeout", False)


@pytest.mark.parametrize(
    ("delay", "first", "most"),
    [(retry_delay, 2.0, 600.0), (snooze_delay, 1.0, 300.0), (poll_delay, 0.5, 60.0)],
)
def test_waits_grow_to_their_limit_half_of_them_jittered(
    delay: Any, first: float, most: float
) -> None:
    """The shortest wait is half the longest, and no count overflows."""
    assert timedelta(seconds=first / 2) == delay(0, lambda: 0.0)
    assert timedelta(seconds=first) == delay(0, lambda: 1.0)
    assert timedelta(seconds=most) == delay(10**6, lambda: 1.0)
    waits = [delay(count, lambda: 1.0) for count in range(20)]
    assert sorted(waits) == waits


def test_twenty_attempts_outlast_an_outage_of_an_hour() -> None:
    """With jitter as it is on average, the waits are longer than an hour in all."""
    waits = (retry_delay(failures, lambda: 0.5) for failures in range(19))

    assert sum(waits, timedelta()) > timedelta(hours=1)
