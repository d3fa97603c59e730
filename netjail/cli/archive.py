# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories and .zip files that the user names, read with the user's own rights into memory.

Nothing is ever written, so that a path in an archive leads nowhere; but it may have been made to
harm: sizes and counts are bounded before anything is unpacked, and links are not followed.
"""

from __future__ import annotations

import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, field

from netjail.errors import NetjailError

FILE_MAX = 256 << 10
"""Bytes of one file; a provider's has a few thousand, with certificates twenty thousand."""
TOTAL_MAX = 64 << 20
"""Bytes of all files together, unpacked; and of a .zip itself."""
FILES_MAX = 10000
DEPTH_MAX = 8
"""Folders within folders."""
_INDEX_MAX = 4 << 20
"""Bytes of a .zip's table of contents, which is read as a whole."""
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".zst")
_END = b"PK\5\6"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # NotImplementedError among them: a method of packing that Python has not
    ValueError,
    struct.error,
)
"""What comes of reading a file that is damaged in a .zip."""
_IGNORED = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


@dataclass(slots=True)
class Found:
    """Files by their path inside; (path, why) of those that were left out."""

    files: dict[str, bytes] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    total: int = 0
    seen: int = 0
    """Entries of directories that were looked at, whatever they were."""

    def add(self, path: str, data: bytes) -> None:
        self.total += len(data)
        if self.total > TOTAL_MAX:
            raise _refuse(f"its files have more than {TOTAL_MAX >> 20} MiB together")
        if len(self.files) >= FILES_MAX:
            raise _refuse(f"it has more than {FILES_MAX} files")
        self.files[path] = data


def is_pool(path: str) -> bool:
    """Whether this is something that holds several files."""
    try:
        if os.path.isdir(path):
            return True
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(4) in (b"PK\3\4", b"PK\5\6")
    except (OSError, ValueError):
        return False  # whoever reads it as a file says what is wrong


def read(path: str) -> Found:
    """What is in a directory or .zip file. Raises "import-refused" and "system"."""
    found = Found()
    try:
        if os.path.isdir(path):
            _directory(path, "", 0, found)
        else:
            _zip(path, found)
    except OSError as error:
        raise NetjailError("system", f"cannot read {path}: {error.strerror or error}") from None
    return found


def _why_not(name: str, size: int) -> str | None:
    """Why a file is left out, by its name and size; None: it is not."""
    if name.lower().endswith(_ARCHIVES):
        return "it is an archive inside; unpack it and import what is in it"
    if size > FILE_MAX:
        return f"it is longer than {FILE_MAX >> 10} KiB"
    return None


def _directory(top: str, inside: str, depth: int, found: Found) -> None:
    where = f"{top}/{inside}" if inside else top
    if depth > DEPTH_MAX:
        found.skipped.append((inside, f"it is more than {DEPTH_MAX} folders deep"))
        return
    listed = []
    try:
        with os.scandir(where) as entries:
            for entry in entries:
                found.seen += 1
                if found.seen > FILES_MAX:  # somebody's whole home, or / itself
                    raise _refuse(f"it is a directory with more than {FILES_MAX} files")
                listed.append(entry)
    except OSError as error:
        if not inside:
            raise
        found.skipped.append((inside, f"it cannot be read: {error.strerror}"))
        return
    listed.sort(key=lambda entry: entry.name)
    for entry in listed:
        name = f"{inside}/{entry.name}" if inside else entry.name
        shown = name.encode("utf-8", "replace").decode()
        if entry.name in _IGNORED or entry.name.startswith("."):
            continue
        if entry.is_symlink():
            found.skipped.append((shown, "it is a symbolic link"))
        elif entry.is_dir(follow_symlinks=False):
            _directory(top, name, depth + 1, found)
        elif not entry.is_file(follow_symlinks=False):  # to open a device may do something
            found.skipped.append((shown, "it is not a plain file"))
        else:
            _file(f"{top}/{name}", shown, found)


def _file(path: str, name: str, found: Found) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                found.skipped.append((name, "it is not a plain file"))
                return
            why = _why_not(name, status.st_size)
            if why is None:
                found.add(name, file.read(FILE_MAX))
            else:
                found.skipped.append((name, why))
    except OSError as error:
        found.skipped.append((name, f"it cannot be read: {error.strerror}"))


def _zip(path: str, found: Found) -> None:
    with open(path, "rb") as file:
        data = file.read(TOTAL_MAX + 1)
    if len(data) > TOTAL_MAX:
        raise _refuse(f"it is larger than {TOTAL_MAX >> 20} MiB")
    _judge_index(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > FILES_MAX:
                raise _refuse(f"it has more than {FILES_MAX} files")
            for entry in entries:
                _entry(archive, entry, found)
    except _BROKEN as error:
        raise _refuse(f"it is a damaged .zip file ({error})") from None


def _judge_index(data: bytes) -> None:
    """Refuse a table of contents that would be too much to read, by what its end says of it."""
    at = data.rfind(_END, max(0, len(data) - 65557))
    if at < 0 or len(data) < at + 22:
        raise _refuse("it is a damaged .zip file (it has no end; was it downloaded whole?)")
    count, size = struct.unpack_from("<HL", data, at + 10)
    if count == 0xFFFF or size > _INDEX_MAX:
        raise _refuse(f"it has more than {FILES_MAX} files")


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, found: Found) -> None:
    name = entry.filename.replace("\\", "/")
    parts = name.split("/")
    if entry.is_dir() or name.endswith("/"):
        return
    if any(part in _IGNORED for part in parts) or parts[-1].startswith("."):
        return
    shown = "".join(c if c.isprintable() else "?" for c in name)[:200]
    kind = entry.external_attr >> 16
    why = _why_not(name, entry.file_size)
    if name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in entry.orig_filename:
        why = "its path leads out of the archive"
    elif stat.S_ISLNK(kind):
        why = "it is a symbolic link"
    elif stat.S_IFMT(kind) not in (0, stat.S_IFREG):
        why = "it is not a plain file"
    elif len(parts) > DEPTH_MAX + 1:
        why = f"it is more than {DEPTH_MAX} folders deep"
    elif entry.flag_bits & 1:
        why = "it is encrypted; unpack the archive with its password first"
    elif name in found.files:
        why = "the archive has another file of that name"
    if why is not None:
        found.skipped.append((shown, why))
        return
    try:
        with archive.open(entry) as file:
            data = file.read(FILE_MAX + 1)  # whatever its header says of the size
    except _BROKEN as error:
        found.skipped.append((shown, f"it cannot be unpacked: {error}"))
        return
    if len(data) > FILE_MAX:
        found.skipped.append((shown, f"it is longer than {FILE_MAX >> 10} KiB"))
    else:
        found.add(name, data)


def _refuse(why: str) -> NetjailError:
    return NetjailError(
        "import-refused",
        f"the pool cannot be imported: {why}",
        "give the directory or .zip that your provider has under `download all`",
    )
