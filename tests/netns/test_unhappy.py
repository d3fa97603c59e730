# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong around netjail: bad names and files, full and read-only disks, missing programs,
other people's things, hands that delete ours. One clear sentence each, and nothing half-made."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import (
    HOST4,
    SERVER4,
    SERVER6,
    Host,
    Hosts,
    a_host,
    missing,
    wait_until,
)

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

PROFILES = "/etc/netjail/profiles"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host


# names ------------------------------------------------------------------------------------------

NAMES = ["../x", "-rf", "a" * 300, "größe", "", "a\nb", "a/b", "A", ".", "a" * 32, "x\u202ey"]

VERBS: list[tuple[str, ...]] = [
    ("up", "{}"),
    ("down", "{}"),
    ("run", "{}", "true"),
    ("run", "{}", "--", "true"),
    ("shell", "{}"),
    ("status", "{}"),
    ("ps", "{}"),
    ("kill", "{}"),
    ("plan", "{}"),
    ("export", "{}"),
    ("import", "/run/p.conf", "--name", "{}"),
    ("profile", "add", "--name", "{}", "/run/p.toml"),
    ("profile", "show", "{}"),
    ("profile", "edit", "{}"),
    ("profile", "remove", "{}"),
]


def some(verbs: list[tuple[str, ...]], name: str) -> list[tuple[str, ...]]:
    """Four verbs, others for each name."""
    return verbs[NAMES.index(name) % 4 :: 4]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[1:12])
def test_names_that_are_none(host: Host, name: str) -> None:
    refused(host, name, some(VERBS, name))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[1:12])
def test_names_that_are_none_with_every_verb(host: Host, name: str) -> None:
    refused(host, name, VERBS)


def refused(host: Host, name: str, verbs: list[tuple[str, ...]]) -> None:
    host.write("/run/p.conf", host.conf())
    host.write("/run/p.toml", 'version = 1\n[uplink]\nkind = "none"\n')
    commands = [(verb, [word.replace("{}", name) for word in verb]) for verb in verbs]
    running = [(verb, host.background(*words, stderr=-1)) for verb, words in commands]
    for verb, process in running:
        out, err = process.communicate("", timeout=30)
        assert process.returncode in ((125, 2) if verb[0] in ("run", "shell") else (1, 2)), (
            verb,
            process.returncode,
            err,
        )
        assert "Traceback" not in err + out
        assert "bug" not in err
        assert err.strip()
        assert len(err) < 600, err  # a name of 300 characters is not repeated in full
        assert "\u202e" not in err
    assert host.glob(PROFILES + "/*") == []
    assert host.glob("/etc/netjail/*") in ([], [PROFILES])
    host.clean()


# files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("chmod 666 {}", "can be changed by others"),
        ("chown 7001 {}", "belongs to the user with number 7001"),
        ("mv {} /run/elsewhere.toml; ln -s /run/elsewhere.toml {}", "is a symbolic link"),
        ("rm {}; mkdir {}", "is not a plain file"),
        ("rm {}; mkfifo {}", "is not a plain file"),
        ("rm {}; ln -s {} {}", "symbolic link"),
        ("chmod 777 " + PROFILES, "can be changed by others"),
        ("head -c 3M /dev/zero > {}", "is larger than"),
        ("printf '\\377\\376' > {}", "UTF-8"),
        ("printf 'version = 1\\n[uplink' > {}", "is not TOML"),
        (": > {}", "version"),
    ],
    ids=[
        "mode",
        "owner",
        "link",
        "dir",
        "fifo",
        "loop",
        "dirmode",
        "large",
        "latin",
        "half",
        "nil",
    ],
)
def test_files_that_are_not_to_be_trusted(host: Host, spoil: str, words: str) -> None:
    host.profile("good", 'kind = "none"')
    host.profile("lab")
    host.sh(spoil.replace("{}", f"{PROFILES}/lab.toml"))
    host.netjail("up", "lab").failed(words)
    host.netjail("run", "lab", "true").failed(words, status=125)
    host.netjail("list").ok()
    if "777" not in spoil:
        host.netjail("up", "good").ok()
        host.netjail("down", "good").ok()
    host.clean()
    host.sh(f"rm -rf {PROFILES} /run/elsewhere.toml")


