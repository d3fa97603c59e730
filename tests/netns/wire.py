# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a host's packets on a wire belongs to a tunnel, and what should never have been seen."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from netjail.demo.capture import IPV4, IPV6, Packet, read_packet

ETHERNET = b"\0" * 12
UNREACHABLE = {"icmp": (3,), "icmp6": (1,)}
"""ICMP types by which a machine says of a packet that it had no use for it; the packet follows."""


def frames(pcap: bytes) -> Iterator[tuple[bytes, Packet]]:
    """Each frame with what it says, from a pcap file as tcpdump writes it on this machine."""
    offset = 24
    while offset + 16 <= len(pcap):
        _, _, kept, length = struct.unpack_from("=IIII", pcap, offset)
        offset += 16
        if offset + kept > len(pcap):
            return
        frame = pcap[offset : offset + kept]
        offset += kept
        yield frame, read_packet(0, frame, length)


def payload(frame: bytes, packet: Packet) -> bytes:
    """What comes after the IP header; extension headers of IPv6 have none of what we look at."""
    ip = frame[14:]
    return ip[40:] if ":" in packet.source else ip[(ip[0] & 15) * 4 :]


def asked(data: bytes) -> str:
    """The name in a question of DNS; "" where it is none."""
    words, at = [], 12
    while at < len(data) and 0 < data[at] < 64:
        words.append(data[at + 1 : at + 1 + data[at]].decode(errors="replace"))
        at += 1 + data[at]
    return ".".join(words)


@dataclass
class Allowed:
    """`servers`: (protocol, address, port) of the tunnel's other end. `names`: what the host itself
    may ask `resolver` for."""

    host: tuple[str, ...]
    servers: set[tuple[str, str, int]]
    resolver: str
    names: set[str] = field(default_factory=set)

    def strangers(self, pcap: bytes, mark: str = "") -> list[str]:
        """The packets that are neither the tunnel's nor the wire's own upkeep, nor a question for
        the server's name. Of them and of all others: whatever holds `mark`."""
        found = []
        for frame, packet in frames(pcap):
            if mark and mark.encode() in frame:
                found.append(f"{packet} holds the mark")
            elif not packet.neighbourhood and not self._ours(frame, packet):
                found.append(str(packet))
        return found

    def _ours(self, frame: bytes, packet: Packet) -> bool:
        there = (packet.protocol, packet.destination, packet.destination_port)
        here = (packet.protocol, packet.source, packet.source_port)
        if there in self.servers or here in self.servers:
            return packet.source in self.host or packet.destination in self.host
        if ("udp", self.resolver, 53) in (there, here):
            return asked(payload(frame, packet)[8:]) in self.names
        if packet.protocol in UNREACHABLE:
            body = payload(frame, packet)
            if body[0] in UNREACHABLE[packet.protocol]:
                kind = IPV4 if packet.protocol == "icmp" else IPV6
                about = ETHERNET + struct.pack("!H", kind) + body[8:]
                return self._ours(about, read_packet(0, about, 0))
        return False


def kinds(pcap: bytes, mark: str) -> set[str]:
    """Which sorts of a talker's packets are there, for the proof that a leak would be seen."""
    found = set()
    for frame, packet in frames(pcap):
        if packet.protocol in ("tcp", "icmp", "icmp6"):
            found.add(packet.protocol)
        if mark.encode() not in frame:
            continue
        if packet.destination_port == 53:
            found.add("look-up" if b"lookup-" in frame else "question")
        elif packet.destination.startswith(("224.", "239.")):
            found.add("multicast")
        elif packet.destination.startswith("ff02:"):
            found.add("multicast, IPv6")
        elif packet.destination == "255.255.255.255":
            found.add("broadcast")
        elif frame[:6] == b"\xff" * 6:
            found.add("frame")
        elif packet.protocol == "udp":
            found.add("udp, IPv6" if ":" in packet.source else "udp")
    return found
