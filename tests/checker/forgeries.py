"""What must not be: for every rule at least one run that breaks it, forged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.checker import Broker, Plan
from tests.checker.forged import ID, Run, a_call, a_lease, a_line, at, start

Forge = Callable[[Run], object]


class Forgery(NamedTuple):
    """A forged run, the rule that it breaks, and a part of what that says."""

    rule: str
    says: str
    forge: Forge


def _store(**fields: Any) -> Forge:
    return lambda run: run.stored.update(fields)


def _attempts(*attempts: tuple[int, int, str]) -> Forge:
    made = [{"number": number, "fence": fence, "outcome": how} for number, fence, how in attempts]
    return lambda run: run.attempts.__setitem__(slice(None), made)


def _call(index: int, **fields: Any) -> Forge:
    return lambda run: run.calls[index].update(fields)


def _change(name: str, **fields: Any) -> Forge:
    return lambda run: run.change(name, **fields)


def _tell(name: str, second: float, *removed: str, **fields: Any) -> Forge:
    return lambda run: run.tell(name, second, *removed, **fields)


def _broker(**fields: Any) -> Forge:
    return lambda run: setattr(run, "broker", Broker(**fields))


def _fail(kind: str, **fields: Any) -> Forge:
    return lambda run: run.fail(kind, **fields)


def _all(*forges: Forge) -> Forge:
    return lambda run: [forge(run) for forge in forges]


def _plan(**fields: Any) -> Forge:
    return lambda run: setattr(run, "plan", Plan(**fields))


def _gone_on_after_unknown(run: Run) -> None:
    run.change("insert", service_type="COMMUNICATION")
    run.attempts[0] |= {"outcome": "lost", "definite": False}


def _rescued_while_queued(run: Run) -> None:
    run.lines.append(a_line("context.rescued", fence=1, was="queued"))
    run.tell("rescue", 1.5, "lease", status="pending")
    del run.events["start 1"], run.events["retry"], run.events["promote"]


def _rescued_while_processing(run: Run) -> None:
    run.tell("retry", 3, "lease", status="scheduled", available_at=at(5), crashes=1)


def _started_over(run: Run) -> None:
    lease = {**a_lease(1, 2.5, token="token_9"), "owner": "another"}
    run.tell("start over", 2.5, lease=lease)


DOCUMENTS = (
    Forgery("is_there", "is lost", lambda run: setattr(run, "lost", True)),
    Forgery("is_final", "is processing, not final", _store(status="processing")),
    Forgery("holds_nothing", "still has a lease", _store(lease=a_lease(2, 8))),
    Forgery("holds_nothing", "still has accepted work", _store(remote={"status_url": "/1"})),
    Forgery("says_how_it_ended", "completed without results", _store(results=None)),
    Forgery("says_how_it_ended", "completed without completed_at", _store(completed_at=None)),
    Forgery("says_how_it_ended", "completed and has an error", _store(error={"type": "Odd"})),
    Forgery("says_how_it_ended", "failed without error", _store(status="failed")),
    Forgery(
        "says_how_it_ended",
        "cancelled without completed_at",
        _store(status="cancelled", completed_at=None),
    ),
    Forgery(
        "keeps_its_attempts_in_order",
        "the fence of its attempts does not rise",
        _attempts((1, 2, "retry"), (2, 2, "completed")),
    ),
    Forgery(
        "keeps_its_attempts_in_order",
        "the number of its attempts does not rise",
        _attempts((2, 1, "retry"), (2, 2, "completed")),
    ),
    Forgery("counts_its_attempts", "number of its last attempt is beyond", _store(attempt=1)),
    Forgery("counts_its_attempts", "fence of its last attempt is beyond", _store(fence=1)),
    Forgery("counts_its_attempts", "3 attempts with 2 claims", _store(attempt=3)),
    Forgery("completed_once", "completed with 0 attempts", _attempts((1, 1, "retry"))),
    Forgery(
        "completed_once",
        "completed with 2 attempts",
        _attempts((1, 1, "completed"), (2, 2, "completed")),
    ),
    Forgery(
        "completed_once",
        "cancelled with 1 attempts",
        _all(_store(status="cancelled"), _plan(cancelled=[ID])),
    ),
    Forgery("stays_within_its_limits", "21 failures of 20", _store(failures=21)),
    Forgery("stays_within_its_limits", "11 crashes of 10", _store(crashes=11)),
)

FAILURES = (
    Forgery("ends_as_planned", "planned was None", _all(_fail("TlsFailed"), _plan())),
    Forgery(
        "ends_as_planned",
        "failed with TlsFailed, planned was Forbidden or ServiceRejected",
        _all(_fail("TlsFailed"), _plan(may_fail={ID: ["ServiceRejected", "Forbidden"]})),
    ),
    Forgery("ends_as_planned", "completed, planned was Odd", _plan(failed={ID: "Odd"})),
    Forgery("ends_as_planned", "was cancelled, and nobody", _store(status="cancelled")),
    Forgery("begins_anew_as_planned", "is in generation 1", _store(generation=1)),
    Forgery("fails_for_a_reason", "it had 1 failures of 20", _fail("ServiceFailed")),
    Forgery("fails_for_a_reason", "does not park", _fail("OutcomeUnknown")),
    Forgery("fails_for_a_reason", "had not passed", _fail("DeadlineExceeded")),
    Forgery("fails_for_a_reason", "had not passed", _fail("DeadlineExceeded", deadline_at=at(600))),
    Forgery("fails_for_a_reason", "had not killed its workers", _fail("PoisonContext")),
    Forgery("fails_for_a_reason", "was never accepted", _fail("AcceptedTimeout")),
    Forgery("fails_for_a_reason", "it could be read", _fail("ContextUnreadable")),
    Forgery(
        "fails_by_a_reply_that_was_served",
        "a reply 422 that was never served",
        _fail("ServiceRejected", error={"status_code": 422}),
    ),
)

CALLS = (
    Forgery(
        "is_called_once_in_an_attempt",
        "called 3 times in 2 attempts",
        lambda run: run.calls.append(a_call(attempt=3)),
    ),
    Forgery("is_called_once_in_an_attempt", "sent twice in one attempt (2)", _call(0, attempt=2)),
    Forgery("is_called_only_when_started", "attempt 7, which nobody", _call(0, attempt=7)),
    Forgery("keeps_its_key", "another key: ctx_1:1", _call(1, idempotency_key="ctx_1:1")),
    Forgery(
        "keeps_its_key",
        "of a generation before",
        _all(
            _store(generation=1),
            _call(0, idempotency_key="ctx_1:1"),
            _plan(retried=[ID]),
        ),
    ),
    Forgery("has_a_result_that_was_served", "never served", lambda run: run.calls.pop()),
    Forgery("has_a_result_that_was_served", "never served", _call(1, status=500)),
    Forgery("has_a_result_that_was_served", "never served", _store(results={"text": "Bye"})),
    Forgery(
        "has_a_result_that_was_served",
        "never served",
        _call(1, request_id="req_2", idempotency_key="ctx_2"),
    ),
    Forgery(
        "has_a_result_that_was_served",
        "to another attempt",
        _all(_call(0, attempt=2), _call(1, attempt=1)),
    ),
    Forgery("sends_nothing_after_an_unknown_outcome", "outcome: [1]", _gone_on_after_unknown),
    Forgery(
        "is_delivered_once",
        "delivered 2 times under ctx_1",
        _all(_call(0, delivered=True), _call(1, delivered=True)),
    ),
)

CHANGES = (
    Forgery("begins_properly", "inserted as queued", _change("insert", status="queued")),
    Forgery(
        "moves_legally",
        "from completed to pending",
        _tell("again", 20, status="pending"),
    ),
    Forgery(
        "moves_legally",
        "from pending to processing",
        lambda run: run.events.pop("claim 2"),
    ),
    Forgery("moves_legally", "from queued to lost", _tell("odd", 7.5, status="lost")),
    Forgery(
        "is_written_by_us_alone",
        "was replaced",
        _tell("replace", 0.5, operation="replace", status="pending", fence=0),
    ),
    Forgery(
        "is_written_by_us_alone",
        "became completed without a date",
        _all(
            _change("renew", updated_at=at(8)),
            lambda run: run.events["complete"].fields.pop("updated_at"),  # type: ignore[attr-defined]
        ),
    ),
    Forgery("counts_never_fall", "the fence fell from 2 to 1", _change("complete", fence=1)),
    Forgery("counts_never_fall", "the attempt fell", _change("complete", attempt=0)),
    Forgery(
        "counts_never_fall",
        "the generation fell from 1 to 0",
        _all(_change("insert", generation=1), _change("complete", generation=0)),
    ),
    Forgery(
        "counts_never_fall",
        "the fence fell from 5 to 2",
        _all(_change("start 1", fence=5), lambda run: setattr(run, "missed", 6)),
    ),
    Forgery(
        "each_claim_raises_the_fence",
        "fence went from 1 to 1",
        _all(_change("claim 2", fence=1)),
    ),
    Forgery("each_claim_raises_the_fence", "from 0 to 2", _change("claim 1", fence=2)),
    Forgery("each_claim_raises_the_fence", "from 1 to 2", _change("start 1", fence=2)),
    Forgery("each_start_raises_the_attempt", "from 1 to 1", _change("start 2", attempt=1)),
    Forgery("each_start_raises_the_attempt", "from 2 to 3", _change("complete", attempt=3)),
    Forgery("each_retry_raises_the_generation", "0 to 1", _change("promote", generation=1)),
    Forgery(
        "each_retry_raises_the_generation",
        "began anew with 1 failures",
        _all(
            _fail("TlsFailed"),
            _tell("retry by hand", 20, status="pending", generation=1),
        ),
    ),
    Forgery(
        "is_completed_once",
        "completed 2 times in generation 0",
        _tell("again", 16, completed_at=at(16)),
    ),
    Forgery(
        "is_ended_by_its_holder",
        "says completed at fence 1, under which it became scheduled",
        lambda run: run.attempts[1].update(fence=1),
    ),
    Forgery("stays_as_it_ended", "was written: ['lease'", _tell("late", 16, lease=a_lease(2, 8))),
    Forgery("stays_as_it_ended", "'updated_at'", _tell("late", 16)),
    Forgery("waits_for_its_time", "pending 3.0 s before", _change("retry", available_at=at(9))),
    Forgery("waits_for_its_time", "queued 2.0 s before", _change("promote", available_at=at(9))),
    Forgery("changes_lead_to_the_document", "stored is 3", _store(fence=3)),
    Forgery("changes_lead_to_the_document", "lead to status", _store(status="failed")),
    Forgery("changes_lead_to_the_document", "nothing was told", lambda run: run.events.clear()),
)

LEASES = (
    Forgery("is_leased_in_flight", "queued without", _change("claim 1", lease={"owner": "me"})),
    Forgery("is_leased_in_flight", "pending with", _change("promote", lease=a_lease(1, 6))),
    Forgery(
        "is_started_by_its_claim",
        "for another claim",
        _change("start 2", lease=a_lease(1, 8, token="token_2")),
    ),
    Forgery(
        "is_started_by_its_claim",
        "without a token of its own",
        lambda run: start(run, 2, 8, lease=a_lease(2, 8)),
    ),
    Forgery(
        "is_started_by_its_claim",
        "without a token of its own",
        lambda run: start(run, 2, 8, lease=a_lease(2, 8, token="token_1")),
    ),
    Forgery("changes_hands_only_when_free", "directly", _started_over),
    Forgery("is_renewed_forwards", "its lease was cut", _change("renew", lease__expires_at=at(14))),
    Forgery("is_rescued_only_when_expired", "taken 29.0 s before", _rescued_while_processing),
    Forgery("is_rescued_only_when_expired", "taken 49.5 s before", _rescued_while_queued),
    Forgery("leases_never_overlap", "held by two for 25.0 s", _rescued_while_processing),
    Forgery("leases_never_overlap", "held by two for", _started_over),
)

LOGS = (
    Forgery(
        "is_said_to_be_completed_once",
        "by 2 workers, they say, at fences 1, 2",
        lambda run: run.lines[0].update(outcome="completed"),
    ),
    Forgery(
        "is_stored_as_it_was_said",
        "ended snooze at fence 1, its worker says; stored is retry",
        lambda run: run.lines[0].update(outcome="snooze"),
    ),
    Forgery(
        "is_rescued_once_from_each_owner",
        "more than once at fence 1",
        lambda run: run.lines.extend([a_line("context.rescued", fence=1, was="processing")] * 2),
    ),
)

BROKER = (
    Forgery("queues_are_empty", "generative: 2 messages", _broker(waiting={"generative": "ab"})),
    Forgery("nothing_is_unacked", "a.generative: 1", _broker(unacked={"a.generative": "a"})),
    Forgery("no_text_is_left", "the text of 1", _broker(kept={"generative.msgs": "a"})),
    Forgery("dead_letters_are_planned", "['a']", _broker(dead={"generative.XQ": "a"})),
    Forgery("names_only_what_there_is", "['ctx_9']", _broker(named={"dead": ["ctx_9"]})),
)

FORGERIES: Sequence[Forgery] = (
    *DOCUMENTS,
    *FAILURES,
    *CALLS,
    *CHANGES,
    *LEASES,
    *LOGS,
    *BROKER,
)