# disks ------------------------------------------------------------------------------------------


@contextmanager
def small(host: Host, path: str, free: int) -> Iterator[Callable[[int], None]]:
    """A tmpfs of 1 MiB on `path`, with what is there now, filled up to `free` pages of 4 KiB. The
    function that comes with it leaves another number of them free."""

    def fill(pages: int) -> None:
        host.sh(
            f"rm -f {path}/fill; dd if=/dev/zero of={path}/fill bs=4k 2>/dev/null || true;"
            f"truncate -s -$((4096 * {pages})) {path}/fill"
        )

    host.sh(
        f"mkdir -p {path} /run/old; cp -a {path}/. /run/old;"
        f"mount -t tmpfs -o size=1m,mode=755 t {path}; cp -a /run/old/. {path}; rm -rf /run/old"
    )
    try:
        fill(free)
        yield fill
    finally:
        host.sh(f"umount -l {path}")


def nothing_half_made(host: Host, name: str) -> None:
    assert host.glob(f"/run/netns/netjail-{name}") == []
    assert host.glob(f"/run/netjail/jails/{name}/*") == []
    assert host.glob(f"/run/netjail/view/{name}") == []
    assert host.glob(f"/etc/netns/netjail-{name}/*") == []
    assert wait_until(lambda: f"nj-{name}" not in host.sh("ip -o link"))
    assert not host.pids("wireguard-go", f"nj-{name}")
    assert "netjail" not in host.sh("nft list tables")


@pytest.mark.parametrize("kind", ["veth", "wireguard"])
def test_full_run(host: Host, kind: str) -> None:
    """At every page at which it can be full."""
    name = host.profile("lab") if kind == "veth" else host.tunnel("lab")
    host.netjail("list").ok()  # the helper runs
    host.kill_helper()
    with small(host, "/run/netjail", 60) as fill:
        host.netjail("list").ok()
        failed = 0
        for pages in range(40):
            fill(pages)
            said = host.netjail("up", name)
            if said.status == 0:
                break
            said.failed("No space left on device")
            assert "the file system is full" in said.err or "/run must be" in said.err, said
            nothing_half_made(host, name)
            failed += 1
        assert failed > 3
        assert host.ask(name, SERVER4).startswith("inet ")
        fill(0)  # and down works on a full disk
        host.netjail("down", name).ok()
        nothing_half_made(host, name)
        host.kill_helper()


def test_full_run_when_the_helper_starts(host: Host) -> None:
    host.profile("lab")
    host.kill_helper()
    host.sh("rm -rf /run/netjail")
    with small(host, "/run/netjail", 0):
        said = host.netjail("up", "lab")
        assert said.status in (0, 1)
        if said.status:
            said.failed("No space left on device")
        host.kill_helper()
    host.netjail("up", "lab").ok()


def test_full_etc_netns(host: Host) -> None:
    host.profile("lab")
    with small(host, "/etc/netns", 0) as fill:
        for pages in range(3):
            fill(pages)
            said = host.netjail("up", "lab")
            if said.status == 0:
                break
            said.failed(
                "cannot write /etc/netns/netjail-lab/", "No space left", "file system is full"
            )
            nothing_half_made(host, "lab")
        assert pages > 0
        fill(9)
        host.netjail("up", "lab").ok()
        host.netjail("down", "lab").ok()


