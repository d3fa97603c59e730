# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worth a notification: pure, from what was and what is. `notify` shows it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from netjail import names
from netjail.tray.state import Escaped, Profile, State

Urgency = Literal["low", "normal", "critical"]


@dataclass(frozen=True, slots=True)
class Notice:
    """`topic`: a later one on the same topic takes its place. `actions`: (label, action)."""

    topic: str
    title: str
    text: str
    urgency: Urgency = "normal"
    actions: tuple[tuple[str, tuple[str, ...]], ...] = ()


_WORKED = ("up",)
_CLOSED = "Nothing leaves it meanwhile."


def changes(before: State, after: State, asked: Collection[str]) -> list[Notice]:
    """What to tell about `after`, where `before` was told of already.

    Never what somebody has just asked for, here (`asked`: the profiles concerned) or elsewhere:
    a jail that somebody takes down is `down` without a reason, one that somebody brings up is
    `starting` before it is `up` (unless that was quick), and whoever asks is told how it went.
    What happens by itself has a reason: `up` to `degraded`, `failed` or `down`, and back. The
    repair of a failed jail is `starting` with a reason of its own (see `settled`).
    """
    found = []
    for profile in after.profiles:
        old = before.profile(profile.name)
        if old is not None and profile.name not in asked:
            notice = _change(old, profile)
            if notice is not None:
                found.append(notice)
    known = {each.pid for each in before.escaped}
    return found + [escaped(each) for each in after.escaped if each.pid not in known]


def _change(old: Profile, new: Profile) -> Notice | None:
    if old.state == new.state:
        return None
    topic = f"profile {new.name}"
    if new.state == "degraded" and old.state == "up":
        return Notice(topic, f"{new.name}: the tunnel does not answer", _closed(new), "normal")
    if new.state == "failed" and old.state in ("up", "degraded"):
        return Notice(topic, f"{new.name} has stopped working", _closed(new), "critical")
    if new.state == "down" and old.state in ("up", "degraded", "failed") and new.reason:
        return Notice(topic, f"{new.name} has stopped", new.reason, "critical")
    if new.state == "up" and old.state == "degraded":
        return Notice(topic, f"{new.name} is back", "The tunnel answers again.", "low")
    if new.state == "up" and old.state == "failed":
        return Notice(topic, f"{new.name} is back", "It works again.", "low")
    return None


def _closed(profile: Profile) -> str:
    reason = profile.reason.strip().rstrip(".")
    reason = reason[:1].upper() + reason[1:]
    if not reason:
        return _CLOSED
    return f"{reason}." if "nothing can leave" in reason else f"{reason}. {_CLOSED}"


def settled(before: State, after: State) -> State:
    """What is compared with the next time. A jail that is being repaired counts as failed still:
    nobody has asked for its start."""
    kept = []
    for profile in after.profiles:
        old = before.profile(profile.name)
        if old is not None and profile.state == "starting" and profile.reason == names.REPAIRING:
            kept.append(replace(profile, state="failed"))
        else:
            kept.append(profile)
    return State(profiles=tuple(kept), escaped=after.escaped)


def escaped(each: Escaped) -> Notice:
    network = f"that of {each.where}" if each.where else "the host's own"
    return Notice(
        f"escaped {each.pid}",
        f"{each.app.name} runs outside {each.profile}",
        f"It is pinned to {each.profile}, but the network it uses now is {network}.",
        "critical",
        (("Restart inside", ("restart", each.app.id, each.profile, str(each.pid))),),
    )


def imported(name: str, left_out: int, warnings: Collection[str]) -> Notice | None:
    """Of an import that has not taken all of the file; None where it has."""
    if not left_out and not warnings:
        return None
    count = {0: "", 1: "One line of the file was left out."}.get(
        left_out, f"{left_out} lines of the file were left out."
    )
    text = " ".join([each for each in (count, *warnings) if each])
    shown = (("Show", ("show-import", name)),) if left_out else ()
    return Notice(f"import {name}", f"Imported {name}", text, "normal", shown)


def failed(what: str, message: str, hint: str | None = None) -> Notice:
    """Of a request that could not be done."""
    text = message[:1].upper() + message[1:]
    if text and text[-1] not in ".!?…":
        text += "."
    return Notice(f"error {what}", what, text + (f"\n{hint}" if hint else ""), "normal")
