from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from effort import is_within

from alltalk.config import Config
from alltalk.engine import Capabilities, Sampling, Voice
from alltalk.errors import (
    BadValue,
    ConfigError,
    EmptyText,
    NothingToSpeak,
    NotReady,
    UnknownEngine,
    UnknownLanguage,
    UnknownModel,
    UnknownRvcVoice,
    UnknownVoice,
    Unsupported,
)
from alltalk.plan import Planner, Snapshot, make_plan
from alltalk.speech import (
    AudioFormat,
    Conversion,
    Narrator,
    Offer,
    Plan,
    Role,
    Segment,
    SpeechRequest,
)

SETTINGS = {"def_character_voice": "high", "def_narrator_voice": "low"}


def offer(engine: str = "tone", model: str = "one", **can) -> Offer:
    voices = (Voice("high"), Voice("low"), Voice("juan", language="es"))
    return Offer(engine, model, "1", Capabilities(**can), voices, SETTINGS)


def snapshot(*offers: Offer, clips=(), api: dict | None = None, **speech) -> Snapshot:
    config = Config(speech=speech, api_def=api or {})
    return Snapshot(config, offers or (offer(),), {voice.name: voice for voice in clips})


def plan(text: str, where: Snapshot | None = None, **request) -> Plan:
    return make_plan(SpeechRequest(text, **request), where or snapshot())


def said(segments) -> list[str]:
    """Role and words of each segment."""
    return [f"{each.role[0].upper()} {each.utterance.text}" for each in segments]


def only(text: str, where: Snapshot | None = None, **request) -> Segment:
    (segment,) = plan(text, where, **request).segments
    return segment


NARRATED = '*Dawn.* "Up already?" asked Bo.'


# What is said, and by whom


def test_a_plain_text_is_the_characters():
    segment = only("Hello there.")
    assert (segment.index, segment.role, segment.utterance.text) == (0, "character", "Hello there.")
    assert (segment.utterance.voice.name, segment.engine, segment.model) == ("high", "tone", "one")
    assert segment.effects.nothing
    assert segment.pause_s == 0


def test_marks_are_text_while_there_is_no_narrator():
    assert said(plan(NARRATED).segments) == [f"C {NARRATED}"]


@pytest.mark.parametrize(
    ("narrator", "expected"),
    [
        (Narrator("low"), ["N Dawn.", "C Up already?", "C asked Bo."]),
        (Narrator("low", outside="narrator"), ["N Dawn.", "C Up already?", "N asked Bo."]),
        (Narrator("low", outside="silent"), ["N Dawn.", "C Up already?"]),
        (Narrator("low", silent=True), ["C Up already?", "C asked Bo."]),
        (Narrator("low", silent=True, outside="narrator"), ["C Up already?", "N asked Bo."]),
    ],
)
def test_a_narrator_is_given_its_parts(narrator, expected):
    segments = plan(NARRATED, narrator=narrator).segments
    assert said(segments) == expected
    assert {each.utterance.voice.name for each in segments if each.role is Role.NARRATOR} <= {"low"}
    assert [each.index for each in segments] == list(range(len(segments)))


def test_entities_are_decoded_before_narration_is_read():
    text = "&quot;Tom &amp; Jerry&quot; *laughs*"
    segments = plan(text, narrator=Narrator("low"), text_filter="html").segments
    assert said(segments) == ["C Tom & Jerry", "N laughs"]


def test_each_part_passes_the_filter():
    segments = plan(
        '*♥♥* "100% _sure_ 😀!!"', narrator=Narrator("low"), text_filter="standard"
    ).segments
    assert said(segments) == ["C 100% sure!"]


def test_v2s_way_is_there_for_the_asking():
    where = snapshot(narration="v2")
    segments = plan('"No" "100% sure!!"', where, narrator=Narrator("low"), text_filter="standard")
    assert said(segments.segments) == ["C 100 sure!"]


def test_v2_drops_parts_up_to_the_configured_length():
    where = snapshot(narration="v2", api={"api_length_stripping": 1})
    assert said(plan('"No" "I"', where, narrator=Narrator("low")).segments) == ["C No"]


def test_the_users_own_filter_is_used():
    where = snapshot(api={"api_allowed_filter": "[%♥]"})
    said_of = only("50% ♥ *alike*!!", where, text_filter="standard").utterance.text
    assert said_of == "50 *alike*!"


def test_text_is_on_one_line_unless_it_is_wanted_as_it_is():
    assert only("One\ntwo  three", text_filter="standard").utterance.text == "One two three"
    assert only(" One\ntwo  three ").utterance.text == "One\ntwo  three"


