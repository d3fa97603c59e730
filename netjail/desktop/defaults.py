# SPDX-License-Identifier: GPL-3.0-or-later
"""Which application opens what: MIME types, and mimeapps.list as the specification has it.

Facts: MIME Application Associations 1.0.1; GLib's gdesktopappinfo.c for the parent types, of which
the specification says nothing.
"""

from __future__ import annotations

import os
import re

from netjail.desktop import entries, execline, places
from netjail.desktop.keyfile import KeyFile, split_list
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from netjail.desktop.entries import Entry

_DEFAULT = "Default Applications"
_ADDED = "Added Associations"
_REMOVED = "Removed Associations"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


class Lists:
    """All mimeapps.list files, in the order in which they count.

    `levels`: the directory of applications that a list speaks of ("" for those of the
    configuration, which speak of all), and the lists themselves.
    """

    def __init__(self, levels: Sequence[tuple[str, Sequence[KeyFile]]]) -> None:
        self.levels = levels

    def explicit(self, kind: str) -> Iterable[str]:
        """The IDs that are named as the default for a type, best first."""
        for _, lists in self.levels:
            for each in lists:
                yield from split_list(each.get(_DEFAULT, kind) or "")

    def associated(self, kind: str, installed: Mapping[str, Entry]) -> Iterable[str]:
        """The IDs of what can open it, best first: added by somebody, or by what entries say."""
        removed: set[str] = set()
        given: set[str] = set()
        for directory, lists in self.levels:
            for each in lists:
                for name in split_list(each.get(_ADDED, kind) or ""):
                    if name not in removed and name not in given:
                        given.add(name)
                        yield name
                removed.update(split_list(each.get(_REMOVED, kind) or ""))
            if not directory:
                continue
            for name, entry in installed.items():
                within = entry.path.startswith(directory + "/")
                if within and kind in entry.mime_types and name not in removed | given:
                    given.add(name)
                    yield name


def lists(desktops: Sequence[str] | None = None) -> Lists:
    """Those of this user and machine. `desktops`: default by XDG_CURRENT_DESKTOP."""
    if desktops is None:
        desktops = os.environ.get("XDG_CURRENT_DESKTOP", "").split(":")
    files = [f"{d.lower()}-mimeapps.list" for d in desktops if d and "/" not in d]
    files.append("mimeapps.list")
    levels = [("", _read(directory, files)) for directory in places.config_dirs()]
    for directory in entries.data_dirs():
        applications = os.path.join(directory, "applications")
        levels.append((applications, _read(applications, files)))
    return Lists(levels)


def _read(directory: str, files: Sequence[str]) -> list[KeyFile]:
    found = []
    for name in files:
        try:
            data = places.read(os.path.join(directory, name))
        except NetjailError:
            continue
        if data is not None:
            found.append(KeyFile(data))
    return found


def default_for(
    kinds: Sequence[str], installed: Mapping[str, Entry], known: Lists | None = None
) -> Entry | None:
    """The application that opens the first of these types that any opens.

    `kinds`: a type and what it is a kind of; `installed`: by ID.
    """
    known = lists() if known is None else known
    for kind in kinds:
        for name in known.explicit(kind):
            if name in installed:
                return installed[name]
        for name in known.associated(kind, installed):
            if name in installed:
                return installed[name]
    return None


def opener(target: str) -> Entry:
    """The application that opens a URL or a file. Raises `no-such-application`, `usage`."""
    kinds = kinds_of(target)
    installed = {entry.id: entry for entry in entries.scan().entries}
    found = default_for(kinds, installed)
    if found is None:
        raise NetjailError(
            "no-such-application",
            f"no application is installed that opens {kinds[0]}",
            "Name one: `netjail run PROFILE APPLICATION.desktop " + target + "`.",
        )
    return found


def kinds_of(target: str) -> list[str]:
    """The MIME type of a URL or a file, then what that is a kind of. Raises `usage`."""
    path = execline.local(target)
    scheme = _SCHEME.match(target)
    if path is None and scheme is not None:
        if scheme[1].lower() == "file":
            raise NetjailError("usage", f"{target} is a file of another machine")
        return [f"x-scheme-handler/{scheme[1].lower()}"]
    if path is None or not os.path.lexists(path):
        raise NetjailError(
            "usage",
            f"there is no file {target if path is None else path}",
            f"If it is a web page: https://{target}"
            if "." in target and target[0] != "/"
            else None,
        )
    return _kinds_of_file(path)


def _kinds_of_file(path: str) -> list[str]:
    if os.path.isdir(path):
        return ["inode/directory"]
    from xdg import Mime

    try:
        kind = Mime.get_type2(path)
    except OSError as error:
        raise NetjailError("system", f"{path} cannot be read: {error.strerror}") from None
    found = [str(kind)]
    waiting = [kind.canonical()]
    while waiting:
        each = waiting.pop(0)
        if str(each) not in found:
            found.append(str(each))
        waiting += sorted(each.inherits_from(), key=str)
        if len(found) > 50:
            break
    if found[0].startswith("text/") and "text/plain" not in found:
        found.append("text/plain")
    return found
