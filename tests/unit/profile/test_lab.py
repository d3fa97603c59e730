# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs: what files say to each other is judged before anything is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.profile import lab

HEAD = 'version = 1\n[uplink]\nkind = "none"\n'


def link(more: str, **keys: str) -> str:
    lines = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    return f"[[link]]\n{lines}{more}\n"


def read(profiles: dict[str, str], switches: dict[str, str] | None = None) -> lab.Lab:
    texts = {(lab.PROFILES, name): HEAD + text for name, text in profiles.items()}
    for name, text in (switches or {}).items():
        texts[lab.SWITCHES, name] = f"version = 1\n{text}"
    return lab.read("office", texts)


def on(switch: str, address: str, more: str = "") -> str:
    return link(more, switch=switch, address=address)


def to(peer: str, address: str, more: str = "") -> str:
    return link(more, peer=peer, address=address)


DHCP = '[dhcp]\nrange = "10.0.0.100-10.0.0.200"\n'


def test_what_fits_is_valid() -> None:
    found = read(
        {
            "a": on("lan", "10.0.0.1/24") + to("b", "10.1.0.1/24"),
            "b": on("lan", "10.0.0.2/24") + to("a", "10.1.0.2/24"),
        },
        {"lan": DHCP},
    )
    assert found.problems == ()
    assert set(found.profiles) == {"a", "b"} and set(found.switches) == {"lan"}


@pytest.mark.parametrize(
    ("profiles", "switches", "said"),
    [
        ({"a": on("gone", "10.0.0.1/24")}, {}, "no switches/gone.toml"),
        ({"a": to("gone", "10.0.0.1/24")}, {}, "no profiles/gone.toml"),
        ({"a": to("b", "10.0.0.1/24"), "b": ""}, {}, "has no such link to a"),
        (
            {"a": to("b", "10.0.0.1/24"), "b": to("a", "10.0.0.1/24")},
            {},
            "10.0.0.1 is also b's",
        ),
        (
            {"a": to("b", "10.0.0.1/24"), "b": to("a", "10.9.0.1/24")},
            {},
            "not of one network",
        ),
        (
            {"a": on("lan", "10.0.0.1/24"), "b": on("lan", "10.0.0.1/24")},
            {"lan": ""},
            "profiles/b.toml: 10.0.0.1 on switch lan is a's already",
        ),
        (
            {"a": on("lan", "10.0.0.1/24"), "b": on("lan", "10.0.0.2/16")},
            {"lan": ""},
            "overlaps a's 10.0.0.1/24",
        ),
        (
            {"a": on("lan", "10.0.0.1/24")},
            {"lan": 'host = true\nhost_address = "10.0.0.1/24"'},
            "the host's already",
        ),
        ({"a": on("lan", "10.0.0.150/24")}, {"lan": DHCP}, "hands out to others"),
        ({"a": on("lan", "10.0.0.254/24")}, {"lan": DHCP}, "is the DHCP server's"),
        ({"a": on("lan", "10.0.0.1/24", "serve_dhcp = true")}, {"lan": ""}, "has no [dhcp]"),
        (
            {
                "a": on("lan", "10.0.0.1/24", "serve_dhcp = true"),
                "b": on("lan", "10.0.0.2/24", "serve_dhcp = true"),
            },
            {"lan": DHCP},
            "where a serves already",
        ),
        ({"a": on("lan", "10.0.0.1/24", "vlan = 7")}, {"lan": ""}, "has no VLANs"),
        ({"a": "oops = 1\n"}, {}, "profiles/a.toml"),
        ({"a": ""}, {"lan": "oops = 1"}, "switches/lan.toml"),
        ({"A b": ""}, {}, "a name has"),
        ({}, {}, "there is no profiles/NAME.toml"),
    ],
)
def test_what_does_not_fit_is_told(
    profiles: dict[str, str], switches: dict[str, str], said: str
) -> None:
    assert said in "\n".join(read(profiles, switches).problems)


def test_all_mistakes_of_all_files_at_once() -> None:
    found = read(
        {"a": "nonsense = 1\n", "b": on("gone", "10.0.0.1/24"), "c": on("lan", "10.0.0.300/24")},
        {"lan": "nonsense = 1"},
    )
    assert len(found.problems) == 4
    assert all(problem.startswith(("profiles/", "switches/")) for problem in found.problems)


def test_a_broken_file_is_not_also_called_missing() -> None:
    found = read({"a": on("lan", "10.0.0.1/24")}, {"lan": "nonsense = 1"})
    assert len(found.problems) == 1


def test_vlans_of_one_switch_have_nothing_to_do_with_each_other() -> None:
    profiles = {n: on("lan", "10.0.0.1/24", f"vlan = {v}") for n, v in (("a", 5), ("b", 6))}
    assert read(profiles, {"lan": "vlan = 1"}).problems == ()


def test_what_was_stored_for_a_lab_is_known_again() -> None:
    text = lab.marked("office", HEAD)
    assert lab.lab_of(text) == "office"
    assert lab.lab_of(HEAD) is None
    assert read({"a": ""}).texts[lab.PROFILES, "a"] == HEAD


@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=60)))
def test_any_text_is_judged(texts: dict[str, str]) -> None:
    lab.read("x", {(lab.PROFILES, name): text for name, text in texts.items()})


def test_an_uplink_by_a_switch_is_looked_at_too() -> None:
    text = 'version = 1\n[uplink]\nkind = "switch"\nswitch = "lan"\naddress = "dhcp"\n'
    texts = {(lab.PROFILES, "a"): text}
    assert "there is no switches/lan.toml" in "".join(lab.read("x", texts).problems)
    texts[lab.SWITCHES, "lan"] = "version = 1\n"
    assert "has no [dhcp]" in "".join(lab.read("x", texts).problems)
    texts[lab.SWITCHES, "lan"] += DHCP
    assert lab.read("x", texts).problems == ()
