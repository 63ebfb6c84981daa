"""A network of its own for one process, in which the way to each server can be taken away.

A network namespace with one cable to each server, where root may make one: its addresses are those
that are kept for tests of networks (198.18.0.0/15). Elsewhere a proxy stands for each cable.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from tests.faults.proxy import Proxy
from tests.waiting import wait_until

COMMAND_SECONDS = 10.0
REACH_SECONDS = 2.0
JOIN_SECONDS = 20.0
CONNECT = (
    "import socket, sys; "
    "socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()"
)


class Network(Protocol):
    """Where a process runs, and how it reaches what it needs."""

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command is run with, to be there."""
        ...

    def through(self, url: str) -> str:
        """A URL as it is from there."""
        ...

    def part(self, url: str) -> None:
        """Take the way to a server away, as somebody pulls a cable."""
        ...

    def join(self, url: str) -> None:
        """Put it back."""
        ...


@dataclass(slots=True)
class Cable:
    """The way to one server: a proxy at the near end, and an interface that can be put down."""

    proxy: Proxy
    interface: str


class Namespace:
    """A network namespace.

    Args:
        name: of the namespace.
        cables: by the URL of the server.
    """

    def __init__(self, name: str, cables: Mapping[str, Cable]) -> None:
        self._name = name
        self._cables = cables

    @property
    def inside(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._name)

    def through(self, url: str) -> str:
        return self._cables[url].proxy.through(url)

    def part(self, url: str) -> None:
        run("ip", "link", "set", self._cables[url].interface, "down")
        assert not self.reaches(url)

    def join(self, url: str) -> None:
        run("ip", "link", "set", self._cables[url].interface, "up")
        wait_until(lambda: self.reaches(url), JOIN_SECONDS)

    def reaches(self, url: str) -> bool:
        """Whether a process in there can connect."""
        proxy = self._cables[url].proxy
        where = (proxy.at, str(proxy.port), str(REACH_SECONDS))
        return succeeds(*self.inside, sys.executable, "-c", CONNECT, *where)


class Proxied:
    """Proxies, for want of a namespace.

    Args:
        proxies: by the URL of the server.
    """

    inside: tuple[str, ...] = ()

    def __init__(self, proxies: Mapping[str, Proxy]) -> None:
        self._proxies = proxies

    def through(self, url: str) -> str:
        return self._proxies[url].through(url)

    def part(self, url: str) -> None:
        self._proxies[url].stall()
        assert self._proxies[url].stalled

    def join(self, url: str) -> None:
        self._proxies[url].mend()


@contextmanager
def network(*urls: str) -> Iterator[Network]:
    """One with a way to each of these servers; it is gone afterwards, whatever happens."""
    with ExitStack() as stack:
        if may_have_namespaces():
            name = f"agent-{uuid4().hex[:8]}"
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "delete", name)
            cables = {url: _cable(name, url, stack) for url in dict.fromkeys(urls)}
            yield Namespace(name, cables)
        else:
            proxies = {url: stack.enter_context(Proxy.before(url)) for url in dict.fromkeys(urls)}
            yield Proxied(proxies)


def may_have_namespaces() -> bool:
    """Whether this user may make one; for root a refusal later on is an error."""
    return os.geteuid() == 0 and sys.platform == "linux" and succeeds("ip", "netns", "list")


def _cable(namespace: str, url: str, stack: ExitStack) -> Cable:
    """A pair of interfaces, the far one in the namespace, and a proxy at the near one's address."""
    subnet = _free_subnet()
    near, far = f"agn{uuid4().hex[:8]}", f"agf{uuid4().hex[:8]}"
    run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
    stack.callback(succeeds, "ip", "link", "delete", near)  # or it goes with its namespace
    run("ip", "address", "add", f"{subnet}.1/30", "dev", near)
    run("ip", "link", "set", near, "up")
    run("ip", "-n", namespace, "address", "add", f"{subnet}.2/30", "dev", far)
    run("ip", "-n", namespace, "link", "set", far, "up")
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    return Cable(stack.enter_context(Proxy.before(url, at=f"{subnet}.1")), near)


def _free_subnet() -> str:
    """The first three numbers of addresses that nobody on this machine has."""
    while True:
        number = uuid4().int
        subnet = f"198.{18 + number % 2}.{number // 2 % 256}"
        if f"{subnet}." not in run("ip", "-4", "address"):
            return subnet


def run(*command: str) -> str:
    """Run a command of the system; what it said.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a command of the system can be run and does not fail."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_SECONDS, check=False)
    except OSError:
        return False
    return done.returncode == 0
