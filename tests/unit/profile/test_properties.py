# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of the parsers, over profiles and texts that hypothesis makes up."""

from __future__ import annotations

import base64
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import checks, schema, toml, wgquick
from netjail.profile.curve import public_key
from netjail.profile.model import Dns, Endpoint, NoUplink, Peer, Profile, Veth, WireGuard
from tests.unit.profile.examples import FILES, PRIVATE, PSK, WG_QUICK, WIREGUARD


def _passes(check: Any) -> Any:
    def ok(value: object) -> bool:
        try:
            check(value if isinstance(value, (str, int)) else str(value))
        except checks.Bad:
            return False
        return True

    return ok


raw_keys = st.binary(min_size=32, max_size=32).filter(any)
wg_keys = raw_keys.map(lambda b: base64.b64encode(b).decode())
labels = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join).filter(_passes(checks.host_name))
ports = st.integers(1, 65535)
v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(IPv6Address)
addresses = st.one_of(v4, v6).filter(_passes(checks.dns_server))
interfaces = st.one_of(
    st.builds(lambda a, n: IPv4Interface((a, n)), v4, st.integers(1, 32)),
    st.builds(lambda a, n: IPv6Interface((a, n)), v6, st.integers(1, 128)),
).filter(_passes(checks.interface_address))
networks = st.one_of(
    st.builds(lambda a, n: IPv4Network((a, n), strict=False), v4, st.integers(0, 32)),
    st.builds(lambda a, n: IPv6Network((a, n), strict=False), v6, st.integers(0, 128)),
).filter(_passes(checks.network))
endpoints = st.builds(Endpoint, st.one_of(hosts, addresses.map(str)), ports).filter(
    _passes(checks.endpoint)
)
lines = st.text(max_size=60).filter(str.isprintable)
profile_names = st.from_regex(names.NAME_PATTERN, fullmatch=True)
mtus = st.none() | st.integers(1280, 65535)


def unique(values: st.SearchStrategy[Any], low: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=low, max_size=4, unique=True).map(tuple)


@st.composite
def tunnels(draw: st.DrawFn) -> WireGuard:
    private = draw(wg_keys)
    count = draw(st.integers(1, 3))
    publics = draw(st.lists(wg_keys, min_size=count, max_size=count, unique=True))
    assume(private not in publics and public_key(private) not in publics)
    nets = draw(st.lists(networks, max_size=6, unique=True))
    peers = tuple(
        Peer(
            public_key=key,
            allowed_ips=tuple(nets[n::count]),
            endpoint=draw(st.none() | endpoints),
            preshared_key=draw(st.none() | wg_keys),
            persistent_keepalive=draw(st.none() | ports),
        )
        for n, key in enumerate(publics)
    )
    return WireGuard(
        private_key=private,
        addresses=draw(unique(interfaces, 1)),
        peers=peers,
        mtu=draw(mtus),
        listen_port=draw(st.none() | ports),
        fwmark=draw(st.none() | st.integers(1, 2**32 - 1)),
        dns_servers=draw(unique(addresses)),
        dns_search=draw(unique(hosts)),
    )


veths = st.builds(
    Veth,
    interface=st.none() | st.sampled_from(["eth0", "wlan0.7", "br-lan"]),
    lan=st.booleans(),
    host=st.booleans(),
    mtu=mtus,
)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    name = draw(profile_names)
    uplink = draw(st.one_of(tunnels(), veths, st.just(NoUplink())))
    static = draw(st.booleans()) or isinstance(uplink, NoUplink)
    entries = draw(
        st.dictionaries(
            hosts.filter(_passes(checks.hosts_entry_name)), unique(addresses, 1), max_size=3
        )
    )
    return Profile(
        name=name,
        uplink=uplink,
        dns=Dns(
            mode="static" if static else "host" if isinstance(uplink, Veth) else "uplink",
            servers=draw(unique(addresses)) if static else (),
            search=draw(unique(hosts)),
            hosts=tuple((n, a) for n, some in entries.items() for a in some),
        ),
        description=draw(lines),
        users=draw(unique(st.sampled_from(["anne", "bob", "CORP\\eve", "x@corp.example"]))),
        stop=draw(st.sampled_from(["never", "when-idle"])),
    )


