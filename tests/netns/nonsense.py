# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VPN's server may send into its tunnel to confuse the other end: redirects, routers that
announce themselves, sources that cannot be, packets to be forwarded. Run on the server's machine.

    nonsense.py INTERFACE INNER4 INNER6 OUTSIDE4...

INNER*: the client's addresses in the tunnel; OUTSIDE4: addresses to forward to, on its networks.
Prints how many packets the kernel took. Standard library only.
"""

from __future__ import annotations

import socket
import struct
import sys


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def ip4(source: str, target: str, protocol: int, data: bytes) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 69, 0, 20 + len(data), 1, 0, 255, protocol, 0) + ends + data


def ip6(source: str, target: str, protocol: int, data: bytes) -> bytes:
    ends = b"".join(socket.inet_pton(socket.AF_INET6, each) for each in (source, target))
    if protocol == 58:
        pseudo = ends + struct.pack("!II", len(data), protocol)
        data = data[:2] + struct.pack("!H", checksum(pseudo + data)) + data[4:]
    return struct.pack("!IHBB", 6 << 28, len(data), protocol, 255) + ends + data


def udp(port: int, data: bytes) -> bytes:
    return struct.pack("!4H", port, port, 8 + len(data), 0) + data


def echo() -> bytes:
    return struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 1, 1)), 1, 1)


def redirect(gateway: str, about: bytes) -> bytes:
    head = socket.inet_aton(gateway) + about[:28]
    return struct.pack("!BBH", 5, 1, checksum(struct.pack("!BBH", 5, 1, 0) + head)) + head


def router() -> bytes:
    """A router advertisement with a prefix, a resolver and a route (RFC 4861, 8106, 4191)."""
    six = socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 9000, 9000, 0) + six
    resolver = struct.pack("!BBHI", 25, 3, 0, 9000) + six[:-1] + b"\x53"
    more = struct.pack("!BBBBI", 24, 1, 0, 0x08, 9000)
    return struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 9000, 0, 0) + prefix + resolver + more


def packets(inner4: str, inner6: str, outside: list[str]) -> list[bytes]:
    sources = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", inner4, *outside]
    found = [ip4(each, inner4, 17, udp(53, b"nonsense")) for each in sources]
    found += [ip4(each, inner4, 1, echo()) for each in sources]
    for target in ("192.0.2.80", "192.0.2.53", *outside):
        about = ip4(inner4, target, 17, udp(9999, b""))
        for by in ("10.64.0.1", "10.65.0.1", "10.8.0.1", target):
            found.append(ip4(by, inner4, 1, redirect("203.0.113.1", about)))
    for target in (*outside, "224.0.0.1", "255.255.255.255", "127.0.0.1"):
        found.append(ip4("192.0.2.80", target, 17, udp(68, b"nonsense")))
        found.append(ip4("192.0.2.80", target, 1, echo()))
    for target in ("ff02::1", inner6):
        found.append(ip6("fe80::1", target, 58, router()))
        # a redirect: all of 2001:db8:80::80 by way of fe80::bad
        way = b"".join(
            socket.inet_pton(socket.AF_INET6, each) for each in ("fe80::bad", "2001:db8:80::80")
        )
        found.append(ip6("fe80::1", target, 58, struct.pack("!BBHI", 137, 0, 0, 0) + way))
        for source in ("::1", "ff02::1", inner6, "2001:db8:1::7"):
            found.append(ip6(source, target, 17, udp(53, b"nonsense")))
    found.append(ip6("2001:db8:80::80", "2001:db8:1::1", 17, udp(53, b"nonsense")))
    found += [b"", b"\x45", b"\x60" + b"\0" * 39, b"\x50" * 60, b"\xff" * 1400]
    return found


def main() -> None:
    """All of it, several times."""
    interface, inner4, inner6, *outside = sys.argv[1:]
    taken = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        for each in packets(inner4, inner6, outside) * 5:
            kind = 0x86DD if each[:1] == b"\x60" else 0x0800
            try:
                sock.sendto(each, (interface, kind))
                taken += 1
            except OSError:
                continue
    print(taken)


if __name__ == "__main__":
    main()
