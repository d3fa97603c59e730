# SPDX-License-Identifier: GPL-3.0-or-later
"""A day of a laptop, on the stage: its network is lost, replaced, held by a captive portal, without
IPv4; it sleeps; its VPN's server moves; the helper is killed. Used by a test and by a bench.

The helper, WireGuard, all programs, dnsmasq, the portal's answers (by nftables) and the routes are
real. The sleep is not: the function that logind's signal calls is called, by a signal to the helper
that this file puts in (`HELPER`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from netjail import names
from netjail.demo.stage import WEB4, Stage

NAMESERVER4, NAMESERVER6 = "192.0.2.54", "2001:db8:54::54"
PORTAL = "203.0.113.129"
MOVED6 = "2001:db8:20::30"
SECONDS = 100.0
"""For which something that heals is waited for, on a slow machine."""

HELPER = """
import os, signal, sys
sys.path.insert(0, sys.argv.pop(1))
from netjail.daemon import __main__ as main, keeper, wake
class Wake(wake.Wake):
    def __init__(self, loop, woken, clock=wake.asleep_so_far):
        super().__init__(loop, woken, clock)
        loop.on_signal(signal.SIGUSR1, lambda: self.sleeping(False))
keeper.Wake = Wake
sys.exit(main.main(["--no-bus"]))
"""
ECHO_SERVER = """
import socket, threading
server = socket.create_server(("", 7)); print("ready", flush=True)
def serve(c):
    while data := c.recv(100): c.sendall(data)
while True: threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""
TALK = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 7), 30)
s.settimeout(None)
n = 0
while True:
    n += 1
    s.sendall(b"%d\\n" % n)
    data = b""
    while not data.endswith(b"\\n"):
        more = s.recv(100)
        assert more, "it was closed"
        data += more
    assert data == b"%d\\n" % n, data
    print("talk", flush=True)
    time.sleep(0.1)
"""
FETCH = (
    "while :; do curl -sSf -o /dev/null --max-time 3 $0 2>/dev/null && echo fetch; sleep 0.2; done"
)
NAMES_RULES = f"""
table ip names {{
    chain to {{
        type nat hook prerouting priority -90
        ip daddr {NAMESERVER4} udp dport 53 redirect to :5300
    }}
}}
table ip6 names {{
    chain to {{
        type nat hook prerouting priority -90
        ip6 daddr {NAMESERVER6} udp dport 53 redirect to :5300
    }}
}}
"""
"""Port 53 is the stage's own resolver's."""
PORTAL_RULES = "".join(
    f"""
table {family} portal {{
    chain to {{
        type nat hook prerouting priority -100
        iifname "home1" udp dport 53 redirect to :5353
        iifname "home1" meta l4proto tcp redirect to :8080
    }}
    chain through {{
        type filter hook forward priority 0
        iifname "home1" drop
        oifname "home1" drop
    }}
}}
"""
    for family in ("ip", "ip6")
)
PORTAL_PAGE = """
import socket, threading
server = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    peer, _ = server.accept()
    peer.sendall(b"HTTP/1.0 302 Found\\r\\nLocation: http://portal.example/\\r\\n\\r\\n")
    peer.close()
"""


class Beats:
    """When the programs inside last had an answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.times: list[float] = [time.monotonic()]
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for _ in self.process.stdout:
            self.times.append(time.monotonic())

    def longest(self, since: float) -> float:
        """The longest gap that ended after `since`."""
        pairs = zip(self.times, self.times[1:], strict=False)
        return max((b - a for a, b in pairs if b > since), default=0.0)

    def after(self, since: float) -> float:
        """How long after `since` the first answer came, in a gap that `since` lies in."""
        return next(each for each in self.times if each > since) - since

    def answered(self, since: float) -> bool:
        return self.times[-1] > since


@dataclass(frozen=True)
class Gap:
    """Seconds. `outage`: for which the event itself let nothing through; after it `heard`: until
    the first new connection had an answer, `resumed`: until the one that was open had one, which
    besides waits for TCP's own next attempt; `longest`: of both programs, the outage included."""

    outage: float
    heard: float
    resumed: float
    longest: float


