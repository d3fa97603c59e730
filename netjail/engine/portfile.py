# SPDX-License-Identifier: GPL-3.0-or-later
"""What was added to and removed from the ports of a jail while it is up, kept beside the record:
its file knows nothing of it, and it ends with the jail."""

from __future__ import annotations

import json

from netjail import names
from netjail.engine import files
from netjail.profile.model import Port

Ports = tuple[Port, ...]


def _path(profile: str) -> str:
    return f"{names.jail_dir(profile)}/ports.json"


def read(profile: str) -> tuple[Ports, Ports]:
    """(added, removed). Empty where nothing was changed."""
    try:
        with open(_path(profile), encoding="utf-8") as file:
            data = json.load(file)
        return tuple(Port(*p) for p in data["added"]), tuple(Port(*p) for p in data["removed"])
    except (OSError, ValueError, KeyError, TypeError):
        return (), ()


def write(profile: str, added: Ports, removed: Ports) -> None:
    """Keep it. Raises NetjailError."""
    files.write(_path(profile), json.dumps({"added": added, "removed": removed}), 0o600)
