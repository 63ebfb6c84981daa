"""Base services behind TLS whose certificate is wrong: nothing is sent there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE, ServiceType
from tests.checker import Plan
from tests.faults.line import STOP_SECONDS, Line, LineFactory
from tests.faults.tls import Authority, Certificate, TlsFront
from tests.recovery import Recovery
from tests.waiting import wait_until

HOST = "localhost"
WRONG: dict[str, Callable[[Authority], Certificate]] = {
    "signed by nobody who is trusted": lambda authority: authority.self_signed(HOST),
    "for another host": lambda authority: authority.signed("other.example"),
}
BEHIND_TLS = (GENERATIVE, COMMUNICATION)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("certificates")
    return Authority(folder)


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line with a worker for the service that is not behind TLS."""
    with new_line(lease=30) as line:
        line.start_bridge()
        line.start_worker(ANALYSIS)
        yield line


def port_of(line: Line, service: ServiceType) -> int:
    """Where a service of the sandbox listens."""
    port = urlsplit(line.sandbox.environment[f"{service.env}_BASE_URL"]).port
    assert port is not None
    return port


@pytest.mark.parametrize("wrong", WRONG)
def test_a_certificate(line: Line, authority: Authority, recovery: Recovery, wrong: str) -> None:
    """Its contexts fail with that reason after one attempt, for there is nothing to try again by
    itself; with the right one on the same port, all that were retried are done."""
    made = WRONG[wrong](authority)
    ports = {service: port_of(line, service) for service in BEHIND_TLS}
    with (
        TlsFront(ports[GENERATIVE], made) as generative,
        TlsFront(ports[COMMUNICATION], made) as communication,
    ):
        fronts = (generative, communication)
        worker = line.start_worker(
            *BEHIND_TLS,
            SSL_CERT_FILE=authority.trusted,
            GENERATION_BASE_URL=f"https://{HOST}:{generative.port}",
            COMMUNICATION_BASE_URL=f"https://{HOST}:{communication.port}",
        )
        before = len(line.sandbox.calls())
        ids = [each for service in BEHIND_TLS for each in line.submit(service, 5)]
        neighbours = line.submit(ANALYSIS, 10)
        line.wait_until_final([*ids, *neighbours], 20)
        for document in line.documents(ids):
            [attempt] = document["attempts"]
            assert (attempt["outcome"], document["error"]["type"]) == ("failed", "TlsFailed")
            assert "certificate refused" in document["error"]["message"]
            assert attempt["definite"]
        for front in fronts:
            wait_until(lambda front=front: front.refused == 5)  # type: ignore[misc]
            assert front.let_in == 0
        wait_until(lambda: len(line.sandbox.calls()) == before + len(neighbours))

        for front in fronts:
            front.show(authority.signed(HOST))
        with recovery.of(
            f"Base service's certificate {wrong}; the right one, and retried by hand",
            at_most="the calls' own time",
            until="all final",
        ):
            for context_id in ids:
                line.repository.retry(context_id)
            line.wait_until_final(ids, 20)
        line.assert_sound([*ids, *neighbours], Plan(retried=ids))
        assert all(front.let_in for front in fronts)
        worker.terminate()
        assert worker.wait(STOP_SECONDS) == 0
