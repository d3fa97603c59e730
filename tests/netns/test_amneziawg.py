# SPDX-License-Identifier: GPL-3.0-or-later
"""AmneziaWG with a real server in its disguise. Needs amneziawg-go and awg on the PATH, which
Debian does not have."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import SERVER4, Host, missing, wait_until

GO, AWG = shutil.which("amneziawg-go"), shutil.which("awg")
REASON = missing() or (None if GO and AWG else "needs amneziawg-go and awg (amneziawg-tools)")
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

PLACES = ("se-one", "us-two")
DISGUISES = (
    "S1 = 33\nS2 = 71\nS3 = 12\nS4 = 9\nH1 = 1000-2000\n"
    "H2 = 3000\nH3 = 4000-4010\nH4 = 5000-6000\n",
    "S1 = 15\nS2 = 40\nH1 = 70\nH2 = 80\nH3 = 90\nH4 = 100\n",
)
OWN = "Jc = 3\nJmin = 20\nJmax = 90\nI1 = <b 0xc70000000108><r 64><t><rc 5><rd 5>\n"
TYPES = "{ 0x01000000, 0x02000000, 0x03000000, 0x04000000 }"
GUARD = f"""
ip netns exec inet nft add table inet seen
ip netns exec inet nft 'add chain inet seen c {{ type filter hook prerouting priority -300; }}'
ip netns exec inet nft 'add rule inet seen c udp dport 51840-51841 counter'
ip netns exec inet nft 'add rule inet seen c udp dport 51840-51841 @th,64,32 {TYPES} counter'
"""
"""Counts what goes to the servers, and what of it begins as WireGuard's messages do."""


def key() -> tuple[str, str]:
    private = subprocess.run(["wg", "genkey"], capture_output=True, check=True).stdout
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, check=True)
    return private.decode().strip(), public.stdout.decode().strip()


def server(host: Host, number: int) -> None:
    """A server in a disguise of its own, which knows its client by 10.9N.0.2; and its file."""
    (private, public), (own, theirs) = key(), key()
    interface, disguise = f"awg{number}", DISGUISES[number]
    host.write(
        f"/run/{interface}.conf",
        f"[Interface]\nPrivateKey = {private}\nListenPort = {51840 + number}\n{disguise}"
        f"[Peer]\nPublicKey = {theirs}\nAllowedIPs = 10.9{number}.0.2/32\n",
    )
    host.write(
        f"/run/pool/{PLACES[number]}.conf",
        f"[Interface]\nPrivateKey = {own}\nAddress = 10.9{number}.0.2/32\n"
        f"DNS = 10.9{number}.0.1\n{disguise}{OWN if number == 0 else ''}[Peer]\n"
        f"PublicKey = {public}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:{51840 + number}\n",
    )
    host.sh(f"""
ip netns exec inet amneziawg-go --foreground {interface} > /run/{interface}.log 2>&1 &
while ! [ -S /run/amneziawg/{interface}.sock ]; do sleep 0.01; done
ip netns exec inet awg setconf {interface} /run/{interface}.conf
ip -n inet addr add 10.9{number}.0.1/24 dev {interface}
ip -n inet link set {interface} up
""")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    # the helper looks for programs in the system's directories alone
    made = Host(
        setup="mount -t tmpfs tmpfs /var/lib\n"
        f"cp {AWG} /run/awg; cp {GO} /run/amneziawg-go\n"
        "mount -t tmpfs tmpfs /usr/local/sbin\nmv /run/awg /run/amneziawg-go /usr/local/sbin\n"
    )
    try:
        made.sh("mkdir /run/pool\n" + GUARD)
        for number in range(len(PLACES)):
            server(made, number)
        yield made
    finally:
        made.close()


def seen(host: Host) -> tuple[int, int]:
    """Packets to the servers, and those of them that anybody knows for WireGuard's."""
    listed = host.sh("ip netns exec inet nft list chain inet seen c")
    found = [int(count) for count in re.findall(r"counter packets (\d+)", listed)]
    return found[0], found[1]


def who(host: Host, name: str) -> str:
    """By which address a server in the little internet knows a program in the jail."""
    code = f"import socket; print(socket.create_connection(('{SERVER4}', 80), 5).recv(99).decode())"
    return host.netjail("run", name, "--", "/usr/bin/python3", "-c", code).out.strip()


