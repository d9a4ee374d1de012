"""Started by its path in an engine's environment: makes `alltalk` importable there, then works.

Imports the one package, and not by a folder on `sys.path`: the server's site-packages must not
lend an engine's own environment what that one lacks, or has in another version.
"""

import importlib.util
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def _import_alltalk() -> None:
    spec = importlib.util.spec_from_file_location(
        "alltalk", _PACKAGE / "__init__.py", submodule_search_locations=[str(_PACKAGE)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["alltalk"] = module
    spec.loader.exec_module(module)


# Not under the condition below: a process that an engine spawns imports this file as its main
# module, and finds alltalk no other way.
if "alltalk" not in sys.modules:
    _import_alltalk()

if __name__ == "__main__":
    from alltalk.serving.worker import main

    main()
