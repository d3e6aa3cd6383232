"""Text from outside, made fit for every database: a candidate may print anything, and no row may fail because of it."""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy import Text as SQLText
from sqlalchemy.types import TypeDecorator

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL, with the escaped backslashes before it: after an odd one it is just text."""


class Text(TypeDecorator[str]):
    """Text of any length. PostgreSQL takes no NUL and no database takes half a surrogate pair: both become marks."""

    impl = SQLText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def storable(value: str) -> str:
    """`value` with NUL as U+FFFD and lone surrogates as ``?``."""
    if "\0" in value:
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def to_json(value: Any) -> str:
    """JSON as the archive keeps it; raises ValueError for what is no finite number."""
    text = storable(json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False))
    return _NUL.sub("\\1\N{REPLACEMENT CHARACTER}", text) if "\\u0000" in text else text
