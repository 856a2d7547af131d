"""The nodes: what they offer, what they hold, and what they were seen to do.

Knows no tasks beyond the leases that a node holds. Every change of a node is noted in `changes`, which
each pool of waiting tasks reads on its own pace: a change costs the same however many pools there are.
Invariant: N1 `held` are the live leases of all runs, by node.
"""

from msgspec import Struct

from quorate.base.errors import invariant
from quorate.model import Lease, NodeChanged, NodeJoined
from quorate.numerics import Reputation

ONLINE = "online"
OFFLINE = "offline"
EXECUTOR = "executor:"
"""Before the name of an executor among a node's capabilities."""

LeaseKey = tuple[bytes, int, int]
"""(task, slot, epoch)"""


class Node(Struct, array_like=True):
    """A node. `changed_ns`: when its state last changed; `seen_ns`: its last event of any kind."""

    key: bytes
    name: str
    capabilities: tuple[str, ...]
    slots: int
    order: int
    joined_ns: int
    state: str = OFFLINE
    reason: str = ""
    changed_ns: int = 0
    seen_ns: int = 0
    agreed: int = 0
    dissented: int = 0
    failed: int = 0

    @property
    def reputation(self) -> Reputation:
        return Reputation(self.agreed, self.dissented, self.failed)


class Roster:
    """All nodes that ever joined, by key, in the order they did. `ranks`: (reputation in ppm, is it trusted)."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.held: dict[bytes, dict[LeaseKey, Lease]] = {}
        self.offered: dict[bytes, frozenset[str]] = {}
        self.ranks: dict[bytes, tuple[int, bool]] = {}
        self.changes: list[bytes] = []
        self.dropped_changes = 0
        self.dirty: dict[bytes, None] = {}

    def joined(self, body: NodeJoined, at_ns: int, position: int) -> None:
        """A new node, or one that came back with another name, other capabilities or slots."""
        node = self.nodes.get(body.node)
        if node is None:
            node = Node(body.node, body.name, body.capabilities, body.slots, position, at_ns, changed_ns=at_ns)
            self.nodes[body.node] = node
            self.held[body.node] = {}
        node.name, node.capabilities, node.slots = body.name, body.capabilities, body.slots
        node.seen_ns = at_ns
        self.admit(node)

    def admit(self, node: Node) -> None:
        """Work out what planning asks of a node."""
        self.offered[node.key] = frozenset(node.capabilities)
        self._rank(node)

    def changed(self, body: NodeChanged, at_ns: int) -> None:
        """A node went online, offline or began to drain."""
        node = self.nodes.get(body.node)
        invariant(node is not None, "a node joins before it changes")
        assert node is not None
        node.state, node.reason = body.state, body.reason
        node.changed_ns = node.seen_ns = at_ns
        self.note(node.key)

    def _rank(self, node: Node) -> None:
        reputation = node.reputation
        self.ranks[node.key] = reputation.ppm, reputation.trusted
        self.note(node.key)

    def observe(self, key: bytes, agreed: int = 0, dissented: int = 0, failed: int = 0) -> None:
        """Evidence of what a node did."""
        node = self.nodes[key]
        node.agreed += agreed
        node.dissented += dissented
        node.failed += failed
        self._rank(node)

    def saw(self, key: bytes, at_ns: int) -> Node:
        """A node answered."""
        node = self.nodes[key]
        node.seen_ns = at_ns
        self.dirty[key] = None
        return node

    def take(self, lease: Lease) -> None:
        """A lease went to its node."""
        self.held[lease.node][lease.task, lease.slot, lease.epoch] = lease
        self.note(lease.node)

    def release(self, node: bytes, lease: LeaseKey) -> None:
        """A lease ended."""
        del self.held[node][lease]
        self.note(node)

    def note(self, key: bytes) -> None:
        """Remember that a node changed: for the pools, and for its row."""
        self.changes.append(key)
        self.dirty[key] = None
        if len(self.changes) > 4 * len(self.nodes) + 4096:
            # A pool that had not read these starts over, which costs it no more than reading them would.
            self.dropped_changes += len(self.changes)
            self.changes = []

    def offers(self, key: bytes, needs: frozenset[str]) -> bool:
        """Is the node online, and has it all that is needed?"""
        return self.nodes[key].state == ONLINE and needs <= self.offered[key]

    def executors(self) -> frozenset[str]:
        """The names of all executors that some node offers."""
        offers = frozenset().union(*self.offered.values())
        return frozenset(offer.removeprefix(EXECUTOR) for offer in offers if offer.startswith(EXECUTOR))

    def leases_of(self, key: bytes) -> tuple[Lease, ...]:
        """The live leases of a node, ordered."""
        return tuple(lease for _, lease in sorted(self.held.get(key, {}).items()))
