# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import subprocess
import sys
from ipaddress import ip_address

import pytest

from netjail.errors import NetjailError
from netjail.profile import keys, toml
from netjail.profile.curve import public_key
from netjail.profile.model import Dns, NoUplink, Veth, WireGuard
from tests.unit.profile.examples import (
    NONE,
    OTHER,
    PRIVATE,
    PSK,
    PUBLIC,
    VETH,
    WIREGUARD,
)


def problems(text: str, name: str = "vpn") -> tuple[str, ...]:
    with pytest.raises(NetjailError) as caught:
        toml.parse(name, text)
    assert caught.value.code == "invalid-profile"
    assert caught.value.problems
    for line in (caught.value.message, caught.value.hint or "", *caught.value.problems):
        assert PRIVATE[:30] not in line
        assert PSK[:30] not in line
        assert "\n" not in line
    return caught.value.problems


def only(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def second_peer(allowed: str, key: str = OTHER) -> str:
    return f'[[uplink.peer]]\npublic_key = "{key}"\nendpoint = "b:1"\nallowed_ips = [{allowed}]\n'


def test_a_whole_profile() -> None:
    profile, warnings = toml.parse("vpn", WIREGUARD)
    assert warnings == []
    assert profile.name == "vpn"
    assert profile.description == "Stockholm"
    assert profile.users == ()
    assert profile.stop == "never"
    assert profile.dns == Dns("uplink")
    uplink = profile.uplink
    assert isinstance(uplink, WireGuard)
    assert uplink.private_key == PRIVATE
    assert [str(a) for a in uplink.addresses] == ["10.2.0.2/32", "fd00::2/128"]
    assert uplink.dns_servers == (ip_address("10.2.0.1"),)
    assert uplink.dns_search == ("corp.example",)
    assert uplink.mtu == 1420
    (peer,) = uplink.peers
    assert (peer.public_key, peer.preshared_key) == (PUBLIC, PSK)
    assert str(peer.endpoint) == "vpn.example.net:51820"
    assert peer.persistent_keepalive == 25
    assert toml.parse("vpn", toml.dump(profile)) == (profile, [])


def test_secrets_are_not_in_reprs() -> None:
    profile, _ = toml.parse("vpn", WIREGUARD)
    assert PRIVATE not in repr(profile)
    assert PSK not in repr(profile)


def test_defaults() -> None:
    assert toml.parse("lab", VETH)[0].uplink == Veth()
    assert toml.parse("lab", VETH)[0].dns == Dns("host")
    assert toml.parse("lab", NONE)[0].uplink == NoUplink()
    assert toml.parse("lab", NONE)[0].dns == Dns("static")
    text = VETH + '[dns]\nservers = ["9.9.9.9"]\n'
    assert toml.parse("lab", text)[0].dns == Dns("static", (ip_address("9.9.9.9"),))
    text = WIREGUARD + '[dns]\nsearch = ["a.example"]\n'
    assert toml.parse("lab", text)[0].dns == Dns("uplink", (), ("a.example",))


def test_hosts() -> None:
    text = NONE + '[dns.hosts]\n"a.example" = "10.0.0.1"\nb = ["10.0.0.2", "fd00::2"]\n'
    profile, _ = toml.parse("lab", text)
    assert [(n, str(a)) for n, a in profile.dns.hosts] == [
        ("a.example", "10.0.0.1"),
        ("b", "10.0.0.2"),
        ("b", "fd00::2"),
    ]
    assert toml.parse("lab", toml.dump(profile))[0] == profile


def test_every_problem_at_once_in_the_order_of_the_file() -> None:
    text = (
        WIREGUARD.replace("51820", "70000")
        .replace("mtu = 1420", "mtu = 99\nmut = 3")
        .replace('description = "Stockholm"', 'stop = "sometimes"')
    )
    found = problems(text)
    assert [f.partition(": ")[0] for f in found] == [
        "vpn.toml:2",
        "vpn.toml:9",
        "vpn.toml:10",
        "vpn.toml:15",
    ]
    assert '"sometimes" is not one of them; allowed: "never" or "when-idle"' in found[0]
    assert "uplink.mtu: 99 is too small; allowed: 576 to 65535" in found[1]
    assert "uplink.mut: unknown key; did you mean mtu?" in found[2]
    assert 'uplink.peer#1.endpoint: "vpn.example.net:70000" has a port above' in found[3]


REPLACED = [
    # (old, new, what the one problem says)
    ("version = 1", "version = 2", "version: 2 is of a newer netjail"),
    ("version = 1\n", "", "version: is missing"),
    ('"wireguard"', '"wiregard"', 'did you mean "wireguard"?'),
    (f'private_key = "{PRIVATE}"\n', "", "vpn.toml:4: uplink.private_key: is missing; needed"),
    (PRIVATE, PRIVATE[:-2], r"uplink.private_key: \(hidden, 42 characters\) is not a WireGuard"),
    (PSK, PSK[1:], r"preshared_key: \(hidden, 43 characters\)"),
    (PUBLIC, "hello", r"public_key: \(hidden, 5 characters\)"),
    ('["10.2.0.2/32", "fd00::2/128"]', "[]", "an empty list"),
    ('["10.2.0.2/32", "fd00::2/128"]', '"10.2.0.2/32"', r'did you mean \["10.2.0.2/32"\]\?'),
    ('["10.2.0.2/32", "fd00::2/128"]', '"10.2.0.2/32"', "is not a list"),
    ('"fd00::2/128"', "7", "7 is not a text in quotes"),
    ("mtu = 1420", "mtu = 1279", "1279 is too small for the IPv6 address"),
    ("mtu = 1420", 'mtu = "1420"', "did you mean"),
    ("mtu = 1420", "mtu = 1e3", "a number with a fraction is not a whole number"),
    ("mtu = 1420", "mtu = 2020-01-01", "a date or time is not a whole number"),
    ("mtu = 1420", f"mtu = 0x{'f' * 5000}", "a huge number is too large"),
    ("mtu = 1420", 'interface = "eth0"', 'belongs to uplinks of kind "veth"'),
    ("mtu = 1420", 'through = "vpn"', "through: is this profile itself"),
    ("mtu = 1420", 'through = "Work"', 'did you mean "work"?'),
    ("mtu = 1420", "isolation = 1", "unknown key"),
    ("version = 1", "version = 1\nisolation = true", "isolation: .*table"),
    ("version = 1", "version = 1\nmtu = 1280", r"did you mean mtu in \[uplink\]\?"),
    ("version = 1", 'version = 1\n"uplink.mtu" = 1280', "unknown key"),
    ("version = 1", 'version = 1\n"uplink.peer" = 1280', "unknown key"),
    ("version = 1", 'version = 1\nautostart = "yes"', "true or false"),
    ("version = 1", 'version = 1\nusers = ["@wheel"]', "is a group"),
    ("version = 1", "version = 1\nusers = [[]]", "a list is not a text in quotes"),
    (f'public_key = "{PUBLIC}"', f'public_key = "{public_key(PRIVATE)}"', "your own private_key"),
    (f'public_key = "{PUBLIC}"', f'public_key = "{PRIVATE}"', "same as your private_key"),
]


@pytest.mark.parametrize(("old", "new", "says"), REPLACED)
def test_one_problem(old: str, new: str, says: str) -> None:
    assert old in WIREGUARD
    assert re.search(says, only(WIREGUARD.replace(old, new, 1)))


ADDED = [
    ("[[forward]]\n", "forward#1.listen: is missing"),
    ("[[expose]]\n", "expose#1.listen: is missing"),
    ("[dhcp]\n", "dhcp: .*not yet"),
    ("[forwards]\n", "unknown key"),
    ("[dns]\nmode = 'host'\n", 'makes no sense with an uplink of kind "wireguard"'),
    ("[dns]\nmode = 'static'\n", "servers: is missing"),
    ("[dns]\nmode = 'uplink'\nservers = ['9.9.9.9']\n", "are not used with mode"),
    ("[dns]\nserver = ['9.9.9.9']\n", "did you mean servers"),
    ("[dns]\nservers = ['fe80::1']\n", "link-local"),
    ("[dns]\nservers = ['dns.example']\n", "is not an IP address"),
    ("[dns]\nsearch = ['~.']\n", "systemd-resolved"),
    ("[dns]\nhosts = 3\n", r"write \[dns.hosts\]"),
    ("[dns.hosts]\nlocalhost = '10.0.0.1'\n", "loopback"),
    ("[dns.hosts]\n'a b' = '10.0.0.1'\n", "the name is not a host name"),
    ("[dns.hosts]\na.b = '10.0.0.1'\n", 'wants quotes, as in "a.example"'),
    ("[dns.hosts]\na = 'b'\n", "is not an IP address"),
    ("[dns.hosts]\n\"a\\nb\" = '10.0.0.1'\n", "not a host name"),
    (second_peer('"::/0"'), "::/0 also belongs to peer 1"),
    (second_peer('"10.0.0.0/8"', PUBLIC), "same as that of peer 1"),
    ("[[uplink.peer]]\n", r"vpn.toml:17: uplink.peer#2.public_key: is missing"),
]


@pytest.mark.parametrize(("text", "says"), ADDED)
def test_one_problem_at_the_end(text: str, says: str) -> None:
    assert re.search(says, only(WIREGUARD + text))


@pytest.mark.parametrize("kind", list(keys.LATER_KINDS))
def test_kinds_of_later(kind: str) -> None:
    text = f'version = 1\n[uplink]\nkind = "{kind}"\nconfig = "x"\n'
    assert "not there yet" in only(text)


WHOLE = [
    ("", "version: is missing"),
    ("", "uplink: is missing"),
    ("version = 1\nuplink = 3\n", r"write \[uplink\]"),
    ("version = 1\n[[uplink]]\nkind = 'none'\n", r"write \[uplink\]"),
    ("version = 1\n[uplink]\n", "kind: is missing"),
    ("version = 1\n[uplink]\nkind = 3\n", "kind: 3 is not a text"),
    (VETH + "lan = 1\n", "neither true nor false"),
    (VETH + "through = 'vpn'\n", "not yet"),
    (VETH + "private_key = 'x'\n", 'belongs to uplinks of kind "wireguard"'),
    (VETH + "interface = 'eth*'\n", "not an interface name"),
    (VETH + "[[uplink.peer]]\n", 'belongs to uplinks of kind "wireguard"'),
    (VETH + "[dns]\nmode = 'uplink'\n", "makes no sense"),
    (NONE + "mtu = 1500\n", 'belongs to uplinks of kind "wireguard" and .*"veth"'),
    (NONE + "[dns]\nmode = 'host'\n", "makes no sense"),
    ("version = 1\n[uplink\n", "is not TOML: .*line 2"),
    ("version = 1\nversion = 1\n", "is not TOML: .*line 2"),
    ("a = " + "[" * 20_000, "nested too deeply"),
    ("a = " + "9" * 5000, "is not TOML"),
    ("a = 1\n\0", "is not TOML"),
    ("# \ud800", "not Unicode"),
    ("x" * (toml.SIZE_MAX + 1), "larger"),
]


@pytest.mark.parametrize(("text", "says"), WHOLE)
def test_whole_files(text: str, says: str) -> None:
    assert any(re.search(says, p) for p in problems(text))


def test_no_flood() -> None:
    text = NONE + "".join(f"x{n} = 1\n" for n in range(20_000))
    found = problems(text)
    assert len(found) == 101
    assert found[-1] == "and 19900 more"


@pytest.mark.parametrize("name", ["", "../x", "-rf", "A", "x" * 32, "ü", "a b", "a\n"])
def test_names(name: str) -> None:
    with pytest.raises(NetjailError) as caught:
        toml.parse(name, NONE)
    assert caught.value.code == "invalid-name"
    assert "\n" not in caught.value.message


def warnings(text: str) -> str:
    return "\n".join(toml.parse("vpn", text)[1])


def test_warnings() -> None:
    both = '["0.0.0.0/0", "::/0"]'
    assert "no DNS server" in warnings(WIREGUARD.replace('["10.2.0.1", "corp.example"]', "[]"))
    assert "no IPv6 network" in warnings(WIREGUARD.replace(both, '["0.0.0.0/0"]'))
    some = warnings(WIREGUARD.replace(both, '["10.0.0.0/8", "fd00::/8"]'))
    assert "no default route: only 10.0.0.0/8, fd00::/8 can" in some
    assert "DNS server" not in some
    assert "DNS server 10.2.0.1 is in no AllowedIPs" in warnings(
        WIREGUARD.replace(both, '["192.168.0.0/16", "fd00::/8"]')
    )
    assert "has no Endpoint" in warnings(re.sub("endpoint = .*\n", "", WIREGUARD))
    assert "no peer has AllowedIPs" in warnings(re.sub("allowed_ips = .*\n", "", WIREGUARD))
    assert "loopback" in warnings(WIREGUARD.replace("10.2.0.1", "127.0.0.53"))
    halves = '["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]'
    assert warnings(WIREGUARD.replace(both, halves)) == ""
    masked = warnings(WIREGUARD.replace(both, '["0.0.0.0/0", "fd00::1/64"]'))
    assert "fd00::1/64 has bits set after its prefix; fd00::/64 is what counts" in masked
    assert "no IPv6" in warnings(VETH + "mtu = 1000\n")


def test_values_said_twice_count_once() -> None:
    text = WIREGUARD.replace('["0.0.0.0/0", "::/0"]', '["0.0.0.0/0", "::/0", "0.0.0.0/0"]')
    assert toml.parse("vpn", text)[0] == toml.parse("vpn", WIREGUARD)[0]


def test_a_byte_order_mark_and_windows_line_ends() -> None:
    text = "\ufeff" + WIREGUARD.replace("\n", "\r\n")
    assert toml.parse("vpn", text)[0] == toml.parse("vpn", WIREGUARD)[0]


def test_lines_are_not_told_where_they_could_be_wrong() -> None:
    text = 'version = 1\nx = """\n[uplink]\n"""\n[uplink]\nkind = "non"\n'
    assert all(p.startswith("vpn.toml: ") for p in problems(text))


def test_what_importing_brings() -> None:
    code = (
        "import sys, netjail.profile.toml, netjail.profile.store\n"
        "bad = {'wgconfig', 'pyroute2', 'tomli_w', 'difflib', 'asyncio'} & set(sys.modules)\n"
        "assert not bad, bad\n"
        "import netjail.profile.wgquick\n"
        "bad = {'wgconfig', 'pyroute2'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
