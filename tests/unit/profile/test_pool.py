# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools: what a provider's many files become, and which place a word means."""

from __future__ import annotations

import pytest

from netjail.errors import NetjailError
from netjail.profile import places, pool, toml
from netjail.profile.countries import country_of
from netjail.profile.model import Dns, Profile, WireGuard
from tests.unit.profile.examples import OTHER, PRIVATE, PSK, PUBLIC


def conf(number: int, public: str = PUBLIC, more: str = "", peer: str = "") -> bytes:
    return (
        f"[Interface]\nPrivateKey = {PRIVATE}\nAddress = 10.2.0.2/32\n{more}\n[Peer]\n"
        f"PublicKey = {public}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.{number}:51820\n{peer}"
    ).encode()


def made(files: dict[str, bytes], kind: str | None = None) -> tuple[Profile, pool.Pool]:
    found = pool.build(files, kind)
    return Profile("many", found.uplink, Dns("uplink")), found


def names(profile: Profile, word: str) -> list[str]:
    return [place.name for place in places.find(profile, word)]


FILES = {
    "a/se-sto-wg-001.conf": conf(1),
    "a/se-got-wg-002.conf": conf(2, OTHER),
    "a/us-nyc-wg-001.conf": conf(3, more="MTU = 1400\n", peer=f"PresharedKey = {PSK}\n"),
}


def test_the_file_of_a_pool_says_what_differs_and_can_be_read_again() -> None:
    profile, found = made(FILES)
    assert found.skipped == []
    text = toml.dump(profile)
    assert toml.parse("many", text)[0] == profile
    assert text.count("private_key") == 1
    assert text.count("mtu = 1400") == 1
    chosen = places.choose(profile, "us-nyc-wg-001").uplink
    assert isinstance(chosen, WireGuard)
    assert (chosen.mtu, chosen.place) == (1400, "us-nyc-wg-001")
    assert chosen.peers[0].preshared_key == PSK
    assert str(chosen.peers[0].endpoint) == "192.0.2.3:51820"
    other = places.choose(profile, "se-got-wg-002").uplink
    assert isinstance(other, WireGuard)
    assert (other.mtu, other.peers[0].preshared_key) == (None, None)
    assert other.peers[0].public_key == OTHER
    again = places.choose(places.choose(profile, "us-nyc-wg-001"), "se-got-wg-002")
    assert again == places.choose(profile, "se-got-wg-002")
    assert places.current(places.choose(profile, "gone")) == "se-got-wg-002"


def test_secrets_of_places_are_hidden_from_repr() -> None:
    assert PSK not in repr(made(FILES)[0])


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("se", ["se-got-wg-002", "se-sto-wg-001"]),
        ("SE", ["se-got-wg-002", "se-sto-wg-001"]),
        ("sweden", ["se-got-wg-002", "se-sto-wg-001"]),
        ("se-sto", ["se-sto-wg-001"]),
        ("sto", ["se-sto-wg-001"]),
        ("us-nyc-wg-001", ["us-nyc-wg-001"]),
        ("United States", ["us-nyc-wg-001"]),
        ("us-n", ["us-nyc-wg-001"]),
        ("001", ["se-sto-wg-001", "us-nyc-wg-001"]),
    ],
)
def test_what_a_word_means(word: str, meant: list[str]) -> None:
    assert names(made(FILES)[0], word) == meant


@pytest.mark.parametrize("word", ["no", "st", "", " ", "xx\x1b[31m", "wg-9"])
def test_a_word_that_means_nothing_is_told_what_there_is(word: str) -> None:
    with pytest.raises(NetjailError) as caught:
        places.find(made(FILES)[0], word)
    assert caught.value.code == "no-such-place"
    assert "\x1b" not in caught.value.message
    assert "netjail use many" in (caught.value.hint or "")


def test_did_you_mean() -> None:
    with pytest.raises(NetjailError, match="did you mean se-sto-wg-001"):
        places.find(made(FILES)[0], "se-sto-wg-01x")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("se-sto-wg-001", "se"),
        ("wg-SE-12", "se"),
        ("se123.provider.example.udp1194", "se"),
        ("us_california", "us"),
        ("uk-london", "gb"),
        ("sweden", "se"),
        ("united_arab_emirates-dubai", "ae"),
        ("provider-de-berlin", "de"),
        ("office", None),
        ("xx-1", None),
    ],
)
def test_the_country_of_a_name(name: str, code: str | None) -> None:
    assert country_of(name) == code


