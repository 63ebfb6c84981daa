"""Schedules on a real server: each due time fires once, whoever does it and whoever dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.monitoring import CommandListener, CommandStartedEvent

from agent.duties import fire
from agent.duties.fire import Fire
from agent.duties.roster import Roster
from agent.errors import AlreadyStored, RequestInvalid, ScheduleNotFound, StoreUnavailable
from agent.intake.schedule import Schedule, fired_id
from agent.intake.schedules import Schedules, read_schedule
from agent.models import Document
from agent.settings import Settings
from agent.store.clock import ServerClock
from agent.store.connection import connect
from agent.store.mongo_context_repository import MongoContextRepository
from tests.faults.proxy import Proxy

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
INLINE = {"service_type": "ANALYSIS", "service_template": {}}
STEPS = {
    "steps": [
        {"key": "a", "service_type": "ANALYSIS", "service_template": {}},
        {"key": "b", "service_type": "ANALYSIS", "service_template": {}, "after": ["a"]},
    ]
}


class House:
    """Schedules, and the duty that fires them."""

    def __init__(self, repository: MongoContextRepository) -> None:
        repository.create_indexes()
        self.repository = repository
        self.schedules = Schedules.of(repository)
        self.fire = Fire.of(repository)

    def add(self, name: str = "s", template: Any = INLINE, **fields: Any) -> Document:
        """Store an hourly one, but for what a test says."""
        request = {"template": template, **fields.pop("request", {})}
        body = {"name": name, "request": request, "every_seconds": 3600, **fields}
        return self.schedules.add(read_schedule(body))

    def later(self, past: timedelta, name: str = "s") -> datetime:
        """Have so much time pass for a schedule since it was due; when that was."""
        due = self.repository.now() - past
        moved = {"next_at": due, "start_at": due}
        self.stored.update_one({"_id": name}, {"$set": moved})
        return due

    def run(self) -> int:
        """Fire as a bridge does that begins to lead."""
        return Fire.of(self.repository).run()

    def read(self, name: str = "s") -> Document:
        return self.schedules.find(name)

    @property
    def stored(self) -> Any:
        return self.repository.database["schedules"]

    @property
    def ids(self) -> list[str]:
        """All contexts that are no steps, in order."""
        found = self.repository.contexts.find({"parent_id": None})
        return sorted(document["_id"] for document in found)


@pytest.fixture
def house(repository: MongoContextRepository) -> House:
    return House(repository)


def test_what_is_due_becomes_a_context_of_that_time(house: House) -> None:
    """It says of which schedule and time it is, and the next time is an hour on."""
    house.add(request={"data": {"name": "Ann"}, "metadata": {"team": "a"}, "priority": 2})
    assert house.run() == 0
    due = house.later(timedelta(seconds=1))
    assert house.run() == 1
    [context_id] = house.ids
    assert context_id == fired_id("s", due)
    context = house.repository.find_context(context_id)
    assert (context["source"], context["status"], context["priority"]) == ("schedule", "pending", 2)
    assert context["request"]["data"] == {"name": "Ann"}
    schedule = {"name": "s", "due_at": due.isoformat()}
    assert context["request"]["metadata"] == {"team": "a", "schedule": schedule}
    stored = house.read()
    assert (stored["next_at"], stored["last_ids"], stored["fired"]) == (due + HOUR, house.ids, 1)
    assert house.run() == 0
    assert len(house.ids) == 1


def test_a_request_of_steps_is_fired_whole(house: House) -> None:
    """Under one id, from which those of its steps come."""
    house.add(template=STEPS)
    due = house.later(timedelta(seconds=1))
    house.run()
    assert house.ids == [fired_id("s", due)]
    children = house.repository.children_of(house.ids[0])
    assert {child["_id"] for child in children} == {f"{house.ids[0]}_{key}" for key in "ab"}


@pytest.mark.parametrize("template", [INLINE, STEPS], ids=["context", "steps"])
def test_one_that_was_stored_before_its_bridge_died_is_not_stored_again(
    house: House, template: Any
) -> None:
    """The next one finds it there, and goes on to the next due time."""
    house.add(template=template)
    due = house.later(timedelta(seconds=1))
    house.schedules.fire(house.read(), due)
    if template is STEPS:
        house.repository.contexts.delete_one({"_id": f"{house.ids[0]}_a"})
    assert house.read()["next_at"] == due
    assert house.run() == 1
    assert len(house.ids) == 1
    assert house.read()["next_at"] == due + HOUR
    assert len(house.repository.children_of(house.ids[0])) == (2 if template is STEPS else 0)


@pytest.mark.parametrize("lost", [b"sch_s@", b"last_fired_at"], ids=["stored", "advanced"])
def test_an_answer_that_is_lost_fires_nothing_twice(
    house: House, distant: MongoContextRepository, network: Proxy, lost: bytes
) -> None:
    """Whether it was stored is open then; the next run finds out."""
    house.add()
    house.later(timedelta(seconds=1))
    network.lose_answer_to(lost)
    with suppress(StoreUnavailable):  # the driver may try again by itself
        Fire.of(distant).run()
    assert network.lost_answers == 1
    house.run()
    assert len(house.ids) == 1
    assert house.read()["fired"] == 1


@pytest.mark.parametrize(("catch_up", "fires"), [("all", 6), ("one", 1), ("none", 0)])
def test_what_was_missed_is_caught_up_as_the_schedule_says(
    house: House, catch_up: str, fires: int
) -> None:
    """Every time, one for all, or none; and then it goes on as before."""
    house.add(catch_up=catch_up)
    due = house.later(5 * HOUR + 30 * MINUTE)
    for _ in range(3):
        house.run()
    assert house.read()["next_at"] == due + 6 * HOUR
    assert house.ids == [fired_id("s", due + number * HOUR) for number in range(fires)]


def test_a_long_past_is_caught_up_in_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that other schedules get their turn, and other duties."""
    monkeypatch.setattr(fire, "MOST_OF_ONE", 3)
    house.add(catch_up="all")
    house.add("other")
    house.later(7 * HOUR + 30 * MINUTE)
    house.later(timedelta(seconds=1), "other")
    assert house.fire.run() == 4
    assert house.fire.run() == 3
    assert house.fire.run() == 2
    assert house.fire.run() == 0
    assert len(house.ids) == 9


