"""Chains of events: drafting one's own, and checking everyone's.

Knows the link from an event to the one before it, the hash of a body and the signature of an actor. Knows no
grant, no kind's meaning and no disk. Hashes and signatures are over the bytes as received.

Invariants: C1 the events of an actor are numbered 1, 2, 3, …; each names the one before, its clock is later.
C2 `check` takes a batch whole or not at all. C3 what `check` or `finish` has let pass is covered by a
signature of its actor. C4 an error names the first event that is bad.
"""

from collections.abc import Sequence
from typing import Self

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import INVALID, PROTOCOL, TOO_LARGE, ProtocolError, demand, invariant, require
from quorate.base.hlc import HybridClock
from quorate.base.ids import HASH_BYTES, NO_ID, UUID_BYTES, hash_id, keyed_hash
from quorate.base.limits import (
    EVENT_BODY_MAX_BYTES,
    EVENT_DEPS_MAX,
    EVENT_HEAD_MAX_BYTES,
    EVENT_SALT_BYTES,
    GROUP_EVENTS_MAX,
    NAME_MAX_CHARS,
    SIGN_EVERY_EVENTS,
)
from quorate.base.signing import EVENT, KEY_BYTES, SIGNATURE_BYTES, Signer, Verify
from quorate.model.events import Event, Id, Sealed

EVENT_VERSION = 1
_INTEGER_END = 1 << 63  # what a database's integer holds


class BadEvent(ProtocolError):
    """An event that breaks its log. `position` is where it stands: 1 is the first."""

    def __init__(self, position: int, what: str, code: int = PROTOCOL) -> None:
        super().__init__(code, f"event {position}: {what}", "Everything before this position is sound")
        self.position = position


class Chain:
    """One actor's own chain, as far as it is drafted."""

    __slots__ = ("_hlc", "_prev", "_realm", "_salts", "_seq", "actor")

    def __init__(
        self, realm: bytes, signer: Signer, salt_key: bytes, seq: int = 0, prev: Id = NO_ID, hlc: int = 0
    ) -> None:
        self.actor = signer.public
        self._realm = realm
        self._salts = keyed_hash(salt_key, realm + signer.public)
        self._seq, self._prev, self._hlc = seq, prev, hlc

    def draft(
        self,
        kind: str,
        subject: bytes,
        body: Struct,
        grant: Id,
        now: int,
        deps: tuple[Id, ...] = (),
        after_hlc: int = 0,
    ) -> tuple[Id, Event, Sealed]:
        """The next event, unsigned. `after_hlc`: the latest clock among `deps`. Raises 1002, 1007."""
        require(len(deps) <= EVENT_DEPS_MAX, f"{len(deps)} deps, at most {EVENT_DEPS_MAX}")
        require(0 < len(kind) <= NAME_MAX_CHARS, f"a kind has 1 to {NAME_MAX_CHARS} characters")
        packed = pack(body)
        require(len(packed) <= EVENT_BODY_MAX_BYTES, f"{kind} of {len(packed)} bytes", TOO_LARGE)
        seq = self._seq + 1
        # Derived, not drawn: the same draft gives the same bytes after a restart, and its hash betrays no body.
        salt = keyed_hash(self._salts, seq.to_bytes(8, "big"))[:EVENT_SALT_BYTES]
        hlc = HybridClock(max(self._hlc, after_hlc)).tick(now)
        body_hash = hash_id(salt + packed)
        event = Event(
            EVENT_VERSION, self._realm, self.actor, seq, self._prev, hlc, deps, grant, kind, subject, body_hash
        )
        head = pack(event)
        require(len(head) <= EVENT_HEAD_MAX_BYTES, f"head of {len(head)} bytes", TOO_LARGE)
        self._seq, self._prev, self._hlc = seq, hash_id(head), hlc
        return self._prev, event, Sealed(head, salt, packed, None)

    def state(self) -> tuple[int, Id, int]:
        """(seq, id, hlc) of the last event drafted: what the constructor takes to go on from here."""
        return self._seq, self._prev, self._hlc

    def follow(self, seq: int, id: Id, hlc: int) -> None:
        """Go on after an event of this chain that was drafted elsewhere, or in another life."""
        self._seq, self._prev, self._hlc = seq, id, hlc


def sign_group(group: Sequence[Sealed], signer: Signer) -> tuple[Sealed, ...]:
    """`group` with the signer's last event signed, and one in every `SIGN_EVERY_EVENTS` before it.

    Other actors' events stay as they are."""
    signed = list(group)
    for start in range(len(signed) - 1, -1, -SIGN_EVERY_EVENTS):
        for index in range(start, max(start - SIGN_EVERY_EVENTS, -1), -1):
            sealed = signed[index]
            if unpack(sealed.head, Event).actor == signer.public:
                sig = signer.sign(EVENT + hash_id(sealed.head))
                signed[index] = Sealed(sealed.head, sealed.salt, sealed.body, sig)
                break
    return tuple(signed)