def test_each_file_that_is_left_out_has_its_reason() -> None:
    ovpn = b"client\nremote vpn.example 1194\n"
    _, found = made(
        FILES
        | {
            "README.txt": b"hello",
            "logo.png": b"\x89PNG\0\0",
            "twice.conf": conf(1),
            "two.conf": conf(7) + f"[Peer]\nPublicKey = {OTHER}\n".encode(),
            "broken.conf": b"[Interface]\nPrivateKey = x\n",
            "b.ovpn": ovpn,
        }
    )
    why = {each.name: each.why for each in found.skipped}
    assert why["README.txt"] == "it is neither a WireGuard nor an OpenVPN file"
    assert why["logo.png"] == "it is not a text file"
    assert "says the same as" in why["twice.conf"]
    assert "2 peers" in why["two.conf"]
    assert "line 1: Address: is missing" in why["broken.conf"]
    assert "an OpenVPN file" in why["b.ovpn"]
    assert len(found.uplink.places) == 3


def test_commands_in_the_files_are_told_once() -> None:
    found = pool.build({f"se{n}.conf": conf(n, more="PostUp = rm -rf /\n") for n in (1, 2, 3)})
    assert [(line.text, count) for line, count in found.left_out] == [("PostUp = rm -rf /", 3)]


def test_names_that_are_alike_in_two_folders_are_told_apart() -> None:
    profile, _ = made({"udp/1.conf": conf(1), "tcp/1.conf": conf(2, OTHER), "x/wg-a.conf": conf(3)})
    assert sorted(p.name for p in places.of(profile)) == ["tcp-1", "udp-1", "wg-a"]


CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def test_openvpn_files_make_a_pool_whose_authority_may_lie_beside_them() -> None:
    text = "client\ndev tun\nproto udp\nremote {0}.example 1194\nca ca.crt\nauth-user-pass\n"
    files = {f"x/{c}.ovpn": text.format(c).encode() for c in ("se", "us")}
    files |= {"x/odd.ovpn": (text.format("odd") + "auth SHA512\n").encode()}
    files |= {"x/ca.crt": CA.encode()}
    profile, found = made(files)
    assert {each.name: each.why for each in found.skipped} == {
        "x/odd.ovpn": "it differs from most in auth, which a place cannot"
    }
    dumped = toml.dump(profile)
    assert dumped.count("BEGIN CERTIFICATE") == 1
    assert toml.parse("many", dumped)[0] == profile
    assert str(places.choose(profile, "us").uplink.remote[0]) == "us.example:1194/udp"


def test_nothing_that_can_be_used_is_one_clear_error() -> None:
    for files in ({}, {"a.txt": b"x"}):
        with pytest.raises(NetjailError) as caught:
            pool.build(files)
        assert caught.value.code == "import-refused"


PLACE = '[[uplink.place]]\nname = "{}"\nendpoint = "192.0.2.9:1"\n'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (PLACE.format("a") + PLACE.format("A"), "earlier place"),
        (PLACE.format("a b"), "cannot be the name of a place"),
        (PLACE.format("a") + "listen_port = 1\n", "unknown key"),
        (PLACE.format("a") + 'public_key = "x"\n', "44 characters"),
        (PLACE.format("a") + "address = []\n", "an empty list"),
        ('[[uplink.place]]\nendpoint = "192.0.2.9:1"\n', "is missing"),
    ],
)
def test_what_is_wrong_with_a_place_is_said(more: str, said: str) -> None:
    profile, _ = made({"a.conf": conf(1)})
    text = toml.dump(profile).partition("[[uplink.place]]")[0] + more
    with pytest.raises(NetjailError) as caught:
        toml.parse("many", text)
    assert any(said in each for each in caught.value.problems), caught.value.problems


def test_places_belong_to_tunnels() -> None:
    with pytest.raises(NetjailError) as caught:
        toml.parse("x", 'version = 1\n[uplink]\nkind = "veth"\n' + PLACE.format("a"))
    assert "belongs to uplinks of kind" in caught.value.problems[0]
