# SPDX-License-Identifier: GPL-3.0-or-later
"""What links want, and what about two ends or a switch is told before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest

from netjail.engine import explain, plan
from netjail.errors import NetjailError
from netjail.profile.model import Dns, Link, NoUplink, Profile, Veth
from netjail.profile.switch import Switch
from netjail.uplinks import links, naming, wanted
from netjail.uplinks.wanted_links import CrossLink, SwitchPort


class Facts:
    """Other profiles and switches, from tables."""

    def port_changes(self, _profile: str) -> tuple[tuple[()], tuple[()]]:
        return (), ()

    def __init__(self, *known: Profile | Switch) -> None:
        self.profiles = {each.name: each for each in known if isinstance(each, Profile)}
        self.switches = {each.name: each for each in known if isinstance(each, Switch)}

    def profile(self, name: str) -> Profile:
        if name not in self.profiles:
            raise NetjailError("no-such-profile", f"there is no profile {name}")
        return self.profiles[name]

    def switch(self, name: str) -> Switch:
        if name not in self.switches:
            raise NetjailError("no-such-switch", f"there is no switch {name}")
        return self.switches[name]

    def served(self, switch: Switch) -> bool:
        return False

    def on_host(self, switch: Switch) -> bool:
        return switch.name == "theirs"

    def machine(self) -> str:
        return "this"


def profile(name: str, *its: Link, uplink: Any = None) -> Profile:
    return Profile(name, uplink or NoUplink(), Dns("static"), links=its)


def cable(peer: str, address: str | None = None, **more: Any) -> Link:
    addresses = (ip_interface(address),) if address else ()
    return Link(name=more.pop("name", peer), peer=peer, addresses=addresses, **more)


def plug(switch: str, address: str | None = None, **more: Any) -> Link:
    addresses = (ip_interface(address),) if address else ()
    return Link(name=switch, switch=switch, addresses=addresses, **more)


def describe(mine: Profile, *known: Profile | Switch) -> tuple[Any, ...]:
    return links.describe(mine, Facts(*known))  # type: ignore[arg-type]


def refused(mine: Profile, *known: Profile | Switch) -> str:
    with pytest.raises(NetjailError) as caught:
        describe(mine, *known)
    return caught.value.message


def test_both_ends_of_a_cable() -> None:
    client, server = (
        profile("client", cable("server", "10.0.0.2/24", mtu=1400)),
        profile("server", cable("client", "10.0.0.1/24")),
    )
    (ours,), (theirs,) = describe(client, server), describe(server, client)
    assert isinstance(ours, CrossLink)
    assert (ours.peer, ours.number, ours.mtu) == ("server", 0, 1400)
    assert (theirs.peer, theirs.number, theirs.mtu) == ("client", 0, 1400)
    assert ours.mac != theirs.mac
    assert describe(client, server) == (ours,)


def test_several_cables_are_joined_in_their_order() -> None:
    a = profile("a", cable("b", "10.0.0.1/24", name="x"), cable("b", "10.0.1.1/24", name="y"))
    b = profile("b", cable("a", "10.0.0.2/24", name="x"), cable("a", "10.0.1.2/24", name="y"))
    assert [each.number for each in describe(a, b)] == [0, 1]
    crossed = replace(b, links=tuple(reversed(b.links)))
    assert "not on one network" in refused(a, crossed)


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        (cable("b", "10.0.0.1/24"), cable("a", "10.0.0.1/24"), "both ends .* address 10.0.0.1"),
        (cable("b", "10.0.0.1/24"), cable("a", "10.0.1.1/24"), "not on one network"),
        (cable("b", mtu=1400), cable("a", mtu=1500), "different mtu"),
        (cable("b", mac="02:00:00:00:00:01"), cable("a", mac="02:00:00:00:00:01"), "both ends"),
    ],
)
def test_ends_that_do_not_fit(ours: Link, theirs: Link, says: str) -> None:
    import re

    assert re.search(says, refused(profile("a", ours), profile("b", theirs)))


def test_a_link_to_nobody() -> None:
    assert "there is no profile b" in refused(profile("a", cable("b")))
    assert "b has no link to a" in refused(profile("a", cable("b")), profile("b"))
    two = profile("a", cable("b", name="x"), cable("b", name="y"))
    assert "b has only one link to a" in refused(two, profile("b", cable("a")))
    assert "there is no switch lab" in refused(profile("a", plug("lab")))


def test_a_port_takes_what_it_does_not_say_from_the_switch() -> None:
    lab = Switch("lab", vlan=10, mtu=1400, isolated=True)
    (port,) = describe(profile("a", plug("lab", "10.0.0.1/24")), lab)
    assert isinstance(port, SwitchPort)
    assert (port.vlan, port.mtu, port.isolated) == (10, 1400, True)
    (port,) = describe(profile("a", plug("lab", vlan=20, mtu=1300)), lab)
    assert (port.vlan, port.mtu) == (20, 1300)
    assert "which has no VLANs" in refused(profile("a", plug("lab", vlan=20)), Switch("lab"))
    assert "takes 1400" in refused(profile("a", plug("lab", mtu=1500)), lab)
    host = Switch("lab", host=True, host_addresses=(ip_interface("10.0.0.1/24"),))
    assert "where it is the host's" in refused(profile("a", plug("lab", "10.0.0.1/24")), host)


def test_strict_where_there_is_something_to_protect() -> None:
    lab = Switch("lab")
    assert not describe(profile("a", plug("lab")), lab)[0].strict
    assert describe(profile("a", plug("lab"), uplink=Veth()), lab)[0].strict


def test_names_fit_and_differ() -> None:
    long = ["lab-with-a-long-name", "lab-with-a-long-name2", "x" * 31]
    for make in (naming.switch_host_interface, naming.switch_bridge, naming.system_bridge):
        made = [make(name) for name in [*long, "lab"]]
        assert len(set(made)) == len(made)
        assert all(len(name) <= 15 for name in made)
    ports = [naming.port(p, link, host) for p in long for link in long for host in (True, False)]
    assert len(set(ports)) == len(ports)
    assert all(len(name) <= 15 for name in ports)


def test_hardware_addresses_are_stable_local_and_no_groups() -> None:
    made = {naming.mac("this", "a", "switch", "lab", str(n)) for n in range(500)}
    assert len(made) == 500
    assert all(int(mac[:2], 16) & 3 == 2 for mac in made)
    assert naming.mac("this", "a") == naming.mac("this", "a") != naming.mac("that", "a")


def test_recorded_and_read_back_and_explained() -> None:
    lab = Switch("lab", vlan=3, isolated=True)
    ports = describe(
        profile("a", plug("lab", "10.0.0.1/24"), cable("b")), lab, profile("b", cable("a"))
    )
    for resource in ports:
        assert wanted.from_json(wanted.to_json(resource)) == resource
        what, command = explain.step("make", resource)
        assert what
        assert command
        assert explain.step("remove", resource)[0]


def test_another_link_is_one_more_step() -> None:
    lab, other = Switch("lab"), Switch("other")
    before = describe(profile("a", plug("lab", "10.0.0.1/24")), lab)
    mine = profile("a", plug("lab", "10.0.0.1/24"), plug("other", "10.1.0.1/24"))
    steps = plan.difference(before, describe(mine, lab, other), ())
    assert [(step.verb, step.resource.switch) for step in steps] == [("make", "other")]  # type: ignore[union-attr]
