# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the bus face, as its callers use them."""

from __future__ import annotations

from typing import Any

from world import Answer, BusError

MANAGER = "/org/netjail/Netjail1"
M = "org.netjail.Netjail1.Manager."
P = "org.netjail.Netjail1.Profile."
PROPERTIES = "org.freedesktop.DBus.Properties."
OBJECTS = "org.freedesktop.DBus.ObjectManager."


def none(users: list[str] | None = None) -> str:
    """A profile's text; `users` None: the text does not say."""
    said = "" if users is None else f"users = {users!r}\n".replace("'", '"')
    return f'version = 1\n{said}\n[uplink]\nkind = "none"\n'


def path(name: str) -> str:
    return f"{MANAGER}/profile/{name.replace('_', '_5f').replace('-', '_2d')}"


def outcome(answer: Answer) -> Any:
    """The name of the error, or "yes"."""
    try:
        answer.get()
    except BusError as error:
        return error.name
    return "yes"


def option(signature: str, value: Any) -> dict[str, Any]:
    return {"v": [signature, value]}


QUIET = {"auth.no_user_interaction": option("b", True)}
