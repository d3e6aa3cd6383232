"""What may pass between a program and its evaluator, as bytes and back.

Numbers, text, bytes, None, lists, tuples, dicts and NumPy arrays. Nothing that comes out of a decoder can run
code, and a decoder believes nothing: what it reads may have been written by a program that wants to break its
evaluator.

Numeric arrays over 1 MB travel as sealed memory files: the receiver maps them copy-on-write, and whoever made
one can't change it any more. Where the system has none (macOS), they travel inline.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import re
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

MOST_DEPTH = 64
MOST_ITEMS = 4_000_000
MOST_INTEGER_BYTES = 8192
MOST_DESCRIPTORS = 64
_TOO_MANY = f"more than {MOST_ITEMS:,} values; put numbers into an array"
_LARGE = 1 << 20
_DTYPE = re.compile(
    r"[<>|](?:b1|[iuS][0-9]{1,9}|f[0-9]{1,2}|c[0-9]{1,2}|U[0-9]{1,9}|[mM]8(?:\[[0-9A-Za-z]{1,12}\])?)"
)
_MOST_AXES = 32
_COUNT = struct.Struct("!I")
_FLOAT = struct.Struct("!d")
_SMALL = struct.Struct("!q")
_COMPLEX = struct.Struct("!dd")
_SIZE = struct.Struct("!Q")

_SEALABLE = hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")
_SEALS = (
    fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE if _SEALABLE else 0  # type: ignore[attr-defined,unused-ignore]
)


class NotCarried(Exception):
    """A value, or a part of it, can't pass."""


class Forged(Exception):
    """These bytes are no value."""


class Encoder:
    """Values as bytes, `out`, and the descriptors that go with them, `descriptors`; the caller closes those.

    `most_bytes` bounds everything together. Raises NotCarried, naming the place.
    """

    def __init__(self, most_bytes: int) -> None:
        self.out = bytearray()
        self.descriptors: list[int] = []
        self._left = most_bytes
        self._items = MOST_ITEMS

    def put(self, value: Any, place: str = "value", depth: int = 0) -> None:
        """Append a value."""
        put = _PUT.get(type(value))
        if put is None:
            put = self._by_base(value, place)
        if depth > MOST_DEPTH:
            raise NotCarried(f"{place[:80]} is nested more than {MOST_DEPTH} levels deep")
        self._items -= 1
        if self._items < 0:
            raise NotCarried(_TOO_MANY)
        put(self, value, place, depth)
        if len(self.out) > self._left:
            raise NotCarried("too many bytes to pass")

    def _by_base(self, value: Any, place: str) -> Callable[[Encoder, Any, str, int], None]:
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if isinstance(value, numpy.ndarray):
                return Encoder._array
            if isinstance(value, numpy.generic) and not isinstance(value, float | complex | str | bytes):
                return Encoder._scalar
        for base, put in _PUT.items():
            if isinstance(value, base):
                return put
        raise NotCarried(f"{place[:80]} is of type {type(value).__name__[:60]}, which can't be passed")

    def _none(self, value: None, place: str, depth: int) -> None:
        self.out += b"N"

    def _bool(self, value: bool, place: str, depth: int) -> None:
        self.out += b"T" if value else b"F"

    def _int(self, value: int, place: str, depth: int) -> None:
        value = int(value)
        if -(1 << 63) <= value < 1 << 63:
            self.out += b"i" + _SMALL.pack(value)
            return
        length = value.bit_length() // 8 + 1
        if length > MOST_INTEGER_BYTES:
            raise NotCarried(
                f"{place[:80]} is an integer of {length:,} bytes; at most {MOST_INTEGER_BYTES:,} pass"
            )
        self._sized(b"I", value.to_bytes(length, "big", signed=True))

    def _float(self, value: float, place: str, depth: int) -> None:
        self.out += b"f" + _FLOAT.pack(float(value))

    def _complex(self, value: complex, place: str, depth: int) -> None:
        self.out += b"c" + _COMPLEX.pack(value.real, value.imag)

    def _str(self, value: str, place: str, depth: int) -> None:
        self._sized(b"s", str.encode(value, "utf-8", "surrogatepass"))

    def _bytes(self, value: bytes | bytearray | memoryview, place: str, depth: int) -> None:
        self._sized(b"b", bytes(value))

    def _sized(self, tag: bytes, data: bytes) -> None:
        if len(data) + len(self.out) > self._left or len(data) >= 1 << 32:
            raise NotCarried(f"{len(data):,} bytes are too many to pass")
        self.out += tag + _COUNT.pack(len(data)) + data

    def _list(self, value: list[Any], place: str, depth: int) -> None:
        self._sequence(b"l", value, place, depth)

    def _tuple(self, value: tuple[Any, ...], place: str, depth: int) -> None:
        self._sequence(b"t", value, place, depth)

    def _sequence(self, tag: bytes, value: Sequence[Any], place: str, depth: int) -> None:
        # A copy: another thread of the program may go on changing the list.
        items = tuple(value)
        if len(items) > self._items:
            raise NotCarried(_TOO_MANY)
        self.out += tag + _COUNT.pack(len(items))
        for index, item in enumerate(items):
            self.put(item, f"{place}[{index}]" if depth < 8 else place, depth + 1)

    def _dict(self, value: dict[Any, Any], place: str, depth: int) -> None:
        items = tuple(value.items())
        if 2 * len(items) > self._items:
            raise NotCarried(_TOO_MANY)
        self.out += b"d" + _COUNT.pack(len(items))
        for key, item in items:
            if not isinstance(key, str | int | float | bytes | tuple | None):
                raise NotCarried(
                    f"{place[:80]} has a key of type {type(key).__name__[:60]}, which can't be passed"
                )
            self.put(key, f"a key of {place}", depth + 1)
            self.put(item, f"{place}[{key!r:.40}]" if depth < 8 else place, depth + 1)

    def _scalar(self, value: Any, place: str, depth: int) -> None:
        self._dtype(b"n", value.dtype, place)
        self._sized(b"b", value.tobytes())

    def _dtype(self, tag: bytes, dtype: Any, place: str) -> None:
        text = str(dtype.str)
        if dtype.hasobject or not _DTYPE.fullmatch(text):
            raise NotCarried(
                f"{place[:80]} is an array of {dtype!s:.40}, which can't be passed; numbers and text can"
            )
        self._sized(tag, text.encode())

    def _array(self, value: Any, place: str, depth: int) -> None:
        numpy = sys.modules["numpy"]
        value = numpy.asarray(value)
        self._dtype(b"a", value.dtype, place)
        # nbytes counts every element, also of an array that repeats a single one.
        if value.nbytes + len(self.out) > self._left or value.ndim > _MOST_AXES:
            raise NotCarried(
                f"{place[:80]} is an array of {value.nbytes:,} bytes and {value.ndim} axes; too much to pass"
            )
        self.out += bytes([value.ndim]) + b"".join(_SIZE.pack(length) for length in value.shape)
        large = (
            value.nbytes > _LARGE and value.dtype.kind in "iufc" and len(self.descriptors) < MOST_DESCRIPTORS
        )
        if large and _SEALABLE:
            self.out += b"m" + _COUNT.pack(len(self.descriptors)) + _SIZE.pack(value.nbytes)
            flat = numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8)
            self.descriptors.append(_sealed(memoryview(flat)))
            self._left -= int(value.nbytes)
        else:
            self.out += b"b" + _SIZE.pack(value.nbytes) + value.tobytes()


