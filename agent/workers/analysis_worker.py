"""ANALYSIS: findings about the data of a request."""

from __future__ import annotations

from agent.services import ANALYSIS
from agent.workers.worker_base import ClientWorker


class AnalysisWorker(ClientWorker):
    """Carries out contexts for the service that analyses data."""

    service = ANALYSIS
