# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found, from what was seen: the judgement as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netjail.leaks.codes import CODES, LEVELS
from netjail.leaks.judge import judge, summary
from netjail.leaks.model import (
    Facts,
    Finding,
    Held,
    Link,
    Route,
    Seen,
    accepted,
    clean,
    verdict,
)

HOME, HOME6 = "203.0.113.7", "2001:db8:1::7"
EXIT, EXIT6 = "198.51.100.20", "2001:db8:20::20"
TUNNEL, TUNNEL6 = "10.64.0.2", "fd64::2"
LO = Link("lo", "", True, ("127.0.0.1/8",))
WG = Link("wg0", "wireguard", True, (f"{TUNNEL}/32", f"{TUNNEL6}/128"))
ETH = Link("eth0", "veth", True, ("10.213.0.2/30",))

INSIDE = Seen(
    uid=1000,
    netns="4:1",
    interfaces=("lo", "wg0"),
    sysfs=("lo", "wg0"),
    sources={"ipv4": TUNNEL, "ipv6": TUNNEL6},
    public={"9.9.9.9": TUNNEL},
    nameservers=("10.64.0.1",),
    servers={"10.64.0.1": TUNNEL},
    nsswitch=("files", "dns"),
)
OUTSIDE = Seen(
    uid=1000,
    netns="4:2",
    sources={"ipv4": HOME, "ipv6": HOME6},
    nameservers=("192.0.2.53",),
    exits={"ipv4": HOME, "ipv6": HOME6},
)
VPN = Facts(
    profile="vpn",
    kind="wireguard",
    netns="4:1",
    own=("wg0",),
    configured=(TUNNEL, TUNNEL6),
    links=(LO, WG),
    routes=(Route("default dev wg0", "wg0", True, 254),),
    host_addresses=(HOME, HOME6),
    host_netns="4:2",
    dns_mode="uplink",
    servers=("10.64.0.1",),
    tunnel=True,
    implementation="kernel",
    handshake=5.0,
    mtu=1420,
    path_mtu=1500,
    overhead=60,
)
LAB = Facts(
    profile="lab",
    kind="veth",
    netns="4:1",
    own=("eth0",),
    configured=("10.213.0.2",),
    links=(LO, ETH),
    routes=(Route("default via 10.213.0.1 dev eth0", "eth0", True, 254),),
    host_addresses=(HOME,),
    host_netns="4:2",
    dns_mode="host",
    servers=("192.0.2.53",),
    host_allowed=False,
)
IN_LAB = replace(
    INSIDE,
    sources={"ipv4": "10.213.0.2", "ipv6": "!ENETUNREACH"},
    public={"9.9.9.9": "10.213.0.2"},
    nameservers=("192.0.2.53",),
    servers={"192.0.2.53": "10.213.0.2"},
)
NONE = Facts("none", "none", "4:1", links=(LO,), host_addresses=(HOME,), host_netns="4:2")
IN_NONE = Seen(uid=1000, netns="4:1", nsswitch=("files", "dns"), sources={"ipv4": "!ENETUNREACH"})


def found(inside: Seen = INSIDE, facts: Facts = VPN, outside: Seen | None = OUTSIDE) -> list[Any]:
    """What is not well: (code, level)."""
    findings = judge(inside, outside, facts)
    assert all(LEVELS.index(f.level) <= LEVELS.index(CODES[f.code].level) for f in findings)
    return [(f.code, f.level) for f in findings if f.level in ("warning", "leak")]


@pytest.mark.parametrize(("inside", "facts"), [(INSIDE, VPN), (IN_LAB, LAB), (IN_NONE, NONE)])
@pytest.mark.parametrize("outside", [OUTSIDE, None])
def test_where_all_is_well_nothing_is_found(inside: Seen, facts: Facts, outside: Any) -> None:
    assert found(inside, facts, outside) == []


