"""`alltalk bench`: what it measures, what it prints, and what it refuses."""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alltalk import bench
from alltalk.bench import Load, Report, measure
from alltalk.bench.plot import check_plot, plot
from alltalk.errors import BadValue, SynthesisFailed
from alltalk.figures import Figures
from alltalk.home import Home
from alltalk.product import build, running
from alltalk.registry import Registry
from alltalk.speech import SpeechRequest

WORDS = "one two three four five"
"""0.4 s of the tone engine's beeps."""


@pytest.fixture
async def service(tmp_path):
    product = build(Home(tmp_path), engine="tone")
    async with running(product):
        await measure(product.service, SpeechRequest(WORDS), clients=1, seconds=0.0)
        yield product.service


class Clock:
    """Whoever looks moves it on by a tenth of a second."""

    def __init__(self) -> None:
        self._looks = itertools.count()

    def perf_counter(self) -> float:
        return next(self._looks) / 10


async def test_each_client_asks_again_as_soon_as_it_was_answered(service, monkeypatch):
    monkeypatch.setattr(bench, "time", Clock())
    load = await measure(service, SpeechRequest(WORDS), clients=3, seconds=10.0)
    assert load.clients == 3
    assert load.requests > 3
    assert load.requests_per_s <= load.requests


async def test_each_client_asks_at_least_once(service):
    load = await measure(service, SpeechRequest(WORDS), clients=2, seconds=0.0)
    assert load.requests == 2


async def test_sound_is_measured_in_seconds_spoken(service):
    load = await measure(service, SpeechRequest(WORDS), clients=1, seconds=0.2)
    spoken_s = load.audio_per_s / load.requests_per_s
    assert spoken_s == pytest.approx(0.4, abs=0.03)
    assert load.rtf == pytest.approx(load.request_p50_s / spoken_s, rel=0.01)
    assert 0 < load.first_audio_p50_s <= load.request_p50_s <= load.request_p95_s


async def test_an_engine_that_fails_ends_the_measurement_with_its_reason(tmp_path):
    folder = tmp_path / "engines" / "tone"
    folder.mkdir(parents=True)
    (folder / "model_settings.json").write_text('{"settings": {"faults": true}}')
    product = build(Home(tmp_path), engine="tone")
    async with running(product):
        await product.service.pool.ready()
        with pytest.raises(SynthesisFailed, match="boom"):
            await measure(product.service, SpeechRequest("one boom"), clients=4, seconds=5.0)


