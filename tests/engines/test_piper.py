"""Piper: which voices there are, what they say, and what becomes of files that are none."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tiny_models import tiny

from alltalk.engine import Place, Utterance, Voice
from alltalk.errors import ConfigError, LoadFailed, UnknownVoice
from alltalk.home import Home
from alltalk.registry import Registry

TEXT = "The quick brown fox. It jumps, and looks back!"
STILL = {"noise_scale": 0.0, "noise_w_scale": 0.0}
"""Settings with which the same text is the same sound."""
OWN_LEVEL = {**STILL, "level_db": None}


@pytest.fixture(scope="module")
def light() -> Path:
    """A voice of two speakers that costs nothing; every phoneme is a tone."""
    return tiny("piper", "--shape", "light", "--speakers", "2", "--name", "de_DE-light-low")


@pytest.fixture
def home(tmp_path, light):
    """A home with the light voice."""
    copy_voice(light, tmp_path / "engines/piper/models")
    return tmp_path


def copy_voice(voice: Path, folder: Path, name: str | None = None) -> Path:
    """The voice in `folder`, under `name` if it is given; returns its network."""
    folder.mkdir(parents=True, exist_ok=True)
    network = next(voice.glob("*.onnx"))
    copied = folder / (f"{name}.onnx" if name else network.name)
    shutil.copyfile(network, copied)
    shutil.copyfile(f"{network}.json", f"{copied}.json")
    return copied


def load(home: Path, threads: int = 1, device: str = "cpu", **settings):
    return Registry(Home(home)).load("piper", "piper", Place(device, threads), settings)


def speak(engine, voice: str, text: str = TEXT, speed: float = 1.0) -> list[np.ndarray]:
    """The samples of each sentence."""
    spoken = engine.synthesize(Utterance(text, Voice(voice), "", speed))
    return [chunk.audio.samples for chunk in spoken if chunk is not None]


def change_config(network: Path, **changes) -> None:
    file = Path(f"{network}.json")
    content = json.loads(file.read_text(encoding="utf-8")) | changes
    file.write_text(json.dumps(content), encoding="utf-8")


# What it says


@pytest.mark.parametrize("speed", [1.0, 1.25, 0.5])
@pytest.mark.parametrize("speakers", ["1", "3"])
def test_it_says_what_piper_itself_says_with_the_same_settings(tmp_path, speakers, speed):
    from piper import PiperVoice, SynthesisConfig

    made = tiny("piper", "--speakers", speakers, "--name", "en_US-tiny-low")
    network = copy_voice(made, tmp_path / "engines/piper/models")
    same = {"noise_scale": 0.0, "noise_w_scale": 0.0, "length_scale": 1 / speed}
    speaker, name = (
        (None, network.name) if speakers == "1" else (2, "en_US-tiny-low@speaker_2.onnx")
    )
    how = SynthesisConfig(speaker_id=speaker, normalize_audio=False, **same)
    expected = [each.audio_float_array for each in PiperVoice.load(network).synthesize(TEXT, how)]
    ours = speak(load(tmp_path, **OWN_LEVEL), name, speed=speed)
    assert len(ours) == len(expected) == 2
    for said, wanted in zip(ours, expected, strict=True):
        np.testing.assert_allclose(said, wanted, atol=1e-5)


def test_noise_makes_each_take_another_and_is_the_voices_own_unless_set(tmp_path):
    network = copy_voice(tiny("piper"), tmp_path / "engines/piper/models")
    plain = load(tmp_path)
    assert not np.array_equal(
        speak(plain, network.name)[0][:4000], speak(plain, network.name)[0][:4000]
    )
    still = load(tmp_path, **STILL)
    assert np.array_equal(speak(still, network.name)[0], speak(still, network.name)[0])


def test_a_sentence_is_heard_before_the_next_is_spoken(home):
    speaking = load(home).synthesize(Utterance(TEXT, Voice("de_DE-light-low.onnx"), ""))
    heard = [chunk for chunk in (next(speaking), next(speaking)) if chunk is not None]
    assert len(heard) == 1
    assert len([chunk for chunk in speaking if chunk is not None]) == 1


def test_sentences_keep_their_levels_beside_each_other(home):
    """Piper's own way lifts each to full scale, so that soft ones are as loud as loud ones."""
    name = "de_DE-light-low.onnx"
    as_is = [np.abs(each).max() for each in speak(load(home, **OWN_LEVEL), name)]
    levelled = [np.abs(each).max() for each in speak(load(home, **STILL), name)]
    assert levelled[0] / as_is[0] == pytest.approx(levelled[1] / as_is[1], rel=1e-4)
    assert levelled[0] != pytest.approx(as_is[0], rel=0.05)


