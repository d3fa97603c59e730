# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ordinary program sees of the network and what it can reach: one JSON object on stdout.

Run by itself, inside a jail and outside, as the user who wants to know:
`python -I -S probe.py OPTIONS`, OPTIONS being a JSON object (see `Probe`). Standard library only.
It opens no connection and sends no packet but those that the options ask for;
all that it did send is told under `sent`. Whether an address can be reached is seen by connect(2)
on UDP sockets, which chooses a route and a source address and sends nothing.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import struct
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SECONDS = 5.0
"""How long an answer from the network is waited for."""
PUBLIC = ("9.9.9.9", "1.1.1.1", "2620:fe::fe", "2606:4700:4700::1111")
"""Public resolvers: looked at for the route to them, never asked."""
EVERYWHERE = {"ipv4": "198.51.100.1", "ipv6": "2001:db8::1"}
"""Addresses that no network has a route of its own to (RFC 5737, RFC 3849)."""
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "socks_proxy")
LOADED = ("LD_PRELOAD", "LD_AUDIT")
PAGE_MAX = 65536
_ICMP_ECHO, _ICMP6_ECHO = 8, 128
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3

DOORS = {
    "dns-nscd": ("/run/nscd/socket", "/var/run/nscd/socket"),
    "dns-resolved": (
        "/run/systemd/resolve/io.systemd.Resolve",
        "/run/systemd/resolve/io.systemd.Resolve.Monitor",
    ),
    "dns-avahi": ("/run/avahi-daemon/socket", "/var/run/avahi-daemon/socket"),
    "socket-docker": ("/run/docker.sock", "/var/run/docker.sock", "RUNTIME/docker.sock"),
    "socket-podman": ("/run/podman/podman.sock", "RUNTIME/podman/podman.sock"),
    "socket-containerd": ("/run/containerd/containerd.sock",),
    "socket-lxd": ("/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket"),
    "socket-libvirt": ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"),
    "socket-snapd": ("/run/snapd.socket",),
    "socket-dirmngr": ("RUNTIME/gnupg/S.dirmngr", "HOME/.gnupg/S.dirmngr"),
    "x11": ("/tmp/.X11-unix/X",),  # noqa: S108 - completed by DISPLAY
}
"""Paths of sockets behind which somebody acts in the host's network, by the finding's code."""


