"""What happens to a link, as both ends' machines are told it."""

from msgspec import Struct


class LinkOpened(Struct, frozen=True):
    """A link came up; 64 bytes of entropy for this end's nonce and ephemeral key."""

    link: bytes
    entropy: bytes


class LinkClosed(Struct, frozen=True):
    link: bytes


class Arrived(Struct, frozen=True):
    """A frame, unchecked."""

    link: bytes
    frame: bytes


class Ticked(Struct, frozen=True):
    """Time passed."""