def test_segments_name_the_callers_characters():
    text = "  # &quot;Tom&quot; **nods**: *why?*\n\nBecause… 😀 it's so."
    for narrator in (None, Narrator("low")):
        for segment in plan(text, narrator=narrator, text_filter="html").segments:
            source = text[slice(*segment.source)]
            words = [word.strip(".:?…\"'") for word in segment.utterance.text.split()]
            assert all(word in source for word in words), (words, source)


def test_source_is_as_long_as_the_words_where_nothing_was_changed():
    text = 'One one. Two two.\n\n*Three* "four"'
    for segment in plan(text, snapshot(first_chars=10), narrator=Narrator("low")).segments:
        assert text[slice(*segment.source)] == segment.utterance.text


# How long, and with what silence


def test_segments_keep_to_the_shorter_of_the_engines_and_the_configured_limit():
    text = "This is a sentence of some length. " * 30
    for where, limit in (
        (snapshot(offer(max_chars=60)), 60),
        (snapshot(offer(max_chars=1000), max_chars=90), 90),
    ):
        lengths = [len(each.utterance.text) for each in plan(text, where).segments]
        assert max(lengths) <= limit
        assert min(lengths) > 30


def test_only_the_first_segment_of_a_request_is_kept_short():
    text = "This is a sentence of some length. " * 10
    where = snapshot(first_chars=40, max_chars=300)
    lengths = [len(each.utterance.text) for each in plan(text, where).segments]
    assert lengths[0] < 40
    assert lengths[1] > 200


def test_pauses_are_longer_where_the_speaker_changes_and_none_inside_a_sentence_or_at_the_end():
    where = snapshot(first_chars=20, max_chars=20, pause_s=0.1, role_pause_s=0.5)
    text = '"One two three four five six. Seven." *Eight.*'
    segments = plan(text, where, narrator=Narrator("low")).segments
    assert said(segments) == ["C One two three four", "C five six. Seven.", "N Eight."]
    assert [each.pause_s for each in segments] == [0.0, 0.5, 0.0]
    assert [each.pause_s for each in plan("One one one. Two two two.", where).segments] == [0.1, 0]


# Which engine


def test_the_current_engine_speaks_unless_another_is_named():
    where = snapshot(offer("a", "1"), offer("a", "2"), offer("b", "1"), offer("b", "3"))
    for asked, chosen in (
        ({}, ("a", "1")),
        ({"engine": "b"}, ("b", "1")),
        ({"engine": "b", "model": "3"}, ("b", "3")),
        ({"model": "3"}, ("b", "3")),
        ({"model": "2"}, ("a", "2")),
    ):
        segment = only("Hi", where, **asked)
        assert (segment.engine, segment.model) == chosen


def test_an_engine_or_model_that_is_not_there_is_an_error_that_names_those_that_are():
    where = snapshot(offer("a", "1"), offer("b", "2"))
    with pytest.raises(UnknownEngine, match="a, b"):
        plan("Hi", where, engine="c")
    with pytest.raises(UnknownModel, match="It has: 1"):
        plan("Hi", where, engine="a", model="2")
    with pytest.raises(NotReady):
        plan("Hi", Snapshot(Config(), (), {}))


# Which voice


def test_a_clip_of_the_request_is_a_voice_of_engines_that_clone():
    clip = Voice("upload", digest="x")
    assert only("Hi", snapshot(offer(cloning=True)), voice=clip).utterance.voice is clip
    with pytest.raises(Unsupported):
        plan("Hi", voice=clip)


def test_an_unknown_voice_is_an_error_of_either_role():
    with pytest.raises(UnknownVoice):
        plan("Hi", voice="nobody")
    with pytest.raises(UnknownVoice):
        plan("Hi", narrator=Narrator("nobody"))


def test_a_narrator_who_says_nothing_need_not_exist():
    assert said(plan('"Hi"', narrator=Narrator("nobody", silent=True)).segments) == ["C Hi"]


def converting(**rvc) -> Snapshot:
    """Where there are two voices to convert to."""
    config = Config(rvc_settings=rvc)
    return replace(snapshot(), config=config, conversions={"old.pth": "d1", r"A\x.pth": "d2"})


def test_each_role_has_its_own_conversion():
    segments = plan(
        '*He:* "Hi"',
        converting(),
        narrator=Narrator("low", conversion=Conversion("old.pth")),
        conversion=Conversion(r"A\x.pth", 2),
    ).segments
    found = [each.effects.conversion for each in segments]
    assert [each.voice for each in found] == ["old.pth", "A/x.pth"]
    assert [each.digest for each in found] == ["d1", "d2"]


def test_the_settings_decide_how_a_voice_is_converted():
    where = converting(index_rate=0.2, protect=0.1, f0method="pm", autotune=True)
    conversion = only("Hi", where, conversion=Conversion("old.pth", 1)).effects.conversion
    assert (conversion.index_rate, conversion.protect, conversion.autotune) == (0.2, 0.1, True)
    assert (conversion.pitch_method, conversion.semitones) == ("pm", 1)