@dataclass
class Day:
    """A stage with a profile `vpn` that is up, and two programs in it."""

    stage: Stage
    netjail: Any
    gaps: dict[str, Gap] = field(default_factory=dict)
    """By event."""
    mended: float | None = None
    """When (monotonic) the world was made good again; None: at the end of the event."""
    asked: list[str] = field(default_factory=list)
    """Names that the host's resolvers were asked for."""
    _names: subprocess.Popen[Any] | None = None

    # -- what is asked of netjail ---------------------------------------------------------------

    def state(self) -> str:
        rows = self.netjail("list", "--json", check=True).json["result"]["profiles"]
        return str(rows[0]["state"])

    def lines(self) -> list[str]:
        """`netjail logs`."""
        found = self.netjail("logs", "vpn", "--json", check=True).json["result"]["lines"]
        return [line["text"] for line in found]

    def identity(self) -> str:
        """Of the namespace and the interface in it."""
        home = self.stage.home
        inode = home.run(["stat", "-Lc", "%i", "/run/netns/netjail-vpn"], check=True).stdout
        index = home.run(
            ["ip", "netns", "exec", "netjail-vpn", "cat", "/sys/class/net/wg0/ifindex"], check=True
        ).stdout
        return f"{inode} {index}"

    # -- the world ------------------------------------------------------------------------------

    def names(self, four: str, six: str) -> None:
        """The resolver's answer for the provider's name from now on; "" for none."""
        if self._names is not None:
            self._names.kill()
            self._names.wait()
        record = ",".join(filter(None, (self.stage.providers[0].endpoint_name, four, six)))
        self._names = self._dnsmasq(f"--host-record={record}", "--local=//", "--local=/example/")

    def _dnsmasq(self, *words: str, port: int = 5300) -> subprocess.Popen[Any]:
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv"]
        argv += ["--no-hosts", "--no-poll", "--pid-file=", "--user=root", "--group=root"]
        argv += ["--log-queries", "--log-facility=-", "--cache-size=0", f"--port={port}"]
        started = self.stage.isp.service([*argv, *words], stderr=subprocess.PIPE, text=True)
        assert started.stderr is not None
        ready = threading.Event()

        def read() -> None:
            for line in started.stderr or ():
                if "started" in line:
                    ready.set()
                if ": query[" in line:
                    self.asked.append(line.split("] ")[1].split(" ")[0])

        threading.Thread(target=read, daemon=True).start()
        assert ready.wait(20), "dnsmasq does not start"
        return started

    def resolver(self, address: str) -> None:
        """What DHCP would have said."""
        text = f"nameserver {address}\noptions timeout:1 attempts:1\n"
        with open(self.stage.home.path("/etc/resolv.conf"), "w", encoding="ascii") as file:
            file.write(text)

    @contextlib.contextmanager
    def portal(self) -> Iterator[None]:
        """A network that answers every name by its own address, every connection by its own page,
        and lets nothing else through."""
        isp = self.stage.isp
        liar = self._dnsmasq(f"--address=/#/{PORTAL}", port=5353)
        page = isp.service([sys.executable, "-c", PORTAL_PAGE], stdout=subprocess.PIPE, text=True)
        assert page.stdout is not None and page.stdout.readline() == "ready\n"
        isp.run(["nft", "-f", "-"], input=PORTAL_RULES, check=True, cwd="/")
        try:
            yield
        finally:
            for family in ("ip", "ip6"):
                isp.run(["nft", "delete", "table", family, "portal"], check=True, cwd="/")
            for each in (liar, page):
                each.kill()
                each.wait()

    def until(self, ready: Callable[[], object], what: str) -> None:
        end = time.monotonic() + SECONDS
        while not ready():
            assert time.monotonic() < end, f"{what}: {self.state()}: {self.lines()[-12:]}"
            time.sleep(0.2)

    # -- the day --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def event(self, name: str, *programs: Beats) -> Iterator[None]:
        """Something happens; afterwards the programs inside have their answers again."""
        begin, self.mended = time.monotonic(), None
        yield
        after = time.monotonic()
        mended = self.mended or after
        self.until(lambda: self.state() == "up", f"after `{name}` it is not up")
        self.until(lambda: all(each.answered(after) for each in programs), f"no word after {name}")
        assert all(each.process.poll() is None for each in programs), f"a program ended: {name}"
        talk, fetch = programs
        self.gaps[name] = Gap(
            mended - begin,
            fetch.after(mended),
            talk.after(mended),
            max(each.longest(begin) for each in programs),
        )


def profile_of(conf: str) -> str:
    """A provider's wg-quick file as a profile; `netjail import`, whose business that is, needs a
    package that the benches do without."""
    lines = ["version = 1", "[uplink]", 'kind = "wireguard"']
    for line in filter(None, map(str.strip, conf.splitlines())):
        key, _, value = (part.strip() for part in line.partition("="))
        word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
        if line == "[Peer]":
            lines.append("[[uplink.peer]]")
        elif word in ("address", "dns", "allowed_ips"):
            lines.append(f"{word} = {json.dumps([each.strip() for each in value.split(',')])}")
        elif word in ("private_key", "public_key", "preshared_key", "endpoint"):
            lines.append(f"{word} = {json.dumps(value)}")
        elif value:
            lines.append(f"{word} = {int(value)}")
    return "\n".join(lines) + "\n"


