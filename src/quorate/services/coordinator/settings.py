"""Settings of a coordinator: defaults are in `base/limits.py`."""

from msgspec import Struct

from quorate.base import limits


class CoordinatorSettings(Struct, frozen=True):
    """Times in milliseconds. `executors`: what a job may ask for though no node that offers it has joined yet."""

    name: str = "quorate"
    heartbeat_ms: int = limits.HEARTBEAT_MS
    lost_ms: int = limits.HEARTBEAT_LOST_MS
    handshake_ms: int = limits.HANDSHAKE_MS
    window: int = limits.NODE_SLOTS_MAX
    executors: tuple[str, ...] = ("command", "noop")
    snapshot_every: int = limits.SNAPSHOT_EVERY_EVENTS
