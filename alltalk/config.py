"""The settings: every key of `confignew.json` with its default, its range and what it means.

The keys of AllTalk V2 keep their names, places and defaults; `server`, `speech`, `admission`,
`cache`, `voices`, `documents` and `presence` are ours. A key that nothing here knows is kept as it
is. The text under a key is also what docs/configuration.md says about it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from alltalk.config_types import (
    ApiKeys,
    CharacterFilter,
    F0Method,
    FileFormat,
    FileName,
    Filled,
    Language,
    LogLevel,
    NarratorChoice,
    OutsideChoice,
    Port,
    Ratio,
    Retention,
    Seconds,
    Semitones,
    StreamFormat,
    Texts,
    Unused,
    retention_days,
)
from alltalk.speech import FORMATS, AudioFormat, TextFilterName

V2_FILTER = (
    r"""[^a-zA-Z0-9\s.,;:!?\-\'"$\u0400-\u04FF\u00C0-\u017F\u0150\u0151\u0170\u0171\u011E\u011F"""
    r"\u0130\u0131\u0900-\u097F\u2018\u2019\u201C\u201D\u3001\u3002\u3040-\u309F\u30A0-\u30FF"
    r"\u4E00-\u9FFF\u3400-\u4DBF\uF900-\uFAFF\u0600-\u06FF\u0750-\u077F\uFB50-\uFDFF\uFE70-\uFEFF"
    r"\uAC00-\uD7A3\u1100-\u11FF\u3130-\u318F\uFF01\uFF0c\uFF1A\uFF1B\uFF1F]"
)
"""`api_allowed_filter` as V2 ships it, to the letter: a user who has it never chose one."""


class Section(BaseModel):
    """Settings that belong together. Immutable; keys it does not know are kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        populate_by_name=True,
    )


class Theme(Section):
    """How the settings pages look."""

    file: str | None = None
    """A file with a Gradio theme."""
    class_: Annotated[str, Field(alias="class")] = "gradio/base"
    """A Gradio theme by its name."""


class RvcSettings(Section):
    """Voice conversion, where a request does not say otherwise."""

    rvc_enabled: bool = False
    """Convert voices at all."""
    rvc_char_model_file: str = "Disabled"
    """Voice that the character is converted to, as `/api/rvcvoices` lists it, or `Disabled`."""
    rvc_narr_model_file: str = "Disabled"
    """Voice that the narrator is converted to, or `Disabled`."""
    split_audio: bool = True
    """Convert long sound in pieces, cut where it is quiet."""
    autotune: bool = False
    """Snap the pitch to the notes of the scale."""
    pitch: Semitones = 0
    """Semitones that a converted voice is moved by."""
    filter_radius: Annotated[int, Field(ge=0, le=7)] = 3
    """Median filter over the pitch, so many frames of 10 ms to each side; below 3: none."""
    index_rate: Ratio = 0.75
    """How far the voice's index draws the timbre towards it; 0: not at all."""
    rms_mix_rate: Ratio = 1
    """Whose loudness is heard: 0: the spoken sound's, 1: the converted sound's."""
    protect: Annotated[float, Field(ge=0, le=0.5)] = 0.5
    """How far consonants and breath keep clear of the conversion; 0.5: not specially."""
    hop_length: Annotated[int, Field(ge=1, le=512), Unused("belonged to one old pitch method")] = (
        130
    )
    """Step of the pitch analysis, samples."""
    f0method: F0Method = "fcpe"
    """How the pitch (f0) is found: rmvpe, or autocorrelation, which needs no file; fcpe, crepe and
    crepe-tiny where their packages are installed. What is missing is done by one of the first two.
    """
    embedder_model: Literal["hubert", "contentvec"] = "hubert"
    """The model that hears what is said."""
    training_data_size: Annotated[int, Unused("the index is used as it was made")] = 45000
    """Points of an index that is trained again."""


