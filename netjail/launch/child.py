# SPDX-License-Identifier: GPL-3.0-or-later
"""The spawner's child: from a copy of a root process to the program that a user asked for.

It begins with root's credentials and nothing else of root's that could be left over: no
descriptor but its channel, no environment, no signal handling. In the end it is the user's process
wholly, or it ends: there is no way on past a step that failed.
"""

import _signal  # type: ignore[import-not-found]  # the package signal imports enum
import _socket
import marshal
import posix
import select

from netjail import names
from netjail.launch import enter, identity, inherit, keeper, processes, rare, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TypedDict

    from netjail.launch.caller import Inherited

    class Order(TypedDict):
        """What to start, as the helper has it; everything about the caller is the kernel's word.

        `groups`: supplementary ones. `ignored`: signals that the caller ignores, as bits (1 << n).
        `mode`: see `wire`. `directory`: where `channel` is false, that is, where no client sends
        descriptors. `label`: the caller's SELinux or AppArmor context.
        """

        profile: str
        argv: list[str]
        env: list[str]
        umask: int
        ignored: int
        mode: int
        channel: bool
        directory: str
        uid: int
        gid: int
        groups: list[int]
        label: str | None
        inherited: Inherited


SECONDS = 10.0
"""How long to wait for the order, for the helper's word, for the client's descriptors."""
_JOURNAL = b"/run/systemd/journal/stdout"
_PYTHONS = (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ)
"""Signals for which Python has set something other than the default."""
_SIGNALS_MAX = 64
_CANNOT_ENTER = (1, 13)  # EPERM, EACCES: a file system of the user's own (FUSE), or over a network

DESCRIPTORS = 65536
"""More than the helper, and so the spawner, may have open."""


class Surroundings:
    """What the spawner has found out once for all its children."""

    __slots__ = ("bounding", "hierarchies")

    def __init__(self) -> None:
        self.hierarchies = inherit.mounted_hierarchies()
        self.bounding = processes.bounding_set()


def run(channel: int, around: Surroundings) -> "NoReturn":
    """Become the program of the order that comes over `channel`. Does not return."""
    status = names.EXIT_RUN_FAILED
    try:
        sock = _begin(channel)
        said = _order(sock)
        if said is not None:
            status = _run(*said, sock, around)
    except BaseException as error:
        status = _report(channel, error)
    finally:
        posix._exit(status)


def _report(channel: int, error: BaseException) -> int:
    """Tell whoever waits why there is no program; gives our exit status."""
    status, code, hint = names.EXIT_RUN_FAILED, getattr(error, "code", None), None
    message = getattr(error, "message", None)
    if isinstance(error, enter.ExecError):
        status, code = error.status, "exec"
    elif code is None or message is None:
        code, message = "internal", f"a bug in netjail: {type(error).__name__}: {error}"
    else:
        hint = getattr(error, "hint", None)
    try:
        sock = _socket.socket(fileno=posix.dup(channel))
        sock.settimeout(0)
        sock.send(wire.failed(status, str(code), str(message), hint))
    except OSError:
        pass  # nobody listens
    return status


def _begin(channel: int) -> "_socket.socket":
    """Let go of all that the spawner has."""
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    for fd in (0, 1, 2):
        posix.dup2(null, fd)
    # Others' children have their channels and pipes open in the spawner, and so have we till now.
    posix.closerange(3, channel)
    posix.closerange(channel + 1, DESCRIPTORS)
    for number in _PYTHONS:
        _signal.signal(number, _signal.SIG_DFL)
    posix.setsid()
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, channel)


