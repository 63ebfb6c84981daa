"""What a seed came to: a line for people, an object for programs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Report:
    """One seed's run.

    Args:
        faults: those that struck, and how often each.
        contexts: that were acknowledged.
        calls: that the services were sent.
        recovered_seconds: from when all was put right until every context was final.
        problems: what must not be; none of them when the run was sound.
        folder: where its logs are.
    """

    seed: int
    folder: str = ""
    faults: dict[str, int] = field(default_factory=dict)
    contexts: int = 0
    calls: int = 0
    recovered_seconds: float | None = None
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.problems

    @property
    def command(self) -> str:
        """Which runs this seed again, alone."""
        return f"make nemesis SEEDS={self.seed}"

    def line(self) -> str:
        """For people."""
        verdict = "sound" if self.is_sound else "FAILED"
        recovered = "-" if self.recovered_seconds is None else f"{self.recovered_seconds:.1f} s"
        faults = ", ".join(
            f"{name} {count}x" if count > 1 else name for name, count in self.faults.items()
        )
        return (
            f"seed {self.seed:>4}  {verdict}  contexts {self.contexts:>4}  calls {self.calls:>4}"
            f"  recovered in {recovered:>7}  took {self.seconds:>5.1f} s"
            f"  faults {sum(self.faults.values())}: {faults}"
        )

    def reason(self) -> str:
        """Why it failed, where its logs are, and how it is run again."""
        problems = "\n".join(f"  {each}" for each in self.problems)
        return f"{problems}\n  logs: {self.folder}\n  again: {self.command}"

    def as_json(self) -> str:
        """For programs, in one line."""
        return json.dumps({**asdict(self), "sound": self.is_sound, "command": self.command})

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The reverse."""
        known: dict[str, Any] = json.loads(text)
        return cls(**{name: known[name] for name in cls.__dataclass_fields__})


def summary(reports: list[Report]) -> str:
    """All seeds in two lines."""
    failed = [report.seed for report in reports if not report.is_sound]
    faults: Counter[str] = Counter()
    for report in reports:
        faults.update(report.faults)
    times = sorted(each.recovered_seconds for each in reports if each.recovered_seconds is not None)
    recovered = f", recovered in {_at(times, 0.5):.1f} s (median), {times[-1]:.1f} s (longest)"
    told = ", ".join(f"{name} {count}" for name, count in faults.most_common())
    return (
        f"{len(reports)} seeds, {len(reports) - len(failed)} sound, {len(failed)} failed"
        f"{f' ({_words(failed)})' if failed else ''}; "
        f"{sum(each.contexts for each in reports)} contexts, "
        f"{sum(each.calls for each in reports)} calls{recovered if times else ''}\n"
        f"{sum(faults.values())} faults: {told}"
    )


def _words(seeds: list[int]) -> str:
    return " ".join(map(str, seeds))


def _at(times: list[float], part: float) -> float:
    return times[min(len(times) - 1, int(len(times) * part))]
