"""What the web doors share: the gate, encodings, errors, and the dashboard's files."""

from quorate.edges.http.dashboard import dashboard_routes
from quorate.edges.http.gate import MSGPACK, Gate, encoded, error_response, error_view, request_id
from quorate.edges.http.reference import ReferencePage

__all__ = [
    "MSGPACK",
    "Gate",
    "ReferencePage",
    "dashboard_routes",
    "encoded",
    "error_response",
    "error_view",
    "request_id",
]
