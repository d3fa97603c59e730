# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files written whole: by a temporary name and rename, so that no reader sees a half."""

from __future__ import annotations

import errno
import os

from netjail.errors import NetjailError


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Replace `path` atomically. Raises NetjailError("system") naming the file and the reason."""
    temporary = f"{path}.new"
    try:
        fd = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
            mode,
        )
        try:
            os.fchmod(fd, mode)
            data = text.encode()
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise cannot("write", path, error) from error


def sweep(path: str) -> None:
    """Remove what a writer that was killed has left in a directory of ours."""
    for entry in os.scandir(path) if os.path.isdir(path) else ():
        if entry.name.endswith(".new"):
            os.unlink(entry.path)


def directory(path: str, mode: int = 0o755) -> None:
    """Make a directory and what leads to it, with exactly this mode on the last."""
    try:
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            os.mkdir(path, mode)
        os.chmod(path, mode, follow_symlinks=True)
    except OSError as error:
        raise cannot("make", path, error) from error


def symlink(target: str, path: str) -> None:
    """Make `path` a symbolic link to `target`, replacing an older one atomically."""
    try:
        if os.path.islink(path) and os.readlink(path) == target:
            return
        os.symlink(target, f"{path}.new")
        os.rename(f"{path}.new", path)
    except OSError as error:
        raise cannot("write", path, error) from error


def remove(path: str) -> None:
    """Remove a file of ours; nothing happens where there is none."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot("remove", path, error) from error


def remove_tree(path: str) -> None:
    """Remove a directory of ours; nothing happens where there is none."""
    try:
        if os.path.islink(path):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        _remove(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot("remove", path, error) from error


def remove_foreign(path: str) -> None:
    """The same for a directory of ours in which somebody else may write, and may be at it: nothing
    that they put in the place of something leads elsewhere."""
    import shutil  # late: most jails have no such directory

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot("remove", path, error) from error


def _remove(path: str) -> None:
    """Without shutil's precautions against others who write there: they cannot, and those take
    three times as long."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(path)


def cannot(verb: str, path: str, error: OSError) -> NetjailError:
    """The error for a file that the system did not let us write, make or remove."""
    hints = {
        28: "the file system is full: free some space",
        30: "the file system is read-only: netjail needs to write there",
        13: "the helper must run as root, outside of a sandbox",
    }
    return NetjailError(
        "system", f"cannot {verb} {path}: {error.strerror or error}", hints.get(error.errno or 0)
    )
