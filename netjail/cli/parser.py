# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument parser of one verb: argparse with our wording, and help that teaches."""

from __future__ import annotations

import argparse

from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn


class HelpAskedError(Exception):
    """Raised by -h; carries the text."""


class _HelpAction(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise HelpAskedError(parser.format_help())


class _Formatter(argparse.HelpFormatter):
    def _format_action_invocation(self, action: argparse.Action) -> str:
        """`-u, --user USER`, as later versions of Python have it."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        flags = ", ".join(action.option_strings)
        return f"{flags} {action.metavar or action.dest.upper()}"


class VerbParser(argparse.ArgumentParser):
    """Parser of `verb`. `about`: what it does; `examples`: (command, what it does) pairs;
    `exits`: (status, meaning) pairs; `json`: whether the verb reports and so has --json."""

    def __init__(  # noqa: PLR0917
        self,
        verb: str,
        synopsis: str,
        about: str,
        examples: Sequence[tuple[str, str]] = (),
        exits: Sequence[tuple[str, str]] = (),
        json: bool = True,
    ) -> None:
        super().__init__(
            prog=f"netjail {verb}",
            usage=f"netjail {verb} {synopsis}".rstrip(),
            add_help=False,
            allow_abbrev=False,
        )
        self.verb = verb
        self.about = about.strip()
        self.examples = examples
        self.exits = exits
        self.words = self.add_argument_group("Arguments")
        self.choices = self.add_argument_group("Options")
        if json:
            self.choices.add_argument(
                "--json", action="store_true", help="print one line of JSON instead of text"
            )
        self.choices.add_argument("-h", "--help", nargs=0, action=_HelpAction, help="this text")

    def word(self, name: str, **options: Any) -> None:
        """Add an argument that has no dash."""
        self.words.add_argument(name, **options)

    def option(self, *flags: str, **options: Any) -> None:
        """Add an option."""
        self.choices.add_argument(*flags, **options)

    def error(self, message: str) -> NoReturn:
        raise self.wrong(message)

    def wrong(self, message: str) -> NetjailError:
        """A usage error of this verb."""
        return NetjailError(
            "usage",
            message,
            f"Usage: {self.usage}\n`netjail {self.verb} --help` says more.",
        )

    def parse(self, words: list[str]) -> argparse.Namespace:
        """The arguments; raises `usage`."""
        args, rest = self.parse_known_args(words)
        if rest:
            raise self.unknown(rest[0])
        return args

    def unknown(self, word: str) -> NetjailError:
        """The error for an argument that there is not."""
        if not word.startswith("-"):
            return self.wrong(f"there is one argument too many: {word}")
        from netjail.cli.verbs import suggest

        flag = word.partition("=")[0]
        known = [f for action in self._actions for f in action.option_strings if len(f) > 2]
        near = suggest(flag, known)
        return self.wrong(
            f"there is no option {flag}" + (f"; did you mean {near}?" if near else "")
        )

    def format_help(self) -> str:
        formatter = _Formatter(self.prog, max_help_position=26, width=86)
        for group in (self.words, self.choices):
            formatter.start_section(group.title)
            # what every verb has comes last
            actions = sorted(group._group_actions, key=lambda a: a.dest in ("json", "help"))
            formatter.add_arguments(actions)
            formatter.end_section()
        parts = [f"Usage:\n  {self.usage}", self.about, formatter.format_help().strip()]
        if self.examples:
            parts.append("Examples:\n" + "\n".join(self._examples()))
        if self.exits:
            parts.append("Exit status:\n" + "\n".join(_columns(self.exits)))
        return "\n\n".join(parts) + "\n"

    def _examples(self) -> list[str]:
        if max(len(command) for command, _ in self.examples) <= 44:
            return _columns(self.examples)
        return [
            line
            for command, what in self.examples
            for line in (f"  {command}", f"      {what}")
            if line.strip()
        ]


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"  {left:<{width}}   {right}".rstrip() for left, right in rows]


def seconds(text: str) -> float:
    """A number of seconds from 0 to an hour, as a type for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of seconds from 0 to 3600")
    return value


def profile_name(text: str) -> str:
    """A profile's name, as a type for argparse."""
    from netjail.names import valid_name

    if not valid_name(text):
        raise NetjailError(
            "invalid-name",
            f"`{text[:80]}` cannot be a profile's name",
            "A name has 1 to 31 of a-z, 0-9, - and _, and starts with a letter or digit.",
        )
    return text


def switch_name(text: str) -> str:
    """A switch's name, as a type for argparse."""
    from netjail.names import valid_name

    if not valid_name(text):
        raise NetjailError(
            "invalid-name",
            f"`{text[:80]}` cannot be a switch's name",
            "A name has 1 to 31 of a-z, 0-9, - and _, and starts with a letter or digit.",
        )
    return text
