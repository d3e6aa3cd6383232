"""Keys never leave this process but to their provider: what is stored, logged or shown goes through here first."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

MARK = "***"

_NAMES = re.compile(
    r"(?:^|_)(?:\w*APIKEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|AUTH)(?:_|$)", re.IGNORECASE
)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|key|hf|r8|AIza)[-_][A-Za-z0-9_\-*.]{8,}"
    r"|\bAIza[A-Za-z0-9_\-]{20,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_BEARER = re.compile(r"(\b(?:Bearer|x-api-key:?|api[-_]key[=:])\s*)[^\s\"',;}]{6,}", re.IGNORECASE)
_SHORTEST = 6


def secrets(environ: Mapping[str, str] | None = None) -> list[str]:
    """Values of environment variables that are named like secrets, the longest first."""
    environ = os.environ if environ is None else environ
    found = {value.strip() for name, value in environ.items() if _NAMES.search(name)}
    return sorted((one for one in found if len(one) >= _SHORTEST), key=len, reverse=True)


def scrub(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` with secrets of the environment, and whatever else looks like a key, as ``***``; for errors and logs."""
    return _BEARER.sub(rf"\g<1>{MARK}", _SHAPES.sub(MARK, without_secrets(text, environ)))


def without_secrets(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` with the environment's secrets as ``***``, nothing else changed; for replies, which are programs."""
    for secret in secrets(environ):
        if secret in text:
            text = text.replace(secret, MARK)
    return text
