"""One logger: structlog, JSON or console, with the fields that the sources name."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

FIELDS = {"request_id": "requestId", "user_id": "userId", "task_id": "taskId", "node_id": "nodeId"}


def _named(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {FIELDS.get(key, key): value for key, value in event.items()}


def make_logger(level: str = "info", form: str = "console", **bound: Any) -> Any:
    """A bound logger writing to standard error. `form`: `console` or `json`; `level`: debug, info, warning, error."""
    colors = sys.stderr.isatty()
    last: Any = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=colors)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _named,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger(**bound)
