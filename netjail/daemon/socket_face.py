# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper's Unix socket: lines in, lines out (see `protocol`), all on the main loop's thread.

Nothing a client does or leaves undone may disturb another: no call here blocks, and each client
has limits on what it may send, have going on, and leave unread.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from netjail import launch, names
from netjail.daemon import log
from netjail.daemon.authorise import Peer
from netjail.daemon.call import Call
from netjail.daemon.descriptors import CarriedError, Outbox, bury, receive
from netjail.daemon.directory import make_directory
from netjail.daemon.loop import HANGUP, READ, WRITE, Loop, Timer
from netjail.daemon.manager import Manager
from netjail.daemon.origin import of_socket
from netjail.daemon.protocol import (
    LINE_MAX,
    GarbageError,
    Request,
    encode_early,
    encode_error,
    encode_exited,
    encode_progress,
    encode_result,
    parse_request,
)
from netjail.daemon.soon import Soon
from netjail.errors import NetjailError

_BEFORE, _BEHIND = (part.encode() for part in launch.SOON)
_UCRED = struct.Struct("iII")
_READ_SIZE = 65536


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """`clients`: at the same time, of which only root may have the last `kept`, and each other
    user no more than `per_user`. `requests`: in flight per client; further ones are read when
    those are answered. `line_seconds`: from the first byte of a line to its end. `unread`: bytes
    of answers a client may leave unread before it is dropped. `refused_seconds`: for taking a last
    error line."""

    clients: int = 256
    kept: int = 16
    per_user: int = 48
    requests: int = 32
    line: int = LINE_MAX
    line_seconds: float = 10.0
    unread: int = 4 << 20
    refused_seconds: float = 5.0


class SocketFace:
    def __init__(
        self,
        loop: Loop,
        manager: Manager,
        path: str = names.SOCKET,
        limits: Limits | None = None,
        uids: frozenset[int] | None = frozenset({0}),
    ) -> None:
        """`uids`: who may connect; None: everybody, and the manager's gate decides."""
        self._loop = loop
        self._manager = manager
        self._path = path
        self._uids = uids
        self.limits = limits or Limits()
        self._clients: set[_Client] = set()
        self._listener: socket.socket | None = None
        self._inode: tuple[int, int] | None = None
        self.clients_changed: Callable[[], None] = lambda: None
        """Called when a client has come or gone."""

    def listen(self) -> None:
        """Make the socket at its path, 0666 if everybody may connect, else 0600.

        Raises NetjailError.
        """
        directory = os.path.dirname(self._path)
        temporary = f"{directory}/.socket.{os.getpid()}"
        listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            make_directory(directory)
            try:
                os.unlink(temporary)
            except FileNotFoundError:
                pass
            umask = os.umask(0o111 if self._uids is None else 0o177)
            try:
                listener.bind(temporary)
            finally:
                os.umask(umask)
            listener.listen(128)
            status = os.stat(temporary, follow_symlinks=False)
            self._inode = (status.st_dev, status.st_ino)
            # In place only when it listens: whoever sees it can connect to it.
            os.rename(temporary, self._path)
        except OSError as error:
            listener.close()
            raise NetjailError(
                "system", f"cannot listen on {self._path}: {error.strerror or error}"
            ) from None
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        self._loop.add(listener.fileno(), READ, self._accept)

    @property
    def listening(self) -> bool:
        """Whether new clients are taken."""
        return self._listener is not None

    @property
    def in_place(self) -> bool:
        """Whether what stands at our path is our socket."""
        try:
            status = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._inode

    @property
    def clients(self) -> int:
        return len(self._clients)

    def waiting(self) -> bool:
        """Take in who has connected but not been seen yet; whether there is anybody now."""
        self._accept(READ)
        return bool(self._clients)

    def stop_listening(self) -> None:
        """Take the socket away; who is connected stays so."""
        if self._listener is None:
            return
        try:
            status = os.stat(self._path, follow_symlinks=False)
            if (status.st_dev, status.st_ino) == self._inode:
                os.unlink(self._path)
        except OSError:
            pass
        self._loop.remove(self._listener.fileno())
        self._listener.close()
        self._listener = None

    def close(self) -> None:
        """Drop everybody, with what could still be written to them."""
        self.stop_listening()
        for client in list(self._clients):
            client.drop()

    def _accept(self, _events: int) -> None:
        while self._listener is not None:
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                # Out of descriptors: without a pause this would spin until there are some.
                log.error(f"cannot take a connection: {error.strerror}")
                self._loop.modify(self._listener.fileno(), 0)
                self._loop.call_later(1.0, self._resume)
                return
            sock.setblocking(False)
            self._admit(sock)

    def _resume(self) -> None:
        if self._listener is not None:
            self._loop.modify(self._listener.fileno(), READ)

    def _admit(self, sock: socket.socket) -> None:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, gid = _UCRED.unpack(credentials)
        refusal = self._refusal(uid)
        if refusal is not None:
            log.debug(f"refused pid {pid}, uid {uid}: {refusal}")
            try:
                sock.send(encode_error(None, refusal))  # fits: nothing was written before
            except OSError:
                pass
            bury(sock)
            return
        client = _Client(self, sock, of_socket(sock, uid, gid, pid))
        self._clients.add(client)
        self.clients_changed()
        client.begin()

    def _refusal(self, uid: int) -> NetjailError | None:
        if self._uids is not None and uid not in self._uids:
            return NetjailError(
                "not-authorised",
                "only root may use netjail here: without a system bus there is no polkit to ask",
                "run the command as root: sudo netjail ...",
            )
        most, count = self.limits.clients, len(self._clients)
        if self._uids is None and uid != 0:
            most -= self.limits.kept
            if count < most:
                most, count = self.limits.per_user, sum(each.uid == uid for each in self._clients)
        if count < most:
            return None
        return NetjailError(
            "system",
            f"{count} clients talk to the helper already, and that is the most",
            "try again when some have ended",
        )

    # For clients -------------------------------------------------------------------------------

    @property
    def loop(self) -> Loop:
        return self._loop

    def call(
        self,
        peer: Peer,
        request: Request,
        progress: Callable[[str], None],
        reply: Callable[[dict[str, Any] | NetjailError], None],
        soon: Soon | None = None,
    ) -> Call:
        return self._manager.call(
            peer,
            request.method,
            request.params,
            progress,
            reply,
            interactive=request.interactive,
            soon=soon,
        )

    def soon(self, peer: Peer, profile: str) -> Soon | None:
        return self._manager.soon(peer, profile)

    def gone(self, client: _Client) -> None:
        self._clients.discard(client)
        self.clients_changed()


