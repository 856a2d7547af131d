"""What a node can run: commands, nothing at all, and drills that misbehave."""

from quorate.adapters.executors.adversary import Liar, Sleepy
from quorate.adapters.executors.command import Command
from quorate.adapters.executors.noop import Noop

__all__ = ["Command", "Liar", "Noop", "Sleepy"]