@pytest.mark.parametrize(
    ("inside", "code", "level"),
    [
        ({"netns": "4:2"}, "namespace", "leak"),
        ({"netns": "4:9"}, "namespace", "leak"),
        ({"exits": {"ipv4": HOME}}, "exit-ipv4", "leak"),
        ({"exits": {"ipv6": HOME6}}, "exit-ipv6", "leak"),
        ({"exits": {"ipv6": "2001:db8:1::8"}}, "exit-ipv6", "leak"),
        ({"exits": {"ipv4": EXIT, "ipv6": EXIT6}}, None, None),
        ({"exits": {"ipv4": "!ENETUNREACH", "ipv6": "!timeout"}}, None, None),
        ({"sources": {"ipv4": HOME}}, "address-shared", "leak"),
        ({"public": {"9.9.9.9": "192.168.1.5"}}, "dns-public", "leak"),
        ({"sysfs": ("lo", "wg0", "wlan0")}, "sysfs", "warning"),
        ({"nameservers": ("192.0.2.53",)}, "dns-servers", "leak"),
        ({"nameservers": ()}, "dns-servers", "leak"),
        ({"nsswitch": ("resolve", "[!UNAVAIL=return]", "files")}, "dns-nsswitch", "warning"),
        ({"nsswitch": ("files", "mdns4_minimal", "dns")}, "dns-nsswitch", "warning"),
        ({"nsswitch": ("files", "[!UNAVAIL=return]", "myhostname")}, None, None),
        ({"doors": {"dns-nscd": "open /run/nscd/socket"}}, "dns-nscd", "leak"),
        ({"doors": {"dns-resolved": "open /run/x"}}, "dns-resolved", "leak"),
        ({"doors": {"dns-avahi": "open /run/x"}}, "dns-avahi", "leak"),
        ({"doors": {"dns-nscd": "denied /run/nscd/socket"}}, None, None),
        ({"doors": {"socket-docker": "open /run/docker.sock"}}, "socket-docker", "warning"),
        ({"doors": {"socket-docker": "denied /run/docker.sock"}}, None, None),
        ({"doors": {"socket-snapd": "open /run/snapd.socket"}}, None, None),
        ({"doors": {"x11": "open /tmp/.X11-unix/X0"}}, None, None),
        ({"bus": {"org.freedesktop.resolve1": "answers"}}, "dns-bus", "warning"),
        ({"bus": {"org.freedesktop.resolve1": "denied"}}, None, None),
        ({"bus": {"session org.freedesktop.DBus": "answers"}}, None, None),
        ({"agent": "forwarded"}, "ssh-agent", "warning"),
        ({"agent": "local"}, None, None),
        ({"masters": ("/home/a/.ssh/cm/b",)}, "ssh-master", "warning"),
        ({"env": {"https_proxy": "http://127.0.0.1:3128", "LD_PRELOAD": "x.so"}}, None, None),
        ({"askers": {"getaddrinfo": HOME}}, "dns-exit", "leak"),
        ({"askers": {"getaddrinfo": EXIT}}, None, None),
        ({"askers": {"getaddrinfo": "!timeout"}}, None, None),
        ({"mtu": {"small": "yes", "large": "no"}}, "mtu", "warning"),
        ({"mtu": {"small": "no", "large": "no"}}, None, None),
    ],
)
def test_seen_in_a_tunnel(inside: dict[str, Any], code: str | None, level: str | None) -> None:
    assert found(replace(INSIDE, **inside)) == ([] if code is None else [(code, level)])


DOWN = Link("sit0", "sit", False)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"links": (LO, WG, Link("eth9", "veth", True))}, [("interface-foreign", "leak")]),
        ({"links": (LO, WG, Link("eth9", "veth", False))}, [("interface-foreign", "leak")]),
        ({"links": (LO, WG, DOWN)}, []),
        ({"links": (LO, WG, replace(DOWN, up=True))}, [("interface-foreign", "leak")]),
        ({"links": (LO, replace(WG, addresses=(*WG.addresses, f"{HOME}/25")))}, ["address-shared"]),
        ({"routes": (Route("default dev x", "x", True, 254),)}, [("route-default", "leak")]),
        ({"routes": (*VPN.routes, Route("192.0.2.0/24 dev x", "x", False, 254))}, ["route-other"]),
        ({"routes": (*VPN.routes, Route("default dev x", "x", True, 77))}, ["route-other"]),
        (
            {"routes": (*VPN.routes, Route("default dev wg0", "wg0", True, 77))},
            [("route-other", "warning")],
        ),
        ({"rules": ("100: from all fwmark 0x1 lookup 77",)}, [("route-other", "warning")]),
        ({"missing": ("give it its own DNS",)}, [("record", "warning")]),
        ({"missing": ("rules of the table",), "fence": True}, [("record", "leak")]),
        ({"socket": "it is inside the jail (UDP port 51820)"}, [("tunnel-socket", "leak")]),
        ({"handshake": None}, [("handshake", "warning")]),
        ({"handshake": 4000.0}, []),
        ({"handshake": None, "handshakes": False}, []),
        ({"path_mtu": 1400}, [("mtu-path", "warning")]),
        ({"path_mtu": 1480}, []),
        ({"held": (Held(7, "curl", 3, "IPv4 stream"),)}, [("held-socket", "leak")]),
        ({"held": (Held(7, "ip", 3, "netlink raw"),)}, [("held-socket", "warning")]),
        ({"strangers": ("sh, PID 7, does not see it",)}, [("program-view", "warning")]),
        ({"partly": ("some",)}, []),
    ],
)
def test_facts_of_a_tunnel(facts: dict[str, Any], expected: list[Any]) -> None:
    wanted = [e if isinstance(e, tuple) else (e, "leak") for e in expected]
    assert found(facts=replace(VPN, **facts)) == wanted


