# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error that a person can make in the files of a network: refused in one sentence that names
what is wrong, with what to do, before anything is touched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.slow,
]

DHCP = '[dhcp]\nrange = "10.20.0.100-10.20.0.199"\naddress = "10.20.0.250/24"\n'


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    hosts = Hosts()
    try:
        with hosts.lend() as lent:
            yield lent
    finally:
        hosts.close()


def jail(*links: str, uplink: str = 'kind = "none"') -> str:
    return "\n".join(["version = 1", "[uplink]", uplink, *(f"[[link]]\n{each}" for each in links)])


def plug(address: str = "", more: str = "", switch: str = "lab") -> str:
    line = f'address = "{address}"\n' if address else ""
    return f'switch = "{switch}"\n{line}{more}'


def cable(peer: str, address: str = "", more: str = "") -> str:
    line = f'address = "{address}"\n' if address else ""
    return f'peer = "{peer}"\n{line}{more}'


def outward(address: str) -> str:
    return f'kind = "switch"\nswitch = "lab"\naddress = "{address}"\n[dns]\nservers = []'


@dataclass
class Wrong:
    """`says`: words of the one sentence that refuses profile "me"; `first`: is up before."""

    says: tuple[str, ...]
    profiles: dict[str, str]
    switches: dict[str, str] = field(default_factory=lambda: {"lab": ""})
    first: tuple[str, ...] = ()


