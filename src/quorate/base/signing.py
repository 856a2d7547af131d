"""Ed25519 signatures with a context string each, so that no signature means two things.

The simulator replaces both halves by a deterministic oracle: code takes a `Signer` and a `Verify`,
never the functions here by name.
"""

from collections.abc import Callable
from typing import Protocol

from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from quorate.base.errors import UNAUTHENTICATED, ProtocolError, demand

Verify = Callable[[bytes, bytes, bytes], bool]
"""verify(public key, message, signature) -> does it hold"""

EVENT = b"quorate event 1\x00"
RESULT = b"quorate result 1\x00"
HEAD = b"quorate head 1\x00"
COSIGN = b"quorate cosign 1\x00"
HELLO = b"quorate hello 1\x00"
WELCOME = b"quorate welcome 1\x00"

KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Signer(Protocol):
    """Holds a key and signs with it."""

    @property
    def public(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


class Ed25519Signer:
    """An Ed25519 key from a 32-byte seed (RFC 8032)."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        self.public, self._secret = bindings.crypto_sign_seed_keypair(seed)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Does `signature` (64 bytes) by `public` (32 bytes) hold for `message`? Never raises."""
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public)
    except (BadSignatureError, CryptoError):
        return False
    return True


def exchange_public(secret: bytes) -> bytes:
    """The X25519 public half of a 32-byte ephemeral secret."""
    return bindings.crypto_scalarmult_base(secret)


def exchange(secret: bytes, public: bytes) -> bytes:
    """The X25519 shared secret, 32 bytes. Raises `ProtocolError` 1003 for a peer's key that is none."""
    demand(len(public) == KEY_BYTES, f"exchange key of {len(public)} bytes", UNAUTHENTICATED)
    try:
        return bindings.crypto_scalarmult(secret, public)
    except CryptoError:  # a point of low order: anyone would know the secret
        raise ProtocolError(UNAUTHENTICATED, "degenerate exchange key") from None
