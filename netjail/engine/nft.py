# SPDX-License-Identifier: GPL-3.0-or-later
"""Our one nftables table: sets and a fixed set of rules, so that a profile is a few elements.

A rule per profile would cost every packet 47 ns a rule; a set look-up does not grow. The table
holds nothing that a tunnel's safety rests on: it is NAT and fences for veth jails only.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from netjail import names
from netjail.engine import process
from netjail.errors import NetjailError

_T = f"inet {names.NFT_TABLE}"

PRIVATE4 = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918, RFC 6598, RFC 3927: never the Internet. Multicast and broadcast are not forwarded."""
PRIVATE6 = ("fc00::/7", "fe80::/10")

_RULES = f"""
add table {_T}
add set {_T} jails {{ type ifname; comment "host ends of veth jails"; }}
add set {_T} lan_ok {{ type ifname; comment "may reach the host's neighbourhood"; }}
add set {_T} host_ok {{ type ifname; comment "may reach the host's services"; }}
add set {_T} relayed {{ type ifname; comment "a DNS relay listens on this host end"; }}
add set {_T} pinned {{ type ifname; comment "have one way out only"; }}
add set {_T} pins {{ type ifname . ifname; comment "host end, its way out"; }}
add set {_T} dns4 {{ type ifname . ipv4_addr; comment "host end, resolver it may ask"; }}
add set {_T} dns6 {{ type ifname . ipv6_addr; }}
add set {_T} lan4 {{ type ipv4_addr; flags interval; auto-merge; }}
add set {_T} lan6 {{ type ipv6_addr; flags interval; auto-merge; }}
add set {_T} guarded4 {{ type ifname; comment "forward only because of us: for jails alone"; }}
add set {_T} guarded6 {{ type ifname; }}
add chain {_T} from_jail
add chain {_T} to_jail
add chain {_T} to_host
add chain {_T} guard
add chain {_T} arrival {{ type filter hook prerouting priority raw; policy accept; }}
add chain {_T} forward {{ type filter hook forward priority filter; policy accept; }}
add chain {_T} input {{ type filter hook input priority filter; policy accept; }}
add chain {_T} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
flush table {_T}
add rule {_T} arrival iifname @jails fib saddr . iif oif missing drop
add rule {_T} from_jail iifname @pinned iifname . oifname != @pins reject with icmpx no-route
add rule {_T} from_jail ct state established,related accept
add rule {_T} from_jail oifname @jails reject with icmpx admin-prohibited
add rule {_T} from_jail meta l4proto {{ tcp, udp }} th dport 53 iifname . ip daddr @dns4 accept
add rule {_T} from_jail meta l4proto {{ tcp, udp }} th dport 53 iifname . ip6 daddr @dns6 accept
add rule {_T} from_jail iifname @lan_ok accept
add rule {_T} from_jail ip daddr @lan4 reject with icmpx admin-prohibited
add rule {_T} from_jail ip6 daddr @lan6 reject with icmpx admin-prohibited
add rule {_T} to_jail ct state established,related accept
add rule {_T} to_jail drop
add rule {_T} to_host ct state established,related accept
add rule {_T} to_host icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
add rule {_T} to_host iifname @host_ok accept
add rule {_T} to_host iifname @relayed meta l4proto {{ tcp, udp }} th dport 53 accept
add rule {_T} to_host meta l4proto {{ tcp, udp }} th dport 53 iifname . ip daddr @dns4 accept
add rule {_T} to_host meta l4proto {{ tcp, udp }} th dport 53 iifname . ip6 daddr @dns6 accept
add rule {_T} to_host reject with icmpx admin-prohibited
add rule {_T} guard meta nfproto ipv4 iifname @guarded4 drop
add rule {_T} guard meta nfproto ipv6 iifname @guarded6 drop
add rule {_T} forward iifname @jails jump from_jail
add rule {_T} forward iifname @jails accept
add rule {_T} forward oifname @jails jump to_jail
add rule {_T} forward jump guard
add rule {_T} input iifname @jails jump to_host
add rule {_T} postrouting iifname @jails masquerade
"""

