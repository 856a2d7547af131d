"""Operations as MCP tools: names, JSON schemas, arguments in, results out. Knows no transport and no coordinator.

Invariants: T1 only an operation with an `mcp` name is a tool. T2 what a schema says is what is checked:
both come from the operation's own types.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from quorate.base.errors import INVALID, NOT_FOUND, QuorateError
from quorate.model import Operation
from quorate.model.views import ErrorView

AnyOperation = Operation[Any, Any]
_REF = "#/$defs/"


class Toolbox:
    """The tools that operations make."""

    def __init__(self, operations: Iterable[AnyOperation]) -> None:
        self._operations = {name: operation for operation in operations for name in operation.mcp}
        self.tools = tuple(_tool(name, operation) for name, operation in sorted(self._operations.items()))

    def operation(self, name: str) -> AnyOperation:
        """The operation behind a tool. Raises 1000."""
        operation = self._operations.get(name)
        if operation is None:
            raise QuorateError(NOT_FOUND, f"no tool {name[:80]!r}", "List the tools: tools/list")
        return operation

    def arguments(self, operation: AnyOperation, given: dict[str, Any] | None) -> Any:
        """A tool call's arguments as the operation's input. Raises 1002 that names the argument."""
        try:
            return msgspec.convert(given or {}, operation.input)
        except msgspec.ValidationError as error:
            raise QuorateError(INVALID, f"{error}"[:1000], "See the tool's inputSchema") from None


def answered(value: Any) -> CallToolResult:
    """A result: structured, and the same as text for models that read only that."""
    text = msgspec.json.encode(value).decode()
    return CallToolResult(content=[TextContent(text=text)], structured_content=msgspec.json.decode(text))


def refused(view: ErrorView) -> CallToolResult:
    """An error as the model sees it: code, name, message and what to do."""
    text = f"[{view.code} {view.name}] {view.message} -> {view.what_to_do}"
    return CallToolResult(content=[TextContent(text=text)], structured_content=msgspec.to_builtins(view), is_error=True)


def _tool(name: str, operation: AnyOperation) -> Tool:
    reads = bool(operation.rest) and operation.rest is not None and operation.rest[0] == "GET"
    deletes = operation.rest is not None and operation.rest[0] == "DELETE"
    return Tool(
        name=name,
        description=f"{operation.summary} Needs the right {operation.right!r}.",
        input_schema=schema_of(operation.input),
        output_schema=schema_of(operation.output),
        annotations=ToolAnnotations(
            read_only_hint=reads,
            destructive_hint=deletes,
            idempotent_hint=reads or deletes,
            open_world_hint=False,
        ),
    )


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """The JSON schema of a struct, `type: object` at its root as MCP asks."""
    schema = msgspec.json.schema(kind)
    root = schema.get("$ref", "")
    if not root:
        return schema
    found = dict(schema["$defs"][root.removeprefix(_REF)])
    text = msgspec.json.encode(schema["$defs"]).decode()
    rest = {name: described for name, described in schema["$defs"].items() if _REF + name != root}
    if root in text:  # it refers to itself
        rest = schema["$defs"]
    return found | ({"$defs": rest} if rest else {})
