"""XTTS's own decoder and vocoder, held to coqui's, and utterances that share its steps."""

from __future__ import annotations

import functools
import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batches import spoken, step_all, whole
from coqui import coqui_model
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import randoms
from tiny_models import tiny

from alltalk.engine import Place, Sampling, Utterance, Voice
from alltalk.errors import BadTake, ConfigError, NoRoom, OutOfMemory, UnknownVoice, UnreadableClip
from alltalk.home import Home
from alltalk.registry import Registry

NAMES = ("Claribel Dervla", "Andrew Chipper", "Badr Odhiambo", "Daisy Studious")
TEXTS = (
    "We are all away.",
    "Another one, a little longer than the first, to see that padding holds.",
    "Ok.",
    "The quick brown fox jumps over the lazy dog, and looks back at the others, who wait.",
)
WHOLE = {"first_chunk_tokens": 600, "longest_chunk_tokens": 600}
"""A clip is vocoded in one window."""
EXACT = {"precision": "float32", "vocoder_precision": "float32", "guard_enabled": False}


pytestmark = [pytest.mark.usefixtures("needs_xtts"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(tiny("xtts"), home / "engines/xtts/models/mine")
    return home


@pytest.fixture(scope="module")
def loaded(home):
    return load(home)


@pytest.fixture
def engine(loaded):
    yield loaded
    for left in list(loaded._steps.open):  # by a test that failed
        loaded.close_stream(left)


@pytest.fixture(scope="module")
def loaded_brief(home):
    engine = load(home, first_chunk_tokens=6, longest_chunk_tokens=600)
    engine.decoder.most_tokens = 14
    return engine


@pytest.fixture
def brief(loaded_brief):
    """An engine whose clips are at most 14 tokens, for what no length matters to."""
    yield loaded_brief
    for left in list(loaded_brief._steps.open):
        loaded_brief.close_stream(left)


@pytest.fixture(scope="module")
def model():
    """The model as coqui itself loads it."""
    return coqui_model(tiny("xtts"))


def load(home, **settings):
    return Registry(Home(home)).load("xtts", "xtts - mine", Place(), {**EXACT, **settings})


def say(text=TEXTS[0], name=NAMES[0], seed=1, speed=1.0, **sampling):
    return Utterance(text, Voice(name), "en", speed, sampling=Sampling(seed, **sampling))


def greedy(text, name=NAMES[0], speed=1.0):
    return say(text, name, speed=speed, temperature=0.0, repetition_penalty=5.0)


class Take:
    """One utterance of a single piece, with its tokens and latents."""

    def __init__(self, engine, utterance):
        self.stream = engine.open(engine.prepare(utterance))
        self.chunks, self.clip, self.is_done = [], None, False

    def hear(self, events):
        self.clip = self.clip or self.stream.clip
        for event in events:
            if event.stream is self.stream:
                assert event.error is None
                self.chunks += [event.chunk.audio.samples] if event.chunk else []
                self.is_done |= event.done


def heard_by(take, events):
    """`events`, which `take` has heard, too."""
    take.hear(events)
    return events


def take_all(engine, *utterances):
    """A `Take` of each, all of them opened before the first step."""
    takes = [Take(engine, each) for each in utterances]
    for _ in range(2000):
        events = engine.step()
        for take in takes:
            take.hear(events)
        if all(take.is_done for take in takes):
            break
    for take in takes:
        assert take.is_done
        engine.close_stream(take.stream)
    return takes


def coqui_says(model, utterance):
    """(tokens, latents, samples) of `inference` without drawing."""
    import torch

    speaker = model.speaker_manager.speakers[utterance.voice.name]
    wishes = {"do_sample": False, "repetition_penalty": utterance.sampling.repetition_penalty}
    said = model.inference(
        utterance.text,
        "en",
        speaker["gpt_cond_latent"],
        speaker["speaker_embedding"],
        speed=utterance.speed,
        **wishes,
    )
    text = torch.tensor([model.tokenizer.encode(utterance.text.strip().lower(), lang="en")])
    with torch.inference_mode():
        codes = model.gpt.generate(speaker["gpt_cond_latent"], text, num_beams=1, **wishes)
    return codes[0].tolist(), said["gpt_latents"][0], said["wav"]


@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[2], TEXTS[3]])
def test_without_drawing_it_is_coquis_inference(engine, model, text):
    import torch

    tokens, latents, samples = coqui_says(model, greedy(text, NAMES[1]))
    (ours,) = take_all(engine, greedy(text, NAMES[1]))
    assert ours.clip.tokens == tokens
    stacked = torch.stack(ours.clip.waveform.latents).numpy()
    assert np.abs(stacked[: len(latents)] - latents).max() < 1e-5
    assert whole(ours.chunks).shape == samples.shape
    assert np.abs(whole(ours.chunks) - samples).max() < 1e-4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_at_real_size_it_is_coquis_inference(tmp_path):
    import torch

    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REAL, str(tmp_path / "engines/xtts/models/mine")],
        cwd=Path(__file__).parent.parent,
    )
    assert run.returncode == 0
    model = coqui_model(tmp_path / "engines/xtts/models/mine")
    model.gpt.max_gen_mel_tokens = 40
    tokens, latents, samples = coqui_says(model, greedy(TEXTS[0]))
    del model
    engine = load(tmp_path)
    engine.decoder.reserve(1)
    engine.decoder.most_tokens = 40
    (ours,) = take_all(engine, greedy(TEXTS[0]))
    assert ours.clip.tokens == tokens
    found = torch.stack(ours.clip.waveform.latents).numpy()[: len(latents)]
    assert np.abs(found - latents).max() < 1e-5
    assert np.abs(whole(ours.chunks) - samples).max() < 1e-4


