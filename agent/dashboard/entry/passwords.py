"""Passwords as they are kept: argon2id, written so that no shell or platform mistakes a sign."""

from __future__ import annotations

import base64
import binascii
import threading

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 12
LONGEST = 1000
KIND = "$argon2id$"
MOST_MEMORY_KIB = 1024 * 1024
"""A hash that asks for more than 1 GiB would end the process that verifies it."""
AT_ONCE = 2
"""Each verification takes 64 MiB and a core for a while."""

_hasher = PasswordHasher()
_places = threading.BoundedSemaphore(AT_ONCE)
_NOBODYS = _hasher.hash("nobody's password, verified so that an unknown name takes as long")


def hash_password(password: str, hasher: PasswordHasher = _hasher) -> str:
    """The hash of a password, with a salt of its own, as `AGENT_DASHBOARD_USERS` takes it."""
    return base64.urlsafe_b64encode(hasher.hash(password).encode()).decode().rstrip("=")


def read_hash(word: str) -> str:
    """The hash that a word holds.

    Raises:
        ValueError: it holds none that can be verified.
    """
    try:
        padded = word + "=" * (-len(word) % 4)
        read = base64.b64decode(padded.encode("ascii"), b"-_", validate=True).decode("ascii")
        parameters = extract_parameters(read)
    except (ValueError, binascii.Error, InvalidHashError):
        raise ValueError("is no hash of `agent hash-password`") from None
    if not read.startswith(KIND) or parameters.memory_cost > MOST_MEMORY_KIB:
        raise ValueError("is no argon2id hash")
    return read


def is_right(password: str, hash: str | None) -> bool:
    """Whether it is the password of this hash; as slow where there is none."""
    with _places:
        try:
            right = _hasher.verify(hash or _NOBODYS, password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
    return right and hash is not None
