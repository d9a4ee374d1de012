"""AllTalk for text-generation-webui: speaks the answers of a chat with an AllTalk server.

One file on purpose: the web UI loads `script.py` alone, so it can import nothing that lies beside
it, and no data classes, which need a registered module. It needs nothing that the web UI lacks.
"""

from __future__ import annotations

import copy
import html
import http.client
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import gradio as gr
from modules import shared

params = {"display_name": "AllTalk", "is_tab": False}
"""Read by the web UI."""

LONGEST_S = 600.0
"""How long an answer may take to be spoken."""
PROBE_S = 2.0
"""How long to wait for a server that may be down: a chat must not hang on it."""
LANGUAGES = {
    "Detect": "auto",
    "Arabic": "ar",
    "Chinese": "zh-cn",
    "Czech": "cs",
    "Dutch": "nl",
    "English": "en",
    "French": "fr",
    "German": "de",
    "Hindi": "hi",
    "Hungarian": "hu",
    "Italian": "it",
    "Japanese": "ja",
    "Korean": "ko",
    "Polish": "pl",
    "Portuguese": "pt",
    "Russian": "ru",
    "Spanish": "es",
    "Turkish": "tr",
}
DEFAULTS: dict[str, Any] = {
    "tgwui": {
        "tgwui_activate_tts": True,
        "tgwui_autoplay_tts": True,
        "tgwui_show_text": True,
        "tgwui_language": "English",
        "tgwui_character_voice": "female_01.wav",
        "tgwui_narrator_enabled": "false",
        "tgwui_narrator_voice": "female_01.wav",
        "tgwui_non_quoted_text_is": "character",
        "tgwui_rvc_char_voice": "Disabled",
        "tgwui_rvc_char_pitch": 0,
        "tgwui_rvc_narr_voice": "Disabled",
        "tgwui_rvc_narr_pitch": 0,
        "tgwui_generationspeed_set": 1.0,
        "tgwui_pitch_set": 0,
        "tgwui_temperature_set": 0.75,
        "tgwui_repetitionpenalty_set": 10.0,
    },
    "remote_connection": {
        "server_protocol": "http://",
        "server_address": "127.0.0.1:7851",
        "connection_timeout": 5,
        "api_key": "",
    },
}
"""The keys of V2's `tgwui_remote_config.json`, so that its file is read as it is; and ours."""
RANGES = {
    "tgwui_rvc_char_pitch": (-24, 24),
    "tgwui_rvc_narr_pitch": (-24, 24),
    "tgwui_generationspeed_set": (0.25, 2.0),
    "tgwui_pitch_set": (-10, 10),
    "tgwui_temperature_set": (0.1, 1.0),
    "tgwui_repetitionpenalty_set": (1.0, 20.0),
}
"""What the server accepts."""
FIELDS = {
    "character_voice_gen": "tgwui_character_voice",
    "rvccharacter_voice_gen": "tgwui_rvc_char_voice",
    "rvccharacter_pitch": "tgwui_rvc_char_pitch",
    "narrator_enabled": "tgwui_narrator_enabled",
    "narrator_voice_gen": "tgwui_narrator_voice",
    "rvcnarrator_voice_gen": "tgwui_rvc_narr_voice",
    "rvcnarrator_pitch": "tgwui_rvc_narr_pitch",
    "text_not_inside": "tgwui_non_quoted_text_is",
    "speed": "tgwui_generationspeed_set",
    "pitch": "tgwui_pitch_set",
    "temperature": "tgwui_temperature_set",
    "repetition_penalty": "tgwui_repetitionpenalty_set",
}
"""The server's field → our setting."""

_PLAYER = re.compile(r"\A\s*<audio\b[^>]*>.*?</audio>\s*", re.DOTALL)
_THOUGHT = re.compile(r"&lt;think&gt;.*?(&lt;/think&gt;|\Z)", re.DOTALL)
_MARKUP = re.compile(r"<[^<>]*>")
_log = logging.getLogger(__name__)


