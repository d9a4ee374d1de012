"""Every error that AllTalk raises on purpose.

    AllTalkError
    ├── BadInput                 the caller can mend it
    │   ├── BadValue, EmptyText, NothingToSpeak, TextTooLong, TooLarge, UnsafeName, NameTaken
    │   ├── UnreadableClip
    │   ├── UnknownVoice, UnknownEngine, UnknownModel, UnknownLanguage, UnknownFormat
    │   ├── UnknownRvcVoice, RvcModelInvalid
    │   ├── TermsNotAccepted     of a model
    │   └── Unsupported          this engine cannot do that
    │       └── CannotClone, RvcBaseMissing
    ├── NotFound                 a file, request or backend that is not there
    ├── Refused                  try again later
    │   └── QueueFull, NotReady, ShuttingDown
    ├── Unauthorized, Forbidden  who asks: nobody known, somebody without the right
    ├── Cancelled, DeadlineExceeded
    ├── ConfigError              settings that do not hold
    ├── StorageError             the disk said no
    │   └── DiskFull
    ├── DownloadFailed           a model's file could not be fetched, or is not what it should be
    ├── InstallFailed            an engine's own environment could not be made
    ├── EncodeFailed             the sound could not be packed into the format asked for
    └── EngineError              the model's side
        ├── LoadFailed, SynthesisFailed, OutOfMemory, NoRoom
        └── Retryable            may be spoken again while none of its sound was heard
            └── WorkerLost, BadTake

An error's text is one sentence that the reader can act on. Which status it becomes is the doors'
business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class AllTalkError(Exception):
    """The base of all errors raised on purpose."""

    param: ClassVar[str | None] = None
    """The part of a `SpeechRequest` at fault, where there is one: text, voice, speed, …"""


class BadInput(AllTalkError):
    """The request cannot be served as it stands; the same request will fail again."""


class BadValue(BadInput):
    """A value is of the wrong type or out of its range."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


class EmptyText(BadInput):
    """There is no text at all."""

    param = "text"

    def __init__(self) -> None:
        super().__init__("The text is empty. Send at least one word.")


class NothingToSpeak(BadInput):
    """There is text, but nothing in it that is said aloud."""

    param = "text"

    def __init__(self) -> None:
        super().__init__(
            "Nothing in the text can be spoken: no letter or digit is left after filtering."
        )


class TextTooLong(BadInput):
    """The text is over the limit."""

    param = "text"

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"The text has {length} characters; the limit is {limit}.")


class TooLarge(BadInput):
    """The request's body is over the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"The request has {size} bytes or more; the limit is {limit}.")


class UnsafeName(BadInput):
    """A file name that would leave its folder, or that some file system cannot hold."""

    param = "name"

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name[:80]!r} cannot be a file name: {why}.")


class NameTaken(BadInput):
    """There is a voice of that name already, and it was not to be written over."""

    param = "name"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is a voice {name[:80]!r} already. Choose another name, or have it replaced "
            "(`overwrite`)."
        )


class UnreadableClip(BadInput):
    """An uploaded or stored clip that is not sound, or not sound we can use."""

    param = "clip"


class UnknownVoice(BadInput):
    """The engine has no voice of that name."""

    param = "voice"

    def __init__(self, voice: str, engine: str, known: Sequence[str]) -> None:
        super().__init__(f"{engine} has no voice {voice[:80]!r}. It has: {_some(known)}.")


class UnknownRvcVoice(BadInput):
    """There is no voice to convert to of that name."""

    param = "conversion"

    def __init__(self, voice: str, known: Sequence[str]) -> None:
        super().__init__(f"rvc_models has no voice {voice[:80]!r}. It has: {_some(known)}.")


class RvcModelInvalid(BadInput):
    """A file that is no voice to convert to, or no index of it."""

    param = "conversion"


class UnknownEngine(BadInput):
    """No engine of that name is installed or loaded."""

    param = "engine"

    def __init__(self, engine: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no engine {engine[:80]!r}. There are: {_some(known)}.")


class UnknownModel(BadInput):
    """The engine has no model of that name."""

    param = "model"

    def __init__(self, model: str, engine: str, known: Sequence[str]) -> None:
        super().__init__(f"{engine} has no model {model[:80]!r}. It has: {_some(known)}.")


class UnknownLanguage(BadInput):
    """The engine does not speak that language."""

    param = "language"

    def __init__(self, language: str, engine: str, known: Sequence[str]) -> None:
        super().__init__(f"{engine} does not speak {language[:40]!r}. It speaks: {_some(known)}.")


class UnknownFormat(BadInput):
    """No encoder of that name."""

    param = "format"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no audio format {name[:40]!r}. There are: {_some(known)}.")


class Unsupported(BadInput):
    """This engine cannot do what was asked; another one may."""


class CannotClone(Unsupported):
    """A clip was sent to an engine that speaks only as its own voices."""

    param = "reference"

    def __init__(self, engine: str) -> None:
        super().__init__(f"{engine} cannot speak as the voice of a clip. Choose another engine.")


class RvcBaseMissing(Unsupported):
    """Voice conversion lacks the models that all its voices share."""

    param = "conversion"


class TermsNotAccepted(BadInput):
    """The model is given only to those who agree to its publisher's terms."""

    def __init__(self, model: str, terms: str) -> None:
        super().__init__(f"{model} has terms to agree to first. {terms}")
        self.terms = terms


