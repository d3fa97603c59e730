# SPDX-License-Identifier: GPL-3.0-or-later
"""Who serves DHCP on which switch, as the stored profiles have it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import store
from netjail.profile.model import Profile
from netjail.profile.switch import Switch

_serving: tuple[int, dict[str, list[str]]] = (0, {})
"""When the directory of the profiles had last changed, and who serves which switch."""


def by_profile(switch: Switch) -> bool:
    """Whether a profile, be it up or down, is there to serve a switch: then nobody else does."""
    return switch.dhcp is not None and bool(by_whom(switch.name))


def by_whom(switch: str) -> list[str]:
    """The profiles, be they up or down, that are there to serve a switch."""
    global _serving  # noqa: PLW0603 - looked for anew only when a profile has been stored
    try:
        changed = os.stat(names.PROFILE_DIR).st_mtime_ns
    except OSError:
        return []
    if _serving[0] != changed:
        found: dict[str, list[str]] = {}
        for served, name in _served():
            found.setdefault(served, []).append(name)
        _serving = changed, found
    return _serving[1].get(switch, [])


def known(name: str) -> Profile | None:
    """A profile by its name; None: there is none, or it is not valid."""
    try:
        return store.load(name)
    except NetjailError:
        return None


def _served() -> Iterator[tuple[str, str]]:
    for name in store.names():
        try:
            if "serve_dhcp" in store.read_text(name):
                links_ = store.load(name).links
                yield from ((e.switch, name) for e in links_ if e.serve_dhcp and e.switch)
        except NetjailError:
            continue  # not valid: it serves nobody
