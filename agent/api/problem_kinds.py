"""Every kind of problem that the API tells, and the page that explains them. Pure.

`docs/problems.md` is made from this module by `make docs`; `web` serves the same text.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "/problems/"
"""Of each `type`; what stands behind it never changes its meaning."""

HEAD = """\
# Problems

<!-- Made from agent/api/problem_kinds.py by `make docs`; a test fails when it is out of date. -->

Every reply of the API that is no success is a problem of [RFC 9457]: `application/problem+json`
with `type`, `title`, `status` and `detail`, and `errors` where single fields are wrong. `type` is
one of those below, and is served as a page by `web` itself. Programs go by `type` and `status`;
`detail` is for people, and its words may change.

[RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem.

    Args:
        name: the end of its `type`.
        what: when it comes.
        remedy: what whoever asked does about it.
    """

    name: str
    status: int
    title: str
    what: str
    remedy: str

    @property
    def type(self) -> str:
        return PREFIX + self.name


KEY_NEEDED = Kind(
    "key-needed", 401, "A key is needed",
    "No key was sent, or one that there is not.",
    "Send `Authorization: Bearer SECRET` with a secret of `AGENT_API_KEYS`.",
)  # fmt: skip
SCOPE_MISSING = Kind(
    "scope-missing", 403, "The key is not for this",
    "The key is right, but its scopes do not allow it; `detail` names the one that does.",
    "Use another key, or have the scope added in `AGENT_API_KEYS`.",
)  # fmt: skip
NOT_LOCAL = Kind(
    "not-local", 403, "Only this machine may ask",
    "There are no keys, so that the API is open to its own machine alone: the request came from "
    "another one, or was addressed to another name than `localhost`.",
    "Set `AGENT_API_KEYS`.",
)  # fmt: skip
NOT_FOUND = Kind(
    "not-found", 404, "There is no such thing",
    "No request, batch, context, template, purpose, schedule or service of this id, or no such "
    "path.",
    "Look at the id. What was kept for its time only may be deleted by now.",
)  # fmt: skip
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed", 405, "Not with this method",
    "The path is there, but not for this method; `Allow` names those that are.",
    "See `/docs`.",
)  # fmt: skip
CONFLICT = Kind(
    "conflict", 409, "Its status does not allow that",
    "What is final cannot be cancelled, what runs cannot be tried again, and so on; `detail` says "
    "what it is. Another one may have been quicker.",
    "Look at it again; the [table of statuses](states.md) says what can be done.",
)  # fmt: skip
EXISTS = Kind(
    "exists", 409, "There is one already",
    "What was to be made anew is there under this name.",
    "Choose another name, or put it in the place of the other with `PUT`.",
)  # fmt: skip
IN_PROGRESS = Kind(
    "in-progress", 409, "The same is being done just now",
    "A request with the same `Idempotency-Key` or `unique_key` is being stored at this moment.",
    "Send it again after `Retry-After`, unchanged: the answer is then that of the first.",
)  # fmt: skip
TOO_LARGE = Kind(
    "too-large", 413, "The body is too large",
    "More bytes than are taken; what was sent was not read to its end.",
    "Hand large data over by reference.",
)  # fmt: skip
STALLED = Kind(
    "stalled", 408, "The upload has come to a stand",
    "Nothing more came for half a minute. Nothing is stored of what was sent.",
    "Send it again, with the same idempotency key.",
)  # fmt: skip
MEDIA_TYPE = Kind(
    "media-type", 415, "The body is of a kind that is not taken",
    "`Content-Type` is missing, or is none of those that `detail` names.",
    "Name the kind that the body is of.",
)  # fmt: skip
INVALID = Kind(
    "invalid", 422, "The request cannot be understood",
    "The body is no JSON, or a field is unknown, missing or of the wrong kind; `errors` names "
    "each.",
    "Mend the fields that are named.",
)  # fmt: skip
REFUSED = Kind(
    "refused", 422, "The request cannot be carried out",
    "It can be read, but not become work: no such template, parameters that are missing, a "
    "deadline before its start, a document that MongoDB cannot hold. `detail` names every problem.",
    "Mend what is named.",
)  # fmt: skip
KEY_REUSED = Kind(
    "key-reused", 422, "The idempotency key belongs to another request",
    "Less than 24 hours ago another body came under the same `Idempotency-Key`.",
    "Draw a new key for each request; send the same one only with the same body.",
)  # fmt: skip
TOO_MANY = Kind(
    "too-many-requests", 429, "Too many requests",
    "The key has made more requests than `AGENT_API_RATE_LIMIT` allows.",
    "Wait for `Retry-After` seconds.",
)  # fmt: skip
INTERNAL = Kind(
    "internal", 500, "Something went wrong here",
    "A bug of this program. The log has more.",
    "Report it. A request that was sent with an idempotency key may be sent again.",
)  # fmt: skip
UNAVAILABLE = Kind(
    "unavailable", 503, "A server is away",
    "MongoDB or Redis does not answer, or this process has no room for another listener or "
    "upload. Whether a change took place is open; what was answered with 202 is stored.",
    "Send it again after `Retry-After`, with the same idempotency key.",
)  # fmt: skip

KINDS = {
    kind.name: kind
    for kind in (
        KEY_NEEDED, SCOPE_MISSING, NOT_LOCAL, NOT_FOUND, METHOD_NOT_ALLOWED, CONFLICT, EXISTS,
        IN_PROGRESS, STALLED, TOO_LARGE, MEDIA_TYPE, INVALID, REFUSED, KEY_REUSED,
        TOO_MANY, INTERNAL, UNAVAILABLE,
    )
}  # fmt: skip


def page() -> str:
    """`docs/problems.md`."""
    return "\n".join([HEAD, *(section(kind) for kind in KINDS.values())])


def section(kind: Kind) -> str:
    """What there is to say of one kind, in Markdown."""
    return (
        f"## {kind.name}\n\n`{kind.type}` · {kind.status} · {kind.title}\n\n{kind.what}\n\n"
        f"*What to do:* {kind.remedy}\n"
    )
