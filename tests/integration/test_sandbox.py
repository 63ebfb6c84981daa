"""The sandbox as its callers see it: a process, three ports, honest work and every fault."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.waiting import wait_until

KEY = "a-made-up-key"


class Sandbox:
    """A running sandbox and a client of each of its services."""

    def __init__(self, data: Path, *options: str) -> None:
        ready = data / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "agent.sandbox", "--data", str(data)]
        environment = {**os.environ, "AGENT_SANDBOX_KEY": KEY}
        self.process = subprocess.Popen(
            [*command, "--ready-file", str(ready), *options],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: ready.exists() or self.process.poll() is not None, timeout=15)
        self.data = data
        self.urls: dict[str, str] = json.loads(ready.read_text())
        self.generation, self.analysis, self.communication = (
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=5)
            for url in self.urls.values()
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, as a platform would or otherwise, and return its exit code."""
        for client in (self.generation, self.analysis, self.communication):
            client.close()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        assert errors == b""
        return self.process.returncode

    def outbox(self, channel: str) -> list[Any]:
        """What was delivered to a channel."""
        path = self.data / "outbox" / f"{channel}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for the tests that leave nothing behind."""
    running = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield running
    assert running.stop() == 0


def generate(sandbox: Sandbox, key: str | None = None, **fault: Any) -> httpx.Response:
    """Ask GENERATIVE to greet somebody, with a fault."""
    body = {
        "template_id": "greeting",
        "template_data": {"prompt": "Dear {{name}}", "sandbox": fault},
        "context": {"request": {"data": {"name": "Ann"}}},
        "request_id": "req-1",
    }
    headers = {"Idempotency-Key": key or uuid4().hex}
    return sandbox.generation.post("/api/v1/generate", json=body, headers=headers)


def send(sandbox: Sandbox, channel: str, key: str, **fault: Any) -> httpx.Response:
    """Ask COMMUNICATION to send a message, with a fault."""
    template = {"recipient": "{{who}}", "message": "Hi {{who}}", "channel": channel}
    request = {"data": {"who": "ann@example.org", "sandbox": fault}}
    return sandbox.communication.post(
        "/api/v1/communicate",
        json={"template_data": template, "context": {"request": request}, "request_id": "req-2"},
        headers={"Idempotency-Key": key, "X-Attempt": "1"},
    )


def test_each_service_answers_health_without_a_key(sandbox: Sandbox) -> None:
    """Health is for everybody, and each port is a service of its own."""
    replies = [httpx.get(f"{url}/health").json() for url in sandbox.urls.values()]
    assert [reply["service"] for reply in replies] == ["GENERATIVE", "ANALYSIS", "COMMUNICATION"]


def test_generation_fills_the_template(sandbox: Sandbox) -> None:
    """The text is the template with the request's data."""
    reply = generate(sandbox)
    assert reply.json() == {
        "success": True,
        "request_id": "req-1",
        "text": "Dear Ann",
        "usage": {"prompt_tokens": 2, "completion_tokens": 2},
    }


def test_analysis_computes_statistics(sandbox: Sandbox) -> None:
    """A series in the request's data is analysed."""
    body = {"context": {"request": {"data": {"series": [1, 2, 6]}}}, "request_id": "r"}
    reply = sandbox.analysis.post("/api/v1/analyze", json=body).json()
    assert (reply["success"], reply["statistics"]["mean"]) == (True, 3)


def test_communication_delivers_to_the_outbox(sandbox: Sandbox) -> None:
    """Recipient and message are filled and written to the channel's file."""
    assert send(sandbox, "email", uuid4().hex).json()["success"] is True
    (delivery,) = sandbox.outbox("email")
    assert (delivery["recipient"], delivery["message"]) == ("ann@example.org", "Hi ann@example.org")


def test_a_notification_is_delivered_as_it_is(sandbox: Sandbox) -> None:
    """The notify endpoint takes the parts from the body, faults from its metadata."""
    body = {"recipient": "ops", "message": "{{x}}", "channel": "pager", "request_id": "r"}
    ask = sandbox.communication.post
    failed = ask("/api/v1/notify", json={**body, "metadata": {"sandbox": {"status": 503}}})
    reply = ask("/api/v1/notify", json={**body, "metadata": {"n": 1}})
    assert (failed.status_code, reply.status_code) == (503, 200)
    assert [line["message"] for line in sandbox.outbox("pager")] == ["{{x}}"]


