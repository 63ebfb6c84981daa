"""The Dockerfile: small, reproducible, without root and without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

FILE = "compose/Dockerfile"
SCRATCH = "scratch"

_SECRET = re.compile(r"\b\w*(?:PASSWORD|SECRET|TOKEN|API_KEY)\w*(?:=|\s|$)")


class Instruction(NamedTuple):
    """One instruction, its continued lines joined."""

    line: int
    word: str
    rest: str


Stage = Sequence[Instruction]
"""From one FROM to the next."""


def read_dockerfile(text: str) -> list[Instruction]:
    """The instructions, without comments."""
    found: list[Instruction] = []
    pending, begun_at = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begun_at = begun_at or number
        pending += line.rstrip().removesuffix("\\").strip() + " "
        if not line.rstrip().endswith("\\"):
            word, _, rest = pending.strip().partition(" ")
            found.append(Instruction(begun_at, word.upper(), rest.strip()))
            pending, begun_at = "", 0
    return found


def check_dockerfile(text: str) -> list[str]:
    """Every rule that is broken, by line."""
    instructions = read_dockerfile(text)
    found = [*_broken_anywhere(instructions), *_broken_by_images(instructions)]
    stages = _stages(instructions)
    if stages:
        found += _broken_by_last(stages[-1])
    else:
        found.append((1, "there is no FROM"))
    return [f"{FILE}, line {line}: {what}" for line, what in sorted(set(found))]


def check_ignored(text: str) -> list[str]:
    """What is sent to the builder: named one by one, so that no `.env` and no `.git` is."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    if not lines or lines[0] != "*":
        return [".dockerignore: must begin with `*`, and then name what goes in"]
    return [
        f".dockerignore: {line} may hold secrets"
        for line in lines
        if re.match(r"!/?\.(?:env|git)", line)
    ]


def _broken_anywhere(instructions: Stage) -> Iterator[tuple[int, str]]:
    for line, word, rest in instructions:
        if word == "ADD":
            yield line, "use COPY: ADD unpacks and downloads"
        if word == "MAINTAINER":
            yield line, "MAINTAINER is deprecated"
        if word in ("ENV", "ARG") and _SECRET.search(rest):
            yield line, "a secret would stay in the image"
        if word == "WORKDIR" and not rest.startswith("/"):
            yield line, "WORKDIR must be absolute"
        if word in ("CMD", "ENTRYPOINT") and not rest.startswith("["):
            yield line, f"{word} in the shell form gets no signals; write a list"
        if word == "HEALTHCHECK" and not re.search(r"\bCMD \[|^NONE$", rest):
            yield line, "HEALTHCHECK in the shell form; write a list"
        if word == "RUN":
            yield from ((line, what) for what in _broken_by_run(rest))


def _broken_by_run(command: str) -> Iterator[str]:
    if re.search(r"\bsudo\b", command):
        yield "no sudo"
    if re.search(r"\bapt-get install\b", command):
        if "--no-install-recommends" not in command or " -y" not in command:
            yield "apt-get install needs -y and --no-install-recommends"
        if "rm -rf /var/lib/apt/lists" not in command:
            yield "the lists of apt stay in the layer"
    if re.search(r"\bapt (?:install|update)\b", command):
        yield "use apt-get: apt is for people"
    if re.search(r"\bpip3? install\b", command) and "--no-cache-dir" not in command:
        yield "pip keeps its cache in the layer; add --no-cache-dir"
    if re.search(r"\b(?:curl|wget)\b.*\|", command):
        yield "runs what it downloads"
    if re.search(r"^cd\b", command):
        yield "use WORKDIR"


def _broken_by_images(instructions: Stage) -> Iterator[tuple[int, str]]:
    stages: set[str] = set()
    for line, word, rest in instructions:
        if word != "FROM":
            continue
        image, _, name = rest.partition(" AS ")
        image = image.split()[-1]
        if image not in stages | {SCRATCH} and "@sha256:" not in image:
            tag = image.rpartition("/")[2].partition(":")[2]
            if not tag or tag == "latest":
                yield line, f"{image} has no version"
        stages.add(name.strip())


def _broken_by_last(stage: Stage) -> Iterator[tuple[int, str]]:
    """Of the stage that becomes the image."""
    begin = stage[0].line
    users = [instruction for instruction in stage if instruction.word == "USER"]
    if not users:
        yield begin, "runs as root: there is no USER"
    elif users[-1].rest.partition(":")[0] in ("root", "0"):
        yield users[-1].line, "runs as root"
    else:
        for line, word, _ in stage:
            if word in ("COPY", "RUN", "WORKDIR") and line > users[0].line:
                yield line, f"{word} comes before USER, so that who runs the code cannot change it"
    words = [instruction.word for instruction in stage]
    for wanted in ("CMD", "HEALTHCHECK", "STOPSIGNAL"):
        if words.count(wanted) != 1:
            yield begin, f"{words.count(wanted)} times {wanted} where one is wanted"


def _stages(instructions: Stage) -> list[list[Instruction]]:
    stages: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.word == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(instruction)
    return stages
