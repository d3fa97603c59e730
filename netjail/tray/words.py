# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and states in the words that a menu has room for."""

from __future__ import annotations

import time

from netjail.tray.state import Profile

STATES = {
    "down": "down",
    "starting": "starting …",
    "up": "up",
    "degraded": "no answer",
    "stopping": "stopping …",
    "failed": "failed",
}
REASON_MAX = 72
"""Characters of a reason that a menu shows; the notification has them all."""


def size(count: int) -> str:
    """Bytes, in the units of ls(1) -h by 1000: "0 B", "999 B", "1.5 kB", "12 MB"."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        # What would be rounded to the next unit's first number is written as that.
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    if unit == "B":
        return f"{count} B"
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def since(stamp: int | None, now: float) -> str:
    """When something began: "14:02" if today, "23 Nov 14:02" before; "" where unknown."""
    if not stamp:
        return ""
    then, today = time.localtime(stamp), time.localtime(now)
    clock = time.strftime("%H:%M", then)
    if (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday):
        return clock
    return f"{then.tm_mday} {time.strftime('%b', then)} {clock}"


def state(profile: Profile, now: float) -> str:
    """ "up since 14:02", "no answer since 14:05", "down"."""
    word = STATES.get(profile.state, profile.state)
    began = since(profile.since, now) if profile.state in ("up", "degraded", "failed") else ""
    return f"{word} since {began}" if began else word


def short(text: str, most: int = REASON_MAX) -> str:
    """The beginning of a text, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip(" ,;:") + "…"
