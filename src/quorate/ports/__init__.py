"""Protocol classes only: what services need of the world. Adapters and the simulator implement them."""

from quorate.ports.execution import Box, Executor
from quorate.ports.packs import Kind, Pack, Panel, Service, ServiceContext, Validator
from quorate.ports.storage import Blobs, Group, Journal, RowFilter, Store
from quorate.ports.world import Clock, Core, Entropy, Wire

__all__ = [
    "Blobs",
    "Box",
    "Clock",
    "Core",
    "Entropy",
    "Executor",
    "Group",
    "Journal",
    "Kind",
    "Pack",
    "Panel",
    "RowFilter",
    "Service",
    "ServiceContext",
    "Store",
    "Validator",
    "Wire",
]
