from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import alltalk
from alltalk.engine import BatchEngine, Engine, Place
from alltalk.errors import (
    ConfigError,
    LoadFailed,
    OutOfMemory,
    StorageError,
    UnknownEngine,
    UnknownLanguage,
    UnknownModel,
)
from alltalk.home import Home
from alltalk.registry import Registry

QUIET = """
from alltalk.engine import Capabilities

class Quiet:
    capabilities = Capabilities()
    def __init__(self, *given): self.given = given
    def voices(self): return []
    def synthesize(self, utterance): yield from ()
    def close(self): pass

def load(folder, model, place, settings):
    return Quiet(folder, model, place, settings)
"""


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def put(home):
    """`put(name, code, sections)` puts an engine's folder into the home."""

    def write(name: str, code: str | None = QUIET, sections: object = None) -> Path:
        folder = home.engines / name
        folder.mkdir(exist_ok=True)
        if code is not None:
            (folder / "engine.py").write_text(code)
        if sections is not None or code is not None:
            (folder / "model_settings.json").write_text(json.dumps(sections or {}))
        return folder

    return write


def load(home, name, **settings):
    return Registry(home).load(name, name, Place(), settings)


def test_the_built_in_engines_are_there_in_an_empty_home(home):
    registry = Registry(home)
    assert "espeak" in registry.names()
    assert registry.manifest("espeak").display_name == "eSpeak NG"
    assert isinstance(registry.load("espeak", "espeak", Place(), {}), Engine)
    assert isinstance(registry.load("tone", "tone-a", Place(), {"slots": 2}), BatchEngine)


def test_hidden_engines_are_named_only_when_asked_for(home):
    registry = Registry(home)
    assert "tone" not in registry.names()
    assert "tone" in registry.names(hidden=True)
    with pytest.raises(UnknownEngine) as refusal:
        registry.manifest("nobody")
    assert "espeak" in str(refusal.value)
    assert "tone" not in str(refusal.value)


def test_listing_engines_imports_none_of_them(home, put):
    put("loud", code="raise SystemExit('imported')")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from alltalk.home import Home\nfrom alltalk.registry import Registry\n"
        f"registry = Registry(Home(Path({str(home.root)!r})))\n"
        "[(registry.models(n), registry.missing(n)) for n in registry.names(hidden=True)]\n"
        "print([m for m in sys.modules if m.startswith('alltalk.engines.')])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.stdout == "[]\n", child.stderr


def test_an_engine_in_the_home_is_loaded_with_its_settings(home, put):
    folder = put("mine", sections={"settings": {"temperature_set": "0,5", "kept": 1}})
    engine = load(home, "mine", temperature_set=0.9)
    assert engine.given == (folder, "mine", Place(), {"temperature_set": 0.9, "kept": 1})
    assert type(engine).__module__ == "alltalk.engines.mine.engine"


def test_an_engine_in_the_home_may_have_modules_of_its_own(home, put):
    folder = put("parts", code=QUIET + "\nfrom .words import WORDS\n")
    (folder / "words.py").write_text("WORDS = 3")
    (folder / "__init__.py").write_text("HERE = True")
    load(home, "parts")
    assert sys.modules["alltalk.engines.parts"].HERE


def test_code_that_would_hide_a_built_in_engine_is_a_problem(home, put):
    put("espeak")
    registry = Registry(home)
    assert "espeak is already in" in registry.problems["espeak"]
    assert registry.manifest("espeak").display_name == "eSpeak NG"


def test_two_homes_with_different_code_of_one_name_do_not_meet(home, put, tmp_path):
    put("twice")
    load(home, "twice")
    other = Home(tmp_path / "other")
    (tmp_path / "other" / "engines").mkdir(parents=True)
    (home.engines / "twice").rename(other.engines / "twice")
    with pytest.raises(LoadFailed, match="already imported"):
        load(other, "twice")