class Tgwui(Section):
    """Defaults of the extension for text-generation-webui."""

    tgwui_activate_tts: bool = True
    """Speak the answers."""
    tgwui_autoplay_tts: bool = True
    """Play them as they come."""
    tgwui_narrator_enabled: NarratorChoice = "false"
    """Use a narrator: `true`, `false`, or `silent` to leave the narration out."""
    tgwui_non_quoted_text_is: OutsideChoice = "character"
    """Who speaks text inside neither quotes nor asterisks."""
    tgwui_deepspeed_enabled: bool = False
    """Ask the engine for DeepSpeed."""
    tgwui_language: str = "English"
    """The language by its English name."""
    tgwui_lowvram_enabled: bool = False
    """Ask the engine to rest outside the graphics card's memory."""
    tgwui_pitch_set: Semitones = 0
    """Pitch, semitones."""
    tgwui_temperature_set: Annotated[float, Field(ge=0, le=2)] = 0.75
    """How freely the model draws."""
    tgwui_repetitionpenalty_set: Annotated[float, Field(ge=1, le=20)] = 10
    """How much the model avoids repeating itself."""
    tgwui_generationspeed_set: Annotated[float, Field(ge=0.25, le=4)] = 1
    """Speed, 1 = as the voice speaks."""
    tgwui_narrator_voice: str = "female_01.wav"
    """The narrator's voice."""
    tgwui_show_text: bool = True
    """Show the text under the player."""
    tgwui_character_voice: str = "female_01.wav"
    """The character's voice."""
    tgwui_rvc_char_voice: str = "Disabled"
    """Voice that the character is converted to, or `Disabled`."""
    tgwui_rvc_char_pitch: Semitones = 0
    """Semitones that it is moved by."""
    tgwui_rvc_narr_voice: str = "Disabled"
    """Voice that the narrator is converted to, or `Disabled`."""
    tgwui_rvc_narr_pitch: Semitones = 0
    """Semitones that it is moved by."""


class ApiDef(Section):
    """What `/api` assumes where a request leaves a field out."""

    api_port_number: Port = 7851
    """Port of the server (`server.port` wins)."""
    api_allowed_filter: CharacterFilter = V2_FILTER
    """Regular expression of characters that the filters remove. V2's own stands for AllTalk's
    better one, which keeps letters of every script and what changes the meaning; at most 2000
    characters, no repeated group."""
    api_length_stripping: Annotated[int, Field(ge=0, le=20)] = 3
    """With `speech.narration` `v2`: narrated parts of this many characters or fewer are dropped."""
    api_max_characters: Annotated[int, Field(ge=1, le=10_000_000)] = 2000
    """Longest text of a request to `/api`, characters."""
    api_use_legacy_api: bool = False
    """Answer with whole addresses (`http://host:port/audio/…`), as V1 did."""
    api_legacy_ip_address: Filled = "127.0.0.1"
    """The host in those addresses."""
    api_text_filtering: TextFilterName = "standard"
    """How text is cleaned before it is spoken."""
    api_narrator_enabled: NarratorChoice = "false"
    """Use a narrator: `true`, `false`, or `silent` to leave the narration out."""
    api_text_not_inside: OutsideChoice = "character"
    """Who speaks text inside neither quotes nor asterisks."""
    api_language: Language = "en"
    """Language code, or `auto` to have it detected."""
    api_output_file_name: FileName = "myoutputfile"
    """Name of a finished file, without its ending."""
    api_output_file_timestamp: bool = True
    """Make the name unique; otherwise each file replaces the last."""
    api_autoplay: bool = False
    """Play the sound at the server itself."""
    api_autoplay_volume: Annotated[float, Field(ge=0.1, le=1)] = 0.5
    """How loud."""


