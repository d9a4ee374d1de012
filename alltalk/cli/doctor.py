"""`alltalk doctor`: what is installed, what is missing, what to do about it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from alltalk import __version__
from alltalk.cli.options import HomeOption
from alltalk.config_store import ConfigStore
from alltalk.conversion import missing_packages
from alltalk.effects.rvc.files import BASE, list_voices
from alltalk.engine import Manifest
from alltalk.errors import AllTalkError
from alltalk.home import Home
from alltalk.models import better_voice
from alltalk.models.catalogue import catalogue_of
from alltalk.playback import find_player
from alltalk.registry import Registry


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    state: str
    advice: str = ""
    broken: bool = False
    """Nothing can be spoken until it is mended."""


def doctor(home: HomeOption = None) -> None:
    """Check this installation. Exit code 1 when something keeps it from speaking."""
    findings = list(_findings(Home.find(home)))
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        mark = "✗" if finding.broken else ("!" if finding.advice else "✓")
        console.print(f"{mark} {finding.what}: {finding.state}", markup=False)
        if finding.advice:
            console.print(f"    {finding.advice}", markup=False)
    if any(finding.broken for finding in findings):
        raise typer.Exit(1)


def _findings(home: Home) -> Iterator[Finding]:
    yield Finding("AllTalk", f"{__version__}, Python {platform.python_version()} on {sys.platform}")
    yield _folder(home.root)
    yield from _settings(home)
    yield from _engines(Registry(home))
    yield _conversion(home)
    yield _torch()
    yield _speaker()


def _folder(root: Path) -> Finding:
    existing = next(each for each in (root, *root.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        advice = "Give yourself the right to write there, or choose another folder with --home."
        return Finding("Home", f"{root} cannot be written", advice, broken=True)
    free_gb = shutil.disk_usage(existing).free / 1e9
    advice = "Free some space: outputs and models are written here." if free_gb < 1 else ""
    return Finding("Home", f"{root}, {free_gb:.0f} GB free", advice)


def _settings(home: Home) -> Iterator[Finding]:
    try:
        config = ConfigStore(home).current
    except AllTalkError as error:
        yield Finding("Settings", str(error), f"Mend {home.config_file}.", broken=True)
        return
    yield Finding("Settings", str(home.config_file))
    port = config.port
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    advice = "Is AllTalk running already? Otherwise choose another with --port." if taken else ""
    yield Finding("Port", f"{port} is {'in use' if taken else 'free'}", advice)


def _engines(registry: Registry) -> Iterator[Finding]:
    ready = 0
    for name in registry.names():
        finding = _engine(registry, name)
        ready += not finding.advice
        yield finding
    for folder, reason in registry.problems.items():
        yield Finding(f"Engine folder {folder}", reason, "Mend or remove the folder.")
    if advice := better_voice(registry, catalogue_of(registry)):
        yield Finding("Voices", "eSpeak alone, which speaks by rule", advice)
    if not ready:
        yield Finding("Speech", "no engine can speak", "Install AllTalk again.", broken=True)


def _engine(registry: Registry, name: str) -> Finding:
    manifest = registry.manifest(name)
    title = f"Engine {name} ({manifest.display_name})"
    if missing := registry.missing(name):
        return Finding(title, f"not installed: {', '.join(missing)}", _how_to_install(manifest))
    models = registry.models(name)
    if not models:
        folder = registry.folder(name) / manifest.models.folder
        advice = f"See `alltalk models list {name}`, or put a model of your own into {folder}."
        return Finding(title, "installed, no model", advice)
    return Finding(title, f"{len(models)} model{'s' * (len(models) > 1)}: {', '.join(models[:5])}")


def _conversion(home: Home) -> Finding:
    """Nobody needs it, so it is worth advice only once there is a voice to convert to."""
    title, voices = "Voice conversion (RVC)", list_voices(home.rvc_models)
    base = home.rvc_models / BASE
    if missing := missing_packages():
        advice = _install("rvc") if voices else ""
        return Finding(title, f"not installed: {', '.join(missing)}", advice)
    if not any([*base.glob("hubert*"), *base.glob("contentvec*")]):
        advice = "alltalk models install rvc" if voices else ""
        return Finding(title, "installed, without the base models", advice)
    if voices and not _is_switched_on(home):
        advice = f"Set rvc_settings.rvc_enabled to true in {home.config_file}."
        return Finding(title, "switched off", advice)
    return Finding(title, f"{len(voices)} voice{'s' * (len(voices) != 1)}")


def _is_switched_on(home: Home) -> bool:
    try:
        return ConfigStore(home).current.rvc_settings.rvc_enabled
    except AllTalkError:  # told already
        return True


def _how_to_install(manifest: Manifest) -> str:
    if manifest.environment == "own":
        return f"alltalk models install {manifest.name}"
    if manifest.extra:
        return _install(manifest.extra)
    return "Install AllTalk again; its base brings them."


def _install(extra: str) -> str:
    """For the environment that this runs in, which another `pip` on the path may not mean."""
    return f'{subprocess.list2cmdline([sys.executable])} -m pip install "alltalk[{extra}]"'


def _torch() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("PyTorch", "not installed; only engines such as XTTS and VITS need it")
    torch = importlib.import_module("torch")  # takes seconds, and only here

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("PyTorch", f"{torch.__version__}, {', '.join(devices) or 'no GPU'}")


def _speaker() -> Finding:
    player = find_player()
    if player is None:
        return Finding("Player", "none found", "`alltalk say` needs -o FILE here.")
    return Finding("Player", player[0])
