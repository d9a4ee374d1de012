"""Clients that speak all at once, in every way there is, and listen to what they get."""

from __future__ import annotations

import asyncio
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from load import Client, get, post

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))
from hearing import Heard, hear, hear_pcm  # beside the tests, who hear the same way

VOICES = (110, 300, 500, 600, 700, 1000)
"""Hz of the tone engine's `tone-…` voices."""
FORMATS = ("wav", "mp3", "opus", "flac", "aac", "pcm")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and what is to be heard."""

    raw: bytes
    pitches: tuple[int, ...]
    """Hz, one a word."""
    format: str = "wav"
    in_file: bool = False
    """The answer tells the address of a file."""
    any_voice: bool = False
    """Others write the same file: it may be theirs, but whole and of one voice."""


@dataclass(slots=True)
class Tally:
    """What became of many requests."""

    heard: list[tuple[Ask, bytes]] = field(default_factory=list)
    refused: int = 0
    left: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Requests that were sent."""
        return len(self.heard) + self.refused + self.left + len(self.failed)

    @property
    def wrong(self) -> int:
        """Answers that are cut, mixed up or somebody else's; takes milliseconds for each."""
        return len(self.failed) + sum(not is_right(*answer) for answer in self.heard)


async def traffic(port: int, *, clients: int, requests: int, leaving: float) -> Tally:
    """`requests` in all from `clients` at once; the share `leaving` of them is not waited for."""
    tally = Tally()

    async def one(number: int) -> None:
        chance = random.Random(number)
        async with Client(port) as client:
            while tally.total < requests:
                ask = any_ask(chance, number)
                if chance.random() < leaving:
                    tally.left += 1
                    await leave(port, ask.raw, chance.uniform(0.0, 0.03))
                else:
                    await hear_answer(client, ask, tally)

    await asyncio.gather(*(one(number) for number in range(clients)))
    return tally


async def hear_answer(client: Client, ask: Ask, tally: Tally) -> None:
    """Send `ask`, and note what came back."""
    answer = await client.send(ask.raw)
    if answer.status == 200 and ask.in_file:
        answer = await client.send(get(answer.json["output_file_url"]))
    if answer.status == 200:
        tally.heard.append((ask, answer.body))
    elif answer.status == 429:
        tally.refused += 1
    else:
        tally.failed.append(f"{answer.status} {answer.body[:200]!r}")


async def leave(port: int, raw: bytes, after_s: float) -> None:
    """Send a request, and be gone after `after_s` seconds."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    await asyncio.sleep(after_s)
    writer.transport.abort()


def any_ask(chance: random.Random, client: int) -> Ask:
    """One of the ways to ask: each API, each format, a narrator, files of a fixed name."""
    hz = chance.choice(VOICES)
    kind = chance.randrange(5)
    if kind == 0:
        return narrated(hz, chance.choice(VOICES))
    if kind == 1:
        return into_file(f"client-{client}", hz, chance.randint(2, 5))
    if kind == 2:
        return into_file("everyone", hz, 3, any_voice=True)
    if kind == 3:
        return streamed(hz, chance.randint(2, 5))
    return speech(hz, chance.randint(2, 5), chance.choice(FORMATS))


def speech(hz: int, words: int, format: str = "wav") -> Ask:
    """By OpenAI's API, each spoken anew."""
    fields = {"model": "tts-1", "input": _words(words), "voice": f"tone-{hz}", "cache": False}
    raw = post("/v1/audio/speech", {**fields, "response_format": format})
    return Ask(raw, (hz,) * words, format)


def streamed(hz: int, words: int) -> Ask:
    """By V2's streaming."""
    fields = {"text": _words(words), "voice": f"tone-{hz}", "language": "en", "output_file": "s"}
    return Ask(get(f"/api/tts-generate-streaming?{urlencode(fields)}"), (hz,) * words)


def narrated(hz: int, narrator_hz: int) -> Ask:
    """By V2's API: a narrator, then a character."""
    fields = {
        "text_input": '*one two* "three four five"',
        "narrator_enabled": "true",
        "narrator_voice_gen": f"tone-{narrator_hz}",
    }
    return _generate(fields, hz, (narrator_hz,) * 2 + (hz,) * 3)


def into_file(name: str, hz: int, words: int, *, any_voice: bool = False) -> Ask:
    """By V2's API, into a file that is written again and again."""
    fields = {
        "text_input": _words(words),
        "output_file_name": name,
        "output_file_timestamp": "false",
    }
    return _generate(fields, hz, (hz,) * words, any_voice=any_voice)


def is_right(ask: Ask, content: bytes) -> bool:
    """Whether `content` is what was asked for, by ear."""
    try:
        sound = hear_pcm(content) if ask.format == "pcm" else hear(content)
    except (OSError, ValueError):  # nothing that can be decoded
        return False
    return _says(sound, ask)


def _says(sound: Heard, ask: Ask) -> bool:
    heard = [beep.hz for beep in sound.beeps]
    if len(heard) != len(ask.pitches):
        return False
    voices = [(hz,) * len(heard) for hz in VOICES] if ask.any_voice else [ask.pitches]
    return any(
        all(abs(a - b) < 0.05 * b for a, b in zip(heard, voice, strict=True)) for voice in voices
    )


def _generate(
    fields: dict[str, Any], hz: int, pitches: tuple[int, ...], *, any_voice: bool = False
) -> Ask:
    raw = post("/api/tts-generate", {"character_voice_gen": f"tone-{hz}", **fields})
    return Ask(raw, pitches, in_file=True, any_voice=any_voice)


def _words(count: int) -> str:
    return " ".join(["word"] * count)
