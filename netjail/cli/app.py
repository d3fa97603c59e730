# SPDX-License-Identifier: GPL-3.0-or-later
"""From the words of the command line to an exit status.

Only the module of the verb that was asked for is imported. A verb's module has
`parser() -> VerbParser`, `execute(args, context) -> Result` and `render(data, output)`.
"""

from __future__ import annotations

import os
import sys

from netjail import __version__, names
from netjail.cli import verbs
from netjail.cli.output import Output, OutputLostError
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from netjail.cli.context import Context
    from netjail.client import Client
    from netjail.launch.ask import Asked

PROGRAM_VERBS = frozenset({"open", "run", "shell"})
"""Verbs whose exit status and stdout belong to the program that they start."""

NO_JSON = PROGRAM_VERBS | {"demo", "help", "tray"}

_PACKAGES = {"wgconfig": "wgconfig", "tomli_w": "tomli-w", "xdg": "pyxdg"}
"""Python packages that verbs need and that may be missing from an incomplete installation, with
what the package index calls them."""

_EXIT_PIPE = 141
"""128 + SIGPIPE: what the shell says of a program whose reader went away."""

OVERVIEW = """\
netjail keeps each VPN, and each other network you use, in a network namespace of its
own, and starts the programs you choose inside it. The rest of the system stays as it is.

Start here:
  sudo netjail demo                            see it work; touches nothing of yours
  netjail import provider.conf --name vpn      the file of your VPN provider, as it is
  netjail run vpn firefox                      in that network, as you

More:
  netjail list                                 your profiles
  netjail --help                               all verbs
  netjail help run                             one verb, with examples
"""


def main(argv: Sequence[str] | None = None, asked: Asked | None = None) -> int:
    """Run the command line `argv` (without the program's name); returns the exit status.

    `asked`: the helper was asked already for what `argv` says; its answer is still to come.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    output = Output()
    try:
        status = _guarded(words, output, asked)
        output.out.flush()
        return status
    except OutputLostError as lost:
        return _lost(lost, output)


def _resume(asked: Asked) -> Callable[[], Client]:
    def connect() -> Client:
        from netjail import client

        return client.resume(asked.sock.detach(), asked.line, asked.received)

    return connect


def done(verb: str, data: dict[str, Any]) -> int:
    """Render what `netjail.main` was told by the helper itself; returns the exit status."""
    output = Output()
    output.verb = verb
    try:
        load(verb).render(data, output)
        output.out.flush()
        return 0
    except OutputLostError as lost:
        return _lost(lost, output)


def _lost(lost: OutputLostError, output: Output) -> int:
    """stdout takes no more: the exit status, and why if that is worth saying."""
    _drop_stdout()
    if isinstance(lost.error, BrokenPipeError):
        return _EXIT_PIPE
    output.json = False
    output.error(NetjailError("system", f"cannot write the output: {lost.error.strerror}"))
    return names.EXIT_FAILED


def _guarded(words: list[str], output: Output, asked: Asked | None) -> int:
    from netjail.cli.context import Context

    try:
        return dispatch(words, Context(output, words, None if asked is None else _resume(asked)))
    except NetjailError as error:
        output.error(error)
        if error.code == "usage":
            return names.EXIT_USAGE
        if error.code == "interrupted":
            return names.EXIT_INTERRUPTED
        return names.EXIT_RUN_FAILED if output.verb in PROGRAM_VERBS else names.EXIT_FAILED
    except KeyboardInterrupt:
        output.error(NetjailError("interrupted", "interrupted"))
        return names.EXIT_INTERRUPTED
    except OutputLostError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) and error.name in _PACKAGES:
            output.error(_not_installed(error.name))
            return names.EXIT_RUN_FAILED if output.verb in PROGRAM_VERBS else names.EXIT_FAILED
        return _bug(error, words, output)


def dispatch(words: list[str], context: Context) -> int:
    """Find the verb, run it, render what it returns. Raises NetjailError."""
    output = context.output
    rest = _own_options(words, output)
    if rest is None:
        return 0
    verb, arguments = verbs.find(rest)
    output.verb = verb
    if verb not in NO_JSON and "--json" in _before_dashes(arguments):
        output.json = True  # also for an error in the arguments themselves
    if output.json and verb in NO_JSON:
        output.json = False
        if verb == "demo":  # tells its story while it runs, so it writes the envelope itself
            return dispatch(["demo", "--json", *arguments], context)
        raise NetjailError("usage", f"`netjail {verb}` has no --json: it reports nothing")
    from netjail.cli.parser import HelpAskedError

    module = load(verb)
    try:
        args = module.parser().parse(arguments)
    except HelpAskedError as asked:
        output.json = False
        output.help(str(asked))
        return 0
    result = module.execute(args, context)
    if output.json:
        output.envelope(result.data, result.error)
    else:
        module.render(result.data, output)
        if result.error is not None:
            output.out.flush()
            output.error(result.error)
    return int(result.exit)


def load(verb: str) -> Any:
    """The module of `verb`."""
    name = "netjail.cli." + verbs.MODULES[verb]
    __import__(name)  # importlib, which says the same, takes half a millisecond to import
    return sys.modules[name]


def _own_options(words: list[str], output: Output) -> list[str] | None:
    """What is left after the options before the verb; None when all is done already."""
    words = list(words)
    if not words:
        output.help(OVERVIEW)
        return None
    help_asked = version_asked = False
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--json":
            output.json = True
        elif option == "--no-ask-password":
            output.ask_password = False
        elif option in ("-h", "--help"):
            help_asked = True
        elif option in ("-V", "--version"):
            version_asked = True
        else:
            near = verbs.suggest(option, ("--json", "--help", "--version", "--no-ask-password"))
            raise NetjailError(
                "usage",
                f"there is no option {option}",
                f"Did you mean {near}?" if near else "`netjail --help` lists all verbs.",
            )
    if version_asked:
        output.verb = "version"
        if output.json:
            output.envelope({"version": __version__}, None)
        else:
            output.line(f"netjail {__version__}")
        return None
    family = len(words) == 2 and words[0] in verbs.FAMILIES and words[1] in ("-h", "--help")
    if not words or (help_asked and words[0] in verbs.FAMILIES and len(words) == 1) or family:
        output.json = False
        output.help(all_verbs(words[0] + " " if words else ""))
        return None
    return [*words, "--help"] if help_asked else words


def all_verbs(prefix: str = "") -> str:
    """The text of `netjail --help`, or of one family of verbs."""
    more = (
        "Options before the verb:\n"
        "  --json             print one line of JSON instead of text\n"
        "  --no-ask-password  fail rather than ask for a password\n"
        "  --version          print the version\n"
        "\n"
        "`netjail help VERB` explains one verb, with examples.\n"
    )
    usage = f"Usage:\n  netjail {prefix or 'VERB '}...\n\n"
    return usage + verbs.listing(prefix) + "\n" + more


def _before_dashes(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


def _drop_stdout() -> None:
    """Let what is still in the buffer go nowhere, or Python complains about it at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass


def _not_installed(package: str) -> NetjailError:
    return NetjailError(
        "missing-program",
        f"netjail is not completely installed: the Python package {package} is missing",
        f"Install it for {sys.executable}: pip install {_PACKAGES[package]}",
    )


def _bug(error: BaseException, words: list[str], output: Output) -> int:
    from netjail.cli import bug

    output.error(bug.report(error, words))
    return names.EXIT_BUG
