"""A node's machine: answers the challenge, keeps leases, delivers results until they are receipted, cosigns heads.

Knows no clock, disk or socket. Invariants: N1 a result is kept and sent again until it is receipted or void.
N2 nothing is started whose lease is void. N3 a head is cosigned only if it extends the last one cosigned.
"""

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import (
    INVALID,
    NOT_FOUND,
    OK,
    TOO_LARGE,
    ProtocolError,
    QuorateError,
    demand,
)
from quorate.base.ids import hash_id
from quorate.base.limits import (
    BLOB_MAX_BYTES,
    BLOB_PART_BYTES,
    HANDSHAKE_MS,
    HEARTBEAT_MS,
    MS_NS,
    PROGRESS_AFTER_MS,
    RESULT_BATCH,
)
from quorate.base.signing import Signer, Verify, exchange_public
from quorate.model import Abort, Close, Effect, Envelope, Id, Lease, MessageType, Reply, Save, Send, SignedHead
from quorate.model.link import (
    PROTOCOL_VERSION,
    Answer,
    Answers,
    Assignments,
    BlobGet,
    BlobKept,
    BlobPart,
    Cancellation,
    Challenge,
    Draining,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Progress,
    Refused,
    ResultReceipts,
    Welcome,
)
from quorate.security import Frames, Witness, check_challenge, check_welcome, session_frames, sign_hello
from quorate.services.links import Arrived, LinkClosed, LinkOpened, Ticked
from quorate.services.node.messages import (
    Closing,
    Drained,
    Event,
    Finished,
    LeaseKey,
    Refusal,
    Start,
    Wanted,
    key_of,
)
from quorate.services.node.settings import NodeSettings

WITNESS_KEY = "witness"
SILENT_BEATS = 4


class Witnessed(Struct, frozen=True, array_like=True):
    """What a node remembers across restarts: whose realm it joined, and the last head it cosigned."""

    realm: bytes
    authority: bytes
    head: SignedHead | None


class _Fetch:
    """A blob on its way."""

    __slots__ = ("calls", "data")

    def __init__(self, call: int) -> None:
        self.data = bytearray()
        self.calls = [call]