def test_full_etc_netjail_does_not_lose_the_profile(host: Host) -> None:
    host.profile("lab")
    with small(host, "/etc/netjail", 0):
        before = host.path(f"{PROFILES}/lab.toml").read_text()
        host.write("/run/new.toml", "# longer\n" * 2000 + 'version = 1\n[uplink]\nkind = "none"\n')
        words = ("No space left on device", "nothing has been changed")
        host.netjail("profile", "add", "--replace", "--name", "lab", "/run/new.toml").failed(*words)
        host.netjail("profile", "add", "--name", "new", "/run/new.toml").failed(*words)
        host.write("/run/p.conf", host.conf() + "# long\n" * 2000)
        host.netjail("import", "--name", "new", "/run/p.conf").failed(*words)
        assert host.path(f"{PROFILES}/lab.toml").read_text() == before
        assert host.glob(f"{PROFILES}/*") + host.glob(f"{PROFILES}/.*") == [f"{PROFILES}/lab.toml"]
        host.netjail("up", "lab").ok()
        host.netjail("down", "lab").ok()


def test_read_only_etc(host: Host) -> None:
    host.profile("lab")
    places = ("/etc", "/etc/netjail", "/etc/netns")
    host.sh("".join(f"mount -o remount,bind,ro {place};" for place in places))
    try:
        host.netjail("up", "lab").failed("Read-only file system", "/etc/netns")
        nothing_half_made(host, "lab")
        host.write("/run/p.toml", 'version = 1\n[uplink]\nkind = "none"\n')
        host.netjail("profile", "add", "--name", "new", "/run/p.toml").failed(
            "Read-only file system", "read-only"
        )
        host.netjail("profile", "remove", "lab").failed("Read-only file system")
    finally:
        host.sh("".join(f"mount -o remount,bind,rw {place};" for place in places))
    host.netjail("up", "lab").ok()


# missing programs -------------------------------------------------------------------------------


@contextmanager
def hidden(host: Host, program: str) -> Iterator[None]:
    paths = host.sh(
        f"cd /usr; for d in local/sbin local/bin sbin bin; do "
        f"[ ! -e $d/{program} ] || echo /usr/$d/{program}; done"
    ).split()
    assert paths, program
    host.write("/run/nothing", "", 0o644)
    host.sh("".join(f"mount --bind /run/nothing {path};" for path in paths))
    try:
        yield
    finally:
        host.sh("".join(f"umount {path};" for path in paths))


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("nft", "nftables"),
        ("wg", "wireguard-tools"),
        ("wireguard-go", "wireguard-go"),
        ("dnsmasq", "dnsmasq-base"),
    ],
)
def test_missing_programs(host: Host, program: str, package: str) -> None:
    resolv = host.path("/etc/resolv.conf").read_text()
    if program == "dnsmasq":
        host.write("/etc/resolv.conf", "nameserver 127.0.0.53\n", 0o644)
    if program in ("nft", "dnsmasq"):
        host.profile("lab")
    else:
        host.tunnel("lab")
    try:
        with hidden(host, program):
            words = (f"the program {program} is not installed", f"apt install {package}")
            host.netjail("up", "lab").failed(*words)
            host.netjail("run", "lab", "true").failed(*words, status=125)
            if program != "nft":  # with which the test itself looks
                host.clean()
        host.clean()
        host.netjail("up", "lab").ok()
    finally:
        host.write("/etc/resolv.conf", resolv, 0o644)


def test_tools_that_go_while_it_is_up(host: Host) -> None:
    """What is up goes down without them."""
    host.tunnel("vpn")
    host.netjail("up", "vpn").ok()
    with hidden(host, "wg"), hidden(host, "wireguard-go"):
        host.netjail("status", "vpn").ok()
        host.netjail("down", "vpn").ok()


