"""How a voice's files come, move and go: after a crash at any step the voice is one or the other.

Renaming is the one step that cannot be half done. All that takes longer, or may be refused, is done
under names that begin with a dot, before it or after it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from alltalk.draft import Draft, remove_stale, storage_error

STALE_S = 3600.0
"""Age from which a folder that is being written was left behind by a crash, seconds."""
_HIDDEN_SUFFIX = ".partial"


def write_together(files: Sequence[tuple[Path, bytes | None]]) -> None:
    """Make each content its file, in this order; None deletes the file.

    All contents are on the disk before the first file is changed. Raises StorageError; where a
    content does not fit, nothing has changed.
    """
    with ExitStack() as drafts:
        ready: list[tuple[Path, Draft | None]] = []
        for path, content in files:
            draft = drafts.enter_context(Draft(path)) if content is not None else None
            if draft is not None and content is not None:
                draft.write(content)
                draft.settle()
            ready.append((path, draft))
        for path, draft in ready:
            if draft is None:
                delete(path)
            else:
                draft.commit()


def write_folder(folder: Path, files: Sequence[tuple[str, bytes]]) -> None:
    """Make `folder` hold these files and no others; it is seen only when all are in it.

    Raises StorageError; the folder that was there then stays.
    """
    made = _hidden(folder)
    try:
        write_together([(made / name, content) for name, content in files])
        _exchange(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def delete(path: Path) -> None:
    """Delete a file, or a folder, which is never seen half. Raises StorageError."""
    try:
        with contextlib.suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                gone = _hidden(path)
                os.rename(path, gone)
                shutil.rmtree(gone)
            else:
                path.unlink()
    except OSError as error:
        raise storage_error("delete", path, error) from error


def move(path: Path, to: Path) -> None:
    """Rename a file or folder. Raises StorageError."""
    try:
        os.rename(path, to)
    except OSError as error:
        raise storage_error("rename", path, error) from error


def rename_together(places: Sequence[tuple[Path, Path]]) -> None:
    """Give each file or folder its new path; the first one, which counts, goes in one step.

    The others are at their new places before it and leave their old ones after it. Raises
    StorageError.
    """
    (first, to), *others = places
    apart = [(path, new) for path, new in others if not _same(path, new)]
    write_together([(new, _content(path)) for path, new in apart])
    move(first, to)
    for path, new in others:
        if (path, new) in apart:
            delete(path)
        else:
            move(path, new)


def remove_leftovers(folder: Path) -> None:
    """Remove what a crash left behind in `folder`, where it is a folder. Raises StorageError."""
    if not folder.is_dir():
        return
    remove_stale(folder, STALE_S)
    for path in folder.glob(f".*{_HIDDEN_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_dir() and time.time() - path.stat().st_mtime > STALE_S:
                shutil.rmtree(path, ignore_errors=True)


def _exchange(made: Path, folder: Path) -> None:
    """Put `made` in the place of `folder`, which goes; on an error it comes back."""
    gone = _hidden(folder)
    try:
        os.rename(folder, gone)
    except FileNotFoundError:
        return move(made, folder)
    except OSError as error:
        raise storage_error("write", folder, error) from error
    try:
        move(made, folder)
    except BaseException:
        os.rename(gone, folder)
        raise
    shutil.rmtree(gone, ignore_errors=True)


def _same(path: Path, other: Path) -> bool:
    """True where `other` is another name of the same file: where case does not count."""
    return other.exists() and other.samefile(path)


def _content(path: Path) -> bytes:
    """Raises StorageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise storage_error("read", path, error) from error


def _hidden(path: Path) -> Path:
    """A new name beside `path` that nobody lists."""
    return path.with_name(f".{secrets.token_hex(8)}{_HIDDEN_SUFFIX}")
