"""Sessions: who signed in and when, in a signed cookie; nothing is kept on the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from pydantic import SecretStr

from agent.settings import Settings

LIFETIME = timedelta(hours=12)
"""From signing in; using it does not make it longer."""
SKEW_SECONDS = 60
"""By which the clock of another `web` may be ahead."""
SALT = "agent.dashboard.session"


@dataclass(slots=True)
class Session:
    """What the cookie holds.

    Args:
        began_at: seconds since 1970, by this host's clock.
        csrf: has to come back with every change.
        name: who signed in; None before.
        print: of the user's hash.
        told: what the next page says on its top, and whether it went well.
        undo: the deed that the same page offers to take back, and what that does, in words.
    """

    began_at: float
    csrf: str
    name: str | None = None
    print: str | None = None
    told: str | None = None
    well: bool = True
    undo: list[str] | None = None


class Sessions:
    """Writes and reads cookies."""

    def __init__(
        self,
        secret: SecretStr | None,
        *,
        is_secure: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        key = secret.get_secret_value() if secret is not None else secrets.token_hex(32)
        self._serializer = URLSafeSerializer(key, salt=SALT)
        self._is_secure = is_secure
        self._clock = clock
        self.cookie = "__Host-agent" if is_secure else "agent_session"

    @classmethod
    def of(cls, settings: Settings) -> Sessions:
        """By the settings. Without a key sessions end with the process."""
        return cls(settings.secret_key, is_secure=settings.env == "production")

    def begin(self, name: str | None = None, print: str | None = None) -> Session:
        """A new session; of somebody, or of whoever has not signed in."""
        return Session(self._clock(), secrets.token_urlsafe(24), name, print)

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None if it is none of ours, or its time is over."""
        if not cookie:
            return None
        try:
            session = Session(**_object(self._serializer.loads(cookie)))
            age = self._clock() - session.began_at
        except (BadData, TypeError, ValueError):
            return None
        return session if -SKEW_SECONDS <= age < LIFETIME.total_seconds() else None

    def header(self, session: Session) -> str:
        """The `Set-Cookie` that keeps a session."""
        value = self._serializer.dumps(asdict(session))
        left = max(0, int(session.began_at + LIFETIME.total_seconds() - self._clock()))
        words = [f"{self.cookie}={_text(value)}", "Path=/", "HttpOnly", "SameSite=Lax",
                 f"Max-Age={left}"]  # fmt: skip
        return "; ".join([*words, "Secure"] if self._is_secure else words)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("no session")
    return value


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
