# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netjail.engine import disguise
from netjail.profile import amnezia, pool, toml, wgquick
from netjail.profile.checks import Bad
from netjail.profile.model import AmneziaWG, Dns, Profile
from tests.unit.profile.examples import WG_QUICK


def uplink(text: str) -> AmneziaWG:
    found = wgquick.parse(WG_QUICK.replace("[Peer]", f"{text}\n[Peer]", 1)).uplink
    assert isinstance(found, AmneziaWG)
    return found


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (5, (5, 5)),
        ("5", (5, 5)),
        ("5-9", (5, 9)),
        (" 5 - 9 ", (5, 9)),
        ("4294967295", (4294967295, 4294967295)),
    ],
)
def test_headers(value: object, made: tuple[int, int]) -> None:
    assert amnezia.header(value) == made


@pytest.mark.parametrize(
    "value", ["", "-5", "5-", "9-5", "4294967296", "0x5", "5-6-7", True, 1.5, "٣"]
)
def test_what_is_no_header(value: object) -> None:
    with pytest.raises(Bad):
        amnezia.header(value)


@pytest.mark.parametrize(
    ("given_", "made"),
    [
        ("<b 0xFF00>", "<b 0xff00>"),
        ("< b  0xff ><t> <r 5>", "<b 0xff><t><r 5>"),
        ("<rc 7><rd 007><c>", "<rc 7><rd 7><c>"),
        (f"<r {1280}>", "<r 1280>"),
    ],
)
def test_packets(given_: str, made: str) -> None:
    assert amnezia.packet(given_) == made


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("", "is empty"),
        ("hello", "no <tag>"),
        ("<t>x<t>", "no <tag>"),
        ("<t", "no <tag>"),
        ("<<t>>", "no <tag>"),
        ("<b ff>", "even number"),
        ("<b 0xf>", "even number"),
        ("<b 0x>", "even number"),
        ("<b 0xzz>", "even number"),
        ("<r>", "number of bytes"),
        ("<r 0>", "number of bytes"),
        ("<r -1>", "number of bytes"),
        ("<r 1281>", "number of bytes"),
        ("<rc x>", "number of bytes"),
        ("<t 4>", "takes no value"),
        ("<d>", "no tag that AmneziaWG knows"),
        ("<>", "no tag that AmneziaWG knows"),
        ("<r 1000><r 281>", "makes a packet of 1281 bytes"),
        ("<b 0x" + "00" * 2100 + ">", "too long"),
    ],
)
def test_what_is_no_packet(spec: str, why: str) -> None:
    with pytest.raises(Bad) as caught:
        amnezia.packet(spec)
    assert why in caught.value.why


def test_a_packet_is_made_of_its_tags() -> None:
    made = amnezia.build("<b 0xdead><c><rc 20><rd 20><r 3>", 7)
    assert made[:6] == bytes.fromhex("dead00000007")
    assert made[6:26].isalpha() and made[26:46].isdigit()
    assert len(made) == 49


@pytest.mark.parametrize(
    ("values", "leaves"),
    [
        ({}, []),
        ({"s1": 10, "s2": 66}, ["s2"]),
        ({"s1": 0, "s2": 56}, ["s2"]),
        ({"s1": 10, "s2": 65}, []),
        ({"h1": (2, 2)}, ["h1"]),
        ({"h1": (5, 9), "h2": (9, 12)}, ["h2"]),
        ({"h1": (5, 8), "h2": (9, 12), "h3": (13, 13), "h4": (14, 90)}, []),
        ({"h1": (7, 7), "h2": (7, 7), "h3": (7, 7)}, ["h2", "h3", "h3"]),
        ({"jmin": 5, "jmax": 4}, ["jmin"]),
        ({"jmin": 5, "jmax": 5, "jc": 1}, []),
        ({"jc": 1}, ["jmax"]),
        ({"jc": 0}, []),
    ],
)
def test_what_the_values_must_be_to_each_other(values: dict[str, Any], leaves: list[str]) -> None:
    assert [leaf for leaf, _ in amnezia.problems(values)] == leaves


TAGS = st.one_of(
    st.binary(min_size=1, max_size=40).map(lambda b: f"<b 0x{b.hex()}>"),
    st.builds("<{} {}>".format, st.sampled_from(["r", "rc", "rd"]), st.integers(1, 60)),
    st.sampled_from(["<t>", "<c>"]),
)
PACKETS = st.lists(TAGS, min_size=1, max_size=12).map("".join)
EDGES = st.lists(st.integers(5, 0xFFFFFFFF), min_size=8, max_size=8, unique=True).map(sorted)


