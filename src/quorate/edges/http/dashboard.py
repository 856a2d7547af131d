"""The dashboard's files: built ahead, served as they are, under a strict policy."""

from importlib.resources import files
from typing import Any

from litestar import Response, get
from litestar.exceptions import NotFoundException

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def _load() -> dict[str, bytes]:
    """Every file of the bundle, by its path: the only paths that are ever served."""
    found: dict[str, bytes] = {}
    waiting = [("", files("quorate.edges.http") / "static")]
    while waiting:
        prefix, folder = waiting.pop()
        for entry in folder.iterdir() if folder.is_dir() else ():
            path = f"{prefix}{entry.name}"
            if entry.is_dir():
                waiting.append((f"{path}/", entry))
            else:
                found[path] = entry.read_bytes()
    return found


def dashboard_routes() -> list[Any]:
    """`/` and the files it needs."""
    bundle = _load()

    @get("/", include_in_schema=False)
    async def index() -> Response[bytes]:
        return _file(bundle, "index.html")

    @get("/assets/{name:path}", include_in_schema=False)
    async def asset(name: str) -> Response[bytes]:
        return _file(bundle, f"assets/{name.lstrip('/')}")

    return [index, asset]


def _file(bundle: dict[str, bytes], path: str) -> Response[bytes]:
    data = bundle.get(path)
    if data is None:
        raise NotFoundException(f"no {path}")
    media = MEDIA.get(path[path.rfind(".") :], "application/octet-stream")
    return Response(data, media_type=media, headers=HEADERS)
