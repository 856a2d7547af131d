"""The one codec: msgpack arrays between processes and on disk, JSON at the edges.

Decoding is strict: wrong types, missing fields and trailing bytes raise a coded error.
"""

from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from quorate.base.errors import INVALID, ProtocolError

T = TypeVar("T")
_ENCODER = msgspec.msgpack.Encoder()
_JSON = msgspec.json.Encoder()


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


@cache
def _json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def pack(value: object) -> bytes:
    """`value` as msgpack."""
    return _ENCODER.encode(value)


def unpack(data: bytes, kind: type[T]) -> T:
    """A `kind` from msgpack. Raises `ProtocolError` 1002."""
    try:
        return cast(T, _decoder(cast(Any, kind)).decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(INVALID, f"not a {getattr(kind, '__name__', kind)}: {error}") from None


def to_json(value: object) -> bytes:
    """`value` as JSON."""
    return _JSON.encode(value)


def from_json(data: bytes | str, kind: type[T]) -> T:
    """A `kind` from JSON. Raises `ProtocolError` 1002."""
    try:
        return cast(T, _json_decoder(cast(Any, kind)).decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(INVALID, f"not a {getattr(kind, '__name__', kind)}: {error}") from None
