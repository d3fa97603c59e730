# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of tunnel under one face, for tests that hold for all of them: the profile "vpn", its
real server, and the ill that may befall it. All on a stage with two providers."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from netjail.demo.provider import PORT
from tests.netns import vpnservers
from tests.netns.vpnservers import OC_PASSWORD, USER, OcServer, OpenVpnServer

HOSTILE_PUSH = [
    "redirect-gateway local def1 bypass-dns bypass-dhcp",
    "redirect-gateway local block-local autolocal ipv6",
    "route 0.0.0.0 0.0.0.0 net_gateway",
    "route 192.0.2.0 255.255.255.0 net_gateway 1",
    "route 203.0.113.0 255.255.255.0 203.0.113.1",
    "route 10.20.30.0 255.255.255.0 10.20.30.2",
    "route-gateway 203.0.113.1",
    "route-ipv6 2001:db8:80::/64 2001:db8:1::1",
    "route-ipv6 ::/0 fe80::1",
    "dhcp-option DNS 192.0.2.53",
    "dhcp-option DNS 10.20.30.2",
    "dhcp-option DNS6 2001:db8:53::53",
    "dhcp-option DNS 127.0.0.1",
    "dhcp-option PROXY_HTTP 10.20.30.2 80",
    "up /tmp/canary",
    "plugin /tmp/canary.so",
    "script-security 3",
    "setenv PATH /tmp",
    "log /tmp/canary",
    "management /tmp/canary unix",
    "remote 10.20.30.2 1194",
    "dev wan0",
    "persist-tun",
    "tun-mtu 60000",
    "ping-exit 1",
    "ping 1",
    "ping-restart 4",
]
"""Ways around the tunnel, resolvers outside, commands; the last two let a client notice an end."""


class Kind:
    """`program`: of the client, where it has one of its own. `wire`: what may be seen of it."""

    name = ""
    program = ""
    server_interface = "wg0"
    exits = 0  # which provider the world sees
    needs: tuple[str, ...] = ()  # programs
    patient = True  # whether a test waits until its silence is noticed

    def __init__(self, stage: Any, netjail: Any) -> None:
        self.stage, self.netjail = stage, netjail
        self.provider = stage.providers[self.exits]

    @property
    def node(self) -> Any:
        """The machine of the server."""
        return self.provider.node

    def interface(self) -> str:
        """The server's end of the tunnel."""
        return self.server_interface

    def wire(self) -> set[tuple[str, str, int]]:
        """(protocol, address, port) of what the wire may carry."""
        raise NotImplementedError

    def add(self) -> None:
        """Store the profile, with the server ready."""
        raise NotImplementedError

    def kill(self) -> None:
        """The server is gone, without a word."""
        raise NotImplementedError

    def back(self) -> None:
        """It is back."""
        raise NotImplementedError

    def replace(self) -> None:
        """Somebody else is at its address, who cannot prove to be the server."""
        raise NotImplementedError

    def turn_hostile(self) -> None:
        """The server itself, with the right keys, pushes nonsense from now on."""


class WireGuard(Kind):
    """By the server's name, as providers' files have it."""

    name = "wireguard"
    program = "wireguard-go"

    def wire(self) -> set[tuple[str, str, int]]:
        return {("udp", self.stage.providers[0].wan4, PORT)}

    def add(self) -> None:
        self._import("vpn", self.provider.conf)

    def _import(self, name: str, text: str, *more: str) -> None:
        path = self.stage.write(f"{name}.conf", text)
        self.netjail("import", path, "--name", name, *more, check=True)

    def kill(self) -> None:
        self.provider.cut()

    def back(self) -> None:
        with contextlib.suppress(OSError):
            self.provider.cut()
        self.provider.restore()

    def replace(self) -> None:
        key = self.provider._private
        self.provider._private = self.provider._wg("genkey")
        try:
            self.provider.restore()
        finally:
            self.provider._private = key

    def turn_hostile(self) -> None:
        """It sends whatever it likes to the one client it has."""
        wg = ["wg", "show", self.server_interface, "peers"]
        for peer in self.node.run(wg, check=True).stdout.split():
            everything = ["peer", peer, "allowed-ips", "0.0.0.0/0,::/0"]
            self.node.run(["wg", "set", self.server_interface, *everything], check=True)


class WireGuardThrough(WireGuard):
    """Through another WireGuard profile: the wire knows that one's server alone."""

    name = "wireguard through wireguard"
    exits = 1
    patient = False  # the same as without `through`, and takes long

    def add(self) -> None:
        self._import("first", self.stage.providers[0].conf)
        self._import("vpn", self.provider.conf, "--through", "first")


