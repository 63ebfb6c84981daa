"""GENERATIVE: text made from a template and the data of a request."""

from __future__ import annotations

from agent.services import GENERATIVE
from agent.workers.worker_base import ClientWorker


class GenerativeWorker(ClientWorker):
    """Carries out contexts for the service that generates text."""

    service = GENERATIVE
