"""Every error of the client, in one tree.

AgentClientError
├── NotConfigured       the address or the key cannot be used
├── NotAllowed          no key, a wrong one, or one that is not for this
├── NotFound            there is no such thing
├── Conflict            its status does not allow that
├── RequestRefused      it cannot be understood, or cannot become work
│   └── KeyReused       another request came under this idempotency key before
├── Unavailable         no answer for as long as the client has patience
├── UnexpectedAnswer    an answer that is none of the agent's
├── RequestFailed       the request came to nothing; `error` says why
├── RequestCancelled    it was cancelled
└── ResultTimeout       it is not final yet (a `TimeoutError`, too)

`type`, `title`, `detail` and `status` are those of the problem (docs/problems.md), whether it came
over HTTP or from MongoDB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class AgentClientError(Exception):
    """Anything that the client raises on purpose.

    Args:
        detail: what is wrong, for people.
        type: which kind of problem, as docs/problems.md has them; empty if it is none of those.
        title: the kind in words.
        status: the HTTP status.
    """

    def __init__(
        self, detail: str, *, type: str = "", title: str = "", status: int | None = None
    ) -> None:
        super().__init__(f"{title}: {detail}" if title and detail else title or detail)
        self.detail = detail
        self.type = type
        self.title = title
        self.status = status


class NotConfigured(AgentClientError):
    """The address or the key cannot be used; the message says what to write."""


class NotAllowed(AgentClientError):
    """No key was sent, a wrong one, or one whose scopes do not allow this."""


class NotFound(AgentClientError):
    """There is no request, batch or template of this id, or it was deleted after its time."""


class Conflict(AgentClientError):
    """Its status does not allow that: what is final cannot be cancelled, and so on."""


class RequestRefused(AgentClientError):
    """The request cannot be understood, or cannot become work; the message names every problem.

    Args:
        errors: `field` and `message` of each field that is wrong, where it is about fields.
    """

    def __init__(
        self, detail: str, *, errors: Sequence[Mapping[str, str]] = (), **about: Any
    ) -> None:
        super().__init__(detail, **about)
        self.errors = [dict(each) for each in errors]


class KeyReused(RequestRefused):
    """Another request came under this idempotency key less than 24 hours ago."""


class Unavailable(AgentClientError):
    """There was no usable answer for as long as the client tries.

    Whether a submission was stored is open: sent again under the same `idempotency_key` it makes
    one request all the same.
    """

    idempotency_key: str | None = None


class UnexpectedAnswer(AgentClientError):
    """The answer is none of the agent's: the address leads to something else."""


class _Ended(AgentClientError):
    """A request that brought no result.

    Args:
        answer: all that is told of it.
    """

    ended = "brought nothing"

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.id = str(answer.get("id"))
        self.answer = dict(answer)
        self.error: dict[str, Any] = dict(answer.get("error") or {})
        said = ": ".join(str(self.error[name]) for name in ("type", "message")
                         if self.error.get(name))  # fmt: skip
        super().__init__(said, type=str(self.error.get("type") or ""),
                         title=f"{self.id} {self.ended}")  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.answer,)


class RequestFailed(_Ended):
    """The request failed for good; `error` has `type` and `message`."""

    ended = "failed"


class RequestCancelled(_Ended):
    """The request was cancelled."""

    ended = "was cancelled"


class ResultTimeout(AgentClientError, TimeoutError):
    """It was not final in time. It goes on: ask again whenever you like."""
