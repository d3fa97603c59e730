# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's packet filters on the host, made by their own programs: what doctor says of them,
whether its advice works, and the rules that netjail leaves with Docker for as long as it needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.netns import hostbox
from tests.netns.hostbox import SERVER4, Host, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(hostbox.missing() is not None, reason=str(hostbox.missing())),
    pytest.mark.skipif(shutil.which("iptables-nft") is None, reason="needs iptables"),
]


@pytest.fixture
def host() -> Iterator[Host]:
    """With a veth profile that is up."""
    with hostbox.a_host() as made:
        made.profile("lab")
        made.netjail("up", "lab").ok()
        assert reaches(made)
        yield made
        made.netjail("down", "--all").ok()
        made.sh("nft flush ruleset")  # what the test has put there for others


def reaches(host: Host) -> bool:
    return host.ask("lab", SERVER4, 2).startswith("inet")


def finding(host: Host) -> dict[str, str]:
    said = host.run(*host.cli("doctor", "--json")).json()["checks"]
    return next(check for check in said if check["code"] == "forward")


def follow_the_advice(host: Host) -> None:
    host.sh(finding(host)["hint"].replace("sudo ", "").partition("    (")[0])


def test_nobody_else_is_there(host: Host) -> None:
    assert finding(host)["status"] == "ok"


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_a_policy_of_iptables_is_found_and_the_advice_works(host: Host, program: str) -> None:
    if host.run(program, "-P", "FORWARD", "DROP").status != 0:
        pytest.skip(f"{program} does not work on this kernel")
    assert not reaches(host)
    found = finding(host)
    assert found["status"] == "warning"
    assert "ip filter FORWARD" in found["text"] and "by its policy" in found["text"]
    assert ("legacy" in found["text"]) == (program == "iptables-legacy")
    follow_the_advice(host)
    assert reaches(host)
    assert finding(host)["status"] == "ok"


def test_a_rule_of_nft_s_own_is_found_behind_two_jumps(host: Host) -> None:
    host.sh(
        """nft -f - <<'X'
table inet mine {
    chain deep { counter reject with icmpx admin-prohibited; }
    chain hop { ct state established accept; iifname "nj-*" jump deep; }
    chain passing { type filter hook forward priority 5; policy accept; jump hop; }
}
X"""
    )
    assert not reaches(host)
    assert "inet mine deep" in finding(host)["text"]
    follow_the_advice(host)
    assert reaches(host)


def test_what_drops_others_is_no_finding(host: Host) -> None:
    host.sh(
        "nft add table inet mine; nft 'add chain inet mine passing { type filter hook forward "
        "priority 0; policy accept; }'; nft add rule inet mine passing iifname eth9 drop"
    )
    assert reaches(host)
    assert finding(host)["status"] == "ok"


def ufw(host: Host) -> None:
    """Its chains, as `ufw enable` loads them, without its service."""
    host.sh(
        "sed -i 's/^ENABLED=.*/ENABLED=yes/' /etc/ufw/ufw.conf; "
        "sed -i 's/^DEFAULT_FORWARD_POLICY=.*/DEFAULT_FORWARD_POLICY=\"DROP\"/' /etc/default/ufw; "
        "/lib/ufw/ufw-init force-reload"
    )


@pytest.mark.skipif(shutil.which("ufw") is None, reason="needs ufw")
def test_ufw(host: Host) -> None:
    ufw(host)
    assert not reaches(host)
    found = finding(host)
    assert "of ufw" in found["text"] and "ufw route allow in on nj-" in found["hint"]
    follow_the_advice(host)
    assert reaches(host)


DOCKER = """
{0} -P FORWARD DROP
{0} -N DOCKER-USER; {0} -N DOCKER; {0} -N DOCKER-ISOLATION-STAGE-1
{0} -A DOCKER-USER -j RETURN
{0} -I FORWARD -j DOCKER-ISOLATION-STAGE-1
{0} -I FORWARD -j DOCKER-USER
{0} -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{0} -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
"""


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_docker_is_asked_to_let_jails_pass_while_one_is_up(host: Host, program: str) -> None:
    host.netjail("down", "lab").ok()
    if host.run("sh", "-ec", DOCKER.format(program)).status != 0:
        pytest.skip(f"{program} does not work on this kernel")
    before = host.sh(f"{program}-save -t filter | grep ^-A")
    host.netjail("up", "lab").ok()
    assert reaches(host)
    assert finding(host)["status"] == "ok"
    host.kill_helper()  # which is to take back what it left all the same
    assert host.sh(f"{program} -S DOCKER-USER").count("netjail") == 2
    host.netjail("down", "lab").ok()
    assert host.sh(f"{program}-save -t filter | grep ^-A") == before
    assert host.glob("/run/netjail/hooks.json") == []


def firewalld(host: Host) -> None:
    """The real one, on a system bus of the host's own."""
    host.sh(
        "mkdir -p /run/dbus; dbus-daemon --system --fork --nopidfile; "
        "setsid firewalld --nofork > /run/firewalld.log 2>&1 < /dev/null & "
        "for i in $(seq 150); do firewall-cmd --state > /dev/null 2>&1 && exit 0; sleep 0.2; done; "
        "cat /run/firewalld.log; exit 1"
    )