class Debugging(Section):
    """More in the log about one part of the program."""

    debug_transcode: bool = False
    """Encoding."""
    debug_tts: bool = False
    """Engines and the waiting line."""
    debug_openai: bool = False
    """The OpenAI routes."""
    debug_concat: bool = False
    """Joining segments."""
    debug_tts_variables: bool = False
    """What each engine is told."""
    debug_rvc: bool = False
    """Voice conversion."""
    debug_func: Annotated[bool, Unused("a profiler tells more")] = False
    """Names of called functions."""
    debug_api: bool = False
    """The `/api` routes."""
    debug_fullttstext: bool = False
    """The texts themselves, as `server.log_text` does."""
    debug_narrator: bool = False
    """Narration."""
    debug_gradio_IP: bool = False
    """Where the settings pages listen."""
    debug_transcribe: Annotated[bool, Unused("belonged to a tool that is not part of this")] = False
    """Transcription."""
    debug_proxy: Annotated[bool, Unused("there is no built-in proxy")] = False
    """The proxy."""


class GradioPages(Section):
    """Which of the settings pages are shown."""

    Generate_Help_page: bool = True
    """Help on generating speech."""
    Voice2RVC_page: bool = True
    """Converting a recording."""
    TTS_Generator_page: bool = True
    """The generator for long texts."""
    TTS_Engines_Settings_page: bool = True
    """Engines."""
    alltalk_documentation_page: bool = True
    """Documentation."""
    api_documentation_page: bool = True
    """Documentation of the API."""


_NO_PROXY = Unused("put a reverse proxy such as Caddy or nginx in front")


class GradioEndpoint(Section):
    """The settings pages behind V2's TLS proxy."""

    enabled: Annotated[bool, _NO_PROXY] = False
    """Offer it."""
    external_port: Annotated[Port, _NO_PROXY] = 444
    """Port."""
    external_ip: Annotated[str, _NO_PROXY] = "0.0.0.0"
    """Address."""
    cert_name: Annotated[str, _NO_PROXY] = ""
    """Certificate."""


class ApiEndpoint(GradioEndpoint):
    """The API behind V2's TLS proxy."""

    external_port: Annotated[Port, _NO_PROXY] = 443
    """Port."""


class ProxySettings(Section):
    """V2's TLS proxy, with its `gradio_endpoint` and `api_endpoint`; there is none here."""

    proxy_enabled: Annotated[bool, _NO_PROXY] = False
    """Use the proxy."""
    start_on_startup: Annotated[bool, _NO_PROXY] = False
    """Start it with the server."""
    gradio_endpoint: GradioEndpoint = GradioEndpoint()
    api_endpoint: ApiEndpoint = ApiEndpoint()
    cert_validation: Annotated[bool, _NO_PROXY] = True
    """Check certificates."""
    logging_enabled: Annotated[bool, _NO_PROXY] = True
    """Keep a log."""
    log_level: Annotated[str, _NO_PROXY] = "INFO"
    """How much."""


class Server(Section):
    """Where the server listens, what it logs, how it stops."""

    host: Filled = "127.0.0.1"
    """Address to listen at; `0.0.0.0` lets other machines in."""
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port; null: `api_def.api_port_number`; 0: any that is free."""
    listen_gradio_port: bool = False
    """Also listen at `gradio_port_number`, where V2 had its settings pages; `/` is `/ui` there."""
    log_level: LogLevel = "info"
    """How much is logged."""
    log_format: Literal["text", "json"] = "text"
    """Lines for people, or for programs."""
    log_text: bool = False
    """Log the texts that are spoken. They may be private."""
    drain_s: Seconds = 10
    """How long running requests may go on when the server is told to stop, or their engine is
    changed, seconds."""
    cors_allow_origins: Texts = ("*",)
    """Web pages that may use the server: `*`: any; else their origins, `https://example.com`."""
    allowed_hosts: Texts = ()
    """Names, besides its addresses and its own, that the server is asked for by: a reverse
    proxy's. `*.example.com`: all below; `*`: any."""
    api_keys: ApiKeys = ()
    """Keys that callers must have, kept as hashes (`alltalk keys add` makes them); none: everybody
    may call."""


