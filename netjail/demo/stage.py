# SPDX-License-Identifier: GPL-3.0-or-later
"""A little internet in throw-away namespaces: the ground of `netjail demo` and of the tests.

                                  whoami.example 192.0.2.80
                                          |
    home 203.0.113.7 ---- wire ---- isp (router, resolver 192.0.2.53)
                                          |
                                  provider 198.51.100.20 (WireGuard server; inside the
                                  tunnel its resolver 10.64.0.1 and the client 10.64.0.2)

All addresses are documentation's (RFC 5737, RFC 3849) but those in the tunnel. "home" is where
netjail runs: a network of its own, and a mount namespace in which /etc is a copy and /run is
empty. The machine's own network, /run/netns, profiles and settings are not touched, and all ends
with the process that made the stage, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType

from netjail.demo import servers
from netjail.demo.capture import Capture, capture
from netjail.demo.nodes import Node, Output, queries, uninterrupted
from netjail.demo.provider import Provider, start_dnsmasq
from netjail.errors import NetjailError

HOME4, HOME6 = "203.0.113.7", "2001:db8:1::7"
SECOND4, SECOND6 = "203.0.113.207", "2001:db8:3::7"
"""Home's address on its second uplink, see `Stage.add_home_uplink`."""
WEB4, WEB6, WEB_NAME = "192.0.2.80", "2001:db8:80::80", "whoami.example"
RESOLVER4, RESOLVER6 = "192.0.2.53", "2001:db8:53::53"

PROGRAMS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "nft": "nftables",
    "wg": "wireguard-tools",
    "dnsmasq": "dnsmasq-base",
}
"""What the stage needs, and Debian's package of it. tcpdump comes in with `Stage.capture`."""


