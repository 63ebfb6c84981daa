"""All rules, and what in a history breaks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.checker import broker, calls, changes, documents, failures, leases, logs
from tests.checker.broker import Broker
from tests.checker.families import OF_PARENTS, families, is_parent
from tests.checker.history import History, Life
from tests.checker.plan import Plan, Types

ContextRule = Callable[[Life], Iterator[str]]
BrokerRule = Callable[[Broker, Plan], Iterator[str]]

EVEN_IF_TOUCHED: tuple[ContextRule, ...] = (
    documents.is_there,
    documents.is_final,
    documents.holds_nothing,
    failures.ends_as_planned,
    failures.begins_anew_as_planned,
    changes.begins_properly,
    changes.moves_legally,
    changes.is_written_by_us_alone,
    changes.counts_never_fall,
    changes.each_claim_raises_the_fence,
    changes.each_start_raises_the_attempt,
    changes.each_retry_raises_the_generation,
    changes.is_completed_once,
    changes.stays_as_it_ended,
    changes.waits_for_its_time,
    changes.changes_lead_to_the_document,
    leases.is_leased_in_flight,
    leases.is_started_by_its_claim,
    leases.changes_hands_only_when_free,
    leases.is_renewed_forwards,
    leases.is_rescued_only_when_expired,
    leases.leases_never_overlap,
)
"""The rules that hold whatever other programs write: what is theirs is known by its change."""

OF_OURS: tuple[ContextRule, ...] = (
    documents.says_how_it_ended,
    documents.keeps_its_attempts_in_order,
    documents.counts_its_attempts,
    documents.completed_once,
    changes.is_ended_by_its_holder,
    documents.stays_within_its_limits,
    failures.fails_for_a_reason,
    failures.fails_by_a_reply_that_was_served,
    calls.is_called_once_in_an_attempt,
    calls.is_called_only_when_started,
    calls.keeps_its_key,
    calls.has_a_result_that_was_served,
    calls.sends_nothing_after_an_unknown_outcome,
    calls.is_delivered_once,
    logs.is_said_to_be_completed_once,
    logs.is_stored_as_it_was_said,
    logs.is_rescued_once_from_each_owner,
)
"""The rules about documents that we alone wrote since they were inserted."""

OF_THE_BROKER: tuple[BrokerRule, ...] = (
    broker.queues_are_empty,
    broker.nothing_is_unacked,
    broker.no_text_is_left,
    broker.dead_letters_are_planned,
    broker.names_only_what_there_is,
)


class Violation(NamedTuple):
    """What must not be, and the rule that says so."""

    rule: str
    sentence: str


def violations(history: History, plan: Plan | Mapping[Any, Types] | None = None) -> list[str]:
    """Everything that must not be, one sentence each; empty when the run was sound.

    Args:
        plan: what was done on purpose, or only what is to fail, and with which type of error.
    """
    return [violation.sentence for violation in all_violations(history, plan)]


def all_violations(
    history: History, plan: Plan | Mapping[Any, Types] | None = None
) -> Iterator[Violation]:
    """The same, each with its rule."""
    made = plan if isinstance(plan, Plan) else Plan(failed=plan or {})
    lives = list(history.lives(made))
    for family in families(lives):
        for of_parents in OF_PARENTS:
            for sentence in of_parents(family):
                yield Violation(of_parents.__name__, f"{family.life.key}: {sentence}")
    for life in lives:
        if is_parent(life.document):
            continue
        for rule in EVEN_IF_TOUCHED if life.is_touched else (*EVEN_IF_TOUCHED, *OF_OURS):
            for sentence in rule(life):
                yield Violation(rule.__name__, f"{life.key}: {sentence}")
    if history.broker is not None:
        for check in OF_THE_BROKER:
            for sentence in check(history.broker, made):
                yield Violation(check.__name__, sentence)
