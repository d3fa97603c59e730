# SPDX-License-Identifier: GPL-3.0-or-later
"""A network beside the throw-away host: a bridge, and a DHCP server that says what it is told to.

    host --- br0 --- (port0) lan: 10.5.0.1, the server
         --- nic0 -- (nic1)  wire: 10.6.0.1, the same server

The server is a real one as far as packets go, and obeys a file, so that it can also say what no
decent server would.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

from hostbox import Host, wait_until

SETUP = """
ip link add br0 type bridge
ip link set br0 address 02:00:00:00:00:b0 up
ip netns add lan
ip link add port0 type veth peer name port1 netns lan
ip link set port0 master br0 up
ip -n lan addr add 10.5.0.1/24 dev port1
ip -n lan link set port1 up
ip -n lan link set lo up
"""

SERVER = r"""
import json, os, socket, sys
interface, path, log = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
sock.bind(("", 67))
def options(data):
    found, at = {}, 240
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found
def option(code, value):
    out = b""
    while True:  # RFC 3396: long ones in several parts
        part, value = value[:255], value[255:]
        out += bytes([code, len(part)]) + part
        if not value:
            return out
print(os.getpid(), flush=True)
while True:
    data, peer = sock.recvfrom(4096)
    asked = options(data)
    kind = asked.get(53, b"\0")[0]
    say = json.load(open(path))
    with open(log, "a") as file:
        wanted = asked.get(50) or data[12:16]
        print(json.dumps({"kind": kind, "mac": data[28:34].hex(":"), "names": sorted(asked),
              "wanted": socket.inet_ntoa(wanted)}), file=file)
    if say.get("silent") or kind not in (1, 3):
        continue
    ip = socket.inet_aton(say["ip"])
    answer = 2 if kind == 1 else 5
    if kind == 3 and wanted != ip:
        answer = 6
    reply = bytes([2, 1, 6, 0]) + data[4:8] + bytes(4) + bytes(4)
    reply += (ip if answer != 6 else bytes(4)) + bytes(8) + data[28:44] + bytes(192)
    reply += b"\x63\x82\x53\x63" + option(53, bytes([answer]))
    reply += option(54, socket.inet_aton(say["server"]))
    if answer != 6:
        reply += option(51, say.get("lease", 600).to_bytes(4, "big"))
        for code, value in say["options"]:
            reply += option(code, bytes.fromhex(value))
    sock.sendto(reply + b"\xff", ("255.255.255.255", 68))
"""


def addresses(*texts: str) -> str:
    """Addresses as an option holds them, in hexadecimal."""
    return b"".join(IPv4Address(text).packed for text in texts).hex()


MASK, ROUTER, DNS, DOMAIN, MTU, SEARCH, ROUTES = 1, 3, 6, 15, 26, 119, 121
ORDINARY = (
    (MASK, addresses("255.255.255.0")),
    (ROUTER, addresses("10.5.0.1")),
    (DNS, addresses("10.5.0.1", "9.9.9.9")),
    (DOMAIN, b"lan.example".hex()),
)


class Server:
    """A DHCP server at work. `say` changes what it says."""

    def __init__(self, host: Host, interface: str = "port1", space: str = "lan") -> None:
        self._host = host
        self._files = (f"/run/dhcp-{space}.json", f"/run/dhcp-{space}.log")
        self.say()
        host.write(self._files[1], "")
        enter = ["ip", "netns", "exec", space] if space else []
        argv = [*enter, "/usr/bin/python3", "-S", "-c", SERVER, interface, *self._files]
        self._process: subprocess.Popen[str] = host.start(*argv)
        assert self._process.stdout is not None
        self._pid = int(self._process.stdout.readline())

    def say(
        self, ip: str = "10.5.0.50", options: Any = (), server: str = "10.5.0.1", **more: Any
    ) -> None:
        """`options` replace those of the same number, and with "" leave them out."""
        given = dict(ORDINARY) | dict(options)
        left = [(code, value) for code, value in given.items() if value]
        text = json.dumps({"ip": ip, "server": server, "options": left, **more})
        self._host.write(self._files[0], text)

    def heard(self, kind: int) -> list[dict[str, Any]]:
        """Messages of a kind: 1 discover, 3 request, 7 release."""
        text = self._host.path(self._files[1]).read_text()
        return [m for line in text.splitlines() if (m := json.loads(line))["kind"] == kind]

    def close(self) -> None:
        self._host.kill(self._pid)  # nsenter ends with it
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        for path in self._files:
            self._host.path(path).unlink(missing_ok=True)


@contextmanager
def serving(host: Host, *args: str, **say: Any) -> Iterator[Server]:
    server = Server(host, *args)
    try:
        if say:
            server.say(**say)
        yield server
    finally:
        server.close()


def status(host: Host, name: str) -> dict[str, Any]:
    found: dict[str, Any] = host.netjail("status", "--json", name).ok().json()["profiles"][0]
    return found


def leased(host: Host, name: str) -> str | None:
    """The address that the profile's lease gives it."""
    leases = status(host, name)["leases"]
    return leases[0]["address"] if leases else None


def until_leased(host: Host, name: str, address: str | None, seconds: float = 30) -> None:
    assert wait_until(lambda: leased(host, name) == address, seconds), status(host, name)
