"""The mutual challenge of a link, and the frames that are keyed by it.

The coordinator sends a challenge, the node answers with a hello, the coordinator with a welcome: each signs both
nonces and both exchange keys, so that neither half fits another link and nobody between them learns the keys.
Pure: nonces and exchange secrets come in. CHALLENGE, NODE_REGISTRATION, WELCOME and REFUSED travel in plain frames
(id 0); after the welcome every frame is keyed.

Invariants: L1 a signature covers every field of its message and all of the challenge before it. L2 a keyed frame is
taken once, in order, in its own direction. L3 a session ends before its message ids would repeat.
"""

from msgspec.structs import replace

from quorate.base import envelope
from quorate.base.codec import pack
from quorate.base.errors import INVALID, TOO_LARGE, UNAUTHENTICATED, UNSUPPORTED, demand, invariant
from quorate.base.ids import NO_ID, UUID_BYTES, keyed_hash
from quorate.base.limits import (
    LINK_IDS_MAX,
    LINK_MESSAGE_MAX_BYTES,
    NAME_MAX_CHARS,
    NODE_CAPABILITIES_MAX,
    NODE_SLOTS_MAX,
)
from quorate.base.signing import HELLO, KEY_BYTES, WELCOME, Signer, Verify, exchange
from quorate.model.envelope import Envelope, MessageType
from quorate.model.link import PROTOCOL_VERSION, Challenge, Hello, Welcome
from quorate.security.grants import token_hash

NONCE_BYTES = 32
_DOWN = b"quorate link 1 to node\x00"
_UP = b"quorate link 1 to coordinator\x00"


def _hello_message(challenge: Challenge, hello: Hello) -> bytes:
    join = token_hash(hello.join) if hello.join else NO_ID
    offer = (hello.name, hello.capabilities, hello.slots, hello.running)
    return HELLO + pack((challenge, hello.protocol, hello.node, hello.nonce, hello.exchange, join, offer))


def _welcome_message(challenge: Challenge, hello: Hello, welcome: Welcome) -> bytes:
    terms = (welcome.session, welcome.heartbeat_ms, welcome.window, welcome.grant)
    return WELCOME + pack((challenge, hello.protocol, hello.node, hello.nonce, hello.exchange, terms))


def check_challenge(challenge: Challenge, realm: bytes = b"", authority: bytes = b"") -> None:
    """Node: raise 1002, 1003 or 1008 unless the challenge is well-formed and from whom one expects, where one does."""
    demand(
        challenge.protocol == PROTOCOL_VERSION, f"protocol {challenge.protocol}, not {PROTOCOL_VERSION}", UNSUPPORTED
    )
    demand(len(challenge.realm) == UUID_BYTES and len(challenge.authority) == KEY_BYTES, "challenge: realm", INVALID)
    demand(len(challenge.nonce) == NONCE_BYTES and len(challenge.exchange) == KEY_BYTES, "challenge: nonce", INVALID)
    demand(not realm or challenge.realm == realm, "the coordinator is of another realm", UNAUTHENTICATED)
    demand(not authority or challenge.authority == authority, "the coordinator is another one", UNAUTHENTICATED)


def sign_hello(challenge: Challenge, draft: Hello, signer: Signer) -> Hello:
    """Node: the answer to a challenge, signed. `exchange` in it is the public half of an ephemeral key."""
    invariant(draft.node == signer.public, "a node says hello under its own key")
    return replace(draft, sig=signer.sign(_hello_message(challenge, draft)))


