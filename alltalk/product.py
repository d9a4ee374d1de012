"""The parts of AllTalk, built once and connected: the server's and the command line's alike."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from alltalk import logs
from alltalk.answers import Answers, limits_of
from alltalk.cache import Cache
from alltalk.config import Config
from alltalk.config_store import ConfigStore
from alltalk.control import Control
from alltalk.conversion import Conversions
from alltalk.documents import Limits as DocumentLimits
from alltalk.errors import Refused, UnknownEngine, UnknownModel
from alltalk.flight import Flights
from alltalk.home import Home
from alltalk.hosting import Hosts
from alltalk.long_texts import LongTexts
from alltalk.metrics import Metrics
from alltalk.models import Hub, Installs, ModelCatalogue, best_engine, better_voice
from alltalk.models.catalogue import catalogue_of
from alltalk.outputs import Outputs
from alltalk.registry import Registry
from alltalk.service import SpeechService
from alltalk.serving.admission import Admission
from alltalk.serving.backend import Timing
from alltalk.serving.backend_store import BackendSpec, BackendStore
from alltalk.serving.lane import Lane, Lanes
from alltalk.serving.pool import BackendPool
from alltalk.serving.requests import Requests
from alltalk.speech import Offer
from alltalk.studio import Studio
from alltalk.upkeep import Upkeep
from alltalk.voices import VoiceLibrary

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Product:
    """Everything, connected but not running."""

    home: Home
    config: ConfigStore
    registry: Registry
    pool: BackendPool
    lanes: Lanes
    service: SpeechService
    conversions: Conversions
    answers: Answers
    control: Control
    upkeep: Upkeep
    studio: Studio
    metrics: Metrics
    long_texts: LongTexts
    installs: Installs


def build(
    home: Home,
    *,
    engine: str | None = None,
    device: str = "cpu",
    solo: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Product:
    """The parts for `home`. With `engine`, that engine speaks, on `device`, whatever backends are
    saved.

    `solo`: of those saved, only the current one is there, and no change is kept. Raises
    ConfigError, UnknownEngine.
    """
    home.create()
    config = ConfigStore(home, environ)
    settings = config.current
    registry = Registry(home)
    cores = os.cpu_count() or 1
    speaks = _first_engine(registry, engine or settings.speech.engine)
    first = BackendSpec(id=0, type=speaks, device=device)
    store = BackendStore(None if engine else home.backends_file, [first])
    store.load()  # what does not hold is told now: while a server starts it would be a traceback
    pool = BackendPool(
        Hosts(registry, home, cores).make,
        _only_current(store) if solo else store,
        timing=_timing(settings),
    )
    lanes = Lanes(max(1, cores - 1))
    live, limits = Requests(), settings.admission
    admission = Admission(limits.max_waiting_requests, limits.max_waiting_chars)
    metrics = Metrics(pool, live, admission)
    outputs = Outputs(home.outputs(settings.output_folder))
    library = VoiceLibrary(home)
    conversions = Conversions(home, max(1, cores // 2), lambda: config.current)
    service = SpeechService(
        config=config,
        registry=registry,
        voices=library,
        conversions=conversions,
        pool=pool,
        requests=live,
        admission=admission,
        lanes=lanes,
        outputs=outputs,
        metrics=metrics,
    )
    kept = settings.cache.folder
    folder = home.outputs(kept) if kept else outputs.folder / ".cache"
    disk = Lane("cache")
    cache = Cache(folder, limits_of(settings))
    answers = Answers(service, cache, Flights(disk, folder), disk, metrics)

    def apply(config: Config) -> None:
        limits = config.admission
        admission.limit(limits.max_waiting_requests, limits.max_waiting_chars)
        answers.limit(config)
        pool.retime(_timing(config))
        outputs.folder = home.outputs(config.output_folder)
        if logs.is_configured():
            logs.configure(config)

    control = Control(config, registry, pool, library, apply)
    upkeep = Upkeep(
        lambda: config.current, outputs, cache, live, control.follow, lambda: pool.offers
    )
    studio = Studio(home, library, lambda: config.current.voices)
    long_texts = LongTexts(home, service, lambda: _document_limits(config.current))

    async def in_use() -> set[Path]:
        return await lanes.pick().run(_paths, registry, pool.offers)

    installs = Installs(ModelCatalogue(home, registry, Hub.of(environ)), in_use)
    return Product(
        *(home, config, registry, pool, lanes, service, conversions, answers, control),
        *(upkeep, studio, metrics, long_texts, installs),
    )


@asynccontextmanager
async def running(product: Product, *, tended: bool = True) -> AsyncGenerator[None]:
    """The product at work inside; engines load in the background.

    `tended`: it follows changed settings, deletes old files, and loads ahead what requests need.
    """
    await product.pool.start()
    await product.long_texts.start()
    work = (_warm_up(product), product.upkeep.run()) if tended else ()
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await product.installs.close()
        await product.long_texts.close()
        product.control.close()
        await product.answers.close()
        await product.pool.close(grace_s=0.0)
        product.studio.close()
        product.conversions.close()
        product.lanes.close()


async def _warm_up(product: Product) -> None:
    """Once the first engine is there: being ready comes first."""
    with suppress(Refused):
        await product.pool.ready()
    await product.service.warm_up()
    await product.studio.measure()
    if advice := await product.service.lane().run(_advice, product.registry):
        logger.info("%s", advice)


def _paths(registry: Registry, offers: Sequence[Offer]) -> set[Path]:
    """Where what `offers` speak with lies; that of other servers lies elsewhere.

    The folder of a model; of a model without one, the files that its voices may be called by.
    """
    found: set[Path] = set()
    for offer in offers:
        with suppress(UnknownEngine, UnknownModel):  # removed by hand meanwhile
            if folder := registry.model_folder(offer.engine, offer.model):
                found.add(folder)
            else:
                models = registry.manifest(offer.engine).models.folder
                among = registry.folder(offer.engine) / models
                found.update(among / voice.name for voice in offer.voices)
    return found


def _timing(config: Config) -> Timing:
    return Timing(bad_takes=config.speech.bad_takes, drain_s=config.server.drain_s)


def _document_limits(config: Config) -> DocumentLimits:
    limits = config.documents
    return DocumentLimits(limits.max_documents, limits.max_characters)


def _advice(registry: Registry) -> str:
    return better_voice(registry, catalogue_of(registry))


def _first_engine(registry: Registry, wanted: str) -> str:
    """The engine asked for; else the best that can speak here."""
    if wanted:
        registry.manifest(wanted)
    return wanted or best_engine(registry)


def _only_current(store: BackendStore) -> BackendStore:
    """A list of the current backend alone, which is kept nowhere."""
    saved = store.load()
    return BackendStore(None, [each for each in saved.backends if each.id == saved.current])
