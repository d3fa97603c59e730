# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else is at the host's network: what `netjail doctor` finds of them, and the ways that they
offer to others, used while a veth jail is up: Docker's chain DOCKER-USER, firewalld's zones."""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from netjail import names
from netjail.engine import files, firewalld, hostdns, process, rulesets
from netjail.engine.findings import Check
from netjail.engine.netlink import Socket
from netjail.errors import NetjailError

_SAMPLE = f"{names.HOST_IF_PREFIX}profile"
_ALL = f"{names.HOST_IF_PREFIX}+"
_IN_USE = {"ip": "/proc/net/ip_tables_names", "ip6": "/proc/net/ip6_tables_names"}
_LEGACY = {"ip": "iptables-legacy", "ip6": "ip6tables-legacy"}
_LISTENING = "0A"
"""TCP_LISTEN in /proc/net/tcp (proc(5))."""
_TUNNELS = ("wireguard", "amneziawg", "tun", "ipip", "gre", "sit", "vti", "xfrm")


# What stands in the way --------------------------------------------------------------------------


def chains() -> list[rulesets.Chain]:
    """Of all packet filters of the host. Raises NetjailError."""
    found: list[rulesets.Chain] = []
    if shutil.which("nft", path=process.PATH) is not None:
        listed = json.loads(process.run(["nft", "-j", "list", "ruleset"]))
        found += rulesets.from_nft(listed["nftables"])
    for family, program in _LEGACY.items():
        # the command itself would load the module where nobody uses it
        if _legacy_in_use(family) and shutil.which(program, path=process.PATH):
            text = process.run([f"{program}-save", "-t", "filter"])
            found += rulesets.from_legacy(text, family)
    return found


def _legacy_in_use(family: str) -> bool:
    try:
        with open(_IN_USE[family], encoding="ascii") as file:
            return "filter" in file.read().split()
    except OSError:
        return False


def forwarding() -> Iterator[Check]:
    """Chains of others that drop what veth jails send: our accept cannot undo their drop."""
    found = chains()
    dropping = rulesets.drops(found, _SAMPLE, _way_out() or "eth0")
    if not dropping:
        yield Check("forward", "forwarding", "ok", "no other rule set drops forwarded packets")
    for drop in dropping:
        whose = rulesets.owner(drop, found)
        text = f"{_place(drop, whose)} drops {'answers to' if drop.answer else 'what comes from'} "
        yield Check(
            "forward",
            "forwarding",
            "warning",
            text + "veth profiles, and no rule of ours can undo that. Tunnels are not affected",
            _hint(drop, whose),
        )


def _place(drop: rulesets.Drop, whose: str | None) -> str:
    by = f" of {whose}" if whose else ""
    how = "by its policy" if drop.policy else "by a rule"
    where = " (iptables-legacy)" if drop.base.where != "nft" else ""
    return f"the chain {drop.chain.table} {drop.chain.name}{by}{where}, {how},"


def _hint(drop: rulesets.Drop, whose: str | None) -> str:
    if whose == "ufw":
        return f"sudo ufw route allow in on {_ALL}    (for all veth profiles)"
    if whose == "firewalld":
        return (
            f"sudo firewall-cmd --permanent --zone=trusted --add-interface={_ALL} && "
            "sudo firewall-cmd --reload"
        )
    six = drop.base.table.startswith("ip6 ")
    program = "ip6tables" if six else "iptables"
    if drop.base.where != "nft":
        program += "-legacy"
    if whose == "Docker":
        return "; ".join(f"sudo {program} -I DOCKER-USER {' '.join(rule)}" for rule in _RULES)
    if drop.base.where != "nft" or drop.base.table in ("ip filter", "ip6 filter"):
        return "; ".join(f"sudo {program} -I FORWARD {' '.join(rule)}" for rule in _RULES)
    chain = f"{drop.base.table} {drop.base.name}"
    prefix = f'"{names.HOST_IF_PREFIX}*"'
    return (
        f"sudo nft 'insert rule {chain} iifname {prefix} accept'; "
        f"sudo nft 'insert rule {chain} oifname {prefix} ct state established,related accept'"
    )


def _way_out() -> str | None:
    with Socket() as netlink:
        found = netlink.route_to("198.51.100.1")
        link = None if found is None else netlink.link_by_index(found.get_attr("RTA_OIF"))
        return None if link is None else str(link.get_attr("IFLA_IFNAME"))


# Who else is there -------------------------------------------------------------------------------


def others() -> Iterator[Check]:
    """Other programs that have a say in the host's network."""
    yield from _networkd()
    yield from _network_manager()
    yield from _name_server()
    with Socket() as netlink:
        links = {str(link.get_attr("IFLA_IFNAME")): link for link in netlink.links()}
    out = _way_out()
    if out is not None and out in links:
        info = links[out].get_attr("IFLA_LINKINFO")
        kind = None if info is None else info.get_attr("IFLA_INFO_KIND")
        if kind in _TUNNELS:
            yield Check(
                "other-vpn",
                "another VPN",
                "info",
                f"what leaves this host goes through {out} ({kind}): veth profiles and the tunnels "
                "of others go inside it, and stop when it does",
            )
    if any(name.startswith("tailscale") for name in links):
        yield Check(
            "tailscale",
            "Tailscale",
            "info",
            "runs on this host. Its addresses (100.64.0.0/10) are fenced off from veth profiles, "
            "as all private networks are; `lan = true` lets a profile in",
        )


