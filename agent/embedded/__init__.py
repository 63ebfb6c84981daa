"""Real servers for a fresh machine: SecantusDB and Redis as processes of their own, supervised.

Nothing here is imported by the parts that run in production; `agent up`, the demo and the tests
use it. Any other command can be supervised in the same way (`Process`, `Supervisor`).
"""

from __future__ import annotations

from agent.embedded.servers import EmbeddedServers
from agent.embedded.supervisor import Handle, Process, Supervisor

__all__ = ["EmbeddedServers", "Handle", "Process", "Supervisor"]
