# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been imported becomes a profile that the helper keeps."""

from __future__ import annotations

from dataclasses import replace

from netjail.cli.context import Context
from netjail.profile import toml
from netjail.profile.model import Dns, Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from netjail.profile.model import Tunnel


def store(args: Namespace, context: Context, name: str, uplink: Tunnel) -> list[str]:
    """Store a profile of that uplink, the rest of it as `netjail import`'s options say; gives
    the helper's warnings. Raises NetjailError as the helper does."""
    profile = Profile(
        name=name,
        uplink=replace(uplink, through=args.through),
        dns=Dns(mode="uplink"),
        description=args.description,
        users=tuple(args.users),
    )
    answer = context.call(
        "profile.add",
        "storing the profile",
        name=name,
        text=toml.dump(profile),
        replace=args.replace,
    )
    return list(answer.get("warnings", ()))
