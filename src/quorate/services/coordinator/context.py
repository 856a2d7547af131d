"""What an operation sees of the coordinator that runs it: one caller, one request."""

from typing import Any

from msgspec import Struct

from quorate.base.codec import from_json, to_json, unpack
from quorate.base.errors import DENIED, NOT_FOUND, UNSUPPORTED, QuorateError, require
from quorate.base.ids import HASH_BYTES, UUID_BYTES, hash_id, parse_id, uuid7
from quorate.base.limits import BLOB_SMALL_BYTES
from quorate.model import Id, Operation, Principal, Row
from quorate.model.views import JobView, NodeView, TaskView
from quorate.services.coordinator.driver import Coordinator
from quorate.services.coordinator.messages import Command, Write, Written


async def _once(data: bytes) -> Any:
    yield data


class Call:
    """One call of one operation (`model.Context`). `repeated`: the same was carried out before under the key `idem`:
    asking again gives the first answer, and what the operation made then is not there to be checked any more."""

    def __init__(
        self,
        coordinator: Coordinator,
        principal: Principal,
        operation: Operation[Any, Any],
        idem: str = "",
        request: Id = b"",
        repeated: bool = False,
    ) -> None:
        self.coordinator = coordinator
        self._principal = principal
        self.operation = operation
        self.idem = idem
        self.request = request
        self.repeated = repeated

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def now(self) -> int:
        return self.coordinator.clock.now()

    def new_id(self) -> bytes:
        """A UUIDv7 for a thing that is named before it is written."""
        return uuid7(self.now, self.coordinator.entropy.bytes(10))

    def new_secret(self, size: int) -> bytes:
        """A secret that is shown once; the same again when a request is repeated under its key."""
        if not self.idem:
            return self.coordinator.entropy.bytes(size)
        return self.coordinator.derived(self._principal.grant + self.request + self.idem.encode())[:size]

    async def ask(self, command: Command) -> bytes:
        """Have the machine carry out a command; the packed reply once it is on disk. Raises `QuorateError`."""
        return await self.coordinator.ask(self._principal, self.operation.right, command, self.idem, self.request)

    async def write(self, command: Command) -> Written:
        """`ask`, its reply decoded."""
        return unpack(await self.ask(command), Written)

    async def append(self, kind: str, subject: bytes, body: Struct, deps: tuple[Id, ...] = ()) -> Id:
        """Write one event under the caller's grant; its id once it is on disk."""
        return (await self.write(Write(kind, subject, body, deps))).receipts[0].event

    async def state(self, kind: str) -> Any:
        """What a pack's event kind has been folded to, once all of it is on disk. Raises 1008."""
        realm, feed = self.coordinator.machine.realm, self.coordinator.feed
        require(kind in realm.packs, f"no event kind {kind!r}: its pack is not loaded", UNSUPPORTED)
        value, position = realm.packs[kind], realm.position
        if feed.position < position:  # folded, and still on its way to the disk
            async for batch in feed.follow(feed.position):
                if batch[-1].position >= position:
                    break
        return value

    async def keep(self, data: bytes) -> tuple[Id, tuple[tuple[Id, bytes], ...]]:
        """A place for an input: its id, and the small blob to send along with the command (none when it is large)."""
        if len(data) <= BLOB_SMALL_BYTES:
            id = hash_id(data)
            return id, ((id, data),)
        return await self.coordinator.blobs.put(_once(data), len(data)), ()

    async def blob(self, id: Id, limit: int) -> bytes:
        """A whole blob of at most `limit` bytes. Raises 1000, 1007."""
        return await self.coordinator.blobs.part(id, 0, limit)

    def task(self, id: str) -> TaskView:
        """A task that was run. Raises 1000."""
        return from_json(self._row("tasks", parse_id(id, UUID_BYTES, "task id"), "task").record, TaskView)

    def job(self, id: str) -> JobView:
        return from_json(self._row("jobs", parse_id(id, UUID_BYTES, "job id"), "job").record, JobView)

    def node(self, id: str) -> NodeView:
        return from_json(self._row("nodes", parse_id(id, HASH_BYTES, "node id"), "node").record, NodeView)

    def _row(self, table: str, key: bytes, what: str) -> Row:
        row = self.coordinator.store.row(table, key)
        if row is None:
            raise QuorateError(NOT_FOUND, f"no {what} {key.hex()}")
        return row


async def run_operation(
    coordinator: Coordinator, operation: Operation[Any, Any], principal: Principal, given: Any, idem: str = ""
) -> Any:
    """Check the right, then run: the one way into an operation from any edge."""
    require(
        operation.right == "public" or operation.right in principal.rights,
        f"{operation.name} needs the right {operation.right!r}, role {principal.role!r} has it not",
        DENIED,
    )
    if not idem or operation.raw_in:
        return await operation.run(Call(coordinator, principal, operation), given)
    request = hash_id(operation.name.encode() + b"\x00" + to_json(given))
    repeated = coordinator.machine.commands.repeats(principal.grant, idem, request)
    return await operation.run(Call(coordinator, principal, operation, idem, request, repeated), given)