REAL = "import sys; from pathlib import Path; from models.xtts import make_real_xtts as make; "
REAL += "make(Path(sys.argv[1]))"


@pytest.mark.parametrize("speed", [0.5, 0.83, 1.25, 2.0])
def test_at_any_speed_it_is_coquis_inference(engine, model, speed):
    said = greedy("We are all away, all of us.", speed=speed)
    samples = coqui_says(model, said)[2]
    ours = whole(spoken(engine, said)[0])
    assert ours.shape == samples.shape
    assert np.abs(ours - samples).max() < 1e-4


@pytest.mark.parametrize(
    ("chunk", "text"),
    [((1, 1), TEXTS[0]), ((3, 7), TEXTS[1]), ((5, 600), TEXTS[1]), ((600, 600), TEXTS[1])],
)
def test_streamed_is_whole_whatever_the_chunks(home, model, chunk, text):
    engine = load(home, first_chunk_tokens=chunk[0], longest_chunk_tokens=chunk[1])
    samples = coqui_says(model, greedy(text))[2]
    chunks = spoken(engine, greedy(text))[0]
    assert len(chunks) == 1 if chunk[0] == 600 else len(chunks) > 2
    assert whole(chunks).shape == samples.shape
    assert np.abs(whole(chunks) - samples).max() < 1e-4


def test_the_first_chunk_is_the_smallest(engine):
    sizes = [len(chunk) for chunk in spoken(engine, say(TEXTS[3]))[0]]
    assert len(sizes) > 2
    assert sizes[0] < sizes[1]


def test_a_seeded_utterance_is_the_same_among_seven_others(brief):
    alone = take_all(brief, say(TEXTS[1], seed=7))[0]
    others = [say(TEXTS[n % 4], NAMES[n % 4], seed=n, temperature=0.9) for n in range(7)]
    for place in (0, 6):
        company = [*others[:place], say(TEXTS[1], seed=7), *others[place:]]
        among = take_all(brief, *company)[place]
        assert among.clip.tokens == alone.clip.tokens, "or a near-tie: see the logits"
        assert np.abs(whole(among.chunks) - whole(alone.chunks)).max() < 1e-4


def test_each_in_a_batch_has_its_own_voice_text_and_sampling(brief):
    said = [
        say(TEXTS[1], NAMES[0], seed=1),
        say(TEXTS[1], NAMES[1], seed=1),
        say(TEXTS[1], NAMES[0], seed=2),
        say(TEXTS[1], NAMES[0], seed=1, top_k=2),
        say(TEXTS[1], NAMES[0], seed=1, temperature=0.0),
        say(TEXTS[1], NAMES[0], seed=1, repetition_penalty=1.0),
    ]
    heard = take_all(brief, *said)
    assert [take.clip.tokens for take in heard] == [
        take_all(brief, each)[0].clip.tokens for each in said
    ]
    assert len({(*take.clip.tokens, *whole(take.chunks)) for take in heard}) == len(said)


