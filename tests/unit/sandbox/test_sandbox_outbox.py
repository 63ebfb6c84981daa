"""The outbox, accepted work and the record of calls, in one process."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigurationError
from agent.sandbox import record
from agent.sandbox.accepted import AcceptedWork
from agent.sandbox.faults import Fault
from agent.sandbox.incoming import Call, Headers
from agent.sandbox.outbox import Message, Outbox, checked_message
from agent.sandbox.record import CallLog, CallRecord
from agent.sandbox.replies import Refused, json_reply

A_MESSAGE = Message("ann@example.org", "hello", "email", {"n": 1})


def lines_of(path: Path) -> list[Any]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_repeated_key_delivers_nothing(tmp_path: Path) -> None:
    """The first reply is given again, also when the message differs."""
    outbox = Outbox(tmp_path)
    first = outbox.deliver(A_MESSAGE, "key", "r1")
    again = outbox.deliver(Message("bob", "other", "sms", {}), "key", "r2")
    assert (first.delivered, again.delivered) == (True, False)
    assert again.body == first.body
    assert [line["message"] for line in lines_of(tmp_path / "email.jsonl")] == ["hello"]
    assert not (tmp_path / "sms.jsonl").exists()


def test_without_a_key_every_call_delivers(tmp_path: Path) -> None:
    """No key, no promise."""
    outbox = Outbox(tmp_path)
    outbox.deliver(A_MESSAGE, None, None)
    outbox.deliver(A_MESSAGE, None, None)
    assert len(lines_of(tmp_path / "email.jsonl")) == 2


def test_a_new_outbox_knows_the_keys_of_the_old(tmp_path: Path) -> None:
    """The files alone bring back the first reply, byte for byte."""
    first = Outbox(tmp_path).deliver(A_MESSAGE, "key", "r1")
    again = Outbox(tmp_path).deliver(A_MESSAGE, "key", "r1")
    assert (again.body, again.delivered) == (first.body, False)


def test_a_torn_line_counts_as_undelivered(tmp_path: Path) -> None:
    """What a crash left half written was never answered; the next delivery stands alone."""
    Outbox(tmp_path).deliver(A_MESSAGE, "whole", None)
    path = tmp_path / "email.jsonl"
    with path.open("ab") as file:
        file.write(b'{"message_id":"x","idempotency_key":"to')
    assert Outbox(tmp_path).deliver(A_MESSAGE, "torn", None).delivered
    assert [line["idempotency_key"] for line in lines_of(path)] == ["whole", "torn"]


@pytest.mark.parametrize("line", ["no json\n", "[]\n", "{}\n"])
def test_a_strange_file_stops_the_start(tmp_path: Path, line: str) -> None:
    """Keys that cannot be read back are not guessed."""
    (tmp_path / "email.jsonl").write_text(line)
    with pytest.raises(ConfigurationError, match=r"email\.jsonl"):
        Outbox(tmp_path)


@pytest.mark.parametrize(
    "channel",
    ["../up", "a/b", "", ".", "..", ".hidden", "a\x00b", "a.b", "a\n", "x" * 65, 5, "\ud800"],
)
def test_a_channel_that_is_no_plain_name_is_refused(channel: Any) -> None:
    """No channel leads out of the outbox."""
    with pytest.raises(Refused, match="channel"):
        checked_message("ann", "hello", channel, None)


@pytest.mark.parametrize(
    ("recipient", "text", "metadata", "named"),
    [
        (None, "hi", None, "recipient"),
        (" ", "hi", None, "recipient"),
        (["ann"], "hi", None, "recipient"),
        ("ann", None, None, "message"),
        ("ann", {}, None, "message"),
        ("ann", "hi", [], "metadata"),
    ],
)
def test_a_message_that_lacks_a_part_is_refused(
    recipient: Any, text: Any, metadata: Any, named: str
) -> None:
    """The refusal names the part."""
    with pytest.raises(Refused, match=named):
        checked_message(recipient, text, None, metadata)


def test_accepted_work_is_final_when_its_time_has_come() -> None:
    """Asked before, it is accepted; asked later, it has its reply; a repeated key finds it."""
    now = [0.0]
    accepted = AcceptedWork(clock=lambda: now[0])
    call = Call(body={}, idempotency_key="key")
    final = json_reply({"success": True})
    fault = Fault(accepted_seconds=10)
    first = accepted.accept(call, final, fault)
    work_id = json.loads(first.body)["id"]
    assert (first.status, first.headers) == (
        202,
        ((b"location", f"/api/v1/contexts/{work_id}".encode()),),
    )
    now[0] = 9.9
    assert accepted.status(work_id).status == 202
    assert accepted.accept(call, final, fault) == accepted.status(work_id)
    now[0] = 10.0
    assert accepted.status(work_id) == final


def test_unknown_accepted_work_is_not_found() -> None:
    """An id nobody gave is a 404."""
    with pytest.raises(Refused) as caught:
        AcceptedWork().status("nobody")
    assert caught.value.reply.status == 404


def test_the_record_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers go on while the oldest calls are forgotten."""
    monkeypatch.setattr(record, "REMEMBERED_CALLS", 3)
    log = CallLog("ANALYSIS", None)
    for number in range(5):
        headers = Headers(attempt=str(number))
        log.add(CallRecord(datetime.now(UTC), "/api/v1/analyze", headers, status=200))

    def attempts(since: int) -> tuple[int, list[int]]:
        found = json.loads(log.since(since))
        return found["next"], [call["attempt"] for call in found["calls"]]

    assert attempts(0) == (5, [2, 3, 4])
    assert attempts(4) == (5, [4])
    assert attempts(9) == (5, [])
