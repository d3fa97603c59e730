# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the user's own files are, by the XDG base directories, and how they are written.

Everything here is the user's: written with the user's rights, read by the user's own processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile

from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def home() -> str:
    """The user's home directory."""
    return os.path.expanduser("~")


def _directory(variable: str, default: str) -> str:
    value = os.environ.get(variable, "")
    # one that is not absolute does not count
    return os.path.normpath(value) if value.startswith("/") else os.path.join(home(), default)


def config_home() -> str:
    """XDG_CONFIG_HOME."""
    return _directory("XDG_CONFIG_HOME", ".config")


def data_home() -> str:
    """XDG_DATA_HOME."""
    return _directory("XDG_DATA_HOME", ".local/share")


def state_home() -> str:
    """XDG_STATE_HOME."""
    return _directory("XDG_STATE_HOME", ".local/state")


def config_dirs() -> list[str]:
    """XDG_CONFIG_HOME and XDG_CONFIG_DIRS."""
    return [config_home(), *_list("XDG_CONFIG_DIRS", "/etc/xdg")]


def _list(variable: str, default: str) -> list[str]:
    value = os.environ.get(variable) or default
    return [os.path.normpath(each) for each in value.split(":") if each.startswith("/")]


def require_own_home() -> None:
    """Raise `usage` where what we write would be somebody else's, or root's in a user's home."""
    if os.geteuid() != 0:
        return
    caller = os.environ.get("SUDO_UID", "")
    try:
        owner = os.stat(home()).st_uid
    except OSError:
        owner = 0
    if caller not in ("", "0") or owner != 0:
        raise NetjailError(
            "usage",
            "this is about the applications of a user, and sudo has made you root",
            "Run the same command without sudo.",
        )


def read(path: str) -> bytes | None:
    """A file's content; None where there is none. Raises `system`."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NetjailError("system", f"{path} cannot be read: {error.strerror}") from None


def write(path: str, data: bytes, mode: int = 0o644) -> None:
    """Put a file there at once, or leave everything as it is. Raises `system`."""
    directory = os.path.dirname(path)
    temporary = None
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=".netjail-", dir=directory)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
        temporary = None
    except OSError as error:
        raise NetjailError("system", f"{path} cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def remove(path: str) -> None:
    """Take a file away, if it is there. Raises `system`."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise NetjailError("system", f"{path} cannot be removed: {error.strerror}") from None


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """One of our processes at a time, as long as it takes. Raises `system`."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NetjailError("system", f"{directory} cannot be opened: {error.strerror}") from None
    try:
        with contextlib.suppress(OSError):  # a file system without locks: then without
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