# other people's things --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "look", "remove"),
    [
        ("ip netns add netjail-lab", "ip -n netjail-lab link", "ip netns del netjail-lab"),
        (
            "echo mine > /run/netns/netjail-lab",
            "cat /run/netns/netjail-lab",
            "rm /run/netns/netjail-lab",
        ),
        (
            "ln -s /nowhere /run/netns/netjail-lab",
            "readlink /run/netns/netjail-lab",
            "rm /run/netns/netjail-lab",
        ),
    ],
    ids=["namespace", "file", "link"],
)
def test_a_namespace_of_somebody_elses(host: Host, make: str, look: str, remove: str) -> None:
    host.profile("lab")
    host.sh(make)
    before = host.sh(look)
    try:
        host.netjail("up", "lab").failed("netjail-lab", "exists that netjail did not make")
        host.netjail("run", "lab", "true").failed("exists that netjail", status=125)
        host.netjail("down", "lab").ok()
        host.netjail("down", "--all").ok()
        assert host.sh(look) == before
    finally:
        host.sh(remove)
    host.clean()
    host.netjail("up", "lab").ok()


@pytest.mark.parametrize("kind", ["veth", "wireguard"])
def test_an_interface_of_somebody_elses(host: Host, kind: str) -> None:
    name = host.profile("lab") if kind == "veth" else host.tunnel("lab")
    host.sh(
        "ip tuntap add nj-lab mode tun; ip addr add 10.77.0.1/24 dev nj-lab; ip link set nj-lab up"
    )
    look = (
        "ip -o addr show dev nj-lab; ip -o link show nj-lab | grep -o '<.*>';"
        "cat /proc/sys/net/ipv4/conf/nj-lab/forwarding"
    )
    before = host.sh(look)
    try:
        for _ in range(2):
            host.netjail("up", name).failed("interface nj-lab exists that netjail did not make")
        host.netjail("down", name).ok()
        assert host.sh(look) == before
        host.kill_helper()
        host.netjail("list").ok()
        assert host.sh(look) == before
    finally:
        host.sh("ip link del nj-lab")
    host.clean()
    host.netjail("up", name).ok()


@pytest.mark.slow
def test_an_endpoint_that_has_no_address(host: Host) -> None:
    host.tunnel("vpn", endpoint="nosuch.invalid:51820")
    host.netjail("up", "vpn").failed("nosuch.invalid", "has no address")
    host.netjail("run", "vpn", "true").failed("nosuch.invalid", status=125)
    host.clean()


def test_a_host_without_ipv6() -> None:
    with a_host() as host:
        host.sh("for d in all default; do echo 1 > /proc/sys/net/ipv6/conf/$d/disable_ipv6; done")
        host.baseline = host.snapshot()
        host.profile("lab")
        host.tunnel("vpn")
        host.netjail("up", "lab", "vpn").ok()
        assert host.ask("lab", SERVER4) == f"inet {HOST4}"
        assert host.ask("lab", SERVER6) in ("ENETUNREACH", "EADDRNOTAVAIL")
        assert host.ask("vpn", SERVER4) == "inet 10.9.0.2"


# hands ------------------------------------------------------------------------------------------


def identity(host: Host, name: str) -> str:
    return host.sh(f"stat -Lc %i /run/netns/netjail-{name}")


@pytest.mark.parametrize("kind", ["veth", "wireguard", "none"])
def test_the_namespace_is_deleted_by_hand(host: Host, kind: str) -> None:
    name = {
        "veth": lambda: host.profile("lab"),
        "wireguard": lambda: host.tunnel("lab"),
        "none": lambda: host.profile("lab", 'kind = "none"'),
    }[kind]()
    host.netjail("up", name).ok()
    with inside(host, name) as shell:
        before = identity(host, name)
        host.sh(f"ip netns del netjail-{name}")
        assert host.netjail("ps", name, "--json").ok().json()["programs"]
        host.netjail("down", name).failed("a program runs in it")
        host.netjail("run", name, "true").ok()  # mended on the way
        assert identity(host, name) == before
        assert "Written by netjail" in shell("cat /etc/resolv.conf")
        if kind != "none":
            assert host.ask(name, SERVER4).startswith("inet ")
    host.sh(f"ip netns del netjail-{name}")
    host.netjail("up", name).ok()
    host.sh(f"ip netns del netjail-{name}")
    host.netjail("down", name).ok()
    host.clean()


