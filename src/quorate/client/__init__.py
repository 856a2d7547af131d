"""What a program that uses a swarm imports: `from quorate import Client, AsyncClient`."""

from quorate.client.asynchronous import AsyncClient
from quorate.client.synchronous import Client
from quorate.client.types import Agent, Answered, Created, Emitted, Page, Results, Submitted

__all__ = ["Agent", "Answered", "AsyncClient", "Client", "Created", "Emitted", "Page", "Results", "Submitted"]