class Speech(Section):
    """How text becomes speech."""

    engine: str = ""
    """The engine that speaks where a request names none; empty: the best one that is installed."""
    model: str = ""
    """Its model; empty: its own choice."""
    narration: Literal["better", "v2"] = "better"
    """How narration is read: `better` knows all quotation marks and drops nothing, `v2` does as
    V2 did, to the letter."""
    pause_s: Annotated[float, Field(ge=0, le=10)] = 0.12
    """Silence between sentences of one speaker, seconds."""
    role_pause_s: Annotated[float, Field(ge=0, le=10)] = 0.3
    """Silence where the speaker changes, seconds."""
    first_chars: Annotated[int, Field(ge=1, le=10_000)] = 120
    """Longest first utterance, characters: short, so that sound comes soon."""
    max_chars: Annotated[int, Field(ge=20, le=10_000)] = 300
    """Longest utterance, characters; an engine may set a lower limit."""
    max_text_chars: Annotated[int, Field(ge=1)] | None = 4096
    """Longest text of a request to `/v1`, characters; null: no limit."""
    bad_takes: Annotated[int, Field(ge=0, le=10)] = 2
    """How often an utterance is spoken again when its engine finds that the sound cannot be its
    text: it stopped early, runs on, or repeats itself."""
    strict_streaming: bool = False
    """Refuse to stream with an engine that cannot, as V2 did; otherwise each utterance is sent
    as it is finished."""
    default_format: StreamFormat = "mp3"
    """Format of `/v1/audio/speech` where a request names none."""
    served_model_name: Filled = "tts-1"
    """What `/v1` calls the current engine and model."""
    default_voice: str = ""
    """Voice of a request to `/v1` that names none; empty: the engine's default."""


class Admission(Section):
    """How much may wait before more is refused with 429."""

    max_waiting_requests: Annotated[int, Field(ge=1)] = 256
    """Requests."""
    max_waiting_chars: Annotated[int, Field(ge=1)] = 2_000_000
    """Characters of their texts together."""
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    """How long a request may take in all, seconds; null: as long as it needs."""


class Cache(Section):
    """Answers that are kept, to be given again to equal requests."""

    enabled_v1: bool = True
    """Keep answers of `/v1/audio/speech`."""
    enabled_api: bool = False
    """Keep answers of `/api/tts-generate`."""
    ttl_minutes: Annotated[float, Field(ge=0)] = 10080
    """How long an answer is kept, minutes; 0: nothing is."""
    folder: str = ""
    """Where; empty: `.cache` in the output folder."""
    max_mb: Annotated[int, Field(ge=1)] = 1024
    """Size of them all, MB; beyond it those unused for longest go."""
    memory_mb: Annotated[int, Field(ge=0)] = 16
    """Of these, how much is kept in memory too, MB."""


class Voices(Section):
    """Clips that callers send: voices to keep, and of one request."""

    max_upload_mb: Annotated[int, Field(ge=1, le=2048)] = 50
    """Largest file, MB."""
    max_clip_s: Annotated[float, Field(gt=0)] = 300
    """Longest clip, seconds; an engine uses the first 30 or fewer."""


class ConversionSection(Section):
    """Where voices are converted (RVC), and how much memory that may take."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """`cpu`, `cuda`, `cuda:1`; auto: a graphics card where there is one."""
    half: bool = False
    """Half precision: faster where the hardware has it, a little less exact."""
    memory_mb: Annotated[int, Field(ge=1)] = 1024
    """Memory of voices kept loaded, MB; beyond it those unused for longest go."""
    max_upload_mb: Annotated[int, Field(ge=1, le=4096)] = 600
    """Largest file of an uploaded voice, unpacked, MB."""
    pitch_low_hz: Annotated[float, Field(ge=30, le=1000)] = 50
    """Lowest pitch that is looked for, Hz."""
    pitch_high_hz: Annotated[float, Field(ge=60, le=2000)] = 1100
    """Highest pitch that is looked for, Hz; at least 1.5 times the lowest."""


class Documents(Section):
    """Long texts that are kept, line by line, with what was spoken of them."""

    max_documents: Annotated[int, Field(ge=1)] = 200
    """How many are kept; beyond it a new one is refused until one is deleted."""
    max_characters: Annotated[int, Field(ge=1)] = 3_000_000
    """Characters of one; a long novel has a million."""


class Presence(Section):
    """Telling a Redis server that this server is there, for routers that choose among several."""

    redis_url: str = ""
    """Its address, `redis://host:6379/0`; empty: nobody is told. Needs the extra `redis`."""
    node_id: str = ""
    """Name of this server in it; empty: the machine's name and the port."""
    node_host: str = ""
    """Where others reach this server; empty: the machine's name."""
    node_port: Port | None = None
    """And at which port; null: the port that it listens at."""
    interval_s: Annotated[float, Field(ge=0.05, le=3600)] = 0.5
    """Seconds between two messages."""


