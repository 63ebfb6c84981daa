"""The Python client: `AgentClient`, and `AsyncAgentClient` for event loops."""

from agent.client.async_client import AsyncAgentClient
from agent.client.async_handles import AsyncBatchHandle, AsyncRequestHandle
from agent.client.client import AgentClient
from agent.client.errors import (
    AgentClientError,
    Conflict,
    KeyReused,
    NotAllowed,
    NotConfigured,
    NotFound,
    RequestCancelled,
    RequestFailed,
    RequestRefused,
    ResultTimeout,
    Unavailable,
    UnexpectedAnswer,
)
from agent.client.events import Event
from agent.client.handles import BatchHandle, RequestHandle

__all__ = [
    "AgentClient",
    "AgentClientError",
    "AsyncAgentClient",
    "AsyncBatchHandle",
    "AsyncRequestHandle",
    "BatchHandle",
    "Conflict",
    "Event",
    "KeyReused",
    "NotAllowed",
    "NotConfigured",
    "NotFound",
    "RequestCancelled",
    "RequestFailed",
    "RequestHandle",
    "RequestRefused",
    "ResultTimeout",
    "Unavailable",
    "UnexpectedAnswer",
]
