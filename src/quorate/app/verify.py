"""`quorate receipt verify` and `quorate log verify`: what a stranger runs. Neither believes a coordinator."""

from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

from msgspec import Struct

from quorate.adapters.sqlite import SqliteStore
from quorate.app.ask import token_of
from quorate.app.output import emit
from quorate.base.codec import unpack
from quorate.base.errors import INVALID, NOT_FOUND, QuorateError, require
from quorate.base.ids import HASH_BYTES, parse_id
from quorate.base.limits import READ_BATCH_EVENTS
from quorate.base.signing import verify
from quorate.client import AsyncClient
from quorate.model import RealmFounded, Sealed, SignedHead
from quorate.security import BadEvent, Chains, Tree, check_head, open_event, realm_id, verify_receipt


class LogReport(Struct, frozen=True, rename="camel"):
    """What `log verify` found. `cosigned`: nodes that signed the newest head."""

    verified: bool
    realm: str
    authority: str
    events: int
    root: str
    head_size: int
    cosigned: int


def verify_receipt_file(file: Path, authority: str, nodes: tuple[str, ...], cosigners: int, as_json: bool) -> int:
    """Check a receipt; print what it proves. Exit status 0 only if everything holds."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise QuorateError(INVALID, f"cannot read {file}: {error.strerror}", "Give the path of a receipt") from None
    report = verify_receipt(
        data,
        verify,
        authority=parse_id(authority, HASH_BYTES, "authority") if authority else None,
        nodes=frozenset(parse_id(node, HASH_BYTES, "node") for node in nodes),
        cosigners=None if cosigners < 0 else cosigners,
    )
    if as_json:
        emit(True, {"verified": True, **{f.name: _plain(getattr(report, f.name)) for f in fields(report)}})
    else:
        for line in report.lines:
            print(line)
        print(f"receipt holds: {file}")
    return 0


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


async def verify_log(offline: Path | None, authority: str, url: str, token: str, data: Path, as_json: bool) -> int:
    """Check a whole log, from a data directory or from a coordinator, page by page."""
    if offline is not None:
        require((offline / "admin.token").exists(), f"{offline} is no data directory", NOT_FOUND)
        store = await SqliteStore.open(offline)
        try:
            report = await check_log(_pages_of_store(store), authority, await _saved_head(store))
        finally:
            await store.close()
    else:
        async with AsyncClient(url, token_of(token, data)) as client:
            first = await client.call("GET", "/log", limit=1)
            head = unpack(bytes.fromhex(first["head"]), SignedHead) if first["head"] else None
            report = await check_log(_pages_of_client(client), authority, head)
    emit(as_json, report)
    return 0


async def _saved_head(store: SqliteStore) -> SignedHead | None:
    record = await store.load("head")
    return unpack(record, SignedHead) if record else None


async def _pages_of_store(store: SqliteStore) -> AsyncIterator[list[Sealed]]:
    after = 0
    while page := [sealed async for _, sealed in store.read(after, READ_BATCH_EVENTS)]:
        after += len(page)
        yield page


async def _pages_of_client(client: AsyncClient) -> AsyncIterator[list[Sealed]]:
    after, size = 0, 1
    while after < size:
        page = await client.call("GET", "/log", after=after)
        if not after:
            size = page["size"]  # events written meanwhile are for the next time
        found = [
            Sealed(
                bytes.fromhex(e["head"]),
                bytes.fromhex(e["salt"]),
                None if e["body"] is None else bytes.fromhex(e["body"]),
                None if e["sig"] is None else bytes.fromhex(e["sig"]),
            )
            for e in page["events"]
        ]
        require(found, f"the coordinator gave no events after position {after} of {size}")
        after += len(found)
        yield found


async def check_log(pages: AsyncIterator[list[Sealed]], authority: str, head: SignedHead | None) -> LogReport:
    """Chains, signatures and tree of a log. Raises `BadEvent` that names the first bad position."""
    chains: Chains | None = None
    tree, founded, roots = Tree(), None, dict[int, bytes]()
    wanted = head.heads[0].size if head else 0
    async for page in pages:
        if chains is None:
            _, first = open_event(page[0])
            founded = unpack(page[0].body or b"", RealmFounded)
            genuine = first.kind == "realm.founded" and realm_id(founded.authority, founded.nonce) == first.realm
            if not genuine or first.actor != founded.authority:
                raise BadEvent(1, "the log does not begin with the foundation of its realm")
            if authority and founded.authority.hex() != authority:
                raise BadEvent(1, f"the log is signed by {founded.authority.hex()}, not by the key expected")
            chains = Chains(first.realm, verify)
        for id, _ in chains.feed(page):
            tree.append(id)
            if tree.size == wanted:
                roots[wanted] = tree.root()
    require(chains is not None and founded is not None, "the log is empty", NOT_FOUND)
    assert chains is not None and founded is not None
    chains.finish()
    if head is not None:
        check_head(head, verify, founded.authority)
        if roots.get(wanted) != head.heads[0].root:
            raise BadEvent(wanted, "the cosigned head is not a head of this log: it was cut or rewritten")
    realm = realm_id(founded.authority, founded.nonce)
    size, cosigned = (wanted, len(head.cosigned)) if head else (0, 0)
    return LogReport(True, realm.hex(), founded.authority.hex(), tree.size, tree.root().hex(), size, cosigned)
