# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `netjail` starts: the short way into a jail that is up, else the command line.

The short way imports no argparse, json, os, re or site (a test holds the list); Python itself
takes three quarters of a launch already.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from netjail.launch.ask import Asked
    from netjail.launch.asking import FailedError


class _Request:
    """What `netjail run` was asked for, as far as the short way understands it."""

    __slots__ = ("argv", "detach", "name", "user", "via_helper", "wait")

    def __init__(self, name: str, argv: list[str], user: str | None) -> None:
        self.name = name
        self.argv = argv
        self.user = user
        self.wait: float | None = None
        self.detach = False
        self.via_helper = False

    @property
    def plain(self) -> bool:
        """Nothing that the short way of root knows nothing of; waiting is for the long one."""
        return not (self.wait or self.detach or self.via_helper)


def main(argv: "Sequence[str] | None" = None, packages: "Sequence[str]" = ()) -> int:
    """Do what the words of `argv` (without the program's name) say; gives the exit status.

    `packages`: directories where Python finds what netjail needs besides its own standard
    library, for a launcher that runs without `site`.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if words and words[0] == "run":
            request = parse_run(words[1:])
            if request is not None and posix.geteuid() == 0 and request.plain:
                _run(request, words)
            elif request is not None and (posix.geteuid() != 0 or request.via_helper):
                _launch(request, words, packages)
        if len(words) > 1 and words[0] in ("up", "down") and posix.geteuid() == 0:
            return _ask(words, packages)
        if words and words[0] == "_complete":  # at every press of TAB
            from netjail.cli import complete

            return complete.main(words[1:])
        return _command_line(words, packages)
    except KeyboardInterrupt:
        return 130
    except SystemExit as ended:
        if "--notify" in words and "--via-helper" not in words and posix.geteuid() == 0:
            from netjail.cli import notifying  # root's program would have taken our own place

            notifying.ended(ended.code)
        raise


def parse_run(words: list[str]) -> _Request | None:
    """The words after `run`; None when anything about them is not plain."""
    user = wait = None
    detach = via_helper = False
    at, end = 0, len(words)
    while at < end and words[at].startswith("-"):
        word = words[at]
        at += 1
        if word == "--no-wait":
            wait = 0.0
            continue
        if word in ("-d", "--detach"):
            detach = True
            continue
        if word == "--via-helper":
            via_helper = True
            continue
        if word == "--notify":  # a matter of how an error is told; see cli.notifying
            continue
        option, equals, value = word.partition("=")
        if not (equals and option.startswith("--")):
            if word.startswith("-u") and word != "-u":
                option, value = "-u", word[2:]
            elif at < end:
                option, value = word, words[at]
                at += 1
            else:
                return None
        if option in ("-u", "--user") and value:
            user = value
        elif option == "--wait" and value.isascii() and value.isdigit():
            wait = float(value)
        else:
            return None
    if at >= end:
        return None
    name, argv = words[at], words[at + 1 :]
    if argv and argv[0] == "--":
        argv = argv[1:]
    elif argv and argv[0].startswith("-"):
        return None
    if not argv:
        return None
    from netjail import names

    if names.has_habits(argv[0]):
        return None  # what has habits may need more than to be started
    request = _Request(name, argv, user)
    request.wait, request.detach, request.via_helper = wait, detach, via_helper
    return request


def _run(request: _Request, words: list[str]) -> None:
    """Become the program, if the jail is up and nobody needs to be asked; else come back.

    Ends the process (SystemExit) when it fails after the point of no return.
    """
    from netjail import names

    if not names.valid_name(request.name) or not helper_alive(names.HELPER_LOCK):
        return
    from netjail.launch import enter, identity

    try:
        who = identity.resolve(request.user, posix.environ)
        plan = enter.read_enter(request.name)
        if plan.stop == "never":
            enter.start(plan, request.argv, who)
        plan.release()
    except Exception as error:
        code = getattr(error, "code", None)
        if code == "conflict":
            plan.release()  # its namespace has lost its name: the helper, asked, puts that right
        elif code != "not-up":
            raise SystemExit(_report(error, words)) from None


def _launch(request: _Request, words: list[str], packages: "Sequence[str]") -> None:
    """Have the helper start the program, and end like it; come back where no helper is there.

    Raises SystemExit where the helper, or the way into the jail, says no.
    """
    from netjail import names

    if request.user is not None or not names.valid_name(request.name):
        return
    from netjail import launch as launching

    sock = launching.connect(names.SOCKET, request.name)
    if sock is None:
        return
    from netjail.launch import asking

    name, argv, wait, detach = request.name, request.argv, request.wait, request.detach
    try:
        terminal = asking.ask(sock, name, argv, wait=wait, detach=detach)
        from netjail.launch import request as requests  # while the helper is at work

        launch = requests.Launch(sock, terminal, detach)
        if launch.started():
            launch.finish()
    except asking.FailedError as failed:
        if failed.code == "not-up":
            return  # taken down this moment: the long way brings it up again
        raise SystemExit(_report_launch(failed)) from None
    _site(packages)
    from netjail.cli import relay

    def begin() -> "requests.Launch | None":
        return requests.begin(name, argv, wait=wait, detach=detach)

    raise SystemExit(relay.resume(launch, begin, name, words))


def _report_launch(failed: "FailedError") -> int:
    """Say why there is no program; gives the exit status."""
    from netjail.cli import output, relay

    if failed.code == "exec":
        relay.say(failed.message)
    else:
        output.Output().error(relay.error_of(failed))
    return failed.status


def _ask(words: list[str], packages: "Sequence[str]") -> int:
    """`up NAME`, `down NAME...` and `down --all`: short where the helper runs and all goes well.

    Otherwise the long way goes on, with what has been asked already.
    """
    from netjail import names

    verb, profiles = words[0], list(dict.fromkeys(words[1:]))
    everything = words == ["down", "--all"]
    if not everything and not all(map(names.valid_name, profiles)):
        return _command_line(words, packages)
    if verb == "up" and len(profiles) > 1:
        return _command_line(words, packages)
    from netjail.launch import ask

    if verb == "up":
        params = ask.up_params(profiles[0], names.UP_WAIT)
    else:
        params = ask.down_params(None if everything else profiles)
    asked = ask.ask(verb, params)
    if asked is None:
        return _command_line(words, packages)
    from netjail.cli import app

    app.load(verb)  # while the helper works
    line = asked.answer()
    results: list[dict[str, object]] | None = None
    if line is not None and verb == "up":
        result = ask.read_up(line, profiles[0])
        results = None if result is None else [result]
    elif line is not None:
        results = ask.read_down(line)
    if results is None:
        return _command_line(words, packages, asked)
    return app.done(verb, {"results": results})


def helper_alive(lock: str) -> bool:
    """Whether the helper holds its lock, the file `lock`."""
    import fcntl

    try:
        fd = posix.open(lock, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        posix.close(fd)
    return False


def _report(error: Exception, words: list[str]) -> int:
    """Say what went wrong on the short way; gives the exit status."""
    from netjail import names
    from netjail.cli import output
    from netjail.errors import NetjailError

    if isinstance(error, NetjailError):
        output.Output().error(error)
        return names.EXIT_USAGE if error.code == "usage" else names.EXIT_RUN_FAILED
    _site(())
    from netjail.cli import bug

    output.Output().error(bug.report(error, words))
    return names.EXIT_BUG


def _command_line(words: list[str], packages: "Sequence[str]", asked: "Asked | None" = None) -> int:
    """The long way: every verb, every option."""
    _site(packages)
    from netjail.cli import app

    return app.main(words, asked)


def _site(packages: "Sequence[str]") -> None:
    """Let Python find installed packages, if the launcher started it without `site`."""
    if "site" not in sys.modules:
        import site

        site.main()
    for directory in packages:
        if directory not in sys.path:
            sys.path.append(directory)