def test_the_namespace_is_deleted_while_no_helper_runs(host: Host) -> None:
    host.profile("lab", 'kind = "veth"\ninterface = "up0"')
    host.netjail("up", "lab").ok()
    host.kill_helper()
    host.sh("ip netns del netjail-lab; ip netns add netjail-lab")  # and somebody took its name
    try:
        host.netjail("up", "lab").failed("netjail-lab", "netjail did not make")
        assert host.glob("/run/netns/netjail-lab")
    finally:
        host.sh("ip netns del netjail-lab")
    host.netjail("down", "lab").ok()
    host.clean()


def test_a_namespace_with_the_inode_of_one_that_is_gone_is_still_somebody_elses(host: Host) -> None:
    """The kernel gives numbers again. That this one got ours is written into the record by hand."""
    host.profile("lab")
    host.netjail("up", "lab").ok()
    host.kill_helper()
    host.sh("ip netns del netjail-lab; ip netns add netjail-lab")
    record = host.path("/run/netjail/jails/lab/record.json")
    data = json.loads(record.read_text())
    device, inode = host.sh("stat -Lc '%d %i' /run/netns/netjail-lab").split()
    assert "namespace" in data
    data["namespace"] = [int(device), int(inode)]
    record.write_text(json.dumps(data))
    try:
        host.netjail("up", "lab").failed("netjail-lab", "netjail did not make")
        host.netjail("down", "lab").ok()
        assert host.glob("/run/netns/netjail-lab"), "a namespace of somebody else's was removed"
    finally:
        host.sh("ip netns del netjail-lab")
    host.clean()


@contextmanager
def inside(host: Host, name: str) -> Iterator[Callable[[str], str]]:
    """A shell in the jail, to be asked things."""
    process = host.background("run", name, "--", "sh")
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def ask(command: str) -> str:
        stdin.write(f"{{ {command}\n}} 2>&1; echo; echo =end=\n")
        stdin.flush()
        return "".join(iter(stdout.readline, "=end=\n")).strip()

    assert ask("echo here") == "here"
    try:
        yield ask
    finally:
        process.communicate("exit\n", timeout=10)


def test_run_netjail_is_deleted_by_hand(host: Host) -> None:
    host.profile("lab")
    host.tunnel("vpn")
    host.netjail("up", "lab", "vpn").ok()
    with inside(host, "lab") as shell:
        before = identity(host, "lab")
        host.sh("rm -rf /run/netjail")
        time.sleep(1)
        assert len(host.helpers()) == 1
        assert host.state("lab") == host.state("vpn") == "up"
        assert len(host.helpers()) == 1
        host.netjail("up", "lab", "vpn").ok()
        assert identity(host, "lab") == before
        assert "Written by netjail" in shell("cat /etc/resolv.conf")
        assert host.ask("lab", SERVER4) == f"inet {HOST4}"
        assert host.ask("vpn", SERVER4) == "inet 10.9.0.2"
    host.kill_helper()  # it is all on disk again
    assert host.state("lab") == host.state("vpn") == "up"
    host.netjail("down", "lab", "vpn").ok()
    host.clean()


def test_wireguard_go_is_killed(host: Host) -> None:
    host.tunnel("vpn")
    host.netjail("up", "vpn").ok()
    with inside(host, "vpn") as shell:
        before = identity(host, "vpn")
        (server,) = host.pids("wireguard-go", "nj-vpn")
        with hidden(host, "wireguard-go"):  # so that there is time to look
            host.kill(server)
            assert wait_until(lambda: host.state("vpn") == "failed")
            assert "wireguard-go" in host.netjail("status", "vpn").ok().out
            assert "wg0" not in shell("ls /sys/class/net")  # closed meanwhile
        assert wait_until(lambda: host.state("vpn") == "up", 15)
        assert host.pids("wireguard-go", "nj-vpn") not in ([], [server])
        assert identity(host, "vpn") == before
        assert "wg0" in shell("ls /sys/class/net")
        assert wait_until(lambda: host.ask("vpn", SERVER4) == "inet 10.9.0.2")