class Settings:
    """What the user chose, kept in a file beside the script."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._values = copy.deepcopy(DEFAULTS)

    def load(self) -> None:
        """Read the file; a value of a wrong type keeps its default, unknown keys are kept."""
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _log.warning("AllTalk: %s cannot be read, defaults are used: %s", self._file, error)
            return
        self._values = _merged(DEFAULTS, stored)

    def __getitem__(self, key: str) -> Any:
        return self._section(key)[key]

    def change(self, key: str, value: Any) -> None:
        """Set `key` and write the file in one step; a file that cannot be written is told."""
        with self._lock:
            self._section(key)[key] = value
            try:
                _write(self._file, json.dumps(self._values, indent=4, ensure_ascii=False))
            except OSError as error:
                _log.warning("AllTalk: %s was not saved: %s", key, error)

    def number(self, key: str) -> float:
        """A number within the range that the server accepts."""
        low, high = RANGES[key]
        return min(max(self[key], low), high)

    def _section(self, key: str) -> dict[str, Any]:
        return self._values["tgwui" if key.startswith("tgwui_") else "remote_connection"]


class ServerError(Exception):
    """The server cannot be reached, or refused; the text says why."""


class Server:
    """The AllTalk server that the settings name. Each call is a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def ask(self, method: str, path: str, body: Mapping[str, Any] | str = "") -> dict:
        """The JSON object that the server answers to a form, or to JSON text. Raises ServerError.

        A server that is down costs `PROBE_S`; one that speaks has `LONGEST_S`.
        """
        slow = method == "POST"
        content = self._exchange(method, path, body, LONGEST_S if slow else self._patience())
        try:
            answer = json.loads(content)
        except ValueError:
            raise ServerError("the server's answer is not JSON; is it AllTalk?") from None
        if not isinstance(answer, dict):
            raise ServerError("the server's answer is not a JSON object; is it AllTalk?")
        return answer

    def speak(self, text: str, name: str, **fields: Any) -> str:
        """The address of `text` as sound, in the chosen voices. Raises ServerError."""
        if self._exchange("GET", "/api/ready", "", PROBE_S).strip() != b"Ready":
            raise ServerError("no model is loaded yet")
        answer = self.ask("POST", "/api/tts-generate", {**self._fields(text, name), **fields})
        url = answer.get("output_file_url")
        if not isinstance(url, str) or not url:
            raise ServerError(str(answer.get("error") or "the server named no file"))
        if url.startswith(("http://", "https://")):
            return url
        return self.address + (self._signed(url) if self._key() else url)

    def names(self, path: str, key: str) -> list[str]:
        """The list of names under `key`. Raises ServerError."""
        found = self.ask("GET", path).get(key)
        if not isinstance(found, list):
            raise ServerError(f"{path} lists no {key}")
        return [str(each.get("name") if isinstance(each, dict) else each) for each in found]

    @property
    def address(self) -> str:
        """The server as the browser is to find it, without a slash at the end."""
        return self._settings["server_protocol"] + self._host()

    def _signed(self, path: str) -> str:
        """`path` with a token: a player in a page cannot send a key. Raises ServerError."""
        if "?token=" in path:  # the server has seen to it
            return path
        url = self.ask("POST", "/api/tokens", json.dumps({"path": path})).get("url")
        if not isinstance(url, str):
            raise ServerError("the server signed no address for the player")
        return url

    def _key(self) -> str:
        return self._settings["api_key"].strip()

    def _host(self) -> str:
        return self._settings["server_address"].strip().rpartition("://")[2].rstrip("/")

    def _patience(self) -> float:
        return max(1.0, float(self._settings["connection_timeout"]))

    def _fields(self, text: str, name: str) -> dict[str, Any]:
        chosen = self._settings
        return {
            "text_input": text,
            "text_filtering": "html",
            **{
                field: chosen.number(key) if key in RANGES else chosen[key]
                for field, key in FIELDS.items()
            },
            "language": LANGUAGES.get(chosen["tgwui_language"], chosen["tgwui_language"]),
            "output_file_name": re.sub(r"\W", "", name, flags=re.ASCII) or "TTSOUT",
            "output_file_timestamp": "true",
            "autoplay": "false",
            "autoplay_volume": "0.8",
        }

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | str, longest_s: float
    ) -> bytes:
        """The body of the server's answer. Raises ServerError, also for a status of failure."""
        secure = self._settings["server_protocol"] == "https://"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        host, _, prefix = self._host().partition("/")
        content = body if isinstance(body, str) else urlencode(body)
        connection = None
        try:
            connection = kind(host, timeout=PROBE_S)
            connection.connect()
            connection.sock.settimeout(longest_s)
            path = f"/{prefix}{path}" if prefix else path
            connection.request(method, path, content.encode() or None, self._headers(body))
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServerError(f"{self.address} cannot be reached: {error}") from error
        finally:
            if connection is not None:
                connection.close()
        if answer.status >= 400:
            raise ServerError(_complaint(answer.status, said))
        return said

    def _headers(self, body: Mapping[str, Any] | str) -> dict[str, str]:
        kind = "json" if isinstance(body, str) else "x-www-form-urlencoded"
        headers = {"Content-Type": f"application/{kind}"} if body else {}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        return headers


