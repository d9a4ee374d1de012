"""The server with the number of its asyncio tasks at `/`, for measuring.

python benchmarks/counted.py PORT HOME
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from alltalk.app import create_app
from alltalk.home import Home

app = create_app(Home(Path(sys.argv[2])), engine="tone")


async def tasks(_: Request) -> PlainTextResponse:
    """The tasks of the event loop, this request's own among them; what is garbage is freed."""
    gc.collect()  # a container of PyAV and its streams hold each other, and a thread
    return PlainTextResponse(str(len(asyncio.all_tasks())))


app.router.routes.insert(0, Route("/", tasks))

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
