"""Models that can be installed: a catalogue, downloads that go on where they broke off, and the
Python environments of engines that need their own.

`ModelCatalogue` is the whole of it for the command line and the pages.
"""

from alltalk.models.advice import best_engine, better_voice
from alltalk.models.catalogue import Catalogue, ModelEntry, ModelFile
from alltalk.models.downloads import Hub, Progress
from alltalk.models.installed import ModelState
from alltalk.models.store import ListedModel, ModelCatalogue

__all__ = [
    "Catalogue",
    "Hub",
    "ListedModel",
    "ModelCatalogue",
    "ModelEntry",
    "ModelFile",
    "ModelState",
    "Progress",
    "best_engine",
    "better_voice",
]
