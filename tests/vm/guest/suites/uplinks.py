# SPDX-License-Identifier: GPL-3.0-or-later
"""Uplinks with what a distribution's kernel has: in a network of others (macvlan, ipvlan, a bridge,
an interface of the host), and tunnels."""

from __future__ import annotations

import os
from pathlib import Path

import nets
import provider
from guest import main, sh, test
from nets import interface, lease, nothing_left, profile, reaches, status

STATIC = 'address = "10.6.0.7/24"\ngateway = "10.6.0.1"'
NO_NAMES = "[dns]\nservers = []"


# A network of others ---------------------------------------------------------------------------


@test
def a_device_is_lent() -> None:
    """An interface of the host moves in, has its address by DHCP, and comes back as it was"""
    with nothing_left(), nets.lan():
        before = interface("nic0")
        profile("card", 'kind = "device"\ndevice = "nic0"')
        sh("netjail up card")
        assert not os.path.exists("/sys/class/net/nic0")
        assert lease("card").startswith("10.6.0.")
        assert reaches("card", "10.6.0.1")
        sh("netjail down card")
        assert interface("nic0") == before


@test
def a_radio_is_lent() -> None:
    """A Wi-Fi interface moves in with its radio, and comes back, also when its helper was killed"""
    sh("modprobe mac80211_hwsim radios=2")
    try:
        cards = sorted(each for each in os.listdir("/sys/class/net") if is_wireless(each))
        assert len(cards) == 2, cards
        card, other = cards
        with nothing_left():
            profile(
                "wifi", f'kind = "device"\ndevice = "{card}"\naddress = "10.66.0.1/24"', NO_NAMES
            )
            for killed in (False, True):
                radio = os.path.basename(os.readlink(f"/sys/class/net/{card}/phy80211"))
                sh("netjail up --wait 0 wifi")
                assert not os.path.exists(f"/sys/class/net/{card}")
                assert os.path.exists(f"/sys/class/net/{other}")
                inside = sh("netjail run -u root wifi -- sh -c 'ip -br addr; iw dev'").out
                assert card in inside and "10.66.0.1/24" in inside
                assert f"phy#{radio.removeprefix('phy')}" in inside
                # a network of its own, as somebody at a laptop's other card would join it
                sh(f"netjail run -u root wifi -- iw dev {card} set type ibss")
                sh(f"netjail run -u root wifi -- ip link set {card} up")
                sh(f"netjail run -u root wifi -- iw dev {card} ibss join lab 2412")
                if killed:
                    sh("systemctl kill --signal=KILL netjaild")
                sh("netjail down wifi")
                assert os.path.basename(os.readlink(f"/sys/class/net/{card}/phy80211")) == radio
    finally:
        sh("modprobe -r mac80211_hwsim", ok=None)


def is_wireless(interface: str) -> bool:
    return os.path.exists(f"/sys/class/net/{interface}/phy80211")


@test
def macvlan() -> None:
    """macvlan: a MAC address of its own, the same lease each time; not the host on its parent"""
    with nothing_left(), nets.lan():
        profile("own", 'kind = "macvlan"\nparent = "nic0"')
        found = set()
        for _ in range(2):
            sh("netjail up own")
            found.add(lease("own"))
            assert "macvlan" in sh("netjail run own -- ip -d link show eth0").out
            assert reaches("own", "10.6.0.1")
            assert not reaches("own", nets.HOST, seconds=1)
            assert "default via 10.6.0.1" in sh("netjail run own -- ip route").out
            sh("netjail down own")
        assert len(found) == 1, found


@test
def ipvlan() -> None:
    """ipvlan: the host's MAC address and a lease of its own; one parent carries one kind"""
    with nothing_left(), nets.lan():
        profile("own", 'kind = "ipvlan"\nparent = "nic0"')
        profile("fixed", f'kind = "ipvlan"\nparent = "nic0"\n{STATIC}', NO_NAMES)
        profile("other", f'kind = "macvlan"\nparent = "nic0"\n{STATIC}', NO_NAMES)
        sh("netjail up own fixed")
        assert lease("own").startswith("10.6.0.")
        for name in ("own", "fixed"):
            assert reaches(name, "10.6.0.1")
            assert not reaches(name, nets.HOST, seconds=1)
        mac = Path("/sys/class/net/nic0/address").read_text().strip()
        assert mac in sh("netjail run own -- ip -d link show eth0").out
        refused = sh("netjail up other", ok=False).err
        assert "nic0 cannot carry a macvlan" in refused, refused


@test
def a_port_of_a_bridge_of_the_host() -> None:
    """A port of the host's bridge has its address by DHCP, and the bridge stays as it is"""
    with nothing_left(), nets.lan():
        before = interface("br0"), Path("/sys/class/net/br0/address").read_text()
        profile("lab", 'kind = "bridge"\nbridge = "br0"')
        sh("netjail up lab")
        assert lease("lab").startswith("10.5.0.")
        assert reaches("lab", "10.5.0.1")
        sh("netjail down lab")
        assert (interface("br0"), Path("/sys/class/net/br0/address").read_text()) == before


# Tunnels ---------------------------------------------------------------------------------------


@test
def check_of_kernel_wireguard() -> None:
    """check finds no leak in a profile with the kernel's WireGuard"""
    provider.start()
    with nothing_left():
        sh(f"netjail import {provider.LOGS}/provider.conf --name tunnel")
        sh("netjail up tunnel")
        assert provider.uplink("tunnel")["implementation"] == "kernel"
        # Whoever asks resolved on the system bus is answered outside: known, and no C library does.
        said = sh("netjail check tunnel --accept dns-bus", ok=None, timeout=100)
        assert said.code == 0, said.out


@test
def openvpn() -> None:
    """An OpenVPN file is imported; openvpn runs without rights, and ends with the profile"""
    place = nets.FILES / "office"
    place.mkdir(exist_ok=True)
    sh(f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
       f" -subj /CN=office -keyout {place}/key.pem -out {place}/cert.pem")  # fmt: skip
    lines = ["client", "dev tun", "proto udp", "remote 127.0.0.1 1194", "remote-cert-tls server"]
    lines += ["ca cert.pem", "cert cert.pem", "key key.pem", "up /bin/true", "verb 3"]
    (place / "office.ovpn").write_text("\n".join(lines) + "\n")
    with nothing_left():
        said = sh(f"netjail import {place}/office.ovpn")
        assert "up" in said.out + said.err, "what is left out is told"
        sh("netjail up --wait 3 office", ok=None)  # nobody is there who would answer
        assert status("office")["state"] == "degraded"
        (pid,) = nets.running("openvpn")
        assert "\nCapEff:\t0000000000000000\n" in Path(f"/proc/{pid}/status").read_text()
        assert os.stat(f"/proc/{pid}").st_uid != 0
        assert not reaches("office", provider.WEB, seconds=1)


@test
def openconnect() -> None:
    """A profile for openconnect is stored, shown and planned"""
    with nothing_left():
        lines = 'kind = "openconnect"\nserver = "vpn.example"\nusername = "anne"\npassword = "x"'
        profile("corp", lines)
        assert "vpn.example" in sh("netjail profile show corp").out
        assert "openconnect" in sh("netjail list").out


if __name__ == "__main__":
    main()
