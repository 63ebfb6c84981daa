"""The outbox: one file per channel, each message delivered exactly once per Idempotency-Key.

A delivery is one appended line; the keys are read back from the lines at start, so that a restart
delivers nothing twice. There is no `await` between the look and the write: on one event loop two
calls of the same key cannot both deliver. One process owns the directory.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from agent.errors import ConfigurationError
from agent.sandbox.replies import Refused, Reply, json_reply

_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be delivered."""

    recipient: str
    text: str
    channel: str
    metadata: Mapping[str, Any]


def checked_message(recipient: Any, text: Any, channel: Any, metadata: Any) -> Message:
    """A message whose every part has its type.

    Raises:
        Refused: 422 that names the part.
    """
    if not isinstance(recipient, str) or not recipient.strip():
        raise Refused(422, "recipient is missing")
    if not isinstance(text, str):
        raise Refused(422, "message is missing")
    channel = "default" if channel is None else channel
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
        raise Refused(422, "channel must be letters, digits, - and _, 64 at most")
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise Refused(422, "metadata must be an object")
    return Message(recipient, text, channel, metadata)


class Outbox:
    """The files of one directory, and the first reply for each key delivered."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._replies: dict[str, bytes] = {}
        for path in sorted(directory.glob("*.jsonl")):
            self._read_back(path)

    def deliver(self, message: Message, key: str | None, request_id: str | int | None) -> Reply:
        """Deliver, or give the first reply again when the key was delivered before."""
        if key is not None and key in self._replies:
            return Reply(200, self._replies[key])
        delivery = {
            "message_id": uuid4().hex,
            "idempotency_key": key,
            "request_id": request_id,
            "recipient": message.recipient,
            "message": message.text,
            "channel": message.channel,
            "metadata": dict(message.metadata),
            "delivered_at": datetime.now(UTC).isoformat(),
        }
        _append(self._directory / f"{message.channel}.jsonl", delivery)
        reply = _receipt(delivery, delivered=True)
        if key is not None:
            self._replies[key] = reply.body
        return reply

    def _read_back(self, path: Path) -> None:
        with path.open("r+b") as file:
            end = 0
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(end)  # torn by a crash: never answered, so never delivered
                    break
                end += len(line)
                try:
                    delivery = json.loads(line)
                    key, receipt = delivery["idempotency_key"], _receipt(delivery)
                except (ValueError, LookupError, TypeError) as exc:
                    raise ConfigurationError(f"{path} has a line that is no delivery") from exc
                if key is not None:
                    self._replies.setdefault(key, receipt.body)


def _receipt(delivery: Mapping[str, Any], *, delivered: bool = False) -> Reply:
    """The reply for a delivery: made from its line alone, so that a restart gives the same."""
    told = ("request_id", "message_id", "recipient", "channel", "delivered_at")
    payload = {"success": True, "status": "delivered", **{name: delivery[name] for name in told}}
    return json_reply(payload, delivered=delivered)


def _append(path: Path, delivery: Mapping[str, Any]) -> None:
    line = json.dumps(delivery, separators=(",", ":")).encode("ascii") + b"\n"
    try:
        with path.open("ab", buffering=0) as file:
            start = os.fstat(file.fileno()).st_size
            if file.write(line) != len(line):
                file.truncate(start)
                raise OSError("the disk is full")
    except OSError as exc:
        raise Refused(503, f"the outbox cannot be written: {exc.strerror or exc}") from exc
