# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there again after a reboot: the profiles, and the jails that are asked for."""
# place: first

from __future__ import annotations

import os
from pathlib import Path

from guest import in_phase, main, needed, netjail, sh, test

PLAIN = Path("/run/netjail-tests/plain.toml")


@test
@needed
def profiles_are_up() -> None:
    """Before the reboot a profile is up"""
    PLAIN.write_text('version = 1\n[uplink]\nkind = "none"\n')
    sh(f"netjail profile add {PLAIN} --name lonely")
    sh("netjail up lonely")
    assert states() == {"lonely": "up"}


@in_phase(1)
def profiles_are_kept() -> None:
    """After the reboot the profile is known and down: nobody asked for it"""
    assert states() == {"lonely": "down"}
    assert not sh("ip netns").text
    assert not [
        x for x in os.listdir("/run/netjail") if x == "jails" and os.listdir(f"/run/netjail/{x}")
    ]


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
