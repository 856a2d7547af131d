"""The coordinator: the authority of a realm. Machine (pure), driver, and the operations one can ask it for."""

from quorate.services.coordinator.beside import run_service
from quorate.services.coordinator.context import Call, run_operation
from quorate.services.coordinator.driver import Coordinator
from quorate.services.coordinator.feed import Feed, Published, cursor_text, parse_cursor
from quorate.services.coordinator.machine import SNAPSHOT_KEY, Machine
from quorate.services.coordinator.messages import (
    Cancel,
    Closing,
    IssueGrant,
    SubmitJob,
    Wish,
    Write,
    WriteWork,
    Written,
)
from quorate.services.coordinator.observer import Observer
from quorate.services.coordinator.operations import OPERATIONS
from quorate.services.coordinator.realm import PackKind
from quorate.services.coordinator.settings import CoordinatorSettings

__all__ = [
    "OPERATIONS",
    "SNAPSHOT_KEY",
    "Call",
    "Cancel",
    "Closing",
    "Coordinator",
    "CoordinatorSettings",
    "Feed",
    "IssueGrant",
    "Machine",
    "Observer",
    "PackKind",
    "Published",
    "SubmitJob",
    "Wish",
    "Write",
    "WriteWork",
    "Written",
    "cursor_text",
    "parse_cursor",
    "run_operation",
    "run_service",
]