@given(profiles())
@settings(max_examples=50, deadline=None)
def test_a_profile_survives_its_file(profile: Profile) -> None:
    assert toml.parse(profile.name, toml.dump(profile))[0] == profile


@given(tunnels(), lines)
@settings(max_examples=50, deadline=None)
def test_a_tunnel_survives_its_wg_quick_file(uplink: WireGuard, description: str) -> None:
    profile = Profile("vpn", uplink, Dns("uplink"), description=description)
    text = wgquick.export(profile)
    found = wgquick.parse(text)
    assert found.uplink == uplink
    assert found.left_out == []
    windows = "\ufeff" + text.replace("\n", "\r\n").replace("[Peer]", "[PEER]")
    assert wgquick.parse(windows).uplink == uplink


def survives(call: Any, *args: Any) -> None:
    try:
        call(*args)
    except NetjailError as error:
        shown = "\n".join([error.message, error.hint or "", *error.problems])
        assert PRIVATE not in shown and PSK not in shown
        assert all(p.isprintable() for p in (error.message, *error.problems))
        assert error.code in ("invalid-profile", "import-refused")


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_the_parsers(text: str) -> None:
    survives(toml.parse, "vpn", text)
    survives(wgquick.parse, text)
    survives(wgquick.parse, "[Interface]\n" + text)


@given(st.binary())
@settings(max_examples=100, deadline=None)
def test_no_bytes_break_the_import(data: bytes) -> None:
    survives(lambda: wgquick.parse(wgquick.decode(data)))


SEEDS = [WIREGUARD, WG_QUICK, *(f.read_bytes().decode("utf-8-sig") for f in FILES.iterdir())]
SPLICES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "\n",
            "\r",
            "\0",
            "=",
            "#",
            "#! ",
            ";",
            ",",
            "[",
            "]",
            "[Peer]\n",
            "[Interface]\n",
            '"',
            "'",
            "\ufeff",
            "\u2028",
            "²",
            "٣",
            "9" * 5000,
            "0x" + "f" * 5000,
            "{}",
            "[[",
            "%eth0",
            "/0",
            ":65536",
            " ",
            "\t",
            "\u00a0",
            "\ud800",
            "Jc = 1\n",
            "PostUp = x\n",
        ]
    ),
)


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 20), SPLICES), max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_no_damage_breaks_the_parsers(seed: str, cuts: list[tuple[int, int, str]]) -> None:
    text = seed
    for at, length, new in cuts:
        text = text[:at] + new + text[at + length :]
    survives(toml.parse, "vpn", text)
    survives(wgquick.parse, text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["wireguard", "veth", "none", "static", "10.0.0.1", "::/0", "a:1", PRIVATE]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "version",
                    "uplink",
                    "kind",
                    "peer",
                    "dns",
                    "hosts",
                    "mode",
                    "servers",
                    "address",
                    "private_key",
                    "public_key",
                    "allowed_ips",
                    "mtu",
                    "through",
                    "link",
                    "x",
                    "",
                    "a.b",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["version", "uplink", "dns", "users", "z"]), VALUES))
@settings(max_examples=150, deadline=None)
def test_no_tree_breaks_the_schema(raw: dict[str, Any]) -> None:
    report = schema.Report()
    profile = schema.read_profile("vpn", raw, report)
    assert (profile is None) == bool(report.problems)
    assert all(PRIVATE not in p for p in report.problems)


@given(lines.filter(lambda t: "=" not in t), st.sampled_from(["\n", "\r", "\r\n"]))
@settings(max_examples=100, deadline=None)
def test_a_line_break_cannot_be_smuggled_into_an_export(text: str, end: str) -> None:
    bad = f"{text}{end}PostUp = touch /tmp/x"
    for check in (
        checks.description,
        checks.host_name,
        checks.domain,
        checks.endpoint,
        checks.wireguard_key,
        checks.interface_name,
        checks.user_name,
        checks.interface_address,
        checks.network,
        checks.profile_name,
    ):
        assert not _passes(check)(bad)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_suggested_names_are_names(filename: str) -> None:
    assert names.valid_name(wgquick.suggest_name(filename))