def which(program: str) -> str | None:
    """Where it is, also for somebody whose PATH lacks the sbin directories."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin")


def kernel_has_wireguard() -> bool:
    """Whether the kernel makes WireGuard interfaces (its module is loaded if need be).

    Tried in a network namespace that ends with the trial.
    """
    trial = ["unshare", "--net", "ip", "link", "add", "wg0", "type", "wireguard"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def require(programs: dict[str, str]) -> None:
    """Raise NetjailError("missing-program") naming all that are missing and their packages."""
    missing = [name for name in programs if which(name) is None]
    if missing:
        packages = " ".join(dict.fromkeys(programs[name] for name in missing))
        raise NetjailError(
            "missing-program",
            f"this needs {' and '.join(missing)}, not found on this machine",
            f"apt install {packages}    (or your distribution's packages of the same programs)",
        )


def need_root() -> None:
    """Raise NetjailError("not-authorised") for anybody else."""
    if os.geteuid() != 0:
        raise NetjailError(
            "not-authorised",
            "only root can make the namespaces of the stage",
            "sudo netjail demo    (it touches nothing outside of them)",
        )


class Stage:
    """The little internet; a context manager.

    ipv6: None for whatever the kernel has; False leaves it out everywhere.
    kernel_wireguard: of the provider's server; None for the kernel's where it has one, else
        wireguard-go (False for wireguard-go in any case).
    systemd_resolved_stub: home's resolv.conf is systemd-resolved's: a link into
        /run/systemd/resolve to a resolver on 127.0.0.53, the ISP's in resolv.conf beside it.
    shared_root: home's mounts are shared, as where systemd started the machine.
    endpoint: which families the provider's name has: "ipv4", "ipv6" or "both".
    providers: 2 adds a second one, of another net (`provider2`), for tunnels in tunnels.
    """

    def __init__(
        self,
        *,
        ipv6: bool | None = None,
        kernel_wireguard: bool | None = None,
        systemd_resolved_stub: bool = False,
        shared_root: bool = True,
        endpoint: str = "ipv4",
        providers: int = 1,
    ) -> None:
        kernel_ipv6 = os.path.exists("/proc/sys/net/ipv6")
        self.ipv6 = kernel_ipv6 if ipv6 is None else ipv6 and kernel_ipv6
        self.web_name, self.web_url = WEB_NAME, f"http://{WEB_NAME}/"
        self._kernel_wireguard = kernel_wireguard
        self._stub = systemd_resolved_stub
        self._shared_root = shared_root
        self._endpoint = endpoint
        self._provider_count = providers
        self._nodes: list[Node] = []
        self._isp_log: Output | None = None
        self.providers: list[Provider] = []
        self.setup_seconds = 0.0

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Stage:
        begin = time.monotonic()
        need_root()
        require(PROGRAMS)
        wanted = self._kernel_wireguard
        kernel = kernel_has_wireguard() if wanted is None else wanted
        if not kernel:
            require({"wireguard-go": "wireguard-go"})
        try:
            self._build(kernel)
        except BaseException:
            self.close()
            raise
        self.setup_seconds = time.monotonic() - begin
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all that is on the stage; the kernel clears up. May be called twice."""
        if self._nodes:
            self._nodes[0].kill()  # process 1 of the stage: its end is everybody's
        for node in reversed(self._nodes):  # it has ended when all others are reaped
            node.close()
        self._nodes.clear()

    def _node(self, name: str, role: str) -> Node:
        inside = self._nodes[0] if self._nodes else None
        with uninterrupted():
            node = Node(name, role, shared=self._shared_root, inside=inside)
            self._nodes.append(node)
        return node

    def _build(self, kernel: bool) -> None:
        self.home = self._node("home", "home")
        self.home.wait_ready()
        self.isp = self._node("isp", "router")
        nodes = [
            self._node(f"provider{n + 1 if n else ''}", "router")
            for n in range(self._provider_count)
        ]
        for node in (self.isp, *nodes):
            node.wait_ready()
        self.provider = nodes[0]
        self.providers = [
            Provider(n, node, self.ipv6, kernel, self._endpoint) for n, node in enumerate(nodes)
        ]
        web = self.isp.service([sys.executable, "-I", servers.__file__], stdout=subprocess.PIPE)
        assert web.stdout is not None
        self._web = Output(web.stdout)
        self._wire()
        self._isp_log = self._start_resolver()
        self._home_files()
        for provider in self.providers:
            provider.start()
            provider.serve_names(self.records())
        for output, what, name in (
            (self._web, b"ready", "the web server"),
            (self._isp_log, b"started", "the ISP's dnsmasq"),
            *((p.log, b"started", f"{p.name}'s dnsmasq") for p in self.providers),
        ):
            assert output is not None
            if not output.wait_for(what, 10):
                raise NetjailError(
                    "system", f"{name} of the stage did not start: {output.text().strip()}"
                )

    # -- network ------------------------------------------------------------------------------

    def _six(self, command: str) -> str:
        return command if self.ipv6 else ""

    def _wire(self) -> None:
        six = self._six
        home = self.home.inner_pid
        links = [
            "link set lo up",
            f"link add home0 type veth peer name wan0 netns {home}",
            f"addr add {WEB4}/32 dev lo",
            f"addr add {RESOLVER4}/32 dev lo",
            six(f"addr add {WEB6}/128 dev lo"),
            six(f"addr add {RESOLVER6}/128 dev lo"),
            "addr add 203.0.113.1/25 dev home0",
            six("addr add 2001:db8:1::1/64 dev home0"),
            "link set home0 up",
        ]
        for p in self.providers:
            links += [
                f"link add {p.name}0 type veth peer name wan0 netns {p.node.inner_pid}",
                f"addr add {p.gateway4}/25 dev {p.name}0",
                six(f"addr add {p.gateway6}/64 dev {p.name}0"),
                f"link set {p.name}0 up",
            ]
        self.isp.ip(*links)
        self.home.ip(
            "link set lo up",
            f"addr add {HOME4}/25 dev wan0",
            six(f"addr add {HOME6}/64 dev wan0"),
            "link set wan0 up",
            "route add default via 203.0.113.1 dev wan0 metric 100",
            six("route add default via 2001:db8:1::1 dev wan0 metric 100"),
        )

    def add_home_uplink(self) -> None:
        """A second way out of home, preferred by the host from now on (as when a cable is
        plugged in): wan1 with SECOND4 and SECOND6."""
        self.isp.ip(
            f"link add home1 type veth peer name wan1 netns {self.home.inner_pid}",
            "addr add 203.0.113.129/25 dev home1",
            self._six("addr add 2001:db8:3::1/64 dev home1"),
            "link set home1 up",
        )
        self.home.ip(
            f"addr add {SECOND4}/25 dev wan1",
            self._six(f"addr add {SECOND6}/64 dev wan1"),
            "link set wan1 up",
            "route add default via 203.0.113.129 dev wan1 metric 50",
            self._six("route add default via 2001:db8:3::1 dev wan1 metric 50"),
        )

    def remove_home_uplink(self) -> None:
        """Back to one."""
        self.home.ip("link del wan1")

    def unplug_provider(self) -> None:
        """The line between isp and the (first) provider is cut; its server runs on."""
        self.isp.ip(f"link set {self.providers[0].name}0 down")

    def plug_provider(self) -> None:
        """The line is whole again; a tunnel goes on where it was."""
        p = self.providers[0]
        self.isp.ip(
            f"link set {p.name}0 up",
            self._six(f"addr replace {p.gateway6}/64 dev {p.name}0"),
        )

    def cut_provider(self) -> None:
        """The (first) provider's WireGuard server is gone from now on."""
        self.providers[0].cut()

    def restore_provider(self) -> None:
        """It is back: a new process, the same keys. A tunnel that was in use meanwhile takes up
        to 15 s to notice (WireGuard's timers)."""
        self.providers[0].restore()

    # -- names --------------------------------------------------------------------------------

    def records(self) -> dict[str, tuple[str, str]]:
        """The names of this internet, with their addresses: IPv4, IPv6 ("" for none)."""
        names = {WEB_NAME: (WEB4, WEB6)}
        for provider in self.providers:
            four, six = provider.wan4, provider.wan6
            endpoint = self._endpoint
            names[provider.endpoint_name] = (
                "" if endpoint == "ipv6" else four,
                "" if endpoint == "ipv4" else six,
            )
        if not self.ipv6:
            names = {name: (four, "") for name, (four, _) in names.items()}
        return names

    def _start_resolver(self) -> Output:
        return start_dnsmasq(
            self.isp, {**self.records(), "resolver.example": (RESOLVER4, "")}, listen=()
        )

    def _home_files(self) -> None:
        """Home's resolv.conf, and an nsswitch.conf that asks DNS for hosts and nobody else."""
        home = self.home
        nameserver = f"nameserver {RESOLVER4}\n"
        resolv = home.path("/etc/resolv.conf")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(resolv)
        if self._stub:
            directory = home.path("/run/systemd/resolve")
            os.makedirs(directory)
            write(f"{directory}/resolv.conf", nameserver)
            write(f"{directory}/stub-resolv.conf", "nameserver 127.0.0.53\noptions edns0\n")
            os.symlink("../run/systemd/resolve/stub-resolv.conf", resolv)
            self._stub_log = start_dnsmasq(home, {}, ("127.0.0.53",), upstream=RESOLVER4)
        else:
            write(resolv, nameserver)
        switch = home.path("/etc/nsswitch.conf")
        lines = []
        with contextlib.suppress(FileNotFoundError), open(switch, encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith("hosts:")]
        write(switch, "".join(lines) + "hosts: files dns\n")

    def dns_queries(self, who: str) -> list[tuple[str, str, str]]:
        """(type, name, asker) of each question that a resolver saw ("isp", "provider",
        "provider2")."""
        log = self._isp_log if who == "isp" else self._provider(who).log
        return queries(log.text()) if log else []

    def dns_log(self, who: str) -> list[str]:
        """The names that a resolver was asked for, in order."""
        return [name for _, name, _ in self.dns_queries(who)]

    # -- the provider's customer --------------------------------------------------------------

    def _provider(self, name: str) -> Provider:
        return next(p for p in self.providers if p.name == name)

    @property
    def provider_conf(self) -> str:
        """The wg-quick file that the provider hands out."""
        return self.providers[0].conf

    @property
    def provider2_conf(self) -> str:
        """That of the second provider."""
        return self.providers[1].conf

    # -- looking at the wire ------------------------------------------------------------------

    @contextlib.contextmanager
    def capture(
        self, where: str = "home", expression: str = "", interface: str | None = None
    ) -> Iterator[Capture]:
        """Record the wire between home and isp, at either end (they see the same).

        expression: a pcap-filter(7). interface: default wan0 (home) or home0 (isp).
        """
        require({"tcpdump": "tcpdump"})
        node = self.home if where == "home" else self.isp
        with capture(node, interface or ("wan0" if where == "home" else "home0"), expression) as c:
            yield c


def write(path: str, text: str) -> None:
    """A file in place of whatever stood there."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