_PUT: dict[Any, Callable[[Encoder, Any, str, int], None]] = {
    type(None): Encoder._none,
    bool: Encoder._bool,
    int: Encoder._int,
    float: Encoder._float,
    str: Encoder._str,
    list: Encoder._list,
    tuple: Encoder._tuple,
    dict: Encoder._dict,
    bytes: Encoder._bytes,
    bytearray: Encoder._bytes,
    memoryview: Encoder._bytes,
    complex: Encoder._complex,
}


def _sealed(data: memoryview) -> int:
    """A memory file with this content that nobody can change."""
    descriptor = os.memfd_create("array", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = data
        while left:
            left = left[os.write(descriptor, left[: 1 << 30]) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)  # type: ignore[attr-defined,unused-ignore]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Decoder:
    """The values in `data`; `descriptors` stay the caller's. Raises Forged for anything that no encoder wrote."""

    def __init__(self, data: bytes | bytearray, descriptors: Sequence[int], most_bytes: int) -> None:
        self._data = data
        self._at = 0
        self._descriptors = descriptors
        self._left = most_bytes
        self._items = MOST_ITEMS

    def value(self) -> Any:
        """The one value that the bytes hold."""
        try:
            value = self._value(0)
        except (struct.error, IndexError, ValueError, OverflowError, KeyError, OSError) as problem:
            raise Forged("the bytes of a value are damaged") from problem
        if self._at != len(self._data):
            raise Forged("there are bytes behind a value")
        return value

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise Forged("the bytes of a value end early")
        part = bytes(self._data[self._at : end])
        self._at = end
        return part

    def _sized(self) -> bytes:
        return self._take(_COUNT.unpack(self._take(4))[0])

    def _value(self, depth: int) -> Any:
        self._items -= 1
        if depth > MOST_DEPTH or self._items < 0:
            raise Forged("a value is nested too deeply or has too many parts")
        return _READ[self._take(1)](self, depth)

    def _int(self, depth: int) -> int:
        value: int = _SMALL.unpack(self._take(8))[0]
        return value

    def _long(self, depth: int) -> int:
        data = self._sized()
        if len(data) > MOST_INTEGER_BYTES:
            raise Forged("an integer is too long")
        return int.from_bytes(data, "big", signed=True)

    def _float(self, depth: int) -> float:
        value: float = _FLOAT.unpack(self._take(8))[0]
        return value

    def _complex(self, depth: int) -> complex:
        return complex(*_COMPLEX.unpack(self._take(16)))

    def _str(self, depth: int) -> str:
        return self._sized().decode("utf-8", "surrogatepass")

    def _bytes(self, depth: int) -> bytes:
        return self._sized()

    def _count(self, least: int) -> int:
        count: int = _COUNT.unpack(self._take(4))[0]
        if count * least > len(self._data) - self._at:
            raise Forged("a value announces more parts than it has")
        return count

    def _list(self, depth: int) -> list[Any]:
        return [self._value(depth + 1) for _ in range(self._count(1))]

    def _tuple(self, depth: int) -> tuple[Any, ...]:
        return tuple(self._list(depth))

    def _dict(self, depth: int) -> dict[Any, Any]:
        found = {}
        for _ in range(self._count(2)):
            key = self._value(depth + 1)
            if not _may_be_key(key):
                raise Forged("a dict has a key that no encoder wrote")
            found[key] = self._value(depth + 1)
        return found

    def _dtype(self) -> Any:
        text = self._sized().decode("ascii")
        if not _DTYPE.fullmatch(text):
            raise Forged("an array is of a type that doesn't pass")
        dtype = _numpy().dtype(text)
        if dtype.itemsize < 1 and dtype.kind not in "US":
            raise Forged("an array has elements without size")
        return dtype

    def _scalar(self, depth: int) -> Any:
        dtype = self._dtype()
        if self._take(1) != b"b":
            raise Forged("a number is damaged")
        data = self._sized()
        if len(data) != dtype.itemsize:
            raise Forged("a number has another size than its type")
        return self._checked(_numpy().frombuffer(data, dtype))[0]

    def _array(self, depth: int) -> Any:
        numpy, dtype = _numpy(), self._dtype()
        axes = self._take(1)[0]
        if axes > _MOST_AXES:
            raise Forged("an array has too many axes")
        shape = tuple(_SIZE.unpack(self._take(8))[0] for _ in range(axes))
        how = self._take(1)
        if how == b"m":
            index = _COUNT.unpack(self._take(4))[0]
        size = _SIZE.unpack(self._take(8))[0]
        # Elements of text without characters have no bytes, so their number has to be bounded by itself.
        count = math.prod(shape)
        if count * dtype.itemsize != size or count > max(size, MOST_ITEMS):
            raise Forged("an array's shape and size don't agree")
        if how == b"b":
            if dtype.itemsize == 0 or size == 0:
                self._take(size)
                return numpy.zeros(shape, dtype)
            return self._checked(numpy.frombuffer(bytearray(self._take(size)), dtype)).reshape(shape)
        if how != b"m" or dtype.kind not in "iufc" or size == 0:
            raise Forged("an array is damaged")
        self._left -= size
        if self._left < 0:
            raise Forged("arrays hold more bytes than may pass")
        return numpy.frombuffer(_mapped(self._descriptors[index], size), dtype).reshape(shape)

    def _checked(self, array: Any) -> Any:
        """The same, unless it holds what no operation makes: flags beside 0 and 1, characters outside Unicode."""
        numpy = _numpy()
        if array.dtype.kind == "b" and (array.view(numpy.uint8) > 1).any():
            raise Forged("a flag is neither 0 nor 1")
        if array.dtype.kind == "U" and array.dtype.itemsize:
            codes = array.view(numpy.dtype(numpy.uint32).newbyteorder(array.dtype.byteorder))
            if (codes > 0x10FFFF).any():
                raise Forged("text in an array is damaged")
        return array


_READ: dict[bytes, Callable[[Decoder, int], Any]] = {
    b"N": lambda decoder, depth: None,
    b"T": lambda decoder, depth: True,
    b"F": lambda decoder, depth: False,
    b"i": Decoder._int,
    b"I": Decoder._long,
    b"f": Decoder._float,
    b"c": Decoder._complex,
    b"s": Decoder._str,
    b"b": Decoder._bytes,
    b"l": Decoder._list,
    b"t": Decoder._tuple,
    b"d": Decoder._dict,
    b"n": Decoder._scalar,
    b"a": Decoder._array,
}


def _may_be_key(key: Any) -> bool:
    if isinstance(key, tuple):
        return all(_may_be_key(part) for part in key)
    return key is None or type(key) in (str, bool, int, float, bytes)


def _numpy() -> Any:
    if "numpy" not in sys.modules:
        try:
            import numpy  # noqa: F401  # only where an array comes, and the seed preloads none
        except ImportError as problem:
            raise Forged("an array came, and NumPy isn't installed here") from problem
    return sys.modules["numpy"]


def _mapped(descriptor: int, size: int) -> mmap.mmap:
    """The content of a sealed memory file, copied on write. Raises Forged for any other file."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)  # type: ignore[attr-defined,unused-ignore]
    except OSError as problem:
        raise Forged("an array came as something else than a memory file") from problem
    if seals & _SEALS != _SEALS or os.fstat(descriptor).st_size != size:
        raise Forged("an array came as a memory file that can still change")
    return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
