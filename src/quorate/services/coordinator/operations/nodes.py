"""Nodes: who is here, how they did, and tokens to join."""

from typing import Any, Literal

from msgspec import Struct

from quorate.base.codec import from_json
from quorate.base.errors import require
from quorate.base.ids import HASH_BYTES, hash_id, parse_id
from quorate.base.limits import JOIN_TOKEN_TTL_MS, NAME_MAX_CHARS, PAGE_MAX
from quorate.base.names import is_clean
from quorate.model import Operation
from quorate.model.views import NodeView
from quorate.ports import RowFilter
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.messages import IssueGrant, SetNode
from quorate.services.coordinator.operations.grants import TOKEN_BYTES, issue
from quorate.services.coordinator.operations.pages import row_before


class NodeQuery(Struct, rename="camel", forbid_unknown_fields=True):
    state: str = ""
    limit: int = PAGE_MAX
    before: str = ""


class NodeRef(Struct, rename="camel", forbid_unknown_fields=True):
    id: str


class NodePage(Struct, rename="camel"):
    items: list[NodeView]
    next: str | None


class NodeSet(Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    state: Literal["online", "draining"]
    reason: str = ""


class NodeInvite(Struct, rename="camel", forbid_unknown_fields=True):
    """The source's registration; what Quorate needs of it is a label. Hardware is shown as declared, not believed."""

    label: str = "node"
    hardware_spec: Any = None
    capabilities: list[Any] = []
    availability: Any = None
    wallet: str = ""
    public_key: str = ""


class NodeInvited(Struct, rename="camel"):
    """`apiKey` is a join token: it admits one key, once. `status` is pending until the node connects."""

    node_id: str
    status: str
    api_key: str
    token: str
    expires_ms: int
    onboarding_steps: list[str]


class NodeMetrics(Struct, rename="camel"):
    """`performance` counts what was measured here; nothing is made up."""

    node_id: str
    performance: dict[str, int]
    utilization: dict[str, int]
    reputation: float


async def list_nodes(call: Call, given: NodeQuery) -> NodePage:
    """Nodes: state, load, reputation with its evidence."""
    require(1 <= given.limit <= PAGE_MAX, f"limit is 1 to {PAGE_MAX}")
    before = row_before(given.before)
    states = (given.state,) if given.state else ()
    rows = call.coordinator.store.rows("nodes", RowFilter(states=states, before=before, limit=given.limit))
    items = [from_json(row.record, NodeView) for _, row in rows]
    return NodePage(items, str(rows[-1][1].order) if len(rows) == given.limit else None)


async def get_node(call: Call, given: NodeRef) -> NodeView:
    """One node."""
    return call.node(given.id)


async def set_node(call: Call, given: NodeSet) -> NodeView:
    """Take a node out of service, or put it back."""
    node = parse_id(given.id, HASH_BYTES, "node id")
    await call.ask(SetNode(node, given.state, given.reason or f"set by {call.principal.name}"))
    return call.node(given.id)


async def invite_node(call: Call, given: NodeInvite) -> NodeInvited:
    """Make a token with which one node can join, once."""
    require(len(given.label) <= NAME_MAX_CHARS and is_clean(given.label), "the label is long or unprintable")
    token = "join-" + call.new_secret(TOKEN_BYTES).hex()
    expires_ms = call.now // 1_000_000 + JOIN_TOKEN_TTL_MS
    command = IssueGrant(hash_id(token.encode()), "join", expires_ms, given.label, once=True)
    expires_ms = (await issue(call, token, command)).expires_ms
    steps = ["pip install quorate", "quorate node URL --token <the token>"]
    return NodeInvited(given.public_key, "pending", token, token, expires_ms, steps)


async def node_metrics(call: Call, given: NodeRef) -> NodeMetrics:
    """How a node did: results agreed, results that differed, failures, load."""
    node = call.node(given.id)
    agreed, dissented, failed = node.evidence
    performance = {"agreed": agreed, "dissented": dissented, "failed": failed, "taskCount": sum(node.evidence)}
    utilization = {"running": node.running, "slots": node.slots}
    return NodeMetrics(node.id, performance, utilization, node.reputation)


OPERATIONS = (
    Operation(
        "node_list", NodeQuery, NodePage, "node:read", True, list_nodes, ("GET", "/nodes"), ("node_list",), "nodes"
    ),
    Operation("node_get", NodeRef, NodeView, "node:read", True, get_node, ("GET", "/nodes/{id}"), ("node_get",), None),
    Operation(
        "node_set",
        NodeSet,
        NodeView,
        "node:manage",
        True,
        set_node,
        ("PUT", "/nodes/{id}"),
        ("node_set",),
        "node drain",
    ),
    Operation(
        "node_register",
        NodeInvite,
        NodeInvited,
        "grant:issue",
        True,
        invite_node,
        ("POST", "/nodes/register"),
        ("node_register",),
        "invite",
        (),
        201,
    ),
    Operation(
        "node_metrics", NodeRef, NodeMetrics, "node:read", True, node_metrics, ("GET", "/nodes/{id}/metrics"), (), None
    ),
)
