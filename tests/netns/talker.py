# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that sends all it can, everywhere, over and over: run in a jail, to see what gets out.

    talker.py MARK ADDRESSES...      as root, else what needs a raw socket is left out

All that it sends holds MARK, where there is room for it; its questions of DNS end in MARK.example.
One line "round N" is said for each round, until it is killed. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import threading
import time

PAUSE = 0.02  # seconds between two rounds
ETH_P_IP = 0x0800


def question(name: str) -> bytes:
    """A DNS question for an A record."""
    words = b"".join(bytes([len(w)]) + w.encode() for w in name.split("."))
    return struct.pack("!6H", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0) + words + b"\0\0\1\0\1"


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(kind: int, payload: bytes) -> bytes:
    """An ICMP echo request; the kernel fills in the sum of ICMPv6."""
    payload += b"\0" * (len(payload) % 2)
    empty = struct.pack("!BBHHH", kind, 0, 0, 77, 1) + payload
    return struct.pack("!BBHHH", kind, 0, checksum(empty), 77, 1) + payload


def packet(source: str, target: str, payload: bytes) -> bytes:
    """A UDP packet to port 9 from wherever one likes."""
    udp = struct.pack("!4H", 9, 9, 8 + len(payload), 0) + payload
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 69, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends + udp


class Talker:
    """Sends a round at a time."""

    def __init__(self, mark: str, addresses: list[str]) -> None:
        self.mark = mark
        self.payload = f"this is {mark}".encode()
        self.four = [each for each in addresses if ":" not in each]
        self.six = [each for each in addresses if ":" in each]
        self.number = 0
        self.connections: list[socket.socket] = []

    def round(self) -> None:
        """Everything once. What the kernel refuses is what is to be."""
        self.number += 1
        interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
        for each in self.four:
            self.tcp(socket.AF_INET, each)
            self.datagram(socket.AF_INET, each, 9999)
            self.datagram(socket.AF_INET, each, 53, question(self.name("direct")))
            self.raw(socket.AF_INET, socket.IPPROTO_ICMP, each, echo(8, self.payload))
            for source in self.four[:2]:
                self.raw(
                    *(socket.AF_INET, socket.IPPROTO_RAW, each),
                    packet(source, each, self.payload),
                )
        for each in self.six:
            self.tcp(socket.AF_INET6, each)
            self.datagram(socket.AF_INET6, each, 9999)
            self.datagram(socket.AF_INET6, each, 53, question(self.name("direct")))
            self.raw(socket.AF_INET6, socket.IPPROTO_ICMPV6, each, echo(128, self.payload))
        for name in ("", *interfaces):
            self.datagram(socket.AF_INET, "224.0.0.251", 5353, device=name)
            self.datagram(socket.AF_INET, "239.255.255.250", 1900, device=name)
            self.datagram(socket.AF_INET, "255.255.255.255", 67, device=name)
            if name:
                self.datagram(socket.AF_INET6, f"ff02::fb%{name}", 5353)
                self.datagram(socket.AF_INET6, f"ff02::1%{name}", 9999)
                for each in self.four:
                    self.datagram(socket.AF_INET, each, 9998, device=name)
                    self.frame(name, each)
        ready = select.select([], self.connections, [], 0)[1]
        for sock in ready:
            with contextlib.suppress(OSError):
                sock.send(self.payload)
        while len(self.connections) > 40:
            self.connections.pop(0).close()

    def name(self, kind: str) -> str:
        return f"{kind}-{self.number}.{self.mark}.example"

    def tcp(self, family: int, address: str) -> None:
        for port in (80, 53):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.connect((address, port))
            self.connections.append(sock)

    def datagram(
        self, family: int, address: str, port: int, data: bytes = b"", device: str = ""
    ) -> None:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if device:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            sock.sendto(
                data or self.payload, socket.getaddrinfo(address, port, family, sock.type)[0][4]
            )

    def raw(self, family: int, protocol: int, address: str, data: bytes) -> None:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_RAW, protocol) as sock:
            sock.sendto(data, (address, 0))

    def frame(self, device: str, address: str) -> None:
        """Past all routes, straight into the interface; to everybody where it has neighbours."""
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock,
        ):
            data = packet(self.four[0], address, self.payload)
            sock.sendto(data, (device, ETH_P_IP, 0, 0, b"\xff" * 6))

    def ask(self) -> None:
        """Names by the system's own resolver, one after the other."""
        number = 0
        while True:
            number += 1
            with contextlib.suppress(OSError):
                socket.getaddrinfo(f"lookup-{number}.{self.mark}.example", 80)
            time.sleep(PAUSE)


def main() -> None:
    """Until killed."""
    os.environ["RES_OPTIONS"] = "timeout:1 attempts:1"
    talker = Talker(sys.argv[1], sys.argv[2:])
    threading.Thread(target=talker.ask, daemon=True).start()
    while True:
        talker.round()
        print(f"round {talker.number}", flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
