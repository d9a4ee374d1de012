"""Parler speaks from its own environment: as its library does, in sets, and in any voice.

The environment is made by the code that makes it for users, once, and kept between runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from alone import alone
from read_only import SCRIPT, content

from alltalk.audio import join
from alltalk.engine import Place, Sampling, Utterance, Voice
from alltalk.errors import ConfigError, InstallFailed, LoadFailed, UnknownVoice
from alltalk.home import Home
from alltalk.models.environments import Environments
from alltalk.registry import Registry
from alltalk.serving.job import Job
from alltalk.serving.workers import Worker
from alltalk.speech import Offer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
PARLER = ROOT / "engines/parler"
TEXT = "We are all away in a yellow room."
MODEL = "parler - tiny"
TRAINED = "longer_text or longest_text"
"""Tests of the contract that ask how long speech is, which random weights do not know."""


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A home with Parler's environment and a tiny model. Skips where pip cannot make it.

    Environment and model are kept for all runs, and made by one at a time; the home is this run's.
    """
    kept = Home(_kept())
    with alone(kept.root.with_suffix(".lock")):
        _make(kept)
    home = Home(tmp_path_factory.mktemp("parler"))
    home.create()
    home.environment("parler").parent.mkdir(parents=True, exist_ok=True)
    home.environment("parler").symlink_to(kept.environment("parler"))
    models = "engines/parler/models"
    shutil.copytree(kept.root / models, home.root / models, dirs_exist_ok=True)
    return home


def _make(kept):
    """What is not there yet, or out of date."""
    kept.create()
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("PIP_CONSTRAINT", str(_torch_of_the_tests(kept)))
        try:
            asyncio.run(Environments(kept, Registry(kept)).make("parler", print))
        except InstallFailed as error:
            if os.environ.get("CI", "").lower() in ("1", "true"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        _add_pytest(kept)
    _add_model(kept.engines / "parler/models/tiny", kept)


def _kept():
    """Another folder for another environment."""
    made_of = (PARLER / "requirements.txt").read_bytes() + sys.version.encode()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "alltalk-tests", f"parler-{hashlib.sha256(made_of).hexdigest()[:16]}")


def _torch_of_the_tests(home):
    """The tests' pins, of torch and pytest alone: those of transformers are Parler's own."""
    pins = (ROOT / "constraints/dev.txt").read_text().splitlines()
    file = home.root / "constraints.txt"
    file.write_text("\n".join(pin for pin in pins if pin.startswith(("torch", "pytest="))) + "\n")
    return file


def _add_pytest(home):
    if not list(home.environment("parler").glob("**/site-packages/pytest/__init__.py")):
        run_there(home, "-I", "-m", "pip", "install", "--disable-pip-version-check", "pytest")


def _add_model(folder, home):
    """The tiny model, made anew when its maker was changed."""
    maker = ROOT / "tests/models/parler.py"
    stamp = folder / ".made_by"
    digest = hashlib.sha256(maker.read_bytes()).hexdigest()
    shutil.rmtree(folder.with_name("broken"), ignore_errors=True)  # of a run that broke off
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        run_there(home, "-m", "models.parler", str(folder))
        stamp.write_text(digest)


