# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over a wire of the stage: tcpdump records, and we read its file format."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from netjail.demo.nodes import Node, Output
from netjail.errors import NetjailError

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
NEIGHBOURHOOD = frozenset((*range(130, 138), 143))
"""ICMPv6 types by which machines of one wire find each other (RFC 4861, RFC 3810)."""
DNS = 53
SETTLE = 0.15
"""Seconds for the last packets to reach tcpdump."""


@dataclass(frozen=True)
class Packet:
    """One packet; addresses and ports are "" and 0 where it has none."""

    time: float  # unix seconds
    protocol: str  # arp, udp, tcp, icmp, icmp6, or a number of IANA's
    source: str = ""
    destination: str = ""
    source_port: int = 0
    destination_port: int = 0
    length: int = 0  # bytes on the wire
    neighbourhood: bool = False  # ARP and the like: never leaves the wire, names no destination
    asked: str = ""  # the name that a DNS message is about

    def __str__(self) -> str:
        def end(address: str, port: int) -> str:
            if not port:
                return address
            return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

        if self.protocol == "arp":
            return "arp"
        return (
            f"{self.protocol} {end(self.source, self.source_port)} > "
            f"{end(self.destination, self.destination_port)}, {self.length} bytes"
        )


def read_packet(when: float, frame: bytes, length: int) -> Packet:
    """An Ethernet frame, as far as it tells who speaks to whom."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == ARP:
        return Packet(when, "arp", length=length, neighbourhood=True)
    body = frame[14:]
    if kind == IPV4 and len(body) >= 20:
        number, start = body[9], (body[0] & 15) * 4
        source, destination = body[12:16], body[16:20]
        if struct.unpack_from("!H", body, 6)[0] & 0x1FFF:
            start = len(body)  # a later fragment has no ports
    elif kind == IPV6 and len(body) >= 40:
        number, start = body[6], 40
        source, destination = body[8:24], body[24:40]
        while number in (0, 43, 44, 60) and len(body) >= start + 8:  # extension headers
            size = 8 if number == 44 else (body[start + 1] + 1) * 8
            number, start = body[start], start + size
    else:
        return Packet(when, f"ethertype {kind:#06x}", length=length)
    ports = (0, 0)
    if number in (6, 17) and len(body) >= start + 4:
        ports = struct.unpack_from("!HH", body, start)
    near = number == 58 and len(body) > start and body[start] in NEIGHBOURHOOD
    return Packet(
        when,
        PROTOCOLS.get(number, str(number)),
        str(ipaddress.ip_address(source)),
        str(ipaddress.ip_address(destination)),
        *ports,
        length=length,
        neighbourhood=near,
        asked=_asked(body[start + 8 :]) if number == 17 and DNS in ports else "",
    )


def _asked(message: bytes) -> str:
    """The name in the question of a DNS message (RFC 1035, 4.1.2); "" where there is none."""
    labels, at = [], 12
    while at < len(message) and 0 < message[at] < 64:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "replace"))
        at += 1 + message[at]
    return ".".join(labels)


def read_pcap(data: bytes) -> list[Packet]:
    """A pcap file as tcpdump writes it on this machine; a cut-off last packet is left out."""
    packets = []
    offset = 24
    while offset + 16 <= len(data):
        seconds, fraction, kept, length = struct.unpack_from("=IIII", data, offset)
        offset += 16
        if offset + kept > len(data):
            break
        packets.append(read_packet(seconds + fraction / 1e6, data[offset : offset + kept], length))
        offset += kept
    return packets


class Capture:
    """Complete once the `with` block that made it has ended; inside, what came so far."""

    def __init__(self, output: Output) -> None:
        self._output = output

    @property
    def pcap(self) -> bytes:
        """The file, for other tools."""
        return self._output.data()

    @property
    def packets(self) -> list[Packet]:
        """In the order of the wire."""
        return read_pcap(self.pcap)

    @property
    def lines(self) -> list[str]:
        """As tcpdump words them."""
        done = subprocess.run(
            ["tcpdump", "-nn", "-r", "-"], input=self.pcap, capture_output=True, check=True
        )
        return done.stdout.decode().splitlines()


@contextlib.contextmanager
def capture(node: Node, interface: str, expression: str = "") -> Iterator[Capture]:
    """Record what passes an interface, from when the block begins to a moment after its end."""
    child = node.service(
        [*f"tcpdump -i {interface} --immediate-mode -U -Z root -w -".split(), *expression.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None and child.stderr is not None
    data, said = Output(child.stdout), Output(child.stderr)
    try:
        if not said.wait_for(b"listening on", 5):
            raise NetjailError("system", f"tcpdump did not start: {said.text().strip()}")
        yield Capture(data)
        time.sleep(SETTLE)
        child.send_signal(signal.SIGINT)
        data.join(5)
    finally:
        child.kill()
        child.wait()
