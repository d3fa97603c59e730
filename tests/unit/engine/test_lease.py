# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken of a DHCP server's words, and what is not."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.engine.lease import Lease, RefusedError, events, from_dict, judge

GOOD = {
    "ip": "192.168.1.7",
    "subnet": "255.255.255.0",
    "router": "192.168.1.1 192.168.1.2",
    "dns": "192.168.1.1 9.9.9.9",
    "domain": "lan.example",
    "search": "a.example b.example",
    "mtu": "1400",
    "lease": "7200",
    "serverid": "192.168.1.1",
}


def taken(**values: str) -> Lease:
    return judge({**GOOD, **values}, 1000.0, uplink=True)


def test_an_ordinary_lease_is_taken_whole() -> None:
    assert taken() == Lease(
        address="192.168.1.7/24",
        obtained=1000.0,
        seconds=7200,
        router="192.168.1.1",
        servers=("192.168.1.1", "9.9.9.9"),
        search=("a.example", "b.example", "lan.example"),
        mtu=1400,
        server="192.168.1.1",
    )


def test_a_lease_survives_json() -> None:
    lease = taken(dns="127.0.0.1")
    assert from_dict(json.loads(json.dumps(lease.as_dict()))) == lease


@pytest.mark.parametrize(
    "values",
    [
        {"ip": ""},
        {"ip": "127.0.0.1"},
        {"ip": "0.0.0.0"},
        {"ip": "0.1.2.3"},
        {"ip": "224.0.0.1"},
        {"ip": "240.0.0.1"},
        {"ip": "255.255.255.255"},
        {"ip": "192.168.1.0"},
        {"ip": "192.168.1.255"},
        {"ip": "192.168.1.7\nx"},
        {"ip": "192.168.001.7"},
        {"subnet": "255.0.255.0"},
        {"subnet": "0.0.0.255"},
        {"subnet": "128.0.0.0"},
        {"subnet": "0.0.0.0"},
        {"subnet": "24 "},
    ],
    ids=str,
)
def test_an_address_that_no_host_can_have_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(RefusedError):
        taken(**values)


@pytest.mark.parametrize(
    ("key", "value", "field", "kept"),
    [
        ("dns", "0.0.0.0 127.0.0.1 224.0.0.1 255.255.255.255 169.254.1.1 x", "servers", ()),
        ("dns", "1.1.1.1 8.8.8.8 9.9.9.9 4.4.4.4", "servers", ("1.1.1.1", "8.8.8.8", "9.9.9.9")),
        ("router", "127.0.0.1 192.168.1.9", "router", "192.168.1.9"),
        ("router", "192.168.1.7", "router", None),
        ("mtu", "67", "mtu", None),
        ("mtu", "99999", "mtu", None),
        ("mtu", "-5", "mtu", None),
        ("staticroutes", "0.0.0.0/1 192.168.1.66", "router", "192.168.1.1"),
        ("msstaticroutes", "0.0.0.0/1 192.168.1.66", "router", "192.168.1.1"),
    ],
)
def test_what_is_not_taken_is_told(key: str, value: str, field: str, kept: object) -> None:
    lease = taken(**{key: value})
    assert getattr(lease, field) == kept
    assert lease.left_out


@pytest.mark.parametrize(
    ("seconds", "lasts"),
    [("0", 60), ("59", 60), ("", 60), ("x", 60), ("86400", 86400), ("4294967295", None)],
)
def test_how_long_it_lasts(seconds: str, lasts: int | None) -> None:
    assert taken(lease=seconds).seconds == lasts


def test_ten_thousand_bytes_of_search_domains_become_a_line_that_resolvers_take() -> None:
    lease = taken(search=" ".join(f"d{n}.example" for n in range(900)), domain="")
    assert len(lease.search) == 6 and len(" ".join(lease.search)) <= 256
    assert len(lease.left_out) < 20


HARMLESS = re.compile(r"[A-Za-z0-9._-]+")


@given(st.text(max_size=400), st.text(max_size=400), st.text(max_size=100))
def test_whatever_is_said_what_is_kept_can_stand_in_a_file(
    domain: str, search: str, dns: str
) -> None:
    lease = taken(domain=domain, search=search, dns=dns)
    assert all(HARMLESS.fullmatch(name) for name in (*lease.search, *lease.servers))
    assert all(text.isprintable() and len(text) < 200 for text in lease.left_out)


def test_a_link_gets_an_address_and_nothing_else() -> None:
    lease = judge(GOOD, 0.0, uplink=False)
    assert (lease.router, lease.servers, lease.search) == (None, (), ())


@pytest.mark.parametrize(
    "avoid", ["192.168.1.53", "192.168.0.0/16", "192.168.1.128/25", "192.168.1.1/32"]
)
def test_a_link_covers_nothing_that_is_reached_another_way(avoid: str) -> None:
    with pytest.raises(RefusedError, match="another way"):
        judge(GOOD, 0.0, uplink=False, avoid=(avoid,))
    judge(GOOD, 0.0, uplink=True, avoid=(avoid,))


@pytest.mark.parametrize("avoid", ["10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::1"])
def test_a_default_route_and_other_networks_are_no_hindrance(avoid: str) -> None:
    assert judge(GOOD, 0.0, uplink=False, avoid=(avoid,)).address == "192.168.1.7/24"


def test_a_link_is_not_made_a_piece_of_the_internet() -> None:
    with pytest.raises(RefusedError, match="private"):
        judge({**GOOD, "ip": "9.9.9.10"}, 0.0, uplink=False)


def written(*parts: tuple[str, dict[str, str]]) -> bytes:
    data = b""
    for name, values in parts:
        entries = [f"netjail-event={name}", *(f"{k}={v}" for k, v in values.items()), "netjail-end"]
        data += b"".join(entry.encode() + b"\0" for entry in entries)
    return data


def test_events_are_told_apart_and_an_unfinished_one_is_left() -> None:
    whole = written(("deconfig", {}), ("bound", {"ip": "10.0.0.1"}))
    half = written(("renew", {"ip": "10.0.0.2"}))[:-5]
    found, taken_ = events(whole + half)
    assert [(e.name, e.values) for e in found] == [("deconfig", {}), ("bound", {"ip": "10.0.0.1"})]
    assert taken_ == len(whole)


def test_a_value_cannot_pretend_to_be_the_end_of_an_event() -> None:
    data = written(("bound", {"domain": "x\nnetjail-end\nnetjail-event=bound", "ip": "1.2.3.4"}))
    found, _ = events(data)
    assert len(found) == 1 and found[0].values["ip"] == "1.2.3.4"


@given(st.binary(max_size=300))
def test_no_bytes_confuse_the_reader(data: bytes) -> None:
    found, taken_ = events(data + written(("bound", {"ip": "1.2.3.4"})))
    assert taken_ == len(data + written(("bound", {"ip": "1.2.3.4"})))
    assert all(isinstance(e.name, str) for e in found)
