"""What is on disk, through edits, crashes and restarts."""

from __future__ import annotations

import threading

import pytest

from alltalk.documents import Document, DocumentStore, Folder, Limits, LineState, Manner, NewLine
from alltalk.encode import wav_header
from alltalk.errors import BadInput, NotFound, StorageError, TextTooLong


def wav(frames: int = 240, byte: int = 1) -> bytes:
    return wav_header(24_000, frames) + bytes([byte, 0]) * frames


def new(store: DocumentStore, *texts: str) -> Folder:
    return store.create("Title", [NewLine(text) for text in texts or ("a", "b", "c")])


def keep(folder: Folder, id: int, content: bytes | None = None) -> None:
    line = folder.document.line(id)
    folder.keep(line, folder.fingerprint(line), content or wav())


def states(folder: Folder) -> list[str]:
    return [folder.state(line) for line in folder.document.lines]


def reopened(folder: Folder) -> Folder:
    """As after a restart."""
    return Folder.opened(folder.path)


def test_finished_lines_are_there_after_a_restart(store):
    folder = new(store)
    keep(folder, 2)
    again = reopened(folder)
    assert again.document == folder.document
    assert states(again) == [LineState.NEW, LineState.SPOKEN, LineState.NEW]
    with again.open_piece(2) as file:
        assert file.read() == wav()


def test_what_a_crash_left_half_written_is_removed(store):
    folder = new(store)
    keep(folder, 1)
    pieces = folder.path / "pieces"
    kept = {path.name for path in pieces.iterdir()}
    (pieces / ".2-aa.wav.0123abcd.partial").write_bytes(b"half")
    (pieces / "2-0123456789abcdef.wav").write_bytes(wav())  # its json had not been written yet
    (pieces / "3.json").write_bytes(b'{"line": 3, "finger')
    again = reopened(folder)
    assert states(again) == [LineState.SPOKEN, LineState.NEW, LineState.NEW]
    assert {path.name for path in pieces.iterdir()} == kept


def test_a_piece_whose_sound_is_gone_is_spoken_again(store):
    folder = new(store)
    keep(folder, 1)
    (folder.path / "pieces" / folder.pieces[1].sound).unlink()
    assert states(reopened(folder))[0] is LineState.NEW


def test_an_edit_marks_its_line_and_undoing_it_makes_it_good_again(store):
    folder = new(store)
    keep(folder, 1)
    folder.change(lambda d: d.edited([1], text="A"))
    assert states(folder)[0] is LineState.CHANGED
    folder.change(lambda d: d.edited([1], text="a"))
    assert states(folder)[0] is LineState.SPOKEN
    folder.change(lambda d: d.spoken_in(Manner(speed=2.0)))
    assert states(folder)[0] is LineState.CHANGED
    folder.change(lambda d: d.edited([1], manner=Manner(speed=1.0)))
    assert states(folder)[0] is LineState.SPOKEN


def test_speaking_a_line_again_replaces_its_sound(store):
    folder = new(store)
    keep(folder, 1)
    keep(folder, 1, wav(480))
    assert folder.pieces[1].frames == 480
    assert len(list((folder.path / "pieces").iterdir())) == 2


def test_a_sound_stays_for_those_who_read_it(store):
    folder = new(store)
    keep(folder, 1)
    old = folder.pieces[1]
    with folder.reading():
        keep(folder, 1, wav(480))
        with folder.open_sound(old) as file:
            assert file.read() == wav()
    with pytest.raises(NotFound):
        folder.open_sound(old)


def test_a_removed_line_takes_its_sound_with_it(store):
    folder = new(store)
    keep(folder, 1)
    folder.change(lambda d: d.without([1]))
    assert list((folder.path / "pieces").iterdir()) == []
    with pytest.raises(NotFound):
        folder.keep(Document("x").inserted([NewLine("a")], 0).lines[0], "", wav())