def test_a_missing_recipient_is_refused(sandbox: Sandbox) -> None:
    """Nobody to send to is the caller's error."""
    reply = sandbox.communication.post("/api/v1/communicate", json={"request_id": "r"})
    assert (reply.status_code, reply.json()["success"]) == (422, False)


def test_concurrent_calls_of_one_key_deliver_once(sandbox: Sandbox) -> None:
    """Twenty at once, one message, one and the same reply."""
    key = uuid4().hex
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: send(sandbox, "race", key), range(20)))
    assert len({reply.content for reply in replies}) == 1
    assert len(sandbox.outbox("race")) == 1


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/generate"),
        ("GET", "/api/v1/contexts/x"),
        ("PUT", "/sandbox/fault"),
        ("GET", "/sandbox/calls"),
    ],
)
def test_a_wrong_key_is_refused(
    sandbox: Sandbox, method: str, path: str, header: dict[str, str]
) -> None:
    """Everything but health asks for the bearer key."""
    url = sandbox.urls["GENERATION_BASE_URL"] + path
    reply = httpx.request(method, url, headers=header, json={"down": True})
    assert (reply.status_code, reply.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 200_000, 400),
        (b"[]", 422),
        (b'{"template_data": 3}', 422),
        (b'{"template_data": {"sandbox": {"status": "x"}}}', 422),
        (b'{"template_data": {"prompt": "\\ud800"}}', 200),
        (b'{"template_data": {"prompt": "{{a}}"}, "context": {"request": 7}}', 200),
    ],
)
def test_no_input_is_a_500(sandbox: Sandbox, body: bytes, status: int) -> None:
    """Bad input has its answer, and the connection goes on."""
    assert sandbox.generation.post("/api/v1/generate", content=body).status_code == status
    assert generate(sandbox).status_code == 200


def test_other_paths_and_methods_do_not_exist(sandbox: Sandbox) -> None:
    """A service serves its own paths only."""
    assert sandbox.generation.post("/api/v1/analyze", json={}).status_code == 404
    assert sandbox.generation.get("/api/v1/generate").status_code == 405


def test_latency_delays_the_reply(sandbox: Sandbox) -> None:
    """The reply comes no earlier than asked."""
    started = time.monotonic()
    assert generate(sandbox, latency_seconds=0.2).json()["success"] is True
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 403, 418, 429, 500, 503, 599])
def test_any_status_can_be_asked_for(sandbox: Sandbox, status: int) -> None:
    """Errors are errors, successes keep the honest reply."""
    reply = generate(sandbox, status=status)
    assert reply.status_code == status
    assert ("Dear Ann" in reply.text) == (status == 201)


def test_retry_after_comes_as_seconds_or_as_a_date(sandbox: Sandbox) -> None:
    """Both forms of the header, and 429 where no status is named."""
    assert generate(sandbox, status=503, retry_after=7).headers["Retry-After"] == "7"
    reply = generate(sandbox, retry_after="date:60")
    assert reply.status_code == 429
    ahead = parsedate_to_datetime(reply.headers["Retry-After"]) - datetime.now(UTC)
    assert 50 < ahead.total_seconds() <= 60


def test_a_fault_ends_after_its_times(sandbox: Sandbox) -> None:
    """The first calls of a key fail, the next is honest."""
    key = uuid4().hex
    statuses = [generate(sandbox, key, status=500, times=2).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]


def test_a_dripping_reply_arrives_whole_and_slowly(sandbox: Sandbox) -> None:
    """Every byte costs its time."""
    started = time.monotonic()
    reply = generate(sandbox, drip_seconds_per_byte=0.002)
    assert reply.json()["text"] == "Dear Ann"
    assert time.monotonic() - started >= 0.002 * len(reply.content)


def test_garbage_is_html(sandbox: Sandbox) -> None:
    """A 200 that is no JSON."""
    reply = generate(sandbox, garbage=True)
    assert (reply.status_code, reply.headers["Content-Type"][:9]) == (200, "text/html")
    with pytest.raises(json.JSONDecodeError):
        reply.json()


def test_a_reply_is_cut_short(sandbox: Sandbox) -> None:
    """Fewer bytes than promised come before the connection closes."""
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        generate(sandbox, cut_short=True)


def test_a_connection_is_closed_without_a_reply(sandbox: Sandbox) -> None:
    """Not one byte comes back, and the work was not done."""
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        send(sandbox, "closed", uuid4().hex, close=True)
    assert sandbox.outbox("closed") == []