def _name_server() -> Iterator[Check]:
    """A name server of the host's that takes port 53 of every address, where veth profiles need it
    at their host end: there a relay asks the host's resolver, which is on loopback alone."""
    dns = hostdns.read()
    if dns.servers or not dns.stubs:
        return
    for table, anything in (("tcp", "00000000"), ("tcp6", "0" * 32)):
        try:
            with open(f"/proc/net/{table}", encoding="ascii") as file:
                rows = [line.split() for line in file]
        except OSError:
            continue
        if any(row[1] == f"{anything}:0035" and row[3] == _LISTENING for row in rows[1:]):
            yield Check(
                "port-53",
                "DNS of veth profiles",
                "warning",
                "a name server of this host listens on port 53 of every address, so that the relay "
                "of a veth profile cannot have it",
                "let it listen on the addresses it is for (dnsmasq: bind-interfaces and "
                'listen-address=127.0.0.1), or give the profiles servers: [dns] mode = "static"',
            )
            return


def _networkd() -> Iterator[Check]:
    """Files of systemd-networkd that would take our interfaces for theirs (systemd.network(5))."""
    if not os.path.isdir("/run/systemd/netif"):
        return
    for path in _network_files():
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file]
        except OSError:
            continue
        if not _matches([line[5:].strip() for line in lines if line.startswith("Name=")]):
            continue
        if any(line.replace(" ", "").lower() == "unmanaged=yes" for line in lines):
            continue
        yield Check(
            "networkd",
            "systemd-networkd",
            "warning",
            f"{path} matches the interfaces of netjail; networkd would take away their settings",
            f"write a line Name=!{names.HOST_IF_PREFIX}* into its [Match], or have it name its own",
        )


def _network_manager() -> Iterator[Check]:
    """Interfaces of ours that NetworkManager has taken in hand. By itself it leaves veth alone (by
    a rule of udev's), and takes tun and bridges of others as they are: "externally"."""
    program = shutil.which("nmcli", path=process.PATH)
    if program is None or not os.path.isdir("/run/NetworkManager"):
        return
    try:
        listed = process.run([program, "-t", "-f", "DEVICE,STATE", "device"], timeout=5)
    except NetjailError:  # it does not run
        return
    taken = managed(listed)
    if taken:
        pattern = f"interface-name:{names.HOST_IF_PREFIX}*"
        yield Check(
            "network-manager",
            "NetworkManager",
            "warning",
            f"NetworkManager manages {', '.join(taken)}; it would change their addresses",
            f"write `[keyfile]` and `unmanaged-devices={pattern}` as two lines to "
            "/etc/NetworkManager/conf.d/netjail.conf, then: sudo nmcli general reload",
        )


def managed(listed: str) -> list[str]:
    """Which interfaces of ours are in NetworkManager's hands, by what nmcli(1) lists tersely: a
    device and its state in each line, in English."""
    rows = [line.rpartition(":") for line in listed.splitlines()]
    return [
        device
        for device, _, state in rows
        if device.startswith(names.HOST_IF_PREFIX)
        and state not in ("unmanaged", "connected (externally)")
    ]


