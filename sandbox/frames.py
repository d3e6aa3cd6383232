"""Frames: how everything in the sandbox talks, over pipes and over sockets.

A frame is ``GE``, the number of descriptors that come with it (1 byte), the length of its head (4 bytes) and of
its body (8 bytes), big-endian; then the head, JSON, and the body, bytes. A head of length 0 is None.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

_START = struct.Struct("!2sBIQ")
_MAGIC = b"GE"
_MOST_HEAD = 64 << 20
ANY_PYTHON = 2
"""The version of marshal that every Python reads: a zygote's may be another than the supervisor's."""
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_DESCRIPTOR = array.array("i").itemsize

# Bound now: a program may patch these modules in its own process, and other code there may break by that.
_dumps, _loads = json.dumps, json.loads


class Closed(Exception):
    """The other side is gone."""


class Broken(Exception):
    """What came is no frame, or larger than it may be."""


def pack(head: Any, body_length: int = 0, descriptors: int = 0) -> bytes:
    """The frame's bytes up to its body."""
    raw = b"" if head is None else _dumps(head).encode()
    return _START.pack(_MAGIC, descriptors, len(raw), body_length) + raw


def unpack_files(names: Sequence[Sequence[Any]], body: bytes | bytearray, start: int = 0) -> dict[str, bytes]:
    """Files from a list of [path, size] in a head and their contents in a body."""
    files = {}
    for path, size in names:
        files[str(path)] = bytes(body[start : start + size])
        start += size
    return files


def _sizes(start: bytes, most_body: int) -> tuple[int, int, int]:
    magic, descriptors, head, body = _START.unpack(start)
    if magic != _MAGIC:
        raise Broken("what came is no frame")
    if head > _MOST_HEAD or body > most_body:
        raise Broken(f"a frame of {head + body} bytes is larger than the {most_body} allowed")
    return descriptors, head, body


def _parsed(raw: bytes) -> Any:
    try:
        return _loads(raw) if raw else None
    except (ValueError, RecursionError) as problem:
        raise Broken("a frame's head is no JSON") from problem


class Pipes:
    """Frames over a pair of plain descriptors."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming, self.outgoing = incoming, outgoing

    def send(self, head: Any, body: bytes = b"") -> None:
        """Write a frame; blocks. Raises Closed."""
        for part in (pack(head, len(body)), body):
            left = memoryview(part)
            while left:
                try:
                    left = left[os.write(self.outgoing, left) :]
                except BrokenPipeError as problem:
                    raise Closed from problem

    def receive(self, most_body: int = 1 << 32) -> tuple[Any, bytes]:
        """Read a frame; blocks. Raises Closed and Broken."""
        _, head, body = _sizes(self._exactly(_START.size), most_body)
        return _parsed(self._exactly(head)), self._exactly(body)

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            part = os.read(self.incoming, min(count, 1 << 20))
            if not part:
                raise Closed
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


class Channel:
    """Frames, with descriptors, over a Unix stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._send, self._send_fds, self._receive_into = sock.sendall, socket.send_fds, sock.recv_into

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected channels."""
        left, right = socket.socketpair()
        return cls(left), cls(right)

    @classmethod
    def of(cls, descriptor: int) -> Channel:
        """The channel over a socket that this process was given; the descriptor is closed to programs started
        from here."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
        sock.set_inheritable(False)
        return cls(sock)

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def shutdown(self) -> None:
        """Let both sides read what has been sent already, and then the end."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def send(self, head: Any, body: bytes | bytearray = b"", descriptors: Sequence[int] = ()) -> None:
        """Send a frame; blocks. Raises Closed."""
        start = pack(head, len(body), len(descriptors))
        try:
            if descriptors:
                start = start[self._send_fds(self.sock, [start], descriptors) :]
            if len(body) < 65536:
                self._send(start + body)
            else:
                self._send(start)
                self._send(body)
        except OSError as problem:
            raise Closed from problem

    def receive(
        self, most_body: int = 1 << 32, most_descriptors: int = 0
    ) -> tuple[Any, bytearray, list[int]]:
        """Receive a frame; blocks. Raises Closed and Broken; no descriptor stays open then."""
        start, descriptors = self._start(most_descriptors)
        try:
            count, head, body = _sizes(start, most_body)
            if count != len(descriptors):
                raise Broken(f"{count} descriptors were announced and {len(descriptors)} came")
            return _parsed(bytes(self._exactly(head))), self._exactly(body), descriptors
        except BaseException:
            close_all(descriptors)
            raise

    def _start(self, most_descriptors: int) -> tuple[bytes, list[int]]:
        if not most_descriptors:
            return bytes(self._exactly(_START.size)), []
        try:
            data, ancillary, flags, _ = self.sock.recvmsg(
                _START.size, socket.CMSG_LEN(most_descriptors * _DESCRIPTOR), _CLOEXEC
            )
        except OSError as problem:
            raise Closed from problem
        descriptors = _descriptors(ancillary)
        try:
            if flags & socket.MSG_CTRUNC:
                raise Broken("too many descriptors came with a frame")
            if not data:
                raise Closed
            return data + self._exactly(_START.size - len(data)), descriptors
        except BaseException:
            close_all(descriptors)
            raise

    def _exactly(self, count: int) -> bytearray:
        # Grown as it comes: a frame that only announces much must not cost memory.
        data = bytearray(min(count, 1 << 20))
        done = 0
        while done < count:
            if done == len(data):
                data.extend(bytes(min(count - done, max(done, 1 << 20))))
            try:
                with memoryview(data) as view:
                    got = self._receive_into(view[done:])
            except OSError as problem:
                raise Closed from problem
            if not got:
                raise Closed
            done += got
        return data


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors, whatever state they are in."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % _DESCRIPTOR])
    return list(found)
