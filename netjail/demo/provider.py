# SPDX-License-Identifier: GPL-3.0-or-later
"""A VPN provider of the stage: a WireGuard server, its resolver, and the file it hands out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from netjail.demo.nodes import Node, Output, listens, wait_until
from netjail.errors import NetjailError

PORT = 51820
TUNNEL = "wg0"
RULES = """
table inet provider {
    chain post {
        type nat hook postrouting priority 100;
        oifname "wan0" masquerade
    }
}
"""


def start_dnsmasq(
    node: Node,
    records: Mapping[str, tuple[str, str]],
    listen: Sequence[str],
    upstream: str | None = None,
) -> Output:
    """A resolver that logs every question.

    records: name to (IPv4, IPv6), "" for none; it knows no other names, unless `upstream` does.
    listen: addresses; none means all that the machine has, now and later.
    """
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv"]
    argv += ["--no-hosts", "--no-poll", "--pid-file=", "--user=root", "--group=root"]
    argv += ["--log-queries", "--log-facility=-", "--cache-size=0"]
    argv += [f"--host-record={','.join((n, *filter(None, a)))}" for n, a in records.items()]
    if upstream:
        argv.append(f"--server={upstream}")
    else:
        argv.append("--local=//")  # whatever else is asked does not exist
        argv.append("--local=/example/")
    if listen:
        argv += ["--bind-interfaces", *(f"--listen-address={a}" for a in listen)]
    child = node.service(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    return Output(child.stderr)


class Provider:
    """Number 0 is "provider", number 1 "provider2", and so on; each has its own net."""

    def __init__(self, number: int, node: Node, ipv6: bool, kernel: bool, endpoint: str) -> None:
        self.node, self.ipv6, self.kernel = node, ipv6, kernel
        self.name = node.name
        base = number * 128
        self.gateway4, self.wan4 = f"198.51.100.{base + 1}", f"198.51.100.{base + 20}"
        self.gateway6, self.wan6 = f"2001:db8:2{number}::1", f"2001:db8:2{number}::20"
        self._net4, self._net6 = f"10.{64 + number}.0", f"fd{64 + number}:0:0:1:"
        self.resolver = f"{self._net4}.1"
        self.endpoint_name = f"vpn.{self.name}.example"
        self.endpoints = [
            address
            for address, wanted in (
                (self.wan4, endpoint != "ipv6"),
                (self.wan6, ipv6 and endpoint != "ipv4"),
            )
            if wanted
        ]
        self.log: Output | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._private = self._wg("genkey")
        self.public_key = self._wg("pubkey", self._private)
        self._peers = ""
        self._clients = 0
        self.conf = self.new_client()

    def _wg(self, command: str, given: str | None = None) -> str:
        done = self.node.run(["wg", command], input=given, check=True, cwd="/")
        return done.stdout.strip()

    def new_client(self) -> str:
        """A wg-quick file for one more customer."""
        private, shared = self._wg("genkey"), self._wg("genpsk")
        host = self._clients + 2
        self._clients += 1
        addresses = [f"{self._net4}.{host}/32"]
        if self.ipv6:
            addresses.append(f"{self._net6}:{host}/128")
        self._peers += (
            f"[Peer]\nPublicKey = {self._wg('pubkey', private)}\nPresharedKey = {shared}\n"
            f"AllowedIPs = {', '.join(addresses)}\n"
        )
        if self._clients > 1:
            self._configure()
        return (
            f"# {self.name.capitalize()} VPN, device {self._clients}\n"
            "# Do not share this file: it holds your private key.\n"
            "[Interface]\n"
            f"PrivateKey = {private}\n"
            f"Address = {', '.join(addresses)}\n"
            f"DNS = {self.resolver}\n"
            "\n"
            "[Peer]\n"
            f"PublicKey = {self.public_key}\n"
            f"PresharedKey = {shared}\n"
            "AllowedIPs = 0.0.0.0/0, ::/0\n"
            f"Endpoint = {self.endpoint_name}:{PORT}\n"
        )

    def start(self) -> None:
        """Network, resolver, WireGuard server. Raises NetjailError."""
        # The resolver's address is on lo, so that it outlives the tunnel.
        self.node.ip(
            "link set lo up",
            f"addr add {self.wan4}/25 dev wan0",
            f"addr add {self._net4}.1/32 dev lo",
            f"addr add {self.wan6}/64 dev wan0" if self.ipv6 else "",
            f"addr add {self._net6}:1/128 dev lo" if self.ipv6 else "",
            "link set wan0 up",
            f"route add default via {self.gateway4}",
            f"route add default via {self.gateway6}" if self.ipv6 else "",
        )
        self.node.run(["nft", "-f", "-"], input=RULES, check=True, cwd="/")
        self.restore()

    def serve_names(self, records: Mapping[str, tuple[str, str]]) -> None:
        """Start the resolver inside the tunnel."""
        own = {"resolver.example": (self.resolver, "")}
        self.log = start_dnsmasq(self.node, {**records, **own}, (self.resolver,))

    def restore(self) -> None:
        """(Re)start the WireGuard server with the keys it always had."""
        node = self.node
        if self.kernel:
            node.ip(f"link add {TUNNEL} type wireguard")
        else:
            self._server = node.service(
                ["wireguard-go", "-f", TUNNEL],
                env={"LOG_LEVEL": "error"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            assert self._server.stderr is not None
            said = Output(self._server.stderr)
            control = node.path(f"/run/wireguard/{TUNNEL}.sock")
            server = self._server
            wait_until(lambda: listens(control) or server.poll() is not None, 10)
            if not listens(control):
                raise NetjailError(
                    "missing-kernel",
                    f"the provider's wireguard-go did not start: {said.text().strip()}",
                    "it needs /dev/net/tun",
                )
        self._configure()
        node.ip(
            f"link set {TUNNEL} up",
            f"route add {self._net4}.0/24 dev {TUNNEL}",
            f"route add {self._net6}:/64 dev {TUNNEL}" if self.ipv6 else "",
        )

    def _configure(self) -> None:
        conf = f"[Interface]\nPrivateKey = {self._private}\nListenPort = {PORT}\n{self._peers}"
        self.node.run(["wg", "syncconf", TUNNEL, "/dev/stdin"], input=conf, check=True, cwd="/")

    def cut(self) -> None:
        """The server is gone: its process killed, or its kernel interface removed."""
        if self.kernel:
            self.node.ip(f"link del {TUNNEL}")
        elif self._server is not None:
            self._server.kill()
            self._server.wait()
            # SIGKILL leaves its control socket; the next one would take it for a live server.
            os.unlink(self.node.path(f"/run/wireguard/{TUNNEL}.sock"))
