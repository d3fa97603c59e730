# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches on disk: names.SWITCH_DIR, kept by a `FileStore` as profiles are."""

from __future__ import annotations

from netjail import names as fixed
from netjail.errors import NetjailError
from netjail.profile import switch
from netjail.profile.filestore import FileStore
from netjail.profile.switch import Switch

_FILES = FileStore(lambda: fixed.SWITCH_DIR, "switch", "netjail switch add FILE --name {name}")
path = _FILES.path
names = _FILES.names
read_text = _FILES.read_text
remove = _FILES.remove
no_such = _FILES.no_such


def load(name: str) -> Switch:
    """Raises "no-such-switch", "invalid-switch" (with all problems), "system"."""
    text = read_text(name)
    try:
        return switch.parse(name, text)[0]
    except NetjailError as error:
        error.message = f"switch {name} cannot be used: {error.message}"
        error.hint = error.hint or f"netjail switch edit {name}"
        raise


def save(name: str, text: str, replace: bool = False) -> list[str]:
    """Check `text` and store it; returns warnings. Raises as `profile.store.save`."""
    path(name)
    _, warnings = switch.parse(name, text)
    _FILES.save(name, text, replace)
    return warnings
