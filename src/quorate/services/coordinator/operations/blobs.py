"""Blobs: large inputs and results, by the hash of their bytes."""

from msgspec import Struct

from quorate.base.errors import NOT_FOUND, QuorateError
from quorate.base.ids import HASH_BYTES, parse_id
from quorate.base.limits import BLOB_MAX_BYTES
from quorate.model import Operation, Raw
from quorate.services.coordinator.context import Call


class BlobRef(Struct, rename="camel", forbid_unknown_fields=True):
    id: str


class BlobStored(Struct, rename="camel"):
    id: str
    size: int


async def put_blob(call: Call, given: Raw) -> BlobStored:
    """Store bytes; their id is their BLAKE3."""
    id = await call.coordinator.blobs.put(given.stream, BLOB_MAX_BYTES)
    return BlobStored(id.hex(), await call.coordinator.blobs.size(id) or 0)


async def get_blob(call: Call, given: BlobRef) -> Raw:
    """The bytes of a blob."""
    id = parse_id(given.id, HASH_BYTES, "blob id")
    size = await call.coordinator.blobs.size(id)
    if size is None:
        raise QuorateError(NOT_FOUND, f"no blob {given.id}")
    return Raw(call.coordinator.blobs.get(id), size, id=given.id)


OPERATIONS = (
    Operation(
        "blob_put",
        Raw,
        BlobStored,
        "blob:write",
        True,
        put_blob,
        ("POST", "/blobs"),
        (),
        "blob put",
        (),
        201,
        raw_in=True,
    ),
    Operation(
        "blob_get", BlobRef, Raw, "blob:read", True, get_blob, ("GET", "/blobs/{id}"), (), "blob get", raw_out=True
    ),
)
