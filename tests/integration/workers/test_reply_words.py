"""Calls that bring no reply, as they are counted: with errors that the transport really raises."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from agent.errors import CallError
from agent.models import ErrorRecord
from agent.outcomes import read_error
from agent.projections.reply_words import NO_REPLY, TIMEOUT, UNREACHABLE, reply_word
from agent.services import OnAmbiguous
from agent.store.changes import with_kind
from agent.workers.transport import Transport


def called(port: int, on_ambiguous: OnAmbiguous = "retry", *, seconds: float = 0.2) -> str:
    """The word for a call of this port."""
    way = Transport(f"http://127.0.0.1:{port}", timeout=5.0, max_response_bytes=1000)
    with pytest.raises(CallError) as raised:
        way.send("POST", "/", {}, b"{}", deadline=time.monotonic() + seconds)
    way.close()
    outcome = read_error(raised.value, on_ambiguous=on_ambiguous)
    assert isinstance(outcome.error, ErrorRecord)
    return reply_word({"outcome": str(outcome.kind), "error": with_kind(outcome.error)})


@pytest.mark.parametrize("on_ambiguous", ["retry", "park"])
def test_a_service_that_says_nothing_in_time_is_a_timeout(on_ambiguous: OnAmbiguous) -> None:
    """Whether the call is tried again or parked."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert called(silent.getsockname()[1], on_ambiguous) == TIMEOUT


def test_a_service_that_cannot_be_connected_to_in_time_is_a_timeout() -> None:
    """Its host drops what is sent to it, or has too much to do."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())
        with socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            assert called(full.getsockname()[1]) == TIMEOUT


def test_a_service_that_is_not_there_is_unreachable() -> None:
    """Nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert called(port, seconds=5.0) == UNREACHABLE


def test_a_connection_that_breaks_off_is_no_reply() -> None:
    """What was sent may have had its effect."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            taken, _ = server.accept()
            with taken:
                taken.recv(1000)

        cutting = threading.Thread(target=cut)
        cutting.start()
        assert called(server.getsockname()[1], seconds=5.0) == NO_REPLY
        cutting.join()