def test_work_can_be_done_though_the_reply_is_lost(sandbox: Sandbox) -> None:
    """The message is out, the caller cannot know, and a repeat delivers nothing more."""
    key = uuid4().hex
    with pytest.raises(httpx.RemoteProtocolError):
        send(sandbox, "lost", key, close=True, work_done=True, times=1)
    assert len(sandbox.outbox("lost")) == 1
    assert send(sandbox, "lost", key, close=True, work_done=True, times=1).status_code == 200
    assert len(sandbox.outbox("lost")) == 1


def test_a_refusal_says_success_false(sandbox: Sandbox) -> None:
    """A 200 that failed, with its word on retrying, and nothing delivered."""
    reply = send(sandbox, "refused", uuid4().hex, success_false=True, retryable=True)
    assert reply.status_code == 200
    assert (reply.json()["success"], reply.json()["retryable"]) == (False, True)
    assert sandbox.outbox("refused") == []


def test_accepted_work_is_polled_at_its_location(sandbox: Sandbox) -> None:
    """202 with a Location that becomes the final reply; one message in all."""
    accepted = send(sandbox, "later", uuid4().hex, accepted_seconds=0.15)
    location = accepted.headers["Location"]
    assert accepted.status_code == 202
    pending = sandbox.communication.get(location)
    assert (pending.status_code, pending.json()["status"]) == (202, "accepted")
    wait_until(lambda: sandbox.communication.get(location).status_code == 200)
    assert sandbox.communication.get(location).json()["success"] is True
    assert len(sandbox.outbox("later")) == 1


def test_accepted_work_may_be_named_in_the_body(sandbox: Sandbox) -> None:
    """200 with an id, and a final reply that may be a failure."""
    key = uuid4().hex
    accepted = generate(
        sandbox, key, accepted_seconds=0.15, accepted_style="body", success_false=True
    )
    path = f"/api/v1/contexts/{accepted.json()['id']}"
    assert (accepted.status_code, accepted.json()["status"]) == (200, "accepted")
    assert "Location" not in accepted.headers
    wait_until(lambda: sandbox.generation.get(path).json().get("success") is False)
    assert sandbox.generation.get("/api/v1/contexts/nobody").status_code == 404


def test_a_redirect_leads_where_it_was_asked_to(sandbox: Sandbox) -> None:
    """302 to the same path, or to a URL."""
    assert generate(sandbox, redirect=True).headers["Location"] == "/api/v1/generate"
    reply = generate(sandbox, redirect="http://example.org/x")
    assert (reply.status_code, reply.headers["Location"]) == (302, "http://example.org/x")


def test_a_huge_reply_is_valid_json_of_that_size(sandbox: Sandbox) -> None:
    """Padding, with the honest fields still there."""
    reply = generate(sandbox, huge_bytes=5_000_000)
    assert len(reply.content) == 5_000_000
    assert reply.json()["text"] == "Dear Ann"


def test_a_chunked_reply_does_not_say_how_long_it_is(sandbox: Sandbox) -> None:
    """Whoever reads it learns its size at its end only."""
    reply = generate(sandbox, huge_bytes=1_000_000, chunked=True)
    assert "Content-Length" not in reply.headers
    assert len(reply.content) == 1_000_000
    assert generate(sandbox, chunked=True).json()["text"] == "Dear Ann"


def test_a_gzip_bomb_unpacks_in_the_client(sandbox: Sandbox) -> None:
    """Little comes over the wire, much comes out."""
    reply = generate(sandbox, gzip_bomb_bytes=4_000_000)
    assert int(reply.headers["Content-Length"]) < 40_000
    assert len(reply.content) >= 4_000_000


def test_a_deep_reply_is_nested_that_deep(sandbox: Sandbox) -> None:
    """As many brackets as were asked for."""
    assert generate(sandbox, deep=100_000).content.count(b"[") == 100_000


def test_a_service_wide_fault_holds_until_it_is_deleted(sandbox: Sandbox) -> None:
    """It hits calls that ask for nothing, and one service only."""
    assert sandbox.generation.put("/sandbox/fault", json={"status": 502}).status_code == 200
    try:
        assert [generate(sandbox).status_code for _ in range(2)] == [502, 502]
        assert send(sandbox, "email", uuid4().hex).status_code == 200
        assert sandbox.generation.get("/api/v1/contexts/x").status_code == 502
    finally:
        assert sandbox.generation.delete("/sandbox/fault").status_code == 200
    assert generate(sandbox).status_code == 200


