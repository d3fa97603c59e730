# SPDX-License-Identifier: GPL-3.0-or-later
"""What veth jails need of the host: our nft table, forwarding, and the routes of a pinned way out.

Shared by all jails, hence one lock. What we switch on is remembered in a file and given back when
the last veth jail goes. An interface that forwards only because of us forwards for jails alone
(the `guard` chain), so that the host does not become a router behind its owner's back.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from netjail import names
from netjail.engine import coexist, files, nft, pinned, sysctl
from netjail.engine.hostfacts import read_sysctl
from netjail.engine.netlink import (
    Socket,
    attribute,
    index_of,
)
from netjail.errors import NetjailError
from netjail.uplinks.wanted import DnsRelay, Masquerade, PinnedRoutes

SAVED = f"{names.RUN_DIR}/host.json"
_RTA_OIF = 4
_RT_TABLE_LOCAL = 255
_DEFAULT_MAX = 3
_NO_GUARD: nft.Elements = {"guarded4": (), "guarded6": ()}
_IFF_LOOPBACK = 0x8


class HostNet:
    """The host's side of all veth jails."""

    def __init__(self, table: nft.Nft) -> None:
        self._nft = table
        self._lock = threading.RLock()
        self._jails: dict[str, Masquerade] = {}
        self._relays: dict[str, DnsRelay] = {}
        self._pinned: dict[str, PinnedRoutes] = {}
        self._lan: nft.Elements | None = None
        self._guard: nft.Elements = {}
        self._before: dict[str, str] | None = None
        """What SAVED holds; None: not read yet. No one but us writes there."""

    def adopt(self, resources: list[Any]) -> None:
        """Know what stands already, without touching anything."""
        with self._lock:
            for resource in resources:
                match resource:
                    case Masquerade():
                        self._jails[resource.host_if] = resource
                    case DnsRelay():
                        self._relays[resource.host_if] = resource
                    case PinnedRoutes():
                        self._pinned[resource.host_if] = resource

    def join(self, jail: Masquerade) -> None:
        """Let a jail out. Raises NetjailError and leaves nothing half done."""
        with self._lock:
            first = self._lan is None
            self._jails[jail.host_if] = jail
            try:
                if first:
                    self._look()
                elements = self._elements(jail)
                if first or not self._nft.try_apply(nft.commands("add", elements)):
                    self._rebuild()
                self._forward(jail)
                if first:
                    coexist.open_hooks(self._nft.try_apply)
            except NetjailError:
                self._jails.pop(jail.host_if, None)
                self._nft.try_apply(nft.commands("delete", self._elements(jail)))
                raise

    def leave(self, host_if: str) -> None:
        """Shut a jail's way out. Idempotent."""
        with self._lock:
            jail = self._jails.pop(host_if, None)
            _write(f"net/ipv4/conf/{host_if}/forwarding", "0")
            if not self._jails:
                coexist.close_hooks()
                self._nft.remove_table()
                self._restore()
                self._lan = None
                self._guard = {}
            elif jail is not None and not self._nft.try_apply(
                nft.commands("delete", self._elements(jail))
            ):
                self._rebuild()

    def relay(self, relay: DnsRelay, on: bool) -> None:
        """Let a jail ask the DNS relay at its host end, or no longer."""
        with self._lock:
            if on:
                self._relays[relay.host_if] = relay
            else:
                self._relays.pop(relay.host_if, None)
            verb = "add" if on else "delete"
            text = nft.commands(verb, {"relayed": (relay.host_if,)})
            if not self._nft.try_apply(text) and self._jails:
                self._rebuild()

    def present(self, jail: Masquerade) -> bool:
        """Whether a jail's elements stand in the table."""
        return jail.host_if in self._jails and self._nft.try_apply(
            f"get element inet {names.NFT_TABLE} jails {{ {jail.host_if} }}"
        )

    def whole(self) -> bool:
        """Whether our table stands with its rules, as far as one is needed."""
        return not self._jails or self._nft.exists()

    def refresh(self) -> None:
        """The host's networks have changed, or somebody flushed the rules: follow."""
        with self._lock:
            if not self._jails:
                coexist.close_hooks()
                return
            coexist.open_hooks(self._nft.try_apply)
            before = (self._lan, dict(self._guard))
            self._look()
            alike: set[tuple[object, ...]] = set()
            reset = False
            for jail in self._jails.values():
                way = (jail.way_out, jail.lan, jail.ipv6)
                if way not in alike:
                    # Who resets a switch (`sysctl net.ipv4.ip_forward=0`) resets all of a kind.
                    reset = not _forwards(jail)
                    self._forward(jail, rebuild=False)
                    alike.add(way)
                elif reset:
                    self._forward_own(jail)
            if not self._nft.exists():
                self._rebuild()
            elif before != (self._lan, self._guard):
                fresh = nft.replacing({**_NO_GUARD, **(self._lan or {}), **self._guard})
                if not self._nft.try_apply(fresh):
                    self._rebuild()
            for jail_ in list(self._pinned.values()):
                try:
                    pinned.apply(jail_)
                except NetjailError:  # leads nowhere just now: the jail is cut off, as it should be
                    continue

    # -- the table -------------------------------------------------------------------------------

    def _elements(self, jail: Masquerade) -> nft.Elements:
        name = jail.host_if
        dns = [ip_address(server) for server in jail.resolvers]
        return {
            "jails": (name,),
            "lan_ok": (name,) if jail.lan else (),
            "host_ok": (name,) if jail.host else (),
            "pinned": (name,) if jail.way_out else (),
            "pins": (f"{name} . {jail.way_out}",) if jail.way_out else (),
            "dns4": tuple(f"{name} . {a}" for a in dns if a.version == 4),
            "dns6": tuple(f"{name} . {a}" for a in dns if a.version == 6),
        }

    def _rebuild(self) -> None:
        relayed: nft.Elements = {"relayed": tuple(self._relays)}
        each = [self._elements(jail) for jail in self._jails.values()]
        self._nft.apply(nft.table_text([self._lan or {}, self._guard, relayed, *each]))

    # -- the host's networks ---------------------------------------------------------------------

    def _look(self) -> None:
        """Read the host's on-link networks and ways out."""
        ours = list(self._jails)
        with Socket() as netlink:
            own = {i for i in map(index_of, ours) if i is not None}
            lan4, outs4, near4 = _on_link(netlink, socket.AF_INET, own)
            lan6, outs6, near6 = _on_link(netlink, socket.AF_INET6, own)
            self._outs = {
                4: _names(netlink, outs4),
                6: _names(netlink, outs6),
            }
            self._near = {4: _names(netlink, near4), 6: _names(netlink, near6)}
        self._lan = {
            "lan4": (*nft.PRIVATE4, *sorted(lan4)),
            "lan6": (*nft.PRIVATE6, *sorted(lan6)),
        }

    def _forward(self, jail: Masquerade, *, rebuild: bool = True) -> None:
        """Forwarding for one jail's own interface and for those it goes out by."""
        _write(f"net/ipv4/conf/{jail.host_if}/forwarding", "1")
        outs = self._ways(jail, 4)
        if read_sysctl("net/ipv4/conf/all/forwarding") == "1":
            guarded: set[str] = set()  # somebody made this host a router: not ours to fence
        else:
            guarded = set(self._guard.get("guarded4", ()))
            for name in outs:
                if self._switch(f"net/ipv4/conf/{name}/forwarding", "1"):
                    guarded.add(name)
        before = dict(self._guard)
        self._guard = {**self._guard, "guarded4": tuple(sorted(guarded))}
        if jail.ipv6:
            self._forward6(jail)
        if jail.way_out and _rp_filter(jail.way_out) == 1:
            self._switch(f"net/ipv4/conf/{jail.way_out}/rp_filter", "2")
        if rebuild and before != self._guard:
            self._rebuild()

    def _forward_own(self, jail: Masquerade) -> None:
        """Forwarding for a jail's own interface alone."""
        _write(f"net/ipv4/conf/{jail.host_if}/forwarding", "1")
        if jail.ipv6:
            _write(f"net/ipv6/conf/{jail.host_if}/force_forwarding", "1")  # from kernel 6.17

    def _ways(self, jail: Masquerade, family: int) -> set[str]:
        if jail.way_out:
            return {jail.way_out}
        return self._outs[family] | (self._near[family] if jail.lan else set())

    def _forward6(self, jail: Masquerade) -> None:
        """IPv6 forwards only with the global switch, which also turns router advertisements off,
        unless the kernel has force_forwarding (6.17)."""
        if read_sysctl("net/ipv6/conf/all/forwarding") == "1":
            if "net/ipv6/conf/all/forwarding" not in self._saved():
                return
        elif read_sysctl(f"net/ipv6/conf/{jail.host_if}/force_forwarding") is not None:
            _write(f"net/ipv6/conf/{jail.host_if}/force_forwarding", "1")
            for name in self._ways(jail, 6):
                if self._switch(f"net/ipv6/conf/{name}/force_forwarding", "1"):
                    self._guard6(name)
            return
        else:
            for name in os.listdir("/proc/sys/net/ipv6/conf"):
                key = f"net/ipv6/conf/{name}"
                if name not in ("all", "lo") and read_sysctl(f"{key}/accept_ra") == "1":
                    self._switch(f"{key}/accept_ra", "2")
            self._switch("net/ipv6/conf/all/forwarding", "1")
        for name in os.listdir("/proc/sys/net/ipv6/conf"):
            if name not in ("all", "default", "lo") and name not in self._jails:
                self._guard6(name)

    def _guard6(self, name: str) -> None:
        names_ = {*self._guard.get("guarded6", ()), name}
        self._guard = {**self._guard, "guarded6": tuple(sorted(names_))}

    # -- what we switched on ---------------------------------------------------------------------

    def _saved(self) -> dict[str, str]:
        if self._before is None:
            try:
                with open(SAVED, encoding="ascii") as file:
                    self._before = {str(k): str(v) for k, v in json.load(file).items()}
            except (OSError, ValueError):
                self._before = {}
        return self._before

    def _switch(self, key: str, value: str) -> bool:
        """Set a switch of the host's, remembering what it was. True when it is on by our doing."""
        now = read_sysctl(key)
        saved = self._saved()
        if now is None or (now == value and key not in saved):
            return False
        if now != value:
            if key not in saved:
                saved = {**saved, key: now}
                files.write(SAVED, json.dumps(saved), 0o600)
                self._before = saved
            _write(key, value)
        return True

    def write_again(self) -> None:
        """Put back the file of what we switched on, from memory."""
        with self._lock:
            if self._before:
                files.write(SAVED, json.dumps(self._before), 0o600)

    def _restore(self) -> None:
        saved = self._saved()
        for key, value in reversed(saved.items()):
            _write(key, value)
        self._before = None
        if saved:
            with suppress(FileNotFoundError):
                os.unlink(SAVED)

    # -- a pinned way out ------------------------------------------------------------------------

    def pin(self, jail: PinnedRoutes) -> None:
        """Give a jail one way out. Raises NetjailError("conflict") where that leads nowhere."""
        with self._lock:
            self._pinned[jail.host_if] = jail
            pinned.apply(jail)

    def unpin(self, jail: PinnedRoutes) -> None:
        """Remove rule and table. Idempotent."""
        with self._lock:
            self._pinned.pop(jail.host_if, None)
            pinned.remove(jail)