def test_looking_at_a_document_never_waits_for_the_disk(store, monkeypatch):
    folder = new(store)
    keep(folder, 1)
    writing, on = threading.Event(), threading.Event()

    def slowly(*_: object) -> None:
        writing.set()
        assert on.wait(60)

    monkeypatch.setattr("alltalk.documents.folder.write_whole", slowly)
    writer = threading.Thread(target=keep, args=(folder, 2))
    writer.start()
    assert writing.wait(60)
    looked: list[object] = []

    def look() -> None:
        looked.extend([*states(folder), folder.now(), folder.fingerprint(folder.document.lines[2])])

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    reader.join(60)
    assert looked[:3] == [LineState.SPOKEN, LineState.NEW, LineState.NEW]
    on.set()
    writer.join()
    assert states(folder)[1] is LineState.SPOKEN


def test_edits_that_meet_are_all_made(store):
    folder = new(store, *(str(n) for n in range(8)))
    start = threading.Barrier(8)

    def edit(id: int) -> None:
        start.wait()
        for _ in range(5):
            folder.change(lambda d: d.edited([id], text=f"{d.line(id).text}."))

    threads = [threading.Thread(target=edit, args=(id,)) for id in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.text for line in reopened(folder).document.lines] == [
        f"{n}....." for n in range(8)
    ]


def test_an_edit_that_is_refused_changes_nothing(store):
    folder = new(store)
    before = (folder.path / "document.json").read_bytes()
    with pytest.raises(BadInput):
        folder.change(lambda d: d.edited([1], text=""))
    assert (folder.path / "document.json").read_bytes() == before


def test_a_disk_that_refuses_leaves_the_old_state(store, monkeypatch):
    folder = new(store)

    def refuse(*_: object, **__: object) -> None:
        raise StorageError("Could not write: the disk is full.")

    monkeypatch.setattr("alltalk.documents.folder.write_whole", refuse)
    with pytest.raises(StorageError):
        folder.change(lambda d: d.titled("other"))
    with pytest.raises(StorageError):
        keep(folder, 1)
    assert (folder.document.title, dict(folder.pieces)) == ("Title", {})


def test_a_damaged_document_is_told(store):
    folder = new(store)
    (folder.path / "document.json").write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        reopened(folder)


def test_ids_cannot_be_guessed_and_lead_nowhere_else(store):
    ids = {new(store).id for _ in range(5)}
    assert all(len(id) == 32 for id in ids)
    assert len(ids) == 5
    for id in ("", "..", "../documents", "0" * 32, "A" * 32):
        with pytest.raises(NotFound):
            store.open(id)


def test_whoever_asks_gets_the_same_open_document(store):
    folder = new(store)
    for _ in range(9):
        new(store)  # more than are held open
    assert store.open(folder.id) is folder


def test_a_deleted_document_is_gone_and_stays_gone(store):
    folder = new(store)
    keep(folder, 1)
    store.delete(folder.id)
    with pytest.raises(NotFound):
        store.open(folder.id)
    for use in (lambda: keep(folder, 2), lambda: folder.change(lambda d: d.titled("x"))):
        with pytest.raises(NotFound):
            use()
    assert list(store.root.iterdir()) == []


def test_a_deletion_that_was_cut_short_is_finished(store):
    (store.root / ".0123.deleted" / "pieces").mkdir(parents=True)
    store.sweep()
    assert list(store.root.iterdir()) == []


def test_no_more_is_kept_than_the_settings_allow(tmp_path):
    store = DocumentStore(tmp_path, lambda: Limits(max_documents=1, max_characters=10))
    with pytest.raises(TextTooLong):
        store.create("x", [NewLine("a" * 11)])
    folder = store.create("x", [NewLine("a")])
    with pytest.raises(BadInput, match="max_documents"):
        store.create("y", [NewLine("b")])
    store.delete(folder.id)
    store.create("y", [NewLine("b")])
