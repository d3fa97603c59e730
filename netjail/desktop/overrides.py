# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of ours in the place of one that the user may have there already.

The user's own is put aside as it is (the same inode, also where it is a symbolic link) and put back
in the same way. What we wrote is kept beside it, to see later what somebody else has changed.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from netjail.desktop import places
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Override:
    """`target`: the file; `name`: what it is called among ours; `ours`: whether what stands in
    such a file was written by us, if perhaps changed since."""

    target: str
    name: str
    ours: Callable[[bytes], bool]

    @property
    def saved(self) -> str:
        """Where the user's own is while ours is in its place."""
        return _of_ours("own", self.name)

    @property
    def base(self) -> str:
        """What we wrote last."""
        return _of_ours("written", self.name)

    @property
    def changed(self) -> str:
        """Where a file of ours goes that somebody has changed, when it is taken away."""
        return _of_ours("changed", self.name)

    def current(self) -> bytes | None:
        """What stands there, ours or not."""
        return places.read(self.target)

    def own(self) -> str | None:
        """The file of the user's own, wherever it is now."""
        now = self.current()
        if now is not None and not self.ours(now):
            return self.target
        return self.saved if os.path.lexists(self.saved) else None

    def put(self, base: bytes, data: bytes | None = None) -> None:
        """Write ours: `data`, which is `base` with what the user has changed (default: nothing).
        Raises `system`."""
        now = self.current()
        if now is not None and not self.ours(now):
            self._put_aside()
        if places.read(self.base) != base:
            places.write(self.base, base)
        wanted = base if data is None else data
        if now != wanted:
            places.write(self.target, wanted)

    def _put_aside(self) -> None:
        temporary = self.saved + ".new"
        try:
            os.makedirs(os.path.dirname(self.saved), mode=0o700, exist_ok=True)
            places.remove(temporary)
            try:
                os.link(self.target, temporary, follow_symlinks=False)
            except OSError:  # another file system, or one without hard links
                shutil.copy2(self.target, temporary, follow_symlinks=False)
            os.rename(temporary, self.saved)
        except OSError as error:
            raise NetjailError(
                "system", f"{self.target} cannot be put aside: {error.strerror}"
            ) from None

    def restore(self) -> str | None:
        """Put back what was there before us, or nothing. Gives the file with what somebody has
        changed in ours, which is kept. Can be called twice. Raises `system`."""
        now = self.current()
        kept = None
        if now is not None and not self.ours(now):
            places.remove(self.saved)  # somebody has replaced ours: that is the user's own now
        else:
            if now is not None and now != places.read(self.base):
                kept = self.changed
                places.write(kept, now)
            if os.path.lexists(self.saved):
                self._put_back()
            elif now is not None:
                places.remove(self.target)
        places.remove(self.base)
        return kept

    def _put_back(self) -> None:
        try:
            os.makedirs(os.path.dirname(self.target), exist_ok=True)
            try:
                os.rename(self.saved, self.target)
            except OSError:
                temporary = self.target + ".new"
                shutil.copy2(self.saved, temporary, follow_symlinks=False)
                os.rename(temporary, self.target)
                places.remove(self.saved)
        except OSError as error:
            raise NetjailError(
                "system",
                f"{self.target} cannot be put back: {error.strerror}",
                f"It is kept as {self.saved}.",
            ) from None


def _of_ours(kind: str, name: str) -> str:
    return os.path.join(places.data_home(), "netjail", kind, name)