class Probe:
    """options: `echo` URL of a page that tells a visitor's address; `echo_dns` name whose address
    is that of the resolver which asks; `resolver` to ask for it straight; `fence` addresses that
    must not be reached; `mtu` bytes a packet may have, and `far` whom to send such packets."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.sent: list[str] = []
        self.found: dict[str, Any] = {"version": 1, "uid": os.getuid(), "sent": self.sent}

    def run(self) -> dict[str, Any]:
        """All of it; what goes over the network at the same time."""
        self._network()
        self._names()
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        self.found["doors"] = doors(runtime)
        self.found["bus"] = buses(runtime)
        self.found["agent"], self.found["masters"] = agent(), masters()
        self.found["env"] = environment()
        self._ask()
        return self.found

    def _network(self) -> None:
        here = os.stat("/proc/self/ns/net")
        self.found["netns"] = f"{here.st_dev}:{here.st_ino}"
        self.found["interfaces"] = [name for _, name in socket.if_nameindex()]
        try:
            entries = os.listdir("/sys/class/net")
            # bonding_masters is a file among the links
            self.found["sysfs"] = [e for e in entries if os.path.islink(f"/sys/class/net/{e}")]
        except OSError:
            self.found["sysfs"] = ["?"]
        self.found["sources"] = {name: source(to) for name, to in EVERYWHERE.items()}
        self.found["public"] = {address: source(address) for address in PUBLIC}

    def _names(self) -> None:
        servers = nameservers(text("/etc/resolv.conf"))
        self.found["nameservers"] = servers
        self.found["servers"] = {address: source(address) for address in servers}
        line = next(
            (w for w in text("/etc/nsswitch.conf").splitlines() if w.startswith("hosts:")), ""
        )
        self.found["nsswitch"] = line.partition("#")[0].split()[1:]

    def _ask(self) -> None:
        """What takes packets, side by side."""
        get: Callable[[str], Any] = self.options.get
        jobs: list[tuple[str, str, Callable[[], str]]] = []
        if url := get("echo"):
            for name, family in (("ipv4", socket.AF_INET), ("ipv6", socket.AF_INET6)):
                jobs.append(("exits", name, lambda f=family: self._exit(url, f)))  # type: ignore[misc]
        if wanted := get("echo_dns"):
            jobs.append(("askers", "getaddrinfo", lambda: self._by_libc(wanted)))
            straight = [("", server) for server in self.found["nameservers"]]
            if get("resolver"):
                straight.append(("straight ", get("resolver")))
            for how, server in straight:
                jobs.append(("askers", how + server, lambda s=server: self._by_hand(wanted, s)))  # type: ignore[misc]
        for address in get("fence") or ():
            jobs.append(("fence", address, lambda a=address: self._knock(a)))  # type: ignore[misc]
        if get("far") and get("mtu"):
            far, mtu = get("far"), get("mtu")
            jobs.append(("mtu", "small", lambda: self._ping(far, 96)))
            jobs.append(("mtu", "large", lambda: self._ping(far, mtu)))
        for group in ("exits", "askers", "fence", "mtu"):
            self.found[group] = {}
        threads = [threading.Thread(target=self._job, args=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 2 * SECONDS + 1
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        self.found = json.loads(json.dumps(self.found))  # threads that are late change nothing

    def _job(self, group: str, name: str, do: Callable[[], str]) -> None:
        self.found[group][name] = "!timeout"
        try:
            self.found[group][name] = do()
        except (OSError, ValueError) as error:
            self.found[group][name] = why(error)

    def _exit(self, url: str, family: int) -> str:
        """The address that a page says we come from, or "!reason"."""
        scheme, host, port, path = split(url)
        try:
            address = str(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4][0])
        except socket.gaierror as error:
            return "!no-address" if error.errno != socket.EAI_AGAIN else "!dns"
        self.sent.append(f"GET {url} to {address}")
        with socket.create_connection((address, port), SECONDS) as plain:
            sock = plain
            if scheme == "https":
                import ssl

                sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            named = f"[{host}]" if ":" in host else host
            head = f"GET {path} HTTP/1.0\r\nHost: {named}\r\nAccept: text/plain\r\n\r\n"
            sock.sendall(head.encode())
            page = b""
            end = time.monotonic() + SECONDS
            while len(page) < PAGE_MAX and time.monotonic() < end:
                data = sock.recv(PAGE_MAX)
                if not data:
                    break
                page += data
        status, _, body = page.decode("utf-8", "replace").partition("\r\n\r\n")
        if " 200" not in status.partition("\r\n")[0]:
            return "!" + status.partition("\r\n")[0][:60]
        return first_address(body, family) or "!no-address-in-page"

    def _by_libc(self, name: str) -> str:
        self.sent.append(f"a DNS question for {name}, as programs ask")
        try:
            return str(socket.getaddrinfo(name, None, 0, socket.SOCK_STREAM)[0][4][0])
        except socket.gaierror as error:
            return f"!{error.strerror}"

    def _by_hand(self, name: str, server: str) -> str:
        self.sent.append(f"a DNS question for {name} to {server}")
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        number = os.urandom(2)
        labels = b"".join(bytes([len(w)]) + w for w in name.rstrip(".").encode("idna").split(b"."))
        question = number + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SECONDS / 2)
            sock.connect((server, 53))
            for attempt in range(2):
                sock.send(question)
                try:
                    answer = sock.recv(4096)
                except TimeoutError:
                    if attempt:
                        raise
                    continue
                if answer[:2] == number:
                    return answered(answer) or "!no-answer"
        return "!no-answer"

    def _knock(self, address: str) -> str:
        """Whether a host lets us to itself: "refused" comes from the host, a fence says else."""
        self.sent.append(f"a TCP connection attempt to port 9 of {address}")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(SECONDS / 2)
            sock.connect((address, 9))
        return "open"

    def _ping(self, address: str, size: int) -> str:
        """ "yes" where a packet of `size` bytes, not to be fragmented, is answered."""
        self.sent.append(f"pings of {size} bytes to {address}")
        six = ":" in address
        family = socket.AF_INET6 if six else socket.AF_INET
        protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        with socket.socket(family, socket.SOCK_DGRAM, protocol) as sock:
            if six:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
            sock.settimeout(SECONDS / 5)
            sock.connect((address, 0))
            head = struct.pack("!BBHHH", _ICMP6_ECHO if six else _ICMP_ECHO, 0, 0, 0, 1)
            for _ in range(3):
                sock.send(head + bytes(size - (48 if six else 28)))
                try:
                    if sock.recv(65536)[:1] in (b"\0", b"\x81"):
                        return "yes"
                except TimeoutError:
                    continue
        return "no"


def source(address: str) -> str:
    """The address we would send from, or "!reason". Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 53))
            return str(sock.getsockname()[0])
    except OSError as error:
        return why(error)


