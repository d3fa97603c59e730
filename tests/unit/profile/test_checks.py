# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from netjail.profile import checks
from netjail.profile.checks import Bad
from netjail.profile.curve import public_key
from tests.unit.profile.examples import PRIVATE, key

GOOD = [
    (checks.endpoint, "vpn.example.net:51820", "vpn.example.net:51820"),
    (checks.endpoint, "192.0.2.1:1", "192.0.2.1:1"),
    (checks.endpoint, "127.0.0.1:51820", "127.0.0.1:51820"),  # udp2raw and the like
    (checks.endpoint, "[2001:DB8:0::1]:65535", "[2001:db8::1]:65535"),
    (checks.endpoint, "a_b.example.:51820", "a_b.example.:51820"),
    (checks.interface_address, "10.2.0.2", "10.2.0.2/32"),
    (checks.interface_address, "10.2.0.2/24", "10.2.0.2/24"),
    (checks.interface_address, "fd00::2", "fd00::2/128"),
    (checks.interface_address, "FD00::2/64", "fd00::2/64"),
    (checks.network, "10.2.3.4/16", "10.2.0.0/16"),
    (checks.network, "::0/0", "::/0"),
    (checks.network, "10.2.3.4", "10.2.3.4/32"),
    (checks.port, 0, "None"),
    (checks.port, 65535, "65535"),
    (checks.keepalive, "off", "None"),
    (checks.keepalive, "OFF", "None"),
    (checks.keepalive, 0, "None"),
    (checks.keepalive, 25, "25"),
    (checks.fwmark, "0xca6c", "51820"),
    (checks.fwmark, "off", "None"),
    (checks.fwmark, 2**32 - 1, "4294967295"),
    (checks.mtu, 576, "576"),
    (checks.dns_entry, "corp.example", "corp.example"),
    (checks.dns_entry, "2620:fe::fe", "2620:fe::fe"),
    (checks.user_name, "CORP\\anne", "CORP\\anne"),
    (checks.user_name, "anne@corp.example", "anne@corp.example"),
    (checks.user_name, "jürgen", "jürgen"),
    (checks.interface_name, "enp0s31f6", "enp0s31f6"),
    (checks.interface_name, "eth0.100", "eth0.100"),
    (checks.interface_name, "br-lan", "br-lan"),
    (checks.description, "Zürich 🏔", "Zürich 🏔"),
    (checks.preshared_key, checks.ZERO_KEY, "None"),
]