def signature_holds(actor: bytes, id: Id, sig: bytes, verify: Verify) -> bool:
    """Is `sig` the actor's signature of the event `id`?"""
    return verify(actor, EVENT + id, sig)


def open_head(head: bytes) -> tuple[Id, Event]:
    """The id and the event of a head. Raises `ProtocolError` when it is malformed."""
    demand(len(head) <= EVENT_HEAD_MAX_BYTES, f"head of {len(head)} bytes", TOO_LARGE)
    event = unpack(head, Event)
    if not _well_formed(event):
        _refuse(event)
    return hash_id(head), event


def _well_formed(event: Event) -> bool:
    """All that `_refuse` asks for, at once: every event of a log passes here, hardly any is refused."""
    return (
        event.v == EVENT_VERSION
        and len(event.realm) == UUID_BYTES
        and len(event.actor) == KEY_BYTES
        and 0 < event.seq < _INTEGER_END
        and 0 < event.hlc < _INTEGER_END
        and len(event.deps) <= EVENT_DEPS_MAX
        and 0 < len(event.kind) <= NAME_MAX_CHARS
        and len(event.prev) == len(event.grant) == len(event.body_hash) == HASH_BYTES
        and all(len(id) == HASH_BYTES for id in event.deps)
    )


def _refuse(event: Event) -> None:
    demand(event.v == EVENT_VERSION, f"version {event.v}, this is {EVENT_VERSION}", INVALID)
    demand(len(event.realm) == UUID_BYTES, "realm is not 16 bytes", INVALID)
    demand(len(event.actor) == KEY_BYTES, "actor is not 32 bytes", INVALID)
    demand(0 < event.seq < _INTEGER_END, f"seq {event.seq}", INVALID)
    demand(0 < event.hlc < _INTEGER_END, f"hlc {event.hlc}", INVALID)
    demand(len(event.deps) <= EVENT_DEPS_MAX, f"{len(event.deps)} deps", INVALID)
    demand(0 < len(event.kind) <= NAME_MAX_CHARS, "kind is empty or too long", INVALID)
    for id in (event.prev, event.grant, event.body_hash, *event.deps):
        demand(len(id) == HASH_BYTES, "an id is not 32 bytes", INVALID)
    invariant(False, "what is not well formed is refused")


def open_event(sealed: Sealed) -> tuple[Id, Event]:
    """The id and the event of what arrived; its body fits its hash, or was erased. The signature is not checked here.

    Raises `ProtocolError` 1002, 1007, 3000."""
    id, event = open_head(sealed.head)
    demand(len(sealed.salt) == EVENT_SALT_BYTES, f"salt of {len(sealed.salt)} bytes", INVALID)
    demand(sealed.sig is None or len(sealed.sig) == SIGNATURE_BYTES, "signature is not 64 bytes", INVALID)
    if sealed.body is not None:
        demand(len(sealed.body) <= EVENT_BODY_MAX_BYTES, f"body of {len(sealed.body)} bytes", TOO_LARGE)
        demand(hash_id(sealed.salt + sealed.body) == event.body_hash, "body does not fit its hash")
    return id, event


_SOUND = (-1, "", False)  # (index of the first fault in waiting, why, is it a broken link to an unproven event)


class _Line:
    """One actor's chain: how far it is proven, and the events after that which wait for a signature."""

    __slots__ = ("fault", "hlc", "id", "seq", "waiting")

    def __init__(self, seq: int = 0, id: Id = NO_ID, hlc: int = 0) -> None:
        self.seq, self.id, self.hlc = seq, id, hlc
        self.waiting: list[tuple[int, Id, Event]] = []
        self.fault = _SOUND

    def copy(self) -> Self:
        other = type(self)(self.seq, self.id, self.hlc)
        other.waiting, other.fault = self.waiting.copy(), self.fault
        return other

    def add(self, position: int, id: Id, event: Event) -> None:
        seq, prev, hlc = self.seq, self.id, self.hlc
        if self.waiting:
            _, prev, last = self.waiting[-1]
            seq, hlc = last.seq, last.hlc
        index = len(self.waiting)
        self.waiting.append((position, id, event))
        if self.fault is not _SOUND:
            return
        if event.seq != seq + 1:
            self.fault = (index, f"seq {event.seq} of its actor after {seq}", False)
        elif event.prev != prev:
            self.fault = (index, "names another event before it", index > 0)
        elif event.hlc <= hlc:
            self.fault = (index, "its clock does not rise", False)

    def prove(self, sig: bytes, verify: Verify) -> None:
        """The last event came with `sig`: let everything waiting pass, or raise `BadEvent`."""
        position, id, event = self.waiting[-1]
        holds = signature_holds(event.actor, id, sig, verify)
        if self.fault is not _SOUND:
            raise self.blame(holds)
        if not holds:
            raise BadEvent(position, "signature does not hold")
        self.seq, self.id, self.hlc = event.seq, id, event.hlc
        self.waiting.clear()

    def blame(self, signed: bool) -> BadEvent:
        """Who is at fault where a link breaks: the event before, when the one after is proven to be genuine."""
        index, why, broken = self.fault
        after = range(index + 1, len(self.waiting))
        if broken and signed and all(self.waiting[at][2].prev == self.waiting[at - 1][1] for at in after):
            return BadEvent(self.waiting[index - 1][0], "is not the one that its signed successor names")
        return BadEvent(self.waiting[index][0], why)