def test_loud_and_soft_voices_are_brought_to_one_level(home):
    soft = speak(load(home, **OWN_LEVEL), "de_DE-light-low@speaker_1.onnx")
    loud = speak(load(home, **OWN_LEVEL), "de_DE-light-low@speaker_0.onnx")
    assert level_db(loud) - level_db(soft) == pytest.approx(6.02, abs=0.05)
    engine = load(home, level_db=-23.0, **STILL)
    for speaker in ("speaker_0", "speaker_1"):
        spoken = speak(engine, f"de_DE-light-low@{speaker}.onnx")
        assert level_db(spoken) == pytest.approx(-23.0, abs=0.5)


def level_db(sentences) -> float:
    return 10 * np.log10(np.mean(np.square(np.concatenate(sentences))))


def test_raw_phonemes_and_characters_nobody_can_read_are_no_trouble(home):
    engine = load(home, **STILL)
    name = "de_DE-light-low.onnx"
    assert len(speak(engine, name, "[[ halo ]]")) == 1
    assert np.array_equal(speak(engine, name, "eins\0zwei")[0], speak(engine, name, "eins zwei")[0])
    assert len(speak(engine, name, "\ud800 eins")) == 1


def test_several_speak_at_once_on_one_network_as_they_would_alone(tmp_path):
    name = copy_voice(tiny("piper"), tmp_path / "engines/piper/models").name
    engine = load(tmp_path, threads=4, **STILL)
    assert engine.capabilities.concurrency == 4
    texts = ["One.", "Two and three.", "Four, five, six.", "Seven eight nine ten eleven."]
    alone = [speak(engine, name, text)[0] for text in texts]
    with ThreadPoolExecutor(4) as callers:
        together = list(callers.map(lambda text: speak(engine, name, text)[0], texts * 3))
    for said, wanted in zip(together, alone * 3, strict=True):
        np.testing.assert_allclose(said, wanted, atol=1e-5)


def test_it_speaks_beside_espeak_in_one_process(home):
    """Both bring a libespeak-ng of their own; one's language must not become the other's."""
    piper, espeak = load(home, **STILL), Registry(Home(home)).load("espeak", "espeak", Place(), {})
    french = Utterance("Bonjour, comment allez-vous ?", Voice("French (France)"), "fr")

    def seconds() -> float:
        return sum(chunk.audio.seconds for chunk in espeak.synthesize(french) if chunk)

    wanted, alone_s = speak(piper, "de_DE-light-low.onnx"), seconds()
    with ThreadPoolExecutor(2) as callers:
        beside = callers.submit(lambda: [seconds() for _ in range(20)])
        said = [speak(piper, "de_DE-light-low.onnx") for _ in range(20)]
    assert all(np.array_equal(np.concatenate(each), np.concatenate(wanted)) for each in said)
    assert beside.result() == pytest.approx([alone_s] * 20, rel=0.05)


# Which voices there are


def test_voices_lie_in_the_engines_folder_and_among_the_homes_voices(home, light):
    copy_voice(light, home / "voices/piper/deep/er", "fr_FR-x-low")
    (home / "voices/piper/lonely.onnx").write_bytes(b"no configuration stands beside it")
    names = [voice.name for voice in load(home).voices() if "@" not in voice.name]
    assert names == ["de_DE-light-low.onnx", "deep/er/fr_FR-x-low.onnx"]