def until(ready: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.skipif(
    shutil.which("firewalld") is None or shutil.which("dbus-daemon") is None,
    reason="needs firewalld, dbus-daemon",
)
def test_firewalld_is_asked_to_let_jails_pass_while_one_is_up(host: Host) -> None:
    """At its start, after its reload, and not a moment longer than a profile is up; what is fenced
    off from jails stays so, though the zone would let it pass."""
    firewalld(host)
    until(lambda: reaches(host))
    assert finding(host)["status"] == "ok"
    zones = "firewall-cmd --get-active-zones"
    assert "nj-+" in host.sh(zones)
    assert "nj-" not in host.sh("grep -rs nj- /etc/firewalld/zones || true"), "permanent"
    fenced = host.ask_all("lab", [hostbox.HOST4, hostbox.NEIGHBOUR4], 1)
    assert not any(answer.startswith(("host", "neigh")) for answer in fenced.values()), fenced
    host.sh("firewall-cmd --reload")  # which forgets what was not permanent
    until(lambda: "nj-+" in host.sh(zones) and reaches(host))
    host.kill_helper()
    assert "nj-+" in host.sh(zones)
    host.netjail("down", "lab").ok()
    assert "nj-" not in host.sh(zones)
    assert host.glob("/run/netjail/firewalld") == []
    host.sh("firewall-cmd --zone=work --add-interface=nj-+")  # somebody's own choice
    host.netjail("up", "lab").ok()
    host.netjail("down", "lab").ok()
    assert "nj-+" in host.sh(zones)


def other(host: Host, code: str) -> dict[str, str] | None:
    said = host.run(*host.cli("doctor", "--json")).json()["checks"]
    return next((check for check in said if check["code"] == code), None)


def test_another_vpn_and_tailscale_are_told(host: Host) -> None:
    """The rules of wg-quick(8), whose default route lies in a table of its own, and the interface
    and the rules of Tailscale; the interfaces are tuns, without anybody behind."""
    assert other(host, "other-vpn") is None and other(host, "tailscale") is None
    host.sh(
        "ip tuntap add work0 mode tun; ip addr add 10.66.0.2/32 dev work0; ip link set work0 up; "
        "ip tuntap add tailscale0 mode tun; ip link set tailscale0 up; "
        "ip route add 100.100.100.100 dev tailscale0 table 52; "
        "ip rule add pref 5270 lookup 52; "
        "ip route add default dev work0 table 51820; "
        "ip rule add not fwmark 51820 table 51820; "
        "ip rule add table main suppress_prefixlength 0"
    )
    vpn, tailscale = other(host, "other-vpn"), other(host, "tailscale")
    host.sh(
        "ip rule del pref 5270; ip rule del not fwmark 51820 table 51820; "
        "ip rule del table main suppress_prefixlength 0; ip link del work0; ip link del tailscale0"
    )
    assert vpn is not None and "goes through work0 (tun)" in vpn["text"]
    assert tailscale is not None and "100.64.0.0/10" in tailscale["text"]


def test_a_network_file_that_takes_ours_for_its_own_is_named(host: Host) -> None:
    host.sh("mkdir -p /run/systemd/netif /etc/systemd/network")
    path = "/etc/systemd/network/10-all.network"
    host.write(path, "[Match]\nName=*\n[Network]\nDHCP=yes\n")
    found = other(host, "networkd")
    assert found is not None and path in found["text"]
    assert found["hint"] is not None and "Name=!nj-*" in found["hint"]
    host.write(path, "[Match]\nName=*\nName=!nj-*\n[Network]\nDHCP=yes\n")
    assert other(host, "networkd") is None
    host.write(path, "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n")
    assert other(host, "networkd") is None


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs dnsmasq")
def test_a_name_server_on_every_address_is_told_and_the_advice_works(host: Host) -> None:
    """dnsmasq as it is when nobody has configured it, the host's own resolver on loopback."""
    words = "dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=root"
    words += " --address=/#/192.0.2.9 --pid-file=/run/theirs.pid"
    before = host.path("/etc/resolv.conf").read_text()
    host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    assert other(host, "port-53") is None
    host.profile("second")
    host.sh(words)
    try:
        found = other(host, "port-53")
        assert found is not None and "port 53 of every address" in found["text"]
        host.netjail("up", "second").failed("port 53 of every address", "netjail doctor")
    finally:
        host.sh("kill $(cat /run/theirs.pid)")
    assert wait_until(lambda: other(host, "port-53") is None)
    host.sh(f"{words} --bind-interfaces --listen-address=127.0.0.1")
    try:
        assert other(host, "port-53") is None
        host.netjail("up", "second").ok()
        host.netjail("down", "second").ok()
    finally:
        host.sh("kill $(cat /run/theirs.pid)")
        host.write("/etc/resolv.conf", before)