def why(error: Exception) -> str:
    """An error as one word."""
    if isinstance(error, TimeoutError):
        return "!timeout"
    number = getattr(error, "errno", None)
    return "!" + errno.errorcode.get(number or 0, type(error).__name__)


def text(path: str) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""


def nameservers(resolv_conf: str) -> list[str]:
    """As the C library takes them; 127.0.0.1 where there is none."""
    words = [line.split() for line in resolv_conf.splitlines()]
    found = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver"]
    return list(dict.fromkeys(found))[:8]


def split(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port, path. ValueError for what is none of http and https."""
    match = re.fullmatch(r"(https?)://(\[[0-9a-fA-F:.]+\]|[^/:?#@\s]+)(?::(\d+))?(/\S*)?", url)
    if match is None:
        raise ValueError("not an http or https URL")
    scheme, host, port, path = match.groups()
    return scheme, host.strip("[]"), int(port or (443 if scheme == "https" else 80)), path or "/"


def first_address(page: str, family: int) -> str | None:
    """The first address of a family in a page's text."""
    for word in re.findall(r"[0-9a-fA-F:.]{3,45}", page):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, word.strip(".")))
        except OSError:
            continue
    return None


def answered(message: bytes) -> str | None:
    """The first A record of a DNS message, or None."""
    questions, answers = struct.unpack("!HH", message[4:8])
    at = 12
    try:
        for _ in range(questions):
            at = _skip(message, at) + 4
        for _ in range(answers):
            at = _skip(message, at)
            kind, _, _, length = struct.unpack("!HHIH", message[at : at + 10])
            at += 10
            if kind == 1 and length == 4:
                return socket.inet_ntoa(message[at : at + 4])
            at += length
    except (struct.error, IndexError, OSError):
        pass
    return None


def _skip(message: bytes, at: int) -> int:
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


