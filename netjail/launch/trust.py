# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether anybody but root could change the code that root is about to run.

A helper that runs from somebody's home directory makes that somebody root. So `netjaild` on the
bus and `netjail setup` refuse to, and say which file or directory it is.

Imported by the helper at its start: the standard library's cheap part only.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Sequence

from netjail.errors import NetjailError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LINKS_MAX = 40
"""As many as the kernel follows (path_resolution(7))."""
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SHOWN = 3
_FIRST_OF_PEOPLE = 1000
"""The first number of users and groups that are not the system's (login.defs(5))."""


def check_code() -> None:
    """Raise NetjailError("system") unless only root can change the code of this process."""
    found = flaws()
    if found:
        raise _error(found)


def flaws(trees: Sequence[str] = (_PACKAGE,), paths: Iterable[str] | None = None) -> list[str]:
    """What is wrong, one sentence each: "/a/b can be written by its group (gid 50)".

    `trees`: directories that are judged with all that is in them, links included; `paths`: files
    and directories that are judged alone (default: the interpreter and sys.path). The parents of
    all of them are judged too: who can rename a directory can put another in its place.
    """
    judge = _Judge()
    for path in [sys.executable, *sys.path] if paths is None else paths:
        if path:
            judge.walk_to(path)
    for tree in trees:
        judge.tree(tree)
    return judge.found


class _Judge:
    def __init__(self) -> None:
        self.found: list[str] = []
        self._parents: set[str] = set()
        self._trees: set[str] = set()

    def tree(self, path: str) -> None:
        real = self.walk_to(path)
        if real is None or real in self._trees:
            return
        self._trees.add(real)
        links = []
        for where, directories, files in os.walk(real, onerror=self._unreadable):
            for name in (*directories, *files):
                entry = f"{where}/{name}"
                status = os.lstat(entry)
                if stat.S_ISLNK(status.st_mode):
                    links.append(entry)
                self._judge(entry, status, parent=False)
        for link in links:
            if os.path.isdir(link):
                self.tree(link)
            else:
                self.walk_to(link)

    def walk_to(self, path: str) -> str | None:
        """Judge every step of `path` as the kernel takes them; gives the real path, or None where
        it ends in nothing."""
        rest = [part for part in os.path.abspath(path).split("/") if part]
        here, links = "", 0
        self._judge("/", os.lstat("/"), parent=bool(rest))
        while rest:
            name = rest.pop(0)
            if name in (".", ".."):
                here = os.path.dirname(here) if name == ".." else here
                here = "" if here == "/" else here
                continue
            entry = f"{here}/{name}"
            try:
                status = os.lstat(entry)
            except OSError:
                if os.lstat(here or "/").st_mode & _OTHERS:
                    self._say(f"{entry} is missing, and others than root could make it")
                return None
            self._judge(entry, status, parent=bool(rest))
            if not stat.S_ISLNK(status.st_mode):
                here = entry
                continue
            links += 1
            if links > _LINKS_MAX:
                self._say(f"{path} leads in circles")
                return None
            target = os.readlink(entry)
            if target.startswith("/"):
                here = ""
            rest[:0] = [part for part in target.split("/") if part]
        return here or "/"

    def _judge(self, path: str, status: os.stat_result, parent: bool) -> None:
        """`parent`: only what can happen to root's things below it counts."""
        if parent:
            if path in self._parents:
                return
            self._parents.add(path)
        if status.st_uid != 0:
            self._say(f"{path} belongs to {_user(status.st_uid)}")
        if stat.S_ISLNK(status.st_mode):
            return  # its mode means nothing
        if parent and stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
            return  # like /tmp: others cannot touch what root has there
        # a group bit is also how an access control list shows (acl(5))
        if status.st_mode & stat.S_IWOTH:
            self._say(f"{path} can be written by everybody")
        elif status.st_mode & stat.S_IWGRP and not _empty(status.st_gid):
            self._say(f"{path} can be written by its group (gid {status.st_gid})")

    def _unreadable(self, error: OSError) -> None:
        self._say(f"{error.filename} cannot be read: {error.strerror}")

    def _say(self, sentence: str) -> None:
        if sentence not in self.found:
            self.found.append(sentence)


def _empty(gid: int) -> bool:
    """Whether nobody but root is in a group, as in Debian's `staff`, which older systems let
    write to /usr/local. Groups of people (from 1000 on) may get members at any time."""
    import grp
    import pwd

    if gid >= _FIRST_OF_PEOPLE:
        return False
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    members |= {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid and user.pw_uid}
    return not members - {"root"}


def _user(uid: int) -> str:
    import pwd

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _error(found: Sequence[str]) -> NetjailError:
    more = len(found) - _SHOWN
    return NetjailError(
        "system",
        "root does not run code that others than root can change",
        "Install netjail's package, or make a virtual environment as root in a directory of "
        "root's:\n  sudo python3 -m venv --system-site-packages /opt/netjail\n"
        "  sudo /opt/netjail/bin/pip install netjail",
        (*found[:_SHOWN], *((f"and {more} more",) if more > 0 else ())),
    )