def test_a_voice_to_convert_to_that_is_not_there_is_refused():
    with pytest.raises(UnknownRvcVoice, match=r"new\.pth.*old\.pth"):
        plan("Hi", converting(), conversion=Conversion("new.pth"))


# Which language

XTTS = ("en", "de", "es", "zh-cn", "pt")


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("pt_BR", "pt"),
        ("en-gb", "en"),
        ("zh", "zh-cn"),
        ("zh-cn", "zh-cn"),
        ("", "en"),
    ],
)
def test_a_language_is_understood_as_it_is_spelled(asked, spoken):
    assert only("Hi", snapshot(offer(languages=XTTS)), language=asked).utterance.language == spoken


def test_a_language_that_the_engine_lacks_is_an_error():
    with pytest.raises(UnknownLanguage, match="en, de"):
        plan("Hi", snapshot(offer(languages=XTTS)), language="fr")


def test_an_engine_whose_voices_decide_is_told_no_language():
    assert only("Hi", language="fr").utterance.language == ""


def test_without_a_language_the_voices_own_is_spoken_else_the_default():
    where = snapshot(offer(languages=XTTS), api={"api_language": "de"})
    assert only("Hi", where, voice="juan").utterance.language == "es"
    assert only("Hi", where, voice="low").utterance.language == "de"
    other = snapshot(offer(languages=("pt", "es")), api={"api_language": "de"})
    assert only("Hi", other, voice="low").utterance.language == "pt"


def test_auto_tells_the_language_of_each_part():
    text = '"Guten Morgen, wie geht es dir?" *Good morning, how are you today?* "123"'
    where = snapshot(offer(languages=XTTS), api={"api_language": "es"})
    segments = plan(text, where, narrator=Narrator("low"), language="auto").segments
    assert [each.utterance.language for each in segments] == ["de", "en", "es"]


# How


@pytest.mark.parametrize(
    ("native", "asked", "engine", "left"),
    [
        (None, 1.5, 1.0, 1.5),
        ((0.5, 2.0), 1.5, 1.5, 1.0),
        ((0.5, 2.0), 4.0, 2.0, 2.0),
        ((0.5, 2.0), 0.25, 0.5, 0.5),
    ],
)
def test_the_engine_does_the_speed_it_can_and_effects_the_rest(native, asked, engine, left):
    segment = only("Hi", snapshot(offer(speed=native)), speed=asked)
    assert (segment.utterance.speed, segment.effects.speed) == (engine, left)


@pytest.mark.parametrize(
    ("native", "asked", "engine", "left"),
    [
        (None, -3.0, 0.0, -3.0),
        ((-10.0, 10.0), -3.0, -3.0, 0.0),
        ((-10.0, 10.0), 12.0, 10.0, 2.0),
    ],
)
def test_the_engine_does_the_pitch_it_can_and_effects_the_rest(native, asked, engine, left):
    segment = only("Hi", snapshot(offer(pitch=native)), pitch=asked)
    assert (segment.utterance.pitch, segment.effects.pitch) == (engine, left)


def test_voice_conversion_moves_the_pitch_where_there_is_one():
    effects = only("Hi", converting(), pitch=3, conversion=Conversion("old.pth", -5)).effects
    assert effects.conversion.semitones == -2
    assert effects.pitch == 0
    effects = only("Hi", converting(), pitch=20, conversion=Conversion("old.pth", 10)).effects
    assert (effects.conversion.semitones, effects.pitch) == (24, 6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 0.2},
        {"speed": 4.1},
        {"speed": float("nan")},
        {"pitch": 25},
        {"pitch": float("-inf")},
        {"sample_rate": 4000},
        {"sample_rate": 96000},
    ],
)
def test_what_is_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(BadValue):
        plan("Hi", **wrong)


def test_an_engine_is_told_only_what_matters_to_it():
    sampling = Sampling(seed=7, temperature=0.5, top_k=3)
    plain = only("Hi", sampling=sampling, instructions="Whisper.").utterance
    assert (plain.sampling, plain.instructions) == (Sampling(), "")
    able = offer(sampling=frozenset({"temperature", "mood"}), seed=True, instructions=True)
    told = only("Hi", snapshot(able), sampling=sampling, instructions="Whisper.").utterance
    assert told.sampling == Sampling(seed=7, temperature=0.5)
    assert told.instructions == "Whisper."


def test_the_answers_sample_rate_is_the_requests_else_the_formats():
    assert plan("Hi").sample_rate is None
    assert plan("Hi", format=AudioFormat.named("pcm")).sample_rate == 24000
    assert plan("Hi", format=AudioFormat.named("wav"), sample_rate=16000).sample_rate == 16000
    assert plan("Hi", format=AudioFormat.named("mp3")).format.name == "mp3"