class _Entry(Struct, frozen=True, array_like=True):
    actor: bytes
    seq: int
    id: Id
    hlc: int


class _Snapshot(Struct, frozen=True, array_like=True):
    realm: bytes
    size: int
    actors: tuple[_Entry, ...]


class Chains:
    """Folds a log, or an actor's batches, and lets only sound chains pass."""

    __slots__ = ("_lines", "_pending", "_realm", "_verify", "size")

    def __init__(self, realm: bytes, verify: Verify) -> None:
        self.size = 0
        self._realm = realm
        self._verify = verify
        self._lines: dict[bytes, _Line] = {}
        self._pending = 0

    @property
    def pending(self) -> int:
        """Events let in by `feed` that no signature covers yet."""
        return self._pending

    def check(self, batch: Sequence[Sealed]) -> list[tuple[Id, Event]]:
        """Let a whole batch pass: sound, and covered by its own signatures. Raises `BadEvent`, changing nothing."""
        demand(len(batch) <= GROUP_EVENTS_MAX, f"{len(batch)} events in one batch", TOO_LARGE)
        return self._fold(batch, whole=True)

    def feed(self, page: Sequence[Sealed]) -> list[tuple[Id, Event]]:
        """As `check`, for a log read in pages: a signature may come in a later page, `finish` after the last."""
        return self._fold(page, whole=False)

    def finish(self) -> None:
        """The log ends here. Raises `BadEvent` for the first event that no signature covers."""
        if self._pending:
            raise _first_bad(self._lines)

    def state(self, actor: bytes) -> tuple[int, Id, int]:
        """(seq, id, hlc) of the actor's last proven event; zeros when it has none."""
        line = self._lines.get(actor)
        return (line.seq, line.id, line.hlc) if line else (0, NO_ID, 0)

    def snapshot(self) -> bytes:
        """Everything, to go on from between two groups."""
        invariant(not self._pending, "a snapshot lies between groups")
        lines = sorted(self._lines.items())
        return pack(_Snapshot(self._realm, self.size, tuple(_Entry(a, li.seq, li.id, li.hlc) for a, li in lines)))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot's state. Raises `ProtocolError` 1002."""
        saved = unpack(data, _Snapshot)
        demand(saved.realm == self._realm, "snapshot of another realm", INVALID)
        self.size = saved.size
        self._pending = 0
        self._lines = {entry.actor: _Line(entry.seq, entry.id, entry.hlc) for entry in saved.actors}

    def _fold(self, batch: Sequence[Sealed], whole: bool) -> list[tuple[Id, Event]]:
        touched: dict[bytes, _Line] = {}
        opened: list[tuple[Id, Event]] = []
        pending = self._pending
        try:
            for position, sealed in enumerate(batch, self.size + 1):
                id, event = _opened(position, sealed, self._realm)
                line = touched.get(event.actor)
                if line is None:
                    before = self._lines.get(event.actor)
                    line = touched[event.actor] = before.copy() if before else _Line()
                line.add(position, id, event)
                pending += 1
                if sealed.sig is not None:
                    proven = len(line.waiting)
                    line.prove(sealed.sig, self._verify)
                    pending -= proven
                opened.append((id, event))
                if pending > GROUP_EVENTS_MAX:
                    raise _first_bad(self._lines | touched)
            if whole and pending:
                raise _first_bad(self._lines | touched)
        except BadEvent as error:
            raise _earliest(error, self._lines | touched) from None
        self._lines.update(touched)
        self._pending = pending
        self.size += len(batch)
        return opened


def _opened(position: int, sealed: Sealed, realm: bytes) -> tuple[Id, Event]:
    try:
        id, event = open_event(sealed)
        demand(event.realm == realm, "is of another realm")
    except ProtocolError as error:
        raise BadEvent(position, error.message, error.code) from None
    return id, event


def _earliest(error: BadEvent, lines: dict[bytes, _Line]) -> BadEvent:
    """`error`, or an earlier one that was waiting for a signature to be judged by."""
    faults = [line.blame(False) for line in lines.values() if line.fault is not _SOUND]
    return min([error, *faults], key=lambda bad: bad.position)


def _first_bad(lines: dict[bytes, _Line]) -> BadEvent:
    """The first event that waits for a signature in vain."""
    position = min(line.waiting[0][0] for line in lines.values() if line.waiting)
    return _earliest(BadEvent(position, "no signature of its actor covers it"), lines)
