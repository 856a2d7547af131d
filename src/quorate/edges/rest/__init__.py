"""REST under /api/v1 and its aliases, derived from the operations."""

from quorate.edges.rest.handlers import API, rest_handlers

__all__ = ["API", "rest_handlers"]
