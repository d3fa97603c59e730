# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there again after a reboot: the profiles, and the jails that are asked for."""
# place: first

from __future__ import annotations

import os
import time
from pathlib import Path

from guest import eventually, in_phase, main, needed, netjail, sh, test

PLAIN = Path("/run/netjail-tests/plain.toml")


@test
@needed
def profiles_are_up() -> None:
    """Before the reboot a profile is up"""
    PLAIN.write_text('version = 1\n[uplink]\nkind = "none"\n')
    sh(f"netjail profile add {PLAIN} --name lonely")
    sh("netjail up lonely")
    PLAIN.write_text('version = 1\nautostart = true\n[uplink]\nkind = "veth"\n')
    sh(f"netjail profile add {PLAIN} --name early")
    assert states() == {"lonely": "up", "early": "down"}


@in_phase(1)
def those_that_ask_come_up() -> None:
    """After the reboot a profile with autostart = true comes up by itself"""
    eventually(lambda: states()["early"] == "up", "it is not up", seconds=60)
    sh("netjail run early ip route get 203.0.113.1")


@in_phase(1)
def profiles_are_kept() -> None:
    """After the reboot the other profile is known and down: nobody asked for it"""
    assert states() == {"lonely": "down", "early": "up"}
    assert sh("ip netns").text.split()[0] == "netjail-early"
    assert os.listdir("/run/netjail/jails") == ["early"]


@in_phase(1)
def once_is_enough() -> None:
    """Taken down by hand it stays down, whatever becomes of the helper"""
    sh("netjail down early")
    sh("systemctl restart netjaild.service")
    time.sleep(3)
    assert states() == {"lonely": "down", "early": "down"}
    sh("netjail profile remove early")


@in_phase(1)
def profiles_come_up_again() -> None:
    """After the reboot it comes up when asked"""
    assert sh("netjail run lonely cat /sys/class/net/lo/operstate").text == "unknown"
    assert states() == {"lonely": "up"}
    sh("netjail profile remove --down lonely")


def states() -> dict[str, str]:
    return {each["name"]: each["state"] for each in netjail("list")["profiles"]}


if __name__ == "__main__":
    main()