def live(stage: Stage, netjail: Any, check: Callable[[Day], None] = lambda _day: None) -> Day:
    """A whole day. `check` is called after each event. The stage has IPv6, and its provider's name
    has addresses of both families."""
    day = Day(stage, netjail)
    home, provider = stage.home, stage.providers[0]
    stage.isp.ip(f"addr add {NAMESERVER4}/32 dev lo", f"addr add {NAMESERVER6}/128 dev lo")
    stage.isp.run(["nft", "-f", "-"], input=NAMES_RULES, check=True, cwd="/")
    echo = stage.isp.service([sys.executable, "-c", ECHO_SERVER], stdout=-1, text=True)
    assert echo.stdout is not None and echo.stdout.readline() == "ready\n"
    day.names(provider.wan4, "")
    day.resolver(NAMESERVER4)
    helper = home.popen(
        [sys.executable, "-c", HELPER, netjail.env["PYTHONPATH"]],
        env=netjail.env,
        stderr=open(home.path("/run/helper.log"), "wb"),  # noqa: SIM115
        start_new_session=True,
    )
    # Before any command of ours, which on a busy machine would start one of its own.
    day.until(lambda: os.path.exists(home.path(names.SOCKET)), "no helper")
    with open(home.path("/run/vpn.toml"), "w", encoding="ascii") as file:
        file.write(profile_of(stage.provider_conf))
    netjail("profile", "add", "--name", "vpn", "/run/vpn.toml", check=True)
    netjail("up", "vpn", check=True)
    inside = ("run", "vpn", "--")
    programs = [
        Beats(netjail.popen(*inside, *words, stdout=subprocess.PIPE, text=True))
        for words in (
            (sys.executable, "-uc", TALK, WEB4),
            ("sh", "-c", FETCH, f"http://{WEB4}/"),
        )
    ]
    day.until(lambda: all(len(each.times) > 3 for each in programs), "the programs do not begin")
    identity = day.identity()

    def done() -> None:
        assert day.identity() == identity, "the namespace or its interface was made anew"
        check(day)

    with day.event("another network with another gateway", *programs):
        home.ip("link set wan0 down")  # the Wi-Fi is lost
        day.until(lambda: day.state() == "degraded", "without a network it is not degraded")
        home.ip(
            "link set wan1 up",
            "addr replace 2001:db8:3::207/64 dev wan1 nodad",
            "route add default via 203.0.113.129 dev wan1 metric 50",
            "route add default via 2001:db8:3::1 dev wan1 metric 50",
        )
    done()
    with day.event("a captive portal", *programs), day.portal():
        home.ip("link set wan1 down", "link set wan1 up")
        home.ip(
            "addr replace 2001:db8:3::207/64 dev wan1 nodad",
            "route replace default via 203.0.113.129 dev wan1 metric 50",
            "route replace default via 2001:db8:3::1 dev wan1 metric 50",
        )
        day.until(
            lambda: any(f"{PORTAL} here, but that is not" in line for line in day.lines()),
            "nobody saw through it",
        )
        assert day.state() == "degraded", "the portal was taken for the server"
        assert not any(f"asked at {PORTAL}" in line for line in day.lines())
    done()
    with day.event("a sleep", *programs):
        assert helper.poll() is None, "another helper is at work"
        helper.send_signal(signal.SIGUSR1)
        day.until(lambda: any("slept" in line for line in day.lines()), "the sleep is not noticed")
    done()
    with day.event("a network with IPv6 only", *programs):
        day.names(provider.wan4, provider.wan6)
        day.resolver(NAMESERVER6)
        home.ip("addr flush dev wan1 scope global", "link set wan1 up")
        home.ip(
            "addr add 2001:db8:3::207/64 dev wan1 nodad",
            "route replace default via 2001:db8:3::1 dev wan1 metric 50",
        )
    done()
    with day.event("the server at another address", *programs):
        day.names("198.51.100.30", MOVED6)
        stage.cut_provider()  # another machine, to which we are unknown: else it would call us
        provider.node.ip(
            f"addr add {MOVED6}/64 dev wan0 nodad",
            f"addr del {provider.wan6}/64 dev wan0",
        )
        stage.restore_provider()
        day.mended = time.monotonic()
        day.until(
            lambda: any(f"asked at [{MOVED6}]" in line for line in day.lines()),
            "its new address is unknown",
        )
    done()
    with day.event("the helper killed", *programs):
        helper.kill()
        helper.wait()
    done()
    assert any("another" in each or "changed" in each for each in day.lines()), "its past is lost"
    for each in programs:
        each.process.kill()
        each.process.wait()
    netjail("down", "--all", "--kill", check=True)
    echo.kill()
    echo.wait()
    return day
