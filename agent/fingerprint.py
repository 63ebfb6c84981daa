"""The kind of an error: of ten thousand failures, which ones are the same failure.

Pure. What differs from one context to the next (ids, numbers, dates, quoted values, addresses) is
taken out of the message; what is left, with the type of the error, is hashed. So nothing of what a
context carries can be read from a fingerprint.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache

LENGTH = 12
"""Hexadecimal digits: short enough to be typed, too many for two kinds of one service to meet."""
LONGEST_READ = 500
"""Of a message; whatever tells kinds apart stands at its beginning."""
LONGEST_KEPT = 200

TYPE_ALONE = frozenset({"PoisonContext"})
"""Their message says how it was noticed (a signal, ten starts), not what the reason is."""

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS = "mon|tue|wed|thu|fri|sat|sun"
_UNITS = (
    "ns|us|µs|ms|s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|d|days?|milliseconds?"
    "|b|bytes?|[kmgt]i?b|chars?|characters?|tokens?|%"
)

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_ANY = "(?:#|<id>|<value>|<address>|<url>)"


def _kept(found: re.Match[str]) -> str:
    """Digits that none of the rules below takes for a number."""
    return found[0].translate(_SUBSCRIPTS)


# Each is linear in the text (`++` and `*+` never give back): a message may be hostile.
_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<![\w+.-])[a-z][a-z0-9+.-]*+://[^\s\"'<>`]++", "<url>"),
        # of a message that was cut, the closing quote may be gone
        (r"\"[^\"]*+(?:\"|$)|`[^`]*+(?:`|$)|“[^”]*+(?:”|$)|«[^»]*+(?:»|$)", "<value>"),
        (r"(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*+(?:'(?!\w)|$)", "<value>"),
        (r"(?<![\w.+-])[\w.+-]++@[\w.-]++", "<address>"),
        (r"\b(?:answered|status|code|http(?:/\d(?:\.\d)?)?|error)[ :=]+\d{3}\b(?![.,:-]\d)", _kept),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|(?<![\w-])[\w-]{24,}+", "<id>"),
        (r"\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d[\d:.,]*+(?: ?(?:z|utc|gmt|[+-]\d\d:?\d\d)\b)?)?", "#"),
        (rf"\b(?:(?:{_DAYS})[a-z]*+,? +)?\d{{1,2}}[ -](?:{_MONTHS})[a-z]*+[ -]\d{{2,4}}\b", "#"),
        (rf"\b(?:(?:{_DAYS})[a-z]*+,? +)?(?:{_MONTHS})[a-z]*+ +\d{{1,2}}\b(?:, \d{{4}}\b)?", "#"),
        (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d++)?(?![\w.]*\w)", "<address>"),
        (r"(?<![\w.:])\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d++)?(?![\w:])(?: ?(?:z|utc|gmt|am|pm)\b)?",
         "#"),
        (r"(?<![\w:])\[?(?=[0-9a-f]*+:)(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:\]:\d++|\])?(?![\w:])",
         "<address>"),
        (r"(?<![\w.-])[a-z0-9][\w.-]*+:\d{2,5}\b", "<address>"),
        (rf"(?<![\w.])[+-]?\d++(?:[.,]\d++)*+ ?(?:{_UNITS})(?!\w)", "#"),
        (r"\b0x[0-9a-f]++\b|\b[0-9a-f]{8,}+\b", "<id>"),
        (r"(?<![\w-])(?=[a-z_-]*+\d)(?=[\d-]*+[a-z_])[\w-]{6,}+", "<id>"),
        (r"(?:(?<!\w)[+-])?\d++(?:[.,:/]\d++)*+(?:e[+-]?\d++)?", "#"),
        (rf"{_ANY}(?:(?: ?[,;/|] ?| ){_ANY})++", "#"),
        (r"<id>", "#"),
        (r"\s++", " "),
    )
)  # fmt: skip


def fingerprint_of(error_type: str, message: str) -> str:
    """The kind of an error, in a few hexadecimal digits.

    The same on every machine and in every version: it is stored.
    """
    kept = "" if error_type in TYPE_ALONE else message[:LONGEST_READ]
    return _fingerprint_of(error_type[:LONGEST_KEPT], kept)


@lru_cache(maxsize=1024)  # an outage says the same to thousands
def _fingerprint_of(error_type: str, message: str) -> str:
    text = f"{error_type}\n{normalised(message)}"
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:LENGTH]


def normalised(message: str) -> str:
    """The message without what differs from one context to the next.

    A status code of HTTP stays: "answered 404" and "answered 422" are two kinds.
    """
    text = message[:LONGEST_READ].lower()
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.strip()[:LONGEST_KEPT]
