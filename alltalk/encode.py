"""Encoders: sound in, the bytes of a file or of a stream out."""

from __future__ import annotations

import importlib
import io
import struct
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from alltalk.audio import Audio, to_pcm16
from alltalk.errors import EncodeFailed
from alltalk.resample import resample
from alltalk.speech import AudioFormat

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream


class Encoder(Protocol):
    """Packs one request's sound. Blocking; fed with one sample rate."""

    def feed(self, audio: Audio) -> bytes:
        """The bytes that are ready. The first sound brings the header; before it there are none."""
        ...

    def finish(self) -> bytes:
        """The last bytes; none when there was no sound. Nothing is fed after it."""
        ...

    def close(self) -> None:
        """Free what an answer holds that nobody will hear to its end; nothing after `finish`."""
        ...


def open_encoder(format: AudioFormat, *, whole: bool = False) -> Encoder:
    """An encoder of `format`, mono.

    Streamed, bytes leave as early as the codec lets them, and the header cannot tell the length.
    `whole`: all bytes come from `finish`, with true lengths in them, for a file.

    All clip to full scale; wav, flac and pcm hold 16-bit samples. A codec that does not know the
    sound's rate takes the next higher one that it knows (opus and ogg: always 48 kHz). mp3, aac and
    m4a frame their sound: streamed, they decode up to 0.1 s longer than what was fed (aac also as
    a file; at 8 kHz 0.2 s), and the first frame is complete after 0.1 to 0.2 s of sound (aac and
    m4a at 8 kHz: 0.4 s).

    Raises EncodeFailed, here and later, where FFmpeg does.
    """
    if format.name in ("wav", "pcm"):
        header = wav_header if format.name == "wav" else _no_header
        return _FromFirstSound(lambda sample_rate: _Samples(sample_rate, header, whole))
    if format.name == "mp3" and not whole:
        return _FromFirstSound(_Lame)
    codec = _CODECS[format.name]
    return _FromFirstSound(lambda sample_rate: _Compressed(codec, sample_rate, whole))


def packed(audio: Audio, format: AudioFormat) -> bytes:
    """All of `audio` as a whole file. Raises EncodeFailed."""
    encoder = open_encoder(format, whole=True)
    fitting = audio if format.sample_rate is None else resample(audio, format.sample_rate)
    return encoder.feed(fitting) + encoder.finish()


def warm() -> None:
    """Load the encoders' libraries now, so that no request waits for them."""
    for library in ("av", "lameenc"):
        importlib.import_module(library)


def wav_header(sample_rate: int, frames: int | None) -> bytes:
    """The 44 bytes before `frames` samples of 16-bit mono PCM.

    None, and more samples than a 32-bit size can say (24 hours at 24 kHz), give sizes of
    0xFFFFFFFF, which players read as "until the end".
    """
    length, riff_length = 0xFFFFFFFF, 0xFFFFFFFF
    if frames is not None and 2 * frames + 36 < 0xFFFFFFFF:
        length, riff_length = 2 * frames, 2 * frames + 36
    form = struct.pack("<4sI4s", b"RIFF", riff_length, b"WAVE")
    pcm, channels, frame_bytes, bits = 1, 1, 2, 16
    layout = (pcm, channels, sample_rate, sample_rate * frame_bytes, frame_bytes, bits)
    return form + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, *layout, b"data", length)


def _no_header(sample_rate: int, frames: int | None) -> bytes:
    return b""


class _FromFirstSound:
    """Opens the encoder when there is something to encode: only then is its rate known."""

    def __init__(self, open_at: Callable[[int], Encoder]) -> None:
        self._open_at = open_at
        self._encoder: Encoder | None = None
        self._sample_rate = 0

    def feed(self, audio: Audio) -> bytes:
        if not len(audio):
            return b""
        if self._encoder is None:
            self._encoder, self._sample_rate = self._open_at(audio.sample_rate), audio.sample_rate
        if audio.sample_rate != self._sample_rate:
            raise ValueError(f"sound at {audio.sample_rate} Hz in a stream of {self._sample_rate}")
        return self._encoder.feed(audio)

    def finish(self) -> bytes:
        return self._encoder.finish() if self._encoder else b""

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()


class _Samples:
    """16-bit little-endian samples, after a header that may be empty."""

    def __init__(
        self, sample_rate: int, header: Callable[[int, int | None], bytes], whole: bool
    ) -> None:
        self._sample_rate = sample_rate
        self._header = header
        self._whole = whole
        self._frames = 0
        self._pcm = bytearray()

    def feed(self, audio: Audio) -> bytes:
        pcm = to_pcm16(audio).tobytes()
        before, self._frames = self._frames, self._frames + len(audio)
        if self._whole:
            self._pcm += pcm
            return b""
        return pcm if before else self._header(self._sample_rate, None) + pcm

    def finish(self) -> bytes:
        return self._header(self._sample_rate, self._frames) + self._pcm if self._whole else b""

    def close(self) -> None:
        self._pcm.clear()


