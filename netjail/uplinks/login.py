# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server wants to know of the user, and the answers. Answers are secrets: they live in
memory, in the profile's file (root's) and in what is written to the client's process, only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from netjail.errors import NetjailError

USERNAME, PASSWORD = "username", "password"
RESPONSE, KEY_PASSWORD = "response", "key_password"
NAMES = (USERNAME, PASSWORD, RESPONSE, KEY_PASSWORD)
"""What may be asked for, and answered with, by these names on every face."""

_HIDDEN = "(hidden)"
_SECRET_MIN = 4
"""Characters; anything shorter stands in many a text by chance."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. `echo`: the answer may be seen while it is typed."""

    name: str
    prompt: str
    echo: bool = False

    def as_dict(self) -> dict[str, object]:
        """As it stands in an error's `wanted`."""
        return {"name": self.name, "prompt": self.prompt, "echo": self.echo}


@dataclass(frozen=True, slots=True)
class Login:
    """The answers that are known. A `response` (a one-time code) serves once."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    response: str | None = field(default=None, repr=False)
    key_password: str | None = field(default=None, repr=False)

    def over(self, other: Login) -> Login:
        """These, and where there is none the `other`'s."""
        given = {name: getattr(self, name) for name in NAMES if getattr(self, name) is not None}
        return replace(other, **given)

    def hide(self, text: str) -> str:
        """A text without any of these that is a secret: what a client says may be what a server
        had it say."""
        for secret in (self.password, self.response, self.key_password):
            if secret and len(secret) >= _SECRET_MIN:
                text = text.replace(secret, _HIDDEN)
        return text

    def lacks(self, asks: Iterable[Ask]) -> tuple[Ask, ...]:
        """Those of the questions that nothing here answers."""
        return tuple(ask for ask in asks if getattr(self, ask.name) is None)

    @classmethod
    def of(cls, answers: Mapping[str, str]) -> Login:
        """From what a client has sent, which was checked."""
        return cls(**{name: answers[name] for name in NAMES if answers.get(name)})


def needed(profile: str, asks: Iterable[Ask], why: str | None = None) -> NetjailError:
    """The error that tells a client what to ask its user for."""
    asks = tuple(asks)
    words = " and ".join(_WORDS[ask.name] for ask in asks)
    error = NetjailError(
        "credentials-needed",
        f"profile {profile} needs {words}" + (f": {why}" if why else ""),
        f"netjail up {profile}, on a terminal, asks for what is needed",
        tuple(f"{ask.name}: {ask.prompt}" for ask in asks),
    )
    error.wanted = tuple({"profile": profile, **ask.as_dict()} for ask in asks)
    return error


_WORDS = {
    USERNAME: "a user name",
    PASSWORD: "a password",
    RESPONSE: "an answer to the server's question",
    KEY_PASSWORD: "the password of your private key",
}
