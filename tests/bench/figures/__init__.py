# SPDX-License-Identifier: GPL-3.0-or-later
"""One file per figure of DESIGN section 9: `measure(options) -> list[Report]`, run on a throw-away
host. `PIDS = False` where the host shares the machine's process namespace."""

FIGURES = (
    "launch",
    "launch_user",
    "helper",
    "up",
    "down",
    "down_all",
    "scale",
    "memory",
    "throughput",
    "tunnel",
    "healing",
    "switch",
    "switch_many",
    "switch_dhcp",
    "tray",
    "entries",
)
"""In the order in which they run; the module of each has the same name."""
