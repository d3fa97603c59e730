# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail check`: whether anything leaks, seen from inside and from outside."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, clean, display_width, plural
from netjail.cli.parser import VerbParser, profile_name
from netjail.cli.up import DEFAULT_WAIT, bring_up
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from netjail.leaks.settings import Settings

_MARKS = {
    "ok": ("✓", "ok", "green"),
    "info": ("·", "info", "dim"),
    "warning": ("!", "warning", "yellow"),
    "leak": ("✗", "LEAK", "error"),
}
"""Level to mark on a terminal, word elsewhere, style."""
_INSIDE = "looking from inside"
_ACCEPTED = ("~", "accepted", "dim")


def parser() -> VerbParser:
    """The arguments of `check`."""
    parser = VerbParser(
        "check",
        "[OPTIONS] PROFILE",
        "Looks from inside a profile's network and from outside, as you, and compares: exit\n"
        "addresses, interfaces, routes, every way that DNS can take, sockets that lead out,\n"
        "packet size, the tunnel's last handshake. The profile is brought up if it is down.\n"
        "\n"
        "By default nobody is asked but the profile's own servers, from inside: routes and\n"
        "sockets tell what would happen. To compare the addresses that others see, name a\n"
        "page that answers with its visitor's address (--echo). It is then visited twice:\n"
        "inside, and outside, as you. All that was sent is listed.\n"
        "\n"
        "~/.config/netjail/config.toml may hold what you always want:\n"
        "  [check]\n"
        '  echo = "https://ip.example/"\n'
        '  accept = ["socket-docker"]',
        examples=(
            ("netjail check vpn", ""),
            ("netjail check vpn --echo https://ip.example/", ""),
            ("netjail check vpn --offline --json", "for scripts"),
        ),
        exits=(
            ("0", "clean: no leak, no warning but accepted ones"),
            ("1", "something was found, or the check failed"),
        ),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile")
    parser.option("--echo", metavar="URL", help="a page that answers with its visitor's address")
    parser.option(
        "--echo-dns", metavar="NAME", help="a name that resolves to the address of who asks for it"
    )
    parser.option("--resolver", metavar="ADDRESS", help="ask this one straight for that name, too")
    parser.option(
        "--offline", action="store_true", help="ask nobody outside, whatever the settings say"
    )
    parser.option(
        "--accept",
        metavar="CODE",
        action="append",
        default=[],
        help="a warning that you know and accept (may be given several times)",
    )
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """What the helper's `check` says; exit 1 unless it is clean."""
    from netjail.leaks import outside

    wanted = _settings(args)
    with context.progress("looking from outside"):
        seen = outside.look(wanted.options())
    asked = {"profile": args.profile, "outside": seen, "accept": list(wanted.accept)}
    asked |= wanted.options()
    try:
        data = context.call("check", _INSIDE, **asked)
    except NetjailError as error:
        if error.code != "not-up":
            raise
        # Not before: it would mend what is to be found.
        bring_up(context, args.profile, DEFAULT_WAIT)
        data = context.call("check", _INSIDE, **asked)
    return Result(data, exit=0 if data["clean"] else 1)


def _settings(args: Namespace) -> Settings:
    from netjail.leaks import settings

    own = settings.load()
    wanted = settings.checked(
        own.echo if args.echo is None else args.echo,
        own.echo_dns if args.echo_dns is None else args.echo_dns,
        own.resolver if args.resolver is None else args.resolver,
        (*own.accept, *args.accept),
    )
    return wanted.offline() if args.offline else wanted


def render(data: dict[str, Any], output: Output) -> None:
    """By group; what to do below what is not well; what was sent; the verdict last."""
    findings = data["findings"]
    width = max((display_width(clean(each["title"])) for each in findings), default=0)
    group = None
    for each in findings:
        if each["group"] != group:
            if group is not None:
                output.line()
            group = each["group"]
            output.line(Text(group, "bold"))
        _finding(each, width, output)
    output.line()
    _sent(data, output)
    _verdict(data, output)


def _finding(each: dict[str, Any], width: int, output: Output) -> None:
    pretty = output.out.terminal and output.out.unicode
    margin = 2 if pretty else 10
    level = each["level"] if each["level"] in _MARKS else "info"
    mark, word, style = _ACCEPTED if each["accepted"] else _MARKS[level]
    head = Text(mark if pretty else word, style)
    indent = 2 + margin + width + 2
    title = clean(each["title"])
    for number, line in enumerate(output.wrap(each["text"], indent)):
        if number == 0:
            space = " " * (margin - display_width(head.text))
            padding = " " * (width - display_width(title) + 2)
            output.line("  ", head, space, title, padding, line)
        else:
            output.line(" " * indent, line)
    if level in ("warning", "leak") and not each["accepted"]:
        for text, how in ((each["why"], "dim"), (each["todo"], "cyan")):
            for line in output.wrap(text, indent):
                output.line(" " * indent, Text(line, how))


def _sent(data: dict[str, Any], output: Output) -> None:
    for title, key in (("Sent from inside", "sent_inside"), ("Sent from outside", "sent_outside")):
        sent = data[key]
        text = "; ".join(sent) if sent else "nothing"
        output.paragraph(f"{title}: {text}.", style="dim")


def _verdict(data: dict[str, Any], output: Output) -> None:
    counts, name = data["counts"], data["profile"]
    known = f" ({plural(counts['accepted'], 'accepted finding')})" if counts["accepted"] else ""
    if counts["leak"]:
        more = f" and {plural(counts['warning'], 'warning')}" if counts["warning"] else ""
        output.line(Text(f"{name}: {plural(counts['leak'], 'leak')}{more}.", "error"), known)
    elif counts["warning"]:
        words = f"{name}: no leak, {plural(counts['warning'], 'warning')}."
        output.line(Text(words, "warning"), known)
    else:
        output.line(Text(f"{name}: nothing leaks.", "green"), known)
