"""When a schedule is due, also where the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RequestInvalid
from agent.intake.cron import Cron, Interval, in_milliseconds

BERLIN = "Europe/Berlin"
SPRING = datetime(2027, 3, 28, tzinfo=UTC)
"""At 1 UTC the clock goes from 2 to 3."""
AUTUMN = datetime(2027, 10, 31, tzinfo=UTC)
"""At 1 UTC the clock goes from 3 to 2."""
LINES = st.lists(
    st.one_of(
        st.sampled_from(["*", "*/7", "0", "5-9", "1,3", "mon", "JAN", "7", "31", "1/2", "L", "60"]),
        st.text(alphabet="0123456789*,-/#LWmonJAN ", max_size=6),
    ),
    min_size=5,
    max_size=5,
).map(" ".join)


def times(line: str, after: datetime, count: int, zone: str = "UTC") -> list[str]:
    """So many due times as the zone's clock shows them, each after the one before."""
    rule, found = Cron.of(line, zone), []
    for _ in range(count):
        due = rule.next_after(after)
        assert due is not None
        assert due > after
        assert due.tzinfo is UTC
        after = due
        local = due.astimezone(rule.zone)
        found.append(f"{local:%a %d.%m. %H:%M %z}".removesuffix("00"))
    return found


def days(line: str, count: int) -> list[str]:
    """The days, from Monday, 1 March 2027 on."""
    found = times(line, datetime(2027, 2, 28, 23, 59, tzinfo=UTC), count)
    return [each[:7].removesuffix(".") for each in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 0 * * 0", ["Sun 07", "Sun 14"]),
        ("0 0 * * 7", ["Sun 07", "Sun 14"]),
        ("0 0 * * sun", ["Sun 07", "Sun 14"]),
        ("0 0 * * 1", ["Mon 01", "Mon 08"]),
        ("0 0 * * 5-7", ["Fri 05", "Sat 06", "Sun 07", "Fri 12"]),
        ("0 0 * * mon-fri", ["Mon 01", "Tue 02", "Wed 03", "Thu 04", "Fri 05", "Mon 08"]),
        ("0 0 * * */2", ["Tue 02", "Thu 04", "Sat 06", "Sun 07", "Tue 09"]),
        ("0 0 * * Tue,SAT", ["Tue 02", "Sat 06", "Tue 09"]),
        ("0 0 13 * 5", ["Fri 05", "Fri 12", "Sat 13", "Fri 19"]),
        ("0 0 */10 * *", ["Mon 01", "Thu 11", "Sun 21", "Wed 31"]),
        ("0 0 1-20/10 * *", ["Mon 01", "Thu 11", "Thu 01"]),
        ("0 0 31 * *", ["Wed 31", "Mon 31"]),
    ],
)
def test_days_are_those_of_crontab(line: str, expected: list[str]) -> None:
    """0 and 7 are Sunday; a day and a weekday that are both given count as either."""
    assert days(line, len(expected)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("30 7 * * *", ["07:30"] * 2),
        ("0,30 8-9 * * *", ["08:00", "08:30", "09:00", "09:30", "08:00"]),
        ("*/20 0 * * *", ["00:00", "00:20", "00:40", "00:00"]),
        ("5/20 0 * * *", ["00:05", "00:25", "00:45", "00:05"]),
        ("10-30/10 23 * * *", ["23:10", "23:20", "23:30"]),
    ],
)
def test_minutes_and_hours_have_ranges_lists_and_steps(line: str, expected: list[str]) -> None:
    """As in crontab(5)."""
    found = times(line, datetime(2027, 2, 28, 23, 59, tzinfo=UTC), len(expected))
    assert [each[11:16] for each in found] == expected


def test_months_have_names() -> None:
    """In any case of letters, in lists and in ranges."""
    found = times("0 0 1 jan,Apr-JUN *", datetime(2027, 2, 1, tzinfo=UTC), 4)
    assert [each[4:10] for each in found] == ["01.04.", "01.05.", "01.06.", "01.01."]


