# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the files of `netjail setup` and takes exactly them away again.

What was written is recorded, with hashes, in PREFIX/share/netjail/setup.json. A file that is not
recorded, or that somebody has changed since, is neither replaced nor removed. The record is
written first, with the old and the new hash, so that a run that is killed can be repeated.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from netjail import __version__
from netjail.cli.layout import Item
from netjail.errors import NetjailError

WRITE, SAME, KEEP, REMOVE, FOREIGN = "write", "same", "keep", "remove", "foreign"
"""What becomes of a file. KEEP: it was ours and was changed since; FOREIGN: it never was ours."""


@dataclass(slots=True)
class Manifest:
    """`files`: path to the hashes that our text has or had there; `directories`: those we made."""

    path: str
    files: dict[str, list[str]] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: str) -> Manifest:
        """The one at `path`, an empty one where there is none. Raises NetjailError("system")."""
        try:
            with open(path, encoding="utf-8") as file:
                data = json.load(file)
            return cls(
                path,
                {str(p): [str(h) for h in hashes] for p, hashes in data["files"].items()},
                [str(d) for d in data["directories"]],
            )
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NetjailError(
                "system",
                f"cannot read what setup has written before: {path}: {error}",
                "If the file is damaged, remove it; setup then says what else is in its way.",
            ) from None

    def write(self) -> None:
        """Put it on the disk, or take it away when it is empty."""
        if not self.files:
            _unlink(self.path)
            return
        data = {
            "comment": "what `netjail setup` has written; `netjail setup --remove` reads it",
            "version": __version__,
            "files": self.files,
            "directories": self.directories,
        }
        text = json.dumps(data, indent=1) + "\n"
        self.directories += make_directories(os.path.dirname(self.path))
        write_file(self.path, text.encode(), 0o644)


def manifest_path(prefix: str) -> str:
    """Where the record for a prefix is."""
    return f"{prefix}/share/netjail/setup.json"


def compare(items: Sequence[Item], manifest: Manifest) -> list[tuple[Item, str]]:
    """What installing would do with each item: WRITE, SAME, KEEP or FOREIGN."""
    found = []
    for item in items:
        there = _hash_of(item.target)
        ours = there in manifest.files.get(item.target, ())
        if there is None:
            change = WRITE
        elif there == digest(item.text):
            # the same text from somebody else (a package) stays theirs
            change = SAME if _mode(item.target) == item.mode or not ours else WRITE
        elif ours:
            change = WRITE
        else:
            change = KEEP if item.target in manifest.files else FOREIGN
        found.append((item, change))
    return found


def install(changes: Sequence[tuple[Item, str]], manifest: Manifest) -> list[str]:
    """Write what is to be written; gives the paths of an earlier version that went."""
    wanted = {item.target for item, _ in changes}
    for item, change in changes:
        if change == WRITE:
            hashes = manifest.files.setdefault(item.target, [])
            if digest(item.text) not in hashes:
                hashes.append(digest(item.text))
    manifest.write()
    for item, change in changes:
        if change == WRITE:
            manifest.directories += make_directories(os.path.dirname(item.target))
            write_file(item.target, item.text, item.mode)
            manifest.files[item.target] = [digest(item.text)]
    old = [path for path in manifest.files if path not in wanted]
    gone = [path for path in old if _remove_ours(path, manifest)]
    for path in old:
        del manifest.files[path]
    manifest.write()
    return gone


def would_remove(manifest: Manifest) -> list[tuple[str, str]]:
    """Paths with REMOVE or KEEP, of the files that are still there."""
    found = []
    for path, hashes in sorted(manifest.files.items()):
        there = _hash_of(path)
        if there is not None:
            found.append((path, REMOVE if there in hashes else KEEP))
    return found


def remove(manifest: Manifest) -> None:
    """Take away what `would_remove` says, the directories that setup made, and the record."""
    for path in list(manifest.files):
        _remove_ours(path, manifest)
    directories = [*manifest.directories]
    manifest.files.clear()
    manifest.write()
    for directory in sorted(set(directories), key=len, reverse=True):
        try:
            os.rmdir(directory)
        except OSError:
            pass  # others have put something there


def digest(text: bytes) -> str:
    """The hash by which a text is known again."""
    return hashlib.sha256(text).hexdigest()


def make_directories(path: str) -> list[str]:
    """Make a directory with its parents, 0755; gives those that were not there."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        os.mkdir(directory)
        os.chmod(directory, 0o755)  # noqa: S103 - whatever the umask: it is for everybody to read
    return missing


def write_file(path: str, text: bytes, mode: int) -> None:
    """Write a file whole or not at all."""
    new = f"{path}.netjail-new"
    _unlink(new)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(text)
            os.fchmod(fd, mode)
        os.rename(new, path)
    except BaseException:
        _unlink(new)
        raise


def _remove_ours(path: str, manifest: Manifest) -> bool:
    if _hash_of(path) in manifest.files[path]:
        _unlink(path)
        return True
    return False


def _hash_of(path: str) -> str | None:
    """Of what is at `path`; None if nothing is, "" if it is no plain file."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return ""
        with open(path, "rb") as file:
            return digest(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
