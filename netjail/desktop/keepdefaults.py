# SPDX-License-Identifier: GPL-3.0-or-later
"""A second launcher must not become what opens files and links only because it is there.

Where nobody has chosen what opens a type, the user's own entries come before the system's, so that
"Firefox (vpn)" would get every link. What opened it so far is then written down as the default, in
$XDG_DATA_HOME/applications/mimeapps.list: anything that the user chooses counts more than that.
"""

from __future__ import annotations

import os

from netjail.desktop import defaults, entries, places
from netjail.desktop.keyfile import KeyFile, split_list

_GROUP = "Default Applications"


def before(source: bytes) -> dict[str, str]:
    """What opens now each type that an entry opens: type to ID."""
    kinds = split_list(KeyFile(source).get("Desktop Entry", "MimeType") or "")
    return _openers(kinds)


def keep(openers: dict[str, str], newcomer: str) -> list[str]:
    """Where `newcomer` has taken over, give it back; says what was written, as "type=ID"."""
    now = _openers(list(openers))
    taken = [kind for kind, name in now.items() if name == newcomer != openers[kind]]
    if not taken:
        return []
    data = places.read(_path())
    file = KeyFile(b"" if data is None else data)
    for kind in taken:
        file.set(_GROUP, kind, openers[kind] + ";")
    places.write(_path(), file.data())
    return [f"{kind}={openers[kind]}" for kind in taken]


def give_up(kept: tuple[str, ...]) -> None:
    """Take out what `keep` wrote, where it still stands there."""
    data = places.read(_path())
    if data is None or not kept:
        return
    file = KeyFile(data)
    for each in kept:
        kind, _, name = each.partition("=")
        if split_list(file.get(_GROUP, kind) or "") == [name]:
            file.remove(_GROUP, kind)
    if file.data().strip() == f"[{_GROUP}]".encode():
        places.remove(_path())  # nothing else was ever in it
    elif file.data() != data:
        places.write(_path(), file.data())


def _openers(kinds: list[str]) -> dict[str, str]:
    installed = {entry.id: entry for entry in entries.scan().entries}
    known = defaults.lists()
    found = {kind: defaults.default_for([kind], installed, known) for kind in kinds}
    return {kind: entry.id for kind, entry in found.items() if entry is not None}


def _path() -> str:
    return os.path.join(places.data_home(), "applications", "mimeapps.list")