# through ----------------------------------------------------------------------------------------


def test_through_chains(host: Host) -> None:
    host.tunnel("one")
    host.tunnel("two", 1, through="one")
    host.tunnel("three", 2, through="two")
    host.netjail("up", "three").ok()
    assert [host.state(name) for name in ("one", "two", "three")] == ["up"] * 3
    assert host.ask("three", SERVER4) == "inet 10.9.0.4"
    host.netjail("down", "one").failed("two goes through it", "netjail down three two one")
    host.netjail("down", "two").failed("three goes through it")
    assert host.ask("three", SERVER4) == "inet 10.9.0.4"
    assert host.netjail("ps", "--json").ok().json()["programs"] == []
    host.kill_helper()
    host.netjail("down", "one").failed("two goes through it")
    host.netjail("down", "one", "three", "two").ok()
    host.clean()


def test_through_what_is_not_there_or_goes_in_circles(host: Host) -> None:
    host.tunnel("one", through="two")
    host.netjail("up", "one").failed("through two", "there is no profile two")
    host.tunnel("two", 1, through="one")
    host.netjail("up", "one").failed("circle", "one -> two -> one")
    host.clean()


def test_through_a_profile_that_cannot_go_up(host: Host) -> None:
    host.tunnel("one", endpoint="nosuch.invalid:51820")
    host.tunnel("two", 1, through="one")
    host.netjail("up", "two").failed("one", "nosuch.invalid")
    host.clean()


# when idle --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_jail_that_stops_when_idle(host: Host) -> None:
    host.profile("lab", top='stop = "when-idle"')
    first = host.background("run", "lab", "--", "sh", "-c", "read line; sleep 1.5 &")
    assert wait_until(lambda: len(host.netjail("ps", "lab", "--json").json()["programs"]) == 1)
    second = host.netjail("run", "lab", "--", "true")
    assert second.status == 0
    time.sleep(3)
    assert host.state("lab") == "up"
    host.kill_helper()  # and the next one knows as well
    assert host.state("lab") == "up"
    first.communicate("\n", timeout=10)
    assert host.state("lab") == "up"  # the one in the background is still there
    assert wait_until(lambda: host.state("lab") == "down", 20)
    host.clean()


# attacks ----------------------------------------------------------------------------------------


def test_the_files_of_a_jail_are_not_for_others_to_change_or_read(host: Host) -> None:
    host.profile("lab")
    host.tunnel("vpn")
    host.netjail("up", "lab", "vpn").ok()
    for path in [*host.glob("/run/netjail/**/*"), "/run/netjail", "/etc/netns/netjail-lab"]:
        status = os.lstat(host.path(path))
        assert status.st_uid == 0, path
        assert os.path.islink(host.path(path)) or not status.st_mode & 0o022, path
    text = "".join(
        host.path(p).read_text()
        for p in host.glob("/run/netjail/**/*")
        if host.path(p).is_file() and not host.path(p).is_symlink()
    )
    assert host.path(f"{PROFILES}/vpn.toml").read_text().count("private_key") == 1
    key = host.conf().split("PrivateKey = ")[1].split()[0]
    assert key not in text
    for pid, argv in host.cmdlines().items():
        assert key not in " ".join(argv), pid
    assert key not in host.netjail("plan", "vpn").ok().out
    assert key not in host.netjail("status", "vpn", "--json").ok().out
    assert key not in host.netjail("profile", "show", "vpn").ok().out
    # an ordinary user neither talks to the helper nor takes the place of its files
    said = host.run("setpriv", "--reuid", "7001", "--clear-groups", *host.cli("list"))
    assert said.status == 1
    assert "Traceback" not in said.err
    sock = "import socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/netjail/socket')"
    said = host.run("setpriv", "--reuid", "7001", "--clear-groups", "/usr/bin/python3", "-c", sock)
    assert "PermissionError" in said.err


