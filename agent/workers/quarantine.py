"""Quarantine: a context that was there when processes died is carried out in a child of its own.

Only the child can die of it then, and its death proves that the context kills. A fresh interpreter
and no fork: a fork of a process with threads inherits their locks, taken for ever.

Run as a module it is the child: it reads one job from its standard input and writes the outcome to
its standard output, both as BSON.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import bson

from agent import outcomes
from agent.models import Document, ErrorRecord
from agent.outcomes import Kind, Outcome
from agent.services import import_worker
from agent.store.connection import CODEC
from agent.store.raw import decode
from agent.workers.call import Attempt
from agent.workers.worker_base import ClientWorker

READY = b"ready\n"
"""What the child writes first: from there on, whatever ends it is the context's doing."""
START_SECONDS = 20.0
"""For the interpreter of the child to start, beside the time of the call itself."""


def carry_out_alone(worker: ClientWorker, context: Document, attempt: Attempt) -> Outcome:
    """One attempt in a process of its own.

    Never raises an `Exception`: what becomes of the process has its outcome, too.
    """
    timeout = max(0.0, attempt.deadline - time.monotonic())
    job = {
        "worker": f"{type(worker).__module__}:{type(worker).__qualname__}",
        "given": worker.given(),
        "context": context,
        "number": attempt.number,
        "timeout": timeout,
        "now": attempt.now(),
        "trace_id": attempt.trace_id,
    }
    try:
        text = bson.encode(job, codec_options=CODEC)
        if attempt.before_send is not None:
            attempt.before_send()  # what the child does may have its effect at once
    except Exception as exc:
        return worker.outcome_of(exc)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agent.workers.quarantine", str(os.getpid())],
            input=text,
            stdout=subprocess.PIPE,
            timeout=timeout + START_SECONDS,
            check=False,
            start_new_session=True,  # a stop signal to our group is not the context's doing
        )
    except subprocess.TimeoutExpired:
        error = ErrorRecord(
            type="OutcomeUnknown", message="its quarantine did not end within the deadline"
        )
        return outcomes.ambiguous(error, worker.policy)
    except OSError as exc:
        return outcomes.retry(ErrorRecord(type="QuarantineFailed", message=str(exc.strerror)))
    if not done.stdout.startswith(READY):
        message = f"the process of its own did not start (exit code {done.returncode})"
        return outcomes.retry(ErrorRecord(type="QuarantineFailed", message=message))
    return _outcome_in(done.stdout.removeprefix(READY)) or _poison(done.returncode)


def _outcome_in(output: bytes) -> Outcome | None:
    try:
        found = decode(output)
    except Exception:  # a child that died wrote nothing, or half of it
        return None
    error = found.get("error")
    return Outcome(
        kind=Kind(found["kind"]),
        results=found.get("results"),
        error=ErrorRecord.model_validate(error) if error else None,
        delay=_duration(found.get("delay")),
        remote_url=found.get("remote_url"),
        pause=_duration(found.get("pause")),
        definite=found["definite"],
    )


def _poison(code: int) -> Outcome:
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    message = f"it ended the process of its own that it was carried out in ({how})"
    return outcomes.failed(ErrorRecord(type="PoisonContext", message=message), definite=False)


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


# The child


def main() -> None:
    """Read a job, carry it out, write its outcome."""
    die_with_parent(int(sys.argv[1]))
    job = decode(sys.stdin.buffer.read())
    # what the worker's own code prints must not mix with the outcome
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    begun = time.monotonic()
    worker: ClientWorker = import_worker(job["worker"])(**job["given"])
    attempt = Attempt(
        number=job["number"],
        deadline=begun + job["timeout"],
        now=lambda: job["now"] + timedelta(seconds=time.monotonic() - begun),
        trace_id=job["trace_id"],
    )
    output.write(READY)
    output.flush()
    try:
        outcome = worker.carry_out(job["context"], attempt=attempt)
    except BaseException as exc:  # what it says may be the payload, so no traceback is printed
        sys.stderr.write(f"quarantine ended by {type(exc).__name__}\n")
        sys.stderr.flush()
        os._exit(1)
    output.write(bson.encode(_as_document(outcome), codec_options=CODEC))
    output.close()
    os._exit(0)  # threads of the worker's own code do not keep the child


def _as_document(outcome: Outcome) -> dict[str, Any]:
    found = asdict(outcome)
    found["kind"] = str(outcome.kind)
    found["error"] = outcome.error.model_dump(exclude_none=True) if outcome.error else None
    for name in ("delay", "pause"):
        found[name] = found[name].total_seconds() if found[name] is not None else None
    return found


def die_with_parent(parent: int) -> None:
    """Have the system end this process when its parent is gone: nobody waits for the outcome."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
