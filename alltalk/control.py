"""Control: changing what speaks, and by which settings, while others are being served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from alltalk.backend_types import engine_settings
from alltalk.config import Config
from alltalk.config_store import ConfigStore
from alltalk.engine import Manifest
from alltalk.errors import (
    AllTalkError,
    BadInput,
    BadValue,
    ConfigError,
    NotFound,
    NotReady,
    Refused,
    Unsupported,
)
from alltalk.models import installed_in
from alltalk.registry import Registry
from alltalk.serving.backend import BackendView
from alltalk.serving.backend_store import BackendSpec
from alltalk.serving.lane import Lane
from alltalk.serving.pool import BackendPool
from alltalk.speech import Offer
from alltalk.status import SWITCH_SETTINGS, Switch, status_of
from alltalk.voices import VoiceLibrary, resolve_voice

logger = logging.getLogger(__name__)


class Changing(Refused):
    """Another change of the current engine is under way."""

    def __init__(self) -> None:
        super().__init__("The engine is being changed; try again when that is done.")


class Control:
    """The changes that V2's routes make. Lives on the event loop.

    Whoever speaks while something is changed ends as it began. What fails leaves things as they
    were.
    """

    def __init__(
        self,
        config: ConfigStore,
        registry: Registry,
        pool: BackendPool,
        voices: VoiceLibrary,
        apply: Callable[[Config], None],
    ) -> None:
        """`apply` is called on the event loop with settings that have come into force."""
        self._config, self._registry = config, registry
        self._pool, self._voices = pool, voices
        self._apply = apply
        self._lane = Lane("control")
        self._busy = False
        self._engines_seen = registry.stamp()
        self._installed_seen = self._installed()
        self._loading: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Begin nothing more."""
        for task in self._loading:
            task.cancel()
        self._lane.close()

    # The current engine

    async def load_model(self, model: str) -> Offer:
        """Have the current backend speak with another model; kept over a restart.

        Returns when it can speak; until then the old one does. Raises Changing, BadValue,
        UnknownModel, LoadFailed, OutOfMemory, NotReady, StorageError.
        """
        with self._alone():
            if not model:
                raise BadValue("tts_method", "must name a model")
            return await self._pool.swap(model=model)

    async def load_engine(self, engine: str, model: str = "") -> Offer:
        """The same with another engine; without `model` its first. Raises UnknownEngine as well."""
        with self._alone():
            self._registry.manifest(engine)
            return await self._pool.swap(engine, model)

    async def switch(self, what: Switch, on: bool) -> bool:
        """Turn `what` on or off; False when it is set so already.

        What is set to on without being in effect can be turned off. Raises Unsupported where the
        engine or this machine cannot turn it on, and what `load` raises.
        """
        with self._alone():
            offer = self._offer()
            status = status_of(self._registry, offer.engine, offer)
            if on and (obstacle := status.obstacle(what)):
                raise Unsupported(obstacle)
            if status.asked(what) == on:
                return False
            await self._pool.swap(settings={SWITCH_SETTINGS[what]: on})
            return True

    async def map_openai_voices(self, voices: Mapping[str, str]) -> None:
        """Have OpenAI's voice names mean these voices of the current engine, from now on.

        Saved first. Nothing is loaded again, so nobody waits. Raises UnknownVoice, NotReady,
        StorageError.
        """
        offer = self._offer()
        clips = self._voices.recent()
        for name in voices.values():
            resolve_voice(name, offer, clips)
        await self._lane.run(
            lambda: self._registry.save_settings(offer.engine, openai_voices=voices)
        )
        self._engines_seen = self._registry.stamp()
        self._pool.renew(self._renewed)

    async def change_engine_settings(self, engine: str, patch: Mapping[str, Any]) -> int:
        """Change settings of `engine`, kept in its file of the home; how many backends load again.

        The current backend is loaded beside the old one; what fails leaves file and engine as they
        were. Other backends of the engine load again in the background, also where they had values
        of their own. Raises Changing, UnknownEngine, BadValue, StorageError, and what loading the
        current one raises.
        """
        with self._alone():
            before = await self._lane.run(self._registry.manifest, engine)
            known = {each.name: each for each in engine_settings(self._registry, engine)}
            if unknown := patch.keys() - known.keys():
                raise BadValue(min(unknown)[:80], f"{before.display_name} has no such setting")
            values = {name: known[name].read(value) for name, value in patch.items()}
            after = await self._save_engine(engine, values)
            again = self._meant(engine, values, every=_must_load_again(before, after))
            try:
                for backend, own in again:
                    if backend.current:
                        await self._pool.swap(settings=own)
            except AllTalkError:
                await self._save_engine(engine, {name: before.settings[name] for name in values})
                raise
            for backend, own in again:
                if not backend.current:
                    self._begin(self._load_again(backend, own))
            return len(again)

    async def _save_engine(self, engine: str, values: Mapping[str, Any]) -> Manifest:
        saved = await self._lane.run(lambda: self._registry.save_settings(engine, settings=values))
        self._engines_seen = await self._lane.run(self._registry.stamp)
        self._pool.renew(self._renewed)
        return saved

    def _meant(
        self, engine: str, values: Mapping[str, Any], *, every: bool
    ) -> list[tuple[BackendView, dict[str, Any]]]:
        """Backends of an engine to load again, with those of `values` they have ones of their own
        for; without `every` only where these differ.
        """
        found = []
        for backend in self._pool.backends:
            if backend.type == engine and backend.enabled:
                own = {name: value for name, value in values.items() if name in backend.settings}
                if every or _differ(backend, own):
                    found.append((backend, own))
        return found

    # Settings

    async def change_settings(self, patch: Mapping[str, Any]) -> Config:
        """Change keys of `confignew.json`, named with dots. Raises BadInput, StorageError."""
        return await self._settings_from(lambda: self._config.change(patch))

    async def edit_settings(self, patch_of: Callable[[Config], Mapping[str, Any]]) -> Config:
        """`change_settings` by what `patch_of` makes of those that the file holds by then."""
        return await self._settings_from(lambda: self._config.edit(patch_of))

    async def _settings_from(self, change: Callable[[], Config]) -> Config:
        try:
            config = await self._lane.run(change)
        except ConfigError as error:
            raise BadInput(str(error)) from error
        self._apply(config)
        return config

    async def check_settings(self, patch: Mapping[str, Any]) -> None:
        """Raise the BadInput that `change_settings` would; change nothing."""
        try:
            await self._lane.run(self._config.check, patch)
        except ConfigError as error:
            raise BadInput(str(error)) from error

    async def reload(self) -> None:
        """Read all settings again: ours and the engines'. Raises ConfigError; those stay then."""
        config = await self._lane.run(self._config.reload)
        self._apply(config)
        await self._reload_engines()
        await self._lane.run(self._voices.scan)

    async def follow(self) -> None:
        """Reload what was changed on disk since the last look. A wrong file is told once."""
        if await self._lane.run(self._config.changed):
            try:
                self._apply(await self._lane.run(self._config.reload))
                logger.info("The settings were changed; they are in force now.")
            except AllTalkError as error:
                logger.error("The changed settings are not used: %s", error)
        if await self._lane.run(self._registry.stamp) != self._engines_seen:
            await self._reload_engines()
        await self._follow_models()

    async def _follow_models(self) -> None:
        """Load engines again that have one model for all files, once some came or went.

        Whoever installs or removes them, a command beside the server too: a voice that was
        installed can be spoken with, and one that is gone is listed no more.
        """
        before, after = self._installed_seen, await self._lane.run(self._installed)
        self._installed_seen = after
        for backend in self._pool.backends:
            type = backend.type
            if backend.enabled and type in before and before[type] != after.get(type):
                self._begin(self._load_again(backend, {}, "models"))

    def _installed(self) -> dict[str, object]:
        """Engine with one model for all files → another value once some came or went."""
        manifests = self._registry.manifests.items()
        rules = {name: manifest.models for name, manifest in manifests if manifest.models.needs}
        folders = {name: self._registry.folder(name) / rule.folder for name, rule in rules.items()}
        return {name: installed_in(folder) for name, folder in folders.items()}

    async def _reload_engines(self) -> None:
        """Have running backends go by what their engines' files say now.

        Where an engine has to be loaded again for that, it is, in the background.
        """
        before = self._registry.manifests
        self._engines_seen = await self._lane.run(self._rescan)
        after = self._registry.manifests
        for name, problem in self._registry.problems.items():
            logger.error("Engine %s: %s", name, problem)
        self._pool.renew(self._renewed)
        for backend in self._pool.backends:
            if _must_load_again(before.get(backend.type), after.get(backend.type)):
                self._begin(self._load_again(backend, {}))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have `work` done in the background."""
        task = asyncio.create_task(work)
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    def _rescan(self) -> object:
        stamp = self._registry.stamp()  # before reading: what changes meanwhile is seen next time
        self._registry.rescan()
        return stamp

    async def _load_again(
        self, backend: BackendView, own: Mapping[str, Any], what: str = "settings"
    ) -> None:
        """With changes of its `own`: the current one beside the old, others in its place.

        `what` of its engine was changed.
        """
        logger.info("The %s of %s were changed; it is loaded again.", what, backend.type)
        try:
            if backend.current:
                await self._pool.swap(settings=own)
            elif _differ(backend, own):
                await self._pool.edit(backend.id, settings=own)
            else:
                await self._pool.restart(backend.id)
        except NotFound:
            logger.info("%s was removed meanwhile.", backend.type)
        except AllTalkError as error:
            logger.error("%s goes on with its old %s: %s", backend.type, what, error)

    def _renewed(self, spec: BackendSpec, offer: Offer) -> Offer:
        """`offer` by what the engine's files say now, in what needs no loading."""
        manifest = self._registry.manifests.get(offer.engine)
        if manifest is None:
            return offer
        settings = {**manifest.settings, **spec.settings}
        voices = {key: settings[key] for key in _DEFAULT_VOICES if key in settings}
        renewed = replace(
            offer,
            settings={**offer.settings, **voices},
            openai_voices=manifest.openai_voices,
            shipped_voices=manifest.shipped_voices,
        )
        return offer if renewed == offer else renewed  # who remembers it sees whether it changed

    def _offer(self) -> Offer:
        current = self._pool.current
        if current is None or current.offer is None:
            raise NotReady("No engine is loaded.")
        return current.offer

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Refuse a second change at once, as V2 does, instead of queueing it."""
        if self._busy or self._pool.changing:
            raise Changing
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


_DEFAULT_VOICES = ("def_character_voice", "def_narrator_voice")
"""Settings that doors and planning read: no engine has to be told."""


def _differ(backend: BackendView, own: Mapping[str, Any]) -> bool:
    """Whether `own` says something else than the settings of `backend`."""
    return any(backend.settings[name] != value for name, value in own.items())


def _must_load_again(before: Manifest | None, after: Manifest | None) -> bool:
    """Whether an engine's own settings changed, which it reads when it is loaded."""
    if before is None or after is None:
        return False
    old, new = dict(before.settings), dict(after.settings)
    for name in _DEFAULT_VOICES:
        old.pop(name, None)
        new.pop(name, None)
    return old != new