def run_there(home, *arguments, **environ):
    """The output of Parler's Python."""
    command = [str(home.interpreter("parler")), *arguments]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environ}
    run = subprocess.run(command, cwd=ROOT / "tests", env=environ, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@asynccontextmanager
async def parler(home, model=MODEL, **settings):
    """A worker with Parler loaded."""

    def offer(capabilities, voices):
        return Offer("parler", model, "", capabilities, tuple(voices))

    python = home.interpreter("parler")
    manifest = Registry(home).manifest("parler")
    worker = Worker(
        "parler", model, Place(), {**manifest.settings, **settings}, home.root, offer, python=python
    )
    try:
        yield worker, await worker.start()
    finally:
        await worker.stop(0.0)


def utterance(voice="Jon", text=TEXT, **sampling):
    return Utterance(text, Voice(voice), "", sampling=Sampling(**sampling))


def job(said, id):
    return Job(id, said, flow=id, level=0, cost=len(said.text))


def alike(one, other):
    """1: the same sound; 0: nothing in common."""
    length = min(len(one), len(other))
    return float(np.corrcoef(one[:length], other[:length])[0, 1])


async def chunks(worker, said, id="one"):
    async with aclosing(worker.stream(job(said, id))) as stream:
        return [chunk.audio async for chunk in stream]


async def samples(worker, said, id="one"):
    spoken = await chunks(worker, said, id)
    return join(spoken).samples if spoken else np.zeros(0, np.float32)


async def test_it_speaks_in_pieces_at_its_sample_rate(home):
    async with parler(home) as (worker, offer):
        spoken = await chunks(worker, utterance(seed=7))
    assert len(spoken) > 1
    assert {audio.sample_rate for audio in spoken} == {44100}
    assert 0.9 < join(spoken).seconds < 1.1
    assert 0.05 < np.sqrt(np.mean(join(spoken).samples ** 2)) < 0.2
    said, is_so = Registry(home).manifest("parler").capabilities, offer.capabilities
    assert said == is_so


def test_it_keeps_to_the_contract_of_engines_in_its_own_environment(home):
    said = run_there(
        home,
        *("-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "--import-mode=importlib"),
        *(
            "-p",
            "no:cacheprovider",
            "engines/test_contract.py",
            "-k",
            f"parler and not ({TRAINED})",
        ),
        ALLTALK_HOME=str(home.root),
        PYTHONPATH=os.pathsep.join([str(ROOT), "support"]),
    )
    assert int(re.search(r"(\d+) passed", said)[1]) > 15


async def test_a_seed_decides_the_sound_and_a_set_does_not_change_it(home):
    async with parler(home) as (worker, _):
        alone = [await samples(worker, utterance(seed=seed)) for seed in (7, 7, 8)]
        together = await asyncio.gather(
            *(samples(worker, utterance(seed=seed), str(seed)) for seed in (7, 8, 9))
        )
    assert np.array_equal(alone[0], alone[1])
    assert alike(alone[0], alone[2]) < 0.5
    for before, now in zip((alone[0], alone[2]), together[:2], strict=True):
        assert alike(before, now) > 0.99


async def test_any_description_is_a_voice_and_changes_the_sound(home):
    async with parler(home) as (worker, _):
        first, second = [
            await samples(worker, utterance(voice, seed=1, temperature=0.0))
            for voice in ("An old man, very close.", "A child, far away, out of breath!")
        ]
        with pytest.raises(UnknownVoice):
            await samples(worker, utterance("17"))
    assert alike(first, second) < 0.999


async def test_a_home_s_own_voices_stand_for_the_shipped_ones(home):
    file = home.engines / "parler/parler_voices.json"
    voices = [{"voice_name": "granny", "description": "An old woman."}]
    try:
        file.write_text(json.dumps({"voices": voices}))
        async with parler(home) as (_, offer):
            assert [voice.name for voice in offer.voices] == ["granny"]
        file.write_text('{"voices": 3}')
        with pytest.raises(ConfigError, match=r"parler_voices\.json"):
            async with parler(home):
                pass
    finally:
        file.unlink()


async def test_more_callers_than_slots_are_all_served(home):
    async with parler(home, slots=2) as (worker, _):
        said = [utterance(text=text) for text in (TEXT, "One.", "", "…", "Two, three.", "Four.")]
        heard = await asyncio.gather(
            *(samples(worker, each, str(index)) for index, each in enumerate(said))
        )
    assert [len(each) > 0 for each in heard] == [True, True, False, False, True, True]


async def test_a_caller_who_leaves_frees_the_set_for_the_next(home):
    async with parler(home, slots=2) as (worker, _):
        async with aclosing(worker.stream(job(utterance(), "leaver"))) as stream:
            assert (await anext(stream)).audio.seconds > 0
        assert len(await samples(worker, utterance(), "stayer"))


async def test_it_speaks_again_after_rest(home):
    async with parler(home) as (worker, _):
        await worker.rest()
        await worker.wake()
        assert len(await samples(worker, utterance()))


def harmed(folder, harm):
    """Harm the model in `folder`."""
    weights = folder / "model.safetensors"
    match harm:
        case "config of nothing":
            (folder / "config.json").write_text("{}")
        case "config of another":
            (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
        case "no json":
            (folder / "config.json").write_text("<!doctype html>")
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "a web page":
            weights.write_text("<!doctype html><title>404</title>")
        case "foreign":
            header = b'{"__metadata__":{"format":"pt"},'
            header += b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
            weights.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        case "without words":
            (folder / "tokenizer.json").write_text("{}")
        case "pickled":
            weights.rename(folder / "pytorch_model.bin")
            (folder / "none.safetensors").touch()  # listed, for there is one


HARMED = {
    "config of nothing": "Parler could not load parler - broken",
    "config of another": "Parler could not load parler - broken",
    "no json": "Parler could not load parler - broken",
    "truncated": "Parler could not load parler - broken",
    "a web page": "Parler could not load parler - broken",
    "foreign": "are of another kind of model",
    "without words": "Parler could not load parler - broken",
    "pickled": "Parler could not load parler - broken",
}


def test_a_model_that_cannot_be_read_is_refused_in_a_sentence(home, tmp_path):
    """All in one process: to import the library takes longer than to find out."""
    broken = Home(tmp_path)
    whole = home.engines / "parler/models/tiny"
    for number, harm in enumerate(HARMED):
        folder = broken.engines / f"parler/models/broken{number}"
        shutil.copytree(whole, folder)
        harmed(folder, harm)
    told = json.loads(run_there(home, "-c", LOAD_EACH, str(ROOT), str(tmp_path), str(len(HARMED))))
    for number, (harm, reason) in enumerate(HARMED.items()):
        kind, sentence = told[number]
        assert kind == "LoadFailed", harm
        assert reason in sentence, harm


def test_a_home_without_write_permission_is_spoken_from_and_left_alone(home):
    before = content(home.engines)
    said = run_there(home, "-W", "ignore", SCRIPT, str(home.root), "parler", PYTHONPATH=str(ROOT))
    assert int(said.split()[-1]) > 1000
    assert content(home.engines) == before


def test_a_model_whose_weights_are_missing_is_not_listed(home, tmp_path):
    folder = Home(tmp_path).engines / "parler/models/tiny"
    shutil.copytree(home.engines / "parler/models/tiny", folder)
    assert Registry(Home(tmp_path)).models("parler") == (MODEL,)
    (folder / "model.safetensors").unlink()
    assert Registry(Home(tmp_path)).models("parler") == ()


async def test_a_worker_that_cannot_load_says_why(home):
    folder = home.engines / "parler/models/broken"
    shutil.copytree(home.engines / "parler/models/tiny", folder)
    harmed(folder, "truncated")
    try:
        with pytest.raises(LoadFailed, match="Parler could not load parler - broken"):
            async with parler(home, "parler - broken"):
                pass
    finally:
        shutil.rmtree(folder)


LOAD_EACH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from alltalk.engine import Place
from alltalk.home import Home
from alltalk.registry import Registry

registry, told = Registry(Home(Path(sys.argv[2]))), []
for number in range(int(sys.argv[3])):
    try:
        registry.load("parler", f"parler - broken{number}", Place(), {})
        told.append(("nothing", ""))
    except Exception as error:
        told.append((type(error).__name__, str(error)))
print(json.dumps(told))
"""


def test_it_says_what_its_library_says_for_the_same_draws(home):
    difference = json.loads(run_there(home, "-c", AS_THE_LIBRARY, str(ROOT), str(home.root)))
    assert difference["samples"] > 40_000
    assert difference["largest"] < 1e-4


AS_THE_LIBRARY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from alltalk.engine import Place, Sampling, Utterance, Voice
from alltalk.home import Home
from alltalk.registry import Registry

registry = Registry(Home(Path(sys.argv[2])))
engine = registry.load("parler", "parler - tiny", Place(), {"chunk_s": 0.1})
from alltalk.engines.parler.generation import Draw
from parler_tts.logits_processors import ParlerTTSLogitsProcessor
from transformers import LogitsProcessorList

line = engine.prepare(Utterance("Hello.", Voice("Jon"), "", sampling=Sampling(seed=5)))
stream, pieces, done = engine.open(line), [], False
while not done:
    for event in engine.step():
        done = event.done
        pieces += [event.chunk.audio.samples] if event.chunk else []
ours = np.concatenate(pieces)

model, tokenizer = engine._model, engine._tokenizer
said, described = (tokenizer([text], return_tensors="pt") for text in ("Hello.", line.description))
end = ParlerTTSLogitsProcessor(model.generation_config.eos_token_id, 9, 1, "cpu")
theirs = model.generate(
    input_ids=described.input_ids, attention_mask=described.attention_mask,
    prompt_input_ids=said.input_ids, prompt_attention_mask=said.attention_mask,
    do_sample=False, logits_processor=LogitsProcessorList([end, Draw([line], 9)]),
).numpy().reshape(-1)
length = min(len(ours), len(theirs))
assert abs(len(ours) - len(theirs)) <= 512 * 9, (len(ours), len(theirs))
largest = float(np.abs(ours[:length] - theirs[:length]).max())
print(json.dumps({"samples": length, "largest": largest}))
"""
