"""What people ask for: each command becomes events, or an error with a code; never half of them.

Knows no clock, disk or socket. Invariants: C1 the right is checked against the realm as it is now.
C2 everything is validated before the first event is recorded. C3 a repeated key gives the first reply.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import (
    CONFLICT,
    DENIED,
    INVALID,
    NOT_FOUND,
    TOO_LARGE,
    UNSUPPORTED,
    QuorateError,
    invariant,
    require,
)
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import (
    BLOB_SMALL_BYTES,
    COMMAND_EVENTS_MAX,
    IDEMPOTENCY_KEY_MAX_CHARS,
    IDEMPOTENCY_RECENT,
    NAME_MAX_CHARS,
)
from quorate.model import (
    Effect,
    GrantIssued,
    GrantRevoked,
    Id,
    Keep,
    NodeChanged,
    Principal,
    Project,
    Receipt,
    Reply,
    Row,
)
from quorate.security import may_issue, needs
from quorate.services.coordinator.cache import SmallBlobs
from quorate.services.coordinator.messages import (
    Asked,
    Cancel,
    Delete,
    IssueGrant,
    Offer,
    RevokeGrant,
    SetNode,
    SubmitJob,
    Wish,
    Write,
    WriteWork,
    Written,
)
from quorate.services.coordinator.realm import Realm, draft_wish


def _key(grant: Id, idem: str) -> Id:
    """Keys of different callers do not meet."""
    return hash_id(grant + idem.encode())


class Remembered(Struct, frozen=True, array_like=True):
    """The reply to a command with an idempotency key."""

    request: bytes
    payload: bytes


class Commands:
    """Carries commands out on a realm. `executors`: those that a task may ask for before a node offers them;
    `linked`: does a node have a link now?"""

    def __init__(
        self, realm: Realm, blobs: SmallBlobs, executors: tuple[str, ...], linked: Callable[[bytes], bool]
    ) -> None:
        self._linked = linked
        self._realm = realm
        self._blobs = blobs
        self._executors = frozenset(executors)
        self._recent: OrderedDict[bytes, Remembered] = OrderedDict()
        self._keeps: list[Effect] = []
        self._carry_out: dict[type, Callable[[Any, Principal, int], list[Receipt]]] = {
            SubmitJob: self._submit,
            Cancel: self._cancel,
            Delete: self._delete,
            IssueGrant: self._issue,
            RevokeGrant: self._revoke,
            WriteWork: self._work,
            Write: self._write,
            Offer: self._offer,
            SetNode: self._set_node,
        }

    def recall(self, key: bytes, record: bytes) -> None:
        """Take over a remembered reply from before a restart."""
        self._recent[key] = unpack(record, Remembered)

    def repeats(self, grant: Id, idem: str, request: Id) -> bool:
        """Was this very request carried out before under this key? Raises 1006 if it was another one."""
        known = self._recent.get(_key(grant, idem))
        if known is None:
            return False
        require(known.request == request, "the idempotency key was used for something else", CONFLICT)
        return True

    def asked(self, asked: Asked, now: int) -> tuple[Effect, ...]:
        """Carry one command out; the reply comes last."""
        self._keeps = []
        try:
            principal = self._realm.grants.principal(asked.principal.grant, now)
            needs(principal, asked.right)
            if not asked.idem:
                return (*self._keeps, Reply(asked.call, 0, self._run(asked, principal, now)))
            return self._once(asked, principal, now)
        except QuorateError as error:
            return (Reply(asked.call, error.code, pack((error.message, error.hint))),)

    def _run(self, asked: Asked, principal: Principal, now: int) -> bytes:
        receipts = self._carry_out[type(asked.command)](asked.command, principal, now)
        return pack(Written(tuple(receipts)))

    def _once(self, asked: Asked, principal: Principal, now: int) -> tuple[Effect, ...]:
        require(len(asked.idem) <= IDEMPOTENCY_KEY_MAX_CHARS, "the idempotency key is too long", TOO_LARGE)
        key = _key(principal.grant, asked.idem)
        request = asked.request or hash_id(pack(asked.command))
        if self.repeats(principal.grant, asked.idem, request):
            return (Reply(asked.call, 0, self._recent[key].payload),)
        payload = self._run(asked, principal, now)
        remembered = Remembered(request, payload)
        self._recent[key] = remembered
        rows: list[Effect] = [Project("idem", key, Row(b"", "", "", now, pack(remembered)))]
        while len(self._recent) > IDEMPOTENCY_RECENT:
            dropped, _ = self._recent.popitem(last=False)
            rows.append(Project("idem", dropped, None))
        return (*self._keeps, *rows, Reply(asked.call, 0, payload))

    def _submit(self, command: SubmitJob, principal: Principal, now: int) -> list[Receipt]:
        for id, data in command.inputs:
            require(len(data) <= BLOB_SMALL_BYTES, f"an input of {len(data)} bytes goes by the blob port", TOO_LARGE)
            require(hash_id(data) == id, "an input does not match its id", INVALID)
        self._check_executors(frozenset(spec.executor for spec in command.tasks))
        bodies = self._realm.dispatch.draft_job(
            command.job, command.name, command.tasks, command.names, "", principal.name
        )
        for id, data in command.inputs:
            self._blobs.put(id, data)
            self._keeps.append(Keep(id, data))
            self._realm.group_bytes += len(data)
        return [self._realm.record("job.submitted", command.job, body, principal.grant, now) for body in bodies]

    def _check_executors(self, wanted: frozenset[str]) -> None:
        """A task that no node will ever run is refused now, not when its job has waited for ever."""
        if wanted <= self._executors:
            return
        known = self._executors | self._realm.dispatch.executors()
        for name in sorted(wanted - known):
            raise QuorateError(UNSUPPORTED, f"unknown executor {name[:80]!r}: there is {', '.join(sorted(known))}")

    def _cancel(self, command: Cancel, principal: Principal, now: int) -> list[Receipt]:
        bodies = self._realm.dispatch.cancel(command.job, command.task, command.reason[:NAME_MAX_CHARS])
        return [self._realm.record("job.cancelled", body.job, body, principal.grant, now) for body in bodies]

    def _delete(self, command: Delete, principal: Principal, now: int) -> list[Receipt]:
        realm, reason = self._realm, command.reason[:NAME_MAX_CHARS]
        job = realm.dispatch.job_of(command.task)
        cancelled = realm.dispatch.cancel(job, command.task, reason) if job else ()
        node = realm.work.node(command.task)
        gone = node is None or node.tombstoned
        drafts = () if gone else self._draft(Wish("tombstone", command.task, (reason,)))
        receipts = [realm.record("job.cancelled", body.job, body, principal.grant, now) for body in cancelled]
        return receipts + [realm.record(k, command.task, b, principal.grant, now, deps) for k, b, deps in drafts]

    def _issue(self, command: IssueGrant, principal: Principal, now: int) -> list[Receipt]:
        may_issue(principal, command.role)
        require(command.token_hash != NO_ID or command.key, "a grant needs a key or a token", INVALID)
        body = GrantIssued(
            command.key, command.token_hash, command.role, (), command.expires_ms, command.label, command.once
        )
        return [self._realm.record("grant.issued", self._realm.id, body, principal.grant, now)]

    def _revoke(self, command: RevokeGrant, principal: Principal, now: int) -> list[Receipt]:
        require(self._realm.grants.get(command.grant) is not None, "no such grant", NOT_FOUND)
        require(command.grant != self._realm.root_grant, "the realm's root grant is not revocable", DENIED)
        frontier = self._realm.frontier_of(command.grant)
        return [
            self._realm.record(
                "grant.revoked", command.grant, GrantRevoked(command.grant, frontier), principal.grant, now
            )
        ]

    def _work(self, command: WriteWork, principal: Principal, now: int) -> list[Receipt]:
        receipts: list[Receipt] = []
        require(len(command.wishes) <= COMMAND_EVENTS_MAX, "too many changes at once", TOO_LARGE)
        self._rehearse(command.wishes)
        for wish in command.wishes:
            try:
                for kind, body, deps in self._draft(wish):
                    receipts.append(self._realm.record(kind, wish.subject, body, principal.grant, now, deps))
            except QuorateError as error:
                # What the rehearsal let pass must not fail: half of a command is never written, so the group goes.
                invariant(not receipts, f"C2: {error.message}")
                raise
        return receipts

    def _rehearse(self, wishes: Sequence[Wish]) -> None:
        """Draft every wish before the first is recorded; those on a node that is yet to be created, on a stand-in."""
        created: dict[bytes, list[Wish]] = {}
        ended: set[bytes] = set()
        for wish in wishes:
            require(wish.subject not in ended, "nothing can be changed after a node is taken out", CONFLICT)
            if wish.verb == "create":
                require(wish.subject not in created, "a node is created once", CONFLICT)
                created[wish.subject] = [wish]
            if wish.verb == "tombstone":
                ended.add(wish.subject)
            if wish.subject not in created or wish.verb == "create":
                self._draft(wish)
            else:
                created[wish.subject].append(wish)
        for subject, following in created.items():
            self._realm.rehearse(subject, [(wish.verb, wish.args) for wish in following])

    def _draft(self, wish: Wish) -> Sequence[tuple[str, Struct, tuple[bytes, ...]]]:
        return draft_wish(self._realm.work, wish.verb, wish.subject, wish.args)

    def _write(self, command: Write, principal: Principal, now: int) -> list[Receipt]:
        known = command.kind == "note" or command.kind in self._realm.kinds
        require(known, f"events of kind {command.kind!r} are not written this way", DENIED)
        subject = command.subject or self._realm.id
        return [self._realm.record(command.kind, subject, command.body, principal.grant, now, command.deps)]

    def _offer(self, command: Offer, principal: Principal, now: int) -> list[Receipt]:
        require(0 < len(command.events) <= COMMAND_EVENTS_MAX, f"1 to {COMMAND_EVENTS_MAX} events at once", TOO_LARGE)
        return list(self._realm.admit(command.events, now))

    def _set_node(self, command: SetNode, principal: Principal, now: int) -> list[Receipt]:
        require(command.state in ("online", "draining"), "a node can be set online or draining")
        require(self._realm.dispatch.node_spec(command.node) is not None, "no such node", NOT_FOUND)
        linked = command.state == "draining" or self._linked(command.node)
        require(linked, "the node has no link: it is online once it connects", CONFLICT)
        body = NodeChanged(command.node, command.state, command.reason[:NAME_MAX_CHARS])
        return [self._realm.record("node.changed", command.node, body, principal.grant, now)]