def test_settings_for_a_built_in_engine_hide_none_of_its_code(home, put):
    put("espeak", code=None, sections={"settings": {"def_character_voice": "German"}})
    registry = Registry(home)
    manifest = registry.manifest("espeak")
    assert not registry.problems
    assert manifest.settings["def_character_voice"] == "German"
    assert manifest.settings["def_narrator_voice"]
    assert manifest.openai_voices["alloy"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": 1}', '{"alltalk": 1}'])
def test_a_broken_manifest_is_a_problem_of_its_folder_alone(home, put, content):
    put("good")
    (put("bad") / "model_settings.json").write_text(content)
    registry = Registry(home)
    assert "good" in registry.names()
    assert "bad" not in registry.names()
    assert str(home.engines / "bad") in registry.problems["bad"]


def test_a_broken_file_of_settings_leaves_the_built_in_engine_as_it_is(home, put):
    folder = put("espeak", code=None, sections={"settings": {"pitch_set": "high"}})
    registry = Registry(home)
    assert registry.manifest("espeak").settings["pitch_set"] == 0
    assert str(folder) in registry.problems["espeak"]
    assert "pitch_set" in registry.problems["espeak"]


def test_settings_without_any_code_are_a_problem(home, put):
    put("f5tts", code=None, sections={"settings": {}})
    assert "no engine.py" in Registry(home).problems["f5tts"]


def test_a_name_that_is_no_module_name_is_a_problem(home, put):
    put("My-Engine")
    registry = Registry(home)
    assert "My-Engine" not in registry.names()
    assert "lower-case" in registry.problems["My-Engine"]


def test_a_folder_without_code_or_settings_is_nobodys_business(home):
    (home.engines / "notes").mkdir()
    (home.engines / ".cache").mkdir()
    assert not Registry(home).problems


def test_a_new_folder_is_seen_at_the_next_scan(home, put):
    registry = Registry(home)
    put("late")
    assert "late" not in registry.names()
    registry.rescan()
    assert "late" in registry.names()


def test_a_package_names_itself_as_an_entry_point(home, tmp_path, monkeypatch):
    site = tmp_path / "site"
    folder = site / "quiet_package" / "quiet"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    (folder / "engine.py").write_text(QUIET)
    (folder / "model_settings.json").write_text('{"alltalk": {"display_name": "Quiet"}}')
    about = site / "quiet_package-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: quiet-package\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[alltalk.engines]\nquiet = quiet_package.quiet\ngone = not_there\n"
    )
    monkeypatch.syspath_prepend(str(site))
    registry = Registry(home)
    assert registry.manifest("quiet").display_name == "Quiet"
    assert "quiet_package" not in sys.modules
    assert "not_there" in registry.problems["gone"]
    assert registry.load("quiet", "quiet", Place(), {}).given[0] == home.engines / "quiet"


MODELS = {
    "alltalk": {
        "models": {
            "fixed": ["built in"],
            "files": ["config.json", "voice/vocab.json"],
            "any_of": [["model.pth", "*.safetensors"]],
            "labels": ["x - {name}", "y - {name}"],
        }
    }
}


def test_models_are_the_fixed_ones_and_the_complete_folders(home, put):
    models = put("models", sections=MODELS) / "models"
    for name, files in {
        "b": ("config.json", "voice/vocab.json", "one.safetensors"),
        "a {0}": ("config.json", "voice/vocab.json", "model.pth"),
        "no weights": ("config.json", "voice/vocab.json", "model.txt"),
        "no vocab": ("config.json", "model.pth"),
    }.items():
        for file in files:
            (models / name / file).parent.mkdir(parents=True, exist_ok=True)
            (models / name / file).touch()
    (models / "stray.pth").touch()
    registry = Registry(home)
    labels = ("built in", "x - a {0}", "y - a {0}", "x - b", "y - b")
    assert registry.models("models") == labels
    assert registry.model_folder("models", "y - b") == models / "b"
    assert registry.model_folder("models", "built in") is None
    with pytest.raises(UnknownModel, match="x - no vocab"):
        registry.load("models", "x - no vocab", Place(), {})


def test_no_models_folder_means_no_models_but_the_fixed(home, put):
    put("models", sections=MODELS)
    assert Registry(home).models("models") == ("built in",)


def test_what_an_engine_requires_and_lacks_is_told(home, put):
    ours = {"requires": ["numpy", "no_such_module.part"], "extra": "some"}
    put("needy", sections={"alltalk": ours})
    assert Registry(home).missing("needy") == ("no_such_module.part",)
    with pytest.raises(
        LoadFailed, match=r"needs no_such_module.part: pip install .alltalk\[some\]"
    ):
        load(home, "needy")


@pytest.mark.parametrize(
    ("name", "raised", "error"),
    [
        ("raises1", "ValueError('bad weights')", LoadFailed),
        ("raises2", "SystemExit(1)", LoadFailed),
        ("raises3", "MemoryError()", OutOfMemory),
        ("raises4", "type('OutOfMemoryError', (RuntimeError,), {})('CUDA')", OutOfMemory),
        ("raises5", "UnknownLanguage('xx', 'it', [])", UnknownLanguage),
    ],
)
def test_what_loading_raises_becomes_a_sentence(home, put, name, raised, error):
    imports = "from alltalk.errors import UnknownLanguage\n"
    put(name, code=f"{imports}def load(*given):\n    raise {raised}\n")
    with pytest.raises(error) as failure:
        load(home, name)
    assert str(failure.value)
    assert name == "raises5" or failure.value.__cause__ is not None


