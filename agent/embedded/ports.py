"""Free ports of this machine."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
PORTS = range(20_000, 30_000)
"""Below the ports that systems hand out for outgoing connections (Linux 32768, macOS 49152).

A client that keeps knocking at a closed port from that range ends up connected to itself, and then
holds the very port that the server wants back.
"""


def free_port() -> int:
    """A port that nobody listens on now. It may be taken before it is used: then try another."""
    while True:
        port = random.choice(PORTS)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True