_settings = Settings(Path(__file__).with_name("tgwui_remote_config.json"))
_server = Server(_settings)


def setup() -> None:
    """Called by the web UI once."""
    _settings.load()


def state_modifier(state: dict[str, Any]) -> dict[str, Any]:
    """A streamed answer would be drawn again and again over the player."""
    if _speaks(state):
        state["stream"] = False
    return state


def input_modifier(string: str, state: dict[str, Any], is_chat: bool = False) -> str:
    """The question stays as it is; the chat shows that a voice is coming."""
    if is_chat and _speaks(state):
        shared.processing_message = "*Is recording a voice message...*"
    return string


def output_modifier(string: str, state: dict[str, Any], is_chat: bool = False) -> str:
    """The answer with a player before it; as it is where nothing can or shall be spoken."""
    if not is_chat or not _speaks(state):
        return string
    shared.processing_message = "*Is typing...*"
    text = _PLAYER.sub("", string)
    if not (spoken := spoken_part(text)):
        return string
    try:
        url = _server.speak(spoken, str(state["character_menu"]))
    except ServerError as error:
        _log.warning("AllTalk did not speak: %s", error)
        return string
    player = _player(url, autoplay=_settings["tgwui_autoplay_tts"])
    return f"{player}\n\n{text}" if _settings["tgwui_show_text"] else player


def history_modifier(history: dict[str, Any]) -> dict[str, Any]:
    """The history whose players wait to be asked; all but what is shown stays untouched."""
    return _shown_as(history, lambda text: text.replace("controls autoplay>", "controls>"))


def spoken_part(text: str) -> str:
    """`text`, escaped for HTML, without what is not said aloud: thoughts, pictures, markup."""
    return _MARKUP.sub("", _THOUGHT.sub("", text)).strip()


def ui() -> None:
    """The extension's controls. A server that is down is a line of status: a failure here would
    take the controls of other extensions along."""
    found = _look()
    with gr.Accordion("AllTalk", open=True):
        with gr.Row():
            _box("Speak answers", "tgwui_activate_tts")
            _box("Play them as they come", "tgwui_autoplay_tts")
            _box("Show the text", "tgwui_show_text")
        with gr.Row():
            character = _dropdown("Character", "tgwui_character_voice", found.voices)
            narrator = _dropdown("Narrator", "tgwui_narrator_voice", found.voices)
            model = gr.Dropdown(
                label="Model", choices=found.models, value=found.model, allow_custom_value=True
            )
        with gr.Row():
            _dropdown("Use a narrator", "tgwui_narrator_enabled", ["false", "true", "silent"])
            outside = ["character", "narrator", "silent"]
            _dropdown("Text outside quotes and asterisks", "tgwui_non_quoted_text_is", outside)
            _dropdown("Language", "tgwui_language", list(LANGUAGES))
        with gr.Accordion("Voice conversion and sound", open=False):
            character_rvc = _dropdown("Character's RVC voice", "tgwui_rvc_char_voice", found.rvc)
            _slider("Its pitch", "tgwui_rvc_char_pitch", 1)
            narrator_rvc = _dropdown("Narrator's RVC voice", "tgwui_rvc_narr_voice", found.rvc)
            _slider("Its pitch", "tgwui_rvc_narr_pitch", 1)
            _slider("Speed", "tgwui_generationspeed_set", 0.05)
            _slider("Pitch", "tgwui_pitch_set", 1)
            _slider("Temperature", "tgwui_temperature_set", 0.05)
            _slider("Repetition penalty", "tgwui_repetitionpenalty_set", 0.5)
        _server_controls([character, narrator, character_rvc, narrator_rvc, model], found.status)
        _chat_controls()