@dataclass(frozen=True, slots=True)
class _Codec:
    """How FFmpeg is to make a format."""

    name: str
    container: str
    rates: tuple[int, ...]
    """Sample rates, Hz, ascending; none: any."""
    bit_rates: Mapping[int, int]
    """From which sample rate on (descending) how many bits a second: speech, one channel."""
    sample_format: str = "fltp"
    options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)
    streamed: Mapping[str, str] = field(default_factory=dict)
    """More options of the container, to make bytes leave early."""
    whole: Mapping[str, str] = field(default_factory=dict)
    """More options of the container, for a file."""

    def rate_for(self, sample_rate: int) -> int:
        """The rate to encode sound of `sample_rate` Hz at."""
        if not self.rates:
            return sample_rate
        return min((rate for rate in self.rates if rate >= sample_rate), default=self.rates[-1])

    def bit_rate_at(self, sample_rate: int) -> int:
        """Bits a second; 0 for a codec that loses nothing."""
        return next((bits for rate, bits in self.bit_rates.items() if sample_rate >= rate), 0)


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS = _Codec(
    "libopus",
    "ogg",
    (48000,),
    {0: 64_000},
    sample_format="flt",
    options={"frame_duration": "20"},
    streamed={"page_duration": "20000"},  # μs; a page holds 1 s otherwise
)
_AAC_BIT_RATES = {32000: 96_000, 16000: 64_000, 0: 32_000}
_CODECS: Mapping[str, _Codec] = {
    "opus": _OPUS,
    "ogg": _OPUS,
    "mp3": _Codec(
        "libmp3lame",
        "mp3",
        _MPEG_RATES,
        {32000: 128_000, 16000: 96_000, 0: 48_000},
        options={"compression_level": "5"},  # LAME's quality, as in a stream
        container_options={"id3v2_version": "0"},
    ),
    "aac": _Codec("aac", "adts", _MPEG_RATES, _AAC_BIT_RATES),
    "m4a": _Codec(
        "aac",
        "ipod",
        _MPEG_RATES,
        _AAC_BIT_RATES,
        # Fragments of 80 ms. The index waits for the first of them, as it then knows how much
        # encoder delay to skip.
        streamed={"movflags": "delay_moov+default_base_moof", "frag_duration": "80000"},
        whole={"movflags": "faststart"},
    ),
    "flac": _Codec(
        "flac",
        "flac",
        (),
        {},
        sample_format="s16",
        container_options={"metadata_header_padding": "0"},  # 8 kB of nothing otherwise
    ),
}


class _Pipe:
    """Where FFmpeg writes a stream: it cannot seek, so nothing is corrected afterwards."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


class _Lame:
    """MP3 as a stream, by LAME itself: a quarter of the time that FFmpeg's way to it takes.

    Without a Xing header, whose length only a file knows.
    """

    def __init__(self, sample_rate: int) -> None:
        import lameenc  # type: ignore[import-not-found]  # it has no types

        codec = _CODECS["mp3"]
        rate = codec.rate_for(sample_rate)
        self._encoder = lameenc.Encoder()
        self._encoder.silence()
        self._encoder.set_channels(1)
        self._encoder.set_in_sample_rate(sample_rate)
        self._encoder.set_out_sample_rate(rate)
        self._encoder.set_bit_rate(codec.bit_rate_at(rate) // 1000)
        self._encoder.set_quality(5)  # LAME's own default is 3: a third slower, for music

    def feed(self, audio: Audio) -> bytes:
        return bytes(self._encoder.encode(to_pcm16(audio).tobytes()))

    def finish(self) -> bytes:
        return bytes(self._encoder.flush())

    def close(self) -> None:
        """It holds nothing but memory."""


class _Compressed:
    """FFmpeg's encoders, in this process, by PyAV."""

    def __init__(self, codec: _Codec, sample_rate: int, whole: bool) -> None:
        import av  # 80 ms, which a server that only sends wav need not spend

        file, pipe = io.BytesIO(), _Pipe()
        self._take = file.getvalue if whole else pipe.take
        self._whole = whole
        self._codec = codec
        self._position = 0
        rate = codec.rate_for(sample_rate)
        options = codec.whole if whole else {**codec.streamed, "flush_packets": "1"}
        with _failing_as(codec.name):
            self._container = av.open(
                file if whole else pipe,
                "w",
                format=codec.container,
                options={**codec.container_options, **options},
                # To move the index to the front (faststart), FFmpeg reads what it has written.
                io_open=lambda *_: io.BytesIO(file.getvalue()),
            )
            added = self._container.add_stream(codec.name, rate, options=dict(codec.options))
            stream = cast("AudioStream", added)
            stream.layout = "mono"
            stream.format = codec.sample_format
            stream.bit_rate = codec.bit_rate_at(rate)
            self._stream: AudioStream | None = stream

    def feed(self, audio: Audio) -> bytes:
        with _failing_as(self._codec.name):
            self._encode(self._frame_of(audio))
        return b"" if self._whole else self._take()

    def finish(self) -> bytes:
        with _failing_as(self._codec.name):
            self._encode(None)
            self._container.close()
        self._stream = None
        return self._take()

    def close(self) -> None:
        # FFmpeg's threads live as long as the stream. An answer that was left is part of reference
        # cycles (its error's frames lead here), so letting go of this encoder is not enough.
        with suppress(EncodeFailed), _failing_as(self._codec.name):
            self._container.close()
        self._stream = None

    def _encode(self, frame: AudioFrame | None) -> None:
        """FFmpeg cuts and resamples `frame` as the codec needs it; None: no more comes."""
        assert self._stream is not None, "an encoder takes nothing after finish or close"
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _frame_of(self, audio: Audio) -> AudioFrame:
        from av import AudioFrame

        if self._codec.sample_format == "s16":  # rounded as in wav
            pcm = to_pcm16(audio).reshape(1, -1)
            frame = AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        else:
            samples = np.clip(audio.samples, -1.0, 1.0).reshape(1, -1)
            frame = AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = audio.sample_rate
        frame.time_base = Fraction(1, audio.sample_rate)
        frame.pts = self._position
        self._position += len(audio)
        return frame


@contextmanager
def _failing_as(codec: str) -> Generator[None]:
    """FFmpeg's errors as ours."""
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        raise EncodeFailed(f"The sound could not be encoded by {codec}: {error}.") from error
