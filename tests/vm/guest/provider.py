# SPDX-License-Identifier: GPL-3.0-or-later
"""A VPN provider and an internet in a second network namespace of the machine.

    host wan0 203.0.113.7 ---- isp 203.0.113.1   namespace "isp": kernel WireGuard on :51820,
                                                 resolver 192.0.2.53 of the host's line,
                                                 resolver 10.64.0.1 inside the tunnel,
                                                 a page on 192.0.2.80 that names its visitor

whoami.example is 192.0.2.80 to everybody; which.example is 192.0.2.1 by the line's resolver and
192.0.2.2 by the tunnel's, so that an answer tells who gave it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from guest import eventually, netjail, sh

NETNS = "isp"
HOST4, HOST6 = "203.0.113.7", "2001:db8:1::7"
ISP4, ISP6 = "203.0.113.1", "2001:db8:1::1"
JAIL4, JAIL6 = "10.64.0.2", "fd64::2"
TUNNEL_DNS, LINE_DNS = "10.64.0.1", "192.0.2.53"
PORT = 51820
WEB = "192.0.2.80"
BY_LINE, BY_TUNNEL = "192.0.2.1", "192.0.2.2"
LOGS = Path("/run/netjail-tests")

_WEB = f"""
import http.server, socketserver
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.client_address[0] + "\\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("{WEB}", 80), Page).serve_forever()
"""


def start() -> None:
    """Lay it out, unless an earlier suite of this boot has. The host's resolver (systemd-resolved)
    then asks LINE_DNS."""
    if Path(f"/run/netns/{NETNS}").exists():
        return
    sh(f"ip netns add {NETNS}")
    sh(f"ip link add wan0 type veth peer name isp0 netns {NETNS}")
    sh(f"ip address add {HOST4}/24 dev wan0")
    sh(f"ip address add {HOST6}/64 dev wan0 nodad")
    inside("ip link set lo up")
    inside("ip link set isp0 up")
    sh("ip link set wan0 up")
    inside(f"ip address add {ISP4}/24 dev isp0")
    inside(f"ip address add {ISP6}/64 dev isp0 nodad")
    for address in (LINE_DNS, WEB):
        inside(f"ip address add {address}/32 dev lo")
    sh(f"ip route add default via {ISP4} dev wan0")
    sh(f"ip -6 route add default via {ISP6} dev wan0")
    inside("sysctl -q -w net.ipv4.ip_forward=1")
    keys = {name: sh("wg genkey").text for name in ("server", "client")}
    public = {name: _public(key) for name, key in keys.items()}
    start_tunnel_server(keys["server"], public["client"])
    for name, address, answer in (
        ("line", LINE_DNS, BY_LINE),
        ("tunnel", TUNNEL_DNS, BY_TUNNEL),
    ):
        inside(
            f"dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces"
            f" --listen-address={address} --except-interface=nothing --pid-file={LOGS}/{name}.pid"
            f" --log-queries --log-facility={LOGS}/{name}.log --user=root"
            f" --address=/whoami.example/{WEB} --address=/which.example/{answer}"
        )
    service = ["systemd-run", "--quiet", "--unit=isp-web"]
    sh([*service, "ip", "netns", "exec", NETNS, "python3", "-c", _WEB])
    sh(f"resolvectl dns wan0 {LINE_DNS}")
    sh(["resolvectl", "domain", "wan0", "~."])
    sh("resolvectl dnssec wan0 no")
    (LOGS / "provider.conf").write_text(
        f"""# as a provider hands it out
[Interface]
PrivateKey = {keys["client"]}
Address = {JAIL4}/32, {JAIL6}/128
DNS = {TUNNEL_DNS}

[Peer]
PublicKey = {public["server"]}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = {ISP4}:{PORT}
PersistentKeepalive = 5
"""
    )
    eventually(lambda: sh(f"curl -s -m 5 http://{WEB}/", ok=None).text == HOST4, "the page answers")


def start_tunnel_server(private: str, client: str) -> None:
    """The provider's end: kernel WireGuard, born in its namespace."""
    key = LOGS / "server.key"
    key.touch(mode=0o600)
    key.write_text(private + "\n")
    inside("ip link add wg0 type wireguard")
    inside(
        f"wg set wg0 listen-port {PORT} private-key {key} peer {client}"
        f" allowed-ips {JAIL4}/32,{JAIL6}/128"
    )
    inside(f"ip address add {TUNNEL_DNS}/24 dev wg0")
    inside("ip address add fd64::1/64 dev wg0 nodad")
    inside("ip link set wg0 up")


def inside(command: str) -> str:
    """Run a command in the provider's namespace."""
    return sh(f"ip netns exec {NETNS} {command}").out


def asked(resolver: str) -> str:
    """What the resolver `line` or `tunnel` has logged."""
    return (LOGS / f"{resolver}.log").read_text()


def uplink(profile: str) -> dict:
    """The uplink's part of `netjail status`."""
    return netjail(["status", profile])["profiles"][0]["uplink"]


def _public(private: str) -> str:
    argv = ["wg", "pubkey"]
    done = subprocess.run(argv, input=private, capture_output=True, text=True, check=True)
    return done.stdout.strip()
