"""What torch's engines share: imports beside a CPU build, checkpoints as data, their own draws."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading

import pytest

from alltalk.errors import LoadFailed

try:
    import torch
except ImportError:
    torch = None


@pytest.fixture(autouse=True, scope="module")
def with_torch():
    """These tests skip without torch; in CI they fail."""
    if torch is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("torch is not installed")


IMPORTS = """
from alltalk.torch_compat import prepare
prepare(); prepare()
import torch, torchaudio, TTS.tts.models.xtts, transformers
from transformers import HubertModel
print(torchaudio.functional.resample(torch.zeros(1, 480), 48000, 24000).shape[-1])
"""


def test_coqui_and_transformers_can_be_imported_after_it():
    child = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert child.stdout.split() == ["240"], child.stderr


def test_it_imports_nothing_by_itself():
    code = "import sys, alltalk.torch_compat; print('torch' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.stdout.strip() == "False", child.stderr


class Shape:
    """A class that a checkpoint may mention."""

    def __init__(self):
        self.width = 3


def test_classes_that_are_inert_become_empty_objects(tmp_path):
    from alltalk.torch_compat.checkpoints import read_checkpoint

    file = tmp_path / "old.pth"
    torch.save({"shape": Shape(), "weight": torch.ones(2)}, file)
    with pytest.raises(LoadFailed, match="Python code"):
        read_checkpoint(file)
    found = read_checkpoint(file, inert=[f"{Shape.__module__}.{Shape.__qualname__}"])
    assert found["weight"].tolist() == [1, 1]
    assert vars_of(found["shape"]) == {}
    with pytest.raises(LoadFailed, match="Python code"):
        read_checkpoint(file)


def vars_of(thing):
    assert not isinstance(thing, Shape)
    return vars(thing)


def test_a_file_that_is_not_there_is_named(tmp_path):
    from alltalk.torch_compat.checkpoints import read_checkpoint

    with pytest.raises(LoadFailed, match=r"gone\.pth cannot be read: No such file"):
        read_checkpoint(tmp_path / "gone.pth")


def test_a_checkpoint_without_a_model_is_refused(tmp_path):
    from alltalk.torch_compat.checkpoints import weights_in

    file = tmp_path / "optimizer.pth"
    for content in ({"step": 3}, [1, 2], {"model": {"weight": 3}}):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        file.write_bytes(buffer.getvalue())
        with pytest.raises(LoadFailed, match="holds no model"):
            weights_in(file)


def draw():
    """Each way of drawing that speech models use."""
    turned = torch.zeros(2, 3).T
    return [
        torch.randn(2, 3),
        torch.randn_like(turned),
        torch.rand(4),
        torch.multinomial(torch.ones(50), 5),
    ]


def test_a_seed_gives_what_manual_seed_gives():
    from alltalk.torch_compat.draws import Draws

    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected = [*draw(), *draw()]
    draws = Draws(7)
    with draws:
        first = draw()
    torch.randn(3)  # in between, from the generator of all threads
    with draws:
        again = draw()
    assert all(map(torch.equal, [*first, *again], expected))


def test_what_other_threads_draw_changes_nothing():
    from alltalk.torch_compat.draws import Draws

    def draws_of(seed):
        with Draws(seed):
            return [each for _ in range(200) for each in draw()]

    expected = draws_of(3)
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            draw()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        assert all(map(torch.equal, draws_of(3), expected))
    finally:
        stop.set()
        thread.join()


def test_the_generator_of_all_threads_is_left_alone():
    from alltalk.torch_compat.draws import drawing

    before = torch.get_rng_state()
    with drawing(1):
        draw()
    assert torch.equal(torch.get_rng_state(), before)
    with drawing(None):
        draw()
    assert not torch.equal(torch.get_rng_state(), before)


def test_a_generator_is_stepped_inside_a_context_and_closed_with_its_reader():
    from alltalk.torch_compat.draws import Draws, each_within

    closed = []

    def steps():
        try:
            while True:
                yield float(torch.rand(1))
        finally:
            closed.append(True)

    reading = each_within(Draws(2), steps())
    seen = [next(reading), float(torch.rand(1)), next(reading)]
    reading.close()
    with torch.random.fork_rng():
        torch.manual_seed(2)
        assert [float(torch.rand(1)), float(torch.rand(1))] == [seen[0], seen[2]]
    assert closed == [True]