class Found(NamedTuple):
    """What the server offers; what is chosen stands for it where the server is down."""

    voices: list[str]
    rvc: list[str]
    models: list[str]
    model: str | None
    status: str


def _look() -> Found:
    try:
        voices = sorted(_server.names("/api/voices", "voices"))
        rvc = _server.names("/api/rvcvoices", "rvcvoices")
        models = _server.names("/api/currentsettings", "models_available")
        model = _server.ask("GET", "/api/currentsettings").get("current_model_loaded")
    except ServerError as error:
        return Found([], [], [], None, f"No server: {error}")
    return Found(voices, rvc, models, model, f"Connected to {_server.address}")


def refreshed() -> list[Any]:
    """Updates of the five lists and the status line."""
    found = _look()
    keys = ("character_voice", "narrator_voice", "rvc_char_voice", "rvc_narr_voice")
    lists = (found.voices, found.voices, found.rvc, found.rvc)
    chosen = [_settings[f"tgwui_{key}"] for key in keys]
    updates = [
        gr.update(choices=choices or [value], value=value)
        for choices, value in zip(lists, chosen, strict=True)
    ]
    return [*updates, gr.update(choices=found.models, value=found.model), found.status]


def _server_controls(lists: list[Any], state: str) -> None:
    """Where the server is, and what it can be told."""
    status = gr.Markdown(state)
    with gr.Row():
        _dropdown("Protocol", "server_protocol", ["http://", "https://"])
        address = gr.Textbox(label="Server", value=_settings["server_address"])
        address.change(_saves("server_address"), address, None)
        key = gr.Textbox(label="API key", value=_settings["api_key"], type="password")
        key.change(_saves("api_key"), key, None)
        gr.Button("Refresh").click(refreshed, None, [*lists, status])
        gr.Button("Stop speaking").click(stopped, None, status)
    with gr.Row():
        gr.Button("Load the model").click(loaded, lists[-1], status)
        deepspeed = gr.Checkbox(label="DeepSpeed", value=False)
        deepspeed.input(_switch("/api/deepspeed?new_deepspeed_value="), deepspeed, status)
        low_vram = gr.Checkbox(label="Low VRAM", value=False)
        low_vram.input(_switch("/api/lowvramsetting?new_low_vram_value="), low_vram, status)
    with gr.Row():
        text = gr.Textbox(label="Try the voices", value='"Hello." *She waves.*')
        heard = gr.HTML()
        gr.Button("Listen").click(previewed, text, [heard, status])


def loaded(model: str) -> str:
    """The status after the server was told to load `model`."""
    return _told("POST", f"/api/reload?tts_method={quote(model or '')}")


def stopped() -> str:
    """The status after the server was told to be silent."""
    return _told("PUT", "/api/stop-generation")


def previewed(text: str) -> tuple[str, str]:
    """A player of `text` in the chosen voices, and the status."""
    fixed = {"text_filtering": "standard", "output_file_timestamp": "false"}
    try:
        url = _server.speak(text, "previewvoice", **fixed)
    except ServerError as error:
        return "", f"Failed: {error}"
    fresh = (
        f"{url}{'&' if '?' in url else '?'}{int(time.time())}"  # else the browser keeps the last
    )
    return _player(fresh, autoplay=True), "Spoken"