FAKE = """
import os, sys
# echo keeps its arguments as they are, and a full pipe keeps echo
r, w = os.pipe()
os.set_inheritable(r, True)
os.set_blocking(w, False)
try:
    while True:
        os.write(w, bytes(4096))
except BlockingIOError:
    os.set_blocking(w, True)
os.dup2(w, 1)
os.setresuid(7001, 7001, 7001)
os.execv("/bin/echo", ["wireguard-go", "--foreground", "nj-vpn"])
"""


def test_a_process_that_pretends_to_serve_a_jail_is_left_alone(host: Host) -> None:
    """An ordinary user's program, called like the wireguard-go of a jail."""
    host.tunnel("vpn")
    before = host.baseline
    fake = host.start("/usr/bin/python3", "-c", FAKE)
    assert wait_until(lambda: host.pids("wireguard-go", "nj-vpn"))
    (pid,) = host.pids("wireguard-go", "nj-vpn")
    host.baseline = host.snapshot()
    try:
        host.netjail("up", "vpn").ok()
        host.netjail("down", "vpn").ok()
        host.clean()
        assert host.pids("wireguard-go", "nj-vpn") == [pid]
    finally:
        host.kill(pid)
        fake.wait(10)
        host.baseline = before


def test_a_helper_that_serves_is_not_ended_by_one_that_starts(host: Host) -> None:
    host.profile("lab")
    host.netjail("up", "lab").ok()
    first = host.helpers()
    main = str(Path(__file__).resolve().parents[2] / "netjail/daemon/__main__.py")
    said = host.run(sys.executable, "-I", main, "--no-bus")
    assert said.status == 0, said
    assert host.helpers() == first


RUBBISH = r"""
import os, socket
def request(method, params):
    return b'{"v":1,"id":1,"method":"%s","params":%s}\n' % (method, params)
for data in (
    b"\n", b"{", b"[]\n", b"null\n", os.urandom(5000) + b"\n", b"a" * 2000000,
    b"[" * 100000 + b"\n",
    request(b"up", b'{"profile":"../../x","wait":0}'), request(b"__class__", b"{}"),
    request(b"kill", b'{"profile":"lab","pids":[1],"signal":9}'),
    request(b"enter", b'{"profile":"lab","pid":1}'),
    request(b"enter", b'{"profile":"lab","pid":-1}'),
):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect("/run/netjail/socket")
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(999)
        except OSError:
            pass
"""


def test_sockets_full_of_rubbish(host: Host) -> None:
    host.profile("lab")
    host.netjail("up", "lab").ok()
    host.run("/usr/bin/python3", "-c", RUBBISH).ok()
    assert host.state("lab") == "up"
    assert "Traceback" not in host.path("/run/netjail/netjaild.log").read_text()


def test_a_name_made_to_collide_takes_nothing_of_a_profile_that_is_up(host: Host) -> None:
    """Long names are shortened with a hash. These two have the same CRC: were it that alone, the
    tunnel's interface would come where the other's pair is, and that be deleted for it."""
    mine, theirs = "victim-profile-98", "victim-profile-fe06"
    host.profile(mine)
    host.tunnel(theirs)
    host.netjail("up", mine).ok()
    host.netjail("up", theirs).ok()
    assert host.ask(mine, SERVER4).startswith("inet "), "it goes on as if nothing had been"
    host.netjail("down", theirs).ok()
    assert host.ask(mine, SERVER4).startswith("inet "), "nor is it taken away with the other"
    host.netjail("down", mine).ok()
