# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person would write without netjail: shell with ip(8) and nft(8), and pyroute2 as its
manual shows it. No more than is needed for the same network: a namespace with IPv4 and IPv6
behind NAT, and its resolv.conf. No fences, no record, nothing that looks whether it fits."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from harness import run

SHELL = "/bin/sh"
UP = Path("/run/bench/up.sh")
DOWN = Path("/run/bench/down.sh")

_UP = """\
set -e
ns=$1 n=$2
ip netns add $ns
ip link add v-$ns type veth peer name eth0 netns $ns
ip addr add 10.99.$n.1/30 dev v-$ns
ip addr add fd99:0:0:$n::1/64 dev v-$ns nodad
ip link set v-$ns up
ip -n $ns link set lo up
ip -n $ns addr add 10.99.$n.2/30 dev eth0
ip -n $ns addr add fd99:0:0:$n::2/64 dev eth0 nodad
ip -n $ns link set eth0 up
ip -n $ns route add default via 10.99.$n.1
ip -n $ns route add default via fd99:0:0:$n::1
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
nft -f - <<EOF
table inet by-hand-$ns {
    chain forward {
        type filter hook forward priority filter; policy accept;
        oifname "v-$ns" ct state established,related accept
        oifname "v-$ns" drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        iifname "v-$ns" masquerade
    }
}
EOF
mkdir -p /etc/netns/$ns
echo 'nameserver 192.0.2.1' > /etc/netns/$ns/resolv.conf
"""

_DOWN = """\
nft delete table inet by-hand-$1
ip netns del $1
rm -r /etc/netns/$1
"""


def write() -> None:
    """Put the scripts where they are run."""
    UP.write_text(_UP)
    DOWN.write_text(_DOWN)


def up(name: str, number: int) -> None:
    """The script that brings a namespace up. `number`: of its subnet, 0 to 255."""
    run([SHELL, str(UP), name, str(number)])


def down(name: str) -> None:
    """The script that takes it away."""
    run([SHELL, str(DOWN), name])


def gone(name: str) -> None:
    """Wait until the kernel has cleared up: only then the same name can be used again."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.if_nametoindex(f"v-{name}")
        except OSError:
            return
        time.sleep(0.002)


class Pyroute2:
    """Call by call with an IPRoute for the host and a NetNS for the jail; nft and the files as
    cheaply as can be: the NAT rules through the resident libnftables."""

    def __init__(self) -> None:
        import nftables
        from pyroute2 import IPRoute

        self._host = IPRoute()
        self._nft = nftables.Nftables()

    def up(self, name: str, number: int) -> None:
        from pyroute2 import NetNS, netns

        netns.create(name)
        host, inner = self._host, NetNS(name, flags=0)
        try:
            host.link("add", ifname=f"v-{name}", kind="veth", peer={"ifname": f"p-{name}"})
            outer = host.link_lookup(ifname=f"v-{name}")[0]
            other = host.link_lookup(ifname=f"p-{name}")[0]
            host.link("set", index=other, net_ns_fd=name, ifname="eth0")
            host.addr("add", index=outer, address=f"10.99.{number}.1", prefixlen=30)
            host.addr("add", index=outer, address=f"fd99:0:0:{number}::1", prefixlen=64)
            host.link("set", index=outer, state="up")
            inner.link("set", index=1, state="up")
            index = inner.link_lookup(ifname="eth0")[0]
            inner.addr("add", index=index, address=f"10.99.{number}.2", prefixlen=30)
            inner.addr("add", index=index, address=f"fd99:0:0:{number}::2", prefixlen=64)
            inner.link("set", index=index, state="up")
            inner.route("add", dst="default", gateway=f"10.99.{number}.1")
            inner.route("add", dst="default", gateway=f"fd99:0:0:{number}::1", family=10)
        finally:
            inner.close()
        rules = _UP.partition("<<EOF\n")[2].partition("EOF")[0].replace("$ns", name)
        status, _, said = self._nft.cmd(rules)
        if status:
            raise SystemExit(said)
        os.makedirs(f"/etc/netns/{name}", exist_ok=True)
        Path(f"/etc/netns/{name}/resolv.conf").write_text("nameserver 192.0.2.1\n")
