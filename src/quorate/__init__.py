"""Quorate: a swarm that nobody in it has to trust.

`from quorate import Client, AsyncClient` for programs; the command is `quorate`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quorate.client import AsyncClient, Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("AsyncClient", "Client"):  # loaded when asked for, so that `import quorate` stays quick
        import quorate.client

        return getattr(quorate.client, name)
    raise AttributeError(f"module 'quorate' has no attribute {name!r}")
