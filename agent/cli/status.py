"""`agent status`: what each service has, and what keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson
from agent.cli.output import add_row, console, new_table, say, say_json
from agent.errors import BrokerUnavailable
from agent.words import ago, moment, visible

if TYPE_CHECKING:
    from agent.projections.presence import WorkerView
    from agent.store.services import Pause

COLUMNS = (
    "service", "state", "pending", "sched.", "in\nflight", "compl.", "failed", "oldest", "workers",
)  # fmt: skip
NOBODY = "(no service)"
"""Documents of other programs that were not adopted yet say no service of their own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One service type. What only Redis knows is None while it is away."""

    service: str
    state: str
    pause: Pause | None
    counts: Mapping[str, int]
    oldest: datetime | None
    workers: int | None
    threads: int | None

    @property
    def in_flight(self) -> int:
        return self.counts.get("queued", 0) + self.counts.get("processing", 0)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything, at one moment of the database's clock."""

    now: datetime
    rows: list[Row]
    leader: Mapping[str, Any] | None
    redis_error: str | None


def status(*, as_json: AsJson = False) -> None:
    """Show what each service has: its state, what waits, runs and is done, and its workers.

    Works while Redis is away, and says so: then only the workers are not known.
    """
    with opened() as found:
        overview = look(found)
    if as_json:
        say_json(as_document(overview))
    else:
        _print(overview)


def look(found: Opened) -> Overview:
    """Ask both servers.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    from agent.admission.gate import gate_state

    repository = found.repository
    counts, oldest = repository.count_by_status(), repository.oldest_pending()
    states = repository.service_states()
    now = repository.now()
    workers, redis_error = _workers(found)
    rows = []
    for name in dict.fromkeys([*found.settings.registry, *counts]):
        stored = states.get(name)
        pause = stored.pause if stored is not None else None
        mine = None if workers is None else _serving(workers, name)
        rows.append(
            Row(
                service=NOBODY if name in ("?", "None") else name,
                state=str(gate_state(pause, now)),
                pause=pause,
                counts=counts.get(name, {}),
                oldest=oldest.get(name),
                workers=None if mine is None else len(mine),
                threads=None if mine is None else _threads(mine, name),
            )
        )
    return Overview(now, rows, repository.leader(), redis_error)


def _workers(found: Opened) -> tuple[list[WorkerView] | None, str | None]:
    from agent.logs import mask_secrets
    from agent.projections.presence import Presence

    try:
        return Presence(found.client, found.settings.namespace).live(), None
    except BrokerUnavailable as exc:
        return None, mask_secrets(str(exc))


def _serving(workers: list[WorkerView], name: str) -> list[WorkerView]:
    return [view for view in workers if name in view.service_types and not view.draining]


def _threads(workers: list[WorkerView], name: str) -> int:
    from agent.projections.presence import threads_by_service

    return threads_by_service(workers).get(name, 0)


def as_document(overview: Overview) -> dict[str, Any]:
    """The overview for programs."""
    return {
        "now": overview.now,
        "bridge": dict(overview.leader) if overview.leader is not None else None,
        "redis": {"ok": overview.redis_error is None, "error": overview.redis_error},
        "services": {row.service: service_document(row) for row in overview.rows},
    }


def service_document(row: Row) -> dict[str, Any]:
    """One service for programs."""
    pause = row.pause
    return {
        "state": row.state,
        "pause": None
        if pause is None
        else {"by": pause.by, "reason": pause.reason, "since": pause.since, "until": pause.until},
        "contexts": dict(row.counts),
        "oldest_pending_at": row.oldest,
        "workers": row.workers,
        "threads": row.threads,
    }


def _print(overview: Overview) -> None:
    table = new_table(COLUMNS, right=COLUMNS[2:])
    for row in overview.rows:
        unknown = row.workers is None
        add_row(
            table,
            row.service,
            row.state,
            row.counts.get("pending", 0),
            row.counts.get("scheduled", 0),
            row.in_flight,
            row.counts.get("completed", 0),
            row.counts.get("failed", 0),
            ago(row.oldest, overview.now),
            "?" if unknown else f"{row.workers}/{row.threads}",
        )
    console().print(table)
    say("")
    for line in remarks(overview):
        say(visible(line))


def remarks(overview: Overview) -> Iterator[str]:
    """What the table does not say, a line each."""
    leader = overview.leader
    if leader is None:
        yield "bridge: none leads, so nothing starts except by workers that run alone"
    else:
        yield f"bridge: {leader.get('owner')} leads since {moment(leader.get('since'))}"
    if overview.redis_error is not None:
        yield f"redis: away ({overview.redis_error}); which workers live is not known"
    for row in overview.rows:
        if row.pause is not None:
            yield f"{row.service}: {paused(row.pause, row.state)}"
        if row.workers == 0 and row.counts.get("pending", 0):
            yield f"{row.service}: no worker is alive for it"


def paused(pause: Pause, state: str) -> str:
    """A pause in words."""
    if state == "probing":
        return f"was paused by {pause.by}, one call finds out whether it is well ({pause.reason})"
    end = "somebody resumes it" if pause.until is None else moment(pause.until)
    return f"paused by {pause.by} until {end} ({pause.reason})"
