# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a user sends around a launch: the helper and its spawner live, keep no descriptor, and
do nothing that was not asked for in good form."""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import pickle
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import userbox
from userbox import ALICE, UserBox, eventually

pytestmark = pytest.mark.skipif(userbox.missing() is not None, reason=str(userbox.missing()))

EXAMPLES = int(os.environ.get("NETJAIL_FUZZ", "120"))
"""For a long run by hand: NETJAIL_FUZZ=20000."""
SEEN = "/run/home/alice/seen"


class Puppet:
    """A process of alice's on the host that does what it is told."""

    def __init__(self, box: UserBox) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                self._become(box)
                self._serve(theirs)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        theirs.close()
        self._sock = ours
        self._file = ours.makefile("rb")

    @staticmethod
    def _become(box: UserBox) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for kind in ("net", "mnt"):
            fd = os.open(f"/proc/{box.pid}/ns/{kind}", os.O_RDONLY)
            assert libc.setns(fd, 0) == 0
            os.close(fd)
        os.setsid()
        os.setgroups([ALICE])
        os.setresgid(ALICE, ALICE, ALICE)
        os.setresuid(ALICE, ALICE, ALICE)
        os.chdir("/")

    def _serve(self, sock: socket.socket) -> None:
        file = sock.makefile("rb")
        while True:
            sock.sendall(pickle.dumps(self._do(*pickle.load(file))))

    @staticmethod
    def _do(sends: list[tuple[bytes, int]], packets: list[tuple[bytes, str]]) -> Any:
        """Send bytes with so many descriptors each; then, if there is a channel, packets with
        descriptors ("d" a directory, "n" /dev/null, "t" a terminal, "s" a socket)."""
        said, fds = b"", array.array("i")
        with contextlib.ExitStack() as stack:
            made: list[int] = []
            stack.callback(lambda: [os.close(fd) for fd in (*made, *fds)])
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(10)
            sock.connect("/run/netjail/socket")
            try:
                for data, count in sends:
                    if count:
                        made += [os.open("/", os.O_RDONLY) for _ in range(count)]
                        socket.send_fds(sock, [data], made[-count:])
                    else:
                        sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while True:
                    data, controls, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(64))
                    for _, _, each in controls:
                        fds.frombytes(each)
                    said += data
                    if not data or fds:
                        break
            except (BrokenPipeError, ConnectionResetError):
                pass
            status = None
            if len(fds) >= 3:
                with socket.socket(fileno=os.dup(fds[2])) as channel:
                    for word, kinds in packets:
                        these = []
                        for kind in kinds:
                            if kind == "t":
                                master, slave = os.openpty()
                                made.append(master)
                                these.append(slave)
                            elif kind == "s":
                                these.append(socket.socket().detach())
                            else:
                                flags = os.O_PATH if kind == "d" else os.O_RDWR
                                these.append(os.open("/" if kind == "d" else "/dev/null", flags))
                        made += these
                        with contextlib.suppress(OSError):
                            socket.send_fds(channel, [word], these)
                os.close(fds.pop(2))
                status = os.read(fds[1], 64).decode()
        return said, status

    def do(self, sends: list[tuple[bytes, int]], packets: list[tuple[bytes, str]]) -> Any:
        self._sock.sendall(pickle.dumps((sends, packets)))
        return pickle.load(self._file)

    def close(self) -> None:
        self._file.close()
        self._sock.close()
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def box() -> Iterator[UserBox]:
    box = UserBox()
    box.start_helper()
    box.call("up", profile="lab")
    yield box
    log = box.log()
    box.close()
    assert "Traceback" not in log and "bug" not in log, log


@pytest.fixture(scope="module")
def puppet(box: UserBox) -> Iterator[Puppet]:
    puppet = Puppet(box)
    yield puppet
    puppet.close()


@pytest.fixture(autouse=True)
def unharmed(box: UserBox, puppet: Puppet) -> Iterator[None]:
    assert box.helper is not None
    pids = (box.helper.pid, box.spawner())
    before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
    yield
    assert box.helper.poll() is None and box.spawner() == pids[1]
    eventually(lambda: [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids] == before, 15)
    assert box.netjail("run", "lab", "id", "-un").stdout == "alice\n"
    assert not box.path(SEEN).exists()


