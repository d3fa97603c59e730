# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and switches with what a distribution's kernel has: bridges with VLANs, Open vSwitch's
datapath, netem."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nets
from guest import at_seat, background, eventually, main, needed, netjail, sh, test
from nets import (
    inside,
    interface,
    lease,
    link,
    nothing_left,
    profile,
    reaches,
    switch,
    switch_status,
)

MODULES = ["openvswitch", "bridge", "8021q", "macvlan", "ipvlan", "sch_netem", "sch_tbf"]


@test
def doctor_sees_no_trouble() -> None:
    """doctor warns of nothing on a fresh system"""
    findings()


@test
@needed
def kernel_modules() -> None:
    """The kernel has Open vSwitch, bridges, VLANs, macvlan, ipvlan, netem and tbf"""
    for module in MODULES:
        sh(f"modprobe {module}")


@test
def doctor_with_network_managers() -> None:
    """doctor warns of nothing with systemd-networkd and NetworkManager both at work"""
    were = {unit: active(unit) for unit in ("NetworkManager", "systemd-networkd")}
    for unit in were:
        sh(f"systemctl start {unit}")
    try:
        findings()
    finally:
        for unit, was in were.items():
            if not was:
                sh(f"systemctl stop {unit}")


@test
def network_manager_with_ours_in_its_hands() -> None:
    """doctor tells of an interface that NetworkManager manages; what it advises helps"""
    was = active("NetworkManager")
    sh("systemctl start NetworkManager")
    advised = Path("/etc/NetworkManager/conf.d/netjail.conf")
    try:
        with nothing_left():
            profile("nm", 'kind = "veth"')
            netjail("up nm")
            assert told("network-manager") is None
            sh("nmcli device set nj-nm managed yes")
            sh(f"nmcli connection add type ethernet con-name taken ifname nj-nm {TAKEN}")
            sh("nmcli connection up taken")
            eventually(lambda: told("network-manager") is not None, "doctor has found it")
            found = told("network-manager")
            assert found and found["status"] == "warning" and "nj-nm" in found["text"], found
            *lines, path = re.findall("`(.*?)`|(/etc/[^,]+)", found["hint"])
            assert path[1] == str(advised), path
            advised.parent.mkdir(parents=True, exist_ok=True)
            advised.write_text("".join(f"{line[0]}\n" for line in lines))
            sh(found["hint"].rpartition("sudo ")[2])
            netjail("down nm")
            netjail("up nm")
            assert told("network-manager") is None
    finally:
        advised.unlink(missing_ok=True)
        sh("nmcli connection delete taken", ok=None)
        sh("nmcli general reload")
        if not was:
            sh("systemctl stop NetworkManager")


TAKEN = "ipv4.method manual ipv4.addresses 192.0.2.77/24 ipv6.method disabled"


def told(check: str) -> dict | None:
    return next((each for each in netjail("doctor")["checks"] if each["code"] == check), None)


def active(unit: str) -> bool:
    return sh(f"systemctl is-active {unit}", ok=None).code == 0


def findings() -> None:
    checks = netjail("doctor")["checks"]
    bad = [check for check in checks if check["status"] in ("warning", "error")]
    assert checks and not bad, bad


# Switches --------------------------------------------------------------------------------------


@test
def vlans_on_a_bridge() -> None:
    """A bridge keeps VLANs apart, and carries them tagged over an uplink"""
    vlans("bridge")


@test
def vlans_on_open_vswitch() -> None:
    """Open vSwitch of our own, with the kernel's datapath, does the same"""
    vlans("openvswitch")


