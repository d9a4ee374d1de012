"""Models that can be installed: a catalogue, downloads that go on where they broke off, and the
Python environments of engines that need their own.

`ModelCatalogue` is the whole of it for whoever waits, such as the command line; `Installs` for
those who look at it from time to time, such as the pages.
"""

from alltalk.models.advice import best_engine, better_voice
from alltalk.models.catalogue import Catalogue, ModelEntry, ModelFile
from alltalk.models.downloads import Hub, Progress
from alltalk.models.installed import ModelState, installed_in
from alltalk.models.installs import Installs, InstallState, InstallView
from alltalk.models.store import ListedModel, ModelCatalogue

__all__ = [
    "Catalogue",
    "Hub",
    "InstallState",
    "InstallView",
    "Installs",
    "ListedModel",
    "ModelCatalogue",
    "ModelEntry",
    "ModelFile",
    "ModelState",
    "Progress",
    "best_engine",
    "better_voice",
    "installed_in",
]
