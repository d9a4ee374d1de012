"""A stand-in of text-generation-webui: its loader, its hooks, its Gradio; and of the server."""

from __future__ import annotations

import importlib.util
import inspect
import json
import shutil
import sys
import threading
from collections.abc import Callable, Generator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

FOLDER = Path(__file__).parents[2] / "integrations" / "text-generation-webui" / "alltalk_remote"

COMMON = "visible elem_id elem_classes render key"
FORM = f"{COMMON} label info every show_label container scale min_width interactive"
COMPONENTS = {
    "Accordion": ("label", "open visible elem_id elem_classes render", ""),
    "Row": ("", "variant visible elem_id elem_classes render equal_height", ""),
    "Checkbox": ("value", FORM, "change input select"),
    "Dropdown": (
        "choices",
        f"value type multiselect allow_custom_value max_choices filterable {FORM}",
        "change input select focus blur key_up",
    ),
    "Slider": ("minimum maximum value", f"step randomize {FORM}", "change input release"),
    "Textbox": (
        "value",
        f"lines max_lines placeholder autofocus autoscroll text_align rtl type {FORM}",
        "change input select submit focus blur",
    ),
    "Button": ("value", f"{COMMON} variant size icon link scale min_width interactive", "click"),
    "HTML": ("value", f"{COMMON} label every show_label", "change"),
    "Markdown": ("value", f"{COMMON} label rtl latex_delimiters sanitize_html height", "change"),
}
"""Gradio 4.37: a component's arguments by position and by name, and its events."""


class Component:
    """One that takes the arguments of Gradio 4.37 and no others, and can be operated."""

    def __init__(self, *values: Any, **named: Any) -> None:
        positional, keywords, self._events = COMPONENTS[type(self).__name__]
        given = dict(zip(positional.split(), values, strict=False))
        assert len(values) <= len(positional.split()), f"{type(self).__name__}{values}"
        unknown = named.keys() - {*positional.split(), *keywords.split()}
        assert not unknown, f"{type(self).__name__} has no {unknown} in Gradio 4.37"
        self.values = {**given, **named}
        self._handlers: dict[str, tuple[Callable[..., Any], int]] = {}
        self.gradio.made.append(self)

    def __enter__(self) -> Component:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, event: str) -> Callable[..., Chain]:
        if event not in self._events.split():
            raise AttributeError(f"{type(self).__name__} has no event {event}")

        def listen(fn: Callable[..., Any], inputs: Any = None, outputs: Any = None) -> Chain:
            self._handlers[event] = fn, count(inputs)
            return Chain()

        return listen

    def fire(self, event: str, *values: Any) -> Any:
        """What the handler answers when the user does that."""
        handler, expected = self._handlers[event]
        assert len(values) == expected
        return handler(*values)


class Chain:
    """What registering a handler answers."""

    def then(self, fn: Callable[..., Any], inputs: Any = None, outputs: Any = None) -> Chain:
        return self


def count(components: Any) -> int:
    if components is None:
        return 0
    return len(components) if isinstance(components, list | tuple) else 1


class Gradio(ModuleType):
    """A `gradio` module of version 4.37, as far as extensions use it."""

    def __init__(self) -> None:
        super().__init__("gradio")
        self.made: list[Component] = []
        for name in COMPONENTS:
            setattr(self, name, type(name, (Component,), {"gradio": self}))

    @staticmethod
    def update(**values: Any) -> dict[str, Any]:
        return {**values, "__type__": "update"}

    def labelled(self, text: str) -> Component:
        """The component of that label or caption."""
        return next(
            each
            for each in self.made
            if text in (each.values.get("label"), each.values.get("value"))
        )


class Host:
    """Calls an extension as the web UI does."""

    def __init__(self, extension: ModuleType, gradio: Gradio, shared: ModuleType) -> None:
        self.extension, self.gradio, self.shared = extension, gradio, shared

    def text(self, hook: str, text: str, state: dict[str, Any], is_chat: bool) -> Any:
        """What a hook over text makes of it; the web UI looks at the names of its arguments."""
        function = getattr(self.extension, hook)
        arguments = list(inspect.signature(function).parameters)
        kwargs = {"is_chat": is_chat} if "is_chat" in arguments else {}
        wants_state = len([name for name in arguments if name != "is_chat"]) == 2
        return function(text, state, **kwargs) if wants_state else function(text, **kwargs)


