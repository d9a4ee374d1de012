"""Other clients, who speak all the while and notice when they hear what is not theirs."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urljoin

import httpx
from hearing import hear
from live import Live

VOICES = {"tone-110": 110, "tone-300": 300, "tone-500": 500, "tone-700": 700}
PAUSE_S = 0.1
"""Between two requests of one client: a crowd, not a flood, on a machine of two cores."""


@contextmanager
def crowd(live: Live, clients: int = 16) -> Generator[None]:
    """`clients` threads that speak until the block ends; what went wrong for them fails it."""
    over, problems = threading.Event(), []

    def speak(number: int) -> None:
        voice, hz = list(VOICES.items())[number % len(VOICES)]
        with httpx.Client(base_url=live.url, timeout=60) as client:
            while not over.wait(PAUSE_S):
                try:
                    if problem := _wrong(client, voice, hz):
                        problems.append(problem)
                except httpx.HTTPError as error:
                    problems.append(repr(error))

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert problems == [], problems[:5]


def _wrong(client: httpx.Client, voice: str, hz: int) -> str:
    """What was wrong with one request; empty: nothing. `tone-b` speaks an octave higher."""
    form = {"text_input": "one two", "character_voice_gen": voice, "output_file_name": "crowd"}
    answer = client.post("/api/tts-generate", data=form)
    if answer.status_code != 200:
        return f"{answer.status_code}: {answer.text}"
    url = urljoin(str(client.base_url), answer.json()["output_file_url"])
    heard = hear(client.get(url).content).pitches
    return "" if heard in ([hz] * 2, [2 * hz] * 2) else f"{voice} heard {heard}"
