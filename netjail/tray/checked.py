# SPDX-License-Identifier: GPL-3.0-or-later
"""What `netjail check` has found, as a notification and as a report to read. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from netjail.tray.notices import Notice

_SEEN = re.compile(r"\bseen as ([0-9a-fA-F:.]+)")
_RANK = {"leak": 0, "warning": 1, "info": 2, "ok": 3}
_WORDS = {"leak": "Leak", "warning": "Warning", "info": "Note", "ok": "Fine"}


def verdict(result: Mapping[str, Any]) -> str:
    """One sentence."""
    name, counts = result["profile"], result.get("counts") or {}
    leaks, warnings = int(counts.get("leak", 0)), int(counts.get("warning", 0))
    if leaks:
        return f"{name} leaks: {_count(leaks, 'finding')}"
    if warnings:
        return f"{name}: no leak, {_count(warnings, 'warning')}"
    return f"{name}: nothing leaks"


def notice(result: Mapping[str, Any]) -> Notice:
    """The verdict, the worst finding, a button for the rest."""
    name = str(result["profile"])
    worst = [each for each in ranked(result) if each["level"] in ("leak", "warning")]
    text = f"{worst[0]['title']}: {worst[0]['text']}" if worst else "Every way out was looked at."
    leaks = bool(worst) and worst[0]["level"] == "leak"
    button = (("Show", ("show-check", name)),)
    return Notice(f"check {name}", verdict(result), text, "critical" if leaks else "normal", button)


def ranked(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings, the worst first; those that the user has accepted are notes."""
    found = [
        {**each, "level": "info"} if each.get("accepted") else each
        for each in result.get("findings") or ()
    ]
    return sorted(found, key=lambda each: _RANK.get(str(each["level"]), 2))


def sections(result: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """(heading, text) of each finding: what, why it matters, what to do."""
    return [
        (
            f"{_WORDS.get(str(each['level']), 'Note')}: {each['title']}",
            "\n".join(
                str(each[key])
                for key in ("text", "why", "todo")
                if each.get(key) and (key == "text" or each["level"] in ("leak", "warning"))
            ),
        )
        for each in ranked(result)
    ]


def exit_address(result: Mapping[str, Any]) -> str:
    """The address that others see, IPv4 if there is one; "" where nobody was asked."""
    for code in ("exit-ipv4", "exit-ipv6"):
        for each in result.get("findings") or ():
            found = _SEEN.search(str(each["text"])) if each.get("code") == code else None
            if found is not None:
                try:
                    return str(ipaddress.ip_address(found[1].rstrip(".:,;")))
                except ValueError:
                    pass
    return ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
