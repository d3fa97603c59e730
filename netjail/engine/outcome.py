# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes of an operation: errors in our own form; what is wanted told from what was made."""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import fields, is_dataclass
from typing import Any

from netjail import names
from netjail.engine.netlink import NetlinkError
from netjail.errors import NetjailError


def digest_of(what: object) -> str:
    """Tells one version of a profile or switch from another; keys included, hence hashed."""
    return hashlib.sha256(repr(_plain(what)).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """As dataclasses.astuple, which takes a tenth of an up to copy every address."""
    if is_dataclass(value):
        # the places that a pool does not use make no difference to its jail
        counted = [each for each in fields(value) if each.metadata.get("digest", True)]
        return tuple([_plain(getattr(value, each.name)) for each in counted])
    return tuple([_plain(each) for each in value]) if isinstance(value, tuple) else value


def as_netjail_error(error: BaseException) -> NetjailError:
    """Any exception as what a caller is told."""
    if isinstance(error, NetjailError):
        return error
    if isinstance(error, NetlinkError):
        return NetjailError("system", f"the kernel refused a network change: {error.strerror}")
    if isinstance(error, OSError):
        return NetjailError("system", f"{error.filename or 'the system'}: {error.strerror}")
    traceback.print_exception(error)  # to the helper's log
    return NetjailError(
        "internal",
        f"a bug in netjail: {type(error).__name__}: {error}",
        f"please report it with the end of the helper's log, {names.HELPER_LOG}",
    )