@st.composite
def disguises(draw: st.DrawFn) -> dict[str, str]:
    """The lines of a file that is right."""
    made: dict[str, str] = {}
    if draw(st.booleans()):
        low = draw(st.integers(1, 1280))
        made |= {"Jc": str(draw(st.integers(1, 128))), "Jmin": str(low)}
        made["Jmax"] = str(draw(st.integers(low, 1280)))
    first = draw(st.integers(0, 1132))
    made["S1"] = str(first)
    made["S2"] = str(draw(st.integers(0, 1188).filter(lambda s: s != first + 56)))
    if draw(st.booleans()):
        made |= {"S3": str(draw(st.integers(0, 1216))), "S4": str(draw(st.integers(0, 1248)))}
    if draw(st.booleans()):
        edges = draw(EDGES)
        for n in range(4):
            a, b = edges[2 * n : 2 * n + 2]
            made[f"H{n + 1}"] = draw(st.sampled_from([f"{a}-{b}", str(a)]))
    for n in range(1, draw(st.integers(0, 5)) + 1):
        made[f"I{n}"] = draw(PACKETS)
    return made


@settings(max_examples=40)
@given(disguises())
def test_a_file_becomes_a_profile_and_a_file_again(lines: dict[str, str]) -> None:
    found = uplink("\n".join(f"{key} = {value}" for key, value in lines.items()))
    profile = Profile("vpn", found, Dns("uplink"))
    assert toml.parse("vpn", toml.dump(profile))[0] == profile
    exported = wgquick.export(profile)
    # a zero is as if it were not there
    kept = {key: value for key, value in lines.items() if value != "0"}
    assert all(f"\n{key} = {value}\n" in exported for key, value in kept.items())
    if kept:
        again = wgquick.parse(exported).uplink
        assert amnezia.lines(again) == amnezia.lines(found)


@given(st.text(max_size=60))
def test_any_text_is_a_packet_or_is_refused(text: str) -> None:
    try:
        made = amnezia.packet(text)
    except Bad:
        return
    assert amnezia.packet(made) == made
    assert 1 <= len(amnezia.build(made, 0)) <= 1280
    assert made.isascii() and "\n" not in made


# Messages --------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(disguises())
def test_an_initiation_goes_out_after_its_junk_and_behind_its_padding(
    lines: dict[str, str],
) -> None:
    lines["Jc"], lines["Jmin"], lines["Jmax"] = "3", "10", "20"
    tunnel = uplink("\n".join(f"{key} = {value}" for key, value in lines.items()))
    first, last = tunnel.h1 or (1, 1)
    assert first <= disguise.initiation_type(tunnel) <= last
    message = bytes(148)
    packets = disguise.wrap(tunnel, message)
    count = sum(key.startswith("I") for key in lines)
    assert len(packets) == count + 3 + 1
    assert all(10 <= len(each) <= 20 for each in packets[count:-1])
    assert packets[-1].endswith(message)
    assert len(packets[-1]) == 148 + int(lines["S1"])


def test_a_response_is_known_by_its_length_and_its_type() -> None:
    tunnel = uplink("S2 = 7\nH2 = 258-260")
    answer = bytes([3, 1, 0, 0]) + bytes(88)
    assert disguise.unwrap(tunnel, b"padding" + answer) == answer
    assert disguise.unwrap(tunnel, answer) is None
    assert disguise.unwrap(tunnel, b"padding" + bytes([9, 9, 0, 0]) + bytes(88)) is None
    plain = wgquick.parse(WG_QUICK).uplink
    assert disguise.wrap(plain, b"x") == [b"x"]
    assert disguise.unwrap(plain, b"\2\0\0\0" + bytes(88)) == b"\2\0\0\0" + bytes(88)
    assert disguise.unwrap(plain, b"\1\0\0\0" + bytes(88)) is None


# Pools -----------------------------------------------------------------------------------------


def file(host: str, disguise_: str) -> bytes:
    text = WG_QUICK.replace("[Peer]", f"{disguise_}\n[Peer]", 1)
    at = text.index("Endpoint")
    return (text[:at] + f"Endpoint = {host}:51820\n" + text[at:].partition("\n")[2]).encode()


def test_a_pool_of_several_disguises_and_what_is_no_amneziawg_is_left_out() -> None:
    files = {
        "se.conf": file("192.0.2.1", "S1 = 10\nH1 = 50-60"),
        "us.conf": file("192.0.2.2", "S1 = 20\nH1 = 70"),
        "plain.conf": file("192.0.2.3", ""),
    }
    made = pool.build(files)
    assert isinstance(made.uplink, AmneziaWG)
    assert [each.name for each in made.uplink.places] == ["se", "us"]
    assert [(each.name, each.why) for each in made.skipped] == [
        ("plain.conf", "it is a WireGuard file, and this pool is of kind amneziawg")
    ]
    profile = Profile("pool", made.uplink, Dns("uplink"))
    assert toml.parse("pool", toml.dump(profile))[0] == profile


def test_each_place_of_a_pool_is_judged_with_what_it_changes() -> None:
    made = pool.build({"a.conf": file("192.0.2.1", "H1 = 50"), "b.conf": file("192.0.2.2", "H1=9")})
    text = toml.dump(Profile("pool", made.uplink, Dns("uplink")))
    assert "h1 = 9" in text
    with pytest.raises(Exception) as caught:
        toml.parse("pool", text.replace("h1 = 9", "h1 = 3"))
    assert any("H3" in each for each in getattr(caught.value, "problems", ()))
