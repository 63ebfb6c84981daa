"""What the made-up services are asked, and what they answer. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.models import ErrorRecord

NAMES = ("Ada", "Björn", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jomo")
REGIONS = ("north", "south", "west")
CITIES = ("Lisbon", "Oslo", "Lyon", "Graz", "Riga", "Porto", "Turin", "Bergen")


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work.

    Args:
        body: what the service is sent, with placeholders.
        data: what is put into them.
        results: what comes back.
        seconds: how long most calls take.
        tags: what people search by.
    """

    service_type: str
    template_id: str
    body: dict[str, Any]
    data: Callable[[random.Random], dict[str, Any]]
    results: Callable[[dict[str, Any]], dict[str, Any]]
    seconds: float
    tags: dict[str, str] = field(default_factory=dict)


LETTER = Work(
    "GENERATIVE", "welcome-letter",
    {"prompt": "Write a welcome letter for {{name}} from {{city}}.", "max_tokens": 400},
    lambda chance: {"name": chance.choice(NAMES), "city": chance.choice(CITIES)},
    lambda data: {"text": f"Dear {data['name']}, it is good to have you with us. {data['city']} "
                          "has been on our map for long …", "tokens": 214},
    1.9, {"team": "onboarding"},
)  # fmt: skip
SUMMARY = Work(
    "GENERATIVE", "ticket-summary",
    {"prompt": "Summarise ticket {{ticket}} in three sentences.", "max_tokens": 150},
    lambda chance: {"ticket": f"T-{chance.randint(20000, 29999)}"},
    lambda data: {"text": f"{data['ticket']}: the export stops at page 40. A retry helps.",
                  "tokens": 61},
    1.2, {"team": "support"},
)  # fmt: skip
CHURN = Work(
    "ANALYSIS", "churn-score",
    {"model": "churn-4", "features": "{{features}}", "access_token": "not shown on any page"},
    lambda chance: {"features": [round(chance.random(), 3) for _ in range(6)]},
    lambda data: {"score": round(sum(data["features"]) / 6, 3), "model": "churn-4"},
    0.34, {"team": "retention"},
)  # fmt: skip
FORECAST = Work(
    "ANALYSIS", "sales-forecast",
    {"model": "seasonal", "horizon_days": 28, "region": "{{region}}", "series": "{{series}}"},
    lambda chance: {"region": chance.choice(REGIONS),
                    "series": [chance.randint(80, 400) for _ in range(12)]},
    lambda data: {"region": data["region"], "mean": sum(data["series"]) / 12, "trend": "rising"},
    0.8, {"team": "planning"},
)  # fmt: skip
INVOICE = Work(
    "COMMUNICATION", "invoice-mail",
    {"channel": "mail", "recipient": "{{address}}", "message": "Your invoice {{invoice}}"},
    lambda chance: {"invoice": f"2026-{chance.randint(10000, 99999)}",
                    "address": f"{chance.choice(NAMES[2:]).lower()}@example.org"},
    lambda data: {"status": "delivered", "recipient": data["address"]},
    0.12, {"team": "billing"},
)  # fmt: skip
NOTICE = Work(
    "COMMUNICATION", "order-shipped",
    {"notification": {"channel": "push", "recipient": "{{device}}", "message": "It is shipped"}},
    lambda chance: {"device": f"device-{chance.randint(1, 5000)}"},
    lambda data: {"status": "delivered", "recipient": data["device"]},
    0.05, {"team": "orders"},
)  # fmt: skip

OVERLOADED = ErrorRecord(type="ServiceFailed", message="the service answered 503",
                         status_code=503, retryable=True)  # fmt: skip
NO_CONNECTION = ErrorRecord(type="ServiceUnavailable", retryable=True,
                            message="cannot connect to analysis.example:443: refused")  # fmt: skip
TOO_MANY = ErrorRecord(type="TooManyRequests", message="120 requests a minute are allowed",
                       status_code=429, retryable=True)  # fmt: skip
LATE = ErrorRecord(
    type="OutcomeUnknown", message="no whole reply within the deadline", retryable=True
)
GARBLED = ErrorRecord(type="UnreadableReply", status_code=200, retryable=True,
                      message="the reply does not parse as a JSON object")  # fmt: skip
PARKED = ErrorRecord(type="OutcomeUnknown", status_code=500, retryable=False,
                     message="the work may have been done: the service answered 500")  # fmt: skip
FORBIDDEN = ErrorRecord(type="Forbidden", message="this sender may not write to example.net",
                        status_code=403, retryable=False)  # fmt: skip


def too_long(tokens: int) -> ErrorRecord:
    """Refused, each with a number of its own: it is one kind all the same."""
    return ErrorRecord(type="ServiceRejected", status_code=422, retryable=False,
                       message=f"the prompt has {tokens} tokens, 8000 are allowed")  # fmt: skip


def no_value(name: str) -> ErrorRecord:
    """Not sent at all."""
    return ErrorRecord(type="PlaceholderMissing", retryable=False,
                       message=f"no value for {{{{{name}}}}} in service_template")  # fmt: skip


PASSING = {"GENERATIVE": (LATE, GARBLED), "ANALYSIS": (NO_CONNECTION, GARBLED),
           "COMMUNICATION": (OVERLOADED,)}  # fmt: skip
"""What went wrong once with work that was completed all the same."""