def check_hello(challenge: Challenge, hello: Hello, verify: Verify) -> None:
    """Coordinator: raise 1002, 1003 or 1008 unless the node of `hello` has answered this very challenge."""
    demand(hello.protocol == PROTOCOL_VERSION, f"protocol {hello.protocol}, not {PROTOCOL_VERSION}", UNSUPPORTED)
    demand(len(hello.nonce) == NONCE_BYTES and len(hello.exchange) == KEY_BYTES, "hello: nonce", INVALID)
    demand(0 < len(hello.name) <= NAME_MAX_CHARS, f"a node's name has 1 to {NAME_MAX_CHARS} characters", INVALID)
    demand(0 < hello.slots <= NODE_SLOTS_MAX, f"{hello.slots} slots, a node has 1 to {NODE_SLOTS_MAX}", INVALID)
    demand(len(hello.capabilities) <= NODE_CAPABILITIES_MAX, f"{len(hello.capabilities)} capabilities", INVALID)
    demand(all(0 < len(one) <= NAME_MAX_CHARS for one in hello.capabilities), "a capability is too long", INVALID)
    demand(len(hello.running) <= NODE_SLOTS_MAX, f"{len(hello.running)} tasks running", INVALID)
    demand(
        verify(hello.node, _hello_message(challenge, hello), hello.sig),
        "the node does not prove its key",
        UNAUTHENTICATED,
    )


def sign_welcome(challenge: Challenge, hello: Hello, draft: Welcome, signer: Signer) -> Welcome:
    """Coordinator: the answer to a hello that it has checked, signed."""
    invariant(signer.public == challenge.authority, "the authority of the challenge signs the welcome")
    return replace(draft, sig=signer.sign(_welcome_message(challenge, hello, draft)))


def check_welcome(challenge: Challenge, hello: Hello, welcome: Welcome, verify: Verify) -> None:
    """Node: raise 1003 unless the authority named in the challenge has answered this very hello."""
    message = _welcome_message(challenge, hello, welcome)
    demand(verify(challenge.authority, message, welcome.sig), "the coordinator does not prove its key", UNAUTHENTICATED)


def session_keys(shared: bytes, nonce_a: bytes, nonce_b: bytes) -> tuple[bytes, bytes]:
    """The keys of frames (to the node, to the coordinator) from the X25519 secret and both nonces."""
    root = keyed_hash(shared, nonce_a + nonce_b)
    return keyed_hash(root, _DOWN), keyed_hash(root, _UP)


class Frames:
    """One end of a link: messages to frames and back. Without keys: plain frames with id 0."""

    __slots__ = ("_receive_key", "_send_key", "received", "sent")

    def __init__(self, send_key: bytes = b"", receive_key: bytes = b"") -> None:
        invariant(bool(send_key) == bool(receive_key), "both directions are keyed, or none")
        self._send_key, self._receive_key = send_key, receive_key
        self.sent = self.received = 0

    @property
    def keyed(self) -> bool:
        return bool(self._send_key)

    def seal(self, msg_type: int, payload: bytes, now: int, priority: int = 0) -> bytes:
        """The frame of the next message. Raises 3000 when the session has used up its ids, 1007 beyond the limit."""
        demand(len(payload) <= LINK_MESSAGE_MAX_BYTES, f"message of {len(payload)} bytes", TOO_LARGE)
        if not self.keyed:
            return envelope.seal(now, 0, 0, 0, msg_type, priority, 0, payload)
        demand(self.sent < LINK_IDS_MAX, "the session has used up its message ids: reconnect")
        self.sent += 1
        return envelope.seal(now, self.sent, 0, 0, msg_type, priority, 0, payload, self._send_key)

    def open(self, frame: bytes) -> Envelope:
        """The next message from the peer. Raises 1007, 3000: damaged, forged, replayed, lost or out of order."""
        opened = Envelope(*envelope.open_frame(frame, self._receive_key))
        # What only a wire itself may say is not taken from a peer.
        demand(opened.msg_type < MessageType.LINK_OPENED, f"message type {opened.msg_type} does not travel")
        expected = self.received + 1 if self.keyed else 0
        demand(opened.msg_id == expected, f"message {opened.msg_id} where {expected} was expected")
        self.received = opened.msg_id
        return opened


def session_frames(secret: bytes, challenge: Challenge, hello: Hello, *, initiator: bool) -> Frames:
    """The keyed frames of a link, from one's own ephemeral secret. The node is the initiator. Raises 1003."""
    peer = challenge.exchange if initiator else hello.exchange
    down, up = session_keys(exchange(secret, peer), challenge.nonce, hello.nonce)
    return Frames(up, down) if initiator else Frames(down, up)
