"""ModelCatalogue: list, install, remove and verify models; for the command line and the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from alltalk.claims import claim
from alltalk.errors import AllTalkError, NotFound, Refused, TermsNotAccepted
from alltalk.home import Home
from alltalk.models.catalogue import Catalogue, ModelEntry, ModelFile, catalogue_of
from alltalk.models.downloads import Fetcher, Hub, Progress, Report
from alltalk.models.environments import Environments, Say
from alltalk.models.installed import InstalledModel, ModelState
from alltalk.models.threads import to_its_end
from alltalk.registry import Registry

AT_ONCE = 4
"""Files that are fetched side by side, over all models."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """An entry, and how much of it is there."""

    entry: ModelEntry
    state: ModelState
    needs_environment: bool = False
    """Its engine's own Python environment is missing or out of date."""


def _ignore(what: object) -> None:
    """Nobody wants to know."""


class ModelCatalogue:
    """What can be installed into one home, and what is. Lives on the event loop."""

    def __init__(self, home: Home, registry: Registry, hub: Hub, *, pause_s: float = 0.5) -> None:
        """`pause_s`: before a broken connection is made again; grows."""
        self._home, self._registry = home, registry
        self._hub, self._pause_s = hub, pause_s
        self._environments = Environments(home, registry)
        self._line = asyncio.Semaphore(AT_ONCE)

    async def read(self) -> Catalogue:
        """The entries as the engines' files list them now."""
        return await asyncio.to_thread(catalogue_of, self._registry)

    async def list(self, group: str = "") -> Sequence[ListedModel]:
        """All entries, or those of one group, with their state."""
        catalogue = await self.read()
        entries = [each for each in catalogue.entries if group in ("", each.group)]
        return await asyncio.to_thread(lambda: [self._listed(each) for each in entries])

    async def install(
        self, asked: str, *, agreed: bool, report: Report = _ignore, say: Say = _ignore
    ) -> ListedModel:
        """Bring the model called `asked` (see `Catalogue.find`), and what its engine needs.

        `agreed`: to the entry's terms, if it has any. `report` is told how far each file is,
        `say` what else goes on. What is there already is not fetched again. Raises NotFound,
        TermsNotAccepted, DownloadFailed, InstallFailed, StorageError, and Refused when the same
        model is being installed.
        """
        entry = (await self.read()).find(asked)
        if entry.terms and not agreed:
            raise TermsNotAccepted(entry.name, entry.terms)
        model = InstalledModel(self._home, entry)
        with claim(model.claim_file, f"{entry.name} is being installed already."):
            if not await self._is_complete(model):
                await self._fetch(model, report)
                await to_its_end(model.put_in_place)
        if self._is_engine(entry) and self._environments.needs(entry.group):
            await self._environments.make(entry.group, say)
        return self._listed(entry)

    async def remove(self, asked: str, *, in_use: Collection[Path] = ()) -> ListedModel:
        """Delete a model, and with an engine's last one its own environment.

        Raises NotFound, and Refused for a model whose folder is `in_use`, or one of its files where
        it lies among others.
        """
        entry = (await self.read()).find(asked)
        model = InstalledModel(self._home, entry)
        own = {model.folder} if entry.folder else {model.folder / each.path for each in entry.files}
        if not own.isdisjoint(in_use):
            other = "model" if entry.folder else "engine"
            raise Refused(f"{entry.name} is loaded now. Load another {other} first.")
        with claim(model.claim_file, f"{entry.name} is being installed."):
            await to_its_end(model.remove)
        is_engine = self._is_engine(entry)
        if is_engine and not await asyncio.to_thread(self._registry.models, entry.group):
            await self._environments.remove(entry.group)
        return self._listed(entry)

    async def label(self, asked: str) -> str:
        """What its engine calls an installed model; empty: the engine has one for all files.

        Raises NotFound for what no engine speaks with.
        """
        entry = (await self.read()).find(asked)
        if not self._is_engine(entry):
            raise NotFound(f"{entry.name} is no model that an engine speaks with.")
        if not entry.folder:
            return ""
        label = await asyncio.to_thread(self._label, entry)
        if not label:
            raise NotFound(f"{entry.name} is not installed.")
        return label

    async def verify(self, asked: str) -> Sequence[str]:
        """What is wrong with an installed model, a sentence each; reads all of its files."""
        entry = (await self.read()).find(asked)
        faults = await asyncio.to_thread(InstalledModel(self._home, entry).faults)
        if self._listed(entry).needs_environment:
            faults.append(f"The Python environment of {entry.group} is missing or out of date.")
        return faults

    async def _fetch(self, model: InstalledModel, report: Report) -> None:
        """All files that are not in place. Raises the first error; the other files stop."""
        await asyncio.to_thread(model.refuse_full_disk)

        async def bring(file: ModelFile) -> None:
            async with self._line:
                if await asyncio.to_thread(model.has, file):
                    size = (model.folder / file.path).stat().st_size
                    report(Progress(file.path, size, size))
                else:
                    await fetcher.fetch(file, model.staged(file), report)

        try:
            async with (
                Fetcher(self._hub, pause_s=self._pause_s) as fetcher,
                asyncio.TaskGroup() as files,
            ):
                for file in model.entry.files:
                    files.create_task(bring(file))
        except* AllTalkError as errors:
            raise _first(errors) from None

    async def _is_complete(self, model: InstalledModel) -> bool:
        if model.state is not ModelState.INSTALLED:
            return False
        return not await asyncio.to_thread(model.faults)

    def _listed(self, entry: ModelEntry) -> ListedModel:
        needs = self._is_engine(entry) and self._environments.needs(entry.group)
        return ListedModel(entry, InstalledModel(self._home, entry).state, needs)

    def _label(self, entry: ModelEntry) -> str:
        folder = InstalledModel(self._home, entry).folder
        labels = self._registry.models(entry.group)
        return next(
            (each for each in labels if self._registry.model_folder(entry.group, each) == folder),
            "",
        )

    def _is_engine(self, entry: ModelEntry) -> bool:
        return entry.group in self._registry.manifests


def _first(errors: BaseExceptionGroup[AllTalkError]) -> AllTalkError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, AllTalkError)
    return error
