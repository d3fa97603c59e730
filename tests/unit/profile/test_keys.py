# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of keys against the model, and the reference against the table."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from netjail.profile import keys, reference, switch, toml
from netjail.profile.model import (
    Bridge,
    Device,
    Dns,
    ForeignNetns,
    Ipvlan,
    Link,
    Macvlan,
    NatPmp,
    NoUplink,
    OpenConnect,
    OpenVpn,
    Peer,
    Port,
    Profile,
    Shape,
    SwitchUplink,
    Veth,
    WireGuard,
)
from tests.unit.profile.examples import OTHER, PRIVATE

DOC = Path(__file__).parents[3] / "docs" / "profile.md"
SWITCHES = DOC.with_name("switch.md")


def fields(cls: type) -> set[str]:
    return {f.name for f in dataclasses.fields(cls)} - {"base"}


def test_every_field_of_the_model_has_a_key() -> None:
    def leaves(section: str, kind: str | None = None) -> set[str]:
        return set(keys.leaves(section, kind))

    assert leaves("") - {"version"} == fields(Profile) - {"name", "links", "ports", "natpmp"} | {
        "link",
        "forward",
        "expose",
    }
    assert leaves("forward") == leaves("expose") == set(Port._fields) - {"way"}
    renamed = {"addresses": "address", "gateways": "gateway"}
    assert leaves("link") == {renamed.get(f, f) for f in fields(Link)}
    assert leaves("link.shape") == fields(Shape)
    assert leaves("uplink", "veth") - {"kind"} == fields(Veth)
    assert leaves("uplink", "none") - {"kind"} == fields(NoUplink)
    renamed = {"addresses": "address", "peers": "peer", "dns_servers": "dns", "dns_search": "dns"}
    renamed["places"] = "place"
    of_ports = {"natpmp", *(f"natpmp_{f}" for f in fields(NatPmp))}
    assert leaves("uplink", "wireguard") - {"kind"} - of_ports == {
        renamed.get(f, f) for f in fields(WireGuard)
    }
    for cls in (Device, Macvlan, Ipvlan, Bridge, SwitchUplink, ForeignNetns):
        names = {{"addresses": "address", "gateways": "gateway"}.get(f, f) for f in fields(cls)}
        assert leaves("uplink", cls.kind) - {"kind"} == names - {"dhcp"}
    for kind, cls in (("openvpn", OpenVpn), ("openconnect", OpenConnect)):
        assert leaves("uplink", kind) - {"kind"} - of_ports == {
            renamed.get(f, f) for f in fields(cls)
        }
        assert of_ports <= leaves("uplink", kind)
    assert leaves("uplink.peer") == fields(Peer)
    assert leaves("dns") == fields(Dns)


def test_secrets_are_the_fields_hidden_from_repr() -> None:
    hidden = {
        f.name
        for c in (WireGuard, OpenVpn, OpenConnect, Peer)
        for f in dataclasses.fields(c)
        if not f.repr and f.name != "base"
    }
    assert {k.leaf for k in keys.KEYS if k.secret} == hidden
    assert all(k.type.hidden for k in keys.KEYS if k.secret)


def test_names_are_unique_and_documented() -> None:
    named = [(k.name, kind) for k in keys.KEYS for kind in k.kinds or ("",)]
    assert len(named) == len(set(named))
    for key in keys.KEYS:
        assert key.section in keys.SECTIONS
        assert key.doc.endswith(".")
        assert key.required or key.default
        assert set(key.kinds) <= set(keys.KINDS)
    assert not set(keys.LATER) & {k.name for k in keys.KEYS}
    assert not set(keys.LATER_KINDS) & set(keys.KINDS)


def test_the_reference_is_up_to_date() -> None:
    text = DOC.read_text()
    assert reference.update(text) == text, "run: python3 -m netjail.profile.reference docs/*.md"
    blocks = set(re.findall("<!-- keys: (.*?) -->", text))
    wanted = {"top", "kinds", "uplink.peer", "link", "link.shape", "dns", "dns modes"}
    wanted |= {"dns.hosts", "later", "isolation", "forward", "expose", "uplink.place"}
    assert blocks == wanted | {f"uplink {k}" for k in keys.KINDS if k != "none"}


def test_the_reference_of_switches_is_up_to_date() -> None:
    text = SWITCHES.read_text()
    assert reference.update(text) == text, "run: python3 -m netjail.profile.reference docs/*.md"
    sections = {f"switch {s}".strip() for s in switch.SECTIONS}
    assert set(re.findall("<!-- keys: (.*?) -->", text)) == sections
    for n, example in enumerate(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)):
        assert switch.parse(f"example{n}", example)[1] == []


def test_the_examples_of_the_reference_are_valid() -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert len(examples) >= 5
    for n, example in enumerate(examples):
        text = example.replace('private_key = "..."', f'private_key = "{PRIVATE}"')
        text = text.replace('public_key = "..."', f'public_key = "{OTHER}"')
        if "version" in text:
            assert toml.parse(f"example{n}", text)[1] == []


def test_update_rewrites_only_what_is_between_the_marks(tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text("a\n<!-- keys: top -->\nold\n<!-- end -->\nb\n")
    assert reference.main([str(file)]) == 0
    text = file.read_text()
    assert text.startswith("a\n") and text.endswith("b\n")
    assert "old" not in text and "`description`" in text
    with pytest.raises(KeyError):
        reference.block("nonsense")