def test_many_at_once_all_fire(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one look brings."""
    monkeypatch.setattr(fire, "PAGE", 4)
    monkeypatch.setattr(MongoContextRepository.upcoming_schedules, "__defaults__", (4,))
    for number in range(11):
        house.add(f"s{number}")
        house.later(MINUTE, f"s{number}")
    assert house.run() == 11
    assert len(house.ids) == 11


def test_twelve_threads_at_once_fire_each_due_time_once(house: House) -> None:
    """Each as if it alone led; thirty due times of one schedule, and steps of another."""
    house.add(catch_up="all")
    house.add("steps", STEPS, catch_up="all")
    due = house.later(29 * HOUR + 30 * MINUTE)
    house.later(4 * HOUR + 30 * MINUTE, "steps")
    begin = threading.Barrier(12)
    errors: list[BaseException] = []

    def lead() -> None:
        duty = Fire.of(house.repository)
        begin.wait(20)
        try:
            duty.run()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=lead) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    house.run()
    one = [each for each in house.ids if each.startswith("sch_s@")]
    assert one == [fired_id("s", due + number * HOUR) for number in range(30)]
    assert len(house.ids) == 35
    assert (house.read()["fired"], house.read("steps")["fired"]) == (30, 5)
    assert house.repository.contexts.count_documents({"parent_id": {"$type": "string"}}) == 10


def test_a_schedule_replaced_while_it_is_fired_keeps_its_own_time(house: House) -> None:
    """Who fires the old one writes nothing into the new one."""
    old = house.add()
    house.later(MINUTE)
    old = house.read()
    replaced = _spec(name="s", cron="0 0 1 1 *")
    new = house.schedules.add(replaced, replace=True)
    house.stored.update_one({"_id": "s"}, {"$set": {"next_at": old["next_at"]}})
    assert not house.repository.advance_schedule(old, old["next_at"] + HOUR, fired="x")
    assert house.read()["last_ids"] == []
    assert house.read()["cron"] == new["cron"]


def _spec(**fields: Any) -> Schedule:
    return read_schedule({"name": "s", "request": {"template": INLINE}, **fields})


def test_one_that_is_paused_is_not_due_and_catches_nothing_up(house: House) -> None:
    """Resumed, it goes on with the next time ahead."""
    house.add(catch_up="all")
    house.schedules.pause("s")
    due = house.later(2 * HOUR + 30 * MINUTE)
    assert house.run() == 0
    assert house.schedules.resume("s")["next_at"] == due + 3 * HOUR
    assert house.run() == 0
    assert house.ids == []


def test_one_that_still_runs_is_not_asked_for_again(house: House) -> None:
    """Where its request has a unique key: the due time passes, and the next one fires again."""
    house.add(request={"unique_key": "nightly"})
    first = house.later(timedelta(seconds=1))
    assert house.run() == 1
    second = house.later(timedelta(milliseconds=1))
    assert house.run() == 0
    assert house.schedules.run_now("s") == fired_id("s", first)
    assert house.read()["next_at"] == second + HOUR
    house.repository.cancel(house.ids[0])
    third = house.later(timedelta(milliseconds=1))
    assert house.run() == 1
    assert house.ids == [fired_id("s", first), fired_id("s", third)]
    assert house.read()["fired"] == 2


def test_one_is_run_now_beside_its_due_times(house: House) -> None:
    """Also while it is paused; its next time stays."""
    stored = house.add(paused=True)
    ids = [house.schedules.run_now("s") for _ in range(2)]
    assert house.ids == sorted(ids)
    after = house.read()
    assert (after["next_at"], after["last_ids"], after["paused"]) == (stored["next_at"], ids, True)


def test_a_request_that_does_not_work_any_more_is_told_and_costs_only_itself(house: House) -> None:
    """Its next time comes all the same, and clears the error when it works again."""
    body = {"id": "t", "version": "1.0", "service_type": "ANALYSIS", "service_template": {}}
    house.repository.store_template(body)
    request = {"template_id": "t"}
    house.schedules.add(read_schedule({"name": "s", "request": request, "every_seconds": 3600}))
    house.add("other")
    house.repository.database["templates"].delete_many({})
    for name in ("s", "other"):
        house.later(MINUTE, name)
    assert house.run() == 1
    assert "'t'" in house.read()["last_error"]
    assert house.read()["next_at"] > house.repository.now()
    assert len(house.ids) == 1
    house.repository.store_template(body)
    house.later(MINUTE)
    assert house.run() == 1
    assert house.read()["last_error"] is None


@pytest.mark.parametrize(
    "wrong",
    [{"cron": "x", "timezone": "UTC"}, {"every_seconds": 0}, {"catch_up": "some"}, {"request": 7}],
    ids=["cron", "interval", "catch up", "request"],
)
def test_one_that_another_program_made_unreadable_stops_nobody(
    house: House, wrong: Document
) -> None:
    """It is paused with the reason, or tells it and goes on; the others fire."""
    house.add()
    house.add("other")
    for name in ("s", "other"):
        house.later(MINUTE, name)
    house.stored.update_one({"_id": "s"}, {"$set": wrong})
    house.stored.insert_one({"_id": "foreign", "paused": False, "next_at": house.repository.now()})
    assert house.run() == 1
    assert [each[:9] for each in house.ids] == ["sch_other"]
    assert house.read()["last_error"]
    assert house.read("foreign")["paused"]
    assert house.run() == 0


def test_what_is_not_there_is_said_to_be(house: House) -> None:
    """Whatever is asked of it."""
    asked = (
        house.schedules.find, house.schedules.pause, house.schedules.resume,
        house.schedules.remove, house.schedules.run_now,
    )  # fmt: skip
    for ask in asked:
        with pytest.raises(ScheduleNotFound, match="'gone'"):
            ask("gone")


def test_two_of_one_name_are_refused_unless_one_replaces_the_other(house: House) -> None:
    """And a removed one leaves its name free."""
    house.add()
    with pytest.raises(AlreadyStored, match="'s'"):
        house.add(every_seconds=7200)
    house.schedules.add(_spec(every_seconds=7200), replace=True)
    assert house.read()["every_seconds"] == 7200
    house.schedules.remove("s")
    house.add()


@pytest.mark.parametrize(
    "request_",
    [
        {"template_id": "gone"}, {}, {"nonsense": 1},
        {"template": INLINE, "available_at": "2030-01-01"},
        {"template": INLINE, "deadline_at": "2030-01-01"},
    ],
    ids=["no template", "empty", "unknown field", "its own time", "its own end"],
)  # fmt: skip
def test_a_schedule_whose_request_cannot_work_is_refused(house: House, request_: Document) -> None:
    """When it is stored, not at night when it is due."""
    with pytest.raises(RequestInvalid):
        house.schedules.add(read_schedule({"name": "s", "request": request_, "every_seconds": 60}))
    assert house.stored.count_documents({}) == 0


class Counted(CommandListener):
    """How many commands were sent."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, _event: CommandStartedEvent) -> None:
        self.count += 1

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def watched(quick_settings: Settings, counted: Counted) -> Iterator[MongoContextRepository]:
    """A repository whose commands are counted."""
    clock = ServerClock()
    client = connect(quick_settings, clock, counted)  # type: ignore[arg-type]
    repository = MongoContextRepository(client, clock, quick_settings)
    repository.now()
    yield repository
    repository.close()


def test_nothing_is_asked_while_nothing_is_due(
    house: House, watched: MongoContextRepository, counted: Counted
) -> None:
    """One question when it begins, and one when somebody rings."""
    duty = Fire.of(watched)
    house.add()
    counted.count = 0
    for _ in range(100):
        duty.run()
    assert counted.count == 1
    house.later(MINUTE)
    assert duty.run() == 0
    duty.look_again()
    assert duty.run() == 1
    assert duty.run() == 0
    counted.count = 0
    for _ in range(100):
        duty.run()
    assert counted.count == 0


def test_workers_that_run_alone_fire_too(house: House) -> None:
    """It is one of the duties that they do."""
    house.add()
    house.later(MINUTE)
    Roster(house.repository).run_due()
    assert len(house.ids) == 1
