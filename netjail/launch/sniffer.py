# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tcpdump in a jail, for as long as somebody holds the other end of its standard input.

Started by the helper as
`python3 -I -S .../launch/sniffer.py PROFILE USER OWNER INTERFACE OPTIONS -- FILTER...` with three
pipes: 0 is the leash (its end means: stop), 1 takes the packets in pcap's form, 2 what tcpdump
says, and before that, in a line of its own, the interface, or why there is no tcpdump.

OWNER is the number of the user whose capture it is: for a helper that finds us, not for us.
tcpdump runs as USER, who is nobody's login, with the capability for packet sockets and no other;
it writes packets and never takes one apart: that is done by whoever reads them, with no more than
their own rights. It sees the jail's /etc, so that a host's name in the filter is asked of the
jail's servers. This process stays outside and as root, and reads nothing but the leash's end.
"""

# Started by path, the package is not importable yet; as in `spawner`.
if not __package__:
    import sys

    _here = __file__.rpartition("/")[0]
    if sys.path and sys.path[0] == _here:
        del sys.path[0]
    sys.path.insert(0, _here.rpartition("/")[0].rpartition("/")[0])
    import netjail.names  # noqa: F401 - this netjail, no other

    del sys.path[0]

import json
import os
import select
import signal
import socket
import sys

from netjail.errors import NetjailError
from netjail.launch import enter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

ANY = "any"
"""All interfaces of a namespace at once, as libpcap calls it."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STOP_MS = 3000
"""How long tcpdump may take to write what it has and to say its counts."""
_FALLBACKS = frozenset(
    {"gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0", "ip6tnl0", "sit0", "tunl0"}
)
"""What some kernels put into every namespace."""


def choose(wanted: str, present: list[str]) -> str:
    """The interface to listen on: the one that is wanted, else the only one there is, else all.

    Raises NetjailError("usage") when there is none of that name.
    """
    useful = [name for name in present if name != "lo" and name not in _FALLBACKS]
    if not wanted:
        return useful[0] if len(useful) == 1 else ANY
    if wanted != ANY and wanted not in present:
        raise NetjailError(
            "usage",
            f"the profile has no interface {wanted}",
            f"it has {', '.join([*useful, 'lo'])}; or take {ANY}, which is all of them",
        )
    return wanted


def argv(interface: str, user: str, options: list[str], words: list[str]) -> list[str]:
    """The command line that becomes `user` with one capability, and then tcpdump."""
    become = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]
    become += [f"--{each}=-all,+net_raw" for each in ("inh-caps", "ambient-caps", "bounding-set")]
    # No promiscuous mode: it would change the interface, and what it stands on, for all.
    return [
        *become,
        "tcpdump",
        "-i",
        interface,
        "-n",
        "-p",
        "-U",
        "-w",
        "-",
        *options,
        "--",
        *words,
    ]


def main(words: list[str]) -> int:
    """Gives tcpdump's exit status, 128 + n if a signal has ended it."""
    split = words.index("--")
    profile, user, _owner, wanted, *options = words[:split]
    os.umask(0o077)
    pid = os.fork()
    if pid == 0:
        _listen(profile, user, wanted, options, words[split + 1 :])
    for fd in (1, 2):  # whoever reads them waits for tcpdump's end, not for ours
        os.close(fd)
    return _hold(pid)


def _listen(
    profile: str, user: str, wanted: str, options: list[str], words: list[str]
) -> "NoReturn":
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        plan = enter.read_enter(profile)
        enter.enter(plan)
        plan.release()
        interface = choose(wanted, [name for _, name in socket.if_nameindex()])
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.chdir("/")
        _say({"interface": interface})
        env = {b"PATH": _PATH.encode(), b"LC_ALL": b"C"}
        enter.execute(argv(interface, user, options, words), env)
    except NetjailError as error:
        _say({"error": error.as_dict()})
    except (enter.ExecError, OSError) as error:
        _say({"error": NetjailError("system", f"tcpdump cannot be started: {error}").as_dict()})
    finally:
        os._exit(1)


def _say(what: dict[str, object]) -> None:
    os.write(2, json.dumps(what).encode() + b"\n")


def _hold(pid: int) -> int:
    """Wait for its end, or for that of the leash: then it is to stop."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(0, 0)  # POLLHUP comes unasked
    if all(fd != pidfd for fd, _ in poll.poll()):
        poll.unregister(0)
        for number in (signal.SIGINT, signal.SIGKILL):
            signal.pidfd_send_signal(pidfd, number)
            if poll.poll(_STOP_MS):
                break
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
