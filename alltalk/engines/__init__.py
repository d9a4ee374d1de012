"""Makes each folder of `engines/` importable as `alltalk.engines.<name>`.

In a wheel the folders lie in this package; in a checkout, beside `alltalk/`. Folders of a home
are the registry's business.
"""

from pathlib import Path

_checkout = Path(__file__).resolve().parents[2]
if (_checkout / "pyproject.toml").is_file():  # site-packages may hold anybody's `engines`
    __path__.append(str(_checkout / "engines"))