def vlans(engine: str) -> None:
    with nothing_left(), nets.lan():
        before = interface("nic0")
        inside("ip link add link nic1 name nic1.20 type vlan id 20")
        inside("ip address add 10.20.0.200/24 dev nic1.20")
        inside("ip link set nic1.20 up")
        text = f'engine = "{engine}"\nvlan = 10\nuplink = "nic0"\n'
        switch("lab", text + 'host = true\nhost_address = "10.20.0.254/24"')
        for number, (name, vlan) in enumerate((("a", ""), ("b", ""), ("c", "vlan = 20")), 1):
            profile(name, rest=link("lab", f"10.20.0.{number}/24", vlan))
        sh("netjail up a b c")
        assert reaches("a", "10.20.0.2")
        sh("ping -n -c 1 -W 10 10.20.0.1")
        assert reaches("c", "10.20.0.200"), "VLAN 20 goes over the uplink"
        assert not reaches("a", "10.20.0.3", seconds=1)
        assert not reaches("a", "10.20.0.200", seconds=1)
        seen = switch_status("lab")
        vlan = {p["profile"]: p["vlan"] for p in seen["ports"] if p["kind"] == "profile"}
        assert vlan == {"a": 10, "b": 10, "c": 20}
        learned = {(each["mac"], each["vlan"]) for each in seen["macs"]}
        ports = {(p["mac"], p["vlan"]) for p in seen["ports"] if p["profile"]}
        assert ports <= learned, (ports, learned)
        if engine == "openvswitch":
            assert seen["datapath"] == "system"
            assert "openvswitch" in sh(f"ip -n {seen['netns']} -d link").out
            assert len(nets.running("ovs-vswitchd")) == 1
        sh("netjail down a b c")
        assert interface("nic0") == before


@test
def isolated_ports() -> None:
    """Isolated ports of a bridge and of Open vSwitch reach the host's port, not each other"""
    with nothing_left():
        for net, engine in ((20, "bridge"), (21, "openvswitch")):
            text = f'engine = "{engine}"\nisolated = true\nhost = true\n'
            switch(engine, f'{text}host_address = "10.{net}.0.254/24"')
            for number in (1, 2):
                profile(f"n{net}-{number}", rest=link(engine, f"10.{net}.0.{number}/24"))
        sh("netjail up n20-1 n20-2 n21-1 n21-2")
        for net in (20, 21):
            assert reaches(f"n{net}-1", f"10.{net}.0.254")
            assert not reaches(f"n{net}-1", f"10.{net}.0.2", seconds=1)


@test
def the_systems_open_vswitch() -> None:
    """In the Open vSwitch that the system runs, only what is ours is made and removed"""
    # Its stop leaves the datapath in the kernel: that is the package's way, not ours.
    with nothing_left():
        sh("systemctl start openvswitch-switch")
        try:
            sh("ovs-vsctl add-br theirs -- add-port theirs their0 -- set interface their0"
               " type=internal")  # fmt: skip
            daemon = nets.running("ovs-vswitchd")
            before = database()
            switch("lab", 'engine = "openvswitch"\nvlan = 10')
            for number, vlan in enumerate(("", "", "vlan = 20"), 1):
                profile(f"n{number}", rest=link("lab", f"10.20.0.{number}/24", vlan))
            sh("netjail up n1 n2 n3")
            assert nets.running("ovs-vswitchd") == daemon
            seen = switch_status("lab")
            assert seen["netns"] is None and seen["datapath"] == "system", seen
            assert len(sh("ovs-vsctl list-br").out.split()) == 2
            assert reaches("n1", "10.20.0.2")
            assert not reaches("n1", "10.20.0.3", seconds=1)
            # a restart of theirs is none of ours
            sh("systemctl restart openvswitch-switch")
            assert eventually(lambda: reaches("n1", "10.20.0.2"), "the ports are back", seconds=40)
            sh("netjail down n1 n2 n3")
            assert database() == before
        finally:
            sh("netjail down --all --kill")
            sh("ovs-vsctl --if-exists del-br theirs")
            sh("systemctl stop openvswitch-switch")
            sh("ovs-dpctl del-dp ovs-system", ok=None)


def database() -> list[str]:
    """Names of all bridges, ports and interfaces that Open vSwitch knows."""
    return [
        line
        for table in ("bridge", "port", "interface")
        for line in sorted(sh(f"ovs-vsctl --bare --columns=name list {table}").out.split())
    ]


