"""What the calls act on: made once by `server.create_app`, given to each call that asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from ...protocol import EngineInfo, Job
from ...remote.remote_status import RemoteWatch
from ..auth import Visitors
from ..device_probe import Device
from ..mirror import Mirrors
from ..page import Page
from ..preview_process import PreviewRenderer
from ..store import Store

if TYPE_CHECKING:
    from ..supervisor import Supervisor


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of a running engine."""

    supervisor: Supervisor
    store: Store
    previews: PreviewRenderer
    device: Device
    page: Page
    visitors: Visitors
    remote: RemoteWatch
    mirrors: Mirrors
    info: EngineInfo
    stop: Callable[[], None]

    def engine_info(self) -> EngineInfo:
        """Which engine answers, and which one works for it now."""
        return replace(self.info, device=self.device.ask(), remote=self.remote.ask())

    def known_job(self, job_id: str) -> Job:
        """A job as it is now. Raises HTTPException 404."""
        job = self.store.job(job_id)
        if job is None:
            raise HTTPException(404, f"There is no job {job_id[:64]}. It may belong to another engine's home.")
        return job


async def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Engine = Annotated[Services, Depends(_services)]


async def _job(job_id: str, engine: Engine) -> Job:
    return engine.known_job(job_id)


KnownJob = Annotated[Job, Depends(_job)]
