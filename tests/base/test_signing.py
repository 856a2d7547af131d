"""Signatures as RFC 8032 publishes them, key exchange as RFC 7748 does, and contexts that cannot be confused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base import signing
from quorate.base.errors import UNAUTHENTICATED, ProtocolError
from quorate.base.signing import Ed25519Signer, exchange, exchange_public, verify

RFC_8032 = (  # section 7.1, tests 1-3: secret, public, message, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
SHARED = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
ORDER = 2**252 + 27742317777372353535851937790883648493
SIGNER = Ed25519Signer(bytes(32))


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_the_rfc(secret: str, public: str, message: str, signature: str) -> None:
    signer = Ed25519Signer(bytes.fromhex(secret))
    assert signer.public.hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    assert verify(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


def test_every_bit_of_key_message_and_signature_counts() -> None:
    message = b"a result"
    whole = SIGNER.public + message + SIGNER.sign(message)
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify(bytes(changed[:32]), bytes(changed[32:-64]), bytes(changed[-64:])), f"bit {bit}"


def test_a_signature_cannot_be_changed_into_another_that_holds() -> None:
    signature = SIGNER.sign(b"once")
    shifted = (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
    assert not verify(SIGNER.public, b"once", signature[:32] + shifted)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=80))
def test_verify_never_raises_and_noise_never_holds(public: bytes, message: bytes, signature: bytes) -> None:
    assert not verify(public, message, signature)
    assert not verify(SIGNER.public, message, signature)
    assert not verify((public * 32 + bytes(32))[:32], message, (signature * 64 + bytes(64))[:64])


def test_contexts_are_distinct_and_none_begins_another() -> None:
    contexts = {name: value for name, value in vars(signing).items() if name.isupper() and isinstance(value, bytes)}
    assert {"EVENT", "RESULT", "HEAD", "HELLO", "WELCOME"} <= set(contexts)
    for name, context in contexts.items():
        assert context.startswith(b"quorate ")
        assert context.endswith(b"\x00")
        assert not any(other.startswith(context) for key, other in contexts.items() if key != name)


def test_key_exchange_is_that_of_the_rfc() -> None:
    assert exchange_public(BOB).hex() == BOB_PUBLIC
    assert exchange(BOB, ALICE_PUBLIC).hex() == SHARED


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), b"", bytes(31)])
def test_a_peer_key_that_would_give_a_known_secret_is_refused(public: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        exchange(BOB, public)
    assert refused.value.code == UNAUTHENTICATED
