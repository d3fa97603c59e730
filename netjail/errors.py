# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of expected failure. Imported on the launch path: imports nothing."""

from __future__ import annotations

CODES = frozenset(
    {
        "usage",  # the command line or a request is not of the right form
        "bad-request",  # a message on the socket that no client of ours would send
        "invalid-profile",  # a profile file with problems; `problems` lists them all
        "invalid-switch",  # the same of a switch's file
        "invalid-file",  # a file of the user's own with problems, not a profile
        "invalid-name",
        "no-such-profile",
        "no-such-switch",
        "no-such-place",  # no server of a pool is meant by that word
        "no-pool",  # a profile with one server only
        "no-such-application",  # no desktop entry of that name, or one that cannot be used
        "exists",
        "in-use",  # programs are running in the jail, or another profile goes through it
        "missing-program",  # an external program is not installed; hint names the package
        "missing-kernel",  # the kernel lacks a feature
        "not-authorised",
        "no-helper",  # the helper cannot be reached or started
        "ending",  # the helper ends, and has done nothing of what was asked: ask the next one
        "credentials-needed",  # a server wants a password or a code; `wanted` says which
        "credentials-refused",  # a server did not take them
        "resolve-failed",  # an endpoint's host name has no address
        "conflict",  # something on the host that is not ours is in the way
        "not-up",
        "not-yet",  # recognised, and given meaning in a later version
        "import-refused",
        "system",  # the kernel or the file system said no
        "timeout",
        "interrupted",  # by the caller
        "internal",  # a bug of ours
    }
)


class NetjailError(Exception):
    """What went wrong (`message`, one sentence with what and why) and what to do (`hint`).

    `code` is one of CODES and stable across versions. `problems` holds the single complaints
    where one error stands for many (a profile file). `prompt`: a password typed by somebody would
    have turned it into a yes, but nothing is there that could ask for one. `wanted`, with code
    "credentials-needed": what to ask the user for, each with `profile`, `name`, `prompt`, `echo`.
    """

    def __init__(
        self, code: str, message: str, hint: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        assert code in CODES, code
        self.code = code
        self.message = message
        self.hint = hint
        self.problems = problems
        self.prompt = False
        self.wanted: tuple[dict[str, object], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The form on the socket and in --json."""
        data: dict[str, object] = {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "problems": list(self.problems),
        }
        if self.wanted:
            data["wanted"] = list(self.wanted)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> NetjailError:
        """Inverse of `as_dict`; unknown codes (a newer helper) become "system"."""
        code = str(data.get("code"))
        hint = data.get("hint")
        problems = data.get("problems")
        error = cls(
            code if code in CODES else "system",
            str(data.get("message")),
            None if hint is None else str(hint),
            tuple(str(p) for p in problems) if isinstance(problems, list) else (),
        )
        wanted = data.get("wanted")
        if isinstance(wanted, list):
            error.wanted = tuple(each for each in wanted if isinstance(each, dict))
        return error