SIX = [say(TEXTS[n % 4], NAMES[n % 4], seed=n) for n in range(6)]


@functools.cache
def said_alone(engine):
    """The tokens of each of `SIX`."""
    return [take_all(engine, each)[0].clip.tokens for each in SIX]


@settings(
    derandomize=True,
    deadline=None,
    max_examples=3,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(dice=randoms(use_true_random=False))
def test_join_and_leave_in_any_order_touches_nobody_else(brief, dice):
    texts = SIX
    alone = said_alone(brief)
    waiting, running, ended = dice.sample(range(6), 6) * 2, {}, []
    while waiting or running:
        if waiting and len(running) < brief.slots and dice.random() < 0.3:
            which = waiting.pop()
            running[Take(brief, texts[which])] = which
        if running and dice.random() < 0.03:
            left = dice.choice(list(running))
            brief.close_stream(left.stream)
            del running[left]
        events = brief.step()
        for take in list(running):
            take.hear(events)
            if take.is_done:
                ended.append((take.clip.tokens, alone[running.pop(take)]))
                brief.close_stream(take.stream)
    assert all(said == expected for said, expected in ended)
    assert not brief._steps.rows
    assert not brief._steps.open
    assert brief._steps.joining is None
    assert brief.decoder.rows.lengths == []


def test_a_step_may_take_in_rows_and_positions_that_nobody_uses(brief, monkeypatch):
    """As a captured one does, which is for a power of two of rows and a multiple of positions."""
    said = [say(TEXTS[n], seed=n) for n in range(3)]
    expected = [take.clip.tokens for take in take_all(brief, *said)]
    brief.decoder.reserve(8)
    step = brief.decoder._step
    monkeypatch.setattr(
        brief.decoder, "_step", lambda rows, length: step(8, -(-length // 256) * 256)
    )
    assert [take.clip.tokens for take in take_all(brief, *said)] == expected


def test_who_come_together_join_before_anyone_is_heard_and_later_ones_hold_up_nobody(brief):
    from alltalk.engines.xtts import steps

    takes = [Take(brief, say(TEXTS[3], seed=n)) for n in range(4)]
    assert not any(event.chunk for _ in takes for event in brief.step())
    assert len(brief._steps.rows) == 4, "a whole prompt each step"
    while not takes[0].chunks:
        takes[0].hear(brief.step())
    late = Take(brief, say(TEXTS[3]))
    while late.clip is None:
        late.hear(brief.step())
    assert late.clip.prefilled == steps.BESIDE


def test_a_prompt_holds_up_nobody_whose_tokens_have_ended_and_whose_sound_has_not(brief):
    from alltalk.engines.xtts import steps

    first = Take(brief, say(TEXTS[3]))
    while first.clip is None or len(first.clip.tokens) < brief.decoder.most_tokens - 1:
        first.hear(brief.step())
    late = Take(brief, say(TEXTS[3]))
    first.hear(brief.step())
    assert first.chunks
    assert not first.is_done
    assert not brief._steps.rows
    assert late.stream.clip.prefilled == steps.BESIDE


def test_first_and_last_sounds_go_before_all_between_however_long_those_have_waited(engine):
    import torch

    from alltalk.engines.xtts.clip import Clip, Spoken
    from alltalk.engines.xtts.guard import Guard

    prepared = engine.prepare(say())

    def at(heard, waiting, ended=False):
        """One of which `heard` latents were vocoded, and `waiting` are to be."""
        spoken = Spoken(prepared)
        waveform = engine.vocoder.begin(prepared.latents.speaker, 1.0, (8, 8))
        spoken.clip = Clip(torch.empty(0), waveform, Guard.of(TEXTS[0]))
        waveform.latents += [torch.zeros(64)] * heard
        assert not heard or waveform.take()
        waveform.latents += [torch.zeros(64)] * waiting
        waveform.ended = ended
        assert spoken.is_due()
        return spoken

    between, longer = at(8, 20), at(8, 90)
    ended, new, short, later = at(8, 1, ended=True), at(0, 8), at(0, 2, ended=True), at(0, 50)
    came = [between, ended, longer, new, short, later]
    assert sorted(came, key=Spoken.urgency) == [ended, new, short, later, longer, between]


def test_slots_never_leak(brief):
    for n in (0, 1, 4, 8, 11):
        streams = [brief.open(brief.prepare(say(TEXTS[n % 4]))) for _ in range(brief.slots)]
        with pytest.raises(NoRoom):
            brief.open(brief.prepare(say()))
        for _ in range(n):
            brief.step()
        for stream in streams:
            brief.close_stream(stream)
    assert len(brief.step()) == 0
    assert len(spoken(brief, say())[0])


def test_no_memory_for_one_more_refuses_the_newcomer_only(home, monkeypatch):
    import torch

    from alltalk.engines.xtts import rows

    engine = load(home, **WHOLE)
    expected = take_all(engine, say(TEXTS[0]))[0].clip.tokens
    first = Take(engine, say(TEXTS[0]))
    for _ in range(4):
        first.hear(engine.step())

    def full(*args, **named):
        raise torch.OutOfMemoryError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(rows.torch, "zeros", full)
        newcomer = engine.prepare(say())
        with pytest.raises(NoRoom):
            engine.open(newcomer)
    while not first.is_done:
        first.hear(engine.step())
    assert first.clip.tokens == expected
    assert len(engine._steps.open) == 1


def test_what_fails_in_one_prompt_fails_that_utterance_alone(brief, monkeypatch):
    import torch

    expected = take_all(brief, say(TEXTS[1]))[0].clip.tokens
    first = Take(brief, say(TEXTS[1]))
    for _ in range(4):
        first.hear(brief.step())
    late = brief.open(brief.prepare(say()))

    def full(*args):
        raise torch.OutOfMemoryError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(brief.decoder, "prompt", full)
        failed = [event for _ in range(3) for event in heard_by(first, brief.step())]
    (error,) = [event.error for event in failed if event.stream is late]
    assert isinstance(error, OutOfMemory)
    brief.close_stream(late)
    while not first.is_done:
        first.hear(brief.step())
    brief.close_stream(first.stream)
    assert first.clip.tokens == expected


@pytest.mark.parametrize("in_company", [False, True])
def test_want_of_memory_at_a_first_token_fails_that_utterance_alone(brief, monkeypatch, in_company):
    import torch

    from alltalk.engines.xtts.rows import RowState

    expected = take_all(brief, say(TEXTS[1]))[0].clip.tokens
    company = [Take(brief, say(TEXTS[1]))] if in_company else []
    while company and not company[0].chunks:
        company[0].hear(brief.step())
    late = brief.open(brief.prepare(say()))

    def full(*args):
        raise torch.OutOfMemoryError("out of memory")

    events = []
    with monkeypatch.context() as patched:
        patched.setattr(RowState, "place", full)
        while not any(event.stream is late for event in events):
            events = brief.step()
            for take in company:
                take.hear(events)
    (error,) = [event.error for event in events if event.stream is late]
    assert isinstance(error, OutOfMemory)
    brief.close_stream(late)
    assert len(brief.decoder.rows.lengths) == len(brief._steps.rows) == len(company)
    company.append(Take(brief, say(TEXTS[1])))
    while not all(take.is_done for take in company):
        events = brief.step()
        for take in company:
            take.hear(events)
    assert [take.clip.tokens for take in company] == [expected] * len(company)


def test_want_of_memory_for_a_window_fails_that_utterance_alone(brief, monkeypatch):
    import torch

    from alltalk.engines.xtts.vocoder import Waveform

    first, other = (Take(brief, say(TEXTS[1], seed=n)) for n in range(2))
    take = Waveform.take

    def full(waveform):
        if waveform is first.clip.waveform:
            raise torch.OutOfMemoryError("out of memory")
        return take(waveform)

    monkeypatch.setattr(Waveform, "take", full)
    failed = []
    while not other.is_done:
        events = brief.step()
        first.clip = first.clip or first.stream.clip
        other.hear(events)
        failed += [event for event in events if event.stream is first.stream]
    (event,) = failed
    assert isinstance(event.error, OutOfMemory)
    assert event.done
    assert other.chunks
    assert not brief._steps.rows


def test_it_says_the_same_after_rest(brief):
    before = whole(spoken(brief, say(TEXTS[1]))[0])
    brief.rest()
    brief.wake()
    assert np.array_equal(whole(spoken(brief, say(TEXTS[1]))[0]), before)


def test_text_of_several_pieces_is_said_in_order(brief, monkeypatch):
    monkeypatch.setitem(brief.model.tokenizer.char_limits, "en", 20)
    text = "We are all away. And nobody is in."
    pieces = brief.prepare(say(text)).pieces
    assert len(pieces) > 1
    said = [whole(spoken(brief, say(each, temperature=0.0))[0]) for each, _ in pieces]
    together = whole(spoken(brief, say(text, temperature=0.0))[0])
    assert together.shape == np.concatenate(said).shape
    assert np.abs(together - np.concatenate(said)).max() < 1e-4


@pytest.mark.parametrize(
    "wishes", [(1.0, 1.0, 0, 1.0), (0.75, 10.0, 50, 0.85), (1.3, 2.0, 5, 0.5), (0.2, 5.0, 50, 1.0)]
)
def test_its_sampler_filters_as_transformers_does(wishes):
    import torch
    from transformers import generation

    from alltalk.engines.xtts.rows import Wishes
    from alltalk.engines.xtts.sampler import filtered

    temperature, penalty, top_k, top_p = wishes
    draws = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 200, generator=draws) * 3
    seen = torch.randint(0, 200, (4, 20), generator=draws)
    steps = [
        generation.RepetitionPenaltyLogitsProcessor(penalty),
        generation.TemperatureLogitsWarper(temperature),
    ]
    steps += [generation.TopKLogitsWarper(top_k)] if top_k else []
    steps += [generation.TopPLogitsWarper(top_p)] if top_p < 1 else []
    expected = logits.clone()
    for each in steps:
        expected = each(seen, expected)
    said = torch.zeros(4, 200, dtype=torch.bool).scatter_(1, seen, True)

    def column(value, dtype=torch.float32):
        return torch.full((4, 1), value, dtype=dtype)

    ours = Wishes(
        column(penalty),
        column(temperature),
        column(top_k or 200, torch.int64),
        column(top_p if top_p < 1 else 2.0),
    )
    _, order, shares = filtered(logits, said, ours)
    found = torch.zeros(4, 200).scatter_(1, order, shares)
    assert torch.allclose(found, expected.softmax(-1), atol=1e-6)


def test_its_sampler_draws_by_the_probabilities():
    import torch

    from alltalk.engines.xtts.rows import Wishes
    from alltalk.engines.xtts.sampler import draw

    n = 20_000
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(n, 4)
    one = torch.ones(n, 1)
    wishes = Wishes(one, one, torch.full((n, 1), 4), one * 2)
    uniform = torch.rand(n, 1, generator=torch.Generator().manual_seed(1))
    tokens = draw(logits, torch.zeros(n, 4, dtype=torch.bool), wishes, uniform)
    found = torch.bincount(tokens, minlength=4) / n
    assert torch.allclose(found, logits[0].softmax(-1), atol=0.01)


@pytest.mark.parametrize("factor", [4.0, 24000 / 22050, 1 / 0.83, 1 / 2.0])
def test_parts_of_a_stretch_are_torchs_interpolation(factor):
    import torch

    from alltalk.engines.xtts.frames import Frames

    values, frames = torch.randn(150, 3, generator=torch.manual_seed(0)), Frames([factor])
    expected = torch.nn.functional.interpolate(values.t()[None], scale_factor=factor, mode="linear")
    expected = expected[0].t()
    # Some processors fuse the place's product and sum, which moves it by a rounding of float32.
    rounding = 150 * torch.finfo(torch.float32).eps * values.diff(dim=0).abs().max().item()
    assert frames.count(150, ended=True) == len(expected)
    for start in range(0, len(expected), 37):
        stop = min(start + 37, len(expected))
        part = frames.part(values, start, stop, ended=True)
        assert torch.allclose(part, expected[start:stop], atol=rounding)
    known = frames.count(100, ended=False)
    assert 100 * factor - 3 * max(1, factor) < known <= frames.count(100, ended=True)
    part = frames.part(values[:100], 0, known, ended=False)
    assert torch.allclose(part, expected[:known], atol=rounding)


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.02), ("int8", 0.03)])
def test_coarser_weights_say_nearly_the_same(home, engine, precision, tolerance):
    import torch

    fine, coarse = (
        torch.stack(take_all(each, greedy(TEXTS[0]))[0].clip.waveform.latents[:4])
        for each in (engine, load(home, precision=precision))
    )
    assert 0 < float((fine - coarse).norm() / fine.norm()) < tolerance


