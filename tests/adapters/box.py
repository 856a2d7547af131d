"""A box in memory with a real pen: what an executor sees of a node, for tests of executors."""

from pathlib import Path

from quorate.base.codec import pack
from quorate.base.errors import NOT_FOUND, QuorateError
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import TASK_LOG_MAX_BYTES
from quorate.base.signing import RESULT, Ed25519Signer, verify
from quorate.model import Id, Lease, Result, TaskSpec


class MemoryBox:
    """Blobs in a dictionary, results signed with an Ed25519 key from a seed. Keeps what was signed, to look at."""

    def __init__(self, scratch: Path, spec: TaskSpec, lease: Lease, data: bytes, seed: int = 1) -> None:
        self._scratch = scratch
        self._spec = spec
        self._lease = lease
        self._data = data
        self._signer = Ed25519Signer(seed.to_bytes(32, "big"))
        self.blobs: dict[Id, bytes] = {}
        self.named: list[tuple[str, Id]] = []
        self.fetched: list[Id] = []
        self.output = b""
        self.words = ""

    @property
    def deps(self) -> tuple[tuple[str, Id], ...]:
        return tuple(self.named)

    def keep(self, data: bytes) -> Id:
        self.blobs[hash_id(data)] = data
        return hash_id(data)

    async def input(self) -> bytes:
        return self._data

    async def blob(self, id: Id) -> bytes:
        self.fetched.append(id)
        if id not in self.blobs:
            raise QuorateError(NOT_FOUND, f"no blob {id.hex()}")
        return self.blobs[id]

    def scratch(self) -> Path:
        self._scratch.mkdir(mode=0o700)
        return self._scratch

    def result(self, code: int, output: bytes, usage: tuple[int, ...] = (), words: str = "") -> Result:
        assert len(words.encode()) <= TASK_LOG_MAX_BYTES
        self.output, self.words = output, words
        answer = (code, hash_id(output) if code == 0 else NO_ID, usage)
        sig = self._signer.sign(RESULT + pack((self._lease, answer)))
        lease = self._lease
        return Result(lease.task, lease.slot, lease.epoch, self._signer.public, *answer, sig)

    def signed(self, result: Result) -> bool:
        """Does the signature hold for what the result says?"""
        answer = (result.code, result.output, result.usage)
        return verify(result.node, RESULT + pack((self._lease, answer)), result.sig)
