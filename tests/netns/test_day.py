# SPDX-License-Identifier: GPL-3.0-or-later
"""A laptop's day: programs inside go on, and the wire sees ciphertext alone."""

from __future__ import annotations

import os

import pytest

from netjail.demo.capture import Packet
from netjail.demo.provider import PORT
from tests.netns import day
from tests.netns.conftest import Netjail, TestStage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/sys/net/ipv6"), reason="needs IPv6"),
]


def ports(packet: Packet) -> set[int]:
    return {packet.source_port, packet.destination_port}


def test_a_day_of_a_laptop(stage_possible: None) -> None:
    """The same TCP connection and the same loop of curl, in a namespace that is never recreated."""
    with TestStage(endpoint="both") as stage:
        stage.add_home_uplink()
        stage.home.ip("link set wan1 down")
        with (
            stage.capture("isp", interface="home0") as first,
            stage.capture("isp", interface="home1") as second,
        ):
            lived = day.live(stage, Netjail(stage))
        packets = [*first.packets, *second.packets]
        assert first.packets and second.packets
        clear = [
            str(packet)
            for packet in packets
            if not packet.neighbourhood
            and not (
                packet.protocol == "udp"
                and {packet.source_port, packet.destination_port} & {PORT, 53}
            )
            and packet.protocol not in ("icmp", "icmp6")
        ]
        assert clear == []
        assert set(lived.asked) <= {stage.providers[0].endpoint_name}
        print(*lived.gaps.items(), sep="\n")