WRONG = {
    "two links of one network": Wrong(
        ("overlaps 10.20.0.1/24 of link 1", "a network of its own"),
        {"me": jail(plug("10.20.0.1/24"), plug("10.20.0.2/25", switch="two"))},
        {"lab": "", "two": ""},
    ),
    "two gateways": Wrong(
        ("10.30.0.254", "second gateway", "link 1"),
        {
            "me": jail(
                plug("10.20.0.1/24", 'gateway = "10.20.0.254"'),
                plug("10.30.0.1/24", 'gateway = "10.30.0.254"', "two"),
            )
        },
        {"lab": "", "two": ""},
    ),
    "a gateway beside an uplink": Wrong(
        ("second way out",),
        {"me": jail(plug("10.20.0.1/24", 'gateway = "10.20.0.254"'), uplink='kind = "veth"')},
    ),
    "a cable to nobody": Wrong(
        ("link to other", "no profile other"), {"me": jail(cable("other", "10.1.0.1/24"))}
    ),
    "a cable that the other does not know of": Wrong(
        ("other has no link to me",),
        {"me": jail(cable("other", "10.1.0.1/24")), "other": jail()},
    ),
    "a cable to oneself": Wrong(
        ("is this profile itself",), {"me": jail(cable("me", "10.1.0.1/24"))}
    ),
    "ends of two networks": Wrong(
        ("not on one network", "10.1.0.1/24", "10.2.0.1/24"),
        {"me": jail(cable("other", "10.1.0.1/24")), "other": jail(cable("me", "10.2.0.1/24"))},
    ),
    "ends of one address": Wrong(
        ("both ends", "10.1.0.1"),
        {"me": jail(cable("other", "10.1.0.1/24")), "other": jail(cable("me", "10.1.0.1/24"))},
    ),
    "a switch that does not exist": Wrong(
        ("link to switch lba", "no switch lba"),
        {"me": jail(plug("10.20.0.1/24", switch="lba"))},
    ),
    "a switch that does not exist as the uplink": Wrong(
        ("no switch lba",), {"me": jail(uplink='kind = "switch"\nswitch = "lba"')}
    ),
    "a VLAN of a switch without": Wrong(
        ("VLAN 7", "no VLANs"), {"me": jail(plug("10.20.0.1/24", "vlan = 7"))}
    ),
    "an address that somebody has": Wrong(
        ("other, which is up, has 10.20.0.1",),
        {"me": jail(plug("10.20.0.1/24")), "other": jail(plug("10.20.0.1/24"))},
        first=("other",),
    ),
    "another prefix length than somebody's": Wrong(
        ("10.20.0.1/24", "overlaps 10.20.0.2/16 of other", "prefix length"),
        {"me": jail(plug("10.20.0.1/24")), "other": jail(plug("10.20.0.2/16"))},
        first=("other",),
    ),
    "an address that somebody's uplink has": Wrong(
        ("other, which is up, has 10.20.0.1",),
        {
            "me": jail(plug("10.20.0.1/24")),
            "other": jail(uplink=outward("10.20.0.1/24")),
        },
        first=("other",),
    ),
    "the host's address as that of an uplink": Wrong(
        ("10.20.0.254", "the host's"),
        {"me": jail(uplink=outward("10.20.0.254/24"))},
        {"lab": 'host = true\nhost_address = "10.20.0.254/24"\n'},
    ),
    "an address that DHCP hands out": Wrong(
        ("10.20.0.150", "hands it out to others"),
        {"me": jail(plug("10.20.0.150/24"))},
        {"lab": DHCP},
    ),
    "the address of the DHCP server": Wrong(
        ("10.20.0.250", "DHCP server's"), {"me": jail(plug("10.20.0.250/24"))}, {"lab": DHCP}
    ),
    "an address that is kept for another": Wrong(
        ("10.20.0.7", "keeps it for another"),
        {"me": jail(plug("10.20.0.7/24"))},
        {"lab": DHCP + '[dhcp.hosts]\nother = "10.20.0.7"\n'},
    ),
    "two DHCP servers": Wrong(
        ("both me and other", "switch lab", "one server only"),
        {
            "me": jail(plug("10.20.0.1/24", "serve_dhcp = true")),
            "other": jail(plug("10.20.0.2/24", "serve_dhcp = true")),
        },
        {"lab": DHCP},
    ),
    "two DHCP servers in one profile": Wrong(
        ("serve_dhcp", "link 1 has it already"),
        {
            "me": jail(
                plug("10.20.0.1/24", 'serve_dhcp = true\nname = "a"'),
                plug("10.21.0.1/24", 'serve_dhcp = true\nname = "b"'),
            )
        },
        {"lab": DHCP},
    ),
    "a DHCP server where nothing is handed out": Wrong(
        ("no [dhcp]",), {"me": jail(plug("10.20.0.1/24", "serve_dhcp = true"))}
    ),
    "a DHCP server of another network": Wrong(
        ("no address on 10.20.0.0/24",),
        {"me": jail(plug("10.99.0.1/24", "serve_dhcp = true"))},
        {"lab": DHCP},
    ),
    "the host's only way out as the device": Wrong(
        ("up0", "only way out"), {"me": jail(uplink='kind = "device"\ndevice = "up0"')}
    ),
    "the host's only way out in a switch": Wrong(
        ("up0", "only way out", "cut_off_host"),
        {"me": jail(plug("10.20.0.1/24"))},
        {"lab": 'uplink = "up0"\n'},
    ),
    "a device that there is not": Wrong(
        ("no network interface nic9",), {"me": jail(uplink='kind = "device"\ndevice = "nic9"')}
    ),
    "a switch whose uplink there is not": Wrong(
        ("no network interface nic9",),
        {"me": jail(plug("10.20.0.1/24"))},
        {"lab": 'uplink = "nic9"\n'},
    ),
    "a network that the host has already": Wrong(
        ("192.168.7.1/25", "overlaps 192.168.7.0/24"),
        {"me": jail(plug("192.168.7.3/25"))},
        {"lab": 'host = true\nhost_address = "192.168.7.1/25"\n'},
    ),
    "the host's address on the switch": Wrong(
        ("10.20.0.254", "the host's"),
        {"me": jail(plug("10.20.0.254/24"))},
        {"lab": 'host = true\nhost_address = "10.20.0.254/24"\n'},
    ),
    "a range that is not on the server's network": Wrong(
        ("10.20.0.100-10.21.0.5", "not all on 10.20.0.0/24"),
        {"me": jail(plug("dhcp"))},
        {"lab": '[dhcp]\nrange = "10.20.0.100-10.21.0.5"\naddress = "10.20.0.250/24"\n'},
    ),
    "an engine that there is not": Wrong(
        ("hub", "openvswitch"), {"me": jail(plug("10.20.0.1/24"))}, {"lab": 'engine = "hub"\n'}
    ),
    "a fixed address and a lease": Wrong(
        ("gateway", 'comes by itself with address = "dhcp"'),
        {"me": jail(plug("dhcp", 'gateway = "10.20.0.1"'))},
        {"lab": DHCP},
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_refused_in_one_sentence_with_nothing_touched(host: Host, wrong: Wrong) -> None:
    """In the files as an editor leaves them, so that storing them refuses nothing yet."""
    for kind, texts in (("profiles", wrong.profiles), ("switches", wrong.switches)):
        host.run("mkdir", "-p", "-m", "700", f"/etc/netjail/{kind}").ok()
        for name, text in texts.items():
            text = text if kind == "profiles" else f"version = 1\n{text}"
            host.write(f"/etc/netjail/{kind}/{name}.toml", f"{text}\n")
    try:
        if wrong.first:
            host.netjail("up", *wrong.first).ok()
        before = host.snapshot()
        for verb in ("plan", "up"):
            said = host.netjail(verb, "me")
            assert said.status == 1 and "a bug in netjail" not in said.err
            text = " ".join(said.err.split())
            assert [word for word in wrong.says if word not in text] == [], said.err
            assert sum(line.startswith("netjail: ") for line in said.err.splitlines()) == 1
        assert host.snapshot() == before
        assert host.state("me") == "down"
        if wrong.first:
            host.netjail("down", "--all").ok()
    finally:
        host.run("rm", "-rf", "/etc/netjail/profiles", "/etc/netjail/switches")
    host.clean()
