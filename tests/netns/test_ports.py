# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports across a jail's wall: real connections by the real forwarder, on a throw-away host."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing, wait_until

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

PYTHON = ("/usr/bin/python3", "-S", "-c")
ECHO = """
import socket, sys, threading
def talk(peer):
    said = b""
    while data := peer.recv(65536):
        said += data
    peer.sendall(f"{sys.argv[2]} {len(said)} {peer.getpeername()[0]}".encode())
    peer.close()
def udp(sock):
    while True:
        data, who = sock.recvfrom(65535)
        sock.sendto(sys.argv[2].encode() + b" " + data, who)
port = int(sys.argv[1])
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bound.bind(("127.0.0.1", port))
threading.Thread(target=udp, args=[bound], daemon=True).start()
sock = socket.create_server(("127.0.0.1", port))
print("ready", flush=True)
while True:
    threading.Thread(target=talk, args=[sock.accept()[0]], daemon=True).start()
"""
TALK = """
import socket, sys
host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
try:
    with socket.create_connection((host, port), 20) as sock:
        sock.sendall(b"x" * size)
        sock.shutdown(socket.SHUT_WR)
        said = b""
        while data := sock.recv(65536):
            said += data
    print(said.decode() or "nothing")
except ConnectionResetError:
    print("broken off")
except ConnectionRefusedError:
    print("refused")
"""
DATAGRAM = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.sendto(b"hello", ("127.0.0.1", int(sys.argv[1])))
print(sock.recv(99).decode())
"""
HOLD = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
print("connected", flush=True)
sys.stdin.readline()
sock.sendall(b"still here")
sock.shutdown(socket.SHUT_WR)
try:
    print(sock.recv(99).decode() or "nothing", flush=True)
except OSError:
    print("broken off", flush=True)
"""
FORWARD = "[[forward]]\nlisten = 9091\n"
NONE = 'kind = "none"'


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host
        host.netjail("down", "--all", "--kill").ok()
        host.kill(*host.pids("def talk(peer)"), *host.pids("u.sock"))


def serve(host: Host, port: int, name: str, jail: str | None = None) -> object:
    """A service on the host, or inside."""
    argv = (*PYTHON, ECHO, str(port), name)
    process = host.background("run", jail, "--", *argv) if jail else host.start(*argv)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def talk(host: Host, port: int, size: int = 5, address: str = "127.0.0.1") -> str:
    return host.run(*PYTHON, TALK, address, str(port), str(size)).ok().out.strip()


def talk_inside(host: Host, jail: str, port: int, address: str = "127.0.0.1") -> str:
    argv = (*PYTHON, TALK, address, str(port), "5")
    return host.netjail("run", jail, "--", *argv).ok().out.strip()


def forwarder(host: Host) -> int:
    (pid,) = host.pids("forwarder.py")
    return pid


def test_a_service_inside_is_reached_at_the_hosts_loopback_and_sees_its_own(host: Host) -> None:
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").ok()
    serve(host, 9091, "inside", "lab")
    assert talk(host, 9091) == "inside 5 127.0.0.1"
    assert talk(host, 9091, address="::1") == "inside 5 127.0.0.1"
    assert talk(host, 9091, size=3_000_000) == "inside 3000000 127.0.0.1"
    row = host.netjail("port", "list", "lab", "--json").ok().json()["ports"][0]
    assert (row["served"], row["connections"], row["added"]) == (3, 0, False)
    assert "9091" in host.netjail("status", "lab").ok().out
    host.netjail("down", "--kill", "lab").ok()
    assert talk(host, 9091) == "refused"
    assert not host.pids("forwarder.py")


def test_udp_goes_both_ways(host: Host) -> None:
    host.profile("lab", NONE, '[[forward]]\nlisten = 5300\nprotocol = "udp"\n')
    host.netjail("up", "lab").ok()
    serve(host, 5300, "inside", "lab")
    assert host.run(*PYTHON, DATAGRAM, "5300").ok().out == "inside hello\n"