def _matches(lists: list[str]) -> bool:
    """Whether the lists of Name= take in our interfaces: a `!` before a list turns all of it round,
    and what such a list names is left out whatever the others say."""
    no = [word for each in lists if each.startswith("!") for word in each[1:].split()]
    yes = [word for each in lists if not each.startswith("!") for word in each.split()]
    if any(fnmatchcase(_SAMPLE, word) for word in no):
        return False
    return any(fnmatchcase(_SAMPLE, word) for word in yes) or bool(no and not yes)


def _network_files() -> list[str]:
    """Each name once: /etc goes before /run, that before /usr."""
    found: dict[str, str] = {}
    for directory in ("/etc", "/run", "/usr/lib"):
        for path in sorted(glob.glob(f"{directory}/systemd/network/*.network")):
            found.setdefault(os.path.basename(path), path)
    return list(found.values())


# The ways that others offer --------------------------------------------------------------------


def open_hooks(exists: Callable[[str], bool]) -> None:
    """Let veth jails pass where others offer a way for that. `exists`: whether an nft command finds
    something."""
    open_docker(exists)
    firewalld.open_zone(exists)


def close_hooks() -> None:
    """Take all of it back. Idempotent."""
    close_docker()
    firewalld.close_zone()


# The way that Docker offers ----------------------------------------------------------------------

SAVED = f"{names.RUN_DIR}/hooks.json"
_MARK = ("-m", "comment", "--comment", "netjail")
_RULES = (
    ("-o", _ALL, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"),
    ("-i", _ALL, "-j", "ACCEPT"),
)
_PROGRAMS = {
    ("nft", "ip"): "iptables-nft",
    ("nft", "ip6"): "ip6tables-nft",
    ("iptables-legacy", "ip"): "iptables-legacy",
    ("iptables-legacy", "ip6"): "ip6tables-legacy",
}


def open_docker(exists: Callable[[str], bool]) -> None:
    """Let veth jails pass Docker's chains: by rules of ours in DOCKER-USER, which Docker makes for
    that and never touches. What we let pass has still to pass our own table, with its fences.
    Nothing happens where there is no such chain. `exists`: whether an nft command finds something.

    Written down first, so that also a helper that is killed in the middle leaves nothing that the
    next one does not take back.
    """
    there = _docker_programs(exists)
    saved = _saved()
    if not set(there) <= set(saved):
        files.write(SAVED, json.dumps(sorted({*saved, *there})), 0o600)
    for program in there:
        for rule in _RULES:
            if not _has(program, rule):
                _do(program, "-I", rule)


def close_docker() -> None:
    """Take them back. Idempotent."""
    saved = _saved()
    if not saved:
        return
    for program in saved:
        for rule in _RULES:
            for _ in range(8):  # somebody may have doubled it
                if not _has(program, rule) or not _do(program, "-D", rule):
                    break
    files.remove(SAVED)


def _docker_programs(exists: Callable[[str], bool]) -> list[str]:
    """By which programs DOCKER-USER can be written to. Asked at every change of the host's: must
    be cheap where there is no Docker."""
    found = []
    for family in ("ip", "ip6"):
        if exists(f"list chain {family} filter DOCKER-USER"):
            found.append(_PROGRAMS["nft", family])
        legacy = _PROGRAMS["iptables-legacy", family]
        if _legacy_in_use(family) and _ran(legacy, "-S", "DOCKER-USER"):
            found.append(legacy)
    return [each for each in found if shutil.which(each, path=process.PATH)]


def _saved() -> list[str]:
    try:
        with open(SAVED, encoding="utf-8") as file:
            return [each for each in json.load(file) if each in _PROGRAMS.values()]
    except (OSError, ValueError, TypeError):
        return []


def _has(program: str, rule: tuple[str, ...]) -> bool:
    return _do(program, "-C", rule)


def _do(program: str, verb: str, rule: tuple[str, ...]) -> bool:
    return _ran(program, verb, "DOCKER-USER", *_MARK, *rule)


def _ran(program: str, *words: str) -> bool:
    try:
        process.run([program, "-w", "5", *words])
    except NetjailError:  # no such chain any more, no such rule
        return False
    return True
