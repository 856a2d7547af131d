"""Services of packs: each runs beside the coordinator under the authority's grant, and is started again if it fails."""

import asyncio
from collections.abc import AsyncIterator

from quorate.base.errors import ORCHESTRATION, QuorateError
from quorate.model import Operation
from quorate.model.views import EventView
from quorate.ports.packs import Service
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.driver import Coordinator
from quorate.services.coordinator.operations.grants import Nothing

PAUSE_S = 0.2
PAUSE_CAP_S = 10.0


class Beside(Call):
    """What a service sees (`ports.ServiceContext`)."""

    async def follow(self, after: int) -> AsyncIterator[EventView]:
        """Every committed event after a position, without end. Raises 2000 when the coordinator reloads."""
        async for batch in self.coordinator.feed.follow(after):
            for event in batch:
                yield event.view


async def run_service(coordinator: Coordinator, service: Service) -> None:
    """Run a service for as long as the coordinator does."""

    async def nothing(context: object, given: Nothing) -> Nothing:
        return given

    acting = Operation(f"service {service.name}", Nothing, Nothing, "event:emit", False, nothing)
    pause = PAUSE_S
    while True:
        try:
            realm = coordinator.machine.realm
            principal = realm.grants.principal(realm.root_grant, coordinator.clock.now())
            await service.run(Beside(coordinator, principal, acting))
            return
        except QuorateError as error:
            coordinator.observer.failed(f"service {service.name}", error)
        except Exception as error:  # a pack's own mistake is not to take the coordinator with it
            told = QuorateError(ORCHESTRATION, f"{type(error).__name__}: {error}", "Report it to the pack's author")
            coordinator.observer.failed(f"service {service.name}", told)
        await asyncio.sleep(pause)
        pause = min(pause * 2, PAUSE_CAP_S)
