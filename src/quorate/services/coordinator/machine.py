"""The coordinator's machine: composes sessions, nodes, commands and the realm; effects out, in order.

Knows no clock, disk or socket. A driver feeds events one by one, then `Closing`: everything recorded
since the last `Closing` is one group, and what follows in effects leaves only when it is on disk.

Invariants: M1 no reply or message precedes the `Append` it rests on. M2 after `Closing` there is no
decision left that needs no further event, or `deadline` asks for another `Closing` at once. M3 memory
grows with unfinished work, not with the log.
"""

from collections.abc import Sequence

from quorate.base.codec import pack
from quorate.base.errors import invariant
from quorate.base.limits import MS_NS
from quorate.base.signing import Signer, Verify
from quorate.model import Append, Effect, GrantIssued, LeasesEnded, LeasesGranted, Save, SignedHead
from quorate.services.coordinator.cache import SmallBlobs
from quorate.services.coordinator.commands import Commands
from quorate.services.coordinator.heads import HeadBook
from quorate.services.coordinator.messages import (
    Asked,
    BlobRead,
    BlobStored,
    Closing,
    Event,
    RevokeGrant,
    TileRead,
)
from quorate.services.coordinator.nodes import Nodes
from quorate.services.coordinator.realm import PackKind, Realm, Validators
from quorate.services.coordinator.sessions import Sessions
from quorate.services.coordinator.settings import CoordinatorSettings
from quorate.services.links import Arrived, LinkClosed, LinkOpened, Ticked

HEAD_KEY = "head"
SNAPSHOT_KEY = "snapshot"


class Machine:
    """One coordinator of one realm."""

    def __init__(
        self,
        settings: CoordinatorSettings,
        signer: Signer,
        verify: Verify,
        salt_key: bytes,
        validators: Validators,
        kinds: tuple[PackKind, ...] = (),
    ) -> None:
        self._settings = settings
        self.realm = Realm(signer, verify, salt_key, validators, kinds)
        self.heads = HeadBook(signer, verify)
        self.sessions = Sessions(settings, signer, verify)
        self._blobs = SmallBlobs()
        self.nodes = Nodes(settings, self.realm, self.sessions, self.heads, self._blobs, verify)
        self.commands = Commands(self.realm, self._blobs, settings.executors, self.sessions.nodes.__contains__)
        self._snapshot_at = 0
        self._unfinished = False

    def found(self, nonce: bytes, admin_hash: bytes, now: int) -> None:
        """Begin a new realm: its first two events are its foundation and the first admin token's grant."""
        self.realm.found(nonce, self._settings.name, now)
        body = GrantIssued(b"", admin_hash, "admin", (), 0, "first admin")
        self.realm.record("grant.issued", self.realm.id, body, self.realm.root_grant, now)

    def start(self, epoch: int, head: SignedHead | None, now: int) -> None:
        """After the log was replayed: from here on events are fed."""
        invariant(self.realm.position > 0, "a realm is founded or replayed before it starts")
        self.realm.epoch = epoch
        self.sessions.realm = self.realm.id
        self.skip_rows()
        self._snapshot_at = self.realm.position
        if head is not None:
            self.heads.adopt(head)
        self.nodes.resume(now)

    def skip_rows(self) -> None:
        """Rows of replayed events are in the read model already."""
        self.realm.dispatch.skip_rows()
        self.realm.work.rows()

    def step(self, event: Event, now: int) -> tuple[Effect, ...]:
        """One event in, effects out."""
        match event:
            case Arrived():
                return self.nodes.arrived(event.link, event.frame, now)
            case Asked():
                effects = self.commands.asked(event, now)
                return (*effects, *self.nodes.expel(now)) if isinstance(event.command, RevokeGrant) else effects
            case Closing():
                return self._close(event.snapshot, now)
            case LinkOpened():
                return self.sessions.open(event.link, event.entropy, now)
            case LinkClosed():
                self.nodes.link_closed(event.link, now)
                return ()
            case BlobRead():
                return self.nodes.blob_read(event, now)
            case BlobStored():
                return self.nodes.blob_stored(event, now)
            case TileRead():
                self.realm.tree.supply(event.tile, event.leaves)
                return ()
            case Ticked():
                return ()

    def _close(self, snapshot: bool, now: int) -> tuple[Effect, ...]:
        after: list[Effect] = list(self.nodes.overdue(now))
        before: list[Effect] = []
        dispatch = self.realm.dispatch
        while not self.realm.full and (bodies := (dispatch.due(now) or dispatch.plan(now))):
            for body in bodies:
                if isinstance(body, LeasesEnded):
                    after += self._void(body, now)
            self.realm.record_all(bodies, now)
            for body in bodies:
                if isinstance(body, LeasesGranted):
                    after += self.nodes.assign(body, now)
        after += self._renew_head(now)
        self._unfinished = self.realm.full
        group, rows = self.realm.close()
        if group:
            before.append(Append(group))
        before += rows
        # Cosignatures ride along: alone they are no reason to sync, a head can be cosigned again.
        if self.heads.unsaved is not None and (group or snapshot):
            before.append(Save(HEAD_KEY, pack(self.heads.unsaved)))
            self.heads.unsaved = None
        if snapshot or self.realm.position - self._snapshot_at >= self._settings.snapshot_every:
            self._snapshot_at = self.realm.position
            before.append(Save(SNAPSHOT_KEY, self.realm.snapshot()))
        return (*before, *after)

    def _void(self, body: LeasesEnded, now: int) -> list[Effect]:
        """Tell nodes that their leases end here: a slot that is free for one side must be free for the other."""
        by_node: dict[bytes, list[tuple[bytes, int, int]]] = {}
        for task, slot, epoch, _ in body.ended:
            lease = self.realm.dispatch.lease_of(task, slot, epoch)
            if lease is not None:
                by_node.setdefault(lease.node, []).append((task, slot, epoch))
        effects: list[Effect] = []
        for node, leases in by_node.items():
            effects += self.nodes.void(node, tuple(leases), body.reason, now)
        return effects

    def _renew_head(self, now: int) -> Sequence[Effect]:
        due = self.heads.due_at(self.realm.position, self._settings.heartbeat_ms * MS_NS)
        if due is None or due > now or not self.sessions.nodes:
            return ()
        seen = self.heads.newest.heads[0].size if self.heads.newest else 0
        self.heads.renew(self.realm.id, self.realm.head(), now)
        effects: list[Effect] = []
        for _, session in sorted(self.sessions.nodes.items()):
            if session.head_seen == seen:  # the others ask with their next heartbeat
                effects += self.nodes.offer_head(session, seen, now)
        return effects

    def deadline(self) -> int | None:
        """When time alone makes something happen; 0: there is more to decide than went into the last group."""
        if self._unfinished:
            return 0
        pace = self._settings.heartbeat_ms * MS_NS
        head = self.heads.due_at(self.realm.position, pace) if self.sessions.nodes else None
        times = (self.sessions.deadline(), self.nodes.deadline(), self.realm.dispatch.deadline(), head)
        return min((time for time in times if time is not None), default=None)

    def snapshot(self) -> bytes:
        """The realm's state; sessions do not outlive a process."""
        return self.realm.snapshot()
