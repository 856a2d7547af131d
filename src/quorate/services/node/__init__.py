"""The node: runs tasks for a coordinator that it checks, and cosigns that coordinator's log."""

from quorate.services.node.driver import Node, Records
from quorate.services.node.machine import WITNESS_KEY, Witnessed
from quorate.services.node.settings import NodeSettings

__all__ = ["WITNESS_KEY", "Node", "NodeSettings", "Records", "Witnessed"]
