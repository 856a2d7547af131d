"""The `noop` executor: the output is the input. For measuring everything around a task."""

from quorate.base.errors import OK, QuorateError
from quorate.model import Lease, Result, TaskSpec
from quorate.ports import Box


class Noop:
    name = "noop"
    deterministic = True

    def capabilities(self) -> tuple[str, ...]:
        return ()

    async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
        try:
            return box.result(OK, await box.input())
        except QuorateError as error:
            return box.result(error.code, b"", words=str(error))
