# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of our TOML files (0700), one NAME.toml (0600) each. Root's business.

The files hold private keys and decide what root does, so a store reads only what nobody but
root (or whoever we run as) could have put there: no symbolic links, no file or directory that
others own or may write to. A file is replaced by rename after its text is on the disk, so there
is always the old one or the new one, whole, also when the disk is full or the power fails.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from netjail import names as fixed
from netjail.errors import NetjailError
from netjail.profile.tables import invalid
from netjail.profile.toml import SIZE_MAX, check_name

_SUFFIX = ".toml"
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FileStore:
    """`directory` says where; `noun` and `making` are words for errors ("profile", and how one
    comes into being)."""

    directory: Callable[[], str]
    noun: str
    making: str

    def path(self, name: str) -> str:
        """Where a file is, or would be. Raises "invalid-name"."""
        check_name(name, self.noun)
        return f"{self.directory()}/{name}{_SUFFIX}"

    def names(self) -> list[str]:
        """The names of all stored files, sorted; says nothing about whether they are valid."""
        try:
            found = os.listdir(self.directory())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("read", self.directory(), error) from None
        stems = (f[: -len(_SUFFIX)] for f in found if f.endswith(_SUFFIX))
        return sorted(s for s in stems if fixed.valid_name(s))

    def read_text(self, name: str) -> str:
        """The file as it stands, secrets included."""
        where = self.path(name)
        try:
            with self._directory() as directory:
                file = os.open(
                    name + _SUFFIX,
                    # O_NONBLOCK: a FIFO planted here must not hang us before fstat tells.
                    os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                    dir_fd=directory,
                )
        except FileNotFoundError:
            raise self.no_such(name) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _unsafe(where, "is a symbolic link", "put the file itself there") from None
            raise self._failed("read", where, error) from None
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise _unsafe(where, "is not a plain file", f"remove {where}")
            _check_owner(where, status)
            data = b""
            while len(data) <= SIZE_MAX and (part := os.read(file, SIZE_MAX + 1)):
                data += part
        except OSError as error:
            raise self._failed("read", where, error) from None
        finally:
            os.close(file)
        if len(data) > SIZE_MAX:
            raise invalid(where, [f"{where}: is larger than {SIZE_MAX} bytes"], noun=self.noun)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise invalid(
                where,
                [f"{where}:{line}: is not UTF-8 text"],
                f"netjail {self.noun} edit {name}",
                noun=self.noun,
            ) from None

    def save(self, name: str, text: str, replace: bool = False) -> None:
        """Store `text`, which the caller has checked.

        Raises "exists" (there is one and not `replace`), "system" (nothing has changed then).
        """
        where = self.path(name)
        file, new = name + _SUFFIX, f".{name}{_SUFFIX}.new"
        try:
            with self._directory(create=True) as directory:
                fcntl.flock(directory, fcntl.LOCK_EX)  # two writers would share `new`
                if not replace and _there(file, directory):
                    raise self._exists(name)
                try:
                    _write(new, text.encode(), directory)
                    os.rename(new, file, src_dir_fd=directory, dst_dir_fd=directory)
                except BaseException:
                    _unlink(new, directory)
                    raise
                os.fsync(directory)
        except OSError as error:
            raise self._failed("write", where, error) from None

    def remove(self, name: str) -> None:
        """Delete a file, whatever is in it."""
        where = self.path(name)
        try:
            with self._directory() as directory:
                fcntl.flock(directory, fcntl.LOCK_EX)
                os.unlink(name + _SUFFIX, dir_fd=directory)
                os.fsync(directory)
        except FileNotFoundError:
            raise self.no_such(name) from None
        except OSError as error:
            raise self._failed("remove", where, error) from None

    def exposed(self) -> list[str]:
        """Paths whose mode lets others read keys: for `netjail doctor`."""
        found = []
        for where in [self.directory(), *(self.path(n) for n in self.names())]:
            try:
                mode = os.lstat(where).st_mode
            except OSError:
                continue
            if mode & 0o077 and not stat.S_ISLNK(mode):
                found.append(where)
        # Files in a directory that others cannot enter are safe, whatever their own mode.
        return found if self.directory() in found else []

    def no_such(self, name: str) -> NetjailError:
        """The error for a name without a profile, with the name that was probably meant."""
        from netjail.profile.checks import did_you_mean

        try:
            meant = did_you_mean(name, self.names())
        except NetjailError:
            meant = None
        listing = "netjail list" if self.noun == "profile" else f"netjail {self.noun} list"
        return NetjailError(
            f"no-such-{self.noun}",
            f"there is no {self.noun} {name}",
            f"did you mean {meant}? `{listing}` shows all"
            if meant
            else f"`{listing}` shows all; `{self.making.format(name=name)}` makes one",
        )

    @contextmanager
    def _directory(self, create: bool = False) -> Iterator[int]:
        """A descriptor of the directory, checked. Raises FileNotFoundError if it is not there."""
        where = self.directory()
        if create:
            os.makedirs(os.path.dirname(where), mode=0o755, exist_ok=True)
            try:
                os.mkdir(where, 0o700)
            except FileExistsError:
                pass
        try:
            directory = os.open(where, _OPEN_DIR)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise _unsafe(
                    where, "is not a directory, or a symbolic link to one", f"look at {where}"
                ) from None
            raise
        try:
            status = os.fstat(directory)
            _check_owner(where, status)
            if create and stat.S_IMODE(status.st_mode) != 0o700:
                os.fchmod(directory, 0o700)
            yield directory
        finally:
            os.close(directory)

    def _exists(self, name: str) -> NetjailError:
        return NetjailError(
            "exists",
            f"there is a {self.noun} {name} already",
            f"take another name, or remove it first: netjail {self.noun} remove {name}",
        )

    def _failed(self, verb: str, where: str, error: OSError) -> NetjailError:
        hint = _HINTS.get(error.errno or 0)
        return NetjailError(
            "system",
            f"cannot {verb} {where}: {os.strerror(error.errno or errno.EIO)}",
            hint.format(dir=self.directory()) if hint else None,
        )


def _check_owner(where: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise _unsafe(
            where,
            f"belongs to the user with number {status.st_uid}, who could change it",
            f"look at what is in it, then: chown root: {where}",
        )
    if status.st_mode & 0o022:
        raise _unsafe(
            where,
            "can be changed by others than root",
            f"look at what is in it, then: chmod go= {where}",
        )


def _write(file: str, data: bytes, directory: int) -> None:
    _unlink(file, directory)  # left by a writer that was killed; we hold the lock
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(file, flags, 0o600, dir_fd=directory)
    try:
        os.fchmod(descriptor, 0o600)  # umask may have taken bits away
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)  # file systems that allocate late report a full disk only here
    finally:
        os.close(descriptor)


def _unlink(file: str, directory: int) -> None:
    try:
        os.unlink(file, dir_fd=directory)
    except OSError:
        pass


def _there(file: str, directory: int) -> bool:
    try:
        os.stat(file, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _unsafe(where: str, why: str, hint: str) -> NetjailError:
    return NetjailError("system", f"{where} {why}; netjail does not use it", hint)


_HINTS = {
    errno.ENOSPC: "free some space; nothing has been changed",
    errno.EDQUOT: "free some space; nothing has been changed",
    errno.EROFS: "the file system is read-only; netjail keeps its files in {dir}",
    errno.EACCES: "run it as root (sudo)",
    errno.EPERM: "run it as root (sudo)",
}
