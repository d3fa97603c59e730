# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own settings of the leak check, in ~/.config/netjail/config.toml:

    [check]
    echo = "https://ip.example/"       # a page that answers with the visitor's address
    echo_dns = "whoami.example"        # a name that resolves to whoever asks for it
    resolver = "192.0.2.53"            # ask this one straight for it, too
    accept = ["socket-docker"]         # findings that are known and fine

Whom to trust with one's address is each user's own decision, hence not in a profile, which an
administrator may have written. Nothing is set by default: netjail asks no third party unasked.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, replace
from typing import Any

from netjail.errors import NetjailError
from netjail.leaks.codes import CODES

URL = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^/:?#@\s]+)(:\d{1,5})?(/\S*)?")
NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_MAX = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """`echo`, `echo_dns`, `resolver`: "" for none. `accept`: codes of findings."""

    echo: str = ""
    echo_dns: str = ""
    resolver: str = ""
    accept: tuple[str, ...] = ()

    def offline(self) -> Settings:
        """The same with nobody to ask."""
        return replace(self, echo="", echo_dns="", resolver="")

    def options(self) -> dict[str, Any]:
        """For the probe."""
        return {"echo": self.echo, "echo_dns": self.echo_dns, "resolver": self.resolver}


def checked(echo: str, echo_dns: str, resolver: str, accept: tuple[str, ...]) -> Settings:
    """Settings, if they make sense. Raises NetjailError("bad-request")."""
    if echo and (len(echo) > _MAX or not URL.fullmatch(echo) or not echo.isprintable()):
        raise _bad(f"`{echo[:80]}` is no http or https URL", "such as https://ip.example/")
    if echo_dns and (len(echo_dns) > 253 or not NAME.fullmatch(echo_dns)):
        raise _bad(f"`{echo_dns[:80]}` is no host name", "such as whoami.example")
    if resolver:
        try:
            ipaddress.ip_address(resolver)
        except ValueError:
            raise _bad(f"`{resolver[:80]}` is no address", "such as 192.0.2.53") from None
    for code in accept:
        if code not in CODES:
            raise _bad(f"there is no finding `{code[:40]}`", f"known: {', '.join(CODES)}")
    return Settings(echo, echo_dns, resolver, accept)


def path() -> str:
    """The user's file."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(base, "netjail", "config.toml")


def load() -> Settings:
    """What the user has set. Raises NetjailError where the file is not valid."""
    import tomllib

    try:
        with open(path(), "rb") as file:
            section = tomllib.load(file).get("check", {})
    except (FileNotFoundError, NotADirectoryError):
        return Settings()
    except (OSError, ValueError) as error:
        raise _bad(f"{path()} cannot be read: {error}", "mend or remove the file") from None
    if not isinstance(section, dict):
        raise _bad(f"{path()}: `check` is no table", "[check]")
    words = {}
    for key in ("echo", "echo_dns", "resolver"):
        words[key] = section.pop(key, "")
    accept = section.pop("accept", [])
    if section:
        raise _bad(
            f"{path()}: [check] has no `{next(iter(section))}`", "echo, echo_dns, resolver, accept"
        )
    strings = [*words.values(), *(accept if isinstance(accept, list) else [None])]
    if not all(isinstance(each, str) for each in strings):
        raise _bad(
            f"{path()}: [check] wants texts, and `accept` a list of them", "see netjail-check(1)"
        )
    return checked(**words, accept=tuple(accept))


def _bad(message: str, hint: str) -> NetjailError:
    return NetjailError("bad-request", message, hint)
