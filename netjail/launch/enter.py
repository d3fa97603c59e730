# SPDX-License-Identifier: GPL-3.0-or-later
"""From the host into a jail, and on into the program.

The `enter` file, which the engine writes, says how; it exists exactly while the jail may be
entered. Whoever enters holds a shared lock on it until his exec: `down` takes it exclusively
before it looks whether programs are inside.

Each launch gets a mount namespace of its own, a slave of the host's: so media that the host
mounts later are seen by programs started later, even where / is not shared. Nothing here goes
on without a protection that it could not put up: it raises, and the caller must end.

On the launch path: imports nothing slow (a test holds the list), and `errors` only to fail.
"""

import _signal  # type: ignore[import-not-found]  # the package signal imports enum
import fcntl
import posix
import sys

from netjail import names
from netjail.launch import identity as identities
from netjail.launch import syscalls
from netjail.launch.identity import Env, Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import NoReturn

_HEADER = ["netjail-enter", "1"]
MOUNT_SOURCE = "netjail"
"""What the overlay on /etc calls its source in /proc/self/mountinfo."""

_SYS_MOUNTS = (
    "/sys/fs/cgroup",
    "/sys/fs/bpf",
    "/sys/fs/fuse/connections",
    "/sys/fs/pstore",
    "/sys/fs/resctrl",
    "/sys/fs/selinux",
    "/sys/kernel/security",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
    "/sys/kernel/config",
    "/sys/firmware/efi/efivars",
)
"""What a host may have mounted below /sys: carried over the fresh one though no line names it."""

_ENOENT, _ENOEXEC, _EACCES, _EINVAL = 2, 8, 13, 22
_SHELL = b"/bin/sh"
PORT = (b"NETJAIL_PORT", b"NETJAIL_PORT_FILE")
"""The variables that tell of the provider's port. Those of another jail, from which somebody starts
a program in this one, are nothing to it."""
_DEFAULT_PATH = b"/bin:/usr/bin"
"""Where execvp(3) looks when there is no PATH."""


class Enter:
    """What an `enter` file says, and the shared lock on it (a close-on-exec descriptor)."""

    __slots__ = (
        *("dev", "etc", "filtered", "hides", "ino", "keeps", "lock", "name", "net", "port", "stop"),
    )

    def __init__(self, name: str, lock: int) -> None:
        self.name = name
        self.lock = lock
        self.stop = ""
        self.net = ""
        self.dev = 0
        self.ino = 0
        self.etc = ""
        self.filtered = False
        """Whether programs see the session bus through a filter; see netjail.desktop.busfilter."""
        self.port = ""
        """The file with the port that the provider lends, where the profile asks for one."""
        self.hides: list[tuple[str, str]] = []
        """(what is hidden, what is seen in its place)"""
        self.keeps: list[str] = []

    def release(self) -> None:
        """Give the lock back without having entered."""
        posix.close(self.lock)


