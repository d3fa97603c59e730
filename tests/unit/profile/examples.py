# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and texts shared by the tests of profiles. All keys are made up."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

FILES = Path(__file__).parent / "files"


def key(label: str) -> str:
    """A key nobody has, the same in every run."""
    return base64.b64encode(hashlib.sha256(label.encode()).digest()).decode()


PRIVATE, PUBLIC, OTHER, PSK = key("private"), key("public"), key("other"), key("psk")

WIREGUARD = f"""version = 1
description = "Stockholm"

[uplink]
kind = "wireguard"
private_key = "{PRIVATE}"
address = ["10.2.0.2/32", "fd00::2/128"]
dns = ["10.2.0.1", "corp.example"]
mtu = 1420

[[uplink.peer]]
public_key = "{PUBLIC}"
preshared_key = "{PSK}"
endpoint = "vpn.example.net:51820"
allowed_ips = ["0.0.0.0/0", "::/0"]
persistent_keepalive = 25
"""

VETH = 'version = 1\n[uplink]\nkind = "veth"\n'
NONE = 'version = 1\n[uplink]\nkind = "none"\n'

WG_QUICK = f"""[Interface]
PrivateKey = {PRIVATE}
Address = 10.2.0.2/32, fd00::2/128
DNS = 10.2.0.1
[Peer]
PublicKey = {PUBLIC}
PresharedKey = {PSK}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
"""
