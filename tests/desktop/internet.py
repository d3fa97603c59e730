# SPDX-License-Identifier: GPL-3.0-or-later
"""The desktop's machine on the little internet of `netjail demo`: a second home at its ISP.

with internet(world) as stage:
    ...    # WEB_NAME answers HOME from outside, and EXIT through stage.provider_conf
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from desk import World

from netjail.demo import stage as stages
from netjail.demo.stage import Stage
from netjail.errors import NetjailError

HOME = stages.SECOND4
GATEWAY = "203.0.113.129"


@contextmanager
def internet(world: World) -> Iterator[Stage]:
    """A cable between the machine and the ISP, whose resolver it asks. Skips without a stage."""
    try:
        stage = Stage(ipv6=False).__enter__()
    except NetjailError as error:
        pytest.skip(f"no stage: {error}")
    with stage:
        isp = f"--net=/proc/{stage.isp.pid}/ns/net"
        cable = f"link add desk0 type veth peer name wan0 netns {world._init}"
        subprocess.run(["nsenter", isp, "ip", *cable.split()], check=True)
        stage.isp.ip(f"addr add {GATEWAY}/25 dev desk0", "link set desk0 up")
        for command in (
            f"addr add {HOME}/25 dev wan0",
            "link set wan0 up",
            f"route add default via {GATEWAY}",
        ):
            world.root("ip", *command.split())
        switch = world.path("/etc/nsswitch.conf")
        lines = [each for each in switch.read_text().splitlines() if not each.startswith("hosts:")]
        world.write("/etc/nsswitch.conf", "\n".join([*lines, "hosts: files dns"]) + "\n")
        world.path("/etc/resolv.conf").unlink(missing_ok=True)
        world.write("/etc/resolv.conf", f"nameserver {stages.RESOLVER4}\n")
        yield stage