@test
def a_switch_that_hands_out_addresses() -> None:
    """A switch with [dhcp]: clients have leases, a fixed one where it names them, and resolvers"""
    with nothing_left():
        text = '[dhcp]\nrange = "10.40.0.100-10.40.0.120"\ngateway = "10.40.0.1"\n'
        switch("lan", f'{text}dns = ["10.40.0.53"]\n[dhcp.hosts]\nknown = "10.40.0.7"')
        for name in ("known", "any"):
            profile(name, 'kind = "switch"\nswitch = "lan"\naddress = "dhcp"')
        sh("netjail up known any")
        assert lease("known") == "10.40.0.7/24"
        assert lease("any").startswith("10.40.0.1")
        assert {each["name"] for each in switch_status("lan")["leases"]} == {"known", "any"}
        assert "nameserver 10.40.0.53" in sh("netjail run any -- cat /etc/resolv.conf").out
        assert reaches("any", "10.40.0.7")


# Links -----------------------------------------------------------------------------------------


@test
def delay_and_loss() -> None:
    """A cable with 20 ms each way and a fifth of all packets lost, as ping measures it"""
    with nothing_left():
        shape = '[link.shape]\ndelay = "20ms"\nloss = "20%"'
        profile("near", rest=link("far", "10.10.10.1/24", shape, "peer"))
        profile("far", rest=link("near", "10.10.10.2/24", kind="peer"))
        sh("netjail up near far")
        said = sh("netjail run near -- ping -n -q -c 150 -i 0.05 -W 5 10.10.10.2", ok=None).out
        lost = re.search(r"([\d.]+)% packet loss", said)
        best = re.search(r"min/avg/max/mdev = ([\d.]+)/", said)
        assert lost and best, said
        assert float(best[1]) >= 39.5, said
        # 36% of both ways; these are six standard deviations to either side
        assert 12 < float(lost[1]) < 60, said


@test
def rate() -> None:
    """A link with a rate alone is limited by tbf; kilobytes pass"""
    with nothing_left():
        shape = '[link.shape]\nrate = "2mbit"'
        profile("near", rest=link("far", "10.10.10.1/24", shape, "peer"))
        profile("far", rest=link("near", "10.10.10.2/24", kind="peer"))
        sh("netjail up near far")
        for name in ("near", "far"):
            assert "tbf" in sh(f"netjail run {name} -- tc qdisc show").out
        sh("netjail run near -- ping -n -q -c 5 -i 0.2 -s 1400 10.10.10.2")


# Captures --------------------------------------------------------------------------------------


@test
def capture() -> None:
    """capture shows the packets of a profile: to root, and to whose profile it is"""
    with nothing_left():
        for name, head in (("everyones", ""), ("hers", 'users = ["alice"]')):
            profile(name, rest=link(f"{name}-far", "10.10.10.1/24", kind="peer"), head=head)
            profile(f"{name}-far", rest=link(name, "10.10.10.2/24", kind="peer"))
        sh("netjail up everyones everyones-far hers hers-far")
        with background("netjail run everyones -- ping -n -i 0.3 10.10.10.2"):
            said = sh("netjail capture -c 2 everyones -- icmp").out
            assert "10.10.10.1 > 10.10.10.2: ICMP echo request" in said, said
            sh(f"netjail capture -c 2 -w {nets.FILES}/all.pcap everyones -- icmp")
            assert "ICMP echo" in sh(f"tcpdump -n -r {nets.FILES}/all.pcap").out
            # others may use it as well: what they do is not hers to see
            denied = at_seat("netjail capture -c 1 everyones", ok=False)
            assert "ICMP" not in denied.out
        with background("netjail run hers-far -- ping -n -i 0.3 10.10.10.1"):
            at_seat("netjail capture -c 2 -w /home/alice/hers.pcap hers -- icmp")
        assert os.stat("/home/alice/hers.pcap").st_mode & 0o777 == 0o600
        assert "ICMP echo" in sh("tcpdump -n -r /home/alice/hers.pcap").out


if __name__ == "__main__":
    main()
