# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of [[uplink.place]]: a name, and those of [uplink] and its peer in which the servers of
one provider differ."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from netjail.profile import amnezia, checks
from netjail.profile.key import Key, Type

WIREGUARDS = ("wireguard", amnezia.KIND)
POOLED = (*WIREGUARDS, "openvpn")
"""Kinds of uplink that can have places."""
PLACES_MAX = 4096
NAME_MAX = 63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def place_name(value: object) -> str:
    """What can be typed, and shown anywhere."""
    text = checks.string(value)
    if not _NAME.fullmatch(text):
        raise checks.Bad("cannot be the name of a place")
    return text


PLACE_NAME = Type(
    f"letters, digits, -, _ and ., at most {NAME_MAX}, beginning with a letter or digit", place_name
)
PEER_LEAVES = ("public_key", "preshared_key", "endpoint", "allowed_ips", "persistent_keepalive")
"""Keys of a place that are those of its only peer."""
_WIREGUARD = ("private_key", "address", "dns", "mtu")
_OPENVPN = (
    "remote",
    "server_name",
    "server_name_type",
    "fingerprint",
    "ca",
    "cert",
    "key",
    "tls_auth",
    "key_direction",
    "tls_crypt",
    "tls_crypt_v2",
)


def leaves(kind: str) -> tuple[str, ...]:
    """What a place of a pool of that kind may say, besides its name."""
    if kind == amnezia.KIND:
        return (*_WIREGUARD, *PEER_LEAVES, *amnezia.LEAVES)
    return (*_WIREGUARD, *PEER_LEAVES) if kind == "wireguard" else (*_OPENVPN, "dns", "mtu")


def place_keys(own: Iterable[Key]) -> tuple[Key, ...]:
    """Made of the keys that they override."""
    known: dict[str, Key] = {}
    for key in own:
        known.setdefault(key.name, key)
    made = [Key("uplink.place.name", PLACE_NAME, "What it is called.", kinds=POOLED, required=True)]
    kinds: dict[str, list[str]] = {}
    for kind in POOLED:
        for leaf in leaves(kind):
            kinds.setdefault(leaf, []).append(kind)
    for leaf, of in kinds.items():
        section = "uplink.peer" if leaf in PEER_LEAVES else "uplink"
        made.append(
            replace(
                known[f"{section}.{leaf}"],
                name=f"uplink.place.{leaf}",
                doc=f"In place of `{section}.{leaf}`.",
                kinds=tuple(of),
                required=False,
                default="that",
                wg=None,
            )
        )
    return tuple(made)