class _Client:
    def __init__(self, face: SocketFace, sock: socket.socket, peer: Peer) -> None:
        self._face = face
        self._loop = face.loop
        self._limits = face.limits
        self._sock = sock
        self._peer = peer
        self._in = bytearray()
        self._scanned = 0
        self._out = Outbox()
        self._calls: dict[int, Call | None] = {}
        self._events = READ
        self._eof = False
        self._last_words = False
        self._open = True
        self._deadline: Timer | None = None
        self._soon: Soon | None = None
        """Done for a `launch` that it said it would ask for."""
        self._loop.add(sock.fileno(), READ, self._ready)

    @property
    def uid(self) -> int:
        return self._peer.uid

    def begin(self) -> None:
        """Read what came with the connection already: a turn of the loop less to wait for."""
        if self._open:
            self._read()

    def drop(self) -> None:
        """Without another word. Its calls go on, unheard."""
        if not self._open:
            return
        self._open = False
        self._stop_clock()
        self._abandon()
        self._loop.remove(self._sock.fileno())
        self._out.drop()
        if bury(self._sock, lambda: self._loop.call_soon(partial(self._face.gone, self))):
            self._face.gone(self)

    def _abandon(self) -> None:
        for call in self._calls.values():
            if call is not None:
                call.abandon()
        self._calls.clear()
        if self._soon is not None:
            self._soon.drop()

    # Reading -----------------------------------------------------------------------------------

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if self._open and events & READ and not self._eof:
            self._read()
        elif self._open and events & HANGUP:
            self.drop()

    def _read(self) -> None:
        try:
            data = receive(self._sock, _READ_SIZE)
        except BlockingIOError:
            return
        except CarriedError:
            # Not read, and so not to be answered in peace: one line, and away with it.
            log.debug(f"pid {self._peer.pid} sent descriptors")
            error = NetjailError("bad-request", "descriptors go to the channel that `launch` gives")
            self._write(encode_error(None, error))
            self.drop()
            return
        except OSError:
            self.drop()
            return
        if self._last_words:
            # Only its end is waited for: what else it sends is read, so that it can finish
            # writing and then read why it was refused, and thrown away.
            if not data:
                self.drop()
            return
        if data:
            self._in += data
        else:
            self._eof = True
        self._take_lines()

    def _take_lines(self) -> None:
        """Begin requests while there are whole lines and room for them."""
        while self._open and not self._last_words and len(self._calls) < self._limits.requests:
            end = self._in.find(b"\n", self._scanned)
            if end > self._limits.line or (end < 0 and len(self._in) > self._limits.line):
                self._refuse(f"a line has at most {self._limits.line} bytes")
                return
            if end < 0:
                self._scanned = len(self._in)
                break
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._scanned = 0
            self._stop_clock()
            try:
                if line.startswith(_BEFORE) and line.endswith(_BEHIND):
                    self._expect(line[len(_BEFORE) : -len(_BEHIND)])
                else:
                    self._begin(parse_request(line))
            except GarbageError as garbage:
                self._refuse(str(garbage))
                return
        if not self._open or self._last_words:
            return
        full = len(self._calls) >= self._limits.requests
        if self._in and not full and not self._eof:
            self._start_clock(self._limits.line_seconds)
        elif full:
            self._stop_clock()  # it is we who do not read
        self._want()
        self._drop_if_finished()

    def _expect(self, name: bytes) -> None:
        """It says that it will ask for a program in a profile; that counts once."""
        profile = name.decode("ascii", "replace")
        if not names.valid_name(profile):
            raise GarbageError("that is not the name of a profile")
        self._soon = self._soon or self._face.soon(self._peer, profile)

    def _begin(self, request: Request) -> None:
        number = request.id
        if number in self._calls:
            raise GarbageError(f"id {number} is that of a request that is not answered yet")
        if request.problem is not None:
            self._write(encode_error(number, request.problem))
            return
        self._calls[number] = None
        soon = self._soon if request.method == "launch" else None
        call = self._face.call(
            self._peer,
            request,
            partial(self._progress, number),
            partial(self._reply, number),
            soon,
        )
        call.ended = partial(self._exited, number)
        call.offered = partial(self._offer, number)
        if not self._open:
            call.abandon()
        elif not call.done:
            self._calls[number] = call

    def _refuse(self, why: str) -> None:
        """One error line, then the end."""
        log.debug(f"pid {self._peer.pid} sent garbage: {why}")
        self._last_words = True
        self._in.clear()
        self._abandon()
        self._stop_clock()
        self._start_clock(self._limits.refused_seconds)
        self._write(encode_error(None, NetjailError("bad-request", why)))
        if self._open and not self._out:
            self._end_writing()
        self._want()

    def _end_writing(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()

    def _start_clock(self, seconds: float) -> None:
        if self._deadline is None:
            self._deadline = self._loop.call_later(seconds, self._too_slow)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._last_words:
            self.drop()
        else:
            self._refuse(f"a line must be whole within {self._limits.line_seconds:g} s")

    # Writing -----------------------------------------------------------------------------------

    def _progress(self, number: int, text: str) -> None:
        self._write(encode_progress(number, text))

    def _offer(self, number: int, fds: Sequence[int]) -> None:
        self._write(encode_early(number), fds)

    def _exited(self, number: int, status: int) -> None:
        self._write(encode_exited(number, status))

    def _reply(self, number: int, outcome: dict[str, Any] | NetjailError) -> None:
        self._calls.pop(number, None)
        if isinstance(outcome, NetjailError):
            self._write(encode_error(number, outcome))
        else:
            self._write(encode_result(number, outcome), getattr(outcome, "fds", ()))
        # There is room for one more; but not from within _take_lines, which calls us.
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._open and not self._last_words:
            self._take_lines()

    def _write(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """`fds` are closed when they are written, or cannot be."""
        if not self._open:
            for fd in fds:
                os.close(fd)
            return
        if len(self._out) > self._limits.unread:
            log.warning(f"pid {self._peer.pid} does not read its answers: dropped")
            self.drop()
            self._write(b"", fds)
            return
        self._out.add(data, fds)
        self._flush()

    def _flush(self) -> None:
        try:
            self._out.flush(self._sock)
        except OSError:
            self.drop()
            return
        if self._last_words and not self._out:
            self._end_writing()
        if self._open:
            self._want()
            self._drop_if_finished()

    def _want(self) -> None:
        """Tell the loop what to wait for."""
        if not self._open:
            return
        room = self._last_words or len(self._calls) < self._limits.requests
        events = (READ if room and not self._eof else 0) | (WRITE if self._out else 0)
        if events != self._events:
            self._events = events
            self._loop.modify(self._sock.fileno(), events)

    def _drop_if_finished(self) -> None:
        """A client that has said all it wants to say is kept until it has all its answers."""
        if self._eof and not self._calls and not self._out and b"\n" not in self._in:
            self.drop()
