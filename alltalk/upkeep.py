"""Upkeep: what the server does by itself: follow changes, delete what is old, free memory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from alltalk import scratch
from alltalk.cache import Cache
from alltalk.config import Config
from alltalk.errors import AllTalkError
from alltalk.memory import give_back, trim
from alltalk.outputs import Outputs
from alltalk.serving.lane import Lane
from alltalk.serving.requests import Requests

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at the settings' file."""
CLEAN_S = 3600.0
"""Seconds between two deletions of old files."""
SWEEP_S = 300.0
"""Seconds between two looks at what the cache holds."""
CROWD = 50
"""Requests after which memory is worth giving back, once all is quiet."""


class Upkeep:
    """One background task and its lane."""

    def __init__(
        self,
        config: Callable[[], Config],
        outputs: Outputs,
        cache: Cache,
        requests: Requests,
        follow: Callable[[], Awaitable[None]],
        offers: Callable[[], tuple[object, ...]],
    ) -> None:
        """`follow` takes over what was changed on disk since it was called last.

        `offers`: what can be spoken with now; other objects once something was loaded.
        """
        self._config, self._outputs, self._follow = config, outputs, follow
        self._cache, self._requests = cache, requests
        self._lane = Lane("upkeep")
        self._cleaned_at = float("-inf")
        self._swept_at = time.monotonic()
        self._freed_at_request = 0
        self._offers = offers
        self._trimmed_for: tuple[object, ...] = ()

    async def run(self) -> None:
        """Until cancelled. What fails is told, and tried again."""
        try:
            await self._prepare()
            while True:
                await self._follow()
                await self._clean()
                await self._sweep()
                await self._free()
                await asyncio.sleep(LOOK_S)
        finally:
            self._lane.close()

    async def _prepare(self) -> None:
        if left := await self._lane.run(scratch.sweep):
            logger.info("Deleted %d temporary folders of servers that were killed.", left)
        try:
            await self._lane.run(self._outputs.prepare)
        except AllTalkError as error:
            logger.warning("The folder of finished files is not ready: %s", error)

    async def _sweep(self) -> None:
        if time.monotonic() - self._swept_at >= SWEEP_S:
            self._swept_at = time.monotonic()
            await self._lane.run(self._cache.sweep)

    async def _free(self) -> None:
        """After a crowd has gone, be as small as before it came; after a load, as the model is."""
        if len(self._requests):
            return
        opened, offers = self._requests.opened, self._offers()
        if opened - self._freed_at_request >= CROWD:
            self._freed_at_request, self._trimmed_for = opened, offers
            await self._lane.run(give_back)
        elif set(map(id, offers)) != set(map(id, self._trimmed_for)):
            self._trimmed_for = offers
            await self._lane.run(trim)

    async def _clean(self) -> None:
        days = self._config().retention_days
        if days is None or time.monotonic() - self._cleaned_at < CLEAN_S:
            return
        self._cleaned_at = time.monotonic()
        try:
            deleted = await self._lane.run(self._outputs.clean, days, self._outputs.served)
        except AllTalkError as error:
            logger.warning("Old files could not be deleted: %s", error)
        else:
            logger.info("Deleted %d files older than %g days.", len(deleted), days)
