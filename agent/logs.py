"""How the project logs: JSON lines on stderr in production, lines for people in development.

No secret and no payload gets through: a processor looks at every value of every line, also of the
libraries that log through the standard `logging`.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, cast

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from agent.settings import Settings

PAYLOAD_FIELDS = frozenset(
    {"payload", "body", "document", "request", "reply", "data", "results", "template_data"}
)
"""Fields that could only hold a payload: dropped, whoever logs them."""
LONGEST_VALUE = 8000
DEEPEST_VALUE = 6

_STORE_URL = re.compile(r"\b((?:mongodb(?:\+srv)?|rediss?)://)\S*@", re.IGNORECASE)
"""Greedy, since a password may hold an @ that nobody encoded."""
_ANY_URL = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@]+@", re.IGNORECASE)
_PASSWORD = re.compile(r"([?&]password=)[^&\s]+", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer\s+)[^\s'\"]+", re.IGNORECASE)
_DROPPED = object()
_encode = json.JSONEncoder(separators=(",", ":")).encode


def configure_logging(settings: Settings) -> None:
    """Set up logging for this process. Called once, by its entry point; again does no harm.

    Our own lines appear from `AGENT_LOG_LEVEL` on, those of libraries from WARNING on.
    """
    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        keep_secrets_out,
    ]
    renderer = _renderer(settings)
    handler = StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]  # also those that `dramatiq` set up before it imported us
    root.setLevel(logging.WARNING)
    for package in ("agent", "bridge", "actors"):
        logging.getLogger(package).setLevel(level)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Sink(handler),
        cache_logger_on_first_use=True,
    )


def get_logger(**bound: object) -> FilteringBoundLogger:
    """A logger whose every line carries the fields given."""
    return cast(FilteringBoundLogger, structlog.get_logger(**bound))


class StderrHandler(logging.Handler):
    """Writes whole lines to what `sys.stderr` is at that moment.

    `dramatiq` puts a pipe to its master there in each worker process. One lock serves our lines and
    those of libraries, since that pipe mixes up what threads write at once; `logging` renews it
    after a fork.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line of the standard `logging`."""
        try:
            self.write(self.format(record))
        except Exception:
            self.handleError(record)

    def write(self, line: str) -> None:
        """Write one line. When nobody reads it any more it is lost, and its thread goes on."""
        self.acquire()
        try:
            stream = sys.stderr
            if stream is not None:
                stream.write(line + "\n")
                stream.flush()
        except (OSError, ValueError):
            pass
        finally:
            self.release()


class _Sink:
    """What structlog calls with a finished line, by the name of its level."""

    def __init__(self, handler: StderrHandler) -> None:
        self.debug = self.info = self.warning = handler.write
        self.error = self.critical = self.exception = self.msg = handler.write


def keep_secrets_out(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Drop `SecretStr` values and payload fields, mask passwords in text, bound every length.

    What comes out is plain JSON, so no object gets to describe itself after this look.
    """
    clean: EventDict = {}
    for name, value in event.items():
        if name.startswith("_"):  # structlog's own, taken out before rendering
            clean[name] = value
        elif name not in PAYLOAD_FIELDS:
            kept = _clean(value)
            if kept is not _DROPPED:
                clean[name] = kept
    return clean


def mask_secrets(text: str) -> str:
    """The text without passwords in URLs and without bearer keys."""
    if "://" in text:
        text = _STORE_URL.sub(r"\1***@", text)
        text = _ANY_URL.sub(r"\1***@", text)
        text = _PASSWORD.sub(r"\1***", text)
    if "earer" in text or "EARER" in text:
        text = _BEARER.sub(r"\1***", text)
    return text


def _clean(value: Any, depth: int = 0) -> Any:
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if depth >= DEEPEST_VALUE:
            return "…"
        if isinstance(value, Mapping):
            return _clean_mapping(value, depth + 1)
        return _clean_items(value, depth + 1)
    return _clean_scalar(value)


def _clean_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, SecretStr | SecretBytes):
        return _DROPPED
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return _clean_text(str(value))


def _clean_mapping(values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    pairs = (
        (str(name), _clean(value, depth))
        for name, value in values.items()
        if str(name) not in PAYLOAD_FIELDS
    )
    return {name: value for name, value in pairs if value is not _DROPPED}


def _clean_items(values: Iterable[Any], depth: int) -> list[Any]:
    return [kept for kept in (_clean(value, depth) for value in values) if kept is not _DROPPED]


def _clean_text(text: str) -> str:
    # masked before it is cut, or half a password would be left; cut before too, to bound the work
    masked = mask_secrets(text[: 2 * LONGEST_VALUE])
    return masked if len(masked) <= LONGEST_VALUE else f"{masked[:LONGEST_VALUE]}…"


def _renderer(settings: Settings) -> Processor:
    if settings.env == "production":
        return _render_json
    # plain_traceback: the default would print local variables, which hold payloads
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr is not None and sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
    )


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return _encode(event)