def alltalk(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alltalk", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_one_engine_is_measured_and_told_as_json(tmp_path):
    run = alltalk(
        *("bench", "--home", str(tmp_path), "--engine", "tone", "--voice", "low", "--json"),
        *("--clients", "1,3", "--seconds", "0.1", "--text", WORDS),
    )
    told = json.loads(run.stdout)
    assert told["cores"] >= 1
    (report,) = (Report.of(each) for each in told["engines"])
    assert (report.engine, report.model, report.voice) == ("tone", "tone-a", "low")
    assert [load.clients for load in report.loads] == [1, 3]
    assert report.memory_mb is None or report.memory_mb > 20
    assert json.loads(json.dumps(report.as_dict())) == told["engines"][0]


BENCH = """
from alltalk.errors import OutOfMemory
from alltalk.figures import Figures


def bench(folder, model, place, settings):
    yield Figures(f"{model} on {place.device}", ("", "beeps"), (("low", settings["beeps"]),))
    if settings["beeps"] > 8:
        raise (ZeroDivisionError if settings["beeps"] == 9 else SystemExit)("too many beeps")
"""


def a_home_whose_engine_measures_itself(home: Path, beeps: int) -> None:
    folder = home / "engines/toot"
    shutil.copytree(Registry(Home(home)).code_folder("tone"), folder)
    manifest = json.loads((folder / "model_settings.json").read_text())
    manifest["settings"]["beeps"] = beeps
    (folder / "model_settings.json").write_text(json.dumps(manifest))
    (folder / "bench.py").write_text(BENCH)


@pytest.mark.timeout(600)  # three programs, one after the other
def test_an_engine_that_measures_itself_adds_its_own_tables(tmp_path):
    a_home_whose_engine_measures_itself(tmp_path, 7)
    asked = ("bench", "--home", str(tmp_path), "--engine", "toot", "--clients", "1")
    asked += ("--seconds", "0", "--text", WORDS)
    shown = alltalk(*asked).stdout
    assert "requests/s" in shown
    assert "tone-a on cpu" in shown.partition("requests/s")[2]
    (told,) = json.loads(alltalk(*asked, "--json").stdout)["engines"]
    expected = Figures("tone-a on cpu", ("", "beeps"), (("low", 7),))
    assert Report.of(told).figures == (expected,)
    assert "tone-a on cpu" not in alltalk(*asked, "--plain").stdout


def test_an_engine_whose_own_measurement_fails_says_why_below_the_common_table(tmp_path):
    a_home_whose_engine_measures_itself(tmp_path, 9)
    asked = ("bench", "--home", str(tmp_path), "--engine", "toot", "--clients", "1")
    run = alltalk(*asked, "--seconds", "0", "--text", WORDS)
    assert run.returncode == 1
    assert "tone-a on cpu" in run.stdout
    assert "could not measure tone-a: ZeroDivisionError: too many beeps" in run.stderr


def test_what_was_measured_before_an_engine_gave_up_is_told_as_json(tmp_path):
    a_home_whose_engine_measures_itself(tmp_path, 10)
    asked = ("bench", "--home", str(tmp_path), "--engine", "toot", "--clients", "1", "--json")
    run = alltalk(*asked, "--seconds", "0", "--text", WORDS)
    assert run.returncode == 1
    assert "could not measure tone-a: SystemExit: too many beeps" in run.stderr
    (report,) = (Report.of(each) for each in json.loads(run.stdout)["engines"])
    assert len(report.loads) == 1
    assert [each.rows for each in report.figures] == [(("low", 10),)]


def test_numbers_are_shown_with_as_many_digits_as_tell_something():
    figures = Figures("Some", ("", "s"), (("a", 0.123), ("b", 12.34), ("c", 1234.5), ("d", None)))
    assert [row[1] for row in figures.texts()] == ["0.12", "12.3", "1234", "-"]
    assert "Some\n\n|  | s |\n| --- | --- |\n| a | 0.12 |" in figures.markdown()


def test_without_an_engine_each_that_can_speak_is_measured_and_the_rest_left_out(tmp_path):
    run = alltalk("bench", "--home", str(tmp_path), "--clients", "1", "--seconds", "0")
    assert run.returncode == 0, run.stderr
    assert "espeak" in run.stdout
    assert "piper" not in run.stdout, "there is no voice in this home"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--clients", "1,x"), "--clients: must be whole numbers"),
        (("--clients", "0"), "--clients: must be whole numbers"),
        (("--voice", "low"), "--voice: needs --engine"),
        (("--plot", "bench.doc"), "--plot: bench.doc must end with"),
        (("--engine", "nobody"), "There is no engine 'nobody'"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(tmp_path, arguments, complaint):
    run = alltalk("bench", "--home", str(tmp_path), *arguments)
    assert run.returncode == 2
    assert complaint in run.stderr


def report(engine: str) -> Report:
    loads = (Load(1, 9, 9.0, 0.1, 0.2, 0.3, 0.4, 0.1, 20.0), Load(8, 9, 3, 2, 3, 4, 5, 0.6, 20.0))
    return Report(engine, "model", "default", 10, 1.0, 200.0, loads)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_reports_are_drawn_into_a_picture(tmp_path):
    file = tmp_path / "bench.png"
    check_plot(file)
    plot([report("espeak"), report("piper")], file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_has_no_folder_to_lie_in_is_refused():
    with pytest.raises(BadValue, match="there is no folder"):
        check_plot(Path("nowhere/bench.png"))


def test_a_picture_that_cannot_be_drawn_is_refused_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BadValue, match=r"alltalk\[bench\]"):
        check_plot(tmp_path / "bench.png")