def test_a_fault_may_hit_one_recipient_alone(sandbox: Sandbox) -> None:
    """Others are delivered to, polls answered, and so is this one once the fault is deleted."""
    body = {"recipient": "zoe@example.org", "message": "Hi"}

    def statuses() -> list[int]:
        calls = (
            sandbox.communication.post("/api/v1/notify", json=body),
            sandbox.communication.post("/api/v1/communicate", json={"template_data": body}),
            send(sandbox, "blocked", uuid4().hex),
        )
        return [reply.status_code for reply in calls]

    sandbox.communication.put(
        "/sandbox/fault", json={"status": 422, "recipient": body["recipient"]}
    )
    try:
        assert statuses() == [422, 422, 200]
        assert sandbox.communication.get("/api/v1/contexts/x").status_code == 404
    finally:
        sandbox.communication.delete("/sandbox/fault")
    assert statuses() == [200, 200, 200]


def test_a_service_that_is_down_closes_every_connection(sandbox: Sandbox) -> None:
    """Work and polls are closed unread; the switch still answers."""
    sandbox.generation.put("/sandbox/fault", json={"down": True})
    try:
        with pytest.raises(httpx.TransportError):
            generate(sandbox)
        with pytest.raises(httpx.TransportError):
            sandbox.generation.get("/api/v1/contexts/x")
    finally:
        sandbox.generation.delete("/sandbox/fault")
    assert generate(sandbox).status_code == 200


def test_a_wrong_service_wide_fault_changes_nothing(sandbox: Sandbox) -> None:
    """A misspelt key is named."""
    reply = sandbox.generation.put("/sandbox/fault", json={"downn": True})
    assert (reply.status_code, "downn" in reply.text) == (422, True)
    assert sandbox.generation.put("/sandbox/fault", content=b"{").status_code == 400
    assert generate(sandbox).status_code == 200


def test_calls_are_recorded(sandbox: Sandbox) -> None:
    """The record tells of each call what came, what went out and whether it delivered."""
    calls = sandbox.communication.get
    start = calls("/sandbox/calls").json()["next"]
    key = uuid4().hex
    send(sandbox, "recorded", key)
    send(sandbox, "recorded", key)
    with pytest.raises(httpx.TransportError):
        send(sandbox, "recorded", key, close=True)
    found = calls("/sandbox/calls", params={"since": start}).json()["calls"]
    told = [(c["idempotency_key"], c["status"], c["delivered"], c["attempt"]) for c in found]
    assert told == [(key, 200, True, 1), (key, 200, False, 1), (key, None, False, 1)]
    assert found[0]["reply_sha256"] == found[1]["reply_sha256"]
    assert found[0]["request_id"] == "req-2"
    lines = (sandbox.data / "calls-communication.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines[-3:]] == found
    assert calls("/sandbox/calls?since=x").status_code == 422


def test_a_restart_keeps_what_was_delivered(tmp_path: Path) -> None:
    """Killed and started again on the same data, a known key delivers nothing."""
    first = Sandbox(tmp_path)
    told = send(first, "email", "key-1")
    first.stop(signal.SIGKILL)
    port = httpx.URL(first.urls["COMMUNICATION_BASE_URL"]).port
    second = Sandbox(tmp_path, "--communication-port", str(port))
    assert second.urls["COMMUNICATION_BASE_URL"] == first.urls["COMMUNICATION_BASE_URL"]
    assert send(second, "email", "key-1").content == told.content
    assert len(second.outbox("email")) == 1
    assert second.stop() == 0


def test_sigterm_ends_it_in_the_midst_of_a_call(tmp_path: Path) -> None:
    """A slow call does not hold the process up."""
    running = Sandbox(tmp_path)
    url = httpx.URL(running.urls["GENERATION_BASE_URL"])
    with socket.create_connection((url.host, url.port)) as connection:
        body = b'{"template_data": {"sandbox": {"latency_seconds": 60}}}'
        head = f"POST /api/v1/generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert running.generation.get("/health").status_code == 200
        started = time.monotonic()
        assert running.stop() == 0
    assert time.monotonic() - started < 4


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """Exit code 2 and the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "agent.sandbox", "--analysis-port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in ended.stderr


def test_an_unwritable_ready_file_is_one_clear_line(tmp_path: Path) -> None:
    """A sandbox that cannot say it is ready does not run on unseen."""
    ready = tmp_path / "missing" / "ready.json"
    command = [sys.executable, "-m", "agent.sandbox", "--ready-file", str(ready)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


def test_ctrl_c_ends_it_too(tmp_path: Path) -> None:
    """SIGINT is as quiet an end as SIGTERM."""
    assert Sandbox(tmp_path).stop(signal.SIGINT) == 0