BAD = [
    (checks.endpoint, "vpn.example.net", "no port"),
    (checks.endpoint, "vpn.example.net:", "no number"),
    (checks.endpoint, "vpn.example.net:https", "no number"),
    (checks.endpoint, "vpn.example.net:0", "port 0"),
    (checks.endpoint, "vpn.example.net:65536", "above 65535"),
    (checks.endpoint, "vpn.example.net:70000", "above 65535"),
    (checks.endpoint, "vpn.example.net:" + "9" * 5000, "above 65535"),
    (checks.endpoint, "vpn.example.net:-1", "no number"),
    (checks.endpoint, "vpn.example.net:٣", "no number"),
    (checks.endpoint, "2001:db8::1:51820", "without brackets"),
    (checks.endpoint, "[2001:db8::1]", "no ]:"),
    (checks.endpoint, "[2001:db8::1:51820", "no ]:"),
    (checks.endpoint, "[vpn.example.net]:51820", "in brackets"),
    (checks.endpoint, "[fe80::1%eth0]:51820", "after %"),
    (checks.endpoint, "[fe80::1]:51820", "link-local"),
    (checks.endpoint, "[::ffff:192.0.2.1]:51820", "IPv6 dress"),
    (checks.endpoint, "[::]:51820", "reach"),
    (checks.endpoint, "0.0.0.0:51820", "reach"),
    (checks.endpoint, "224.0.0.1:51820", "reach"),
    (checks.endpoint, "010.0.0.1:51820", "octal"),
    (checks.endpoint, "10.0.0.1.2:51820", "not an IP"),
    (checks.endpoint, "10.1:51820", "not an IP"),
    (checks.endpoint, "2130706433:51820", "not an IP"),
    (checks.endpoint, "0x7f000001:51820", "four decimal"),
    (checks.endpoint, "0x7f.1:51820", "four decimal"),
    (checks.endpoint, "a.0x7f:51820", "four decimal"),
    (checks.endpoint, "vpn..example:51820", "empty part"),
    (checks.endpoint, "-vpn.example:51820", "not a host name"),
    (checks.endpoint, "vpn example:51820", "not a host name"),
    (checks.endpoint, "vpn.example\n:51820", "not a host name"),
    (checks.endpoint, "vpn.exämple:51820", "xn--"),
    (checks.endpoint, "a" * 64 + ".example:51820", "longer than 63"),
    (checks.endpoint, "a." * 130 + "b:51820", "longer than 253"),
    (checks.endpoint, ":51820", "empty"),
    (checks.endpoint, 51820, "text in quotes"),
    (checks.interface_address, "10.2.0.2/33", "more than 32"),
    (checks.interface_address, "fd00::/129", "more than 128"),
    (checks.interface_address, "10.2.0.2/255.255.255.0", "number of bits"),
    (checks.interface_address, "10.2.0.2/", "number of bits"),
    (checks.interface_address, "10.2.0.2/-1", "number of bits"),
    (checks.interface_address, "10.2.0.2/0", "0 bits"),
    (checks.interface_address, "127.0.0.1/8", "cannot have|can have"),
    (checks.interface_address, "fe80::1%wg0/64", "after %"),
    (checks.interface_address, "10.2.0.02/32", "octal"),
    (checks.interface_address, "", "not an IP"),
    (checks.network, "10.0.0.0/0.0.0.255", "number of bits"),
    (checks.network, "10.0.0.0/٨", "number of bits"),
    (checks.network, "everything", "not an IP"),
    (checks.network, "+10.0.0.0/8", "not an IP"),
    (checks.dns_entry, "1.1.1", "not an IP"),
    (checks.dns_entry, "fe80::1", "link-local"),
    (checks.dns_entry, "~.", "systemd-resolved"),
    (checks.dns_entry, "0.0.0.0", "not the address of a host"),
    (checks.dns_entry, "a b", "not a host name"),
    (checks.port, 65536, "too large"),
    (checks.port, -1, "too small"),
    (checks.port, True, "whole number"),
    (checks.port, 1.5, "whole number"),
    (checks.port, "51820", "text, not a number"),
    (checks.mtu, 575, "too small"),
    (checks.keepalive, "on", "whole number"),
    (checks.fwmark, 2**32, "too large"),
    (checks.fwmark, "0x", "whole number"),
    (checks.fwmark, "0x1ffffffff", "whole number"),
    (checks.wireguard_key, "", "empty"),
    (checks.wireguard_key, "YOUR_PRIVATE_KEY", "placeholder"),
    (checks.wireguard_key, "<insert here>", "placeholder"),
    (checks.wireguard_key, checks.ZERO_KEY, "zeros"),
    (checks.wireguard_key, PRIVATE[:-1], "not a WireGuard key"),
    (checks.wireguard_key, PRIVATE + "\n", "not a WireGuard key"),
    (checks.wireguard_key, PRIVATE + PRIVATE, "not a WireGuard key"),
    (checks.wireguard_key, base64.b64encode(b"x" * 31).decode(), "not a WireGuard key"),
    (checks.wireguard_key, "A" * 42 + "B=", "not a WireGuard key"),  # bits to spare
    (checks.user_name, "", "not a user"),
    (checks.user_name, "1000", "number"),
    (checks.user_name, "@wheel", "group"),
    (checks.user_name, "%wheel", "group"),
    (checks.user_name, "-rf", "not a user"),
    (checks.user_name, "a:b", "not a user"),
    (checks.user_name, "a\nb", "not a user"),
    (checks.user_name, "../x", "not a user"),
    (checks.interface_name, "", "not an interface"),
    (checks.interface_name, "a" * 16, "not an interface"),
    (checks.interface_name, "eth*", "not an interface"),
    (checks.interface_name, 'e"th', "not an interface"),
    (checks.interface_name, "-eth", "not an interface"),
    (checks.interface_name, "../eth", "not an interface"),
    (checks.interface_name, "lo", "loopback"),
    (checks.interface_name, "nj-vpn", "netjail's own"),
    (checks.description, "a\nb", "line break"),
    (checks.description, "\x1b[31mred", "cannot be printed"),
    (checks.description, "\u202eevil", "cannot be printed"),
    (checks.description, "x" * 201, "201"),
    (checks.profile_name, "../x", "not a profile's name"),
    (checks.hosts_entry_name, "localhost", "loopback"),
    (checks.boolean, "yes", "neither"),
    (checks.boolean, 1, "neither"),
    (checks.version, 2, "newer"),
]


@pytest.mark.parametrize(("check", "value", "result"), GOOD)
def test_good(check: Callable[[object], Any], value: object, result: str) -> None:
    assert str(check(value)) == result


@pytest.mark.parametrize(("check", "value", "why"), BAD)
def test_bad(check: Callable[[object], Any], value: object, why: str) -> None:
    with pytest.raises(Bad, match=why) as caught:
        check(value)
    if isinstance(value, str) and len(value) > 20:
        assert value not in caught.value.why


def test_suggestions() -> None:
    with pytest.raises(Bad) as caught:
        checks.endpoint("2001:db8::1:51820")
    assert caught.value.meant == "[2001:db8::1]:51820"
    with pytest.raises(Bad) as caught:
        checks.domain("~corp.example")
    assert caught.value.meant == "corp.example"
    assert checks.did_you_mean("privatekey", ["private_key", "peer"]) == "private_key"
    assert checks.did_you_mean("x" * 100_000, ["private_key"]) is None


def test_show_hides_keys_and_control_characters() -> None:
    assert PRIVATE[:20] not in checks.show(f"a {PRIVATE} b")
    assert PRIVATE[:20] not in checks.show(PRIVATE[:-1])
    assert checks.show("x" * 45, hidden=True) == "(hidden, 45 characters)"
    assert checks.show("\x1b]0;title\x07") == '"\\x1b]0;title\\x07"'
    assert checks.show(int("f" * 6000, 16)) == "a huge number"
    assert len(checks.show("y" * 10_000)) < 100


def test_public_key_of_rfc_7748() -> None:
    # Section 6.1, Bob.
    private = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    public = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    assert public_key(base64.b64encode(private).decode()) == base64.b64encode(public).decode()


@pytest.mark.skipif(shutil.which("wg") is None, reason="wg (wireguard-tools) is not installed")
def test_public_key_as_wg_computes_it() -> None:
    for n in range(5):
        private = key(f"curve {n}")
        run = subprocess.run(
            ["wg", "pubkey"], input=private, capture_output=True, text=True, check=True
        )
        assert public_key(private) == run.stdout.strip()
