"""What happened in a run, and what must be true of it whatever died in between.

How it is used. `History` is all that is known of a run:

- the ids that were submitted and the documents in the end;
- `calls`, the sandbox's own record; `lines`, of the logs of workers and bridges;
- `record`, every change of every context as MongoDB told it: a `Recorder` follows the change
  stream from before the first insert (`with Recorder(uri, database_name) as recorder:`) and gives
  it as `recorder.record()`, with a `Gap` where something may be missing;
- `broker`, what Redis holds (`read_broker`).

`violations(history, plan)` is every sentence about what must not be, empty when the run was sound.
A `Plan` says what was done on purpose: what is to fail with what (`failed`), what may (`may_fail`,
`tolerated`), what operators `cancelled` and `retried`, what other programs `touched` or deleted
(`gone`), which `dead_letters` are ours. A mapping from id to type of error is a plan, too.

In fault tests a `Line` does all of it:

    line.assert_sound(ids)                                     # all complete, Redis drains
    line.assert_sound(ids, {lost: "OutcomeUnknown"})           # this one fails, and so
    line.assert_sound(ids, Plan(may_fail=…, cancelled=…, retried=…, touched=…, tolerated=…))
    line.assert_sound(ids, drained=False)                      # no worker is there to drain Redis

Every rule is a small function in the module of its subject (`documents`, `failures`, `calls`,
`changes`, `leases`, `logs`, `broker`), listed in `rules`. For each there is a forged history that
breaks it. A parent, of steps or of a batch, is held against those of `families` instead, beside its
children, which have to be among the ids.
"""

from tests.checker.broker import Broker
from tests.checker.events import ChangeEvent, Gap, Record
from tests.checker.history import Call, History, Life, request_id, sent, was_served
from tests.checker.plan import Plan
from tests.checker.recorder import Recorder
from tests.checker.redis_state import read_broker
from tests.checker.rules import Violation, all_violations, violations

__all__ = [
    "Broker",
    "Call",
    "ChangeEvent",
    "Gap",
    "History",
    "Life",
    "Plan",
    "Record",
    "Recorder",
    "Violation",
    "all_violations",
    "read_broker",
    "request_id",
    "sent",
    "violations",
    "was_served",
]