@pytest.mark.slow
def test_a_disguised_tunnel_comes_up_heals_and_is_exported(host: Host) -> None:
    host.netjail("import", "/run/pool/se-one.conf", "--name", "one").ok()
    up = host.netjail("up", "one").ok()
    assert "handshake" not in up.err, up
    assert who(host, "one") == "inet 10.90.0.2"
    status = host.netjail("status", "one").ok().out
    assert "amneziawg (amneziawg-go)" in status
    assert host.state("one") == "up"
    # the interface in the jail is smaller by what is put before each packet
    assert "mtu 1411" in host.sh("ip -n netjail-one link show wg0")

    assert "1411 inside, and 1431 would fit" in host.netjail("check", "one", "--json").out

    exported = host.netjail("export", "one").ok().out
    for line in (DISGUISES[0] + OWN).splitlines():
        assert line in exported
    # awg itself takes it, less what is wg-quick's
    plain = [x for x in exported.splitlines() if not x.startswith(("Address", "DNS", "MTU"))]
    host.write("/run/again.conf", "\n".join(plain) + "\n")
    host.sh("""
amneziawg-go --foreground again > /run/again.log 2>&1 &
while ! [ -S /run/amneziawg/again.sock ]; do sleep 0.01; done
awg setconf again /run/again.conf; kill %1 2>/dev/null || kill $!""")

    # its amneziawg-go is killed: another takes its place in the same jail
    inode = host.sh("stat -c %i /run/netns/netjail-one")
    host.kill(*host.pids("amneziawg-go", "--foreground", "nj-one"))
    assert wait_until(lambda: who(host, "one") == "inet 10.90.0.2", 30)
    assert host.sh("stat -c %i /run/netns/netjail-one") == inode
    host.netjail("down", "one").ok()
    assert not host.pids("amneziawg-go", "--foreground", "nj-one")


@pytest.mark.slow
def test_a_pool_changes_between_disguises_and_measures_in_them(host: Host) -> None:
    said = host.netjail("import", "/run/pool", "--name", "pool").ok()
    assert "2 places" in said.out
    host.netjail("use", "pool", "se").ok()
    host.netjail("up", "pool").ok()
    assert who(host, "pool") == "inet 10.90.0.2"
    host.netjail("use", "pool", "us").ok()
    assert wait_until(lambda: who(host, "pool") == "inet 10.91.0.2", 30)
    host.netjail("use", "pool", "se").ok()
    assert wait_until(lambda: who(host, "pool") == "inet 10.90.0.2", 30)
    said = host.netjail("use", "pool", "--fastest").ok()
    assert said.out.count(" ms  ") == 2, said
    total, known = seen(host)
    assert total > 10
    assert known == 0
    host.netjail("down", "pool").ok()


@pytest.mark.slow
def test_what_a_profile_no_longer_says_is_as_in_wireguard_again(host: Host) -> None:
    """An interface that stands forgets nothing by itself."""
    host.netjail("import", "/run/pool/us-two.conf", "--name", "edited").ok()
    host.netjail("up", "edited").ok()
    text = host.netjail("profile", "show", "edited", "--secrets").ok().out
    plain = "".join(x for x in text.splitlines(True) if not x.startswith(("s1 ", "h1 ")))
    assert plain != text
    host.write("/run/edited.toml", plain)
    host.netjail("profile", "add", "/run/edited.toml", "--name", "edited", "--replace").ok()
    host.netjail("up", "edited", "--wait", "0").ok()
    assert host.sh("awg show nj-edited s1; awg show nj-edited h1") == "0\n1\n"
    host.netjail("down", "edited").ok()


@pytest.mark.slow
def test_a_counter_needs_the_kernel_and_is_refused_without(host: Host) -> None:
    host.sh("sed 's/^DNS/I2 = <c>\\n&/' /run/pool/se-one.conf > /run/counts.conf")
    host.netjail("import", "/run/counts.conf", "--name", "counts").ok()
    host.netjail("up", "counts").failed("<c>", "kernel module")
    assert "netjail-counts" not in host.sh("ip netns")


@pytest.mark.slow
def test_without_its_programs_it_says_so_and_makes_nothing(host: Host) -> None:
    host.sh("mv /usr/local/sbin/amneziawg-go /run/kept")
    try:
        said = host.netjail("import", "/run/pool/us-two.conf", "--name", "lacking").ok()
        assert "AmneziaWG is not installed" in said.out
        host.netjail("up", "lacking").failed("AmneziaWG is not installed", "amneziawg-go")
        assert "netjail-lacking" not in host.sh("ip netns")
        doctor = host.netjail("doctor").out
        assert "needed by" in doctor
    finally:
        host.sh("mv /run/kept /usr/local/sbin/amneziawg-go")
