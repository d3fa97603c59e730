# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's pure parts: differences, texts, parsers."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from netjail.engine import held, hostdns, mounts, nft, plan, view, wg
from netjail.uplinks.wanted import Files, Netns, VethPair, WireGuardDevice

NETNS = Netns("netjail-a")
FILES = Files("a", "netjail-a", ("192.0.2.53",), (), "the profile")
OTHER_FILES = Files("a", "netjail-a", ("192.0.2.54",), (), "the profile")
PAIR = VethPair("netjail-a", "nj-a", "eth0", 1500, (), (), ())
OTHER_PAIR = VethPair("netjail-a", "nj-a", "eth0", 1400, (), (), ())
DEVICE = WireGuardDevice("a", "netjail-a", None, "nj-a", "wg0", 1420, (), (), None, "secret")


def steps(standing, wanted, missing=()):
    return [(s.verb, s.resource) for s in plan.difference(standing, wanted, missing)]


@pytest.mark.parametrize(
    ("standing", "wanted", "missing", "expected"),
    [
        ((), (NETNS, FILES, PAIR), (), [("make", NETNS), ("make", FILES), ("make", PAIR)]),
        ((NETNS, FILES, PAIR), (NETNS, FILES, PAIR), (), []),
        (
            (NETNS, FILES, PAIR),
            (NETNS, FILES, PAIR),
            (PAIR,),
            [("remove", PAIR), ("make", PAIR)],
        ),
        ((NETNS, FILES, PAIR), (NETNS, OTHER_FILES, PAIR), (), [("update", OTHER_FILES)]),
        (
            (NETNS, FILES, PAIR),
            (NETNS, FILES, DEVICE),
            (),
            [("remove", PAIR), ("make", DEVICE)],
        ),
        (
            (NETNS, FILES, PAIR),
            (NETNS, FILES, OTHER_PAIR),
            (),
            [("remove", PAIR), ("make", OTHER_PAIR)],
        ),
    ],
    ids=["from nothing", "nothing to do", "lost", "dns changed", "uplink changed", "mtu changed"],
)
def test_the_difference_is_the_shortest_way_and_never_touches_the_namespace(
    standing, wanted, missing, expected
):
    assert steps(standing, wanted, missing) == expected


def test_every_step_says_what_it_does_and_hides_secrets():
    for step in plan.difference((PAIR,), (NETNS, FILES, DEVICE), ()):
        what, commands = step.describe()
        assert what and "secret" not in what + (commands or "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("hosts: files dns", "hosts:\tfiles dns"),
        (
            "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns",
            "hosts:\tfiles myhostname dns",
        ),
        ("hosts: files mdns4_minimal [NOTFOUND=return] dns", "hosts:\tfiles dns"),
        ("hosts: files [NOTFOUND=continue SUCCESS=return] dns", None),
        ("hosts: resolve[!UNAVAIL=return]dns", "hosts:\tfiles dns"),
        ("hosts: wins sss libvirt # dns", "hosts:\tfiles dns"),
        ("networks: files resolve", "networks:\tfiles"),
    ],
)
def test_nsswitch_keeps_only_sources_that_stay_inside(before, after):
    line = view.nsswitch(before).splitlines()[0]
    if after is None:
        assert line == "hosts:\tfiles [NOTFOUND=continue SUCCESS=return] dns"
    else:
        assert line == after


def test_nsswitch_leaves_the_other_databases_alone_and_always_has_hosts():
    text = view.nsswitch("passwd: files systemd sss\n# a comment\n")
    assert text == "passwd: files systemd sss\n# a comment\nhosts:\tfiles dns\n"


def test_resolv_conf_names_the_servers_and_where_they_come_from():
    files = Files("vpn", "netjail-vpn", ("10.0.0.1", "fd00::1"), ("corp.example",), "the tunnel")
    assert view.resolv_conf(files).splitlines()[1:] == [
        "nameserver 10.0.0.1",
        "nameserver fd00::1",
        "search corp.example",
    ]