def _chat_controls() -> None:
    """A button that takes the players out of a chat, where the web UI offers what that needs."""
    try:
        from modules import chat, ui_chat
        from modules.utils import gradio

        kept = gradio("history", "unique_id", "character_menu", "mode")
        shown, display = gradio(ui_chat.reload_arr), gradio("display")
        save, redraw = chat.save_history, chat.redraw_html
    except (ImportError, AttributeError, KeyError) as error:
        _log.warning("AllTalk: this web UI has no way to remove players from a chat: %s", error)
        return
    history = gradio("history")
    pressed = gr.Button("Remove the players from this chat").click(_silent, history, history)
    pressed.then(save, kept, None).then(redraw, shown, display)


def _silent(history: dict[str, Any]) -> dict[str, Any]:
    """The history without players. Where a text was hidden behind one, it is shown."""
    without = _shown_as(history, lambda text: _PLAYER.sub("", text))
    for shown, meant in zip(without["visible"], without.get("internal", ()), strict=False):
        if not shown[1]:
            shown[1] = html.escape(meant[1])
    return without


def _shown_as(history: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    rows = [[row[0], change(row[1]), *row[2:]] for row in history.get("visible", ())]
    return {**history, "visible": rows}


def _speaks(state: Mapping[str, Any]) -> bool:
    return bool(_settings["tgwui_activate_tts"]) and state.get("character_menu") is not None


def _player(url: str, *, autoplay: bool) -> str:
    return f'<audio src="{html.escape(url)}" controls{" autoplay" if autoplay else ""}></audio>'


def _box(label: str, key: str) -> None:
    box = gr.Checkbox(label=label, value=_settings[key])
    box.change(_saves(key), box, None)


def _dropdown(label: str, key: str, choices: list[str]) -> Any:
    """Any value may stand in it: a list that is not loaded yet must not refuse the stored one."""
    value = _settings[key]
    shown = choices or [value]
    dropdown = gr.Dropdown(label=label, choices=shown, value=value, allow_custom_value=True)
    dropdown.change(_saves(key), dropdown, None)
    return dropdown


def _slider(label: str, key: str, step: float) -> None:
    low, high = RANGES[key]
    slider = gr.Slider(low, high, label=label, value=_settings.number(key), step=step)
    slider.change(_saves(key), slider, None)


def _saves(key: str) -> Callable[[Any], None]:
    def save(value: Any) -> None:
        if value is not None and value != _settings[key]:
            _settings.change(key, value)

    return save


def _switch(path: str) -> Callable[[bool], str]:
    return lambda on: _told("POST", f"{path}{bool(on)}")


def _told(method: str, path: str) -> str:
    """What the server says to an order, as a line of status."""
    try:
        answer = _server.ask(method, path)
    except ServerError as error:
        return f"Failed: {error}"
    return str(answer.get("message") or answer.get("status") or "Done")


def _complaint(status: int, content: bytes) -> str:
    """The server's reason in one line."""
    try:
        answer = json.loads(content)
        return str(answer.get("error") or answer.get("detail") or status)
    except (ValueError, AttributeError):
        return f"status {status}"


def _merged(defaults: Mapping[str, Any], stored: Any) -> dict[str, Any]:
    """`stored` over `defaults`, where the types agree."""
    merged = copy.deepcopy(dict(defaults))
    for key, value in stored.items() if isinstance(stored, dict) else ():
        default = defaults.get(key)
        if isinstance(default, dict):
            merged[key] = _merged(default, value)
        elif default is None or _agree(default, value):
            merged[key] = value
    return merged


def _agree(default: Any, value: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))


def _write(file: Path, text: str) -> None:
    """Make `text` the file's content in one step. Raises OSError; the old file then stays."""
    handle, draft = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text + "\n")
        os.replace(draft, file)
    except OSError:
        os.unlink(draft)
        raise
