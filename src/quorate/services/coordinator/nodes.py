"""What nodes say and are told: joining, heartbeats, leases, results, blobs.

Knows no clock or socket. Invariants: N1 a result counts only if its signature holds and it speaks for the
session's own node. N2 an answer is receipted only with the group that holds it. N3 a node that is gone
for longer than allowed has no leases.
"""

from quorate.base.codec import unpack
from quorate.base.errors import (
    CONFLICT,
    DENIED,
    INVALID,
    OK,
    TOO_LARGE,
    UNAUTHENTICATED,
    ProtocolError,
    QuorateError,
    demand,
    invariant,
)
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import (
    ASSIGN_BATCH,
    BLOB_MAX_BYTES,
    BLOB_SMALL_BYTES,
    INLINE_MAX_BYTES,
    MS_NS,
    NAME_MAX_CHARS,
    NODE_CAPABILITIES_MAX,
    NODE_SLOTS_MAX,
    TASK_LOG_MAX_BYTES,
)
from quorate.base.signing import Verify
from quorate.model import (
    Effect,
    Envelope,
    Keep,
    Lease,
    LeasesGranted,
    MessageType,
    NodeChanged,
    NodeJoined,
)
from quorate.model.link import (
    Answer,
    Answers,
    Assignment,
    Assignments,
    BlobGet,
    BlobKept,
    BlobPart,
    Cancellation,
    Draining,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Progress,
    ResultReceipts,
)
from quorate.security import needs, result_holds
from quorate.services.coordinator.cache import SmallBlobs
from quorate.services.coordinator.heads import HeadBook
from quorate.services.coordinator.messages import BlobRead, BlobStored, ReadBlob, ReadTile, StorePart
from quorate.services.coordinator.realm import Realm
from quorate.services.coordinator.sessions import Session, Sessions
from quorate.services.coordinator.settings import CoordinatorSettings

UPLOADS_PER_LINK = 1_024


