"""Store: loaded once, bounded, and found again while in use."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass

import pytest

from alltalk.effects.rvc.store import Store


@dataclass(eq=False)
class Block:
    memory_bytes: int


def test_threads_that_ask_at_once_share_one_loading():
    store: Store[Block] = Store(100)
    loads, started, go = [], threading.Event(), threading.Event()

    def load() -> Block:
        loads.append(1)
        started.set()
        assert go.wait(30)
        return Block(10)

    found: list[Block] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.get("a", load))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    assert store.get("b", lambda: Block(1)).memory_bytes == 1  # others do not wait
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(loads) == 1
    assert len({id(each) for each in found}) == 1


def test_the_least_recently_used_is_dropped_first():
    store: Store[Block] = Store(25)
    for key in ("a", "b"):
        store.get(key, lambda: Block(10))
    store.get("a", lambda: pytest.fail("it is there"))
    store.get("c", lambda: Block(10))
    gc.collect()
    loads = []
    store.get("b", lambda: loads.append("b") or Block(10))
    assert loads == ["b"]


def test_what_is_in_use_is_found_though_it_was_dropped():
    store: Store[Block] = Store(100)
    used = store.get("a", lambda: Block(10))
    store.drop()
    assert store.kept() == []
    assert store.memory_bytes == 10
    assert store.get("a", lambda: pytest.fail("it is there")) is used


def test_a_failed_loading_is_tried_again():
    store: Store[Block] = Store(100)

    def fail() -> Block:
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        store.get("a", fail)
    assert store.get("a", lambda: Block(1)).memory_bytes == 1
