"""When a schedule is due: by a line of crontab(5) in a time zone, or every so many seconds. Pure.

The clock change, as Debian's cron has it: where the clock is set ahead, what would be due at a time
of day that does not exist is due right after the gap, once; where it is set back, what is due at a
time that exists twice is due the first time. What begins with `*` in its minutes or its hours
repeats with real time: it is left out in the gap, and is due in both of the hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from agent.errors import RequestInvalid
from agent.intake.values import shown

FIELDS = 5
LONGEST_LINE = 200
LONGEST_ZONE = 64
MILLISECOND = timedelta(milliseconds=1)
"""As exactly as MongoDB stores a time."""


class Rule(Protocol):
    """Says when something is due."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time after a moment, in UTC; None if there will be none."""
        ...


@dataclass(frozen=True, slots=True)
class Cron:
    """Due as a line of crontab(5) says: minute, hour, day, month, weekday (0 and 7 are Sunday).

    Days and weekdays that are both given count as either, unless one of them begins with `*`.
    """

    line: str
    zone: tzinfo

    @classmethod
    def of(cls, line: str, zone: str) -> Cron:
        """The rule of a line.

        Raises:
            RequestInvalid: it cannot be read, or there is no such zone.
        """
        if len(line) > LONGEST_LINE:
            raise RequestInvalid(f"`cron` is longer than {LONGEST_LINE} characters")
        given = len(line.split())
        if given != FIELDS:
            raise RequestInvalid(
                f"`cron`: {shown(line)} has {given} fields, not {FIELDS}: "
                "minute, hour, day, month, weekday"
            )
        rule = cls(line, zone_of(zone))
        try:
            CronSim(line, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as exc:
            reason = str(exc).removeprefix("Bad ")
            raise RequestInvalid(f"`cron`: {shown(line)}: its {reason} cannot be") from exc
        return rule

    def next_after(self, moment: datetime) -> datetime | None:
        # in the second one of two equal hours the library begins with times of the first one
        for due in CronSim(self.line, moment.astimezone(self.zone)):
            found = due.astimezone(UTC)
            if found > moment:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Interval:
    """Due every so often since a beginning, which is the first time; whatever clocks show."""

    every: timedelta
    start_at: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        if moment < self.start_at:
            return self.start_at
        passed = (moment - self.start_at) // self.every
        try:
            return self.start_at + (passed + 1) * self.every
        except OverflowError:
            return None


def zone_of(name: str) -> tzinfo:
    """A time zone by its name in the IANA list.

    Raises:
        RequestInvalid: there is none of that name.
    """
    try:
        if len(name) <= LONGEST_ZONE:
            return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        pass
    raise RequestInvalid(f"`timezone`: {shown(name)} is none; write UTC, or Europe/Berlin")


def in_milliseconds(seconds: float) -> timedelta:
    """A duration as exactly as MongoDB stores times."""
    return round(timedelta(seconds=seconds) / MILLISECOND) * MILLISECOND