def _write(key: str, value: str) -> None:
    """Write below /proc/sys; an interface that is gone needs nothing."""
    try:
        fd = sysctl.open_on_host(key, os.O_WRONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NetjailError(
            "system",
            f"cannot set {key.replace('/', '.')}: {error.strerror}",
            "in a container /proc/sys is often read-only; veth profiles need it writable",
        ) from error
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise NetjailError("system", f"cannot set {key}: {error.strerror}") from error
    finally:
        os.close(fd)


def _forwards(jail: Masquerade) -> bool:
    """Whether a jail's own interface forwards, as it was told to."""
    switches = [f"net/ipv4/conf/{jail.host_if}/forwarding"]
    if jail.ipv6:
        switches.append(f"net/ipv6/conf/{jail.host_if}/force_forwarding")
    return all(read_sysctl(key) in ("1", None) for key in switches)


def _rp_filter(name: str) -> int:
    values = [read_sysctl(f"net/ipv4/conf/{i}/rp_filter") or "0" for i in ("all", name)]
    return max(int(value) for value in values)


def _on_link(netlink: Socket, family: int, own: set[int]) -> tuple[set[str], set[int], set[int]]:
    """(networks without a gateway, interfaces of default routes, interfaces of such networks)."""

    def accept(raw: bytes) -> bool:
        if raw[20] == _RT_TABLE_LOCAL or raw[23] != 1:  # rtm_table, rtm_type: unicast only
            return False
        oif = attribute(raw, 28, _RTA_OIF)
        return oif is None or int.from_bytes(oif, "little") not in own

    networks: set[str] = set()
    outs: set[int] = set()
    near: set[int] = set()
    for found in netlink.unicast_routes(family, accept):
        table = found.get_attr("RTA_TABLE") or found["table"]
        oif, hops = found.get_attr("RTA_OIF"), found.get_attr("RTA_MULTIPATH")
        if pinned.is_ours(table):
            continue
        if found["dst_len"] <= _DEFAULT_MAX:
            outs.update(hop["oif"] for hop in hops or ())
            if oif is not None:
                outs.add(oif)
        elif found.get_attr("RTA_GATEWAY") is None and not hops and oif is not None:
            destination = found.get_attr("RTA_DST")
            if not str(destination).startswith("fe80"):
                networks.add(f"{destination}/{found['dst_len']}")
                near.add(oif)
    return networks, outs, near


def _names(netlink: Socket, indices: set[int]) -> set[str]:
    found = [netlink.link_by_index(index) for index in indices]
    return {
        str(link.get_attr("IFLA_IFNAME"))
        for link in found
        if link is not None and not link["flags"] & _IFF_LOOPBACK
    }
