"""Webhooks: which URLs may be called back, and how what is sent there is signed. Pure.

Source: the specification of Standard Webhooks; docs/webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

MAX_URL = 2048
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with is none
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
DEFAULT_PORTS: Mapping[str, int] = {"https": 443, "http": 80}

_NAME = r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?"
_HOST = re.compile(rf"({_NAME}|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?", re.IGNORECASE | re.ASCII)
# whole and strict, so that nobody who reads it later can come to another host
_URL = re.compile(
    r"(https?)://([^/?#@]+)((?:/[!$%&'()*+,\-./0-9:;=@A-Z_a-z~]*)?"
    r"(?:\?[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*)?)",
    re.IGNORECASE | re.ASCII,
)


class Host(NamedTuple):
    """A host that may be called back. Without a port: at the one that the scheme of a URL has."""

    name: str
    port: int | None = None


class Address(NamedTuple):
    """A URL that may be called: where one connects to, and what is asked for there."""

    origin: str
    target: str


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What the settings say of webhooks.

    Args:
        hosts: those that may be called back; without any there are no webhooks.
        keys: each signs every message, so that a receiver may know the old one or the new one.
        development: whether `http://` may be called on other machines, too.
    """

    hosts: tuple[Host, ...] = ()
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    development: bool = False

    def address_of(self, url: object) -> Address:
        """Where a URL leads, if it may be called back.

        Raises:
            ValueError: it may not; the message says why, and nothing of its path and query.
        """
        if not self.hosts:
            raise ValueError("nobody is called back here: AGENT_WEBHOOK_HOSTS names no host")
        scheme, host, target = _read_url(url)
        port = host.port or DEFAULT_PORTS[scheme]
        if scheme == "http" and not self.development and not _is_loopback(host.name):
            raise ValueError("must be an https:// URL; http:// is for development and for loopback")
        if not any(
            host.name == each.name and port == (each.port or DEFAULT_PORTS[scheme])
            for each in self.hosts
        ):
            raise ValueError(f"{host.name}:{port} is no host of AGENT_WEBHOOK_HOSTS")
        return Address(f"{scheme}://{host.name}:{port}", target)

    def headers_of(self, message_id: str, timestamp: int, payload: bytes) -> dict[str, str]:
        """The headers by which a receiver knows that a message is ours, and new."""
        signed = f"{message_id}.{timestamp}.".encode() + payload
        signatures = (
            base64.b64encode(hmac.digest(key, signed, sha256)).decode() for key in self.keys
        )
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
        }


NO_WEBHOOKS = Webhooks()
"""Nobody is called back."""


def read_hosts(words: Iterable[str]) -> tuple[Host, ...]:
    """The hosts that these words name.

    Raises:
        ValueError: one is neither a host nor a host with a port.
    """
    return tuple(map(_read_host, words))


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The keys in a list of secrets.

    Raises:
        ValueError: one is none; the message has its place, and nothing of it.
    """
    words = text.split()
    if not words:
        raise ValueError(f"must be {SECRET_PREFIX} and base64")
    return tuple(_read_secret(number, word) for number, word in enumerate(words, 1))


def _read_secret(number: int, word: str) -> bytes:
    which = f"secret {number} "
    if not word.startswith(SECRET_PREFIX):
        raise ValueError(f"{which}does not begin with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(word.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{which}is not base64 behind {SECRET_PREFIX}") from None
    if not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        raise ValueError(
            f"{which}has {len(key)} bytes; use {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES}"
        )
    return key


def _read_host(word: str) -> Host:
    match = _HOST.fullmatch(word)
    port = int(match[2]) if match is not None and match[2] is not None else None
    if match is None or (port is not None and not 1 <= port <= 65535):
        raise ValueError(f"{word[:100]!r} is neither a host nor host:port")
    return Host(_normal(match[1]), port)


def _normal(name: str) -> str:
    """A host in the one form in which it is compared.

    Raises:
        ValueError: it is no address of IPv6, though it has brackets.
    """
    if not name.startswith("["):
        return name.lower().removesuffix(".")
    try:
        return f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]"
    except ValueError:
        raise ValueError(f"{name[:100]!r} is no IPv6 address") from None


def _read_url(url: object) -> tuple[str, Host, str]:
    if not isinstance(url, str) or len(url) > MAX_URL:
        raise ValueError(f"must be a URL of at most {MAX_URL} characters")
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(
            "must be https://host/path, without a user or a fragment, all else percent-encoded"
        )
    target = match[3] if match[3].startswith("/") else f"/{match[3]}"
    return match[1].lower(), _read_host(match[2]), target


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