@pytest.fixture
def install(tmp_path: Path) -> Path:
    """The extension, copied to where a user would put it."""
    return Path(shutil.copytree(FOLDER, tmp_path / "user_data" / "extensions" / "alltalk_remote"))


@pytest.fixture
def load(install: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Host]:
    """`load(address)` starts the web UI with the extension, set to that server."""

    def start(address: str = "", **settings: Any) -> Host:
        if address:
            remote = {"server_address": address, "connection_timeout": 60}
            stored = {"remote_connection": remote, "tgwui": settings}
            file = install / "tgwui_remote_config.json"
            file.write_text(json.dumps(stored), encoding="utf-8")
        gradio, shared = Gradio(), ModuleType("modules.shared")
        shared.processing_message = "*Is typing...*"
        modules = host_modules(shared)
        for name, module in {"gradio": gradio, **modules}.items():
            monkeypatch.setitem(sys.modules, name, module)
        extension = import_alone(install / "script.py")
        monkeypatch.setattr(extension, "PROBE_S", 60.0)  # a busy machine is no server that is down
        extension.setup()
        return Host(extension, gradio, shared)

    return start


def host_modules(shared: ModuleType) -> dict[str, ModuleType]:
    names = ("modules", "modules.chat", "modules.ui_chat", "modules.utils")
    modules = {name: ModuleType(name) for name in names} | {"modules.shared": shared}
    modules["modules.chat"].save_history = modules["modules.chat"].redraw_html = print
    modules["modules.ui_chat"].reload_arr = ("history", "name1", "name2")
    modules["modules.utils"].gradio = lambda *keys: keys
    for name in names[1:]:
        setattr(modules["modules"], name.partition(".")[2], modules[name])
    modules["modules"].shared = shared
    return modules


def import_alone(script: Path) -> ModuleType:
    """As the web UI imports a user's extension: by its path, in no package, not registered."""
    spec = importlib.util.spec_from_file_location(f"user_ext_{script.parent.name}", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder(ThreadingHTTPServer):
    """A server that answers as AllTalk does, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.headers: list[Message] = []
        self.answers: dict[str, tuple[int, bytes]] = {
            "/api/ready": (200, b"Ready"),
            "/api/voices": json_of({"voices": ["male_01.wav", "female_01.wav", "Zoë.wav"]}),
            "/api/rvcvoices": json_of({"rvcvoices": ["Disabled", "bob/bob.pth"]}),
            "/api/currentsettings": json_of(
                {"models_available": [{"name": "xtts - v2"}], "current_model_loaded": "xtts - v2"}
            ),
            "/api/tts-generate": json_of({"output_file_url": "/audio/x.wav"}),
            "/api/stop-generation": json_of({"message": "Cancelling"}),
            "/api/reload": json_of({"status": "model-success"}),
            "/api/deepspeed": json_of({"status": "deepspeed-success"}),
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def asked_for(self, path: str) -> list[dict[str, str]]:
        """The fields of each request to `path`."""
        return [fields for _, asked, fields in self.asked if asked == path]


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        fields = dict(
            parse_qsl(f"{url.query}&{body}", strict_parsing=False, keep_blank_values=True)
        )
        self.server.headers.append(self.headers)
        self.server.asked.append((self.command, url.path, fields))
        status, content = self.server.answers.get(url.path, (404, b"{}"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


def json_of(value: object, status: int = 200) -> tuple[int, bytes]:
    return status, json.dumps(value).encode()


@pytest.fixture
def answer() -> Callable[..., tuple[int, bytes]]:
    """`answer(value, status)` is what the stand-in server may be told to answer."""
    return json_of


@pytest.fixture
def server() -> Generator[Recorder]:
    with Recorder() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
