"""What a worker says of itself: one line an event, for people or, as JSON, for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

Format = Literal["text", "json"]

_IDS = ("run", "proposal", "program", "evaluation", "propose", "evaluate", "seconds", "kind")


class _JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, event, and the ids of what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _IDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Lines(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={getattr(record, name)}" for name in _IDS if hasattr(record, name))
        said = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.getMessage()}"
        lines = [f"{said}  {ids}" if ids else said]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)


def write_to_stderr(how: Format) -> None:
    """Send what this package logs, from INFO up, to standard error; Celery's own words only when they are warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if how == "json" else _Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("guided_evolution").setLevel(logging.INFO)
    # A message that is given back, or can't be acknowledged for want of a broker, is nothing to write home about.
    for name in ("celery.app.trace", "celery.worker.request", "kombu"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
