# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user has once answered: which copy of a program a profile gets.

In $XDG_CONFIG_HOME/netjail/copies.json, read and written by the user's own processes only. A file
that cannot be read counts as empty: the question comes again.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from xdg import BaseDirectory

VALUES = ("apart", "share")
"""`apart`: data of its own for that profile. `share`: one for all profiles of netjail."""


def file() -> str:
    """Where the answers are."""
    return os.path.join(BaseDirectory.xdg_config_home, "netjail", "copies.json")


def recall(app: str, profile: str) -> str | None:
    """The answer given for a program in a profile, or for the program in all (`share`)."""
    found = _load().get(app)
    if not isinstance(found, dict):
        return None
    value = found.get(profile)
    return value if value in VALUES else None


def remember(app: str, profile: str, value: str) -> None:
    """Keep an answer. OSError where that cannot be."""
    data = _load()
    if not isinstance(data.get(app), dict):
        data[app] = {}
    data[app][profile] = value
    path = file()
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".copies.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump(data, opened, indent=1, sort_keys=True)
            opened.write("\n")
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _load() -> dict[str, Any]:
    try:
        with open(file(), encoding="utf-8") as opened:
            found = json.load(opened)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
