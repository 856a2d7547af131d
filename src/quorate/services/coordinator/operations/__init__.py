"""Every operation of Quorate itself, declared once: REST, MCP, CLI, docs and the role matrix derive from it."""

from typing import Any

from quorate.model import Operation
from quorate.services.coordinator.operations import agents, blobs, events, grants, jobs, nodes, system, tasks

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    *jobs.OPERATIONS,
    *tasks.OPERATIONS,
    *agents.OPERATIONS,
    *nodes.OPERATIONS,
    *events.OPERATIONS,
    *grants.OPERATIONS,
    *blobs.OPERATIONS,
    *system.OPERATIONS,
)

__all__ = ["OPERATIONS"]