def test_a_voice_of_several_speakers_is_listed_as_such_and_with_each(home):
    listed = {voice.name: voice.language for voice in load(home).voices()}
    assert listed == {
        "de_DE-light-low.onnx": "de-de",
        "de_DE-light-low@speaker_0.onnx": "de-de",
        "de_DE-light-low@speaker_1.onnx": "de-de",
    }


def test_the_bare_name_is_the_default_speaker(home):
    change_config(home / "engines/piper/models/de_DE-light-low.onnx", default_speaker_id=1)
    engine = load(home, **OWN_LEVEL)
    bare, named = (speak(engine, f"de_DE-light-low{who}.onnx") for who in ("", "@speaker_1"))
    assert np.array_equal(bare[0], named[0])


def test_names_of_speakers_are_made_plain_and_told_apart(home):
    names = {"a/b": 0, "A:B": 1}
    change_config(home / "engines/piper/models/de_DE-light-low.onnx", speaker_id_map=names)
    listed = [voice.name for voice in load(home).voices()][1:]
    assert listed == ["de_DE-light-low@a_b-0.onnx", "de_DE-light-low@A_B-1.onnx"]


def test_speakers_without_names_have_their_numbers(home):
    change_config(home / "engines/piper/models/de_DE-light-low.onnx", speaker_id_map={})
    assert [voice.name for voice in load(home).voices()][1:] == [
        "de_DE-light-low@0.onnx",
        "de_DE-light-low@1.onnx",
    ]


def test_of_two_voices_with_one_name_the_engines_own_is_used(home, light, caplog):
    copy_voice(light, home / "voices/piper")
    assert len(load(home).voices()) == 3
    assert "there is a voice de_DE-light-low.onnx already" in caplog.text


def test_a_replaced_voice_has_another_digest(home):
    before = load(home).voices()[0].digest
    change_config(home / "engines/piper/models/de_DE-light-low.onnx", default_speaker_id=1)
    assert load(home).voices()[0].digest != before


def test_a_home_without_a_voice_has_no_model_and_says_what_to_do(tmp_path):
    registry = Registry(Home(tmp_path))
    assert registry.models("piper") == ()
    from alltalk.engines.piper.engine import load as load_engine

    with pytest.raises(LoadFailed, match=r"no voice yet. Put one .*engines/piper/models"):
        load_engine(tmp_path / "engines/piper", "piper", Place(), {})


def test_a_voice_that_was_added_is_there_once_the_engine_is_loaded_again(home, light):
    engine = load(home)
    copy_voice(light, home / "engines/piper/models", "new")
    with pytest.raises(UnknownVoice):
        speak(engine, "new.onnx")
    assert speak(load(home), "new.onnx")


def test_nothing_is_written_beside_the_voices(home):
    def content():
        return {file: file.stat().st_mtime_ns for file in home.rglob("*")}

    before = content()
    speak(load(home), "de_DE-light-low.onnx")
    assert content() == before


# What is no voice


def broken(network: Path, how: str) -> None:
    """Break the voice as `how` says."""
    from onnx import TensorProto, helper, save

    match how:
        case "truncated":
            network.write_bytes(network.read_bytes()[:-1000])
        case "empty":
            network.write_bytes(b"")
        case "a web page":
            network.write_text("<!doctype html><title>404</title>")
        case "foreign":
            x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy")
            graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "abs", [x], [y])
            opsets = [helper.make_opsetid("", 15)]
            save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(network))
        case "of one speaker":
            change_config(network, num_speakers=1)
        case "of more speakers":
            change_config(network, num_speakers=9)
        case "of more phonemes":
            change_config(network, phoneme_id_map={"a": [4000]})
        case "no json":
            Path(f"{network}.json").write_text("{")
        case "no configuration":
            Path(f"{network}.json").write_text('{"num_speakers": 1}')
        case "gone":
            network.unlink()


