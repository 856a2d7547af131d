"""The web application: every door of one coordinator, in one Litestar app."""

import importlib
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.config.compression import CompressionConfig
from litestar.config.cors import CORSConfig
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from quorate import __version__
from quorate.base.limits import BODY_MAX_BYTES, USER_RATE_REQUESTS_S
from quorate.edges.http import Gate, ReferencePage, dashboard_routes, error_response
from quorate.edges.rest import rest_handlers
from quorate.edges.sse import STREAM, stream_route
from quorate.edges.websocket import LinkServer, link_route, subscribe_route
from quorate.model import Operation
from quorate.services.coordinator import Coordinator

METRICS = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")  # the framework says that itself


def build_app(
    coordinator: Coordinator,
    links: LinkServer,
    operations: tuple[Operation[Any, Any], ...],
    log: Any,
    cors: tuple[str, ...] = (),
    rate: int = USER_RATE_REQUESTS_S,
) -> Any:
    """The ASGI application."""
    gate = Gate(coordinator, log.debug, rate)

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        response = error_response(request, error)
        if (response.status_code or 500) >= 500:
            log.warning("request failed", request_id=response.headers.get("x-request-id"), error=repr(error))
        return response

    app = Litestar(
        [
            *rest_handlers(gate, operations),
            *health_routes(coordinator),
            stream_route(gate),
            subscribe_route(gate),
            link_route(links),
            *dashboard_routes(),
        ],
        exception_handlers={Exception: on_error},
        cors_config=CORSConfig(allow_origins=list(cors)) if cors else None,
        compression_config=CompressionConfig(
            backend="brotli", brotli_gzip_fallback=True, minimum_size=1024, exclude=[STREAM]
        ),
        request_max_body_size=BODY_MAX_BYTES,
        openapi_config=OpenAPIConfig(
            title="Quorate",
            version=__version__,
            path="/docs",
            render_plugins=[ReferencePage(), JsonRenderPlugin()],
            components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
        ),
        logging_config=None,
        debug=False,
    )
    return mounted(app, gate, operations)


def health_routes(coordinator: Coordinator) -> list[Any]:
    """What supervisors and Prometheus ask."""

    @get("/health", summary="The process answers.", tags=["system"], security=[])
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @get("/ready", summary="The log is loaded and the disk takes writes.", tags=["system"], security=[])
    async def ready() -> Response[dict[str, str]]:
        status = "ready" if coordinator.ready else "loading"
        return Response({"status": status}, status_code=200 if coordinator.ready else 503)

    @get("/metrics", summary="Prometheus metrics.", media_type="text/plain", tags=["system"], security=[])
    async def metrics() -> Response[bytes]:
        refresh(coordinator)
        return Response(generate_latest(coordinator.observer.registry), media_type=METRICS)

    return [health, ready, metrics]


def refresh(coordinator: Coordinator) -> None:
    """Set the gauges to what is true now."""
    observer, dispatch = coordinator.observer, coordinator.machine.realm.dispatch
    for gauge, table in ((observer.tasks, "tasks"), (observer.nodes, "nodes")):
        for state, count in coordinator.store.counts(table).items():
            gauge.labels(state).set(count)
    observer.followers.set(coordinator.feed.followers)
    observer.queue_depth.set(dispatch.queue_depth)
    observer.rejected.set(dispatch.totals.rejected)
    observer.reassigned.set(dispatch.totals.reassigned)


def mounted(app: Any, gate: Gate, operations: tuple[Operation[Any, Any], ...]) -> Any:
    """The app, with MCP at /mcp: its heavy library is loaded with the first request that asks for it."""
    loaded: list[Any] = []

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (scope["path"] == "/mcp" or scope["path"].startswith("/mcp/")):
            if not loaded:
                loaded.append(importlib.import_module("quorate.edges.mcp").streamable_app(gate, operations))
            await loaded[0](scope, receive, send)
        else:
            await app(scope, receive, send)

    return dispatch
