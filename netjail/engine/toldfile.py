# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VPN's server said last, kept beside the record, also for the next helper."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from netjail import names
from netjail.engine import files, view
from netjail.uplinks.facts import Told


def _path(profile: str) -> str:
    return f"{names.jail_dir(profile)}/told.json"


def write(profile: str, told: Told) -> None:
    """Keep it. Raises NetjailError."""
    files.write(_path(profile), json.dumps(asdict(told)), 0o600)


def exists(profile: str) -> bool:
    """Whether the server has said anything yet."""
    return os.path.exists(_path(profile))


def read(profile: str) -> Told:
    """Empty where nothing was said. Raises NetjailError where it is unreadable."""
    text = view.read(_path(profile))
    if text is None:
        return Told()
    try:
        data: dict[str, Any] = json.loads(text)
        return Told(**{key: _tuples(value) for key, value in data.items()})
    except (ValueError, TypeError):
        return Told()


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def remove(profile: str) -> None:
    """Forget it. Idempotent."""
    try:
        os.unlink(_path(profile))
    except FileNotFoundError:
        pass