class NotFound(AllTalkError):
    """The file, request or backend asked for does not exist."""


class Refused(AllTalkError):
    """Not now; the same request may well work later."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(Refused):
    """More is waiting than the configuration admits."""


class NotReady(Refused):
    """No engine is ready to speak yet."""


class ShuttingDown(Refused):
    """The server is leaving and takes no more work."""


class Unauthorized(AllTalkError):
    """The caller did not show who it is."""


class Forbidden(AllTalkError):
    """The caller is known, and has not the right."""


class Cancelled(AllTalkError):
    """The request was stopped before it was spoken."""

    def __init__(self, message: str = "The request was cancelled.") -> None:
        super().__init__(message)


class DeadlineExceeded(AllTalkError):
    """The request was not spoken within the time it was given."""


class ConfigError(AllTalkError):
    """A setting does not hold; the text names its key."""


class StorageError(AllTalkError):
    """A file could not be written or read: a read-only disk, missing rights."""


class DiskFull(StorageError):
    """A file did not fit: the disk is full, or its user may write no more."""


class DownloadFailed(AllTalkError):
    """A file could not be fetched, or what came is not what was published."""


class InstallFailed(AllTalkError):
    """The Python environment of an engine could not be made."""


class EncodeFailed(AllTalkError):
    """Spoken sound could not be packed into the format asked for."""


class EngineError(AllTalkError):
    """Something went wrong in an engine."""


class LoadFailed(EngineError):
    """An engine or its model could not be loaded."""


class SynthesisFailed(EngineError):
    """An engine failed while it spoke."""


class OutOfMemory(EngineError):
    """The utterance does not fit into memory, even alone."""


class NoRoom(EngineError):
    """`BatchEngine.open`: no slot or memory for one more at present. Never reaches a caller."""


class Retryable(EngineError):
    """This take failed; another may not."""


class WorkerLost(Retryable):
    """The engine's process ended while it spoke."""


class BadTake(Retryable):
    """The model said something that cannot be the text."""


def rebuild(name: str, message: str) -> AllTalkError:
    """The error of class `name` with `message`, as it was before it crossed a pipe.

    Names that are not ours become SynthesisFailed.
    """
    cls = globals().get(name)
    if not (isinstance(cls, type) and issubclass(cls, AllTalkError)):
        cls = SynthesisFailed
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    if isinstance(error, Refused):
        error.retry_after_s = 1.0
    return error


def _some(names: Sequence[str], most: int = 12) -> str:
    """The first `most` of `names` for a message, and how many more there are."""
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