@pytest.mark.parametrize(
    ("name", "code", "complaint"),
    [
        ("code1", "import no_such_module_either", "no_such_module_either"),
        ("code2", "def load(:", "SyntaxError"),
        ("code3", "", "load"),
        ("code4", "def load(*given): return 'engine'", "returned str, no engine"),
    ],
)
def test_code_that_is_no_engine_fails_to_load(home, put, name, code, complaint):
    put(name, code=code)
    with pytest.raises(LoadFailed, match=complaint):
        load(home, name)


def test_an_engine_that_failed_to_load_can_be_mended(home, put):
    put("mended", code="raise ValueError('not yet')")
    with pytest.raises(LoadFailed, match="not yet"):
        load(home, "mended")
    put("mended", code=QUIET + "# longer, so that no stale byte code is taken for it\n")
    assert load(home, "mended")


def test_saved_settings_are_there_now_and_after_a_restart(home):
    registry = Registry(home)
    registry.save_settings("espeak", openai_voices={"alloy": "German"})
    manifest = registry.save_settings("espeak", settings={"pitch_set": 3})
    assert manifest.settings["pitch_set"] == 3
    assert manifest.openai_voices["alloy"] == "German"
    assert registry.manifest("espeak") == manifest
    assert Registry(home).manifest("espeak") == manifest
    assert manifest.openai_voices["echo"] == Registry(home).manifest("espeak").openai_voices["echo"]


def test_saving_writes_only_what_is_changed_and_keeps_all_else(home, put):
    sections = {
        "model_capabilties": {"mine": 1},
        "settings": {"temperature_set": "0,75", "unknown": [1]},
        "notes": "žluťoučký",
    }
    folder = put("mine_too", sections=sections)
    Registry(home).save_settings("mine_too", settings={"pitch_set": 1})
    text = (folder / "model_settings.json").read_text(encoding="utf-8")
    sections["settings"]["pitch_set"] = 1
    assert json.loads(text) == {**sections, "openai_voices": {}}
    assert "žluťoučký" in text
    assert [path.name for path in folder.iterdir() if path.suffix != ".py"] == [
        "model_settings.json"
    ]


def test_the_built_in_file_is_not_touched_by_another_home(home):
    built_in = Path(alltalk.__file__).parent.parent / "engines/espeak/model_settings.json"
    before = built_in.read_bytes()
    Registry(home).save_settings("espeak", settings={"pitch_set": 2})
    assert built_in.read_bytes() == before
    own = json.loads((home.engines / "espeak/model_settings.json").read_text())
    assert own["settings"] == {"pitch_set": 2}


def test_a_value_that_does_not_hold_is_not_saved(home):
    registry = Registry(home)
    with pytest.raises(ConfigError, match="temperature_set"):
        registry.save_settings("espeak", settings={"temperature_set": "warm"})
    assert not (home.engines / "espeak").exists()
    assert registry.manifest("espeak") == Registry(home).manifest("espeak")


def test_a_broken_file_is_not_overwritten(home, put):
    file = put("espeak", code=None, sections={}) / "model_settings.json"
    file.write_text("{ my own work")
    with pytest.raises(ConfigError):
        Registry(home).save_settings("espeak", settings={"pitch_set": 1})
    assert file.read_text() == "{ my own work"


def test_a_disk_that_refuses_is_told(home):
    (home.engines / "espeak").write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        Registry(home).save_settings("espeak", settings={"pitch_set": 1})


def test_savers_at_once_lose_nothing(home):
    registry = Registry(home)
    with ThreadPoolExecutor(8) as savers:
        list(
            savers.map(
                lambda n: registry.save_settings("espeak", settings={f"key{n}": n}), range(24)
            )
        )
    saved = Registry(home).manifest("espeak").settings
    assert [saved[f"key{n}"] for n in range(24)] == list(range(24))


def test_engines_inside_the_package_are_found_as_in_a_wheel(tmp_path):
    root = Path(alltalk.__file__).parent.parent
    site = tmp_path / "site"
    for file in (*root.glob("alltalk/*.py"), *root.glob("alltalk/engines/*.py")):
        copy(file, site / file.relative_to(root))
    for file in root.glob("engines/tone/*"):
        if file.is_file():
            copy(file, site / "alltalk" / file.relative_to(root))
    (site / "engines" / "stranger").mkdir(parents=True)
    (site / "engines" / "stranger" / "engine.py").write_text("")
    code = (
        "from pathlib import Path\nfrom alltalk.engine import Place\n"
        "from alltalk.home import Home\nfrom alltalk.registry import Registry\n"
        "registry = Registry(Home(Path('home').resolve()))\n"
        "engine = registry.load('tone', 'tone-a', Place(), {})\n"
        "print(registry.names(hidden=True), type(engine).__module__, dict(registry.problems))"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=site, capture_output=True, text=True)
    assert child.stdout == "('tone',) alltalk.engines.tone.plain {}\n", child.stderr


def copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(file.read_bytes())