def test_resolv_conf_without_a_server_says_so():
    text = view.resolv_conf(Files("a", "netjail-a", (), (), "the profile"))
    assert "nameserver" not in text and "do not resolve" in text


def test_mount_points_in_mountinfo_are_unescaped():
    assert mounts._unescape(r"/etc/a\040b\134c") == "/etc/a b\\c"


@pytest.mark.parametrize(
    ("resolv", "upstream", "servers", "stubs"),
    [
        ("nameserver 192.0.2.1\nnameserver 127.0.0.1\n", "", ("192.0.2.1",), ("127.0.0.1",)),
        ("nameserver 127.0.0.53\n", "nameserver 192.0.2.9\n", ("192.0.2.9",), ("127.0.0.53",)),
        ("nameserver 127.0.0.53\n", "", (), ("127.0.0.53",)),
        ("nameserver ::1\n", "nameserver 192.0.2.9\n", (), ("::1",)),
        ("nameserver fe80::1%up0\nnameserver 2001:db8::5\n", "", ("2001:db8::5",), ()),
        ("# nothing\nnameserver nonsense\n", "", (), ()),
    ],
)
def test_the_hosts_real_resolvers_stand_behind_the_stub(tmp_path, resolv, upstream, servers, stubs):
    (tmp_path / "resolv.conf").write_text(resolv)
    (tmp_path / "upstream").write_text(upstream)
    found = hostdns.read(str(tmp_path / "resolv.conf"), str(tmp_path / "upstream"))
    assert (found.servers, found.stubs) == (servers, stubs)


def test_a_missing_resolv_conf_is_a_host_without_resolvers(tmp_path):
    found = hostdns.read(str(tmp_path / "none"), str(tmp_path / "none"))
    assert (found.servers, found.stubs) == ((), ())


DUMP = (
    "PRIVATE\tPUBLIC\t51820\toff\n"
    "PEERKEY\tPRESHARED\t192.0.2.1:51820\t0.0.0.0/0,::/0\t1700000000\t100\t200\t25\n"
    "OTHER\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
)


def test_the_dump_of_wg_is_read_without_its_secrets():
    first, second = wg.parse_dump(DUMP)
    assert first.endpoint == "192.0.2.1:51820" and first.latest_handshake == 1700000000
    assert (first.received, first.sent, first.persistent_keepalive) == (100, 200, 25)
    assert second.endpoint is None and second.latest_handshake is None
    assert second.allowed_ips == () and second.persistent_keepalive is None
    assert "PRIVATE" not in repr((first, second)) and "PRESHARED" not in repr((first, second))


def test_nft_commands_leave_empty_sets_out():
    assert nft.commands("add", {"jails": ("nj-a", "nj-b"), "pins": ()}) == (
        "add element inet netjail jails { nj-a, nj-b }"
    )


def test_the_whole_table_merges_the_elements_of_all_jails():
    text = nft.table_text([{"jails": ("nj-a",)}, {"jails": ("nj-b", "nj-a")}])
    assert text.endswith("add element inet netjail jails { nj-a, nj-b }\n")


def test_attributes_are_found_in_a_raw_message():
    netlink = pytest.importorskip("netjail.engine.netlink", reason="pyroute2 is not installed")
    raw = struct.pack("=HHI", 8, 4, 7) + struct.pack("=HHB3x", 5, 9, 1) + struct.pack("=HH", 4, 3)
    assert netlink.attribute(raw, 0, 4) == b"\x07\0\0\0"
    assert netlink.attribute(raw, 0, 9) == b"\x01"
    assert netlink.attribute(raw, 0, 77) is None


def test_sockets_of_a_process_that_is_not_inside_are_nobodys_business() -> None:
    """A number may have been given to another process since it was seen inside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM):
        assert held.strangers(os.getpid(), (1, 1)) == []
