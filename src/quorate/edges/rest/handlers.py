"""REST derived from the operations: one handler each, typed, so that the OpenAPI says what is checked."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec import Operation as Described
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import Parameter
from litestar.response import Stream
from msgspec import NODEFAULT, UNSET, Struct

from quorate.base.errors import FAULTS, INVALID, TOO_LARGE, QuorateError, require
from quorate.base.limits import BLOB_MAX_BYTES, BODY_MAX_BYTES, IDEMPOTENCY_KEY_MAX_CHARS
from quorate.edges.http import Gate, encoded, error_response, request_id
from quorate.model import Operation, Raw
from quorate.model.views import ErrorView
from quorate.services.coordinator import run_operation

API = "/api/v1"
SUBJECTS = {"task": "task_id", "node": "node_id"}  # what the log calls the id of a request's path
QUERY = "query_"  # before a query parameter's name: `state` alone would be the framework's
AnyRequest = Request[Any, Any, Any]
AnyOperation = Operation[Any, Any]


def _errors() -> dict[int, ResponseSpec]:
    """Every coded error that an operation may answer with, by HTTP status."""
    found: dict[int, ResponseSpec] = {}
    for status in sorted({fault.http for fault in FAULTS.values()}):
        names = ", ".join(f"{fault.code} {fault.name}" for fault in FAULTS.values() if fault.http == status)
        found[status] = ResponseSpec(ErrorView, generate_examples=False, description=names)
    return found


ERRORS = _errors()


def rest_handlers(gate: Gate, operations: tuple[AnyOperation, ...]) -> list[HTTPRouteHandler]:
    """A route for each operation that has one, its aliases included."""
    found: list[HTTPRouteHandler] = []
    for operation in operations:
        if operation.rest is None:
            continue
        method, path = operation.rest
        places = [(method, path if path.startswith("/api/") else API + path), *operation.aliases]
        found += [_route(gate, operation, *place, alias=bool(index)) for index, place in enumerate(places)]
    return found


def _route(gate: Gate, operation: AnyOperation, method: str, path: str, *, alias: bool) -> HTTPRouteHandler:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    typed = "/".join(f"{{{part[1:-1]}:str}}" if part.startswith("{") else part for part in path.split("/"))
    has_body = method in ("POST", "PUT", "PATCH") and not operation.raw_in
    body = _body_type(operation, names) if has_body else None
    handler = _handler(gate, operation)
    _sign(handler, operation, names, body)
    suffix = "_alias_" + path.strip("/").replace("/", "_").replace("{", "").replace("}", "") if alias else ""
    return HTTPRouteHandler(
        typed,
        http_method=method,  # type: ignore[arg-type]
        status_code=operation.status,
        operation_id=operation.name + suffix,
        summary=operation.summary,
        tags=[operation.name.split("_", 1)[0]],
        description=f"Right: `{operation.right}`.",
        security=[] if operation.right == "public" else [{"bearer": []}],
        request_max_body_size=BLOB_MAX_BYTES if operation.raw_in else BODY_MAX_BYTES,
        responses=ERRORS,
        operation_class=_RawBody if operation.raw_in else Described,
    )(handler)


class _RawBody(Described):
    """Says in the OpenAPI that the body is bytes."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        media = {"application/octet-stream": OpenAPIMediaType(schema=schema)}
        self.request_body = RequestBody(content=media, required=True)


def _body_type(operation: AnyOperation, path_names: list[str]) -> type[Struct] | None:
    """The operation's input without what the path already says."""
    if not path_names:
        return operation.input
    fields = [f for f in msgspec.structs.fields(operation.input) if f.name not in path_names]
    if not fields:
        return None
    described: list[Any] = []
    for field in fields:
        if field.default is not NODEFAULT:
            described.append((field.name, field.type, field.default))
        elif field.default_factory is not NODEFAULT:
            described.append((field.name, field.type, msgspec.field(default_factory=field.default_factory)))
        else:
            described.append((field.name, field.type))
    name = operation.input.__name__ + "Body"
    return msgspec.defstruct(name, described, rename="camel", forbid_unknown_fields=True, kw_only=True)


