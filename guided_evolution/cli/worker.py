"""`worker`: serve one queue of a broker, for every run of an archive."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import FrameType

from guided_evolution.archive import Archive, open_archive
from guided_evolution.cli.opening import checked_broker, sandbox_opener
from guided_evolution.cli.options import Place
from guided_evolution.errors import ArchiveError, SeedError, SettingsError, WorkerRefuses, WorldFailed
from guided_evolution.logs import Format, write_to_stderr
from guided_evolution.sandbox import Sandbox
from guided_evolution.seed import Seed
from guided_evolution.settings import Settings, load_settings
from guided_evolution.station import Station, Work

_ARCHIVE_SECONDS = 60.0
_QUEUES = ("propose", "evaluate")


def worker(
    place: Place,
    queue: str,
    flags: Mapping[str, object],
    *,
    concurrency: int | None,
    grace: float,
    metrics_port: int | None,
    log_format: str | None,
    events: bool,
) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    if queue not in _QUEUES:
        raise SettingsError(f"--queue {queue}: must be propose or evaluate")
    if concurrency is not None and concurrency < 1:
        raise SettingsError(f"--concurrency {concurrency}: must be at least 1")
    settings = load_settings({"archive": place.archive, **flags}, file=place.settings)
    broker = checked_broker(settings.broker)
    write_to_stderr(_format(log_format))
    archive = _archive(settings.archive)
    work, abort = _proposing(archive) if queue == "propose" else _evaluating(archive, settings)
    slots = concurrency or (settings.slots if queue == "evaluate" else 8)
    station = Station(
        archive,
        broker,
        "propose" if queue == "propose" else "evaluate",
        slots,
        work,
        abort=abort,
        grace=grace,
        events=events,
    )
    if metrics_port is not None:
        from guided_evolution import metrics

        metrics.serve(metrics_port, lambda: _figures(station), {"queue": queue})
    _stop_by_signal(station)
    try:
        code = station.serve()
    except WorldFailed as error:
        print(f"guided-evolution: {error}", file=sys.stderr)
        code = error.exit_code
    sys.stderr.flush()
    # Threads that wait for a model or a dead socket must not keep the process.
    os._exit(code)


def _format(asked: str | None) -> Format:
    if asked not in (None, "text", "json"):
        raise SettingsError(f"--log-format {asked}: must be text or json")
    if asked is None:
        return "text" if sys.stderr.isatty() else "json"
    return "json" if asked == "json" else "text"


def _archive(where: str) -> Archive:
    """The archive; a server that is still starting is waited for."""
    deadline = time.monotonic() + _ARCHIVE_SECONDS
    while True:
        try:
            return open_archive(where, create=True, durable=True)
        except ArchiveError as error:
            if "can't be opened" not in str(error) or "://" not in where:
                raise
            if time.monotonic() > deadline:
                raise WorldFailed(str(error)) from error
            time.sleep(1.0)


def _proposing(archive: Archive) -> tuple[Work, Callable[[], None]]:
    from guided_evolution.askers import Askers
    from guided_evolution.context import Contexts
    from guided_evolution.operators import builtin_operators
    from guided_evolution.proposal import Proposer

    contexts = Contexts(archive)
    askers = Askers(archive, contexts, _log)
    return Proposer(contexts, builtin_operators(), askers).propose, askers.stop


def _evaluating(archive: Archive, settings: Settings) -> tuple[Work, Callable[[], None]]:
    from guided_evolution.context import Contexts
    from guided_evolution.evaluation import Evaluator, SandboxPool

    pool = SandboxPool(_Openers(settings))
    return Evaluator(Contexts(archive), pool).evaluate, pool.close


class _Openers:
    """Opens sandboxes of the kind that a run names; what this machine may not or can't open it refuses.

    A run that wants Docker gets the process kind only where `--sandbox process` says so.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ready: set[tuple[str, str]] = set()

    def __call__(self, seed: Seed, wanted: str) -> Sandbox:
        asked = self._settings.sandbox
        kind = asked if asked != "auto" else "docker" if wanted.startswith("docker") else "process"
        opener = sandbox_opener(self._settings, kind, model_writes=False)
        with self._lock:
            if (seed.hash, kind) not in self._ready:
                try:
                    opener.prepare(seed)
                except SeedError as error:
                    raise WorkerRefuses(f"this machine can't evaluate seed {seed.name}: {error}") from error
                self._ready.add((seed.hash, kind))
        return opener(seed)


def _figures(station: Station) -> Mapping[str, float]:
    counts = asdict(station.counts())
    done, failed = counts.pop("done"), counts.pop("failed")
    return {**counts, "done_total": done, "failed_total": failed}


def _stop_by_signal(station: Station) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        # A handler may interrupt whoever holds the event's lock.
        threading.Thread(target=station.stop, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _log(said: str) -> None:
    import logging

    logging.getLogger("guided_evolution").warning("%s", said)
