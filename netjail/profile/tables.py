# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading tables of a TOML file by a table of keys; every problem is collected.

Knows nothing of what the values mean to each other: that is `schema`'s business for profiles,
`switch`'s for switches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netjail.errors import NetjailError
from netjail.profile import checks, keys
from netjail.profile.checks import Bad
from netjail.profile.key import Key, KeySet
from netjail.profile.keys import PROFILE

Path = tuple[str | int, ...]
Values = dict[str, Any]

MANY = 100
"""Complaints that are still worth reading; a message on the socket has an end, too."""


def dotted(path: Path) -> str:
    """`("uplink", "peer", 0, "endpoint")` as people read it: `uplink.peer#1.endpoint`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"#{part + 1}"
        else:
            text += f".{plain(part)}" if text else plain(part)
    return text


def plain(name: str) -> str:
    """A key as messages name it."""
    return checks.printable(name, 40) if name else '""'


class Report:
    """Problems (the file cannot stand) and warnings (it can, but look). No secrets in either."""

    def __init__(
        self,
        locate: Callable[[Path], str] = dotted,
        line: Callable[[Path], int | None] = lambda _: None,
    ) -> None:
        """`locate` words where a path is in the file, `line` gives the order of problems."""
        self._locate = locate
        self._line = line
        self._count = 0
        self._found: dict[tuple[int, str], None] = {}
        self._warnings: dict[str, None] = {}
        self.settled: set[Path] = set()
        """Paths already complained about in other words."""

    @property
    def problems(self) -> list[str]:
        """In the order of the file; at most MANY."""
        return _first([text for _, text in sorted(self._found, key=lambda f: f[0])])

    @property
    def warnings(self) -> list[str]:
        """In the order they came up; at most MANY."""
        return _first(list(self._warnings))

    def bad(self) -> int:
        """How many times something was wrong so far, settled and repeated ones included."""
        return self._count

    def problem(self, path: Path, text: str) -> None:
        """A complaint about what stands at `path`."""
        self._count += 1
        if path not in self.settled:
            self._found[(self._line(path) or 0, f"{self._locate(path)}: {text}")] = None

    def warn(self, text: str) -> None:
        """Something to know. Names no file and no line, so that it reads alike everywhere."""
        self._warnings[text] = None


def _first(texts: list[str]) -> list[str]:
    return texts if len(texts) <= MANY else [*texts[:MANY], f"and {len(texts) - MANY} more"]


def invalid(
    what: str, problems: list[str], hint: str | None = None, noun: str = "profile"
) -> NetjailError:
    """The one error for a file with problems."""
    count = str(len(problems)) if len(problems) <= MANY else f"more than {MANY}"
    said = "a problem" if len(problems) == 1 else f"{count} problems"
    return NetjailError(f"invalid-{noun}", f"{what} has {said}", hint, tuple(problems))


# Single values ---------------------------------------------------------------------------------


def _complain(key: Key, value: object, bad: Bad, path: Path, report: Report) -> None:
    hidden = key.secret or key.type.hidden
    text = f"{checks.show(value, hidden)} {bad.why}; allowed: {key.type.allowed}"
    if bad.meant is not None and not hidden:
        text += f"; did you mean {checks.show(bad.meant)}?"
    report.problem(path, text)


def read(key: Key, value: object, path: Path, report: Report) -> tuple[bool, Any]:
    """(readable, the final value)."""
    if not key.many:
        try:
            return True, key.type.read(value)
        except Bad as bad:
            _complain(key, value, bad, path, report)
            return False, None
    if not isinstance(value, list):
        shown = checks.show(value)
        meant = f"; did you mean [{shown}]?" if isinstance(value, str) else ""
        report.problem(path, f"{shown} is not a list; allowed: {key.type.allowed}{meant}")
        return False, None
    result: dict[Any, None] = {}
    good = True
    for item in value:
        try:
            final = key.type.read(item)
        except Bad as bad:
            _complain(key, item, bad, path, report)
            good = False
            continue
        if key.type is keys.NETWORK and checks.masked(item, final):
            report.warn(
                f"allowed_ips: {item} has bits set after its prefix; {final} is what counts"
            )
        result[final] = None
    return good, tuple(result)


def _unknown(  # noqa: PLR0917 - what stands where
    name: str, section: str, kind: str | None, path: Path, report: Report, known: KeySet
) -> None:
    full = f"{section}.{name}" if section else name
    if full in known.later:
        report.problem(path, f"{known.later[full]}: not yet in this version of netjail")
        return
    if report.bad() > MANY:
        report.problem(path, "unknown key")
        return
    here = known.leaves(section, kind)
    meant = checks.did_you_mean(name, here)
    if meant is None:
        # A right key in the wrong place is as frequent as a misspelt one.
        elsewhere = {k.leaf: k.section for k in reversed(known.keys) if k.section != section}
        close = checks.did_you_mean(name, list(elsewhere))
        if close is not None:
            meant = f"{close} in {known.sections[elsewhere[close]]}"
    hint = f"did you mean {meant}?" if meant else f"allowed: {', '.join(here)}"
    report.problem(path, f"unknown key; {hint}")


def table(  # noqa: PLR0917
    raw: Mapping[str, Any],
    section: str,
    kind: str | None,
    path: Path,
    report: Report,
    known: KeySet = PROFILE,
) -> Values:
    """Read the plain keys of one table; sub-tables are the caller's. `kind` None: not known."""
    values: Values = {}
    for name, value in raw.items():
        here = (*path, name)
        full = f"{section}.{name}" if section else name
        # A quoted "uplink.mtu" at the top level is not the mtu of [uplink].
        key = None if "." in name else known.find(full, kind)
        if key is None:
            if "." in name or full not in known.sections:
                _unknown(name, section, kind, here, report, known)
        elif kind is not None and key.kinds and kind not in key.kinds:
            later = keys.LATER_OF_KIND.get((kind, name))
            if later is not None:
                report.problem(here, f"{later}: not yet in this version of netjail")
            else:
                owners = " and ".join(f'"{k}"' for k in key.kinds)
                report.problem(here, f'belongs to uplinks of kind {owners}, this one is "{kind}"')
        else:
            good, final = read(key, value, here, report)
            if good:
                values[name] = final
    for key in known.required.get(section, ()):
        if key.leaf not in raw and (not key.kinds or kind in key.kinds):
            what = key.doc.partition(".")[0]
            report.problem(
                (*path, key.leaf),
                f"is missing; needed: {what[0].lower()}{what[1:]}, {key.type.allowed}",
            )
    return values


def subtable(raw: Mapping[str, Any], name: str, report: Report) -> Mapping[str, Any] | None:
    """The table `[name]`, or None where there is none, or something else in its place."""
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        report.problem((name,), f"{checks.show(value)} is not a table; write [{name}]")
        return None
    return value