class Nodes:
    """The coordinator's side of every node."""

    def __init__(
        self,
        settings: CoordinatorSettings,
        realm: Realm,
        sessions: Sessions,
        heads: HeadBook,
        blobs: SmallBlobs,
        verify: Verify,
    ) -> None:
        self._settings = settings
        self._realm = realm
        self._sessions = sessions
        self._heads = heads
        self._blobs = blobs
        self._verify = verify
        self._absent: dict[bytes, int] = {}
        self.refused_messages = 0

    def resume(self, now: int) -> None:
        """After a restart: nodes that are not offline get as long as a lost heartbeat to come back."""
        here = (bytes.fromhex(view.id) for view in self._realm.dispatch.node_views() if view.state != "offline")
        for node in here:
            self._absent[node] = now + self._settings.lost_ms * MS_NS

    def arrived(self, link: bytes, frame: bytes, now: int) -> tuple[Effect, ...]:
        """One frame. A fault of the peer ends its link, never the coordinator."""
        try:
            session, envelope = self._sessions.open_frame(link, frame, now)
            if not session.node:
                demand(envelope.msg_type == MessageType.NODE_REGISTRATION, "say hello first", UNAUTHENTICATED)
                return self._hello(session, envelope.payload, now)
            return self._message(session, envelope, now)
        except QuorateError as error:
            self.refused_messages += 1
            return self._lose_link(link, error, now)

    def _message(self, session: Session, envelope: Envelope, now: int) -> tuple[Effect, ...]:
        match envelope.msg_type:
            case MessageType.HEALTH_CHECK:
                return self._heartbeat(session, unpack(envelope.payload, Heartbeat), now)
            case MessageType.TASK_RESULT:
                return self._answers(session, unpack(envelope.payload, Answers), now)
            case MessageType.TASK_PROGRESS:
                for task, slot, epoch in unpack(envelope.payload, Progress).started:
                    self._realm.dispatch.started(session.node, task, slot, epoch)
                return ()
            case MessageType.TASK_CANCELLATION:
                back = unpack(envelope.payload, Cancellation)
                self._realm.record_all(self._realm.dispatch.hand_back(session.node, back.items, back.reason), now)
                return ()
            case MessageType.BLOB_GET:
                get = unpack(envelope.payload, BlobGet)
                return self._blob_get(session, get, now)
            case MessageType.BLOB_PUT:
                return self._blob_put(session, unpack(envelope.payload, BlobPart))
            case MessageType.DRAINING:
                self._change(session.node, "draining", unpack(envelope.payload, Draining).reason[:NAME_MAX_CHARS], now)
                return ()
            case _:
                raise ProtocolError(INVALID, f"unexpected message type {envelope.msg_type}")

    def _hello(self, session: Session, payload: bytes, now: int) -> tuple[Effect, ...]:
        hello = self._sessions.check_hello(session, payload)
        demand(len(hello.capabilities) <= NODE_CAPABILITIES_MAX, "too many capabilities", TOO_LARGE)
        demand(1 <= hello.slots <= NODE_SLOTS_MAX, f"slots are 1 to {NODE_SLOTS_MAX}", INVALID)
        demand(hello.name.isprintable() and len(hello.name) <= NAME_MAX_CHARS, "unprintable or long name", INVALID)
        demand(all(len(c) <= NAME_MAX_CHARS and c.isprintable() for c in hello.capabilities), "capability", INVALID)
        grant = self._grant_for(hello, now)
        effects = self._sessions.welcome(session, hello, grant, now)
        self._absent.pop(hello.node, None)
        self._change(hello.node, "online", "joined" if hello.join else "connected", now)
        dispatch = self._realm.dispatch
        self._realm.record_all(dispatch.keep_only(hello.node, hello.running), now)
        # What ended here while the node was away still fills its slots there: it would refuse what it is given.
        held = {(lease.task, lease.slot, lease.epoch) for lease in dispatch.leases_on(hello.node)}
        said = [(lease.task, lease.slot, lease.epoch) for lease in hello.running]
        void = tuple(lease for lease in said if lease not in held)
        return (*effects, *self.void(hello.node, void, "the lease ended meanwhile", now))

    def _grant_for(self, hello: Hello, now: int) -> bytes:
        """The node's grant: the one it has if that still stands, or a new one for its join token."""
        realm, node = self._realm, hello.node
        known = realm.dispatch.node_spec(node)
        if known is not None:
            try:
                grant = realm.grants.for_key(node, now)
                needs(grant, "node:link")
            except QuorateError:
                if not hello.join:
                    raise
            else:
                if (known.name, known.capabilities, known.slots) == (hello.name, hello.capabilities, hello.slots):
                    return grant.grant
                body = NodeJoined(node, hello.name, NO_ID, hello.capabilities, hello.slots)
                return realm.record("node.joined", node, body, grant.grant, now).event
        if not hello.join:
            raise QuorateError(UNAUTHENTICATED, "this coordinator does not know the node", "Join with --token first")
        ticket = realm.grants.for_token(hello.join, now)
        needs(ticket, "node:register")
        body = NodeJoined(node, hello.name, ticket.grant, hello.capabilities, hello.slots)
        return realm.record("node.joined", node, body, ticket.grant, now).event

    def _heartbeat(self, session: Session, beat: Heartbeat, now: int) -> tuple[Effect, ...]:
        size, signature = beat.cosign
        session.head_seen = beat.seen
        if size:
            self._heads.cosign(session.node, size, signature)
        if beat.rejected:
            self._realm.evidence.append((session.node, beat.rejected[:NAME_MAX_CHARS]))
        head = self._heads.newest
        if head is None or beat.seen == head.heads[0].size:
            return (self._sessions.send(session, MessageType.HEALTH_REPLY, HeartbeatReply(None, 0, ()), now),)
        return self.offer_head(session, beat.seen, now)

    def offer_head(self, session: Session, seen: int, now: int) -> tuple[Effect, ...]:
        """Send the newest head with the proof that it extends what the node saw."""
        head = self._heads.newest
        if head is None:
            return ()
        tree, size = self._realm.tree, head.heads[0].size
        demand(seen <= size, f"saw a head of {seen} events, the log has {size}", CONFLICT)
        if missing := tree.missing(seen, size):
            return tuple(ReadTile(tile) for tile in missing)  # type: ignore[misc]
        proof = tree.consistency(seen, size) if seen else ()
        reply = HeartbeatReply(head, seen, proof)
        return (self._sessions.send(session, MessageType.HEALTH_REPLY, reply, now),)

    def _answers(self, session: Session, answers: Answers, now: int) -> tuple[Effect, ...]:
        kept: list[Effect] = []
        receipts: list[tuple[bytes, int, int, int]] = []
        for answer in answers.items:
            result = answer.result
            demand(result.node == session.node, "a result of another node", DENIED)
            demand(result_holds(self._realm.id, result, self._verify), "the result's signature does not hold", DENIED)
            code = self._output_problem(session, answer)
            if code == OK:
                words = answer.words[:TASK_LOG_MAX_BYTES]
                code, bodies = self._realm.dispatch.judge(result, words, now)
                if code == OK:
                    if answer.output is not None and result.code == OK:
                        self._blobs.put(result.output, answer.output)
                        kept.append(Keep(result.output, answer.output))
                        self._realm.group_bytes += len(answer.output)
                    self._realm.record_all(bodies, now)
            receipts.append((result.task, result.slot, result.epoch, code))
        receipt = self._sessions.send(session, MessageType.RESULT_RECEIPT, ResultReceipts(tuple(receipts)), now)
        return (*kept, receipt)

    def _output_problem(self, session: Session, answer: Answer) -> int:
        if answer.result.code != OK:
            return OK
        if answer.output is None:
            return OK if answer.result.output in session.uploads else INVALID
        if len(answer.output) > INLINE_MAX_BYTES:
            return TOO_LARGE
        return OK if hash_id(answer.output) == answer.result.output else INVALID

    def _blob_get(self, session: Session, get: BlobGet, now: int) -> tuple[Effect, ...]:
        held = self._blobs.get(get.id)
        if held is None or len(held) > BLOB_SMALL_BYTES or get.offset:
            return (ReadBlob(session.link, get.id, get.offset),)  # type: ignore[return-value]
        return self.blob_read(BlobRead(session.link, get.id, 0, len(held), held), now)

    def blob_read(self, part: BlobRead, now: int) -> tuple[Effect, ...]:
        session = self._sessions.links.get(part.link)
        if session is None or not session.node:
            return ()
        message = BlobPart(part.id, part.offset, part.total, part.data)
        return (self._sessions.send(session, MessageType.BLOB_PART, message, now),)

    def _blob_put(self, session: Session, part: BlobPart) -> tuple[Effect, ...]:
        demand(part.offset >= 0 and 0 < part.total <= BLOB_MAX_BYTES, "blob size", TOO_LARGE)
        demand(part.offset + len(part.data) <= part.total, "blob part beyond its end", INVALID)
        demand(len(session.uploads) < UPLOADS_PER_LINK, "too many uploads without a result", TOO_LARGE)
        return (StorePart(session.link, part.id, part.offset, part.total, part.data),)  # type: ignore[return-value]

    def blob_stored(self, stored: BlobStored, now: int) -> tuple[Effect, ...]:
        session = self._sessions.links.get(stored.link)
        if session is None or not session.node:
            return ()
        if stored.code == OK:
            session.uploads.add(stored.id)
        return (self._sessions.send(session, MessageType.BLOB_KEPT, BlobKept(stored.id, stored.code), now),)

    def link_closed(self, link: bytes, now: int) -> None:
        """The socket went away: the node has until a heartbeat would be lost to come back."""
        session = self._sessions.links.get(link)
        if session is None:
            return
        self._sessions.drop(link, "closed")
        if session.node and session.node not in self._sessions.nodes:
            self._absent[session.node] = session.seen_ns + self._settings.lost_ms * MS_NS

    def _lose_link(self, link: bytes, error: QuorateError, now: int) -> tuple[Effect, ...]:
        session = self._sessions.links.get(link)
        effects = self._sessions.refuse(link, error, now)
        if session is not None and session.node and session.node not in self._sessions.nodes:
            self._absent[session.node] = now + self._settings.lost_ms * MS_NS
        return effects

    def overdue(self, now: int) -> tuple[Effect, ...]:
        """Silent links are closed, absent nodes declared offline, their leases ended."""
        effects: list[Effect] = []
        for session, error in self._sessions.overdue(now):
            effects += self._sessions.refuse(session.link, error, now)
            if session.node:
                self._absent[session.node] = now
        for node in [node for node, at in self._absent.items() if at <= now]:
            del self._absent[node]
            self._change(node, "offline", "no heartbeat", now)
            self._realm.record_all(self._realm.dispatch.drop_node(node, "node lost"), now)
        return tuple(effects)

    def expel(self, now: int) -> tuple[Effect, ...]:
        """Close the links of nodes whose grant does not stand any more; they are absent at once."""
        effects: list[Effect] = []
        for node, session in sorted(self._sessions.nodes.items()):
            try:
                needs(self._realm.grants.for_key(node, now), "node:link")
            except QuorateError as error:
                effects += self._sessions.refuse(session.link, error, now)
                self._absent[node] = now
        return tuple(effects)

    def deadline(self) -> int | None:
        return min(self._absent.values(), default=None)

    def _change(self, node: bytes, state: str, reason: str, now: int) -> None:
        if self._realm.dispatch.node_state(node) != state:
            # What the coordinator saw of a node is its own statement: the node's grant may be gone by now.
            body = NodeChanged(node, state, reason)
            self._realm.record("node.changed", node, body, self._realm.root_grant, now)

    def assign(self, granted: LeasesGranted, now: int) -> tuple[Effect, ...]:
        """Tell each node its new leases."""
        by_node: dict[bytes, list[Assignment]] = {}
        for lease in granted.leases:
            by_node.setdefault(lease.node, []).append(self._assignment(lease))
        effects: list[Effect] = []
        for node, items in by_node.items():
            session = self._sessions.nodes.get(node)
            if session is None:
                continue  # the node is about to be declared lost, and the lease with it
            for first in range(0, len(items), ASSIGN_BATCH):
                message = Assignments(tuple(items[first : first + ASSIGN_BATCH]))
                effects.append(self._sessions.send(session, MessageType.TASK_ASSIGNMENT, message, now))
        return tuple(effects)

    def _assignment(self, lease: Lease) -> Assignment:
        spec = self._realm.dispatch.spec_of(lease.task)
        invariant(spec is not None, "a task with a lease has a spec")
        assert spec is not None
        return Assignment(lease, spec, self._blobs.get(spec.input), self._realm.dispatch.dep_outputs(lease.task))

    def void(
        self, node: bytes, leases: tuple[tuple[bytes, int, int], ...], reason: str, now: int
    ) -> tuple[Effect, ...]:
        """Tell a node that leases are void."""
        session = self._sessions.nodes.get(node)
        if session is None or not leases:
            return ()
        return (self._sessions.send(session, MessageType.TASK_CANCELLATION, Cancellation(leases, reason), now),)
