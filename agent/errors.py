"""Every error of the project, in one tree.

AgentError
├── ConfigurationError          a setting is missing, wrong or contradicts another one
├── MissingServer               an embedded server's program is not installed
├── EmbeddedServerFailed        an embedded server did not start or answer
├── StoreError
│   ├── StoreUnavailable        MongoDB did not answer (retryable)
│   ├── NotStorable             MongoDB refuses the document itself
│   ├── AlreadyStored           there is a document of this id
│   ├── ContextNotFound
│   ├── ScheduleNotFound
│   └── IllegalTransition       the status table has no such change
├── BrokerUnavailable           Redis did not answer (retryable)
├── RequestInvalid              a request that cannot be turned into contexts
│   ├── UnknownServiceType
│   ├── TemplateNotFound
│   ├── PurposeNotFound
│   ├── PurposeUnclear          the text fits no purpose, or several alike
│   └── IdempotencyKeyReused    another request came under this key before
├── StillInProgress             the same is being done just now (retryable)
├── ContextUnreadable           a document of another program that cannot be adopted
└── CallError                   what went wrong with a call of a Base service
    ├── RequestNotSendable      the request cannot be built or encoded; nothing was sent
    │   └── PlaceholderMissing  a placeholder of the template has no value
    ├── ServiceUnavailable      the request was not sent (retryable)
    ├── OutcomeUnknown          the request was sent, its outcome is not known
    ├── TlsFailed               the service's certificate or protocol was refused
    ├── ReplyTooLarge           the reply is over `max_response_bytes`
    └── Draining                shutdown came before the request was sent

`retryable` says whether trying again, unchanged, can help.
"""


class AgentError(Exception):
    """Anything that this project raises on purpose."""

    retryable = False


class ConfigurationError(AgentError):
    """A setting is missing or wrong; the message names the variable and what to do."""


class MissingServer(AgentError):
    """The program of an embedded server is not installed; the message says how to install it."""


class EmbeddedServerFailed(AgentError):
    """An embedded server did not start, or does not answer."""


class StoreError(AgentError):
    """Something about MongoDB."""


class StoreUnavailable(StoreError):
    """MongoDB did not answer, or cannot be written to now. Whether a write took place is open."""

    retryable = True


class NotStorable(StoreError):
    """The document cannot be stored: too large, too deep, or a value that BSON does not have."""


class AlreadyStored(StoreError):
    """There is a document of this id already."""


class ContextNotFound(StoreError):
    """There is no context of this id."""


class ScheduleNotFound(StoreError):
    """There is no schedule of this name."""


class IllegalTransition(StoreError):
    """The status table does not have this change."""


class BrokerUnavailable(AgentError):
    """Redis did not answer. Whether a message was enqueued is open; leases bring the work back."""

    retryable = True


class RequestInvalid(AgentError):
    """A request that cannot be turned into contexts."""


class UnknownServiceType(RequestInvalid):
    """No service of this name is registered; the message lists those that are."""


class TemplateNotFound(RequestInvalid):
    """No template of this id (and version) is stored."""


class PurposeNotFound(RequestInvalid):
    """No purpose of this id is stored; the message lists those that are."""


class PurposeUnclear(RequestInvalid):
    """The keywords in the text choose no purpose, or several alike; the message lists them."""


class IdempotencyKeyReused(RequestInvalid):
    """Another request came under this idempotency key less than a day ago."""


class StillInProgress(AgentError):
    """Somebody else does the same just now; how it ends is not known yet."""

    retryable = True


class ContextUnreadable(AgentError):
    """A document of another program says too little to be carried out."""


class CallError(AgentError):
    """What went wrong with one call of a Base service."""


class RequestNotSendable(CallError):
    """The request cannot be built from the context, or cannot be encoded. Nothing was sent."""


class PlaceholderMissing(RequestNotSendable):
    """Placeholders of the template have no value; the message names them."""


class ServiceUnavailable(CallError):
    """The service could not be reached; the request was not sent."""

    retryable = True


class OutcomeUnknown(CallError):
    """The request was sent, but no whole reply came back: the service may have done the work."""

    retryable = True


class TlsFailed(CallError):
    """The service's certificate or TLS version was refused."""


class ReplyTooLarge(CallError):
    """The reply is larger than `max_response_bytes`; the rest was not read."""


class Draining(CallError):
    """The process is shutting down and the request was not sent."""

    retryable = True