def test_a_handshake_that_is_old_although_something_was_sent_is_a_warning() -> None:
    used = replace(INSIDE, mtu={"small": "no", "large": "no"})
    assert found(used, replace(VPN, handshake=4000.0)) == [("handshake", "warning")]


@pytest.mark.parametrize(
    ("inside", "facts", "expected"),
    [
        ({"exits": {"ipv4": HOME}}, {}, []),  # that is what a veth profile is
        ({"fence": {"10.213.0.1": "!EHOSTUNREACH", HOME: "!timeout"}}, {}, []),
        ({"fence": {"10.213.0.1": "!ECONNREFUSED"}}, {}, [("fence", "leak")]),
        ({"fence": {HOME: "open"}}, {}, [("fence", "leak")]),
        ({"fence": {HOME: "open"}}, {"host_allowed": True}, []),
        ({"servers": {"192.0.2.53": HOME}}, {}, [("dns-route", "leak")]),
        (
            {"nameservers": ("127.0.0.53",)},
            {"servers": ("127.0.0.53",)},
            [("dns-route", "warning")],
        ),
    ],
)
def test_seen_in_a_veth_profile(
    inside: dict[str, Any], facts: dict[str, Any], expected: list[Any]
) -> None:
    assert found(replace(IN_LAB, **inside), replace(LAB, **facts)) == expected


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ({"exits": {"ipv4": EXIT}}, "exit-ipv4"),
        ({"askers": {"getaddrinfo": EXIT}}, "dns-exit"),
        ({"public": {"9.9.9.9": "10.0.0.1"}}, "dns-public"),
    ],
)
def test_whoever_gets_out_of_none_is_a_leak(inside: dict[str, Any], code: str) -> None:
    assert found(replace(IN_NONE, **inside), NONE) == [(code, "leak")]


def test_the_hosts_resolver_asked_through_the_tunnel_is_told_where_it_was_asked_for() -> None:
    inside = replace(INSIDE, nameservers=("192.0.2.53",), servers={"192.0.2.53": TUNNEL})
    facts = replace(VPN, servers=("192.0.2.53",), dns_mode="host")
    findings = {f.code: f.level for f in judge(inside, OUTSIDE, facts)}
    assert findings["dns-servers"] == "info"


def test_warnings_can_be_accepted_and_leaks_cannot() -> None:
    findings = [
        Finding("socket-docker", "warning", "x"),
        Finding("dns-nscd", "leak", "x"),
        Finding("proxy", "info", "x"),
        Finding("record", "ok", "x"),
    ]
    known = accepted(findings, ["socket-docker", "dns-nscd"])
    assert [f.accepted for f in known] == [True, False, False, False]
    assert verdict(known) == "leak"
    assert not clean("leak") and not clean("warning") and clean("info") and clean("ok")
    assert verdict(accepted(findings[:1], ["socket-docker"])) == "ok"
    assert summary(known) == {"ok": 1, "info": 1, "warning": 0, "leak": 1, "accepted": 1}


def test_what_is_said_of_a_finding() -> None:
    said = Finding("dns-nscd", "leak", "open").as_dict("vpn")
    assert said["why"] == CODES["dns-nscd"].why and said["title"] == "nscd"
    assert Finding("record", "warning", "x").as_dict("vpn")["todo"] == "netjail up vpn mends it"
    well = Finding("dns-nscd", "ok", "shut").as_dict("vpn")
    assert (well["why"], well["todo"]) == ("", "")