class OpenVpnUdp(Kind):
    name = "openvpn by udp"
    program = "openvpn"
    needs = ("openvpn",)
    proto = "udp"

    def __init__(self, stage: Any, netjail: Any) -> None:
        super().__init__(stage, netjail)
        self.server = OpenVpnServer(stage, proto=self.proto, provider=self.exits)
        self.server_interface = f"ovpn{self.server.port % 1000}"

    def wire(self) -> set[tuple[str, str, int]]:
        return {(self.proto, self.server.address4, self.server.port)}

    def add(self) -> None:
        self.server.start()
        self._import()

    def _import(self, *more: str) -> None:
        text = self.server.client_file(address=self.provider.endpoint_name)
        path = self.stage.write("vpn.ovpn", text)
        self.netjail("import", path, "--name", "vpn", *more, check=True)

    def kill(self) -> None:
        self.server.kill()

    def back(self) -> None:
        self.kill()
        self.server.keys = vpnservers.pki()
        self.server.start()

    def replace(self) -> None:
        self.server.keys = vpnservers.impostor()
        self.server.start()

    def turn_hostile(self) -> None:
        routes = (f"route 172.{16 + n // 256}.{n % 256}.0 255.255.255.0" for n in range(4000))
        self.server.push = [*HOSTILE_PUSH, *routes]
        self.kill()
        self.server.start()


class OpenVpnTcp(OpenVpnUdp):
    name = "openvpn by tcp"
    proto = "tcp"


class OpenVpnThrough(OpenVpnUdp):
    """The wire knows the WireGuard server alone."""

    name = "openvpn through wireguard"
    exits = 1

    def wire(self) -> set[tuple[str, str, int]]:
        return {("udp", self.stage.providers[0].wan4, PORT)}

    def add(self) -> None:
        self.server.start()
        path = self.stage.write("first.conf", self.stage.providers[0].conf)
        self.netjail("import", path, "--name", "first", check=True)
        self._import("--through", "first")


class OpenConnect(Kind):
    name = "openconnect"
    program = "openconnect"
    needs = ("openvpn", "openconnect", "ocserv")  # openvpn makes keys

    def __init__(self, stage: Any, netjail: Any) -> None:
        super().__init__(stage, netjail)
        self.server = OcServer(stage)

    def interface(self) -> str:
        """ocserv has one for each client."""
        links = self.node.run(["sh", "-c", "ls /sys/class/net"], check=True).stdout.split()
        return next(each for each in links if each.startswith("vpns"))

    def wire(self) -> set[tuple[str, str, int]]:
        return {("tcp", self.server.address, 443), ("udp", self.server.address, 443)}

    def add(self) -> None:
        self.server.start()
        text = self.server.toml(f'username = "{USER}"', f'password = "{OC_PASSWORD}"')
        text = text.replace(f'"{self.server.address}"', f'"{self.provider.endpoint_name}"')
        path = self.stage.write("vpn.toml", text)
        self.netjail("profile", "add", path, "--name", "vpn", check=True)

    def kill(self) -> None:
        self.server.kill()

    def back(self) -> None:
        self.kill()
        self.server.keys = vpnservers.pki()
        self.server.start()

    def replace(self) -> None:
        self.server.keys = vpnservers.impostor()
        self.server.start()

    def turn_hostile(self) -> None:
        """Resolvers outside, networks around the tunnel, an address of the host's own LAN."""
        self.server.settings = {"dns": "192.0.2.53", "ipv4-network": "10.20.30.0/24"}
        self.server.more = [
            "dns = 10.20.30.2",
            "dns = 2001:db8:53::53",
            "split-dns = example",
            "route = default",
            "no-route = 192.0.2.0/255.255.255.0",
            "no-route = 203.0.113.0/255.255.255.0",
            "no-route = 10.20.30.0/255.255.255.0",
            'banner = "`touch /tmp/canary` $(touch /tmp/canary)"',
            *(f"route = 172.{16 + n // 256}.{n % 256}.0/255.255.255.0" for n in range(60)),
        ]
        self.kill()
        self.server.start()


ALL = (WireGuard, WireGuardThrough, OpenVpnUdp, OpenVpnTcp, OpenVpnThrough, OpenConnect)

NONSENSE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nonsense.py")
"""What the server's machine sends into the tunnel: `nonsense.py INTERFACE INNER4 INNER6`."""
