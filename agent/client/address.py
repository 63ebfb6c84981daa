"""Where the agent is, and by which key one comes in: read, checked, and shown without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agent.client.errors import NotConfigured

MONGODB = ("mongodb", "mongodb+srv")
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the agent is.

    Args:
        shown: the address for people, without user and password.
    """

    url: str = field(repr=False)
    shown: str
    is_mongodb: bool
    api_key: str | None = field(default=None, repr=False)


def read_address(url: str, api_key: str | None = None) -> Address:
    """Read an address.

    Raises:
        NotConfigured: it is none, or the key cannot be sent; neither is quoted.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if parts.scheme in MONGODB:  # several hosts are no port
            return _of_mongodb(url, shown, api_key)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:  # its words may quote a password that was taken for a port
        raise NotConfigured("the address is no URL; write http://host:port") from None
    if parts.scheme not in ("http", "https") or not host:
        raise NotConfigured("the address must begin with http://, https:// or mongodb://")
    if "@" in parts.netloc:
        raise NotConfigured("the address must not carry a user or password; give `api_key`")
    if parts.query or parts.fragment:
        raise NotConfigured("the address must have no query and no fragment")
    if api_key is not None and not _KEY.fullmatch(api_key):
        raise NotConfigured("`api_key` is empty, or has something that no header may hold")
    return Address(url.rstrip("/"), shown, is_mongodb=False, api_key=api_key)


def _of_mongodb(url: str, shown: str, api_key: str | None) -> Address:
    if api_key is not None:
        raise NotConfigured("`api_key` is for HTTP; MongoDB is entered by the URI's own user")
    return Address(url, shown, is_mongodb=True)


def address_from(environment: Mapping[str, str] = os.environ) -> Address:
    """The address that the environment names.

    Raises:
        NotConfigured: it names none.
    """
    if url := environment.get("AGENT_URL"):
        return read_address(url, environment.get("AGENT_API_KEY") or None)
    if uri := environment.get("MONGODB_URI"):
        return read_address(uri)
    raise NotConfigured(
        "set AGENT_URL, and AGENT_API_KEY, to go by HTTP; or MONGODB_URI to go to MongoDB"
    )
