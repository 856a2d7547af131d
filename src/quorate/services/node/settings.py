"""Settings of a node."""

from msgspec import Struct


class NodeSettings(Struct, frozen=True):
    """`join` is the token of the first connection, empty once the coordinator knows the key.
    `authority` pins the coordinator's key (empty: the first one seen is kept)."""

    name: str
    slots: int
    join: str = ""
    authority: bytes = b""