# What cannot be planned


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_blank_text_is_empty(text):
    with pytest.raises(EmptyText):
        plan(text)


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("😀 ...", {}),
        ("***", {"text_filter": "standard"}),
        ('*hm* "..."', {"narrator": Narrator("low", silent=True)}),
        ("no marks", {"narrator": Narrator("low", outside="silent")}),
    ],
)
def test_text_of_which_nothing_is_said_is_an_error(text, request_):
    with pytest.raises(NothingToSpeak):
        plan(text, **request_)


def test_a_broken_filter_is_an_error_before_anything_is_spoken():
    where = snapshot()
    broken = where.config.api_def.model_copy(update={"api_allowed_filter": "[a"})
    with pytest.raises(ConfigError):
        plan("Hi", replace(where, config=where.config.model_copy(update={"api_def": broken})))


def test_the_same_request_and_snapshot_give_the_same_plan():
    text, where = NARRATED * 20, snapshot(offer(languages=XTTS))
    assert plan(text, where, language="auto") == plan(text, where, language="auto")


# Text as it comes


def fed(text: str, size: int, where: Snapshot | None = None, **request) -> list[Segment]:
    planner = Planner(SpeechRequest("", **request), where or snapshot())
    segments: list[Segment] = []
    for start in range(0, len(text), size):
        segments += planner.feed(text[start : start + size])
    return segments + planner.finish()


def test_a_sentence_is_planned_as_soon_as_the_next_one_begins():
    planner = Planner(SpeechRequest(""), snapshot())
    assert planner.feed("Dr. Smith said hel") == []
    assert planner.feed("lo. ") == []
    assert said(planner.feed("Then he ")) == ["C Dr. Smith said hello."]
    assert said(planner.feed("left.\n\n")) == ["C Then he left."]
    assert planner.feed("Bye") == []
    assert said(planner.finish()) == ["C Bye"]


def test_a_narrated_paragraph_is_planned_once_it_is_whole():
    planner = Planner(SpeechRequest("", narrator=Narrator("low")), snapshot())
    assert planner.feed('*He waves.* "Hel') == []
    assert said(planner.feed('lo."\n\n*Then')) == ["N He waves.", "C Hello."]
    assert said(planner.finish(" he goes.*")) == ["N Then he goes."]


@pytest.mark.parametrize("size", [1, 3, 7, 50, 1000])
@pytest.mark.parametrize("narrator", [None, Narrator("low")], ids=["plain", "narrated"])
def test_text_in_pieces_says_the_same_words_from_the_same_places(size, narrator):
    text = '*Dawn.* "Up already? It\'s 5 a.m. &amp; dark," asked Bo.\n\nHe yawned… twice!!!\n\n"No.'
    request = {"narrator": narrator, "text_filter": "html"}
    segments, whole = fed(text, size, **request), plan(text, **request).segments
    assert [each.index for each in segments] == list(range(len(segments)))

    def words(spoken) -> list[tuple[Role, str]]:
        return [(each.role, word) for each in spoken for word in each.utterance.text.split()]

    assert words(segments) == words(whole)
    for before, after in itertools.pairwise(segments):
        assert before.source[1] <= after.source[0]


def test_the_requests_own_text_comes_first():
    planner = Planner(SpeechRequest("One. "), snapshot())
    assert said([*planner.feed("Two. Three."), *planner.finish()]) == ["C One. Two.", "C Three."]


def test_what_is_wrong_with_a_request_is_told_before_any_text_comes():
    with pytest.raises(UnknownVoice):
        Planner(SpeechRequest("", voice="nobody"), snapshot())


def test_a_stream_without_words_ends_in_an_error():
    for text, error in (("", EmptyText), (" \n", EmptyText), ("... ", NothingToSpeak)):
        planner = Planner(SpeechRequest(""), snapshot())
        planner.feed(text)
        with pytest.raises(error):
            planner.finish()


@pytest.mark.parametrize("narration", ["better", "v2"])
@pytest.mark.parametrize("unit", ["word. ", "*a* ", '"b ', " ", "x", "“y.”\n\n"])
@pytest.mark.parametrize("narrator", [None, Narrator("low")], ids=["plain", "narrated"])
def test_long_texts_are_planned_in_linear_time(unit, narrator, narration):
    text = ("start " + unit * 100_000)[:100_000]
    where = snapshot(narration=narration)
    # A second or so.
    assert is_within(8, lambda: plan(text, where, narrator=narrator, text_filter="standard"))


def test_a_long_text_by_the_word_is_planned_in_linear_time():
    def planned() -> None:
        assert len(fed("word. " * 5_000, 6)) == 5_000
        fed("word " * 20_000, 5, narrator=Narrator("low"))

    assert is_within(8, planned)
