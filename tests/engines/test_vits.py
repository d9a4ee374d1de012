"""VITS: what it says, in whose voice, and what becomes of folders that hold no model."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_models import tiny

from alltalk.audio import join
from alltalk.engine import Place, Sampling, Utterance, Voice
from alltalk.errors import LoadFailed, OutOfMemory, UnknownLanguage, UnknownVoice
from alltalk.home import Home
from alltalk.registry import Registry

TEXT = "We are all away in a yellow room."


@pytest.fixture(autouse=True, scope="module")
def coqui(registry):
    """These tests skip without coqui-tts; in CI they fail."""
    if missing := registry.missing("vits"):
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(f"VITS needs {', '.join(missing)}: pip install 'alltalk[xtts]'")


@pytest.fixture
def place_model(tmp_path):
    """`place_model(options…)` is the folder of a fresh copy of a tiny model, in a home."""

    def place(*options: str) -> Path:
        folder = tmp_path / "engines/vits/models/mine"
        shutil.copytree(tiny("vits", *options), folder)
        return folder

    return place


@pytest.fixture
def load(tmp_path):
    """`load()` is the engine with the model of the home."""
    return lambda: Registry(Home(tmp_path)).load("vits", "vits - mine", Place(), {})


def hear(engine, text=TEXT, voice=None, language="", seed=1, **more):
    voice = voice or engine.voices()[0]
    utterance = Utterance(text, voice, language, sampling=Sampling(seed=seed), **more)
    return [chunk.audio for chunk in engine.synthesize(utterance)]


def edit_config(folder, **changes):
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    arguments = changes.pop("model_args", {})
    config |= changes
    config["model_args"] |= arguments
    file.write_text(json.dumps(config), encoding="utf-8")


def state(folder):
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*")}


def coqui_says(folder, speaker, seed):
    """What coqui's own calls make of TEXT."""
    import torch
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import Vits

    config = VitsConfig()
    config.load_json(str(folder / "config.json"))
    config.model_args.speakers_file = config.speakers_file = str(folder / "speaker_ids.json")
    model = Vits(config)
    model.load_checkpoint(config, folder / "model_file.pth", eval=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model.synthesize(TEXT, speaker=speaker)["wav"]


def test_it_says_what_coqui_says_for_the_same_seed(place_model, load):
    folder = place_model()
    (said,) = hear(load(), voice=Voice("p228"), seed=5)
    assert np.array_equal(said.samples, np.clip(coqui_says(folder, "p228", 5), -1, 1))


def test_speakers_differ_and_are_listed_in_the_order_of_their_ids(place_model, load):
    folder = place_model()
    engine = load()
    ids = json.loads((folder / "speaker_ids.json").read_text("utf-8"))
    assert [voice.name for voice in engine.voices()] == list(ids)
    first, second = (hear(engine, voice=Voice(name))[0].samples for name in ("p225", "p226"))
    assert not np.array_equal(first, second)


def test_a_speaker_who_never_spoke_is_not_listed_and_newlines_are_no_part_of_a_name(
    place_model, load
):
    folder = place_model("--speakers", "2")
    (folder / "speaker_ids.json").write_text('{"ED\\n": 0, "ann\\n": 1}', encoding="utf-8")
    engine = load()
    assert [voice.name for voice in engine.voices()] == ["ann"]
    assert hear(engine)


def test_speakers_without_a_file_are_numbered(place_model, load):
    (place_model("--speakers", "2") / "speaker_ids.json").unlink()
    assert [voice.name for voice in load().voices()] == ["Speaker0", "Speaker1"]


def test_a_model_with_one_speaker_has_the_voice_default(place_model, load):
    place_model("--speakers", "0")
    engine = load()
    assert [voice.name for voice in engine.voices()] == ["default"]
    assert hear(engine)
    with pytest.raises(UnknownVoice):
        hear(engine, voice=Voice("p225"))


def test_a_model_of_several_languages_speaks_each(place_model, load):
    place_model("--speakers", "2", "--languages", "en,fr-fr")
    engine = load()
    assert engine.capabilities.languages == ("en", "fr-fr")
    english, french = (hear(engine, language=tag)[0] for tag in ("en-gb", "fr"))
    assert not np.array_equal(english.samples, french.samples)
    assert np.array_equal(english.samples, hear(engine)[0].samples)
    with pytest.raises(UnknownLanguage):
        hear(engine, language="de")


def test_every_sentence_is_a_chunk_and_an_abbreviation_ends_none(place_model, load):
    place_model()
    assert len(hear(load(), "Mr. Smith rows. Mary waits! Who else?")) == 3


def test_sentences_are_parted_by_a_pause(place_model, load):
    place_model()
    engine = load()
    together = join(hear(engine, "Mary rows. Mary rows."))
    pause = together.samples[hear(engine, "Mary rows.")[0].samples.size :][: round(0.3 * 22050)]
    assert not pause.any()


def test_phonemes_are_those_of_the_espeak_program(place_model, load):
    place_model("--speakers", "0", "--phonemes")
    tokenizer = load()._model.tokenizer
    phonemes = tokenizer.phonemizer.phonemize("Hello there, this is a test.", separator="|")
    assert phonemes == "h|ə|l|ˈoʊ ð|ˈɛɹ, ð|ɪ|s ɪ|z ɐ t|ˈɛ|s|t."  # as espeak-ng 1.52 prints them


def test_a_model_that_reads_phonemes_speaks_without_the_program(place_model, load, monkeypatch):
    monkeypatch.setenv("PATH", "")
    place_model("--speakers", "0", "--phonemes")
    assert hear(load())[0].seconds > 1


def test_a_moved_folder_is_read_and_left_as_it_is(place_model, load):
    folder = place_model()
    edit_config(folder, speakers_file="/nowhere/speaker_ids.json")
    before = state(folder)
    folder.chmod(0o555)
    try:
        assert hear(load())
    finally:
        folder.chmod(0o755)
    assert state(folder) == before


def test_what_only_training_needs_is_not_asked_for(place_model, load):
    edit_config(
        place_model(),
        model_args={
            "init_discriminator": True,
            "use_speaker_encoder_as_loss": True,
            "speaker_encoder_model_path": "/nowhere/model_se.pth",
            "speaker_encoder_config_path": "/nowhere/config_se.json",
        },
    )
    assert hear(load())


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def truncate(folder):
    file = folder / "model_file.pth"
    file.write_bytes(file.read_bytes()[:100_000])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncate, "damaged or cut off"),
        (lambda folder: (folder / "model_file.pth").write_bytes(b""), "damaged or cut off"),
        (lambda folder: (folder / "model_file.pth").write_text("<html>"), "no checkpoint"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: edit_config(folder, model="tacotron2"), "not describe a model of VITS"),
        (lambda folder: edit_config(folder, model_args={"hidden_channels": 48}), "does not fit"),
        (lambda folder: (folder / "speaker_ids.json").write_text('{"a": 7}'), "ids 0 to 0"),
        (lambda folder: (folder / "speaker_ids.json").write_text('{"a": 0}'), "does not fit"),
        (
            lambda folder: edit_config(folder, characters={"characters_class": "os.system"}),
            "os.system",
        ),
    ],
)
def test_a_folder_that_holds_no_model_is_refused_with_the_reason(place_model, load, spoil, reason):
    spoil(place_model())
    with pytest.raises(LoadFailed, match=reason):
        load()


def test_weights_of_another_engine_are_refused(place_model, load):
    shutil.copyfile(tiny("xtts") / "model.pth", place_model() / "model_file.pth")
    with pytest.raises(LoadFailed, match="does not fit"):
        load()


@pytest.mark.parametrize("name", ["model_file.pth", "speakers.pth"])
def test_code_in_a_file_is_refused_and_not_run(place_model, load, tmp_path, name):
    folder, trace = place_model(), tmp_path / "ran"
    (folder / "speaker_ids.json").unlink()
    (folder / name).write_bytes(pickle.dumps({"model": Bomb(trace)}, protocol=2))
    with pytest.raises(LoadFailed, match=r"Python code .*docs/engines\.md"):
        load()
    assert not trace.exists()


def test_too_large_a_model_is_out_of_memory(place_model, load):
    edit_config(place_model(), model_args={"hidden_channels": 10**12})
    with pytest.raises(OutOfMemory, match="not enough memory"):
        load()