LAX = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
texts = st.text(max_size=30)
near = {
    "profile": st.sampled_from(["lab", "lab", "nosuch", "../lab", ""]) | json_values,
    "argv": st.just(["true"]) | st.lists(texts, max_size=4).map(lambda words: ["true", *words])
    | json_values,
    "env": st.none() | st.lists(texts | st.just("A=b"), max_size=5) | json_values,
    "umask": st.none() | st.integers(-1, 0o1000) | json_values,
    "ignored": st.integers(-1, 1 << 66) | json_values,
    "stdio": st.sampled_from(["plain", "terminal", "background", "detached"]) | json_values,
    "directory": st.none() | texts | json_values,
    "wait": st.none() | st.just(0) | json_values,
}  # fmt: skip
params = st.fixed_dictionaries({}, optional={**near, "more": json_values})
words = st.sampled_from([b"F", b"F", b"F", b"C1", b"S9", b"O", b"E", b"", b"FFFF"]) | st.binary(
    max_size=40
)
packets = st.lists(st.tuples(words, st.text("dnnnts", max_size=7)), max_size=3)


@LAX
@given(given_=params, packets_=packets, carried=st.integers(-20, 8))
def test_requests(
    puppet: Puppet, given_: dict[str, Any], packets_: list[tuple[bytes, str]], carried: int
) -> None:
    try:
        line = json.dumps(
            {
                "v": 1,
                "id": 1,
                "method": "launch",
                "params": {"profile": "lab", "argv": ["true"]} | given_,
            }
        ).encode()
    except ValueError:
        return
    said, _ = puppet.do([(line + b"\n", max(0, carried))], packets_)
    for each in said.splitlines():
        answer = json.loads(each)
        code = answer.get("error", {}).get("code")
        assert "result" in answer or "exited" in answer or code in {
            "bad-request", "invalid-name", "no-such-profile", "not-authorised", "usage"
        }, answer  # fmt: skip
        if carried > 0:
            assert code == "bad-request"


@LAX
@given(mode=st.sampled_from(["plain", "terminal", "background", "detached"]), packets_=packets)
def test_channels(puppet: Puppet, mode: str, packets_: list[tuple[bytes, str]]) -> None:
    """Only what was said in the request, in full and in order, makes a program."""
    line = json.dumps(
        {"v": 1, "id": 1, "method": "launch",
         "params": {"profile": "lab", "argv": ["true"], "env": ["PATH=/bin"], "stdio": mode}}
    ).encode()  # fmt: skip
    said, status = puppet.do([(line + b"\n", 0)], packets_)
    assert json.loads(said.splitlines()[0])["result"]["pid"] > 0
    first = packets_[0] if packets_ else (b"", "")
    right = {"plain": "dxxx", "detached": "d", "terminal": "dxxxt", "background": "dxxxt"}[mode]
    fits = first[0][:1] == b"F" and len(first[0]) <= 16 and len(first[1]) == len(right)
    fits = fits and first[1][0] == "d" and (right[-1] != "t" or first[1][-1] == "t")
    if not fits:
        assert status != "0", (mode, packets_)
    elif mode in ("plain", "detached"):
        assert status == "0", (mode, packets_)


@LAX
@given(data=st.binary(max_size=200), fds=st.integers(0, 3))
def test_garbage(puppet: Puppet, data: bytes, fds: int) -> None:
    said, _ = puppet.do([(data + b"\n", fds)], [])
    for each in said.splitlines():
        assert json.loads(each)["error"]["code"] == "bad-request"


def test_half_a_message_then_nothing(puppet: Puppet) -> None:
    line = b'{"v":1,"id":1,"method":"launch","params":{"profile":"lab","argv":["touch","%s"]}}' % (
        SEEN.encode()
    )
    for end in range(0, len(line), 7):
        puppet.do([(line[:end], 0)], [])
