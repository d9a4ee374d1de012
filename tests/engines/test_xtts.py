"""XTTS: what it says, as whom, in which languages, and what becomes of files that are none."""

from __future__ import annotations

import json
import os
import shutil
import wave
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from batches import spoken, whole
from coqui import coqui_model
from tiny_models import tiny

from alltalk.audio import join
from alltalk.engine import BatchEngine, Place, Sampling, Utterance, Voice
from alltalk.engines.xtts.text import cut
from alltalk.errors import LoadFailed, OutOfMemory, UnknownLanguage, UnreadableClip, Unsupported
from alltalk.home import Home
from alltalk.memory import give_back
from alltalk.registry import Registry

TEXT = "We are all away."
NAME = "Claribel Dervla"

pytestmark = [pytest.mark.usefixtures("needs_xtts"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """A home with one model, for tests that change nothing in it."""
    home = tmp_path_factory.mktemp("home")
    place_model(home)
    return home


@pytest.fixture(scope="module", params=["batched", "reference"])
def engine(request, shared_home):
    return load(shared_home, runtime=request.param)


@pytest.fixture(scope="module")
def reference(shared_home):
    return load(shared_home, runtime="reference")


@pytest.fixture
def home(tmp_path):
    """A home with one model of its own."""
    place_model(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A second of a voice."""
    return write_wav(tmp_path_factory.mktemp("clips") / "voice.wav", hum(1.0))


def place_model(home: Path, *options: str) -> Path:
    folder = home / "engines/xtts/models/mine"
    shutil.copytree(tiny("xtts", *options), folder)
    return folder


def load(home, model="xtts - mine", **settings):
    return Registry(Home(home)).load("xtts", model, Place(), settings)


def say(engine, text=TEXT, voice=None, language="en", speed=1.0, **sampling):
    sampling = {"seed": 1, **sampling}
    voice = voice or Voice(NAME)
    return Utterance(text, voice, language, speed=speed, sampling=Sampling(**sampling))


def hear(engine, *args, **named):
    utterance = say(engine, *args, **named)
    if isinstance(engine, BatchEngine):
        return whole(spoken(engine, utterance)[0])
    chunks = engine.synthesize(utterance)
    return join([chunk.audio for chunk in chunks if chunk]).samples


def hum(seconds: float, rate: int = 24000, hz: float = 150.0):
    t = np.arange(round(rate * seconds)) / rate
    voiced = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 15))
    return (0.2 * voiced * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def write_wav(file: Path, samples, rate: int = 24000, width: int = 2, channels: int = 1) -> Path:
    whole = np.round(samples * (2 ** (8 * width - 1) - 1)).astype("<i4").repeat(channels)
    raw = whole.view(np.uint8).reshape(-1, 4)[:, :width]
    with wave.open(str(file), "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", ""))
        out.writeframes(raw.tobytes())
    return file


def write_mp3(file: Path, samples, rate: int = 24000) -> Path:
    with file.open("wb") as raw, av.open(raw, "w", format="mp3") as out:
        stream = out.add_stream("libmp3lame", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file


def cloned(*clips: Path, digest: str = "") -> Voice:
    return Voice("cloned", clips=clips, digest=digest)


def edit_config(folder, **arguments):
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    config["model_args"] |= arguments
    file.write_text(json.dumps(config), encoding="utf-8")


def test_it_says_what_coqui_says_for_the_same_seed(reference):
    import torch

    model = coqui_model(tiny("xtts"))
    text, speaker = TEXT * 4, model.speaker_manager.speakers[NAME]
    with torch.random.fork_rng():
        torch.manual_seed(5)
        chunks = model.inference_stream(
            text,
            "en",
            speaker["gpt_cond_latent"],
            speaker["speaker_embedding"],
            speed=1.25,
            temperature=0.6,
            top_k=30,
            top_p=0.9,
            repetition_penalty=4.0,
        )
        expected = [chunk.numpy() for chunk in chunks]
    wishes = {"temperature": 0.6, "top_k": 30, "top_p": 0.9, "repetition_penalty": 4.0}
    said = reference.synthesize(say(reference, text, speed=1.25, seed=5, **wishes))
    ours = [chunk.audio.samples for chunk in said if chunk]
    assert len(ours) > 1
    assert list(map(len, ours)) == list(map(len, expected))
    assert np.array_equal(np.concatenate(ours), np.concatenate(expected))


def test_it_hears_in_clips_what_coqui_hears(engine, clip, tmp_path, monkeypatch):
    import torch
    import torchaudio

    def read(file):  # torchaudio's own needs libraries that a CPU build lacks
        with wave.open(str(file)) as wav:
            samples = np.frombuffer(wav.readframes(-1), "<i2").astype(np.float32) / 32768
            return torch.from_numpy(samples)[None], wav.getframerate()

    monkeypatch.setattr(torchaudio, "load", read)
    clips = [clip, write_wav(tmp_path / "other.wav", hum(2.0, 16000, 220.0), 16000)]
    prompt, speaker = coqui_model(tiny("xtts")).get_conditioning_latents(
        clips, max_ref_length=30, gpt_cond_len=30, gpt_cond_chunk_len=4
    )
    latents = engine._voices.latents(cloned(*clips))
    assert torch.allclose(latents.prompt, prompt, atol=1e-5)
    assert torch.allclose(latents.speaker, speaker, atol=1e-5)


def test_both_names_of_v2_are_listed_and_load_the_model(shared_home):
    assert Registry(Home(shared_home)).models("xtts") == ("xtts - mine", "apitts - mine")
    first, second = (load(shared_home, f"{loader} - mine") for loader in ("xtts", "apitts"))
    assert np.array_equal(hear(first), hear(second))


def test_an_incomplete_folder_hides_no_other(home):
    shutil.copytree(home / "engines/xtts/models/mine", home / "engines/xtts/models/half")
    (home / "engines/xtts/models/half/model.pth").unlink()
    assert Registry(Home(home)).models("xtts") == ("xtts - mine", "apitts - mine")


def test_its_voices_are_the_studio_speakers(engine):
    names = [voice.name for voice in engine.voices()]
    assert NAME in names
    first, second = (hear(engine, voice=Voice(name)) for name in names[:2])
    assert not np.array_equal(first, second)


def test_a_model_without_studio_speakers_clones(home, clip):
    (home / "engines/xtts/models/mine/speakers_xtts.pth").unlink()
    engine = load(home)
    assert engine.voices() == []
    assert len(hear(engine, voice=cloned(clip)))


@pytest.mark.parametrize("shape", ["flat", "nested"])
def test_latents_in_a_json_file_are_a_voice(engine, tmp_path, shape):
    studio = engine._voices.studio[NAME]
    prompt, speaker = studio.prompt[0].tolist(), studio.speaker.flatten().tolist()
    if shape == "nested":
        prompt, speaker = [prompt], [[[number] for number in speaker]]
    file = tmp_path / "ann.json"
    file.write_text(json.dumps({"gpt_cond_latent": prompt, "speaker_embedding": speaker}))
    assert np.array_equal(hear(engine, voice=cloned(file)), hear(engine))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"gpt_cond_latent": [[1, 2]], "speaker_embedding": [3]}', '{"gpt_cond_'],
)
def test_a_json_file_without_latents_is_refused(engine, tmp_path, content):
    file = tmp_path / "ann.json"
    file.write_text(content)
    with pytest.raises(UnreadableClip, match=r"ann\.json holds no latents"):
        hear(engine, voice=cloned(file))


def test_a_known_voice_is_not_heard_again(home, clip, tmp_path):
    passing = shutil.copyfile(clip, tmp_path / "passing.wav")
    voice = cloned(passing, digest="d1")
    engine = load(home)
    said = hear(engine, voice=voice)
    passing.unlink()
    assert np.array_equal(hear(engine, voice=voice), said)
    assert np.array_equal(hear(load(home), voice=voice), said), "after a restart"
    with pytest.raises(UnreadableClip):
        hear(engine, voice=cloned(passing, digest="d2"))


def test_another_model_in_its_place_hears_anew(home, clip, tmp_path):
    passing = shutil.copyfile(clip, tmp_path / "passing.wav")
    voice = cloned(passing, digest="d1")
    hear(load(home), voice=voice)
    passing.unlink()
    os.utime(home / "engines/xtts/models/mine/model.pth", (1, 1))
    with pytest.raises(UnreadableClip):
        hear(load(home), voice=voice)


def test_a_damaged_cache_is_computed_anew(home, clip):
    voice = cloned(clip, digest="d1")
    said = hear(load(home), voice=voice)
    (file,) = (home / "engines/xtts/.latents").iterdir()
    file.write_bytes(file.read_bytes()[:300])
    assert np.array_equal(hear(load(home), voice=voice), said)


def test_a_folder_that_cannot_be_written_costs_only_the_cache(home, clip, caplog):
    (home / "engines/xtts/.latents").write_text("not a folder")
    engine = load(home)
    assert len(hear(engine, voice=cloned(clip, digest="d1")))
    assert "cannot be kept" in caplog.text


def test_the_cache_in_memory_is_bounded(clip, tmp_path):
    from alltalk.engines.xtts import latents

    nothing = np.zeros((1, 32, 64)), np.zeros(512)
    store = latents.LatentStore(tmp_path, "model", 64)
    for n in range(latents.IN_MEMORY + 5):
        store.find(cloned(clip, digest=f"d{n}"), lambda: latents.Latents.of(*nothing, 64))
    assert len(store._recent) == latents.IN_MEMORY


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(96_000, 3, 2), (8_000, 2, 1), (44_100, 4, 6)]
)
def test_clips_of_any_rate_depth_and_number_of_channels_are_heard_alike(
    engine, clip, tmp_path, rate, width, channels
):
    file = write_wav(tmp_path / "clip.wav", hum(4.0, rate), rate, width, channels)
    usual, heard = (engine._voices.latents(cloned(each)).speaker.flatten() for each in (clip, file))
    assert float(usual @ heard) > 0.95  # both have length 1


def test_an_mp3_called_wav_is_heard(engine, tmp_path):
    assert len(hear(engine, voice=cloned(write_mp3(tmp_path / "song.wav", hum(2.0)))))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (hum(0.05), "0.05 s long"),
        (np.zeros(48000, np.float32), "silent"),
        (np.zeros(0, np.float32), "no sound|long"),
        (b"<html>", "cannot be read as sound"),
        (b"", "cannot be read as sound"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "cannot be read as sound"),
    ],
)
def test_a_clip_without_a_voice_is_refused_with_the_reason(engine, tmp_path, content, reason):
    file = tmp_path / "clip.wav"
    file.write_bytes(content) if isinstance(content, bytes) else write_wav(file, content)
    with pytest.raises(UnreadableClip, match=reason):
        hear(engine, voice=cloned(file))


def test_only_the_start_of_a_long_clip_is_used(engine, clip, tmp_path):
    from alltalk.engines.xtts.clips import read_clip

    file = write_wav(tmp_path / "long.wav", hum(65.0))
    assert read_clip(file, 30.0).shape == (1, 30 * 22050)


def test_it_speaks_seventeen_languages(engine):
    assert len(engine.capabilities.languages) == 17
    for tag in ("en-us", "pt-br", "DE", "hi", "ar", "ru", ""):
        assert len(hear(engine, "1 ok.", language=tag))
    with pytest.raises(UnknownLanguage):
        hear(engine, language="fi")


@pytest.mark.parametrize(("tag", "package"), [("zh-cn", "pypinyin"), ("ja", "cutlet")])
def test_a_language_without_its_package_says_what_to_install(engine, monkeypatch, tag, package):
    from alltalk.engines.xtts import text

    found = text.importlib.util.find_spec
    monkeypatch.setattr(
        text.importlib.util, "find_spec", lambda name: None if name == package else found(name)
    )
    with pytest.raises(Unsupported, match=rf"{package}.*alltalk\[xtts-langs\]"):
        hear(engine, language=tag)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "We are all away, and nobody is in. " * 40),
        ("de", "Donaudampfschifffahrt" * 60),
        ("ko", "안녕하세요 " * 100),
        ("en", "1234567 " * 60),
        ("en", "9" * 1000),
        ("ru", "а" * 1000),
        ("en", "& " * 300 + "a"),
    ],
)
def test_no_text_is_too_long(engine, language, text):
    pieces = engine._reader.pieces(text, language)
    limit = engine.model.tokenizer.char_limits[language]
    assert pieces
    assert max(map(len, pieces)) <= limit
    for piece in pieces:
        assert len(engine._reader.tokens(piece, language)) <= 400


def test_text_is_cut_at_sentences_first_then_clauses_then_words():
    def shorter_than(most):
        return lambda piece: len(piece) < most

    assert list(cut("One, two. Three four.", shorter_than(15))) == ["One, two.", "Three four."]
    assert list(cut("One two, three four five", shorter_than(18))) == [
        "One two,",
        "three four five",
    ]
    assert list(cut("One two three four", shorter_than(12))) == ["One two", "three four"]
    assert list(cut("Onetwothree", shorter_than(8))) == ["Onetw", "othree"]
    assert list(cut("one", lambda piece: False)) == []


def test_nothing_is_lost_when_text_is_cut():
    words = [f"word{n}" for n in range(200)]
    pieces = cut(" ".join(words), lambda piece: len(piece) < 50)
    assert " ".join(pieces).split() == words


def test_sound_leaves_while_it_speaks_and_it_stops_between_two_tokens(reference):
    text = TEXT * 4
    whole = hear(reference, text)
    speaking = reference.synthesize(say(reference, text))
    assert [next(speaking) for _ in range(19)] == [None] * 19
    assert next(speaking) is not None
    speaking.close()
    assert np.array_equal(hear(reference, text), whole)


def test_chunks_are_as_long_as_the_settings_say(home):
    engine = load(home, runtime="reference", stream_chunk_tokens_set=5)
    with closing(engine.synthesize(say(engine, TEXT * 2))) as speaking:
        chunks = [next(speaking) for _ in range(10)]
    assert [chunk is None for chunk in chunks] == [True, True, True, True, False] * 2


def test_temperature_zero_draws_nothing(engine):
    cold = [hear(engine, temperature=0.0, seed=seed) for seed in (1, 2)]
    warm = [hear(engine, temperature=0.9, seed=seed) for seed in (1, 2)]
    assert np.array_equal(*cold)
    assert not np.array_equal(*warm)


def test_settings_hold_where_the_request_says_nothing(home):
    engine = load(home, temperature_set=0.0)
    assert np.array_equal(hear(engine, seed=1), hear(engine, seed=2))
    assert not np.array_equal(hear(engine, seed=1), hear(engine, seed=1, temperature=0.9))


@pytest.mark.parametrize("runtime", ["batched", "reference"])
def test_deepspeed_that_cannot_run_is_reported_as_off(home, caplog, runtime):
    engine = load(home, runtime=runtime, deepspeed_enabled=True)
    assert not engine.capabilities.deepspeed
    assert "without DeepSpeed" in caplog.text
    assert len(hear(engine))


def test_loading_a_sound_model_says_nothing(home, capfd):
    load(home)
    assert capfd.readouterr() == ("", "")


def test_an_original_checkpoint_is_read_and_left_as_it_is(tmp_path):
    folder = place_model(tmp_path, "--pickled-config")
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    folder.chmod(0o555)
    try:
        assert len(hear(load(tmp_path)))
    finally:
        folder.chmod(0o755)
    assert {f: (f.read_bytes(), f.stat().st_mtime_ns) for f in folder.iterdir()} == before


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["model.pth", "speakers_xtts.pth"])
def test_code_in_a_file_is_refused_and_not_run(home, tmp_path, name):
    import torch

    trace = tmp_path / "ran"
    torch.save({"model": {"a": torch.ones(1)}, "b": Bomb(trace)}, home_model(home) / name)
    with pytest.raises(LoadFailed, match=rf"{name} holds Python code"):
        load(home)
    assert not trace.exists()


def home_model(home):
    return home / "engines/xtts/models/mine"


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda model: truncate(model / "model.pth"), r"model\.pth is damaged or cut off"),
        (lambda model: truncate(model / "speakers_xtts.pth"), r"speakers_xtts\.pth is damaged"),
        (lambda model: truncate(model / "vocab.json"), "cannot be used"),
        (lambda model: truncate(model / "config.json"), r"config\.json cannot be read"),
        (lambda model: (model / "model.pth").write_text("<html>"), "no checkpoint"),
        (lambda model: shutil.copy(model / "speakers_xtts.pth", model / "model.pth"), "no model"),
        (
            lambda model: shutil.copy(model / "model.pth", model / "speakers_xtts.pth"),
            "does not hold the speakers",
        ),
        (
            lambda model: shutil.copy(tiny("vits") / "model_file.pth", model / "model.pth"),
            "does not fit",
        ),
        (
            lambda model: shutil.copy(tiny("vits") / "config.json", model / "config.json"),
            "not describe a model of XTTS",
        ),
        (lambda model: edit_config(model, gpt_layers=3), "does not fit"),
    ],
)
def test_a_folder_that_holds_no_model_is_refused_with_the_reason(home, spoil, reason):
    spoil(home_model(home))
    with pytest.raises(LoadFailed, match=reason):
        load(home)


def test_too_large_a_model_is_out_of_memory(home):
    edit_config(home_model(home), gpt_max_audio_tokens=10**14)
    with pytest.raises(OutOfMemory, match="not enough memory"):
        load(home)


def resident_bytes() -> int:
    """Memory of this process, as the kernel counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_swapping_engines_leaves_memory_where_it_was(home):
    shutil.copytree(tiny("vits"), home / "engines/vits/models/mine")
    registry = Registry(Home(home))
    after = []
    for _ in range(3 + 20):
        for name, voice in (("xtts", Voice(NAME)), ("vits", Voice("p225"))):
            engine = registry.load(name, f"{name} - mine", Place(), {})
            assert len(hear(engine, voice=voice))
            engine.close()
            del engine
        give_back()  # as the server does
        after.append(resident_bytes())
    assert after[-1] - after[2] <= max(0.05 * after[2], 30e6)
