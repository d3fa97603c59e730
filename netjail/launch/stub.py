# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast launcher: the text of /usr/local/bin/netjail and its kind, for whoever installs it.

pip's console script works too, but starts Python with `site` (5 ms and more of a launch) and
lets PYTHON* variables of the caller into a program that root runs.
"""

from __future__ import annotations

from collections.abc import Sequence

_SHEBANG_MAX = 127
"""Bytes of the first line that every kernel still in use reads (BINPRM_BUF_SIZE was 128)."""

_TEXT = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# made by netjail's installation; -I: no PYTHON* variable counts; -S: without site, for speed
import sys

try:
    sys.path.insert(0, {directory!r})
    from {module} import {function}

    sys.path.append(sys.path.pop(0))  # the standard library first
    sys.exit({function}({arguments}))
except KeyboardInterrupt:
    sys.exit(130)
"""


def render(
    python: str,
    directory: str,
    packages: Sequence[str] = (),
    *,
    entry: str = "netjail.main:main",
) -> str:
    """The launcher, to be written with mode 0755.

    `python`: absolute path of the interpreter; `directory`: the one that holds the package
    netjail; `packages`: further directories with what netjail imports, searched last.
    """
    module, function = entry.split(":")
    arguments = f"packages={list(packages)!r}" if packages else ""
    return _shebang(python) + _TEXT.format(
        directory=directory, module=module, function=function, arguments=arguments
    )


def _shebang(python: str) -> str:
    """The first line or, where the kernel cannot take the path, lines for sh and Python alike."""
    line = f"#!{python} -IS\n"
    if len(line.encode()) <= _SHEBANG_MAX and not any(c.isspace() for c in python):
        return line
    quoted = python.replace("'", "'\"'\"'")
    if "'''" in quoted or "\\" in python:
        raise ValueError(f"no launcher can be made for the interpreter {python!r}")
    return f"#!/bin/sh\n'''exec' '{quoted}' -IS \"$0\" \"$@\"\n' '''\n"
