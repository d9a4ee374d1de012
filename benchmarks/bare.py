"""The least a server can do: a Starlette route that answers the bytes of a file.

python benchmarks/bare.py PORT FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SOUND = Path(sys.argv[2]).read_bytes()


async def speech(request: Request) -> Response:
    """Read the body as a real route would, answer the sound."""
    await request.json()
    return Response(SOUND, media_type="audio/wav")


async def ready(_: Request) -> Response:
    """Tell that the server is up."""
    return Response()


app = Starlette(routes=[Route("/", ready), Route("/v1/audio/speech", speech, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
