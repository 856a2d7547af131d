"""Links and the sessions on them: mutual challenge, keyed frames, rates, heartbeats.

Knows no clock or socket. A link is anonymous until its Hello holds; from then on its frames are keyed
and it speaks for one node key. Invariants: S1 one session a node: a newer one closes the older.
S2 nothing of a link is believed after `drop`. S3 a link that floods or stays silent is closed.
"""

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import CONFLICT, RATE_LIMITED, TIMEOUT, ProtocolError, QuorateError, demand
from quorate.base.limits import LINK_BURST_MESSAGES, LINK_RATE_MESSAGES_S, MS_NS, NODES_MAX, SECOND_NS
from quorate.base.signing import Signer, Verify, exchange_public
from quorate.model import Close, Effect, Envelope, MessageType, Send
from quorate.model.link import PROTOCOL_VERSION, Challenge, Hello, Refused, Welcome
from quorate.security import Frames, check_hello, session_frames, sign_welcome
from quorate.services.coordinator.settings import CoordinatorSettings

CHALLENGE_ENTROPY_BYTES = 64


class Session:
    """One link's state. `node` is empty until the handshake is over."""

    __slots__ = (
        "allowance",
        "frames",
        "head_seen",
        "link",
        "node",
        "opened_ns",
        "pending",
        "secret",
        "seen_ns",
        "uploads",
    )

    def __init__(self, link: bytes, challenge: Challenge, secret: bytes, now: int) -> None:
        self.link = link
        self.pending: Challenge | None = challenge
        self.secret = secret
        self.node = b""
        self.frames = Frames()
        self.opened_ns = now
        self.seen_ns = now
        self.allowance = float(LINK_BURST_MESSAGES)
        self.uploads: set[bytes] = set()
        self.head_seen = 0


class Sessions:
    """Every link of a coordinator."""

    def __init__(self, settings: CoordinatorSettings, signer: Signer, verify: Verify) -> None:
        self._settings = settings
        self._signer = signer
        self._verify = verify
        self._count = 0
        self.realm = b""
        self.links: dict[bytes, Session] = {}
        self.nodes: dict[bytes, Session] = {}

    def open(self, link: bytes, entropy: bytes, now: int) -> tuple[Effect, ...]:
        """Challenge a new link."""
        if len(self.links) >= NODES_MAX * 2:
            return (Close(link, "too many links"),)
        nonce, secret = entropy[:32], entropy[32:CHALLENGE_ENTROPY_BYTES]
        challenge = Challenge(PROTOCOL_VERSION, self.realm, self._signer.public, nonce, exchange_public(secret))
        session = Session(link, challenge, secret, now)
        self.links[link] = session
        return (self.send(session, MessageType.CHALLENGE, challenge, now),)

    def open_frame(self, link: bytes, frame: bytes, now: int) -> tuple[Session, Envelope]:
        """The session and envelope of a frame. Raises `ProtocolError`: the link is to be refused."""
        session = self.links.get(link)
        demand(session is not None, "no such link", CONFLICT)
        assert session is not None
        elapsed = max(0, now - session.seen_ns)
        session.allowance = min(LINK_BURST_MESSAGES, session.allowance + elapsed * LINK_RATE_MESSAGES_S / SECOND_NS)
        session.allowance -= 1
        demand(session.allowance >= 0, f"more than {LINK_RATE_MESSAGES_S} messages a second", RATE_LIMITED)
        envelope = session.frames.open(frame)
        session.seen_ns = now
        return session, envelope

    def check_hello(self, session: Session, payload: bytes) -> Hello:
        """The Hello of a link, its signature checked. Raises `ProtocolError`."""
        demand(session.pending is not None, "a link says hello once", CONFLICT)
        assert session.pending is not None
        hello = unpack(payload, Hello)
        check_hello(session.pending, hello, self._verify)
        return hello

    def welcome(self, session: Session, hello: Hello, grant: bytes, now: int) -> tuple[Effect, ...]:
        """Accept the node: the welcome travels plain and signed, every later frame is keyed."""
        challenge = session.pending
        assert challenge is not None
        effects: list[Effect] = []
        older = self.nodes.get(hello.node)
        if older is not None:
            effects += self.drop(older.link, "the node opened a newer link")
        self._count += 1
        draft = Welcome(self._count, self._settings.heartbeat_ms, self._settings.window, grant, b"")
        welcome = sign_welcome(challenge, hello, draft, self._signer)
        effects.append(self.send(session, MessageType.WELCOME, welcome, now))
        session.frames = session_frames(session.secret, challenge, hello, initiator=False)
        session.pending, session.secret = None, b""
        session.node = hello.node
        self.nodes[hello.node] = session
        return tuple(effects)

    def refuse(self, link: bytes, error: QuorateError, now: int) -> tuple[Effect, ...]:
        """Say why, then close. A peer that may not come back with the same is told so."""
        session = self.links.get(link)
        if session is None:
            return (Close(link, error.message),)
        refused = Refused(
            error.code, error.message, not isinstance(error, ProtocolError) and error.code != RATE_LIMITED
        )
        said = self.send(session, MessageType.REFUSED, refused, now)
        return (said, *self.drop(link, error.message))

    def drop(self, link: bytes, reason: str) -> tuple[Effect, ...]:
        """Forget a link and close it."""
        session = self.links.pop(link, None)
        if session is None:
            return ()
        if session.node and self.nodes.get(session.node) is session:
            del self.nodes[session.node]
        return (Close(link, reason),)

    def send(self, session: Session, msg_type: MessageType, payload: Struct, now: int) -> Send:
        """A message, sealed with the session's key."""
        return Send(session.link, msg_type, session.frames.seal(msg_type, pack(payload), now))

    def overdue(self, now: int) -> list[tuple[Session, QuorateError]]:
        """Links that did not finish their handshake, or went silent, in time."""
        found: list[tuple[Session, QuorateError]] = []
        for session in self.links.values():
            if session.node:
                if now - session.seen_ns >= self._settings.lost_ms * MS_NS:
                    found.append((session, ProtocolError(TIMEOUT, "no heartbeat")))
            elif now - session.opened_ns >= self._settings.handshake_ms * MS_NS:
                found.append((session, ProtocolError(TIMEOUT, "no hello")))
        return found

    def deadline(self) -> int | None:
        """When the next link becomes overdue."""
        lost, greet = self._settings.lost_ms * MS_NS, self._settings.handshake_ms * MS_NS
        times = [s.seen_ns + lost if s.node else s.opened_ns + greet for s in self.links.values()]
        return min(times, default=None)
