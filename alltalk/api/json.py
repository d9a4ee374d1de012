"""JSON answers as raw UTF-8: one client strips every backslash before it parses."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response


class JSONResponse(Response):
    """Compact JSON without ASCII escapes."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200) -> None:
        super().__init__(content, status_code)

    def render(self, content: Any) -> bytes:
        """UTF-8; NaN and infinities are refused, since JSON has none."""
        return json.dumps(
            content, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
