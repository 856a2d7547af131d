"""Who is at the door: bearer tokens, rates, request ids, and how errors look.

Knows the coordinator only to ask it who holds a token. Invariants: G1 nothing but `public` operations
passes without a token. G2 an error leaves with a code, what to do, and the request's id; never a trace.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from quorate.base.errors import (
    FAULTS,
    INVALID,
    NOT_FOUND,
    RATE_LIMITED,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNSUPPORTED,
    InvariantBroken,
    QuorateError,
)
from quorate.base.ids import NO_ID
from quorate.base.limits import SECOND_NS, USER_BURST_REQUESTS, USER_RATE_REQUESTS_S
from quorate.model import Principal
from quorate.model.views import ErrorView
from quorate.services.coordinator import Coordinator

PUBLIC = Principal(NO_ID, "public", frozenset(), "anyone")
KEYS_WATCHED = 10_000
MSGPACK = "application/msgpack"
_STATUS_CODES = {401: UNAUTHENTICATED, 404: NOT_FOUND, 405: UNSUPPORTED, 413: TOO_LARGE, 415: UNSUPPORTED}


class Gate:
    """Admits callers to one coordinator. `say` writes the access log; `rate`: requests a second of one token."""

    def __init__(self, coordinator: Coordinator, say: Callable[..., Any], rate: int = USER_RATE_REQUESTS_S) -> None:
        self.coordinator = coordinator
        self.say = say
        self._rate = rate
        self._burst = float(rate * USER_BURST_REQUESTS // USER_RATE_REQUESTS_S)
        self._allowance: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def admit(self, authorization: str, right: str) -> Principal:
        """The caller behind an Authorization header. Raises 1003, 1004."""
        if right == "public" and not authorization:
            return PUBLIC
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise QuorateError(UNAUTHENTICATED, "no bearer token was sent", "Send `Authorization: Bearer <token>`")
        now = self.coordinator.clock.now()
        principal = self.coordinator.machine.realm.grants.for_token(token, now)
        self._spend(principal.grant, now)
        return principal

    def _spend(self, key: bytes, now: int) -> None:
        left, at = self._allowance.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate / SECOND_NS) - 1
        self._allowance[key] = (left, now)
        if len(self._allowance) > KEYS_WATCHED:
            self._allowance.popitem(last=False)
        if left < 0:
            raise QuorateError(RATE_LIMITED, f"more than {self._rate} requests a second with this token")


def request_id(request: Request[Any, Any, Any]) -> str:
    """The caller's X-Request-ID if it is a sane one, or a new one."""
    given = request.headers.get("x-request-id", "")
    return given if 0 < len(given) <= 64 and given.isascii() and given.isprintable() else secrets.token_hex(8)


def encoded(request: Request[Any, Any, Any], value: Any) -> tuple[bytes, str]:
    """`value` as JSON, or as msgpack when the caller prefers it."""
    if MSGPACK in request.headers.get("accept", ""):
        return msgspec.msgpack.encode(value), MSGPACK
    return msgspec.json.encode(value), "application/json"


def error_view(error: BaseException, id: str) -> tuple[ErrorView, int]:
    """What the caller is told of an error, and the HTTP status."""
    if isinstance(error, QuorateError):
        fault = error.fault
        return ErrorView(error.code, fault.name, error.message, error.hint, id), fault.http
    if isinstance(error, HTTPException):
        code = _STATUS_CODES.get(error.status_code, INVALID if error.status_code < 500 else NOT_FOUND)
        fault = FAULTS[code]
        status = error.status_code if error.status_code in (405, 413, 415) else fault.http
        return ErrorView(code, fault.name, _message(error), fault.recovery, id), status
    text = "internal error" if not isinstance(error, InvariantBroken) else f"an invariant broke: {error}"
    return ErrorView(2000, "internal", text, "Report it with the request's id", id), 500


def _message(error: HTTPException) -> str:
    extra = getattr(error, "extra", None)
    if isinstance(extra, list):
        parts = [f"{item.get('key', '')}: {item.get('message', '')}" for item in extra if isinstance(item, dict)]
        return "; ".join(parts)[:1000] or error.detail
    return error.detail[:1000]


def error_response(request: Request[Any, Any, Any], error: BaseException) -> Response[bytes]:
    """The response to a request that failed."""
    id = request.scope.get("state", {}).get("request_id") or request_id(request)
    view, status = error_view(error, id)
    body, media = encoded(request, view)
    headers = {"x-request-id": id}
    if view.code == RATE_LIMITED:
        headers["retry-after"] = "1"
    if view.code == UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return Response(body, status_code=status, media_type=media, headers=headers)