"""`arrival` stops forged sources before connection tracking sees them: a packet in the name of a
server would pass as the answer to another jail's, or to the host's own, connection."""

_LAST_WORDS = {
    "arrival": "missing drop",
    "from_jail": "@lan6 reject",
    "to_jail": "drop",
    "to_host": "reject",
    "guard": "@guarded6 drop",
    "forward": "jump guard",
    "input": "jump to_host",
    "postrouting": "masquerade",
}
"""By chain, what its last rule says: a look whether they are whole."""

_SETS = [
    "jails",
    "lan_ok",
    "host_ok",
    "relayed",
    "pinned",
    "pins",
    "dns4",
    "dns6",
    "lan4",
    "lan6",
    "guarded4",
    "guarded6",
]

Elements = Mapping[str, tuple[str, ...]]
"""By set name, the elements as nft(8) writes them."""


def commands(verb: str, elements: Elements) -> str:
    """`verb` is "add", "delete" or "destroy"."""
    return "\n".join(
        f"{verb} element {_T} {name} {{ {', '.join(values)} }}"
        for name, values in elements.items()
        if values
    )


def replacing(elements: Elements) -> str:
    """These sets with these elements and no others."""
    flush = "\n".join(f"flush set {_T} {name}" for name in elements)
    return f"{flush}\n{commands('add', elements)}"


def table_text(elements: Iterable[Elements]) -> str:
    """The whole table with these elements, replacing whatever stands under its name, at once."""
    merged: dict[str, list[str]] = {}
    for each in elements:
        for name, values in each.items():
            merged.setdefault(name, []).extend(values)
    unique: Elements = {name: tuple(dict.fromkeys(values)) for name, values in merged.items()}
    flush = "\n".join(f"flush set {_T} {name}" for name in _SETS)
    return f"{_RULES}{flush}\n{commands('add', unique)}\n"


class Nft:
    """A resident libnftables where it is installed, else the nft program. For any thread.

    The object must be made in the host's namespace: its socket stays there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library: Any = None
        self._tried = False

    def apply(self, text: str) -> None:
        """One transaction, whole or not at all. Raises NetjailError with what nft said."""
        with self._lock:
            failed = self._apply(text)
        if failed is not None:
            raise NetjailError("system", f"nftables refused our table: {failed}")

    def try_apply(self, text: str) -> bool:
        """As `apply`, answering whether it worked."""
        with self._lock:
            return self._apply(text) is None

    def _apply(self, text: str) -> str | None:
        if not text.strip():
            return None
        library = self._open()
        if library is None:
            done = subprocess.run(
                [process.program("nft"), "-f", "-"],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                env={"PATH": process.PATH, "LC_ALL": "C"},
            )
            return None if done.returncode == 0 else " ".join(done.stderr.split())
        status, _, said = library.cmd(text)
        return None if status == 0 else " ".join(str(said).split())

    def _open(self) -> Any:
        if not self._tried:
            self._tried = True
            try:
                import nftables

                self._library = nftables.Nftables()
            except (ImportError, OSError):  # no python3-nftables, or no libnftables.so.1
                self._library = None
        return self._library

    def exists(self) -> bool:
        """Whether our table stands, with its rules: somebody may have flushed them."""
        return all(words in self._list(f"chain {_T} {c}") for c, words in _LAST_WORDS.items())

    def _list(self, what: str) -> str:
        """What nft(8) prints of something; nothing where it is not there."""
        with self._lock:
            library = self._open()
            if library is not None:
                return str(library.cmd(f"list {what}")[1])
        try:
            return process.run(["nft", "list", *what.split()])
        except NetjailError:
            return ""

    def remove_table(self) -> None:
        """Delete our table if it is there."""
        self.apply(f"add table {_T}\ndelete table {_T}")
