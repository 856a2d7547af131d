"""The realm's state: one log, and everything folded from it.

Knows no clock, disk or socket. Every change is an event: `record` seals it, appends it to the tree
and folds it at once (speculatively: the driver lets nothing out before it is on disk); `replay` folds
what the disk holds after a restart. Both end in `_fold`, so a restart gives the same state.

Invariants: R1 positions are dense. R2 state changes in `_fold` only. R3 the group that `close` returns
ends with a signed event of the authority whenever it holds one of its own.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import (
    DENIED,
    INVALID,
    NOT_FOUND,
    UNSUPPORTED,
    InvariantBroken,
    QuorateError,
    demand,
    invariant,
    require,
)
from quorate.base.hlc import check_drift, millis_of
from quorate.base.ids import NO_ID
from quorate.base.limits import GROUP_EVENTS_MAX, GROUP_FULL_BYTES, GROUP_FULL_EVENTS, MS_NS
from quorate.base.signing import Signer, Verify
from quorate.dispatch import Dispatch
from quorate.model import (
    KINDS,
    Event,
    Id,
    LogHead,
    NodeJoined,
    Project,
    RealmFounded,
    Receipt,
    Result,
    Sealed,
    TaskSpec,
)
from quorate.security import Chain, Chains, Grants, Tree, needs, open_event, realm_id, sign_group
from quorate.work import WorkTree

EVIDENCE_KEPT = 1_024
_KIND_OF = {body: kind for kind, (body, _, _) in KINDS.items()}

Validators = Mapping[str, Callable[[TaskSpec, Result], bytes]]


def draft_wish(
    work: WorkTree, verb: str, subject: bytes, args: tuple[Any, ...]
) -> Sequence[tuple[str, Struct, tuple[Id, ...]]]:
    """The events of one wish, on the tree as it is. Raises `QuorateError` when it may not be."""
    draft = _VERBS.get(verb)
    if draft is None:
        raise QuorateError(INVALID, f"unknown change {verb!r}: one of {', '.join(_VERBS)}")
    return draft(work, subject, *args)


_VERBS: dict[str, Callable[..., Sequence[tuple[str, Struct, tuple[Id, ...]]]]] = {
    "create": WorkTree.draft_create,
    "set": WorkTree.draft_set,
    "add": WorkTree.draft_add,
    "remove": WorkTree.draft_remove,
    "count": WorkTree.draft_count,
    "move": WorkTree.draft_move,
    "tombstone": WorkTree.draft_tombstone,
}


class PackKind(Struct, frozen=True):
    """An event kind of a pack, reduced to what a fold needs."""

    name: str
    body: type[Any]
    fold: Callable[[Any, Any], Any]
    initial: Callable[[], Any]
    authority_only: bool


class Realm:
    """One realm as its authority sees it."""

    def __init__(
        self,
        signer: Signer,
        verify: Verify,
        salt_key: bytes,
        validators: Validators,
        kinds: tuple[PackKind, ...] = (),
    ) -> None:
        self._signer = signer
        self._verify = verify
        self._salt_key = salt_key
        self.id = b""
        self.nonce = b""
        self.name = ""
        self.root_grant: Id = NO_ID
        self.epoch = 0
        self.position = 0
        self.last_at_ns = 0
        self.tree = Tree()
        self.grants = Grants()
        self.dispatch = Dispatch(validators)
        self.work = WorkTree()
        self.kinds = {kind.name: kind for kind in kinds}
        self.packs: dict[str, Any] = {kind.name: kind.initial() for kind in kinds}
        self._chain = Chain(b"", signer, salt_key)
        self._chains = Chains(b"", verify)
        self._group: list[Sealed] = []
        self.group_bytes = 0
        self.evidence: deque[tuple[bytes, str]] = deque(maxlen=EVIDENCE_KEPT)

    @property
    def authority(self) -> bytes:
        return self._signer.public

    def found(self, nonce: bytes, name: str, now: int) -> Receipt:
        """Write the realm's first event."""
        invariant(self.position == 0, "R1: a realm is founded once")
        self._open(nonce, name)
        body = RealmFounded(self.authority, nonce, name)
        return self.record("realm.founded", self.id, body, NO_ID, now)

    def record(
        self, kind: str, subject: bytes, body: Struct, grant: Id, now: int, deps: tuple[Id, ...] = ()
    ) -> Receipt:
        """Seal an event of the authority's own and fold it. The receipt holds once the group is on disk."""
        invariant(self.id, "nothing is written before the realm is founded")
        before = self._chain.state()
        id, event, sealed = self._chain.draft(kind, subject, body, grant, now, deps)
        try:
            return self._append(id, event, body, sealed)
        except QuorateError:  # refused by its fold, which changed nothing: the event never was
            self._chain = Chain(self.id, self._signer, self._salt_key, *before)
            raise

    def rehearse(self, subject: bytes, wishes: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """See whether wishes on a node that is not there yet would be granted. Raises as `draft_wish` does."""
        stand_in, chain = WorkTree(), Chain(self.id, self._signer, self._salt_key)
        for position, (verb, given) in enumerate(wishes, 1):
            if verb == "move":
                continue  # where it goes is judged on the real tree
            args = (*given[:2], b"") if verb == "create" else given
            for kind, body, deps in draft_wish(stand_in, verb, subject, args):
                id, event, _ = chain.draft(kind, subject, body, self.root_grant, 0, deps)
                stand_in.apply(id, event, body, position * GROUP_EVENTS_MAX + chain.state()[0])

    def record_all(self, bodies: Iterable[Struct], now: int) -> None:
        """Record what a core decided, under the authority's own grant."""
        for body in bodies:
            subject = getattr(body, "task", b"") or getattr(body, "job", b"") or self.id
            self.record(_KIND_OF[type(body)], subject, body, self.root_grant, now)

    def admit(self, batch: tuple[Sealed, ...], now: int) -> tuple[Receipt, ...]:
        """Judge events that another actor signed, and append them. All or none; raises with a code."""
        opened = [open_event(sealed) for sealed in batch]
        bodies = [self._judge(event, sealed, now) for (_, event), sealed in zip(opened, batch, strict=True)]
        works = [(id, event, body) for (id, event), body in zip(opened, bodies, strict=True) if event.kind != "note"]
        self.work.check([work for work in works if work[1].kind.startswith("work.")])
        self._chains.check(batch)
        return tuple(
            self._append(id, event, body, sealed)
            for (id, event), body, sealed in zip(opened, bodies, batch, strict=True)
        )

    def _judge(self, event: Event, sealed: Sealed, now: int) -> Struct:
        demand(event.actor != self.authority, "an event of the authority does not come from outside", DENIED)
        check_drift(event.hlc, now)
        body, authority_only = self.body_of(event, sealed)
        demand(not authority_only, f"kind {event.kind} is written by the authority only", DENIED)
        principal = self.grants.principal(event.grant, now)
        demand(principal.key == event.actor, "the grant named belongs to another key", DENIED)
        needs(principal, "event:emit")
        demand(self.grants.valid_event(event.grant, event.actor, event.seq), "the grant was revoked", DENIED)
        return body

    def body_of(self, event: Event, sealed: Sealed) -> tuple[Struct, bool]:
        """The decoded body, and whether the kind is the authority's alone."""
        demand(sealed.body is not None, "the body was erased", NOT_FOUND)
        assert sealed.body is not None
        if event.kind in KINDS:
            body_type, _, authority_only = KINDS[event.kind]
            return unpack(sealed.body, body_type), authority_only
        kind = self.kinds.get(event.kind)
        require(kind is not None, f"unknown event kind {event.kind!r}", UNSUPPORTED)
        assert kind is not None
        return unpack(sealed.body, kind.body), kind.authority_only

    def replay(self, position: int, sealed: Sealed) -> None:
        """Fold one event that the disk holds."""
        if position != self.position + 1:
            raise InvariantBroken(f"R1: position {position} after {self.position}")
        id, event = open_event(sealed)
        if position == 1:
            founded = unpack(sealed.body or b"", RealmFounded)
            demand(founded.authority == self.authority, "this data directory belongs to another key", DENIED)
            self._open(founded.nonce, founded.name)
        if event.realm != self.id:
            raise InvariantBroken(f"position {position} belongs to another realm")
        body, _ = self.body_of(event, sealed)
        self.tree.append(id)
        if event.actor == self.authority:
            self._chain.follow(event.seq, id, event.hlc)
        else:
            self._chains.feed((sealed,))
        self._fold(id, event, body, position)
        self.position = position

    def close(self) -> tuple[tuple[Sealed, ...], tuple[Project, ...]]:
        """The group written since the last call, signed, and the rows it changed."""
        group = sign_group(self._group, self._signer) if self._group else ()
        self._group, self.group_bytes = [], 0
        return group, self.dispatch.rows() + self.work.rows()

    @property
    def full(self) -> bool:
        """Is the group large enough to be closed? Whoever adds what goes to disk with it adds to `group_bytes`."""
        return len(self._group) >= GROUP_FULL_EVENTS or self.group_bytes >= GROUP_FULL_BYTES

    def head(self) -> LogHead:
        """The log's head, the open group included."""
        return LogHead(self.id, self.epoch, self.tree.size, self.tree.root())

    def frontier_of(self, grant: Id) -> tuple[tuple[bytes, int], ...]:
        """The last event of each outside actor that wrote under a grant: what was admitted stays valid."""
        record = self.grants.get(grant)
        if record is None or not record.key or record.key == self.authority:
            return ()
        return ((record.key, self._chains.state(record.key)[0]),)

    def receipt(self, position: int, event: Id, code: int = 0) -> Receipt:
        return Receipt(self.id, self.epoch, position, event, code)

    def snapshot(self) -> bytes:
        """Everything folded so far. Equal state, equal bytes."""
        return pack(
            (
                self.id,
                self.nonce,
                self.name,
                self.root_grant,
                self.position,
                self.last_at_ns,
                self._chain.state(),
                self._chains.snapshot(),
                self.tree.snapshot(),
                self.grants.snapshot(),
                self.dispatch.snapshot(),
                self.work.snapshot(),
                sorted(self._pack_states()),
            )
        )

    def _pack_states(self) -> Iterator[tuple[str, bytes]]:
        """The states of the packs' kinds of which there were events: without them a pack is not missed."""
        for name, kind in self.kinds.items():
            if (state := pack(self.packs[name])) != pack(kind.initial()):
                yield name, state

    def restore(self, data: bytes) -> None:
        """Take over a snapshot made by `snapshot`."""
        parts = unpack(data, _Snapshot)
        self._open(parts.nonce, parts.name)
        invariant(self.id == parts.id, "the snapshot belongs to another realm")
        self.root_grant, self.position, self.last_at_ns = parts.root_grant, parts.position, parts.last_at_ns
        self._chain = Chain(self.id, self._signer, self._salt_key, *parts.chain)
        self._chains.restore(parts.chains)
        self.tree.restore(parts.tree)
        self.grants.restore(parts.grants)
        self.dispatch.restore(parts.dispatch)
        self.work.restore(parts.work)
        for name, state in parts.packs:
            require(name in self.packs, f"the log holds events of kind {name!r}, whose pack is not loaded", UNSUPPORTED)
            self.packs[name] = msgspec.msgpack.decode(state, type=type(self.packs[name]))

    def _open(self, nonce: bytes, name: str) -> None:
        self.id, self.nonce, self.name = realm_id(self.authority, nonce), nonce, name
        self._chain = Chain(self.id, self._signer, self._salt_key)
        self._chains = Chains(self.id, self._verify)

    def _append(self, id: Id, event: Event, body: Struct, sealed: Sealed) -> Receipt:
        self._fold(id, event, body, self.position + 1)
        self.position += 1
        self.tree.append(id)
        self._group.append(sealed)
        self.group_bytes += len(sealed.head) + len(sealed.body or b"")
        return self.receipt(self.position, id)

    def _fold(self, id: Id, event: Event, body: Any, position: int) -> None:
        at_ns = millis_of(event.hlc) * MS_NS
        self.last_at_ns = max(self.last_at_ns, at_ns)
        family = event.kind.split(".", 1)[0]
        if family in ("job", "lease", "task"):
            self.dispatch.apply(body, at_ns, position)
        elif family == "work":
            self.work.apply(id, event, body, position)
            self.work.settle(position)
        elif family in ("realm", "grant"):
            if isinstance(body, RealmFounded):
                self.root_grant = id
            self.grants.apply(id, body)
        elif family == "node":
            if isinstance(body, NodeJoined):
                self.grants.apply(id, body)
            self.dispatch.apply(body, at_ns, position)
        elif event.kind in self.kinds:
            kind = self.kinds[event.kind]
            self.packs[event.kind] = kind.fold(self.packs[event.kind], body)


class _Snapshot(Struct, frozen=True, array_like=True):
    id: bytes
    nonce: bytes
    name: str
    root_grant: Id
    position: int
    last_at_ns: int
    chain: tuple[int, Id, int]
    chains: bytes
    tree: bytes
    grants: bytes
    dispatch: bytes
    work: bytes
    packs: tuple[tuple[str, bytes], ...]