def test_an_int8_row_does_not_depend_on_its_neighbours():
    import torch

    from alltalk.engines.xtts.linear import made_linear

    draws = torch.Generator().manual_seed(5)
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(torch.randn(64, 96, generator=draws))
    layer.bias = torch.nn.Parameter(torch.randn(96, generator=draws))
    rows = (
        torch.randn(8, 64, generator=draws)
        * torch.tensor([1e-3, 1.0, 50.0, 1, 1, 1, 1, 0.1])[:, None]
    )
    with torch.inference_mode():
        expected = rows @ layer.weight + layer.bias
        multiply = made_linear(layer, "int8")
        together = multiply(rows)
        for n in range(8):
            assert torch.equal(multiply(rows[n : n + 1])[0], together[n])
        away = (together - expected).norm(dim=1) / expected.norm(dim=1)
    assert float(away.max()) < 0.02


def test_settings_that_cannot_be_are_refused(home):
    for wrong in (
        {"runtime": "fast"},
        {"precision": "int3"},
        {"precision": "float16"},
        {"slots": 0},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            load(home, **wrong)


def test_latents_of_another_kind_of_model_are_refused(engine, tmp_path):
    studio = engine._voices.studio[NAMES[0]]
    prompt = studio.prompt[0].repeat(3, 1).tolist()
    file = tmp_path / "ann.json"
    speaker = studio.speaker.flatten().tolist()
    file.write_text(json.dumps({"gpt_cond_latent": prompt, "speaker_embedding": speaker}))
    with pytest.raises(UnreadableClip, match="another kind"):
        engine.prepare(replace(say(), voice=Voice("ann.json", clips=(file,))))


def test_an_unknown_voice_is_refused_before_it_has_a_slot(brief):
    with pytest.raises(UnknownVoice):
        brief.prepare(say(name="nobody"))
    assert not brief._steps.open


def test_the_guard_refuses_what_stops_early_runs_on_or_repeats():
    from alltalk.engines.xtts.guard import Guard

    text = "The quick brown fox jumps over the lazy dog, and looks back."
    guard = Guard.of(text)
    usual = [random.Random(n).randrange(1000) for n in range(80)]
    guard.check(usual, ended=True)
    guard.check(usual[:5], ended=False)
    with pytest.raises(BadTake, match="stopped after 5"):
        guard.check(usual[:5], ended=True)
    with pytest.raises(BadTake, match="does not stop"):
        guard.check(usual * 10, ended=False)
    with pytest.raises(BadTake, match="repeats"):
        guard.check([*usual, *usual[:20] * 4], ended=False)
    Guard.of("No!").check([1], ended=True)
    assert Guard.of("你好，今天天气很好，我们去公园散步吧").least > Guard.of("a" * 16).least


def test_a_bad_take_fails_its_utterance_with_the_reason_and_frees_its_slot(home):
    engine = load(home, guard_enabled=True)
    runs_on = say("Ok. " * 10, temperature=1.0)
    stream = engine.open(engine.prepare(runs_on))
    while stream.clip is None:
        engine.step()
    object.__setattr__(stream.clip.guard, "most", 5)
    events = [event for _ in range(8) for event in engine.step()]
    (error,) = [event.error for event in events if event.error]
    assert isinstance(error, BadTake)
    assert not engine._steps.rows
    engine.close_stream(stream)
    heard = {engine.open(engine.prepare(say(TEXTS[1]))): []}
    step_all(engine, heard)
    assert all(heard.values())
