"""Unpacks the archives that models come in."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from alltalk.draft import storage_error
from alltalk.errors import DownloadFailed, UnsafeName
from alltalk.home import safe_name


def unpack(archive: Path, folder: Path) -> None:
    """Put the files of a zip archive into `folder`, without the one folder they may all lie in.

    Raises DownloadFailed for one that is broken, or that holds a link or a name that would leave
    `folder`; StorageError.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [each for each in opened.infolist() if not each.is_dir()]
            paths = [_safe_path(each) for each in members]
            common = _common_folder(paths)
            for member, path in zip(members, paths, strict=True):
                target = folder / path.relative_to(common)
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError) as error:
        raise DownloadFailed(
            f"{archive.name} is no archive that can be unpacked: {error}"
        ) from error
    except UnsafeName as error:
        raise DownloadFailed(f"{archive.name} is not unpacked: {error}") from error
    except OSError as error:
        raise storage_error("unpack into", folder, error) from error


def _safe_path(member: zipfile.ZipInfo) -> PurePosixPath:
    """Where a member goes. Raises UnsafeName."""
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UnsafeName(member.filename, "it is a link")
    for part in member.filename.split("/"):
        safe_name(part)
    return PurePosixPath(member.filename)


def _common_folder(paths: list[PurePosixPath]) -> PurePosixPath:
    """The one folder that all lie in; else none."""
    tops = {path.parts[0] if len(path.parts) > 1 else "" for path in paths}
    return PurePosixPath(tops.pop() if len(tops) == 1 else "")
