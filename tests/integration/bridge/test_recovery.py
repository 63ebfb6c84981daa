"""What the broker lost is enqueued again at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.errors import BrokerUnavailable
from agent.projections.presence import LIVE
from agent.services import ANALYSIS, GENERATIVE
from bridge.recovery import GIVEN_UP, Recovery
from tests.factories import a_context, a_lease
from tests.integration.bridge.stage import OWNER, Stage
from tests.servers import RedisServer

GENEROUS = timedelta(seconds=90)


def claim(stage: Stage, count: int, service: str = "GENERATIVE") -> list[str]:
    """Contexts that a bridge has claimed; their messages are another matter."""
    stage.insert(*(f"{service}_{number:02}" for number in range(count)), service_type=service)
    claims = stage.repository.claim(service, calls=count, lease=GENEROUS, owner=OWNER)
    return sorted(each.context_id for each in claims)


def settle(stage: Stage) -> None:
    """The first look of a bridge."""
    stage.recovery.run()


def test_a_redis_that_lost_everything_gets_it_back(stage: Stage, redis_server: RedisServer) -> None:
    """At the next look, not when leases run out; each service in its own queue."""
    stage.beat()
    stage.insert(*(f"ctx_{number}" for number in range(5)))
    settle(stage)
    stage.admit.run()
    ids = claim(stage, 3, "ANALYSIS")
    before = stage.waiting(GENERATIVE)
    redis_server.flush()
    stage.recovery.run()
    assert sorted(stage.waiting(GENERATIVE)) == sorted(before)
    assert sorted(stage.ids_waiting(ANALYSIS)) == ids


def test_a_redis_that_lost_nothing_is_left_alone(stage: Stage) -> None:
    """Its mark is still there, so messages are not doubled."""
    stage.beat()
    stage.insert("ctx_1")
    settle(stage)
    stage.admit.run()
    for _ in range(3):
        stage.recovery.run()
    assert stage.ids_waiting(GENERATIVE) == ["ctx_1"]


def test_what_is_in_doubt_is_enqueued_again(stage: Stage) -> None:
    """An error amid the enqueuing says nothing about what arrived. Twice is no harm."""
    settle(stage)
    ids = claim(stage, 3)
    stage.admit.in_doubt = True
    stage.recovery.run()
    stage.recovery.run()
    assert sorted(stage.ids_waiting(GENERATIVE)) == ids
    assert stage.admit.in_doubt is False


@pytest.mark.parametrize(("took_over", "enqueued"), [(True, 3), (False, 0)])
def test_a_new_leader_looks_after_what_a_silent_one_left(
    stage: Stage, took_over: bool, enqueued: int
) -> None:
    """It may have died between claim and enqueuing; one that gave the lead up did not."""
    settle(stage)
    claim(stage, 3)
    _, recovery = stage.new_bridge()
    recovery.begin(took_over)
    assert len(stage.ids_waiting(GENERATIVE)) == enqueued


def test_what_could_not_be_enqueued_again_stays_in_doubt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look tries it again."""
    ids = claim(stage, 3)

    def fail(*_: object) -> None:
        raise BrokerUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr("bridge.admit.enqueue", fail)
        with pytest.raises(BrokerUnavailable):
            stage.recovery.run()
    stage.recovery.run()
    assert sorted(stage.ids_waiting(GENERATIVE)) == ids


def test_contexts_of_no_known_service_are_passed_over(stage: Stage) -> None:
    """Nobody could carry them out; the others go."""
    stage.repository.contexts.insert_one(
        a_context(status="queued", service_type="UNHEARD_OF", lease=a_lease())
    )
    ids = claim(stage, 2)
    settle(stage)
    assert sorted(stage.ids_waiting(GENERATIVE)) == ids


# Processes that died


def test_what_a_dead_process_had_fetched_goes_back(stage: Stage) -> None:
    """Into the queue, before its leases run out; what the living hold stays theirs."""
    stage.beat("w1")
    stage.beat("w2")
    stage.insert(*(f"ctx_{number}" for number in range(6)))
    settle(stage)
    stage.admit.run()
    fetched = stage.fetch(GENERATIVE, 2, "broker-w1")
    stage.fetch(GENERATIVE, 1, "broker-w2")
    stage.silence("w1", LIVE.total_seconds() + 2)
    stage.recovery.run()
    queue = stage.client.lrange(stage.key(GENERATIVE), 0, -1)
    assert len(queue) == 5
    assert set(fetched) <= set(queue)
    stage.recovery.run()
    assert len(stage.waiting(GENERATIVE)) == 5


def test_a_process_that_is_only_late_keeps_what_it_has(stage: Stage) -> None:
    """Until it is silent for longer than any living one would be."""
    stage.beat("w1")
    stage.insert("ctx_1")
    settle(stage)
    stage.admit.run()
    stage.fetch(GENERATIVE, 1)
    stage.silence("w1", LIVE.total_seconds() - 1)
    stage.recovery.run()
    assert stage.waiting(GENERATIVE) == []


def test_a_message_that_was_acknowledged_does_not_come_back(stage: Stage) -> None:
    """Its text is gone."""
    stage.beat("w1")
    stage.insert("ctx_1", "ctx_2")
    settle(stage)
    stage.admit.run()
    done, _ = stage.fetch(GENERATIVE, 2)
    stage.client.hdel(f"{stage.key(GENERATIVE)}.msgs", done)
    stage.silence("w1", LIVE.total_seconds() + 2)
    stage.recovery.run()
    assert len(stage.waiting(GENERATIVE)) == 1


def test_one_that_lives_again_and_dies_is_looked_at_again(stage: Stage) -> None:
    """It had been frozen, say."""
    settle(stage)
    for number in range(2):
        stage.beat("w1")
        stage.recovery.run()
        stage.insert(f"ctx_{number}")
        stage.admit.run()
        stage.fetch(GENERATIVE, len(stage.waiting(GENERATIVE)))
        stage.silence("w1", LIVE.total_seconds() + 2)
        stage.recovery.run()
        assert len(stage.waiting(GENERATIVE)) == number + 1


def test_what_one_had_fetched_that_never_showed_itself_goes_back(stage: Stage) -> None:
    """Redis lost its sign of life, and it died before the next one."""
    stage.beat("w1")
    stage.insert("ctx_1")
    settle(stage)
    stage.admit.run()
    stage.fetch(GENERATIVE, 1, "broker-gone")
    stage.client.zadd(f"{stage.settings.dramatiq_namespace}:__heartbeats__", {"broker-gone": 1})
    now = [0.0]
    recovery = Recovery(
        stage.repository, stage.client, stage.admit, stage.settings, stage.settings.registry,
        monotonic=lambda: now[0],
    )  # fmt: skip
    for seconds, waiting in ((0.0, 0), (GIVEN_UP.total_seconds(), 0), (1.0, 1), (60.0, 1)):
        now[0] += seconds
        recovery.run()
        assert len(stage.waiting(GENERATIVE)) == waiting
