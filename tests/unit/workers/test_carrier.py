"""What a process looks at before it takes its first context."""

from __future__ import annotations

import pytest

from agent.errors import ConfigurationError, UnknownServiceType
from agent.projections.signals import LocalSignals
from agent.settings import Settings
from agent.workers.carrier import Carrier
from agent.workers.generative_worker import GenerativeWorker


def test_a_service_without_an_address_is_told_before_the_first_context() -> None:
    """Without asking any server; those that are served elsewhere need none."""
    worker = GenerativeWorker(base_url="http://base.example")
    carrier = Carrier(Settings(), "worker:1", workers={"GENERATIVE": worker})
    carrier.check(["GENERATIVE"])
    with pytest.raises(ConfigurationError, match="ANALYSIS_BASE_URL is not set"):
        carrier.check(["GENERATIVE", "ANALYSIS"])


def test_a_service_that_there_is_not_is_told() -> None:
    """With those that there are."""
    with pytest.raises(UnknownServiceType, match="known are GENERATIVE"):
        Carrier(Settings(), "worker:1").check(["TRANSLATION"])


def test_only_workers_that_run_alone_do_without_redis() -> None:
    """What they saw stays in their process."""
    worker = GenerativeWorker(base_url="http://base.example")
    alone = Carrier(Settings(), "worker:1", workers={"GENERATIVE": worker})
    assert isinstance(alone.signals, LocalSignals)
    assert not isinstance(Carrier(Settings(), "worker:1").signals, LocalSignals)
    assert alone.running == []