class ExecError(Exception):
    """The program could not be started: why, and what the exit status is then."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _rare() -> "ModuleType":
    """What most launches do not need, and do not load."""
    from netjail.launch import rare

    return rare


# the enter file


def read_enter(name: str) -> Enter:
    """How to enter the jail `name`, locked against `down`.

    Raises NetjailError("not-up") when there is nothing to enter.
    """
    while True:
        plan = look(name)
        try:
            if hold(plan):
                return plan
        except BaseException:
            plan.release()
            raise
        plan.release()  # taken down, perhaps up again, while we waited for the lock


def look(name: str) -> Enter:
    """How to enter the jail `name`, as it is now: not locked before `hold`. Raises as
    `read_enter`."""
    try:
        fd = posix.open(names.enter_file(name), posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except FileNotFoundError:
        raise _rare().not_up(name) from None
    except OSError as error:
        raise _rare().unreadable(name, error) from None
    try:
        return parse_enter(name, _read(fd), fd)
    except BaseException:
        posix.close(fd)
        raise


def hold(plan: Enter) -> bool:
    """Lock it against `down`; False: it is not how to enter the jail any more."""
    fcntl.flock(plan.lock, fcntl.LOCK_SH)
    return _is_at(plan.lock, names.enter_file(plan.name))


def _is_at(fd: int, path: str) -> bool:
    """Whether the file open as `fd` is still the one that `path` names."""
    try:
        there = posix.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = posix.fstat(fd)
    return here.st_ino == there.st_ino and here.st_dev == there.st_dev


def _read(fd: int) -> str:
    data = b""
    while chunk := posix.read(fd, 65536):
        data += chunk
    return data.decode(sys.getfilesystemencoding(), "surrogateescape")


def parse_enter(name: str, text: str, lock: int) -> Enter:
    """The content of an `enter` file. Raises NetjailError for one that is not to be trusted."""
    plan = Enter(name, lock)
    lines = [line.split("\t") for line in text.split("\n") if line]
    if not lines or lines[0] != _HEADER:
        raise _rare().unusable(name, "another version of netjail wrote how to enter it")
    profile = None
    try:
        for key, *values in lines[1:]:
            if key == "hide":
                where, by = values
                plan.hides.append((where, by))
            elif key == "keep":
                (where,) = values
                plan.keeps.append(where)
            elif key == "net":
                plan.net, dev, ino = values
                plan.dev, plan.ino = int(dev), int(ino)
            elif key == "etc":
                (plan.etc,) = values
            elif key == "stop":
                (plan.stop,) = values
            elif key == "port":
                (plan.port,) = values
            elif key == "filter":
                plan.filtered = values == ["session-bus"]
            elif key == "profile":
                (profile,) = values
            else:
                raise ValueError(key)
    except ValueError:
        raise _rare().unusable(name, "how to enter it is not legible") from None
    if profile != name or not (plan.net and plan.etc and plan.stop):
        raise _rare().unusable(name, "how to enter it is not complete")
    return plan


# entering


def enter(plan: Enter) -> None:
    """Take the process into the jail: its network, and its view of /etc, /run and /sys.

    The process must have one thread. Its directory stays, also one that only its user may
    enter. On NetjailError it may be half inside: it must end.
    """
    enter_network(plan)
    enter_view(plan)


def enter_network(plan: Enter) -> None:
    """Take the calling thread into the jail's network namespace, after a look that it is it."""
    try:
        fd = posix.open(plan.net, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise _rare().conflict(plan.name, plan.net, f"cannot be opened: {error.strerror}") from None
    try:
        found = posix.fstat(fd)
        if (found.st_dev, found.st_ino) != (plan.dev, plan.ino):
            raise _rare().conflict(plan.name, plan.net, "is not the namespace that netjail made")
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
    except OSError as error:
        raise _rare().failed(plan.name, "its network namespace cannot be entered", error) from None
    finally:
        posix.close(fd)


def enter_view(plan: Enter) -> None:
    """Give the process a mount namespace with the jail's /etc, /run and /sys."""
    enter_files(plan)
    enter_sys(plan)


def enter_files(plan: Enter) -> None:
    """The mount namespace, with the jail's /etc and /run. Needs not be in its network yet."""
    directory = _working_directory()
    _step(plan, "no mount namespace can be made for it", _leave_mounts)
    carried = _pick_up(_etc_keeps(plan))
    _step(plan, "its /etc cannot be mounted", lambda: _mount_etc(plan))
    _put_down(carried)
    _check_etc(plan)
    for where, by in plan.hides:
        _step(plan, f"{where} cannot be hidden", _hide, where, by)
    _return_to(directory, ["/etc", *[where for where, _ in plan.hides]])


def enter_sys(plan: Enter) -> None:
    """A /sys of the network namespace that the process is in by now."""
    directory = _working_directory()
    carried = _pick_up(_sys_keeps(plan))
    _step(plan, "its /sys cannot be mounted", _mount_sys)
    _put_down(carried)
    _return_to(directory, ["/sys"])


def _step(plan: Enter, what: str, act: "Callable[..., None]", *args: str) -> None:
    try:
        act(*args)
    except OSError as error:
        raise _rare().failed(plan.name, what, error) from None


def _leave_mounts() -> None:
    """A mount namespace that follows the host's, and tells it nothing."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    try:
        _make_slave()
    except OSError as error:
        if error.errno != _EINVAL:
            raise
        _rare().outside_of_chroot(_make_slave)


def _make_slave() -> None:
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE, None)


def _etc_keeps(plan: Enter) -> list[str]:
    """The host's mounts below /etc that the overlay would cover, save what is ours there."""
    return [
        path
        for path in plan.keeps
        if path.startswith("/etc/") and not _exists(plan.etc + path.removeprefix("/etc"))
    ]


def _sys_keeps(plan: Enter) -> list[str]:
    known = [path for path in plan.keeps if path.startswith("/sys/")]
    return known + [path for path in _SYS_MOUNTS if path not in known]


def _pick_up(paths: "Iterable[str]") -> list[tuple[str, int]]:
    """Copies of the mounts at `paths`, those that are mounts now, before something covers them."""
    carried = []
    for path in paths:
        if syscalls.is_mount_point(path):
            try:
                carried.append((path, syscalls.open_tree(path)))
            except OSError:
                pass  # gone this moment, or unbindable
    return carried


def _put_down(carried: list[tuple[str, int]]) -> None:
    """Mount the copies again where they were; what has no place there any more is left out."""
    for path, fd in carried:
        try:
            syscalls.move_mount(fd, path)
        except OSError:
            pass
        posix.close(fd)


def _mount_etc(plan: Enter) -> None:
    if _link("/etc/resolv.conf").startswith(names.VIEW_DIR + "/"):  # we come from a jail
        _rare().uncover_etc(MOUNT_SOURCE)
    # no laxer than what is below: an overlay does not inherit these
    flags = posix.statvfs("/etc").f_flag & syscalls.MS_NOEXEC
    flags |= syscalls.MS_RDONLY | syscalls.MS_NODEV | syscalls.MS_NOSUID
    lower = overlay_escape(plan.etc)
    syscalls.mount(MOUNT_SOURCE, "/etc", "overlay", flags, f"lowerdir={lower}:/etc")


def _check_etc(plan: Enter) -> None:
    """Make sure that the resolv.conf that programs will see is the jail's."""
    link = _link(f"{plan.etc}/resolv.conf")
    if not link or link != _link("/etc/resolv.conf"):
        raise _rare().not_in_place(plan.name)


def _link(path: str) -> str:
    """What a symbolic link says; empty where there is none."""
    try:
        return posix.readlink(path)
    except OSError:
        return ""


def _hide(where: str, by: str) -> None:
    """Mount `by`, read-only, over `where`, unless there is no such thing or it is done already."""
    try:
        there = posix.stat(where)
    except (FileNotFoundError, NotADirectoryError):
        return
    ours = posix.stat(by)
    if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
        return  # /var/run/nscd, after /run/nscd
    syscalls.mount(by, where, None, syscalls.MS_BIND, None)
    flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY
    flags |= syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount(None, where, None, flags, None)


def _mount_sys() -> None:
    """A sysfs of the jail's network over the host's, if the host has one."""
    if not syscalls.is_mount_point("/sys"):
        return
    flags = posix.statvfs("/sys").f_flag & syscalls.MS_RDONLY
    flags |= syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("sysfs", "/sys", "sysfs", flags, None)


def overlay_escape(path: str) -> str:
    """A path as overlay's lowerdir option takes it."""
    for char in "\\:,":
        path = path.replace(char, "\\" + char)
    return path


def _working_directory() -> str:
    """Where we are, by path; empty when there is none."""
    try:
        return posix.getcwd()
    except OSError:
        return ""


def _return_to(directory: str, covered: list[str]) -> None:
    """Go to the same place again if it is below a new mount; else we are still in it."""
    if not any(directory == path or directory.startswith(path + "/") for path in covered):
        return
    try:
        posix.chdir(directory)
    except OSError:
        posix.chdir("/")


def _exists(path: str) -> bool:
    try:
        posix.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return True


# the program


def execute(argv: list[str], env: Env) -> "NoReturn":
    """Become the program, looked for as execvp(3) does, in PATH of `env`. Raises ExecError."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them
        _signal.signal(number, _signal.SIG_DFL)
    args = [_bytes(arg) for arg in argv]
    path = env.get(b"PATH", _DEFAULT_PATH)
    if b"/" in args[0]:
        raise _exec_error(args[0], _try(args[0], args, env))
    refused = None
    for directory in path.split(b":") if args[0] else []:
        file = directory + b"/" + args[0] if directory else args[0]
        if posix.access(file, posix.F_OK):
            error = _try(file, args, env)
            if refused is None or refused.filename is None:
                refused = error
            if error.errno not in (_EACCES, _ENOENT):
                break
    if refused is None:
        raise ExecError(names.EXIT_NOT_FOUND, f"{argv[0]}: command not found")
    raise _exec_error(args[0], refused)


def _try(file: bytes, args: list[bytes], env: Env) -> OSError:
    """execve(2); a file without a known format is a shell's. Gives the error with its file."""
    try:
        try:
            posix.execve(file, args, env)
        except OSError as error:
            if error.errno != _ENOEXEC:
                raise
            posix.execve(_SHELL, [_SHELL, file, *args[1:]], env)
    except OSError as error:
        return OSError(error.errno, error.strerror, file)


def _exec_error(name: bytes, error: OSError) -> ExecError:
    try:
        rare = _rare()
    except (ImportError, OSError):  # root alone may read it, and we are not root any more
        status = names.EXIT_NOT_FOUND if error.errno == _ENOENT else names.EXIT_NOT_EXECUTABLE
        return ExecError(status, f"{name.decode(errors='replace')}: {error.strerror}")
    return ExecError(*rare.exec_failure(name, error))


def _bytes(text: str) -> bytes:
    return text.encode(sys.getfilesystemencoding(), "surrogateescape")


# all together


def run_in_place(
    name: str,
    argv: list[str],
    identity: Identity | None,
    env: Env | None = None,
    inside: "Callable[[], None] | None" = None,
) -> "NoReturn":
    """Enter the jail `name` and become the program `argv`, as `identity` (None: as we are).

    `env`: what it starts from, by default our own. `inside` is called once we are in the jail
    and before root is given up: the lock is held then, so `down` waits for it.
    Raises NetjailError (the process must then end: it may be half inside), and SystemExit with
    126 or 127, after saying why on stderr, when the program cannot be executed.
    """
    start(read_enter(name), argv, identity, env, inside)


def start(
    plan: Enter,
    argv: list[str],
    identity: Identity | None,
    env: Env | None = None,
    inside: "Callable[[], None] | None" = None,
) -> "NoReturn":
    """As `run_in_place`, with the `enter` file read already."""
    env = identities.environment(identity, posix.environ if env is None else env)
    enter(plan)
    if inside is not None:
        inside()
    if plan.port:
        _rare().tell_port(plan.port, env)
    else:
        for each in PORT:
            env.pop(each, None)
    if identity is not None:
        identities.drop(identity)
    try:
        execute(names.bus_filter(plan.name, argv) if plan.filtered else argv, env)
    except ExecError as error:
        _say(f"netjail: {error.message}\n")
        raise SystemExit(error.status) from None


def _say(text: str) -> None:
    try:
        posix.write(2, text.encode(errors="replace"))
    except OSError:
        pass  # nobody listens
