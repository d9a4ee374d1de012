"""Installs: models that are brought here in the background, whoever looks on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from alltalk.errors import AllTalkError, NotFound, Refused, TermsNotAccepted
from alltalk.models.catalogue import ModelEntry
from alltalk.models.downloads import Progress
from alltalk.models.store import ListedModel, ModelCatalogue

logger = logging.getLogger(__name__)


class InstallState(StrEnum):
    """What became of an installation."""

    RUNNING = "running"
    INSTALLED = "installed"
    FAILED = "failed"
    STOPPED = "stopped"
    """By whoever asked; what has arrived is kept."""


@dataclass(frozen=True, slots=True)
class InstallView:
    """An installation as of one moment."""

    key: str
    """The model's, see `ModelEntry.key`."""
    state: InstallState
    received: int
    """Bytes of its files, those of earlier tries included."""
    size: int | None
    """Bytes of all its files; None: not known yet."""
    doing: str
    """What went on last beside fetching, such as a line of pip's; empty: nothing."""
    error: str
    """Why it failed, and what to do; else empty."""


class Installs:
    """The installations of one server. Lives on the event loop.

    They go on when whoever asked has left, and end with the server; what has arrived is kept.
    """

    def __init__(
        self, catalogue: ModelCatalogue, in_use: Callable[[], Awaitable[Collection[Path]]]
    ) -> None:
        """`in_use`: the folders of models that are loaded now, and files of voices that are."""
        self.catalogue = catalogue
        self.changes = 0
        """Grows whenever an installation begins or ends, or a model is removed."""
        self._in_use = in_use
        self._all: dict[str, _Install] = {}

    @property
    def views(self) -> Sequence[InstallView]:
        """Those that run, and those that ended, since the start; the last of each model."""
        return [each.view() for each in self._all.values()]

    def view(self, key: str) -> InstallView | None:
        """The last installation of a model; None: there was none since the start."""
        return self._all[key].view() if key in self._all else None

    async def start(self, asked: str, *, agreed: bool) -> ModelEntry:
        """Begin to install the model called `asked`; returns at once.

        `agreed`: to its terms, if it has any. Raises NotFound, TermsNotAccepted, and Refused while
        it is being installed. What goes wrong later is in its `InstallView`.
        """
        entry = (await self.catalogue.read()).find(asked)
        if entry.terms and not agreed:
            raise TermsNotAccepted(entry.name, entry.terms)
        if entry.key in self._all and self._all[entry.key].runs:
            raise Refused(f"{entry.name} is being installed already.")
        self._all.pop(entry.key, None)  # the newest comes last
        install = self._all[entry.key] = _Install(entry)
        install.task = asyncio.create_task(self._run(install), name=f"install {entry.key}")
        self.changes += 1
        return entry

    async def stop(self, key: str) -> None:
        """Stop an installation; the next one goes on where it was. Raises NotFound."""
        install = self._all.get(key)
        if install is None or install.task is None or not install.runs:
            raise NotFound(f"{key} is not being installed.")
        install.task.cancel()
        await asyncio.gather(install.task, return_exceptions=True)
        if install.runs:  # it was stopped before its first step
            install.state = InstallState.STOPPED
            self.changes += 1

    async def remove(self, asked: str) -> ListedModel:
        """Delete an installed model. Raises NotFound, and Refused while it is loaded."""
        removed = await self.catalogue.remove(asked, in_use=await self._in_use())
        self._all.pop(removed.entry.key, None)
        self.changes += 1
        return removed

    async def close(self) -> None:
        """Stop all that run."""
        tasks = [each.task for each in self._all.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, install: _Install) -> None:
        """Bring the model, and keep what became of it."""
        key = install.entry.key
        try:
            await self.catalogue.install(key, agreed=True, report=install.report, say=install.say)
            install.state = InstallState.INSTALLED
            logger.info("%s is installed.", key)
        except asyncio.CancelledError:
            install.state = InstallState.STOPPED
            raise
        except AllTalkError as error:
            install.state, install.error = InstallState.FAILED, str(error)
            logger.warning("%s is not installed: %s", key, error)
        except Exception as bug:
            install.state = InstallState.FAILED
            install.error = f"It could not be installed: {bug!r}. The log tells more."
            logger.exception("%s is not installed", key)
        finally:
            self.changes += 1


class _Install:
    """One installation, which tells how it goes."""

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry
        self.state = InstallState.RUNNING
        self.error = ""
        self.task: asyncio.Task[None] | None = None
        self._files: dict[str, Progress] = {}
        self._doing = ""

    @property
    def runs(self) -> bool:
        """True until it has ended."""
        return self.state is InstallState.RUNNING

    def report(self, at: Progress) -> None:
        """A file is so far."""
        self._files[at.path] = at

    def say(self, line: str) -> None:
        """Something else goes on."""
        self._doing = line

    def view(self) -> InstallView:
        """As of now."""
        return InstallView(
            key=self.entry.key,
            state=self.state,
            received=sum(each.received for each in self._files.values()),
            size=self._size(),
            doing=self._doing if self.runs else "",
            error=self.error,
        )

    def _size(self) -> int | None:
        """As published; else as the server said of each file."""
        sizes = [
            file.size if file.size is not None else self._told(file.path)
            for file in self.entry.files
        ]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def _told(self, path: str) -> int | None:
        return self._files[path].size if path in self._files else None
