# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between this machine and working profiles: each finding with its remedy.

Looks only; what has to be tried is tried in a namespace of its own that goes at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

from netjail.engine import coexist, hostdns, ns, process, wg
from netjail.engine.findings import Check
from netjail.engine.hostfacts import read_sysctl
from netjail.engine.netlink import Socket
from netjail.errors import NetjailError


def checks() -> list[Check]:
    """All findings, in the order in which a person would look. Never raises."""
    found: list[Check] = []
    for look in _LOOKS:
        try:
            found.extend(look())
        except (OSError, NetjailError) as error:
            found.append(Check("look", look.__name__.strip("_"), "warning", str(error)))
    return found


def _programs() -> Iterator[Check]:
    for name, needed, why in (
        ("wg", True, "sets up WireGuard tunnels"),
        ("nft", True, "lets veth profiles out through NAT"),
        ("dnsmasq", False, "relays DNS where the host's resolver is on loopback"),
    ):
        if shutil.which(name, path=process.PATH):
            yield Check(f"program-{name}", name, "ok", f"installed ({why})")
        else:
            yield Check(
                f"program-{name}",
                name,
                "error" if needed else "warning",
                f"not installed; it {why}",
                f"sudo apt install {process.PACKAGES[name]}",
            )


def _wireguard() -> Iterator[Check]:
    title = "WireGuard"
    userspace = shutil.which("wireguard-go", path=process.PATH)
    if ns.in_scratch(lambda: wg.kernel_has("wireguard")):
        yield Check("wireguard", title, "ok", "in the kernel")
    elif userspace and os.path.exists("/dev/net/tun"):
        yield Check("wireguard", title, "ok", "by wireguard-go; this kernel has no WireGuard")
    elif userspace:
        yield Check(
            "wireguard",
            title,
            "error",
            "this kernel has no WireGuard, and wireguard-go needs /dev/net/tun, which is missing",
            "sudo modprobe tun; in a container the device has to be passed in",
        )
    else:
        yield Check(
            "wireguard",
            title,
            "error",
            "neither in the kernel nor as wireguard-go",
            "sudo apt install wireguard-go",
        )


def _amneziawg() -> Iterator[Check]:
    """For machines that have a profile of that kind, or the tools."""
    from netjail.profile import store

    tools = wg.TOOLS["amneziawg"]
    using = [name for name in store.names() if _kind(name) == "amneziawg"]
    if not using and not wg.installed(tools.tool):
        return
    lack = wg.lack("amneziawg")
    if lack is None:
        by = tools.userspace if wg.installed(tools.userspace) else "the kernel"
        if ns.in_scratch(lambda: wg.kernel_has(tools.kind)):
            by = "the kernel"
        yield Check("amneziawg", tools.title, "ok", f"by {by}")
        return
    whom = "one profile" if len(using) == 1 else f"{len(using)} profiles"  # everybody reads this
    text = f"{lack.message}; needed by {whom}" if using else lack.message
    yield Check("amneziawg", tools.title, "error" if using else "info", text, lack.hint)


def _kind(name: str) -> str | None:
    from netjail.profile import store

    try:
        return store.load(name).uplink.kind
    except NetjailError:
        return None  # `_profiles` tells


def _kernel() -> Iterator[Check]:
    with open("/proc/filesystems", encoding="ascii") as file:
        has_overlay = any(line.split()[-1] == "overlay" for line in file)
    if has_overlay:
        yield Check("overlay", "overlay file system", "ok", "in the kernel")
    elif _loadable("overlay"):
        yield Check("overlay", "overlay file system", "ok", "loaded when a jail needs it")
    else:
        yield Check(
            "overlay",
            "overlay file system",
            "warning",
            "this kernel has none; a jail's own /etc is an overlay",
            "sudo modprobe overlay (after an upgrade of the kernel: restart the machine)",
        )
    if read_sysctl("net/ipv6/conf/all/disable_ipv6") == "0":
        yield Check("ipv6", "IPv6", "ok", "on")
    else:
        yield Check("ipv6", "IPv6", "info", "off on this host; jails get IPv4 only")


def _loadable(module: str) -> bool:
    """Whether the kernel finds a module of that name when it is asked for it."""
    try:
        process.run(["modprobe", "--dry-run", "--quiet", module], timeout=10)
    except NetjailError:
        return False
    return True


def _writable() -> Iterator[Check]:
    for path, why in (
        ("/etc", "profiles and /etc/netns are kept there"),
        ("/run", "live jails are kept there"),
        ("/proc/sys/net", "veth profiles switch forwarding there"),
    ):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            yield Check("writable", path, "error", f"read-only; {why}", f"mount {path} read-write")
        else:
            yield Check("writable", path, "ok", "writable")
    free = os.statvfs("/run")
    if free.f_bavail * free.f_frsize < 1 << 20:
        yield Check("space", "/run", "error", "less than 1 MB is free", "free some space on /run")


def _uplink() -> Iterator[Check]:
    with Socket() as netlink:
        for title, address in (("IPv4", "198.51.100.1"), ("IPv6", "2001:db8::1")):
            found = netlink.route_to(address)
            link = netlink.link_by_index(found.get_attr("RTA_OIF")) if found is not None else None
            if link is None:
                text, status = "the host has no default route", "info"
            else:
                text, status = f"leaves by {link.get_attr('IFLA_IFNAME')}", "ok"
            yield Check(f"route-{title.lower()}", f"{title} uplink", status, text)  # type: ignore[arg-type]


def _resolver() -> Iterator[Check]:
    dns = hostdns.read()
    title = "the host's resolver"
    if dns.servers:
        yield Check("dns", title, "ok", f"{', '.join(dns.servers)} (from {dns.origin})")
    elif dns.stubs:
        yield Check(
            "dns", title, "ok", f"{', '.join(dns.stubs)}, on loopback: dnsmasq relays to it"
        )
    else:
        yield Check(
            "dns",
            title,
            "warning",
            "/etc/resolv.conf names no server",
            "endpoint names do not resolve; use addresses, or give the host a resolver",
        )


def _profiles() -> Iterator[Check]:
    from netjail.profile import store

    found = store.names()
    bad = 0
    for path in store.exposed():
        bad += 1
        text = "others than root can read it, and it holds keys"
        yield Check("exposed", path, "error", text, f"sudo chmod go= {path}")
    for name in found:
        try:
            store.load(name)
        except NetjailError as error:
            bad += 1
            text = "; ".join(error.problems) or error.message
            yield Check("profile", f"profile {name}", "error", text, f"netjail profile edit {name}")
    if not bad:
        yield Check("profiles", "profiles", "ok", f"{len(found)} on file, all valid")


_LOOKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _programs,
    _wireguard,
    _amneziawg,
    _kernel,
    _writable,
    _uplink,
    _resolver,
    coexist.forwarding,
    coexist.others,
    _profiles,
)