def test_a_leap_day_is_waited_for() -> None:
    """Though it is years ahead."""
    due = Cron.of("0 0 29 2 *", "UTC").next_after(datetime(2096, 3, 1, tzinfo=UTC))
    assert due == datetime(2104, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("30 2 * * *", ["28.03. 03:00 +02", "29.03. 02:30 +02"]),
        ("0,30 2 * * *", ["28.03. 03:00 +02", "29.03. 02:00 +02", "29.03. 02:30 +02"]),
        ("0 2,3 * * *", ["28.03. 03:00 +02", "29.03. 02:00 +02"]),
        ("30 1 * * *", ["28.03. 01:30 +01", "29.03. 01:30 +02"]),
        ("30 3 * * *", ["28.03. 03:30 +02"]),
        ("*/30 * * * *", ["28.03. 01:30 +01", "28.03. 03:00 +02", "28.03. 03:30 +02"]),
        ("0 * * * *", ["28.03. 03:00 +02", "28.03. 04:00 +02"]),
        ("*/30 2 * * *", ["29.03. 02:00 +02", "29.03. 02:30 +02"]),
    ],
)
def test_a_time_that_does_not_exist_comes_right_after_the_gap(
    line: str, expected: list[str]
) -> None:
    """Once; but what repeats with real time has nothing there."""
    found = times(line, SPRING + timedelta(minutes=15), len(expected), BERLIN)
    assert [each[4:] for each in found] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("30 2 * * *", ["31.10. 02:30 +02", "01.11. 02:30 +01"]),
        ("0,30 1-3 * * *", ["31.10. 02:00 +02", "31.10. 02:30 +02", "31.10. 03:00 +01"]),
        ("*/30 * * * *",
         ["31.10. 02:00 +02", "31.10. 02:30 +02", "31.10. 02:00 +01", "31.10. 02:30 +01",
          "31.10. 03:00 +01"]),
        ("15 * * * *", ["31.10. 02:15 +02", "31.10. 02:15 +01", "31.10. 03:15 +01"]),
    ],
)  # fmt: skip
def test_a_time_that_exists_twice_comes_the_first_time(line: str, expected: list[str]) -> None:
    """But what repeats with real time comes in both of the hours."""
    found = times(line, AUTUMN - timedelta(minutes=15), len(expected), BERLIN)
    assert [each[4:] for each in found] == expected


def test_what_is_asked_for_in_the_second_of_two_hours_lies_ahead() -> None:
    """The same time by the clock has been, an hour ago."""
    second = AUTUMN + timedelta(hours=1, minutes=10)
    assert times("30 2 * * *", second, 1, BERLIN) == ["Mon 01.11. 02:30 +01"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * *", "6 fields"),
        ("@daily", "1 fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day-of-week"),
        ("*/0 * * * *", "minute"),
        ("9-5 * * * *", "minute"),
        ("1, * * * *", "minute"),
        ("+1 * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("0 0 30 2 *", "day-of-month"),
        ("0 " * 200, "longer than"),
    ],
)
def test_a_line_that_cannot_be_read_says_where(line: str, problem: str) -> None:
    """The field, or what is missing."""
    with pytest.raises(RequestInvalid, match=problem):
        Cron.of(line, "UTC")


@pytest.mark.parametrize(
    "zone", ["", "Nowhere", "Africa", "../etc/passwd", "/etc/passwd", "x" * 99]
)
def test_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    """Also a folder of zones, and a file elsewhere."""
    with pytest.raises(RequestInvalid, match="timezone"):
        Cron.of("* * * * *", zone)


@given(line=LINES, minutes=st.integers(0, 60 * 24 * 800), zone=st.sampled_from(["UTC", BERLIN]))
def test_whatever_is_given_is_refused_or_lies_ahead(line: str, minutes: int, zone: str) -> None:
    """And each time that follows lies behind the one before."""
    try:
        rule = Cron.of(line, zone)
    except RequestInvalid:
        return
    after = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    for _ in range(3):
        due = rule.next_after(after)
        if due is None:
            break
        assert due > after
        assert (due.second, due.microsecond) == (0, 0)
        after = due


def test_what_is_never_due_ends() -> None:
    """The first day of a month is no fifth Monday; nobody searches for ever."""
    assert Cron.of("0 0 */40 2 mon#5", "UTC").next_after(SPRING) is None


START = datetime(2027, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds_after", "expected"),
    [
        (-60.0, 0.0),
        (-0.001, 0.0),
        (0.0, 1.5),
        (0.001, 1.5),
        (1.499, 1.5),
        (1.5, 3.0),
        (3e6, 3000001.5),
    ],
)
def test_an_interval_is_counted_from_its_beginning(seconds_after: float, expected: float) -> None:
    """However often, without drifting; the beginning is its first time."""
    rule = Interval(in_milliseconds(1.5), START)
    due = rule.next_after(START + timedelta(seconds=seconds_after))
    assert due == START + timedelta(seconds=expected)


def test_an_interval_past_the_last_year_there_is_ends() -> None:
    """Rather than be an error."""
    rule = Interval(timedelta(days=3650), datetime(9995, 1, 1, tzinfo=UTC))
    assert rule.next_after(datetime(9996, 1, 1, tzinfo=UTC)) is None
