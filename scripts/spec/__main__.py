"""`python -m scripts.spec [--deep] [--show] [NAME …]`: one line a configuration, and 1 when one of
them is not as it has to be."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from scripts.spec.configurations import CONFIGURATIONS, Configuration
from scripts.spec.tlc import Verdict, check
from scripts.spec.tools import ToolMissing, find_java, find_tlc

AT_ONCE = 2
"""Processes of TLC, each with one thread: most of what a small one takes is Java's start."""


def line(configuration: Configuration, verdict: Verdict) -> str:
    """What is printed of a verdict."""
    if verdict.holds:
        said = "all holds"
    elif verdict.violates is not None:
        said = f"{verdict.violates} is violated"
    else:
        said = "TLC failed"
    if not verdict.is_expected(configuration):
        said = f"WRONG: {said}, but {_expected(configuration)}"
    elif configuration.violates is not None:
        said = f"{said}, as it has to be"
    return (
        f"{configuration.name:<18}{said:<50}{verdict.states:>10,} states{verdict.seconds:>7.1f} s"
    )


def _expected(configuration: Configuration) -> str:
    if configuration.violates is None:
        return "all has to hold"
    return f"a counterexample to {configuration.violates} has to be found"


def chosen(names: Sequence[str], *, deep: bool) -> list[Configuration]:
    """The configurations of these names; without any, all but the deep ones.

    Raises:
        KeyError: there is none of that name.
    """
    if names:
        by_name = {configuration.name: configuration for configuration in CONFIGURATIONS}
        return [by_name[name] for name in names]
    return [configuration for configuration in CONFIGURATIONS if deep or not configuration.deep]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check them, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m scripts.spec")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a file docs/spec/NAME.cfg")
    parser.add_argument("--deep", action="store_true", help="also those that take minutes")
    parser.add_argument("--show", action="store_true", help="print what TLC says, traces and all")
    options = parser.parse_args(arguments)
    try:
        configurations = chosen(options.names, deep=options.deep)
    except KeyError as exc:
        parser.error(f"there is no configuration {exc}")
    try:
        java, jar = find_java(), find_tlc()
    except ToolMissing as exc:
        print(f"The model was not checked. {exc}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    well = True
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for configuration, verdict in zip(
            configurations,
            pool.map(lambda each: check(each, java, jar), configurations),
            strict=True,
        ):
            print(line(configuration, verdict), flush=True)
            expected = verdict.is_expected(configuration)
            if options.show or not expected:
                print(verdict.output, flush=True)
            well = well and expected
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