def test_an_exposed_service_of_the_host_is_all_that_is_reached_of_it(host: Host) -> None:
    serve(host, 11434, "model", None)
    serve(host, 11435, "secret", None)
    host.profile("lab", NONE, '[[expose]]\nname = "ollama"\nlisten = 8000\nto = 11434\n')
    host.netjail("up", "lab").ok()
    assert talk_inside(host, "lab", 8000) == "model 5 127.0.0.1"
    assert talk_inside(host, "lab", 8000, "::1") == "model 5 127.0.0.1"
    for port in (11434, 11435):
        assert talk_inside(host, "lab", port) == "refused"
    assert talk(host, 8000) == "refused"
    checked = host.netjail("check", "lab", "--json").ok().json()
    ports = [f for f in checked["findings"] if f["code"] == "ports"]
    assert [f["level"] for f in ports] == ["info"]
    assert "ollama" in ports[0]["text"]


@pytest.mark.slow
def test_a_unix_socket_of_the_host_is_reached_if_it_lets_everybody_in(host: Host) -> None:
    code = (
        "import os, socket; s = socket.socket(socket.AF_UNIX); s.bind('/run/u.sock');"
        "os.chmod('/run/u.sock', 0o666); s.listen(); print('ready', flush=True)\n"
        "while True:\n    c, _ = s.accept(); c.recv(9); c.sendall(b'unix'); c.close()\n"
    )
    server = host.start(*PYTHON, code)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    host.profile("lab", NONE, '[[expose]]\nlisten = 8000\nto = "unix:/run/u.sock"\n')
    host.netjail("up", "lab").ok()
    assert talk_inside(host, "lab", 8000) == "unix"
    host.path("/run/u.sock").chmod(0o600)
    assert talk_inside(host, "lab", 8000) == "broken off"


def test_the_forwarder_has_no_right_in_any_thread_and_sockets_on_both_sides(host: Host) -> None:
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").ok()
    namespaces = set()
    tasks = host.path(f"/proc/{forwarder(host)}/task")
    for task in tasks.iterdir():
        status = dict(
            line.split(":\t", 1)
            for line in (task / "status").read_text().splitlines()
            if "\t" in line
        )
        assert status["NoNewPrivs"] == "1"
        assert not int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapAmb"], 16)
        assert "0" not in status["Uid"].split()
        assert not status["Groups"].strip()
        namespaces.add(os.readlink(task / "ns" / "net"))
    assert len(namespaces) == 2


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused_before_anything_is_changed(host: Host) -> None:
    serve(host, 9091, "other", None)
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").failed("tcp 127.0.0.1:9091 is taken on the host already", "ss ")
    assert host.state("lab") == "down"
    assert talk(host, 9091) == "other 5 127.0.0.1"
    host.profile("two", NONE)
    host.netjail("up", "two").ok()
    host.netjail("port", "add", "two", "9091").failed("taken")
    assert host.netjail("port", "list", "two", "--json").ok().json()["ports"] == []
    host.netjail("port", "add", "two", "9092").ok()
    host.profile("three", NONE, "[[forward]]\nlisten = '0.0.0.0:9092'\n")
    host.netjail("up", "three").failed("the profile two, which is up, forwards tcp")


@pytest.mark.slow
def test_ports_come_and_go_while_it_is_up_and_leave_the_others_alone(host: Host) -> None:
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").ok()
    serve(host, 9091, "inside", "lab")
    held = host.start(*PYTHON, HOLD, "9091")
    assert held.stdout is not None
    assert held.stdin is not None
    assert held.stdout.readline() == "connected\n"
    pid = forwarder(host)
    host.netjail("port", "add", "lab", "127.0.0.1:8080", "9091").ok()
    assert talk(host, 8080) == "inside 5 127.0.0.1"
    assert talk(host, 8080, address="::1") == "refused"
    host.netjail("port", "add", "lab", "127.0.0.1:8080", "9999").failed("has tcp 127.0.0.1:8080")
    host.netjail("port", "remove", "lab", "127.0.0.1:8080").ok()
    assert talk(host, 8080) == "refused"
    host.netjail("port", "remove", "lab", "8081").failed("has no port", status=2)
    host.kill_helper()
    host.netjail("port", "add", "lab", "8082", "9091").ok()
    assert talk(host, 8082) == "inside 5 127.0.0.1"
    assert forwarder(host) == pid
    held.stdin.write("\n")
    held.stdin.flush()
    assert held.stdout.readline() == "inside 10 127.0.0.1\n"
    # what was added lasts across an `up`, and ends with the jail
    host.netjail("up", "lab").ok()
    assert talk(host, 8082) == "inside 5 127.0.0.1"
    host.netjail("down", "--kill", "lab").ok()
    host.netjail("up", "lab").ok()
    listed = host.netjail("port", "list", "lab", "--json").ok().json()["ports"]
    assert [row["listen"] for row in listed] == ["localhost:9091"]


