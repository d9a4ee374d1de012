"""Child: one life of an engine's process, seen from the server.

Many streams share its pipes; frames carry a job's id. The server always reads, so a chunk waits
in the queue of its stream and never in the pipe. See `alltalk.serving.worker` for the other end.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import re
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from alltalk.engine import Chunk
from alltalk.errors import AllTalkError, LoadFailed, ShuttingDown, WorkerLost
from alltalk.serving import wire
from alltalk.serving.loop import Job

EXIT_S = 5.0
"""Seconds a child has to leave after stdin ended, and again after SIGTERM."""
_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_LOOKS = 4
"""How often within `stall_s` the watchdog looks."""

_log = logging.getLogger(__name__)


class Child:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, stall_s: float) -> None:
        self._process, self._name, self._stall_s = process, name, stall_s
        self._heard: dict[str, asyncio.Queue[Chunk | AllTalkError | None]] = {}
        """What the child owes us: jobs it has not ended."""
        self._asked: deque[asyncio.Future[wire.Answer]] = deque()
        """Who waits for an answer; they come in order."""
        self._beaten = False
        """It has told us since the watchdog's last look that no step hangs."""
        self._last_line = self._verdict = ""
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.leaving = False
        self.life = asyncio.create_task(self._live(), name=f"worker-{name}")

    @classmethod
    async def spawn(cls, load: wire.Load, python: Path | None, stall_s: float) -> Child:
        """A new child, not yet told what to load. Raises LoadFailed if there can be none."""
        # -P and -I: this file's folder is no place to import from. -I, too: what the server's
        # environment variables say of Python is not for another environment.
        isolation = "-P" if python is None else "-I"
        program = str(python or sys.executable)
        try:
            process = await asyncio.create_subprocess_exec(
                program, isolation, "-u", "-X", "utf8", str(_BOOTSTRAP),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=wire.MAX_LINE,
                start_new_session=True,
                env={"OMP_NUM_THREADS": str(load.place.threads), **os.environ},
            )  # fmt: skip
        except OSError as error:
            raise LoadFailed(f"{load.engine}: {program} could not be started: {error}.") from error
        return cls(process, load.engine, stall_s)

    async def ask(self, message: wire.Asking) -> wire.Answer:
        """Send a message that is answered. Raises what the child failed with, WorkerLost."""
        if self.life.done():
            raise WorkerLost(self._epitaph())
        answer: asyncio.Future[wire.Answer] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._send(message)
        return await answer

    async def stream(self, job: Job) -> AsyncGenerator[Chunk]:
        """As in Host."""
        if self.life.done():
            raise WorkerLost(self._epitaph())
        if job.id in self._heard:
            raise ValueError(f"there is a job {job.id!r} already")
        frame = wire.encode(wire.Speak(job))
        heard = self._heard[job.id] = asyncio.Queue()
        self._quiet.clear()
        self._write(frame)
        try:
            while (item := await heard.get()) is not None:
                if isinstance(item, AllTalkError):
                    raise item
                yield item
        finally:
            if self._settle(job.id):
                self._send(wire.Cancel(job.id))

    async def end(self, grace_s: float) -> None:
        """Let the child finish for `grace_s` seconds, then have it leave. Returns when it has."""
        self.leaving = True
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), grace_s)
            self._fail_all(lambda: ShuttingDown(f"{self._name} was closed."))
            self._stdin.close()
            if not await self._gone_within(EXIT_S):
                with suppress(ProcessLookupError):
                    self._process.terminate()
                await self._gone_within(EXIT_S)
        finally:
            self.kill("did not leave and was killed")
        await asyncio.wait({self.life})

    def kill(self, verdict: str) -> None:
        """End the child, if it lives, and all that it started; `verdict` says why."""
        if not self.life.done():
            self._verdict = self._verdict or verdict
            _kill_session(self._process)

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    async def _gone_within(self, seconds: float) -> bool:
        return bool((await asyncio.wait({self.life}, timeout=seconds))[0])

    def _send(self, message: wire.Down) -> None:
        self._write(wire.encode(message))

    def _write(self, frame: bytes) -> None:
        # No drain: the child's main thread does nothing but read, and frames down are small.
        if not self._stdin.is_closing():
            self._stdin.write(frame)

    def _settle(self, job_id: str) -> asyncio.Queue[Chunk | AllTalkError | None] | None:
        """Strike a job off the list; its queue, if it was on it."""
        heard = self._heard.pop(job_id, None)
        if not self._heard:
            self._quiet.set()
        return heard

    async def _live(self) -> None:
        """Read what the child says until it is gone; then nothing waits for it any more."""
        log = asyncio.create_task(self._read_log())
        watch = asyncio.create_task(self._watch())
        try:
            await self._read_frames()
        except ValueError as error:
            self._verdict = f"sent what is no message and was killed ({error})"
        finally:
            watch.cancel()
            self._stdin.close()
            _kill_session(self._process)
            await self._process.wait()
            await asyncio.wait({log}, timeout=1.0)
            log.cancel()
            self._fail_all(lambda: WorkerLost(self._epitaph()))

    async def _read_frames(self) -> None:
        """Hand out what comes until the pipe ends, maybe within a frame. Raises ValueError."""
        pipe = self._process.stdout
        assert pipe is not None
        while (line := await pipe.readline()).endswith(b"\n"):
            message = wire.decode_up(line)
            if isinstance(message, wire.Sound):
                try:
                    body = await pipe.readexactly(4 * message.samples)
                except asyncio.IncompleteReadError:
                    return
                if heard := self._heard.get(message.id):
                    heard.put_nowait(wire.decode_chunk(message, body))
            else:
                self._take(message)

    def _take(self, message: wire.Up) -> None:
        match message:
            case wire.Done(job_id) if heard := self._settle(job_id):
                heard.put_nowait(None)
            case wire.Failed(str() as job_id) if heard := self._settle(job_id):
                heard.put_nowait(wire.error_of(message))
            case wire.Failed(None):
                self._reply(wire.error_of(message))
            case wire.Ready() | wire.Rested():
                self._reply(message)
            case wire.Beat():
                self._beaten = True

    def _reply(self, answer: wire.Answer | AllTalkError) -> None:
        if not self._asked or (asked := self._asked.popleft()).done():
            return
        if isinstance(answer, AllTalkError):
            asked.set_exception(answer)
        else:
            asked.set_result(answer)

    def _fail_all(self, error: Callable[[], AllTalkError]) -> None:
        """End everything that waits for the child, each with an error of its own."""
        while self._asked:
            self._reply(error())
        for job_id in tuple(self._heard):
            if heard := self._settle(job_id):
                heard.put_nowait(error())

    async def _watch(self) -> None:
        """Kill a child that has something to speak and gives no beat for `stall_s`.

        Sound is no sign: one thread of an engine may speak on where another hangs. Counts looks
        instead of reading a clock: a server that was suspended, or busy itself, must not mistake
        its own pause for the child's.
        """
        silent = 0
        while silent <= _LOOKS:
            await asyncio.sleep(self._stall_s / _LOOKS)
            silent = 0 if self._beaten or not self._heard else silent + 1
            self._beaten = False
        self.kill(f"made no progress for {self._stall_s:g} s and was killed")

    async def _read_log(self) -> None:
        """Log what the child prints, by line; progress bars end theirs with a return."""
        pipe, decoder = self._process.stderr, codecs.getincrementaldecoder("utf-8")("replace")
        assert pipe is not None
        rest = ""
        while piece := await pipe.read(8192):
            *lines, rest = re.split(r"[\r\n]+", rest[-8192:] + decoder.decode(piece))
            self._note(lines)
        self._note([rest])

    def _note(self, lines: Sequence[str]) -> None:
        for line in filter(None, map(str.strip, lines)):
            self._last_line = line[:500]
            _log.info("%s: %s", self._name, line)

    def _epitaph(self) -> str:
        """How the child ended, in one sentence."""
        if self._verdict:
            return f"The process of {self._name} {self._verdict}."
        code = self._process.returncode
        how = "is leaving" if code is None else f"ended ({_exit_name(code)})"
        return f"The process of {self._name} {how}" + (
            f": {self._last_line}" if self._last_line else "."
        )


def _kill_session(process: asyncio.subprocess.Process) -> None:
    """End a child and all that it has started: its session is its own, so its group has its pid.

    The group may outlive the child, and while it does no other process is given its id.
    """
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _exit_name(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
