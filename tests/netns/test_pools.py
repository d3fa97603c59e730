# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of servers with real ones: the change of a place and fail-over keep the jail, what runs in
it goes on, and nothing leaves but through a tunnel."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import SERVER4, Host, missing, wait_until

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

PLACES = ("se-sto-001", "se-got-002", "us-nyc-001")
LOOP = f"""
import socket, time
while True:
    try:
        with socket.create_connection(("{SERVER4}", 80), 1) as sock:
            print(sock.recv(99).decode().strip(), flush=True)
    except OSError:
        print("silence", flush=True)
    time.sleep(0.2)
"""
GUARD = """
ip netns exec inet nft add table inet seen
ip netns exec inet nft 'add chain inet seen c { type filter hook input priority 0; }'
ip netns exec inet nft 'add rule inet seen c iifname up1 meta l4proto tcp counter'
"""


def key() -> tuple[str, str]:
    private = subprocess.run(["wg", "genkey"], capture_output=True, check=True).stdout
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, check=True)
    return private.decode().strip(), public.stdout.decode().strip()


def server(host: Host, number: int, name: str) -> None:
    """A WireGuard server of its own keys, which knows its client by 10.9N.0.2; and its file."""
    (private, public), (own, theirs) = key(), key()
    interface = f"pool{number}"
    host.write(
        f"/run/{interface}.conf",
        f"[Interface]\nPrivateKey = {private}\nListenPort = {51830 + number}\n"
        f"[Peer]\nPublicKey = {theirs}\nAllowedIPs = 10.9{number}.0.2/32\n",
    )
    host.write(
        f"/run/pool/{name}.conf",
        f"[Interface]\nPrivateKey = {own}\nAddress = 10.9{number}.0.2/32\n"
        f"DNS = 10.9{number}.0.1\nPostUp = touch /run/owned\n[Peer]\nPublicKey = {public}\n"
        f"AllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:{51830 + number}\n",
    )
    host.sh(f"""
ip netns exec inet wireguard-go --foreground {interface} > /run/{interface}.log 2>&1 &
while ! [ -S /run/wireguard/{interface}.sock ]; do sleep 0.01; done
ip netns exec inet wg setconf {interface} /run/{interface}.conf
ip -n inet addr add 10.9{number}.0.1/24 dev {interface}
ip -n inet link set {interface} up
""")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    made = Host(setup="mount -t tmpfs tmpfs /var/lib\n")
    try:
        made.sh("mkdir /run/pool\n" + GUARD)
        for number, name in enumerate(PLACES, 1):
            server(made, number, name)
        made.write("/run/pool/README.txt", "how to")
        yield made
    finally:
        made.close()


class Loop:
    """A program in the jail that asks a server again and again who it is."""

    def __init__(self, host: Host) -> None:
        self.answers: list[str] = []
        self.process = host.background("run", "pool", "--", "/usr/bin/python3", "-c", LOOP)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.append(line.strip())

    def saw(self, address: str, seconds: float = 30) -> bool:
        return wait_until(lambda: self.answers[-1:] == [f"inet {address}"], seconds)


@pytest.mark.slow
def test_a_pool_changes_its_place_and_fails_over_in_the_same_jail(host: Host) -> None:
    said = host.netjail("import", "/run/pool", "--name", "pool").ok()
    assert "3 places in 2 countries" in said.out
    assert "README.txt" in said.out
    assert "PostUp" in said.out

    listed = host.netjail("use", "pool").ok().out
    assert "Sweden" in listed
    assert "pool is down, and will use se-got-002." in listed
    host.netjail("use", "pool", "norway").failed("no place", "there are: se, us")

    said = host.netjail("use", "pool", "se-sto").ok()
    assert "will use se-sto-001" in said.out
    host.netjail("up", "pool").ok()
    inode = host.sh("stat -c %i /run/netns/netjail-pool")
    link = host.sh("ip -n netjail-pool -o link show dev wg0 | cut -d: -f1")
    loop = Loop(host)
    assert loop.saw("10.91.0.2"), loop.answers[-5:]

    said = host.netjail("use", "pool", "us").ok()
    assert "pool uses us-nyc-001." in said.out
    assert loop.saw("10.93.0.2"), loop.answers[-5:]
    assert "us-nyc-001" in host.netjail("list").ok().out
    assert "us-nyc-001" in host.netjail("status", "pool").ok().out
    assert "10.93.0.1" in host.netjail("run", "pool", "cat", "/etc/resolv.conf").ok().out
    assert "10.91.0" not in host.sh("ip -n netjail-pool addr")

    # what is exported is the file of the place in use
    exported = host.netjail("export", "pool").ok().out
    assert "Address = 10.93.0.2/32" in exported and "DNS = 10.93.0.1" in exported
    assert "Endpoint = 192.0.2.1:51833" in exported and "place: us-nyc-001" in exported
    own = host.path("/run/pool/us-nyc-001.conf").read_text()
    for key in ("PrivateKey", "PublicKey"):
        assert next(line for line in own.splitlines() if line.startswith(key)) in exported

    said = host.netjail("use", "pool", "--fastest").ok()
    assert said.out.count(" ms  ") == 3
    said = host.netjail("use", "pool", "sweden").ok()
    before = said.out.split()[2].rstrip(".")
    assert before in PLACES[:2]
    other = next(name for name in PLACES[:2] if name != before)
    assert loop.saw(f"10.9{PLACES.index(before) + 1}.0.2"), loop.answers[-5:]

    # its server dies: the other one of the same country takes over, not the one elsewhere
    dead = f"pool{PLACES.index(before) + 1}"
    host.kill(*host.pids("wireguard-go", "--foreground", dead))
    assert loop.saw(f"10.9{PLACES.index(other) + 1}.0.2", 120), loop.answers[-5:]
    assert wait_until(lambda: host.state("pool") == "up", 20)
    status = host.netjail("status", "pool").ok().out
    assert other in status
    assert "which did not answer" in " ".join(status.split())

    # all of it was one program in one namespace on one interface, and none of it was outside
    assert loop.process.poll() is None
    assert host.sh("stat -c %i /run/netns/netjail-pool") == inode
    assert host.sh("ip -n netjail-pool -o link show dev wg0 | cut -d: -f1") == link
    assert {a for a in loop.answers if a != "silence"} <= {f"inet 10.9{n}.0.2" for n in (1, 2, 3)}
    assert "packets 0 " in host.sh("ip netns exec inet nft list table inet seen")
    assert not host.path("/run/owned").exists()

    # the choice is root's to read, and outlives the helper
    assert host.sh("stat -c %a /var/lib/netjail/places").strip() == "700"
    host.kill_helper()
    assert other in host.netjail("use", "pool").ok().out.splitlines()[-1]
    loop.process.kill()
    loop.process.wait()
    host.netjail("down", "--kill", "pool").ok()
