"""Long texts with the whole program behind them, spoken by the tone engine."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
import threading
from pathlib import Path

import av
import pytest
from hearing import hear
from held import HeldEngine

from alltalk import long_texts
from alltalk.documents import (
    ExportFormat,
    Folder,
    Line,
    LineState,
    Manner,
    Text,
    Timeline,
    read_plain,
)
from alltalk.errors import BadInput, NotFound
from alltalk.home import Home
from alltalk.long_texts import LongTexts
from alltalk.product import build, running
from alltalk.speech import Recorded, SpeechRequest, Ticket

VOICES = {"tone-300": 300, "tone-500": 500, "low": 220}


async def made(texts: LongTexts, *lines: str, **manner: object) -> Folder:
    text = Text("", "", tuple(read_plain("\n".join(lines), 10_000)))
    return await texts.create("Title", text, manner=Manner(voice="tone-300", **manner))


async def spoken(texts: LongTexts, folder: Folder, ids: list[int] | None = None) -> None:
    await texts.speak(folder.id, ids)
    await texts._readings[folder.id].ended()


async def export(texts: LongTexts, folder: Folder, name: str, **more: object) -> Path:
    """Where the export lies."""
    with await texts.exported(folder.id, ExportFormat.named(name), **more) as file:
        return Path(file.name)


def states(folder: Folder) -> str:
    """n(ew), s(poken), c(hanged) for each line."""
    return "".join(folder.state(line)[0] for line in folder.document.lines)


def pitches(content: bytes) -> list[int]:
    return hear(content).pitches


@pytest.fixture
def texts(product) -> LongTexts:
    return product.long_texts


async def test_every_line_is_spoken_in_its_own_voice(texts):
    folder = await made(texts, "one", "two three", "four")
    await texts.change(folder.id, lambda d: d.edited([2], manner=Manner(voice="tone-500")))
    await spoken(texts, folder)
    with await texts.sound(folder.id) as sound:
        assert pitches(sound.read()) == [300, 500, 500, 300]
    progress = await texts.progress(folder.id)
    assert (progress.state, progress.lines_done, progress.problem) == ("idle", 3, "")
    assert progress.characters_done == progress.characters == len("onetwo threefour")


async def test_only_what_changed_is_spoken_again(texts, product):
    folder = await made(texts, "one", "two", "three")
    await spoken(texts, folder)
    before = dict(folder.pieces)
    await texts.change(folder.id, lambda d: d.edited([2], text="two and more"))
    assert states(folder) == "scs"
    opened = product.service.requests.opened
    await spoken(texts, folder)
    assert product.service.requests.opened == opened + 1
    assert (folder.pieces[1], folder.pieces[3]) == (before[1], before[3])
    assert folder.pieces[2].text == "two and more"


async def test_a_line_can_be_spoken_again_as_it_is(texts):
    folder = await made(texts, "one", "two")
    await spoken(texts, folder)
    before = dict(folder.pieces)
    await spoken(texts, folder, [2])
    assert folder.pieces[1] == before[1]
    assert folder.pieces[2].sound != before[2].sound


async def test_one_line_can_be_spoken_alone(texts):
    folder = await made(texts, "one", "two", "three")
    await spoken(texts, folder, [2])
    assert states(folder) == "nsn"


async def test_what_is_heard_from_a_line_on_can_be_read_from_any_place(texts):
    folder = await made(texts, "one", "two", "three")
    await spoken(texts, folder)
    with await texts.sound(folder.id) as sound:
        whole = sound.read()
        assert len(whole) == sound.size
        for at in (0, 10, 44, 45, 3_001, 20_000, len(whole) - 1, len(whole)):
            for count in (1, 7, 30_000):
                sound.seek(at)
                assert sound.read(count) == whole[at : at + count]
        assert io.BufferedReader(sound).read() == b""
    timeline = await texts.timeline(folder.id)
    with await texts.sound(folder.id, start=2) as sound:
        assert sound.read()[44:] == whole[44 + 2 * timeline.stretches[1].start :]


async def test_what_was_reordered_is_heard_in_its_new_order(texts):
    folder = await made(texts, "one", "two two", "three three three")
    await spoken(texts, folder)
    await texts.change(folder.id, lambda d: d.moved(3, 0).edited([1], manner=Manner(pause_s=2.0)))
    assert states(folder) == "sss"
    timeline = await texts.timeline(folder.id)
    assert [each.line.id for each in timeline.stretches] == [3, 1, 2]
    with await texts.sound(folder.id) as sound:
        beeps = hear(sound.read()).beeps
    gaps = [b.start_s - a.start_s - a.seconds for a, b in itertools.pairwise(beeps)]
    assert [gap > 0.3 for gap in gaps] == [False, False, True, True, False]
    assert gaps[3] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", ["wav", "mp3", "flac", "m4b"])
async def test_an_export_holds_all_lines_in_one_file(texts, name):
    folder = await made(texts, "one", "two two", "three")
    await texts.change(folder.id, lambda d: d.edited([2], manner=Manner(voice="tone-500")))
    await spoken(texts, folder)
    shares: list[float] = []
    path = await export(texts, folder, name, written=shares.append)
    heard = hear(path.read_bytes())
    assert heard.pitches == [300, 500, 500, 300]
    timeline = await texts.timeline(folder.id)
    assert heard.seconds == pytest.approx(timeline.seconds, abs=0.1)
    assert shares[-1] == 1.0
    assert path.suffix == f".{name}"
    made_at = path.stat().st_mtime_ns
    assert (await export(texts, folder, name)).stat().st_mtime_ns == made_at
    await spoken(texts, folder, [1])
    other = await export(texts, folder, name)
    assert other != path
    assert list(path.parent.iterdir()) == [other]


@pytest.mark.parametrize("name", ["m4b", "mp3"])
async def test_an_export_has_the_chapters_in_it(texts, name):
    folder = await made(texts, "before", "first part", "a b c", "second part", "d e f")
    await texts.change(folder.id, lambda d: d.edited([2, 4], begins_chapter=True))
    await spoken(texts, folder)
    path = await export(texts, folder, name)
    timeline = await texts.timeline(folder.id)
    starts = [timeline.stretches[place].start / 24_000 for place in (0, 1, 3)]
    with av.open(str(path)) as file:
        chapters = file.chapters()
        assert file.metadata["title"] == "Title"
    assert [each["metadata"]["title"] for each in chapters] == [
        "Title",
        "first part",
        "second part",
    ]
    assert [float(each["start"] * each["time_base"]) for each in chapters] == pytest.approx(
        starts, abs=0.002
    )


async def test_a_document_without_chapters_is_one(texts):
    folder = await made(texts, "one", "two")
    await spoken(texts, folder)
    (chapter,) = (await texts.timeline(folder.id)).chapters
    assert (chapter.title, chapter.start) == ("Title", 0)


async def test_subtitles_tell_when_each_part_is_heard(texts):
    long = "This is a sentence of words. " * 20
    folder = await made(texts, "one & two", long)
    await spoken(texts, folder)
    srt, vtt = [await texts.subtitles(folder.id, kind) for kind in ("srt", "vtt")]
    cues = re.findall(r"(\S+) --> (\S+)\n(.+)", srt)
    assert len(cues) > 2  # a long line is told in the parts in which it was spoken
    assert " ".join(text for _, _, text in cues[1:]).split() == long.split()
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert "one &amp; two" in vtt
    assert srt.startswith("1\n00:00:00,000 --> ")
    path = await export(texts, folder, "wav")
    beeps = hear(path.read_bytes()).beeps
    words = iter(beeps)
    for start, end, text in cues:
        said = [next(words) for _ in text.split()]
        assert seconds(start) <= said[0].start_s + 0.01
        assert said[-1].start_s + said[-1].seconds <= seconds(end) + 0.01
        assert seconds(end) - said[-1].start_s < 0.3


def seconds(timecode: str) -> float:
    hours, minutes, rest = timecode.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


async def test_missing_lines_are_named_or_left_out(texts):
    folder = await made(texts, "one", "two", "three")
    await spoken(texts, folder, [1, 3])
    with pytest.raises(BadInput, match="line 2"):
        await export(texts, folder, "wav")
    path = await export(texts, folder, "wav", leave_out=True)
    assert len(pitches(path.read_bytes())) == 2
    with pytest.raises(BadInput, match="Nothing of this has been spoken"):
        await texts.sound((await made(texts, "new")).id)


async def test_a_line_that_cannot_be_spoken_keeps_none_of_the_others(texts):
    folder = await made(texts, "one", "two", "three")
    await texts.change(folder.id, lambda d: d.edited([2], manner=Manner(voice="nobody")))
    await spoken(texts, folder)
    progress = await texts.progress(folder.id)
    assert states(folder) == "sns"
    assert list(progress.failures) == [2]
    assert "nobody" in progress.failures[2]
    await texts.change(folder.id, lambda d: d.edited([2], manner=Manner()))
    await spoken(texts, folder)
    assert states(folder) == "sss"
    assert (await texts.progress(folder.id)).failures == {}


async def test_pieces_of_all_engines_have_the_document_s_rate(texts):
    text = Text("", "", tuple(read_plain("one", 100)))
    folder = await texts.create("x", text, manner=Manner(voice="low"), sample_rate=44_100)
    await spoken(texts, folder)
    with await texts.sound(folder.id) as sound:
        heard = hear(sound.read())
    assert (heard.sample_rate, heard.pitches) == (44_100, [220])
    with pytest.raises(BadInput, match="sample_rate"):
        await texts.create("x", text, sample_rate=1)


async def test_an_engine_that_fails_again_and_again_stops_the_reading(tmp_path):
    folder = tmp_path / "engines" / "tone"
    folder.mkdir(parents=True)
    (folder / "model_settings.json").write_text('{"settings": {"faults": true}}')
    product = build(Home(tmp_path), engine="tone", environ={})
    async with running(product, tended=False):
        await product.pool.ready()
        texts = product.long_texts
        folder = await made(texts, "one", *["boom"] * 8, "two")
        await spoken(texts, folder, [1])
        await spoken(texts, folder)
        progress = await texts.progress(folder.id)
    assert progress.problem
    assert 3 <= len(progress.failures) <= 4  # the other one was under way as the third failed
    assert folder.state(folder.document.lines[-1]) is LineState.NEW


class TestWhileItSpeaks:
    """With an engine that says no further word until it is let to."""

    @pytest.fixture
    def held(self, product, monkeypatch) -> HeldEngine:
        """The engine of `product`."""
        return HeldEngine(monkeypatch)

    @pytest.fixture
    def lines_done(self, texts, until):
        """`await lines_done(folder, 2)`: return once so many are, and the next two are begun."""

        async def wait(folder: Folder, count: int) -> None:
            async def done() -> bool:
                told = await texts.progress(folder.id)
                assert told.lines_done <= count
                return told.lines_done == count and told.speaking == {count + 1, count + 2}

            await until(done)

        return wait

    async def test_stopping_keeps_what_is_finished_and_going_on_does_the_rest(
        self, held, texts, lines_done
    ):
        folder = await made(texts, *["a b c d"] * 12)
        progress = await texts.speak(folder.id)
        assert progress.state == "speaking"
        held.let_speak(2 * 4)
        await lines_done(folder, 2)
        told = await texts.progress(folder.id)
        assert told.time_left_s is not None
        assert told.time_left_s > 0
        await texts.stop(folder.id)
        stopped = await texts.progress(folder.id)
        assert (stopped.state, stopped.time_left_s, stopped.problem) == ("idle", None, "")
        assert (stopped.failures, stopped.lines_done) == ({}, 2)
        kept = dict(folder.pieces)
        held.let_speak()
        await spoken(texts, folder)
        assert states(folder) == "s" * 12
        assert all(folder.pieces[id] == piece for id, piece in kept.items())

    async def test_begun_again_while_it_stops_no_line_is_left_out(
        self, held, product, texts, until, monkeypatch
    ):
        """The line that waited ends before the one that was spoken, as may happen."""
        service, lines = product.service, ("one", "two", "three", "four")
        recorded, may_end = service.recorded, {line: asyncio.Event() for line in lines}

        async def ending_late(request: SpeechRequest, ticket: Ticket) -> Recorded:
            try:
                return await recorded(request, ticket)
            finally:
                await may_end[request.text].wait()

        monkeypatch.setattr(service, "recorded", ending_late)

        def live(count: int):
            async def so_many() -> bool:
                return len(service.requests) == count

            return until(so_many)

        folder = await made(texts, *lines)
        await texts.speak(folder.id)
        await live(2)
        stopping = asyncio.create_task(texts.stop(folder.id))
        await live(0)  # it has let go of both, and neither has ended
        await texts.speak(folder.id)
        may_end["two"].set()
        await live(1)  # which is begun again: the first line was passed over
        held.let_speak()
        for each in may_end.values():
            each.set()
        await stopping
        await texts._readings[folder.id].ended()
        assert states(folder) == "ssss"

    async def test_a_restart_in_the_middle_loses_no_finished_line(
        self, held, product, texts, lines_done
    ):
        folder = await made(texts, *["a b c d"] * 12)
        await texts.speak(folder.id)
        held.let_speak(2 * 4)
        await lines_done(folder, 2)
        await texts.close()
        held.let_speak()
        other = build(product.home, engine="tone", environ={})
        async with running(other, tended=False):
            again = await other.long_texts.open(folder.id)
            assert again is not folder
            assert states(again) == "ss" + "n" * 10
            await spoken(other.long_texts, again)
            assert states(again) == "s" * 12

    async def test_a_live_request_is_spoken_before_the_rest_of_a_document(
        self, held, product, texts, until, lines_done
    ):
        def in_line(count: int):
            async def so_many() -> bool:
                return [each.usages for each in product.pool.backends] == [count]

            return until(so_many)

        folder = await made(texts, *["a b c d"] * 12)
        await texts.speak(folder.id)
        await in_line(2)
        live = product.service.whole(SpeechRequest("hello", voice="low"), Ticket("live"))
        hello = asyncio.create_task(live)
        await in_line(3)
        held.let_speak(4 + 1)  # the line under way, and one word more: whose?
        async with asyncio.timeout(60):
            assert pitches(await hello) == [220]
        await lines_done(folder, 1)
        await texts.stop(folder.id)

    async def test_edits_and_moves_while_it_is_spoken_are_honoured(self, held, texts, lines_done):
        folder = await made(texts, *["a b c d"] * 12)
        await texts.speak(folder.id)
        held.let_speak(4)
        await lines_done(folder, 1)
        await texts.change(
            folder.id,
            lambda d: d.edited([1], text="changed").without([5]).moved(12, 2),
        )
        held.let_speak()
        await texts._readings[folder.id].ended()
        assert states(folder) == "s" * 11
        assert folder.pieces[1].text == "changed"
        assert [line.id for line in folder.document.lines][:3] == [1, 2, 12]

    async def test_deleting_a_document_ends_its_reading(self, held, product, texts, until):
        folder = await made(texts, *["a b c d"] * 12)
        await texts.speak(folder.id)

        async def begun() -> bool:
            return len(product.service.requests) > 0

        await until(begun)
        await texts.delete(folder.id)
        assert len(product.service.requests) == 0
        with pytest.raises(NotFound):
            await texts.open(folder.id)
        assert not folder.path.exists()

    async def test_a_request_that_somebody_cancels_stops_the_reading(
        self, held, product, texts, until
    ):
        folder = await made(texts, *["a b c d"] * 12)
        await texts.speak(folder.id, client="192.0.2.7")

        async def begun() -> bool:
            return len(product.service.requests) > 0

        await until(begun)
        assert product.service.requests.cancel_client("192.0.2.7")
        await texts._readings[folder.id].ended()
        assert "cancelled" in (await texts.progress(folder.id)).problem


async def test_an_export_stays_readable_when_another_replaces_it(texts):
    folder = await made(texts, "one", "two")
    await spoken(texts, folder)
    wav = ExportFormat.named("wav")
    first, again = await asyncio.gather(*(texts.exported(folder.id, wav) for _ in range(2)))
    await texts.change(folder.id, lambda d: d.without([2]))
    with first, again, await texts.exported(folder.id, wav) as shorter:
        assert pitches(shorter.read()) == [300]
        assert pitches(content := first.read()) == [300, 300]
        assert again.read() == content


async def test_an_edit_while_an_export_begins_takes_nothing_out_of_it(texts, monkeypatch):
    folder = await made(texts, "one", "two")
    await spoken(texts, folder)
    loop, made_of = asyncio.get_running_loop(), long_texts.timeline_of

    def edited_then(folder: Folder, **more: object) -> Timeline:
        """As an export sees it whose lines go right after it has looked."""
        timeline = made_of(folder, **more)
        gone = texts.change(folder.id, lambda document: document.without([2]))
        asyncio.run_coroutine_threadsafe(gone, loop).result(30)
        return timeline

    monkeypatch.setattr(long_texts, "timeline_of", edited_then)
    path = await export(texts, folder, "wav")
    assert pitches(path.read_bytes()) == [300, 300]
    assert len(list((folder.path / "pieces").glob("*.wav"))) == 1


async def test_the_lines_of_a_book_are_looked_through_off_the_event_loop(texts, monkeypatch):
    threads, state = set(), Folder.state

    def watched(folder: Folder, line: Line) -> LineState:
        threads.add(threading.get_ident())
        return state(folder, line)

    monkeypatch.setattr(Folder, "state", watched)
    folder = await made(texts, *("word",) * 1500)
    ids = [line.id for line in folder.document.lines]
    await texts.speak(folder.id, ids)
    await texts.speak(folder.id)
    assert (await texts.progress(folder.id)).lines == 1500
    await texts.stop(folder.id)
    assert threads
    assert threading.get_ident() not in threads
    with pytest.raises(NotFound, match="no line 1501"):
        await texts.speak(folder.id, [*ids, 1501])


async def test_what_is_asked_while_the_last_line_is_looked_for_is_spoken(texts):
    folder = await made(texts, "one")
    await spoken(texts, folder)
    reading, before = texts._readings[folder.id], folder.pieces[1].sound
    go = threading.Event()
    held = asyncio.create_task(texts.run(go.wait))
    await asyncio.sleep(0)
    reading.ask(None)
    await asyncio.sleep(0)  # its look waits for the lane now, and will find nothing
    reading.ask([1])
    go.set()
    await reading.ended()
    assert await held
    assert folder.pieces[1].sound != before


async def test_an_export_that_nobody_waits_for_ends(texts, tmp_path):
    folder = await made(texts, *["word " * 100] * 10)
    await spoken(texts, folder)
    begun, on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(share: float) -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(on.wait(), loop).result(60)

    task = asyncio.create_task(export(texts, folder, "mp3", written=hold))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    on.set()
    await texts._exports.run(lambda: None)  # until the lane has come to the end of it
    assert list((folder.path / "exports").iterdir()) == []
