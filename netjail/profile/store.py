# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles on disk: names.PROFILE_DIR, kept by a `FileStore`."""

from __future__ import annotations

from netjail import names as fixed
from netjail.errors import NetjailError
from netjail.profile import toml
from netjail.profile.filestore import FileStore
from netjail.profile.model import Profile

_FILES = FileStore(lambda: fixed.PROFILE_DIR, "profile", "netjail import FILE --name {name}")
path = _FILES.path
names = _FILES.names
read_text = _FILES.read_text
remove = _FILES.remove
exposed = _FILES.exposed
no_such = _FILES.no_such


def load(name: str) -> Profile:
    """Raises "no-such-profile", "invalid-profile" (with all problems), "system"."""
    return load_with_warnings(name)[0]


def load_with_warnings(name: str) -> tuple[Profile, list[str]]:
    """Like `load`, with what `toml.parse` warns of."""
    text = read_text(name)
    try:
        return toml.parse(name, text)
    except NetjailError as error:
        error.message = f"profile {name} cannot be used: {error.message}"
        error.hint = error.hint or f"netjail profile edit {name}"
        raise


def save(name: str, text: str, replace: bool = False) -> list[str]:
    """Check `text` and store it; returns the warnings of `toml.parse`.

    Raises "invalid-profile", "exists" (there is one and not `replace`), "system" (nothing has
    changed then).
    """
    path(name)  # raises invalid-name first
    _, warnings = toml.parse(name, text)
    _FILES.save(name, text, replace)
    return warnings