def knock(path: str) -> str:
    """Whether somebody listens at a path: "open", "absent", "denied", "dead"."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.settimeout(1)
            try:
                sock.connect(path)
            except OSError as error:
                if error.errno == errno.EPROTOTYPE:
                    continue
                if error.errno in (errno.EACCES, errno.EPERM):
                    return "denied"
                return "dead" if error.errno == errno.ECONNREFUSED else "absent"
            except ValueError:  # too long for a socket's name
                return "absent"
            return "open"
    return "absent"


def doors(runtime: str) -> dict[str, str]:
    """Of DOORS, those that are open or shut to us, as "open PATH" and "denied PATH"."""
    found: dict[str, str] = {}
    home = os.environ.get("HOME", "/nonexistent")
    for code, paths in DOORS.items():
        for path in paths:
            place = path.replace("RUNTIME", runtime).replace("HOME", home)
            if code == "x11":
                place += re.sub(r"^.*:(\d+).*$", r"\1", os.environ.get("DISPLAY", ":none"))
            state = knock(place)
            if state == "open" or (state == "denied" and code not in found):
                found[code] = f"{state} {place}"
            if state == "open":
                break
    return found


def masters() -> list[str]:
    """Connections of ssh(1) that are shared (ControlPath) and so go on where they began."""
    home = os.environ.get("HOME", "/nonexistent")
    places = [f"{home}/.ssh", *(f"{home}/.ssh/{d}" for d in ("cm", "ctl", "sockets", "control"))]
    found = []
    for place in places:
        try:
            entries = [
                e for e in os.scandir(place) if os.path.exists(e.path) and not e.is_symlink()
            ]
            sockets = [e.path for e in entries if not e.is_file() and not e.is_dir()]
        except OSError:
            continue
        found += [path for path in sockets if "agent" not in path and knock(path) == "open"]
    return found[:16]


def agent() -> str:
    """ "" for no ssh-agent, "local" or "forwarded" (the socket is sshd's, from another machine)."""
    path = os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        return ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        try:
            sock.connect(path)
        except (OSError, ValueError):
            return ""
        pid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return "forwarded" if text(f"/proc/{pid}/comm").startswith("sshd") else "local"


def environment() -> dict[str, str]:
    """Variables that send a program's traffic elsewhere; passwords in them left out."""
    found = {}
    for name in PROXIES:
        value = os.environ.get(name) or os.environ.get(name.upper(), "")
        if value:
            found[name] = re.sub(r"//[^/@]*@", "//", value)[:200]
    return found | {name: os.environ[name][:200] for name in LOADED if os.environ.get(name)}


def buses(runtime: str) -> dict[str, str]:
    """Who answers on the system bus and the session bus: "answers", "denied"; others are left out.
    Nothing is started for it."""
    system = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/dbus/system_bus_socket")
    session = os.environ.get("DBUS_SESSION_BUS_ADDRESS", f"unix:path={runtime}/bus")
    found = {}
    for address, names in (
        (system, ("org.freedesktop.resolve1", "org.freedesktop.Avahi")),
        (session, ("org.freedesktop.DBus", "org.freedesktop.systemd1")),
    ):
        match = re.match(r"unix:(?:.*,)?path=([^,;]+)", address)
        if match is None:
            continue
        from netjail.leaks.bus import Bus  # only where there is one

        try:
            bus = Bus(re.sub("%([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), match[1]))
        except (OSError, ValueError, struct.error):
            continue
        where = "" if address is system else "session "
        for name in names:
            try:
                answer = bus.ping(name)
            except (OSError, ValueError, struct.error):
                break
            if answer:
                found[where + name] = answer
        bus.close()
    return found


def drop() -> None:
    """Under sudo, be the user who called it: what root can reach says nothing of their programs."""
    number = os.environ.get("SUDO_UID", "")
    if os.getuid() or not number.isdigit() or number == "0":
        return
    import pwd

    user = pwd.getpwuid(int(number))
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ.update(HOME=user.pw_dir)
    if os.environ.get("XDG_RUNTIME_DIR", "/run/user/0") == "/run/user/0":
        os.environ["XDG_RUNTIME_DIR"] = f"/run/user/{number}"


if __name__ == "__main__":
    here = os.path.abspath(__file__)
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(here))))
    drop()
    print(json.dumps(Probe(json.loads(sys.argv[1])).run()))
    sys.stdout.flush()
    os._exit(0)  # whatever a thread still waits for
