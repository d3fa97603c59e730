# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP through a WireGuard profile, against the same tunnel made by hand. Both ends are on this
machine, so it is the processors that set the pace."""

from __future__ import annotations

import argparse
import os
import subprocess
import time

from harness import Goal, Report, interleave, ratio
from host import ENV, NEIGHBOUR, Host, installed

from figures.throughput import iperf, serving

ROUNDS = 6
OURS, BY_HAND = "netjail: wireguard profile", "by hand: wg, ip"
_SERVER, _OURS, _HAND = "10.66.0.1", "10.66.0.2", "10.66.0.3"


def measure(options: argparse.Namespace) -> list[Report]:
    report = Report("tunnel: TCP to the tunnel's other end", "Gbit/s")
    for program in ("iperf3", "wg"):
        if installed(program) is None:
            report.skipped.append(f"{program} is not installed")
    if report.skipped:
        return [report]
    host = Host()
    try:
        server, ours, hand = _key(), _key(), _key()
        _serve(server, {_OURS: ours, _HAND: hand})
        _by_hand(server, hand)
        with host.client() as client, serving():
            host.add(client, "vpn", _profile(server, ours))
            client.call("up", {"profile": "vpn", "wait": 5.0})
            series = interleave(
                {
                    OURS: iperf(["ip", "netns", "exec", "netjail-vpn"], _SERVER),
                    BY_HAND: iperf(["ip", "netns", "exec", "hand"], _SERVER),
                },
                options.rounds or ROUNDS,
                warm=1,
            )
            kind = client.call("status", {"profile": "vpn"})["profile"]["uplink"]["implementation"]
    finally:
        host.close()
    report.series = list(series.values())
    report.goals = [
        Goal("netjail / by hand", ratio(series, OURS, BY_HAND), "x", 0.9, 0.95, more=True)
    ]
    report.notes = [f"implementation: {kind} on both ends"]
    return [report]


def _key() -> tuple[str, str]:
    """Private and public."""
    private = _run("wg", "genkey")
    return private, _run("wg", "pubkey", stdin=private)


def _run(*words: str, stdin: str = "", netns: str | None = None) -> str:
    prefix = [] if netns is None else ["ip", "netns", "exec", netns]
    done = subprocess.run(
        [*prefix, *words], input=stdin, capture_output=True, text=True, env=ENV, check=True
    )
    return done.stdout.strip()


def _device(name: str, netns: str | None) -> None:
    """By the kernel, or by wireguard-go where it has none. It ends with its interface."""
    try:
        _run("ip", "link", "add", name, "type", "wireguard", netns=netns)
        return
    except subprocess.CalledProcessError:
        pass
    prefix = [] if netns is None else ["ip", "netns", "exec", netns]
    null = subprocess.DEVNULL
    subprocess.run([*prefix, "wireguard-go", name], stdout=null, stderr=null, env=ENV, check=True)
    end = time.monotonic() + 10
    while not os.path.exists(f"/run/wireguard/{name}.sock") and time.monotonic() < end:
        time.sleep(0.01)


def _serve(server: tuple[str, str], peers: dict[str, tuple[str, str]]) -> None:
    _device("server", NEIGHBOUR)
    lines = ["[Interface]", f"PrivateKey = {server[0]}", "ListenPort = 51820"]
    for address, (_, public) in peers.items():
        lines += ["[Peer]", f"PublicKey = {public}", f"AllowedIPs = {address}/32"]
    _run("wg", "setconf", "server", "/dev/stdin", stdin="\n".join(lines) + "\n", netns=NEIGHBOUR)
    _run("ip", "addr", "add", f"{_SERVER}/24", "dev", "server", netns=NEIGHBOUR)
    _run("ip", "link", "set", "server", "mtu", "1420", "up", netns=NEIGHBOUR)


def _by_hand(server: tuple[str, str], own: tuple[str, str]) -> None:
    _run("ip", "netns", "add", "hand")
    _device("byhand0", None)
    text = (
        f"[Interface]\nPrivateKey = {own[0]}\n[Peer]\nPublicKey = {server[1]}\n"
        "Endpoint = 192.0.2.1:51820\nAllowedIPs = 0.0.0.0/0\n"
    )
    _run("wg", "setconf", "byhand0", "/dev/stdin", stdin=text)
    _run("ip", "link", "set", "byhand0", "netns", "hand")
    _run("ip", "addr", "add", f"{_HAND}/32", "dev", "byhand0", netns="hand")
    _run("ip", "link", "set", "byhand0", "mtu", "1420", "up", netns="hand")
    _run("ip", "route", "add", "default", "dev", "byhand0", netns="hand")


def _profile(server: tuple[str, str], own: tuple[str, str]) -> str:
    return (
        f'version = 1\n[uplink]\nkind = "wireguard"\nprivate_key = "{own[0]}"\n'
        f'address = ["{_OURS}/32"]\nmtu = 1420\n[[uplink.peer]]\npublic_key = "{server[1]}"\n'
        'endpoint = "192.0.2.1:51820"\nallowed_ips = ["0.0.0.0/0"]\n'
    )
