"""A player for what was spoken, and its picture."""

from __future__ import annotations

from alltalk.clips import decode
from alltalk.errors import UnreadableClip
from alltalk.studio import Studio
from alltalk.ui.picture import picture_html
from alltalk.ui.sounds import PATH, Sounds

PLAYABLE = ("wav", "mp3", "opus", "flac")
"""What browsers play while it grows."""
LONGEST_PICTURE_S = 600.0


def player_html(name: str) -> str:
    """A player that begins at once, and a link that saves what it plays."""
    place = f"{PATH}/{name}"
    return (
        f'<audio controls autoplay aria-label="What was spoken" style="width:100%" src="{place}">'
        f'</audio><p><a download href="{place}">Download</a></p>'
    )


async def drawn(studio: Studio, sounds: Sounds, name: str) -> tuple[str, float | None]:
    """The picture of the sound `name`, and its seconds; none of what is too long to be drawn.

    Raises NotFound.
    """

    def draw() -> tuple[str, float]:
        with sounds.path(name).open("rb") as file:
            audio = decode(file, name, LONGEST_PICTURE_S)
        return picture_html(audio), audio.seconds

    try:
        return await studio.run(draw)
    except UnreadableClip:
        return "", None
