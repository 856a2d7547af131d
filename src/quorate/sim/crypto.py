"""Signatures by an oracle: a BLAKE3 keyed with the public key. Deterministic, and quick.

Unforgeable by convention: whoever can verify could also sign, so nothing in the simulation signs
but with a signer that it was given. A liar that forges makes bytes up instead.
"""

from hmac import compare_digest

from blake3 import blake3

from quorate.base.signing import KEY_BYTES, SIGNATURE_BYTES


def _oracle(public: bytes, message: bytes) -> bytes:
    return blake3(message, key=public).digest(length=SIGNATURE_BYTES)


class OracleSigner:
    """`base.signing.Signer` without elliptic curves."""

    __slots__ = ("public",)

    def __init__(self, seed: bytes) -> None:
        self.public = blake3(seed, derive_key_context="quorate sim key 1").digest()

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return _oracle(self.public, message)


def oracle_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """`base.signing.Verify`: does `signature` hold? Never raises."""
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    return compare_digest(_oracle(public, message), signature)
