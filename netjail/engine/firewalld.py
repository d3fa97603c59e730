# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld: veth jails' interfaces are in its zone `trusted` while one is up.

Asked by firewall-cmd(1), which speaks to it over the bus; for as long as it runs only, nothing is
made permanent. firewalld forgets that when it is reloaded, which is seen as a change of nftables
rules. What the zone lets pass has still to pass our own table: its fences hold as before. Who has
put our interfaces into a zone of their choice keeps it so.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from netjail import names
from netjail.engine import files, process
from netjail.errors import NetjailError

SAVED = f"{names.RUN_DIR}/firewalld"
"""There while the entry is ours; what comes after a crash takes it back by that."""
_ALL = f"{names.HOST_IF_PREFIX}+"
_ZONE = "trusted"
_SECONDS = 15.0


def open_zone(exists: Callable[[str], bool]) -> None:
    """Have it let jails pass, where it runs with nftables. Asked at every change of the host's.
    `exists`: whether an nft command finds something."""
    if not exists("list table inet firewalld") or _named():
        return
    if not os.path.exists(SAVED):
        files.write(SAVED, _ZONE, 0o600)
    _do("--add-interface")


def close_zone() -> None:
    """Take it back. Idempotent."""
    if os.path.exists(SAVED):
        if _named():
            _do("--remove-interface")
        files.remove(SAVED)


def _named() -> bool:
    """Whether its rules speak of our interfaces already."""
    try:
        listed = process.run(["nft", "list", "table", "inet", "firewalld"])
    except NetjailError:
        return False  # it has just gone
    return f'"{names.HOST_IF_PREFIX}*"' in listed


def _do(verb: str) -> None:
    try:
        process.run(["firewall-cmd", f"--zone={_ZONE}", f"{verb}={_ALL}"], timeout=_SECONDS)
    except NetjailError:
        pass  # it is not running, or not to be reached: `netjail doctor` finds what it drops