class Config(Section):
    """All settings."""

    branding: Annotated[str, Unused("the log names its parts itself")] = "AllTalk "
    """Prefix of lines on the console."""
    delete_output_wavs: Retention = "Disabled"
    """Delete finished files after that many days (`7 Days`), or `Disabled`."""
    gradio_interface: bool = True
    """Offer the settings pages."""
    output_folder: Filled = "outputs"
    """Folder of finished files, in the home unless it is a whole path."""
    gradio_port_number: Port = 7852
    """Port of the settings pages' own, beside `/ui` (`server.listen_gradio_port`)."""
    firstrun_model: Annotated[bool, Unused("the first start asks nothing")] = True
    """Choose a model at the first start."""
    firstrun_splash: Annotated[bool, Unused("the first start asks nothing")] = True
    """Show a greeting at the first start."""
    launch_gradio: bool = True
    """Load the settings pages once the server is ready; otherwise at the first visit."""
    transcode_audio_format: FileFormat = "Disabled"
    """Format of finished files: wav, mp3, opus, aac, flac, m4a, ogg or vorbis (= ogg);
    `Disabled`: wav."""
    theme: Theme = Theme()
    rvc_settings: RvcSettings = RvcSettings()
    tgwui: Tgwui = Tgwui()
    api_def: ApiDef = ApiDef()
    debugging: Debugging = Debugging()
    gradio_pages: GradioPages = GradioPages()
    proxy_settings: ProxySettings = ProxySettings()
    server: Server = Server()
    speech: Speech = Speech()
    admission: Admission = Admission()
    cache: Cache = Cache()
    voices: Voices = Voices()
    conversion: ConversionSection = ConversionSection()
    documents: Documents = Documents()
    presence: Presence = Presence()

    @property
    def port(self) -> int:
        """Port that the server listens at; 0: any that is free."""
        return self.api_def.api_port_number if self.server.port is None else self.server.port

    @property
    def retention_days(self) -> float | None:
        """Days that finished files are kept; None: for ever."""
        return retention_days(self.delete_output_wavs)

    @property
    def file_format(self) -> AudioFormat:
        """Format of finished files."""
        names = {"Disabled": "wav", "vorbis": "ogg"}
        return FORMATS[names.get(self.transcode_audio_format, self.transcode_audio_format)]


def settings(section: type[Section] = Config) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key with its path (`("theme", "class")`), a section's own keys before its sections."""
    nested = []
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        if (below := subsection(field)) is None:
            yield (name,), field
        else:
            nested += [((name, *path), inner) for path, inner in settings(below)]
    yield from nested


def subsection(field: FieldInfo) -> type[Section] | None:
    """The section that is this field's value; None for a setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def meanings(section: type[Section]) -> Mapping[str, str]:
    """The text under each of the section's settings, by key.

    Read from the source when asked for: doing it at import would take 50 ms.
    """
    found: dict[str, str] = {}
    for kind in reversed(section.__mro__[: section.__mro__.index(Section)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, below in zip(body.body, body.body[1:], strict=False):
            match line, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    key = section.model_fields[name].alias or name
                    found[key] = inspect.cleandoc(text).replace("\n", " ")
    return found