def _order(sock: "_socket.socket") -> "tuple[Order, int] | None":
    """What to do, and the pipe over which we hear whether to; None: nothing. Nobody but the helper
    can have sent the first packet."""
    sock.settimeout(SECONDS)
    try:
        packet, controls, _, _ = sock.recvmsg(16, _socket.CMSG_SPACE(8), _socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    if packet != wire.ORDER:
        return None
    fd, word = memoryview(controls[0][2]).cast("i")
    data = posix.pread(fd, posix.fstat(fd).st_size, 0)
    posix.close(fd)
    order: Order = marshal.loads(data)  # noqa: S302 - the helper wrote it, this very Python
    return order, word


def _run(order: "Order", word: int, sock: "_socket.socket", around: Surroundings) -> int:  # noqa: RET503
    """Gives the exit status of the keeper of a terminal; for the program there is no return."""
    # All this is done to ourselves alone; nothing else is before the helper says that they may.
    inherit.join_cgroups(order["inherited"]["cgroups"], around.hierarchies)
    inherit.take_on(order["inherited"], around.bounding)
    received = plan = None
    if _first(sock if order["channel"] else None, word) == sock.fileno():
        received = _receive(order, sock)
        if received[0] < 0:
            plan = _get_ready(order["profile"])
        _first(None, word)
    if posix.read(word, 16) != wire.BEGIN:  # a pipe, of which only the helper has the other end
        return names.EXIT_RUN_FAILED
    posix.close(word)
    terminal, elsewhere, early = received or _receive(order, sock)
    if terminal >= 0:
        if early:
            _await(sock)
        foreground = order["mode"] == wire.TERMINAL
        pid = keeper.split(terminal, foreground)
        if pid:
            # before anything can go wrong: from here on there are two processes
            return keeper.keep(pid, sock, terminal, lambda: _become(order))
        posix.close(terminal)
    if plan is None:
        plan = enter.read_enter(order["profile"])
        enter.enter(plan)
    else:
        if not enter.hold(plan):  # taken down since, or changed
            raise rare.not_up(order["profile"])
        enter.enter_network(plan)
        enter.enter_sys(plan)
    # We are inside, where `down` finds us; what follows may take as long as the user's own file
    # systems like.
    plan.release()
    confinement = inherit.security_context(order["label"])
    inherit.limits(order["inherited"]["limits"])
    _become(order)
    _change_directory(order, elsewhere)
    if order["mode"] == wire.DETACHED:
        _to_the_journal(order["argv"][0])
    posix.umask(order["umask"])
    _ignore(order["ignored"])
    if early and terminal < 0:
        _await(sock)
    # LD_PRELOAD and its kind are the user's own business: nothing of the environment has been
    # ours so far. It comes with execve(2), when the process is the user's already.
    argv, env = order["argv"], _environment(order["env"])
    if plan.port:
        rare.tell_port(plan.port, env)
    else:
        for each in enter.PORT:
            env.pop(each, None)
    words = names.bus_filter(plan.name, argv) if plan.filtered else argv
    if confinement is not None:
        confinement.enter()
    enter.execute(words, env)


def _await(sock: "_socket.socket") -> None:
    """Until the client is ready for a program that runs: to pass its signals on, to tell its end.
    One that has gone gets none."""
    sock.settimeout(SECONDS)
    try:
        if sock.recv(16)[:1] == wire.READY:
            sock.settimeout(None)
            return
    except OSError:
        pass
    posix._exit(names.EXIT_RUN_FAILED)


def _first(sock: "_socket.socket | None", word: int) -> int:
    """Wait for the client's descriptors or the helper's word: which descriptor has something to
    read. When nothing comes in time, the pipe is closed, as if there were no word."""
    poll = select.poll()
    poll.register(word, select.POLLIN)
    if sock is not None:
        poll.register(sock.fileno(), select.POLLIN)
    ready = [fd for fd, _ in poll.poll(SECONDS * 1000)]
    if not ready:
        posix._exit(names.EXIT_RUN_FAILED)
    return word if word in ready else ready[0]


def _get_ready(profile: str) -> "enter.Enter | None":
    """Put up what the jail shows of /etc and /run, in a mount namespace of our own, before it is
    known whether the caller may: that is seen by nobody, and takes no lock, so that it keeps no
    `down` waiting. None: that has to be done all over again, with its errors."""
    try:
        plan = enter.look(profile)
    except Exception:
        return None
    try:
        enter.enter_files(plan)
    except Exception:
        # half done: an error that comes again, if they may know of it
        plan.release()
        return None
    return plan


def _receive(order: "Order", sock: "_socket.socket") -> "tuple[int, tuple[int, str], bool]":
    """Take the client's descriptors and put them in place: those are for the program alone.

    Gives the terminal, or -1; (descriptor, path) of a directory that root cannot enter; whether
    the client has still to say that it is ready.
    """
    if not order["channel"]:
        return -1, (-1, order["directory"]), False
    sock.settimeout(SECONDS)
    space = _socket.CMSG_SPACE(4 * wire.DESCRIPTORS_MAX)
    try:
        packet, controls, flags, _ = sock.recvmsg(16, space, _socket.MSG_CMSG_CLOEXEC)
    except TimeoutError:
        raise rare.error("timeout", "the caller did not send its descriptors in time") from None
    sock.settimeout(None)
    fds: list[int] = []
    for level, kind, data in controls:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += memoryview(data[: len(data) // 4 * 4]).cast("i")
    if packet[:1] != wire.DESCRIPTORS or flags & _socket.MSG_CTRUNC:
        raise rare.error("bad-request", "the caller sent something else than its descriptors")
    if len(fds) != wire.EXPECTED[order["mode"]]:
        raise rare.error("bad-request", f"the caller sent {len(fds)} descriptors")
    directory, *stdio = fds
    terminal = stdio.pop() if order["mode"] in (wire.TERMINAL, wire.BACKGROUND) else -1
    for number, fd in enumerate(stdio):
        posix.dup2(fd, number)
        posix.close(fd)
    if terminal >= 0 and not posix.isatty(terminal):
        raise rare.error("bad-request", "the terminal that the caller sent is none")
    elsewhere = _enter_directory(directory)
    if elsewhere[0] < 0:
        posix.close(directory)
    return terminal, elsewhere, packet == wire.DESCRIPTORS_EARLY


def _enter_directory(directory: int) -> tuple[int, str]:
    """Go to the caller's directory while its mounts still are ours: the new mount namespace takes
    it along. One that only its user may enter comes later, by its path."""
    try:
        posix.fchdir(directory)
    except NotADirectoryError:
        raise rare.error("bad-request", "the directory that the caller sent is none") from None
    except OSError as error:
        if error.errno not in _CANNOT_ENTER:
            raise rare.error(
                "system", f"cannot go to the caller's directory: {error.strerror}"
            ) from None
        return directory, posix.readlink(f"/proc/self/fd/{directory}")
    return -1, ""


def _change_directory(order: "Order", elsewhere: tuple[int, str]) -> None:
    """As the user: to the one that root could not enter. It must be the same, not only its name."""
    directory, path = elsewhere
    if not path:
        return
    try:
        posix.chdir(path)
        if directory >= 0:
            there, wanted = posix.stat("."), posix.fstat(directory)
            if (there.st_dev, there.st_ino) != (wanted.st_dev, wanted.st_ino):
                posix.fchdir(directory)
    except OSError as error:
        if not order["channel"]:
            posix.chdir("/")  # a launcher's: its home may be away
            return
        raise rare.error("system", f"cannot go to {path}: {error.strerror}") from None


def _become(order: "Order") -> None:
    """The user, with nothing of root left."""
    if order["uid"] == 0:
        _become_root(order)
    else:
        identity.drop(
            identity.Identity(  # noqa: S604 - `shell` is a name only
                uid=order["uid"],
                gid=order["gid"],
                groups=order["groups"],
                name=f"user {order['uid']}",
                home="/",
                shell="/bin/sh",
            )
        )
        if sorted(posix.getgroups()) != sorted(order["groups"]):
            raise rare.error("system", "the caller's groups cannot be taken on")
    processes.new_session_keyring(of_user=True)


def _become_root(order: "Order") -> None:
    """A caller who is root keeps what the bounding set (see `inherit`) leaves of it."""
    posix.setgroups(order["groups"])
    posix.setresgid(order["gid"], order["gid"], order["gid"])
    posix.setresuid(0, 0, 0)


def _environment(entries: list[str]) -> "dict[bytes, bytes]":
    env: dict[bytes, bytes] = {}
    for entry in entries:
        name, equals, value = entry.encode("utf-8", "surrogateescape").partition(b"=")
        if equals and name:
            env.setdefault(name, value)
    return env


def _ignore(signals: int) -> None:
    for number in range(1, _SIGNALS_MAX + 1):
        if signals >> number & 1:
            try:
                _signal.signal(number, _signal.SIG_IGN)
            except (OSError, ValueError):
                pass  # SIGKILL and its kind, which nobody ignores


def _to_the_journal(name: str) -> None:
    """Standard output and error to the system's journal, as the desktop has it, or to nowhere."""
    try:
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        sock.connect(_JOURNAL)
        word = name.rpartition("/")[2].encode("utf-8", "replace").replace(b"\n", b" ")
        sock.sendall(word + b"\n\n6\n0\n0\n0\n0\n")
    except OSError:
        return
    for fd in (1, 2):
        posix.dup2(sock.fileno(), fd)
    sock.close()
