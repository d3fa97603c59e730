# SPDX-License-Identifier: GPL-3.0-or-later
"""What the wg-quick import leaves out: which lines, in which words, and how they may be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from netjail.profile import checks


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A line of the file that netjail does not obey. `text` holds no secrets, `why` a sentence."""

    line_no: int
    text: str
    why: str


_HOOKS = {"preup": "PreUp", "postup": "PostUp", "predown": "PreDown", "postdown": "PostDown"}
_APPS = {
    "includedapplications": "IncludedApplications",
    "excludedapplications": "ExcludedApplications",
}
_AMNEZIA_JUNK = {"j1": "J1", "j2": "J2", "j3": "J3", "itime": "Itime"}
KEYS = {"table": "Table", "saveconfig": "SaveConfig", **_HOOKS, **_APPS, **_AMNEZIA_JUNK}
"""Keys of wg-quick(8) and of its relatives that are never obeyed, by folded name."""

_HOOK = "netjail never runs commands out of a file"
_KILL_SWITCH = f"{_HOOK}; a kill switch is not needed, the jail has no way out but the tunnel"
_HOOK_DNS = f"{_HOOK}; the servers of the DNS line are used in the jail without it"
_HOOK_ROUTE = f"{_HOOK}; the jail's routes are what AllowedIPs says"
_SAVE = "netjail does not write the state of the tunnel back into a file"
_TABLE_OFF = (
    "Table = off is for people who make the routes by hand; in a jail the tunnel is the only "
    "interface, so netjail makes the routes of AllowedIPs there, and the host's stay as they are"
)
_TABLE = "a jail has routing tables of its own; netjail makes the routes of AllowedIPs there"
_ONLY_APPS = "a list for Android; here you choose by what you start with `netjail run`"
_JUNK_OF_1_5 = (
    "AmneziaWG had it for a while only, and its tools know it no more; it is junk that this side "
    "sends, which the server does not need"
)
TILDE = (
    "~ is for systemd-resolved, to send some names here and others elsewhere; "
    "in a jail all names go to the profile's servers"
)


def reason(folded: str, value: str) -> str:
    """Why a line with one of KEYS is left out."""
    if folded in _HOOKS:
        words = value.lower()
        if re.search(r"\b(iptables|ip6tables|nft|ufw|firewall-cmd|pfctl)\b", words):
            return _KILL_SWITCH
        if re.search(r"\b(resolvconf|resolvectl|systemd-resolve|resolv\.conf)\b", words):
            return _HOOK_DNS
        if re.search(r"\bip\s+(-\S+\s+)*(route|rule)\b", words):
            return _HOOK_ROUTE
        return _HOOK
    if folded == "saveconfig":
        return _SAVE
    if folded in _AMNEZIA_JUNK:
        return _JUNK_OF_1_5
    if folded in _APPS:
        return _ONLY_APPS
    return _TABLE_OFF if value.lower() == "off" else _TABLE


_SECRET_WORD = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|auth(?:orization)?|bearer|psk"
    r"|private[_-]?key|preshared[_-]?key|credentials?)[\"']?(?:\s*[=:]\s*|\s+))"
    r"(?:bearer\s+|basic\s+)?(\"[^\"]*\"?|'[^']*'?|[^\s;|&]+)"
)
_USER_INFO = re.compile(r"(://)[^/@\s]+@")
_SHORT_USER = re.compile(r"(\s(?:-u|--user|-p)[=\s]?\s*)(\S+)")
_RANDOM = re.compile(
    r"(?<![A-Za-z0-9_+-])(?=[A-Za-z0-9_+=-]*[0-9])(?=[A-Za-z0-9_+=-]*[A-Z])"
    r"(?=[A-Za-z0-9_+=-]*[a-z])[A-Za-z0-9_+=-]{20,}"
)


def mask_command(value: str, secrets: Iterable[str]) -> str:
    """A command fit to be shown. Hides too much rather than too little."""
    value = value[:2000]
    for secret in secrets:
        value = value.replace(secret, checks.HIDDEN)
    value = _USER_INFO.sub(rf"\1{checks.HIDDEN}@", value)
    value = _SECRET_WORD.sub(rf"\1{checks.HIDDEN}", value)
    if re.search(r"\b(curl|wget|http)\b", value):
        value = _SHORT_USER.sub(rf"\1{checks.HIDDEN}", value)
    value = _RANDOM.sub(checks.HIDDEN, checks.mask(value))
    return checks.printable(value, 100)