class Machine:
    """One node. `capabilities` include `executor:<name>` for each executor."""

    def __init__(
        self,
        settings: NodeSettings,
        signer: Signer,
        verify: Verify,
        capabilities: tuple[str, ...],
        remembered: bytes | None = None,
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._verify = verify
        self._capabilities = capabilities
        self._link = b""
        self._entropy = b""
        self._hello: Hello | None = None
        self._challenge: Challenge | None = None
        self._frames = Frames()
        self._heartbeat_ns = HEARTBEAT_MS * MS_NS
        self._next_beat: int | None = None
        self._heard_ns = 0
        self._cosign: tuple[int, bytes] = (0, b"")
        self._rejected = ""
        self._draining = False
        self._fetches: dict[Id, _Fetch] = {}
        self._ready: dict[LeaseKey, Answer] = {}
        self._large: dict[Id, tuple[list[LeaseKey], bytes]] = {}  # tasks may share an output
        self._sent: set[LeaseKey] = set()
        self._started: dict[LeaseKey, int] = {}  # begun then, and not told yet
        self.running: dict[LeaseKey, Lease] = {}
        self.online = False
        known = unpack(remembered, Witnessed) if remembered else None
        self._witness: Witness | None = None
        self.realm = b""
        if known is not None:
            self.realm = known.realm
            self._witness = Witness(known.realm, known.authority, verify, known.head)
        self._authority = settings.authority or (known.authority if known else b"")

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits to be delivered."""
        return not self.running and not self._ready and not self._large

    def step(self, event: Event, now: int) -> tuple[Effect, ...]:
        """One event in, effects out."""
        match event:
            case Arrived():
                return self._arrived(event, now)
            case Finished():
                return self._finished(event, now)
            case Wanted():
                return self._wanted(event, now)
            case Closing():
                return self._flush(now)
            case LinkOpened():
                self._link, self._entropy = event.link, event.entropy
                self._frames, self._hello, self.online = Frames(), None, False
                self._heard_ns = now
                return ()
            case LinkClosed():
                self._offline(event.link)
                return ()
            case Drained():
                return self._drain(event, now)
            case Ticked():
                return ()

    def deadline(self) -> int | None:
        """When a heartbeat or news of what runs is due, or the coordinator has been silent for too long."""
        if not self._link:
            return None
        silent = self._heard_ns + self._patience_ns
        if not self.online or self._next_beat is None:
            return silent
        tell = [since + PROGRESS_AFTER_MS * MS_NS for since in self._started.values()]
        return min(self._next_beat, silent, *tell)

    @property
    def _patience_ns(self) -> int:
        return SILENT_BEATS * self._heartbeat_ns if self.online else HANDSHAKE_MS * MS_NS

    def snapshot(self) -> bytes:
        """What must outlive the process."""
        assert self._witness is not None
        return pack(Witnessed(self.realm, self._authority, self._witness.last))

    def _offline(self, link: bytes) -> None:
        if link == self._link:
            self._link, self.online, self._hello, self._next_beat = b"", False, None, None
            self._sent.clear()
            for fetch in self._fetches.values():
                fetch.data.clear()

    def _arrived(self, event: Arrived, now: int) -> tuple[Effect, ...]:
        if event.link != self._link:
            return ()
        try:
            envelope = self._frames.open(event.frame)
            self._heard_ns = now
            return self._message(envelope, now)
        except QuorateError as error:
            self._offline(event.link)
            return (Close(event.link, error.message),)

    def _message(self, envelope: Envelope, now: int) -> tuple[Effect, ...]:
        kind, payload = envelope.msg_type, envelope.payload
        if not self.online:
            return self._greeting(kind, payload, now)
        match kind:
            case MessageType.TASK_ASSIGNMENT:
                return self._assigned(unpack(payload, Assignments), now)
            case MessageType.RESULT_RECEIPT:
                for task, slot, epoch, _ in unpack(payload, ResultReceipts).items:
                    self._ready.pop((task, slot, epoch), None)
                    self._sent.discard((task, slot, epoch))
                return ()
            case MessageType.TASK_CANCELLATION:
                return self._cancelled(unpack(payload, Cancellation))
            case MessageType.HEALTH_REPLY:
                return self._head(unpack(payload, HeartbeatReply), now)
            case MessageType.BLOB_PART:
                return self._part(unpack(payload, BlobPart), now)
            case MessageType.BLOB_KEPT:
                return self._kept(unpack(payload, BlobKept))
            case MessageType.REFUSED:
                refused = unpack(payload, Refused)
                raise ProtocolError(refused.code, refused.message)
            case _:
                raise ProtocolError(INVALID, f"unexpected message type {kind}")

    def _greeting(self, kind: int, payload: bytes, now: int) -> tuple[Effect, ...]:
        if kind == MessageType.CHALLENGE:
            return self._answer_challenge(unpack(payload, Challenge), now)
        if kind == MessageType.REFUSED:
            refused = unpack(payload, Refused)
            self._link = b""
            if refused.final:
                return (Refusal(refused.code, refused.message),)  # type: ignore[return-value]
            raise ProtocolError(refused.code, refused.message)
        demand(kind == MessageType.WELCOME and self._hello is not None, "no welcome", INVALID)
        assert self._hello is not None and self._challenge is not None
        welcome = unpack(payload, Welcome)
        check_welcome(self._challenge, self._hello, welcome, self._verify)
        self._frames = session_frames(self._entropy[32:64], self._challenge, self._hello, initiator=True)
        self._heartbeat_ns = welcome.heartbeat_ms * MS_NS
        self._next_beat, self.online = now, True
        new = self._witness is None
        if self._witness is None:
            self.realm, self._authority = self._challenge.realm, self._challenge.authority
            self._witness = Witness(self.realm, self._authority, self._verify, None)
        again = [self._send(MessageType.BLOB_GET, BlobGet(id, 0), now) for id in self._fetches]
        puts = [put for id in self._large for put in self._put(id, now)]
        return ((Save(WITNESS_KEY, self.snapshot()),) if new else ()) + tuple(again) + tuple(puts)

    def _answer_challenge(self, challenge: Challenge, now: int) -> tuple[Effect, ...]:
        demand(self._hello is None, "challenged twice", INVALID)
        check_challenge(challenge, self.realm, self._authority)
        self._challenge = challenge
        draft = Hello(
            PROTOCOL_VERSION,
            self._signer.public,
            self._entropy[:32],
            exchange_public(self._entropy[32:64]),
            self._settings.join,
            self._settings.name,
            self._capabilities,
            self._settings.slots,
            (*self.running.values(), *(_lease_of(answer) for answer in self._ready.values())),
            b"",
        )
        self._hello = sign_hello(challenge, draft, self._signer)
        return (self._send(MessageType.NODE_REGISTRATION, self._hello, now),)

    def _assigned(self, assignments: Assignments, now: int) -> tuple[Effect, ...]:
        effects: list[Effect] = []
        refused: list[LeaseKey] = []
        for item in assignments.items:
            key = key_of(item.lease)
            demand(item.lease.node == self._signer.public, "a lease of another node", INVALID)
            demand(item.input is None or hash_id(item.input) == item.spec.input, "an input altered on the way", INVALID)
            if self._draining or len(self.running) >= self._settings.slots:
                refused.append(key)
            elif key not in self.running:
                self.running[key] = item.lease
                self._started[key] = now
                effects.append(Start(item))  # type: ignore[arg-type]
        if refused:
            effects.append(self._send(MessageType.TASK_CANCELLATION, Cancellation(tuple(refused), "full"), now))
        return tuple(effects)

    def _cancelled(self, cancellation: Cancellation) -> tuple[Effect, ...]:
        # A result that is there already is delivered: it may still be of use.
        void = (self.running.pop(key, None) for key in cancellation.items)
        return tuple(Abort(lease, cancellation.reason) for lease in void if lease is not None)

    def _head(self, reply: HeartbeatReply, now: int) -> tuple[Effect, ...]:
        if reply.head is None or self._witness is None:
            return ()
        try:
            self._cosign = self._witness.consider(reply, self._signer)
        except ProtocolError as error:
            self._rejected = error.message
            return self._beat(now)
        # Remembered before it is sent: after a restart the node must not cosign a log that forked meanwhile.
        return (Save(WITNESS_KEY, self.snapshot()), *self._beat(now))

    def _beat(self, now: int) -> tuple[Effect, ...]:
        self._next_beat = now + self._heartbeat_ns
        seen = self._witness.last.heads[0].size if self._witness and self._witness.last else 0
        free = self._settings.slots - len(self.running)
        beat = Heartbeat(len(self.running), free, (), seen, self._cosign, self._rejected)
        self._cosign = (0, b"")
        return (self._send(MessageType.HEALTH_CHECK, beat, now),)

    def _finished(self, event: Finished, now: int) -> tuple[Effect, ...]:
        key = (event.answer.result.task, event.answer.result.slot, event.answer.result.epoch)
        if self.running.pop(key, None) is None:
            return ()  # void meanwhile
        if event.answer.output is None and event.answer.result.code == OK:
            output = event.answer.result.output
            self._ready[key] = event.answer
            self._sent.add(key)  # held back until its blob is kept
            if output in self._large:
                self._large[output][0].append(key)
                return ()
            self._large[output] = ([key], event.data)
            return self._put(output, now) if self.online else ()
        self._ready[key] = event.answer
        return ()

    def _put(self, id: Id, now: int) -> tuple[Effect, ...]:
        keys, data = self._large[id]
        self._sent.update(keys)
        return tuple(
            self._send(MessageType.BLOB_PUT, BlobPart(id, at, len(data), data[at : at + BLOB_PART_BYTES]), now)
            for at in range(0, len(data), BLOB_PART_BYTES)
        )

    def _kept(self, kept: BlobKept) -> tuple[Effect, ...]:
        keys, _ = self._large.pop(kept.id, ((), b""))
        self._sent.difference_update(keys)
        return ()

    def _wanted(self, event: Wanted, now: int) -> tuple[Effect, ...]:
        fetch = self._fetches.get(event.id)
        if fetch is not None:
            fetch.calls.append(event.call)
            return ()
        self._fetches[event.id] = _Fetch(event.call)
        return (self._send(MessageType.BLOB_GET, BlobGet(event.id, 0), now),) if self.online else ()

    def _part(self, part: BlobPart, now: int) -> tuple[Effect, ...]:
        fetch = self._fetches.get(part.id)
        if fetch is None or part.offset != len(fetch.data):
            return ()
        if part.total < 0:
            return self._fetched(part.id, NOT_FOUND, pack("the coordinator has no such blob"))
        if part.total > BLOB_MAX_BYTES:
            return self._fetched(part.id, TOO_LARGE, pack("the blob is over the limit"))
        fetch.data += part.data
        if len(fetch.data) < part.total:
            demand(part.data, "an empty part", INVALID)
            return (self._send(MessageType.BLOB_GET, BlobGet(part.id, len(fetch.data)), now),)
        data = bytes(fetch.data)
        demand(hash_id(data) == part.id, "a blob altered on the way", INVALID)
        return self._fetched(part.id, OK, data)

    def _fetched(self, id: Id, code: int, payload: bytes) -> tuple[Effect, ...]:
        return tuple(Reply(call, code, payload) for call in self._fetches.pop(id).calls)

    def _drain(self, event: Drained, now: int) -> tuple[Effect, ...]:
        effects: list[Effect] = []
        if self.online and not self._draining:
            effects.append(self._send(MessageType.DRAINING, Draining(event.reason), now))
        self._draining = True
        if event.now_back and self.running:
            keys = tuple(self.running)
            effects += [Abort(lease, event.reason) for lease in self.running.values()]
            self.running.clear()
            if self.online:
                effects.append(self._send(MessageType.TASK_CANCELLATION, Cancellation(keys, event.reason), now))
        return tuple(effects)

    def _flush(self, now: int) -> tuple[Effect, ...]:
        if self._link and now - self._heard_ns >= self._patience_ns:
            link = self._link
            self._offline(link)
            return (Close(link, "the coordinator is silent"),)
        if not self.online:
            self._started.clear()
            return ()
        effects: list[Effect] = []
        self._started = {key: since for key, since in self._started.items() if key in self.running}
        begun = tuple(key for key, since in self._started.items() if now - since >= PROGRESS_AFTER_MS * MS_NS)
        if begun:  # what is over by then was not worth telling
            effects.append(self._send(MessageType.TASK_PROGRESS, Progress(begun), now))
            for key in begun:
                del self._started[key]
        ready = [key for key in self._ready if key not in self._sent]
        for first in range(0, len(ready), RESULT_BATCH):
            keys = ready[first : first + RESULT_BATCH]
            answers = Answers(tuple(self._ready[key] for key in keys))
            self._sent.update(keys)
            effects.append(self._send(MessageType.TASK_RESULT, answers, now))
        if self._next_beat is not None and now >= self._next_beat:
            effects += self._beat(now)
        return tuple(effects)

    def _send(self, msg_type: MessageType, payload: Struct, now: int) -> Send:
        return Send(self._link, msg_type, self._frames.seal(msg_type, pack(payload), now))


def _lease_of(answer: Answer) -> Lease:
    """The lease that a result answers; the node does not keep until when it ran."""
    result = answer.result
    return Lease(result.task, result.slot, result.epoch, result.node, 0)
