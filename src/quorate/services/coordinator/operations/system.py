"""The coordinator about itself."""

from msgspec import Struct

from quorate import __version__
from quorate.model import Operation
from quorate.numerics import max_faulty
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.operations.grants import Nothing


class HeadStatus(Struct, rename="camel"):
    """The newest head: how many of the `of` nodes online cosigned it."""

    size: int
    root: str
    cosigned: int
    of: int


class Counted(Struct, rename="camel"):
    online: int
    total: int


class StatusOut(Struct, rename="camel"):
    """`tolerates`: how many lying nodes a quorum over all online nodes survives. Latencies from submission to
    settlement of the last tasks; null until one was measured."""

    version: str
    realm: str
    name: str
    authority: str
    epoch: int
    position: int
    cursor: str
    head: HeadStatus
    nodes: Counted
    tasks: dict[str, int]
    jobs: dict[str, int]
    queue_depth: int
    rejected: int
    reassigned: int
    tolerates: int
    uptime_ms: int
    tasks_per_second: float
    p50_ms: float | None
    p95_ms: float | None


class PanelOut(Struct, rename="camel"):
    name: str
    title: str
    path: str


class PanelPage(Struct, rename="camel"):
    items: list[PanelOut]


class VersionOut(Struct, rename="camel"):
    version: str
    protocol: int


async def status(call: Call, given: Nothing) -> StatusOut:
    """The swarm at a glance: log, nodes, tasks, rate, latency."""
    coordinator = call.coordinator
    machine, store = coordinator.machine, coordinator.store
    realm, head = machine.realm, machine.heads.newest
    nodes = store.counts("nodes")
    online = nodes.get("online", 0)
    watch = coordinator.observer.watch
    return StatusOut(
        version=__version__,
        realm=realm.id.hex(),
        name=realm.name,
        authority=realm.authority.hex(),
        epoch=realm.epoch,
        position=coordinator.feed.position,
        cursor=f"{realm.id.hex()}.{coordinator.feed.position}",
        head=HeadStatus(
            size=head.heads[0].size if head else 0,
            root=head.heads[0].root.hex() if head else "",
            cosigned=len(head.cosigned) if head else 0,
            of=online,
        ),
        nodes=Counted(online, sum(nodes.values())),
        tasks=store.counts("tasks"),
        jobs=store.counts("jobs"),
        queue_depth=realm.dispatch.queue_depth,
        rejected=realm.dispatch.totals.rejected,
        reassigned=realm.dispatch.totals.reassigned,
        tolerates=max_faulty(online) if online else 0,
        uptime_ms=watch.uptime_ms(call.now),
        tasks_per_second=watch.rate(call.now),
        p50_ms=watch.percentile_ms(50),
        p95_ms=watch.percentile_ms(95),
    )


async def panels(call: Call, given: Nothing) -> PanelPage:
    """Panels that packs add to the dashboard."""
    return PanelPage([PanelOut(*panel) for panel in call.coordinator.panels])


async def version(call: Call, given: Nothing) -> VersionOut:
    """The version that answers."""
    return VersionOut(__version__, 1)


OPERATIONS = (
    Operation("status", Nothing, StatusOut, "system:read", True, status, ("GET", "/status"), ("status",), "status"),
    Operation("panel_list", Nothing, PanelPage, "system:read", True, panels, ("GET", "/panels"), (), None),
    Operation("version", Nothing, VersionOut, "public", True, version, ("GET", "/version"), (), "version"),
)
