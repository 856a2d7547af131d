"""Agents: whoever does work. An agent is a work node of kind `agent`; its id is what tasks are assigned to."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from quorate.base.codec import from_json
from quorate.base.errors import NOT_FOUND, QuorateError, require
from quorate.base.ids import UUID_BYTES, parse_id
from quorate.base.limits import NAME_MAX_CHARS, PAGE_DEFAULT, PAGE_MAX
from quorate.base.names import is_clean
from quorate.model import Operation
from quorate.model.views import WorkView
from quorate.ports import RowFilter
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.messages import Wish, WriteWork
from quorate.services.coordinator.operations.pages import row_before
from quorate.services.coordinator.operations.tasks import Kind, TaskPage, TaskQuery, list_tasks


class AgentNew(Struct, rename="camel", forbid_unknown_fields=True):
    name: str
    type: str = ""
    capabilities: list[str] = []
    tools: list[str] = []
    status: str = "idle"
    metadata: dict[str, Any] = {}


class AgentChange(Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    name: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    capabilities: list[str] | UnsetType = UNSET
    tools: list[str] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class AgentRef(Struct, rename="camel", forbid_unknown_fields=True):
    id: str


class AgentTasks(Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    limit: int = PAGE_DEFAULT
    before: str = ""


class AgentQuery(Struct, rename="camel", forbid_unknown_fields=True):
    limit: int = PAGE_DEFAULT
    before: str = ""


class AgentView(Struct, rename="camel"):
    id: str
    uuid: str
    name: str
    type: str
    status: str
    capabilities: list[str]
    tools: list[str]
    metadata: dict[str, Any]
    created_ms: int


class AgentRemoved(Struct, rename="camel"):
    id: str
    status: str


class AgentPage(Struct, rename="camel"):
    items: list[AgentView]
    next: str | None


def _view(node: WorkView) -> AgentView:
    fields = node.fields
    return AgentView(
        id=node.id,
        uuid=node.id,
        name=node.title,
        type=fields.get("type", ""),
        status=fields.get("status", "idle"),
        capabilities=fields.get("capabilities", []),
        tools=fields.get("tools", []),
        metadata=fields.get("metadata", {}),
        created_ms=node.created_ms,
    )


def _find(call: Call, id: str) -> WorkView:
    row = call.coordinator.store.row("work", parse_id(id, UUID_BYTES, "agent id"))
    if row is None or from_json(row.record, Kind).kind != "agent":
        raise QuorateError(NOT_FOUND, f"no agent {id}")
    return from_json(row.record, WorkView)


def _check_name(name: str) -> None:
    require(0 < len(name) <= NAME_MAX_CHARS, f"an agent's name has 1 to {NAME_MAX_CHARS} characters")
    require(is_clean(name), "the agent's name has control characters")


async def register_agent(call: Call, given: AgentNew) -> AgentView:
    """Register an agent."""
    _check_name(given.name)
    subject = call.new_id()
    wishes = [Wish("create", subject, ("agent", given.name, b""))]
    given_fields = ((name, getattr(given, name)) for name in ("type", "status", "capabilities", "tools", "metadata"))
    wishes += [Wish("set", subject, (name, value)) for name, value in given_fields if value]
    written = await call.write(WriteWork(tuple(wishes)))
    first = await call.coordinator.feed.read(written.receipts[0].position - 1, 1)
    return _view(_find(call, first[0].view.subject))


async def list_agents(call: Call, given: AgentQuery) -> AgentPage:
    """Agents, newest first."""
    require(1 <= given.limit <= PAGE_MAX, f"limit is 1 to {PAGE_MAX}")
    before = row_before(given.before)
    found: list[AgentView] = []
    while len(found) < given.limit:
        rows = call.coordinator.store.rows("work", RowFilter(before=before, limit=PAGE_MAX))
        for _, row in rows:
            before = row.order
            if from_json(row.record, Kind).kind == "agent":
                found.append(_view(from_json(row.record, WorkView)))
            if len(found) == given.limit:
                return AgentPage(found, str(before))
        if len(rows) < PAGE_MAX:
            break
    return AgentPage(found, None)


async def get_agent(call: Call, given: AgentRef) -> AgentView:
    """One agent."""
    return _view(_find(call, given.id))


async def update_agent(call: Call, given: AgentChange) -> AgentView:
    """Change an agent."""
    if given.name is not UNSET:
        _check_name(given.name)
    _find(call, given.id)
    subject = parse_id(given.id, UUID_BYTES)
    names = {"name": "title", "type": "type", "status": "status", "capabilities": "capabilities"}
    names |= {"tools": "tools", "metadata": "metadata"}
    wishes = [
        Wish("set", subject, (field, getattr(given, name)))
        for name, field in names.items()
        if getattr(given, name) is not UNSET
    ]
    require(wishes, "nothing to change was given")
    await call.ask(WriteWork(tuple(wishes)))
    return _view(_find(call, given.id))


async def remove_agent(call: Call, given: AgentRef) -> AgentRemoved:
    """Remove an agent; what was assigned to it stays."""
    agent = parse_id(given.id, UUID_BYTES, "agent id")
    if not call.repeated:
        _find(call, given.id)
    await call.ask(WriteWork((Wish("tombstone", agent, (f"removed by {call.principal.name}",)),)))
    return AgentRemoved(agent.hex(), "removed")


async def agent_tasks(call: Call, given: AgentTasks) -> TaskPage:
    """The tasks assigned to an agent, newest first."""
    agent = _find(call, given.id)
    return await list_tasks(call, TaskQuery(assignee=agent.id, limit=given.limit, before=given.before))


OPERATIONS = (
    Operation(
        "agent_register",
        AgentNew,
        AgentView,
        "agent:register",
        True,
        register_agent,
        ("POST", "/agents"),
        ("agent_register",),
        None,
        (),
        201,
    ),
    Operation(
        "agent_list", AgentQuery, AgentPage, "agent:read", True, list_agents, ("GET", "/agents"), ("agent_list",), None
    ),
    Operation(
        "agent_get", AgentRef, AgentView, "agent:read", True, get_agent, ("GET", "/agents/{id}"), ("agent_get",), None
    ),
    Operation(
        "agent_update",
        AgentChange,
        AgentView,
        "agent:manage",
        True,
        update_agent,
        ("PUT", "/agents/{id}"),
        ("agent_update",),
        None,
    ),
    Operation(
        "agent_remove",
        AgentRef,
        AgentRemoved,
        "agent:manage",
        True,
        remove_agent,
        ("DELETE", "/agents/{id}"),
        ("agent_remove",),
        None,
    ),
    Operation(
        "agent_tasks",
        AgentTasks,
        TaskPage,
        "task:read",
        True,
        agent_tasks,
        ("GET", "/agents/{id}/tasks"),
        ("agent_tasks",),
        None,
        (("GET", "/api/agents/{id}/tasks"),),
    ),
)
