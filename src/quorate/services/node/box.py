"""The box that an executor runs in, as the node provides it."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from quorate.base.errors import OK, TOO_LARGE
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import INLINE_MAX_BYTES, SANDBOX_OUTPUT_BYTES, TASK_LOG_MAX_BYTES
from quorate.base.signing import Signer
from quorate.model import Id, Result
from quorate.model.link import Answer, Assignment
from quorate.security import sign_result


class NodeBox:
    """One lease's box: `answer` is set once the executor has signed its outcome."""

    def __init__(
        self, assignment: Assignment, realm: bytes, signer: Signer, fetch: Callable[[Id], Awaitable[bytes]]
    ) -> None:
        self._assignment = assignment
        self._realm = realm
        self._signer = signer
        self._fetch = fetch
        self._scratch: Path | None = None
        self.answer: Answer | None = None
        self.data = b""

    @property
    def deps(self) -> tuple[tuple[str, Id], ...]:
        return self._assignment.deps

    async def input(self) -> bytes:
        if self._assignment.input is not None:
            return self._assignment.input
        return await self._fetch(self._assignment.spec.input)

    async def blob(self, id: Id) -> bytes:
        return await self._fetch(id)

    def scratch(self) -> Path:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="quorate-"))
        return self._scratch

    def result(self, code: int, output: bytes, usage: tuple[int, ...] = (), words: str = "") -> Result:
        if code == OK and len(output) > SANDBOX_OUTPUT_BYTES:
            code, words = TOO_LARGE, f"the result has {len(output)} bytes, at most {SANDBOX_OUTPUT_BYTES} are taken"
        lease = self._assignment.lease
        id = hash_id(output) if code == OK else NO_ID
        draft = Result(lease.task, lease.slot, lease.epoch, lease.node, code, id, usage, b"")
        result = sign_result(self._realm, draft, self._signer)
        inline = output if code == OK and len(output) <= INLINE_MAX_BYTES else None
        self.answer = Answer(result, inline, words[-TASK_LOG_MAX_BYTES:])
        self.data = output if code == OK else b""
        return result

    def close(self) -> None:
        """Remove what the task left behind."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
