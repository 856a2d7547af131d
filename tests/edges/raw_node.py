"""A node spoken by hand: the handshake as the security room has it, and then whatever a test wants to say."""

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from live import Live
from quorate.base.codec import pack, unpack
from quorate.base.signing import Ed25519Signer, exchange_public
from quorate.model import MessageType
from quorate.model.link import PROTOCOL_VERSION, Assignments, Challenge, Hello, Refused, Welcome
from quorate.security import Frames, session_frames, sign_hello

NOW = 1_700_000_000_000_000_000
MESSAGE_S = 15.0


class RawNode:
    """One end of a link. `frames` are plain until `join`."""

    def __init__(self, socket: ClientConnection, seed: bytes = b"") -> None:
        self.socket = socket
        self.signer = Ed25519Signer(seed or secrets.token_bytes(32))
        self.frames = Frames()
        self.executor = f"by-hand-{self.signer.public.hex()[:8]}"
        self.challenge = unpack(self.receive(MessageType.CHALLENGE), Challenge)
        self.secret = secrets.token_bytes(32)

    def hello(self, join: str, **other: Any) -> Hello:
        """The answer to the challenge, signed; fields replaced before it is."""
        fields: dict[str, Any] = {
            "protocol": PROTOCOL_VERSION,
            "node": self.signer.public,
            "nonce": secrets.token_bytes(32),
            "exchange": exchange_public(self.secret),
            "join": join,
            "name": "by hand",
            "capabilities": (f"executor:{self.executor}", "executor:noop"),
            "slots": 2,
            "running": (),
            "sig": b"",
        }
        return sign_hello(self.challenge, Hello(**(fields | other)), self.signer)

    def join(self, join: str, **other: Any) -> Welcome:
        """The handshake, to the end."""
        hello = self.hello(join, **other)
        self.send(MessageType.NODE_REGISTRATION, hello)
        welcome = unpack(self.receive(MessageType.WELCOME), Welcome)
        self.frames = session_frames(self.secret, self.challenge, hello, initiator=True)
        return welcome

    def seal(self, msg_type: int, payload: Struct | bytes) -> bytes:
        return self.frames.seal(msg_type, payload if isinstance(payload, bytes) else pack(payload), NOW)

    def send(self, msg_type: int, payload: Struct | bytes) -> None:
        self.socket.send(self.seal(msg_type, payload))

    def receive(self, msg_type: int) -> bytes:
        """The payload of the next message of this type; others are passed over."""
        while True:
            data = self.socket.recv(MESSAGE_S)
            assert isinstance(data, bytes)
            envelope = self.frames.open(data)
            if envelope.msg_type == msg_type:
                return envelope.payload
            assert envelope.msg_type != MessageType.REFUSED, unpack(envelope.payload, Refused)

    def assignment(self) -> Assignments:
        return unpack(self.receive(MessageType.TASK_ASSIGNMENT), Assignments)

    def refusal(self) -> Refused:
        """Why the coordinator ended the link. Raises if it did not."""
        found: Refused | None = None
        with contextlib.suppress(ConnectionClosed):
            while True:
                data = self.socket.recv(MESSAGE_S)
                assert isinstance(data, bytes)
                envelope = self.frames.open(data)
                if envelope.msg_type == MessageType.REFUSED:
                    found = unpack(envelope.payload, Refused)
        assert found is not None, "the link ended without a word"
        return found


@contextlib.contextmanager
def link(live: Live, seed: bytes = b"") -> Iterator[RawNode]:
    """A fresh link to a coordinator."""
    with connect(live.url.replace("http", "ws") + "/link", max_size=None, compression=None, close_timeout=1) as socket:
        yield RawNode(socket, seed)


def invite(live: Live) -> str:
    token: str = live.post("/nodes/register", {"label": "by hand"})["token"]
    return token
