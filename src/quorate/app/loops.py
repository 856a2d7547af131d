"""The event loop of long-running commands: uvloop where there is one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

try:
    import uvloop

    _new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # not on every platform
    _new_loop = asyncio.new_event_loop


def run(work: Coroutine[Any, Any, Any]) -> None:
    """Run to the end."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(work)