@pytest.mark.slow
def test_a_removed_port_breaks_off_its_connections(host: Host) -> None:
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").ok()
    serve(host, 9091, "inside", "lab")
    held = host.start(*PYTHON, HOLD, "9091")
    assert held.stdout is not None
    assert held.stdin is not None
    assert held.stdout.readline() == "connected\n"
    assert wait_until(lambda: _connections(host) == 1, 20)
    host.netjail("port", "remove", "lab", "9091").ok()
    held.stdin.write("\n")
    held.stdin.flush()
    assert "inside" not in held.stdout.read()


def _connections(host: Host) -> int:
    rows = host.netjail("port", "list", "lab", "--json").ok().json()["ports"]
    return sum(row["connections"] or 0 for row in rows)


@pytest.mark.slow
def test_a_changed_file_changes_the_ports_and_keeps_what_stays(host: Host) -> None:
    host.profile("lab", NONE, FORWARD + "[[forward]]\nlisten = 9092\nto = 9091\n")
    host.netjail("up", "lab").ok()
    serve(host, 9091, "inside", "lab")
    pid = forwarder(host)
    text = f"version = 1\n[uplink]\n{NONE}\n{FORWARD}[[forward]]\nlisten = 9093\nto = 9091\n"
    host.write("/run/lab.toml", text)
    host.netjail("profile", "add", "--replace", "--name", "lab", "/run/lab.toml").ok()
    host.netjail("up", "lab").ok()
    assert [talk(host, port)[:6] for port in (9091, 9092, 9093)] == ["inside", "refuse", "inside"]
    assert forwarder(host) == pid


@pytest.mark.slow
def test_a_forwarder_that_dies_is_started_again(host: Host) -> None:
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").ok()
    serve(host, 9091, "inside", "lab")
    host.kill(forwarder(host))
    assert wait_until(lambda: host.pids("forwarder.py") and talk(host, 9091)[:6] == "inside", 30)
    assert host.state("lab") == "up"


@pytest.mark.slow
def test_a_neighbour_reaches_it_only_where_the_profile_says_so(host: Host) -> None:
    host.profile(
        "lab",
        NONE,
        '[[forward]]\nlisten = "192.168.7.10:9091"\n' + "[[forward]]\nlisten = 9092\nto = 9091\n",
    )
    host.netjail("up", "lab").ok()
    serve(host, 9091, "inside", "lab")
    near = ("ip", "netns", "exec", "neigh", *PYTHON, TALK)
    assert host.run(*near, "192.168.7.10", "9091", "5").ok().out == "inside 5 127.0.0.1\n"
    assert host.run(*near, "192.168.7.10", "9092", "5").ok().out == "refused\n"
    host.netjail("port", "add", "lab", "203.0.113.99:9095").failed("no such address")


def test_where_nobody_listens_inside_a_connection_is_broken_off(host: Host) -> None:
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").ok()
    assert talk(host, 9091) in ("broken off", "nothing")


@pytest.mark.slow
def test_programs_inside_are_counted_without_the_forwarder(host: Host) -> None:
    host.profile("lab", NONE, FORWARD)
    host.netjail("up", "lab").ok()
    assert host.netjail("ps", "lab", "--json").ok().json()["programs"] == []
    host.netjail("down", "lab").ok()
