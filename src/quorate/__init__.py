"""Quorate: a swarm that nobody in it has to trust."""

__version__ = "0.1.0"