def _sign(handler: Any, operation: AnyOperation, names: list[str], body: type[Struct] | None) -> None:
    """Give the handler the signature that Litestar parses, checks and documents."""
    empty = inspect.Parameter.empty
    parameters: dict[str, tuple[Any, Any]] = {"request": (AnyRequest, empty)}
    for name in names:
        parameters[name] = (str, empty)
    if body is not None:
        parameters["data"] = (body, empty)
    elif not operation.raw_in:
        for field in msgspec.structs.fields(operation.input):
            if field.name in names:
                continue
            default = empty if field.default is NODEFAULT else field.default
            parameters[QUERY + field.name] = (Annotated[field.type, Parameter(query=field.encode_name)], default)
    output = Response[bytes] if operation.raw_out else operation.output
    kind = inspect.Parameter.KEYWORD_ONLY
    handler.__signature__ = inspect.Signature(
        [inspect.Parameter(n, kind, annotation=a, default=d) for n, (a, d) in parameters.items()],
        return_annotation=output,
    )
    handler.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()} | {"return": output}
    handler.__name__ = operation.name
    handler.__doc__ = operation.run.__doc__


def _handler(gate: Gate, operation: AnyOperation) -> Callable[..., Awaitable[Any]]:
    family = operation.name.partition("_")[0]

    async def handler(*, request: AnyRequest, **given: Any) -> Response[Any]:
        began, id, user = time.perf_counter(), request_id(request), ""
        subject = {SUBJECTS[family]: given["id"]} if "id" in given and family in SUBJECTS else {}
        request.scope.setdefault("state", {})["request_id"] = id
        try:
            principal = gate.admit(request.headers.get("authorization", ""), operation.right)
            user = principal.name
            idem = request.headers.get("idempotency-key", "")
            require(len(idem) <= IDEMPOTENCY_KEY_MAX_CHARS, "the idempotency key is too long", TOO_LARGE)
            value = await run_operation(gate.coordinator, operation, principal, _given(operation, request, given), idem)
            response = _respond(request, operation, value, id)
        except QuorateError as error:
            response = error_response(request, error)
        took = time.perf_counter() - began
        gate.coordinator.observer.http.labels(operation.name, str(response.status_code)).observe(took)
        status, ms = response.status_code, round(took * 1000, 1)
        gate.say("request", request_id=id, user_id=user, operation=operation.name, status=status, ms=ms, **subject)
        return response

    return handler


def _given(operation: AnyOperation, request: AnyRequest, given: dict[str, Any]) -> Any:
    if operation.raw_in:
        length = request.headers.get("content-length", "")
        size = int(length) if length.isdecimal() else -1
        require(size <= BLOB_MAX_BYTES, f"a blob has at most {BLOB_MAX_BYTES} bytes", TOO_LARGE)
        return Raw(request.stream(), size)
    given = {name.removeprefix(QUERY): value for name, value in given.items()}
    data = given.pop("data", None)
    if data is not None:
        if isinstance(data, operation.input):
            return data
        given |= {name: getattr(data, name) for name in data.__struct_fields__ if getattr(data, name) is not UNSET}
    try:
        return operation.input(**given)
    except TypeError as error:
        raise QuorateError(INVALID, str(error)) from None


def _respond(request: AnyRequest, operation: AnyOperation, value: Any, id: str) -> Response[Any]:
    headers = {"x-request-id": id}
    if isinstance(value, Raw):
        headers |= {"content-length": str(value.size)} if value.size >= 0 else {}
        headers |= {"etag": f'"{value.id}"', "x-content-type-options": "nosniff", "cache-control": "private, immutable"}
        return Stream(value.stream, media_type=value.media, headers=headers)
    body, media = encoded(request, value)
    return Response(body, status_code=operation.status, media_type=media, headers=headers)
