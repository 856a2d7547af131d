"""Receipts for those who ask: gathers the event, its signature, the cosigned head and the path between."""

import asyncio

from quorate.base.codec import unpack
from quorate.base.errors import CONFLICT, DATABASE, NOT_FOUND, TIMEOUT, QuorateError, require
from quorate.base.limits import GROUP_EVENTS_MAX
from quorate.model import Event, JobSubmitted, Sealed, SignedHead, TaskSettled, TaskSpec, TaskState
from quorate.model.receipts import TaskReceipt
from quorate.model.views import TaskView
from quorate.security import build_receipt
from quorate.services.coordinator.context import Call

COSIGN_WAIT_S = 5.0
COSIGN_POLL_S = 0.02


async def receipt_of(call: Call, view: TaskView) -> TaskReceipt:
    """The receipt of a completed task, once enough nodes have cosigned a head that holds it. Raises 1006, 1001."""
    require(
        view.state == TaskState.COMPLETED, f"the task is {view.state}: only a completed one has a receipt", CONFLICT
    )
    realm, position = call.coordinator.machine.realm, view.settled_at
    settled, chain = await _with_signature(call, position)
    body = unpack(settled.body or b"", TaskSettled)
    head = await _covering(call, position, body.quorum)
    size = head.heads[0].size
    tree = realm.tree
    for tile in tree.missing(position - 1, size):
        tree.supply(tile, await call.coordinator.tile_leaves(tile))
    return build_receipt(
        authority=realm.authority,
        nonce=realm.nonce,
        spec=await _spec_of(call, view),
        position=position,
        sealed=settled,
        chain=chain,
        path=tree.inclusion(position - 1, size),
        head=head,
    )


async def _with_signature(call: Call, position: int) -> tuple[Sealed, tuple[Sealed, ...]]:
    """The event at a position, and those after it up to the signed one that covers it."""
    events = await call.coordinator.feed.read(position - 1, GROUP_EVENTS_MAX)
    require(events, f"no event at position {position}", NOT_FOUND)
    actor = unpack(events[0].sealed.head, Event).actor
    chain: list[Sealed] = []
    for event in events:
        if unpack(event.sealed.head, Event).actor != actor:
            continue
        chain.append(event.sealed)
        if event.sealed.sig is not None:
            return chain[0], tuple(chain[1:])
    raise QuorateError(DATABASE, f"the event at position {position} is covered by no signature")


async def _covering(call: Call, position: int, need: int) -> SignedHead:
    heads = call.coordinator.machine.heads
    try:
        async with asyncio.timeout(COSIGN_WAIT_S):
            while True:
                head = heads.covering(position)
                if head is not None and len(head.cosigned) >= need:
                    return head
                await asyncio.sleep(COSIGN_POLL_S)
    except TimeoutError:
        hint = f"{need} nodes must be online to cosign the log; see `quorate nodes`"
        raise QuorateError(
            TIMEOUT, f"no {need} nodes have cosigned the log up to position {position} yet", hint
        ) from None


async def _spec_of(call: Call, view: TaskView) -> TaskSpec:
    for event in await call.coordinator.feed.read(view.submitted_at - 1, 1):
        body = unpack(event.sealed.body or b"", JobSubmitted)
        for spec in body.tasks:
            if spec.id.hex() == view.id:
                return spec
    raise QuorateError(NOT_FOUND, f"the submission of task {view.id} is not where the log should have it")