BROKEN = {
    "truncated": r"broken.onnx cannot be loaded",
    "empty": r"broken.onnx cannot be loaded",
    "a web page": r"broken.onnx cannot be loaded",
    "foreign": r"it takes x, not input, input_lengths",
    "of one speaker": r"is no Piper voice that broken.onnx.json describes",
    "of more speakers": r"broken.onnx.json does not fit",
    "of more phonemes": r"broken.onnx.json does not fit",
    "no json": r"broken.onnx.json cannot be read",
    "no configuration": r"no voice's configuration: it has no 'num_symbols'",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_voice_that_is_broken_says_so_and_the_others_speak(home, light, how):
    broken(copy_voice(light, home / "engines/piper/models", "broken"), how)
    engine = load(home, def_character_voice="broken.onnx")
    assert "broken.onnx" in [voice.name for voice in engine.voices()]
    for _ in range(2):
        with pytest.raises(LoadFailed, match=BROKEN[how]):
            speak(engine, "broken.onnx")
    assert speak(engine, "de_DE-light-low.onnx")


def test_an_engine_with_nothing_but_a_broken_voice_does_not_load(tmp_path, light):
    broken(copy_voice(light, tmp_path / "engines/piper/models", "broken"), "truncated")
    with pytest.raises(LoadFailed, match=r"broken.onnx cannot be loaded"):
        load(tmp_path)


def test_a_voice_that_was_removed_says_so(home, light):
    network = copy_voice(light, home / "engines/piper/models", "gone")
    engine = load(home)
    broken(network, "gone")
    with pytest.raises(LoadFailed, match=r"gone.onnx cannot be loaded"):
        speak(engine, "gone.onnx")


def test_what_chinese_voices_need_is_never_downloaded_unasked(home):
    change_config(home / "engines/piper/models/de_DE-light-low.onnx", phoneme_type="pinyin")
    with pytest.raises(LoadFailed, match="files of g2pW, which are not in"):
        load(home)


def test_a_gpu_that_onnx_runtime_cannot_use_is_told(home):
    with pytest.raises(LoadFailed, match="onnxruntime-gpu"):
        load(home, device="cuda:1")


@pytest.mark.parametrize(
    ("key", "value"), [("noise_scale", "much"), ("level_db", 3), ("memory_mb", -1)]
)
def test_a_setting_that_does_not_hold_is_refused_by_its_name(home, key, value):
    with pytest.raises(ConfigError, match=key):
        load(home, **{key: value})


# What stays loaded


@pytest.fixture
def shelf_of():
    """`shelf_of(bytes)`: a shelf, and the names it has loaded so far."""
    from alltalk.engines.piper.shelf import Shelf

    def make(most_bytes):
        loaded = []

        def load(file):
            loaded.append(file.name)
            if file.name == "bad":
                raise LoadFailed("bad")
            return object()

        return Shelf(load, most_bytes), loaded

    return make


@pytest.fixture
def file_named():
    from alltalk.engines.piper.voices import VoiceFile

    return lambda name: VoiceFile(name, Path(name), size=10)


def test_a_voice_is_loaded_once_however_many_ask_at_once(shelf_of, file_named):
    shelf, loaded = shelf_of(100)
    gate = threading.Barrier(8)

    def take(_):
        gate.wait()
        return shelf.take(file_named("a"))

    with ThreadPoolExecutor(8) as callers:
        assert len(set(callers.map(take, range(8)))) == 1
    assert loaded == ["a"]


def test_the_voice_unused_for_longest_is_given_up_first(shelf_of, file_named):
    shelf, loaded = shelf_of(20)
    for name in ("a", "b", "a", "c", "a", "b"):
        shelf.take(file_named(name))
    assert loaded == ["a", "b", "c", "b"]


def test_one_voice_stays_however_large_it_is(shelf_of, file_named):
    shelf, loaded = shelf_of(1)
    shelf.take(file_named("a"))
    shelf.take(file_named("a"))
    assert loaded == ["a"]


def test_a_voice_that_failed_to_load_is_tried_again(shelf_of, file_named):
    shelf, loaded = shelf_of(100)
    for _ in range(2):
        with pytest.raises(LoadFailed):
            shelf.take(file_named("bad"))
    assert loaded == ["bad", "bad"]
