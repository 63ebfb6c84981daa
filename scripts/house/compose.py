"""`compose.yaml`: the schema of the specification, and what our services need beyond it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft201909Validator

FILE = "compose/compose.yaml"
GRACE_SECONDS = 30
"""What a worker may take for its calls, and a little more to settle what is left."""

_DURATION = re.compile(r"(?:\d+h)?(?:\d+m)?(?:\d+s)?")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def check_compose(compose: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Every problem; rules of ours only where the schema is content."""
    wrong = [
        f"{FILE}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in Draft201909Validator(schema).iter_errors(compose)
    ]
    return wrong or [f"{FILE}: {problem}" for problem in _broken_rules(compose)]


def _broken_rules(compose: Mapping[str, Any]) -> Iterator[str]:
    services = compose["services"]
    for name, service in services.items():
        yield from _broken_by(name, service)
        for other, how in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name} depends on {other}, which is not there"
            elif how["condition"] == "service_healthy" and not _has_check(services[other]):
                yield f"{name} waits for {other} to be healthy, which has no health check"
        for volume in service.get("volumes", []):
            if str(volume).partition(":")[0] not in compose.get("volumes", {}):
                yield f"{name} mounts {volume}, which is no volume of the file"
    yield from _broken_by_servers(services)


def _broken_by(name: str, service: Mapping[str, Any]) -> Iterator[str]:
    if "restart" not in service:
        yield f"{name} says no `restart`"
    if "healthcheck" not in service:
        yield f"{name} has no health check, and does not say that it needs none"
    image = re.sub(r"\$\{\w+:?-(.*)\}", r"\1", service.get("image", ""))
    if ":" not in image or image.endswith(":latest"):
        yield f"{name} names no version of its image"
    grace = service.get("stop_grace_period")
    times = {"stop_grace_period": grace, **service.get("healthcheck", {})}
    for key in ("stop_grace_period", "interval", "timeout", "start_period"):
        if times.get(key) is not None and seconds(times[key]) is None:
            yield f"{name}: {key} is {times[key]!r}, no duration"
    if grace is None or (seconds(grace) or 0) < GRACE_SECONDS:
        yield f"{name} is killed before {GRACE_SECONDS} s are over"
    if "build" in service and service.get("init") is not True:
        yield f"{name} has no `init`, so that processes left over would stay"


def _broken_by_servers(services: Mapping[str, Any]) -> Iterator[str]:
    redis = " ".join(services["redis"]["command"])
    if "--maxmemory-policy noeviction" not in redis:
        yield "redis may evict messages"
    if "--appendonly yes" not in redis:
        yield "redis forgets everything when it is started again"
    if "--replSet" not in services["mongodb"]["command"]:
        yield "mongodb is no replica set"


def _has_check(service: Mapping[str, Any]) -> bool:
    return "test" in service.get("healthcheck", {})


def seconds(duration: str) -> int | None:
    """The seconds of `1m30s`; None if it is no duration."""
    if not duration or not _DURATION.fullmatch(duration):
        return None
    parts = re.findall(r"(\d+)([hms])", duration)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)
