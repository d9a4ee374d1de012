"""Loaded voices: each loaded once, kept while there is room, the longest unused given up first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from .network import Network
from .voices import VoiceFile


class Shelf:
    """The voices that are loaded now. May be used from several threads at once."""

    def __init__(self, load: Callable[[VoiceFile], Network], most_bytes: int) -> None:
        """`most_bytes` of networks are kept, as large as their files are, and at least one."""
        self._load = load
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: dict[VoiceFile, Future[Network]] = {}
        """In the order of their last use. One that is being loaded is not done yet."""

    def take(self, file: VoiceFile) -> Network:
        """The voice, loaded now or before; whoever speaks with it keeps it until they are done.

        Two who ask at once wait for one load. Raises what loading raises, each time anew.
        """
        with self._lock:
            network, is_new = self._kept.pop(file, None), False
            if network is None:
                network, is_new = Future(), True
            self._kept[file] = network
        if is_new:
            self._fill(file, network)
        return network.result()

    def clear(self) -> None:
        """Give up all of them."""
        with self._lock:
            self._kept.clear()

    def _fill(self, file: VoiceFile, network: Future[Network]) -> None:
        try:
            network.set_result(self._load(file))
        except BaseException as error:
            with self._lock:
                if self._kept.get(file) is network:
                    del self._kept[file]
            network.set_exception(error)
            return
        self._make_room()

    def _make_room(self) -> None:
        with self._lock:
            while len(self._kept) > 1 and sum(each.size for each in self._kept) > self._most_bytes:
                del self._kept[next(iter(self._kept))]
