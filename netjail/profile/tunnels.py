# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenVPN and OpenConnect uplinks: what their values must be to each other, and back to TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from netjail.profile.model import OpenConnect, OpenVpn
from netjail.profile.tunnelchecks import encrypted

Values = Mapping[str, Any]
_CIPHERS_MAX = 150
_OLD_CIPHERS = ("BF-", "DES-", "RC2-", "CAST5-", "IDEA-", "SEED-")


def openvpn_problems(values: Values) -> Iterator[tuple[str, str]]:
    """(key, complaint) for what does not go together."""
    if values.get("remote") == ():
        yield "remote", "an empty list; a tunnel needs at least one server"
    if "ca" not in values and "pkcs12" not in values and not values.get("fingerprint"):
        yield (
            "ca",
            "is missing; without an authority (or a fingerprint) anybody could be the server",
        )
    if "pkcs12" in values:
        for leaf in ("cert", "key"):
            if leaf in values:
                yield leaf, "stands in pkcs12 already; keep one of the two"
    elif ("cert" in values) != ("key" in values):
        lacking, given = ("key", "cert") if "cert" in values else ("cert", "key")
        yield lacking, f"is missing; a {given} is of no use without it"
    elif "cert" not in values and not values.get("login", "username" in values):
        yield "cert", "is missing; without cert and key there must be a login = true"
    wraps = [leaf for leaf in ("tls_auth", "tls_crypt", "tls_crypt_v2") if leaf in values]
    if len(wraps) > 1:
        yield wraps[1], f"cannot be used together with {wraps[0]}"
    if sum(len(each) + 1 for each in values.get("ciphers", ())) > _CIPHERS_MAX:
        yield "ciphers", f"have more than {_CIPHERS_MAX} characters together"
    if any(each.proto.startswith("tcp") for each in values.get("remote", ())):
        for leaf in ("exit_notify", "fragment"):
            if values.get(leaf):
                yield leaf, "is for udp, and one of the servers is reached by tcp"
    if "key_direction" in values and "tls_auth" not in values:
        yield "key_direction", "is of no use without tls_auth"
    if values.get("login") is False and "username" in values:
        yield "login", "is false, but there is a username"
    if "password" in values and "username" not in values:
        yield "username", "is missing; a password is of no use without it"
    if "challenge" in values and not values.get("login", "username" in values):
        yield "login", "must be true for a challenge"
    if "server_name_type" in values and "server_name" not in values:
        yield "server_name_type", "is of no use without server_name"


def openvpn(values: Values) -> OpenVpn:
    """From values that have no problems."""
    given = _given(values)
    given.setdefault("login", "username" in given)
    return OpenVpn(**given)


def openconnect_problems(values: Values) -> Iterator[tuple[str, str]]:
    """(key, complaint) for what does not go together."""
    if ("cert" in values) != ("key" in values):
        lacking, given = ("key", "cert") if "cert" in values else ("cert", "key")
        yield lacking, f"is missing; a {given} is of no use without it"
    if "password" in values and "username" not in values:
        yield "username", "is missing; a password is of no use without it"
    if "cert" in values and values.get("protocol", "anyconnect") in ("nc", "array"):
        yield "cert", f'is not known to work with protocol = "{values["protocol"]}"'


def openconnect(values: Values) -> OpenConnect:
    """From values that have no problems."""
    return OpenConnect(**_given(values))


def _given(values: Values) -> dict[str, Any]:
    given = {
        name: value
        for name, value in values.items()
        if name != "kind" and not name.startswith("natpmp")  # the profile's, as of any kind
    }
    entries = given.pop("dns", ())
    given["dns_servers"] = tuple(e for e in entries if not isinstance(e, str))
    given["dns_search"] = tuple(e for e in entries if isinstance(e, str))
    return given


def dump(uplink: OpenVpn | OpenConnect) -> dict[str, Any]:
    """The table [uplink] without its kind; what is as by default is left out."""
    raw: dict[str, Any] = {}
    for each in fields(uplink):
        value = getattr(uplink, each.name)
        if each.name in ("dns_servers", "dns_search", "places", "place", "base"):
            continue
        if each.default is not MISSING and value == each.default:
            continue
        if each.name == "login" and isinstance(uplink, OpenVpn) and uplink.username is not None:
            continue
        raw[each.name] = [str(item) for item in value] if isinstance(value, tuple) else value
    if uplink.dns_servers or uplink.dns_search:
        raw["dns"] = [*map(str, uplink.dns_servers), *uplink.dns_search]
    if isinstance(uplink, OpenVpn) and uplink.places:
        from netjail.profile import places  # which reads tables, as nothing else here does

        raw["place"] = places.dump(uplink)
    return raw


def warnings(uplink: OpenVpn | OpenConnect) -> Iterator[str]:
    """What works, but perhaps not as meant. One sentence each."""
    if uplink.password is not None:
        yield "the password is kept in the profile, which only root can read"
    if encrypted(uplink.key) and uplink.key_password is None:
        yield "the private key is encrypted: its password is asked for when the profile comes up"
    if isinstance(uplink, OpenConnect):
        return
    if not uplink.server_usage and not uplink.server_name and not uplink.fingerprint:
        yield (
            "any certificate of the same authority passes for the server's, another customer's "
            "as well; add server_usage = true if the server's certificate allows it"
        )
    if uplink.framing == "lzo":
        yield (
            "nothing is compressed; if the server compresses all the same, what it sends is lost "
            "(its comp-lzo must be no, or adaptive with data that does not compress)"
        )
    for cipher in (*uplink.ciphers, uplink.fallback_cipher or ""):
        if cipher.upper().startswith(_OLD_CIPHERS):
            yield f"the cipher {cipher} is broken, and newer versions of OpenVPN refuse it"
