"""What a `command` task is asked to do. Written by submitters (as JSON, by hand if they like), read by executors."""

from msgspec import Struct, field

from quorate.base.limits import SANDBOX_CPU_S, SANDBOX_MEMORY_BYTES, SANDBOX_OUTPUT_BYTES


class InputFile(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A file below `in/`: a blob of the realm by its id (hexadecimal), or its text. Exactly one of the two."""

    name: str
    id: str | None = None
    data: str | None = None


class CommandInput(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A program run with these files; its output is the task's. Keyed JSON, keys in camelCase.

    `argv[0]` is looked up on the PATH of the sandbox. `stdin` is text, `stdinId` a blob; at most one of them, nothing
    otherwise. `deps`: the output of each task depended on is put at `in/deps/<index>-<name>` (index of five digits).
    """

    argv: tuple[str, ...]
    files: tuple[InputFile, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None
    stdin_id: str | None = None
    network: bool = False
    memory_bytes: int = SANDBOX_MEMORY_BYTES
    cpu_seconds: int = SANDBOX_CPU_S
    output_bytes: int = SANDBOX_OUTPUT_BYTES
    deps: bool = True
