"""What an outcome means beside those of other contexts, as far as this process can see."""

from __future__ import annotations

from datetime import datetime, timedelta

import redis

from agent import outcomes
from agent.errors import BrokerUnavailable
from agent.models import context_key
from agent.outcomes import Kind, Outcome
from agent.projections.signals import LocalSignals, SharedSignals, Signals, SignalView
from agent.settings import Settings
from agent.workers.running import Run
from agent.workers.settle import is_failing, is_forbidden, weigh

FORBIDDEN_STREAK = 5
"""403s in a row from different contexts: then it is the key, not the context."""
FORBIDDEN_PAUSE = timedelta(seconds=60)


class Judge:
    """Records outcomes, and weighs them against what was recorded.

    Args:
        signals: where outcomes are noted; `LocalSignals` answer by themselves.
        client: Redis, where all processes flush what they noted; None with `LocalSignals`.
    """

    def __init__(self, signals: Signals, client: redis.Redis | None, settings: Settings) -> None:
        self._signals = signals
        self._client = client
        self._view: SignalView
        if client is not None:
            self._view = SharedSignals(client, settings.namespace)
        else:
            assert isinstance(signals, LocalSignals)
            self._view = signals

    def record(self, run: Run, outcome: Outcome, seconds: float, pickup: float | None) -> None:
        """Note how an attempt ended."""
        self._signals.record(
            run.service_type,
            outcome=str(outcome.kind),
            failing=is_failing(outcome),
            forbidden=is_forbidden(outcome),
            context_key=context_key(run.claim.context_id),
            seconds=seconds,
            pickup_seconds=pickup,
        )

    def weigh(self, run: Run, outcome: Outcome, now: datetime) -> Outcome:
        """The outcome that counts: 403s in a row are the key's fault, and a context that is
        refused while others succeed is at fault itself."""
        if outcome.kind is Kind.FAILED and is_forbidden(outcome) and self._is_key_refused(run):
            assert outcome.error is not None
            outcome = outcomes.snooze(outcome.error, FORBIDDEN_PAUSE, FORBIDDEN_PAUSE)
        if outcome.kind is not Kind.SNOOZE:
            return outcome
        alone = self._is_refused_alone(run, outcome, now)
        return weigh(outcome, run.document, refused_alone=alone)

    def _is_key_refused(self, run: Run) -> bool:
        try:
            if self._client is not None:
                self._signals.flush(self._client)
            return self._view.forbidden_streak(run.service_type) >= FORBIDDEN_STREAK
        except BrokerUnavailable:
            return False

    def _is_refused_alone(self, run: Run, outcome: Outcome, now: datetime) -> bool:
        """Whether others of its service have succeeded since this one was last refused."""
        refused = outcome.error is not None and outcome.error.status_code in (403, 429)
        attempts = run.document.get("attempts")
        if not refused or not attempts or not run.document.get("snoozes"):
            return False
        newest = attempts[-1] if isinstance(attempts, list) else None
        last = newest.get("finished_at") if isinstance(newest, dict) else None
        if not isinstance(last, datetime):
            return False
        try:
            window = self._view.window([run.service_type])[run.service_type]
        except BrokerUnavailable:
            return False
        age = window.last_success_age_seconds
        return age is not None and age < (now - last).total_seconds()
