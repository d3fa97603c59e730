# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo reads of a packet on the wire."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.demo.capture import read_packet


def frame(payload: bytes, port: int = 53) -> bytes:
    udp = struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.53")
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses
    return bytes(12) + b"\x08\x00" + ip + udp


def question(*labels: str) -> bytes:
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    return bytes(12) + name + b"\0\1\0\1"


@pytest.mark.parametrize(
    ("payload", "port", "asked"),
    [
        (question("vpn", "provider", "example"), 53, "vpn.provider.example"),
        (question("vpn", "provider", "example"), 51820, ""),
        (question(), 53, ""),
        (b"", 53, ""),
    ],
)
def test_the_name_that_a_dns_message_is_about(payload: bytes, port: int, asked: str) -> None:
    packet = read_packet(0.0, frame(payload, port), 0)
    assert packet.asked == asked
    assert (packet.source, packet.destination_port) == ("203.0.113.7", port)


@given(st.binary(max_size=80))
def test_no_packet_is_too_odd_to_be_read(payload: bytes) -> None:
    read_packet(0.0, frame(payload), 0)
